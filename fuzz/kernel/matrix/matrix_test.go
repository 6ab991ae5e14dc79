// SPDX-License-Identifier: MIT

package matrix

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/record"
	"tunproof/tunlive"
	"tunproof/tunlive/kernels"
)

// TestExpected checks that all series have expectations, and that the features exist.
func TestExpected(t *testing.T) {
	for _, s := range kernels.All {
		if len(Expected[s.Name]) == 0 {
			t.Errorf("%s has no expected features", s.Name)
		}
		for _, name := range Expected[s.Name] {
			if !slices.ContainsFunc(tunlive.FeatureTable, func(f struct{ Name, About string }) bool { return f.Name == name }) {
				t.Errorf("%s: no feature %q", s.Name, name)
			}
		}
	}
	if len(Expected) != len(kernels.All) {
		t.Errorf("expectations for %d series, but there are %d series", len(Expected), len(kernels.All))
	}
}

// TestRecords checks the records of every way in which a boot can end.
func TestRecords(t *testing.T) {
	live := step{series: kernels.All[0], name: first, about: "K1 to K5", program: "tunproof"}
	old := step{series: kernels.All[1], name: Device, about: Device, program: "device"}
	without := slices.Sorted(maps.Keys(skips[Device])) // all of them because USO is missing
	skipped := "--- SKIP: " + strings.Join(without, " (0s)\n--- SKIP: ") + " (0s)\n"
	const one = "--- SKIP: TestBackpressureLive (0s)\n--- SKIP: TestTunnelsLive (0s)\n" // they came with Linux 7.3 and 6.17
	const both = "TestBackpressureLive, TestTunnelsLive"
	tunnel := step{series: kernels.All[3], name: first, about: "K1 to K5", program: "tunproof"}
	device := step{series: kernels.All[2], name: Device, about: Device, program: "device"}
	const features = `"features":{"root":true,"small-gso":true,"held-cwr":true,"hop-by-hop":true,"hop-limit-flow":true,"uso":false}`
	const holds = `{"property":"K1","method":"random, tun","n":7,"result":"holds",` + features + `}` + "\n"
	const noGate = `{"property":"K3","method":"corpus, gate","result":"not run","detail":"none"}` + "\n"
	const noTap = `{"property":"K1","method":"tunnels, tap","result":"not run","detail":"none"}` + "\n"
	const noTUN = `{"property":"K1","method":"corpus, tun","result":"not run","detail":"none"}` + "\n"
	for _, c := range []struct {
		name string
		s    step
		o    kernels.Outcome
		said string
		want string // result and detail of each record
		err  string
	}{
		{"holds", live, kernels.Outcome{}, "live: progress\n" + holds + noGate, "holds: |not run: none|holds: ", ""},
		{"no tunnels", live, kernels.Outcome{}, holds + noTap, "holds: |not run: none|holds: ", ""},
		{"no tunnels on a kernel that has them", tunnel, kernels.Outcome{}, noTap, "violated: not run, and not expected|violated: other than expected", ""},
		{"what is missing", live, kernels.Outcome{}, holds + noTUN, "holds: |violated: not run, and not expected|holds: ", ""},
		{"another feature", live, kernels.Outcome{}, strings.Replace(holds, `"uso":false`, `"uso":true`, 1), "holds: |violated: other than expected: uso is true", ""},
		{"a feature fewer", live, kernels.Outcome{}, strings.Replace(holds, `"root":true,`, "", 1), "holds: |violated: other than expected: root was not tried", ""},
		{"violated", live, kernels.Outcome{Code: 1}, strings.Replace(holds, "holds", "violated", 1) + "why\n", "violated: |holds: ", ""},
		{"no records", live, kernels.Outcome{}, "live\n", "", "no records"},
		{"infrastructure", live, kernels.Outcome{Code: 2}, "no TUN\n", "", "no TUN"},
		{"panic", live, kernels.Outcome{Ended: kernels.Panicked, Console: "Oops"}, "said\n", "violated: kernel panic\nsaid\nOops", ""},
		{"hang", device, kernels.Outcome{Ended: kernels.TimedOut}, "SIGQUIT\n", "violated: timed out\nSIGQUIT", ""},
		{"stuck", device, kernels.Outcome{Ended: kernels.Stuck}, "", "violated: guest stuck", ""},
		{"tests", device, kernels.Outcome{}, "--- PASS: TestA (0.1s)\n    --- PASS: TestA/b (0.1s)\n" + one, "holds: skipped, as expected: " + both, ""},
		{"a test skipped", device, kernels.Outcome{}, "--- PASS: TestA (0.1s)\n--- SKIP: TestB (0s)\n" + one, "violated: skipped: TestB, " + both + "; expected to be: " + both, ""},
		{"tests without USO", old, kernels.Outcome{}, "--- PASS: TestA (0.1s)\n" + skipped, "holds: skipped, as expected: " + strings.Join(without, ", "), ""},
		{"a test not skipped", old, kernels.Outcome{}, "--- PASS: TestA (0.1s)\n", "violated: skipped: ; expected to be: " + strings.Join(without, ", "), ""},
		{"a test failed", device, kernels.Outcome{Code: 1}, "--- PASS: TestA (0.1s)\n--- FAIL: TestB (0s)\n", "violated: tests failed: TestB", ""},
		{"no tests", device, kernels.Outcome{}, "", "", "no tests ran"},
		{"a test's panic", device, kernels.Outcome{Code: 2}, "panic: x\n--- PASS: TestA (0.1s)\n", "violated: exit code 2", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said output
			said.WriteString(c.said)
			rows, err := c.s.records(c.o, &said)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(c.want, "|")
			if len(rows) != len(want) {
				t.Fatalf("%d records, want %d: %+v", len(rows), len(want), rows)
			}
			for i, r := range rows {
				if got := r.Result + ": " + r.Detail; !strings.HasPrefix(got, want[i]) {
					t.Errorf("record %d: %q, want %q", i, got, want[i])
				}
			}
		})
	}
}

// TestSum checks that counts of equal kind are added up, and that a violation stays.
func TestSum(t *testing.T) {
	row := func(judge, result string, n int) record.Result {
		return record.Result{Property: "K2", Method: "random", Judge: judge, Result: result, Count: n}
	}
	got := Sum([]record.Result{row("a", record.Holds, 1), row("b", record.Holds, 2), row("a", record.Holds, 4), row("b", record.Violated, 1), row("b", record.Holds, 8)})
	if len(got) != 2 || got[0].Count != 5 || got[1].Result != record.Violated {
		t.Errorf("%+v", got)
	}
}

// TestState checks that records are kept, and that an incomplete line is dropped.
func TestState(t *testing.T) {
	name := filepath.Join(t.TempDir(), "state")
	keep := func(keys ...string) *state {
		t.Helper()
		s, err := openState(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if err := s.keep(k, []record.Result{{Property: k}}); err != nil {
				t.Fatal(err)
			}
		}
		s.close()
		return s
	}
	keep("a", "b")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b[:len(b)-5], 0o666); err != nil {
		t.Fatal(err)
	}
	keep("c")
	s := keep()
	_, a := s.rows("a")
	_, cut := s.rows("b")
	rows, c := s.rows("c")
	if !a || cut || !c || rows[0].Property != "c" {
		t.Errorf("%v %v %v", a, cut, c)
	}
	if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(name); err == nil || !strings.Contains(err.Error(), name) {
		t.Error(err)
	}
}
