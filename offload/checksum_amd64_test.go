//go:build !purego

package offload

import "testing"

// implementations are those that this processor has.
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

// use makes one of them the one that is used.
func use(t *testing.T, name string) {
	avx2, vnni := hasAVX2, hasVNNI
	t.Cleanup(func() { hasAVX2, hasVNNI = avx2, vnni })
	hasAVX2, hasVNNI = name != "generic", name == "vnni"
}
