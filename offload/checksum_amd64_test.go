// SPDX-License-Identifier: MIT

//go:build !purego

package offload

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// implementations returns the names of those that this processor can run.
func implementations(t *testing.T) []string {
	list := []string{"generic"}
	if hasAVX2 {
		list = append(list, "avx2")
	} else {
		t.Log("not tested: this processor has no AVX2")
	}
	if hasVNNI {
		list = append(list, "vnni")
	} else {
		t.Log("not tested: this processor has no AVX-512 VNNI")
	}
	return list
}

// use selects one implementation until the test ends.
func use(t *testing.T, name string) {
	avx2, vnni := hasAVX2, hasVNNI
	t.Cleanup(func() { hasAVX2, hasVNNI = avx2, vnni })
	hasAVX2, hasVNNI = name != "generic", name == "vnni"
}

// TestProcessor checks that no implementation is used that the processor cannot run.
// It hides each feature that an implementation needs.
func TestProcessor(t *testing.T) {
	const asked = "OFFLOAD_TEST_PROCESSOR"
	if os.Getenv(asked) != "" {
		t.Logf("has vnni %s, avx2 %s", yes(hasVNNI), yes(hasAVX2))
		return
	}
	avx2, vnni := hasAVX2, hasVNNI
	for feature, want := range map[string]string{
		"avx512vnni": "vnni false, avx2 " + yes(avx2), "avx512bw": "vnni false, avx2 " + yes(avx2), "bmi2": "vnni false, avx2 " + yes(avx2),
		"avx2": "vnni " + yes(vnni) + ", avx2 false", "sse41": "vnni " + yes(vnni) + ", avx2 " + yes(avx2),
	} {
		c := exec.Command(os.Args[0], "-test.run=^TestProcessor$", "-test.v")
		c.Env = append(os.Environ(), asked+"=1", "GODEBUG="+strings.Trim(os.Getenv("GODEBUG")+",cpu."+feature+"=off", ","))
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "has "+want) {
			t.Errorf("without %s: want %q: %v\n%s", feature, want, err, out)
		}
	}
}

func yes(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
