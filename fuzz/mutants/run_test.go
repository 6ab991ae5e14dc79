// SPDX-License-Identifier: MIT

package mutants

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const toy = `package offload

func Max(a, b int) int {
	for i := 0; a < b; i++ {
		a++
	}
	return a
}
`

const toyTest = `package offload

import "testing"

func TestMax(t *testing.T) {
	if Max(1, 2) != 2 || Max(2, 1) != 2 {
		t.Error("toy violated: Max")
	}
}

func TestOther(t *testing.T) {
	t.Run("sub", func(t *testing.T) {
		if Max(0, 3) != 3 {
			t.Fatal("other violated")
		}
	})
}
`

// runner returns a Runner for a module with one package.
func runner(t *testing.T) *Runner {
	if runtime.GOOS == "windows" {
		t.Skip("it needs sh")
	}
	root := t.TempDir()
	write(t, root, "go.mod", "module tunproof\n\ngo 1.25.0\n")
	write(t, root, "offload/f.go", toy)
	write(t, root, "offload/f_test.go", toyTest)
	return &Runner{Root: root, State: filepath.Join(t.TempDir(), "state.jsonl"), Workers: 1, Done: func(int, Verdict, bool) {},
		Methods: []Method{{Name: "unit", Package: "./offload", Run: ".", Limit: 2 * time.Second, Names: map[string]string{"TestMax": "P1"}}}}
}

func plant(t *testing.T, r *Runner, name, old, by string) Mutant {
	t.Helper()
	m, err := Bug{Name: name, File: "offload/f.go", Old: old, New: by}.Plant(r.Root)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRun checks the verdict for a mutant of every kind, that the tree does not change,
// and that a second run takes the outcomes from the state file.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles")
	}
	t.Parallel()
	r := runner(t)
	list := []Mutant{
		plant(t, r, "fails", "return a\n", "return a - 1\n"),
		plant(t, r, "crashes", "	for", "	if b == 2 {\n		panic(\"toy\")\n	}\n	for"),
		plant(t, r, "hangs", "		a++\n", "		a--\n		a++\n"),
		plant(t, r, "survives", "	return a", "	if a == 1000 {\n		return 0\n	}\n	return a"),
		plant(t, r, "does not compile", "return a\n", "return b c\n"),
		plant(t, r, "same code", "a < b", "b > a"),
		plant(t, r, "eats memory", "	for", "	var s [][]byte\n	for b == 3 {\n		s = append(s, make([]byte, 1<<26))\n	}\n	_ = s\n	for"),
	}
	verdicts, err := r.Run(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ status, by, how string }{
		{Killed, "TestMax", ""}, {Killed, "TestMax", crashed}, {TimedOut, "TestMax", hangs}, {Survived, "", ""}, {NotViable, "", ""}, {Same, "", ""}, {Killed, "the test program", crashed},
	} {
		v := verdicts[i]
		by, how := "", ""
		if len(v.Kills) > 0 {
			by, how = v.Kills[0].By, v.Kills[0].How
		}
		if v.Status != want.status || by != want.by || how != want.how {
			t.Errorf("%s: %s by %q, %q, want %v: %+v", v.ID, v.Status, by, how, want, v)
		}
	}
	if k := verdicts[0].Kills; len(k) != 2 || k[0].Method != "P1" || k[1].Method != "unit" || k[1].By != "TestOther/sub" || !strings.Contains(k[1].What, "other violated") {
		t.Errorf("kills %+v", k)
	}
	if b, err := os.ReadFile(filepath.Join(r.Root, "offload", "f.go")); err != nil || string(b) != toy {
		t.Errorf("the tree is changed: %v", err)
	}

	// Again: only the new mutant is run, although a killed run left half a line.
	state, err := os.ReadFile(r.State)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.State, append(state, `{"key":"x","kills":[{"meth`...), 0o644); err != nil {
		t.Fatal(err)
	}
	before := 0
	r.Done = func(_ int, _ Verdict, cached bool) {
		if cached {
			before++
		}
	}
	list = append(list, plant(t, r, "new", "return a\n", "return b\n"))
	again, err := r.Run(t.Context(), list)
	if err != nil || before != 7 || len(again) != 8 || again[7].Status != Killed || again[2].Status != TimedOut {
		t.Errorf("%d verdicts of before, %d in all, %v", before, len(again), err)
	}
	before = 0
	if _, err := r.Run(t.Context(), list); err != nil || before != 8 {
		t.Errorf("%d of 8 verdicts of before: %v", before, err)
	}
	// The outcomes do not apply to other tests.
	write(t, r.Root, "offload/g_test.go", "package offload\n")
	before = 0
	if _, err := r.Run(t.Context(), list[:1]); err != nil || before != 0 {
		t.Errorf("%d verdicts of other tests: %v", before, err)
	}
}

