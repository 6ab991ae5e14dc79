// SPDX-License-Identifier: MIT

package verify

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
	"time"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/record"
)

// TestRecords checks which records of longer runs verify calls records of this code.
func TestRecords(t *testing.T) {
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	r := record.New("mutants", "mutants", "planted bugs", "harness", 243, "detected of 243", time.Now())
	old := r
	old.Basis, old.Date = "0123456789abcdef", "2026-01-02"
	violated := r
	violated.Result = record.Violated
	for _, test := range []struct {
		name string
		rows []record.Result
		want string
		adds int // rows of verify
	}{
		{"none", nil, "no: none; make mutants makes them", 0},
		{"of this code", []record.Result{r}, "yes, hold: " + r.Date + ", unchanged since", 0},
		{"of other code", []record.Result{old}, "no: 2026-01-02, changed since; make mutants makes them again", 0},
		{"one of other code", []record.Result{r, old, r}, "2, hold: " + r.Date + ", unchanged since; not 1: 2026-01-02, changed since; make mutants makes them again", 0},
		{"violated", []record.Result{violated}, "yes, violated: " + r.Date + ", unchanged since", 1},
	} {
		v := &Run{Collector: record.NewCollector(context.Background(), "verify", io.Discard, regexp.MustCompile("records planted bugs"))}
		v.Root = t.TempDir()
		for _, dir := range []string{"offload", "model", "fuzz", "corpus", "tunlive"} {
			if err := os.Symlink(filepath.Join(root, dir), filepath.Join(v.Root, dir)); err != nil {
				t.Skip(err)
			}
		}
		name := record.DataFile(v.Root, "planted-bugs.jsonl")
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := record.WriteFile(name, test.rows); err != nil {
			t.Fatal(err)
		}
		if err := v.records(); err != nil {
			t.Fatal(err)
		}
		if len(v.kept) != 1 || v.kept[0].result != test.want || len(v.Rows) != test.adds {
			t.Errorf("%s: %+v, %d rows", test.name, v.kept, len(v.Rows))
		}
	}
}

// TestFailsAgain checks that an input that failed in the engine counts only if it fails
// each time again, in processes of its own.
func TestFailsAgain(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell script")
	}
	for passes, want := range map[string]int{"1": 0, "2": 1, "3": 2, "4": 3} {
		v := &Run{Collector: record.NewCollector(context.Background(), "verify", io.Discard, nil)}
		dir := t.TempDir()
		v.native = &nativeBinary{program: filepath.Join(dir, "program")}
		script := "#!/bin/sh\necho >> " + dir + "/runs\ncase \"$1\" in *'/^0123$') ;; *) exit 0 ;; esac\n[ $(wc -l < " + dir + "/runs) -eq " + passes + " ]\n"
		if err := os.WriteFile(v.native.program, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		n, err := v.failsAgain(targets.All()[0], "testdata/fuzz/FuzzTotal/0123")
		if err != nil || n != want {
			t.Errorf("passes at run %s: failed %d times, want %d: %v", passes, n, want, err)
		}
	}
}

// TestVerdict checks the last lines: the verdict first, unqualified only if nothing was
// left out, and then what was not run, by reason.
func TestVerdict(t *testing.T) {
	holds := record.Result{Property: "P2", Method: "rapid", Result: record.Holds}
	not := func(method, why string) record.Result {
		return record.Result{Property: "K1", Method: method, Result: record.NotRun, Detail: why}
	}
	for _, test := range []struct {
		rows []record.Result
		want string
	}{
		{[]record.Result{holds}, "all holds (1 row)"},
		{[]record.Result{holds, not("a", "no TUN"), holds, not("b", "no clang"), not("c", "no TUN")},
			"what ran holds (2 rows)\nnot run: K1 (2 rows): no TUN\nnot run: K1 (b): no clang"},
		{[]record.Result{not("a", "no TUN")}, "nothing ran\nnot run: K1 (a): no TUN"},
	} {
		r := record.Collector{Ctx: context.Background(), Rows: test.rows}
		if _, verdict := r.Verdict(); verdict != test.want {
			t.Errorf("%s\nwant %s", verdict, test.want)
		}
	}
}
