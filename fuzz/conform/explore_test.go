// SPDX-License-Identifier: MIT

package conform

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// envChild is an environment variable. If it is set, this test program judges an
// implementation with a fault, and its parent reads what it reports.
const envChild = "CONFORM_CHILD"

// forgetful is an implementation that loses packets with IP options.
func forgetful() Impl {
	return Impl{Name: "forgetful", NewCoalescer: func() Coalesce {
		return func(batch [][]byte) ([][]byte, error) {
			return plain(slices.DeleteFunc(batch, func(p []byte) bool { return kind(p) == "a packet with IP options" })...), nil
		}
	}}
}

// child runs one test of this program with envChild set, and returns what it prints.
func child(t *testing.T, test, value string) string {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v")
	c.Env = append(os.Environ(), envChild+"="+value)
	out, err := c.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatal(err)
	}
	return string(out)
}

// TestRunReports checks what Run reports of an implementation with a fault, and what it logs so
// that a run can be repeated.
func TestRunReports(t *testing.T) {
	switch os.Getenv(envChild) {
	case "corpus":
		Run(t, forgetful(), Options{Corpus: true})
		return
	case "seed":
		Run(t, Impl{Name: "none"}, Options{Seed: 5})
		return
	case "nothing stated":
		Run(t, Impl{Name: "none"}, Options{})
		return
	case "time":
		Run(t, Impl{Name: "none"}, Options{Time: 1})
		return
	}
	out := child(t, "TestRunReports", "corpus")
	for _, want := range []string{
		"conformance of forgetful; the same again: conform.Options{Corpus: true, Seed: 0, Checks: 0}\n",
		`forgetful, \d+\.\d s, coalesce/\S+: P2: lost: a packet with IP options: packet 0: IPv4 `,
		`P2: lost: a packet with IP options: packet 0: .* \[E\]\n\s+seen in \d+ inputs, first coalesce/\S+\n`,
		`the case:\n\s+# format: 1\n\s+# op: coalesce\n\s+# why: P2: lost: a packet with IP options`,
		"--- FAIL: TestRunReports/P2 ", "--- PASS: TestRunReports/P1 ", "--- PASS: TestRunReports/P3 ", "--- PASS: TestRunReports/P5 ", "--- PASS: TestRunReports/P11 ",
		"--- SKIP: TestRunReports/P4 ", "--- SKIP: TestRunReports/P8 ",
	} {
		if !regexp.MustCompile(strings.NewReplacer("{", `\{`, "}", `\}`, ".Options", `\.Options`).Replace(want)).MatchString(out) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "forgetful has nothing that is judged by it"); n != 2 {
		t.Errorf("%d properties are not judged, want 2", n)
	}
	for value, want := range map[string]string{
		"seed":           `Options\{Corpus: false, Seed: 5, Checks: 0\}`,
		"nothing stated": `Options\{Corpus: true, Seed: \d*[13579], Checks: 5000\}`,
		"time":           `Options\{Corpus: true, Seed: \d*[13579], Checks: 0, Time: time\.Duration\(1\)\}`,
	} {
		if out := child(t, "TestRunReports", value); !regexp.MustCompile(want).MatchString(out) || strings.Contains(out, "--- FAIL") {
			t.Errorf("%s: no %q in\n%s", value, want, out)
		}
	}
}

// TestFuzzReports checks what Fuzz reports of an implementation with a fault.
func TestFuzzReports(t *testing.T) {
	out := child(t, "FuzzOffload", "fault")
	for _, want := range []string{
		`P2: lost: a packet with IP options: packet 0: `,
		`# why: P2: lost: a packet with IP options: packet 0: IPv4 .*\n\s+# source: coalesce/\S+, tunproof conformance of forgetful\n`,
		`# in: \S+\n`, // what the model gives is filled in
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %q in\n%.3000s", want, out)
		}
	}
	for _, c := range strings.Split(out, "# format: 1\n")[1:] {
		if strings.Count(c, "# in: ") != 1 { // each is minimised to the packet that is lost
			t.Errorf("a case of several packets:\n%s", c)
		}
	}
}