// TestSound checks that methods that fail or do not compile without a mutant are an error,
// and that an interrupted run returns the verdicts that it has.
func TestSound(t *testing.T) {
	if testing.Short() {
		t.Skip("it compiles")
	}
	t.Parallel()
	r := runner(t)
	list := []Mutant{plant(t, r, "a", "return a\n", "return 1\n"), plant(t, r, "b", "return a\n", "return 2\n")}
	ctx, cancel := context.WithCancel(t.Context())
	r.Done = func(n int, _ Verdict, _ bool) { cancel() }
	verdicts, err := r.Run(ctx, list)
	if err != nil || len(verdicts) != 1 {
		t.Errorf("interrupted: %d verdicts, %v", len(verdicts), err)
	}
	write(t, r.Root, "offload/f_test.go", toyTest+"\nfunc TestWrong(t *testing.T) { t.Error(\"wrong\") }\n")
	if _, err := r.Run(t.Context(), list); err == nil || !strings.Contains(err.Error(), "without a mutant") {
		t.Errorf("a test that fails: %v", err)
	}
	write(t, r.Root, "offload/f_test.go", "package offload\n\nvar x int = \"\"\n")
	if _, err := r.Run(t.Context(), list); err == nil || !strings.Contains(err.Error(), "f_test.go") {
		t.Errorf("a test that does not compile: %v", err)
	}
}

// TestResults checks that results are read as they were written, and their totals.
func TestResults(t *testing.T) {
	r := Results{}
	r.Tree = "t"
	for _, v := range []Verdict{
		{Mutant: Mutant{ID: "f.go:f:negate:1", File: "offload/f.go"}, Status: Killed, Kills: []Kill{{Method: "corpus", By: "TestCorpus/x"}, {Method: "P4", By: "TestAgree", Seconds: 1.239}}},
		{Mutant: Mutant{ID: "f.go:f:negate:2", File: "offload/f.go", Source: "a == b"}, Status: Survived},
		{Mutant: Mutant{ID: "f.go:f:literal:3", File: "offload/f.go", Source: "1"}, Status: Survived},
		{Mutant: Mutant{ID: "f.go:f:literal:4", File: "offload/g.go"}, Status: TimedOut, Kills: []Kill{{Method: "P1", How: hangs}}},
		{Mutant: Mutant{ID: "f.go:f:literal:5", File: "offload/g.go"}, Status: NotViable},
		{Mutant: Mutant{ID: "f.go:f:literal:6", File: "offload/g.go"}, Status: Same},
	} {
		r.Lines = append(r.Lines, NewLine(v, map[string]Equivalent{"f.go:f:negate:2": {Source: "a == b"}, "f.go:f:literal:3": {Source: "another line"}}))
	}
	name := filepath.Join(t.TempDir(), "r.jsonl")
	if err := os.WriteFile(name, r.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResults(name)
	if err != nil || got.Tree != "t" || !slices.Equal(got.Lines, r.Lines) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got.Lines[0].By != "P4 corpus" || got.Lines[0].Test != "TestAgree" || got.Lines[1].Status != Listed || got.Lines[2].Status != Survived {
		t.Errorf("%+v", got.Lines)
	}
	if got.Noticed() != 2 || got.Judged() != 4 || len(got.By("file")) != 2 || got.By("operator")[0].TimedOut != 1 || len(got.Only("P1")) != 1 {
		t.Errorf("%d detected of %d, %+v", got.Noticed(), got.Judged(), got.By("operator"))
	}
	if none, err := ReadResults(name + "x"); err != nil || none.Lines != nil {
		t.Errorf("%v, %v", none, err)
	}
	if err := os.WriteFile(name, []byte("{}\n{\"id\":1}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadResults(name); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
}

// TestNoticed checks which values of Status count as detected.
func TestNoticed(t *testing.T) {
	for status, want := range map[string]bool{Killed: true, TimedOut: true, Survived: false, NotViable: false, Same: false} {
		if (Verdict{Status: status}).Noticed() != want {
			t.Errorf("%s: %v", status, !want)
		}
	}
}
