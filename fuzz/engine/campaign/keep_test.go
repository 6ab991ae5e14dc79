// SPDX-License-Identifier: MIT

package campaign

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// listed returns the files below a directory with their contents.
func listed(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		got[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestKeep tries every state of the store with every new finding of the same key: which of the
// two stays, under which name, and whether the old one had to be executed again for that.
func TestKeep(t *testing.T) {
	o := serve.Outcome{Property: "P4", Where: "ip.id"}
	for _, old := range []string{"", ".fuzz", ".pkts"} {
		for _, ext := range []string{".fuzz", ".pkts"} {
			for _, size := range []int{3, 4, 5} { // the old one has 4 bytes
				for _, still := range []bool{false, true} {
					s := Store{t.TempDir()}
					dir := filepath.Join(s.Dir, "findings", "FuzzAgree")
					if old != "" {
						if err := write(filepath.Join(dir, "P4-ip.id"+old), []byte("old.")); err != nil {
							t.Fatal(err)
						}
					}
					text := strings.Repeat("n", size)
					asked := ""
					file, isNew, err := s.AddFinding("Agree", o, []byte(text), ext, func(file string) bool {
						asked += filepath.Ext(file)
						return still
					})
					better := old == "" || ext == ".pkts" && old == ".fuzz" || ext == old && size < 4
					kept, is, ask := ext, text, old
					if better {
						ask = ""
					} else if still {
						kept, is = old, "old."
					}
					name := fmt.Sprintf("%d bytes of %s after %q, which fails still: %v", size, ext, old, still)
					if err != nil || isNew != (old == "") || asked != ask || file != filepath.Join(dir, "P4-ip.id"+kept) {
						t.Errorf("%s: %s, new %v, asked %q, %v", name, file, isNew, asked, err)
					}
					if d := cmp.Diff(map[string]string{"P4-ip.id" + kept: is}, listed(t, dir)); d != "" {
						t.Errorf("%s (-want +got):\n%s", name, d)
					}
				}
			}
		}
	}
}

// TestFileName checks which characters of a key stay, and that long names differ.
func TestFileName(t *testing.T) {
	long := serve.Outcome{Property: "P1", Where: strings.Repeat("x", 78)}
	for _, c := range []struct{ property, where, want string }{
		{"P4", "ip.id", "P4-ip.id"}, {"P1", "azAZ09.-", "P1-azAZ09.-"}, {"P1", "a/b [2] `{@:", "P1-a-b--2------"}, {"P2", "é", "P2---"},
		{"P1", strings.Repeat("x", 77), "P1-" + strings.Repeat("x", 77)},
		{"P1", long.Where, "P1-" + strings.Repeat("x", 67) + "-" + hash([]byte("P1-" + long.Where))[:9]},
	} {
		got := fileName(serve.Outcome{Property: c.property, Where: c.where})
		if got != c.want || len(got) > 80 {
			t.Errorf("%s %s: %s, want %s", c.property, c.where, got, c.want)
		}
	}
	if got := hash([]byte("abc")); got != "ba7816bf8f01cfea4141" { // of FIPS 180
		t.Error(got)
	}
}

// TestStoreFiles checks which files are inputs and records, and that others cause errors that
// name them and hide nothing.
func TestStoreFiles(t *testing.T) {
	s := Store{t.TempDir()}
	if n := s.Len("Pkts"); n != 0 {
		t.Errorf("an empty store has %d inputs", n)
	}
	for i, text := range []string{"a", "b", "a"} {
		if file, added, err := s.Add(named("Pkts"), []byte(text)); err != nil || file != hash([]byte(text))+".raw" || added != (i < 2) {
			t.Errorf("%s: %s, %v, %v", text, file, added, err)
		}
	}
	scene := named("Order")
	if file, added, err := s.Add(scene, []byte{1, 0}); file != "" || added || err != nil || s.Len("Order") != 0 {
		t.Errorf("what means nothing: %q, %v, %v", file, added, err)
	}
	dir := s.inputs("Pkts")
	for _, name := range []string{"x.raw.00000001.new", "x.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no input"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a := hash([]byte("a")) + ".raw"
	got, err := s.Inputs("Pkts", map[string]bool{a: true})
	if d := cmp.Diff(map[string][]byte{hash([]byte("b")) + ".raw": []byte("b")}, got); d != "" || err != nil || s.Len("Pkts") != 2 {
		t.Errorf("%v, %d inputs (-want +got):\n%s", err, s.Len("Pkts"), d)
	}
	large := filepath.Join(dir, "large.raw")
	for size, ok := range map[int64]bool{maxKept: true, maxKept + 1: false} {
		if err := errors.Join(os.WriteFile(large, nil, 0o644), os.Truncate(large, size)); err != nil {
			t.Fatal(err)
		}
		got, err := s.Inputs("Pkts", nil)
		if (err == nil) != ok || ok != (got["large.raw"] != nil) || got[a] == nil || !ok && err.Error() != large+": not a regular file of at most 33554432 bytes" {
			t.Errorf("%d bytes: %d inputs, %v", size, len(got), err)
		}
	}
	if err := errors.Join(os.Remove(large), os.Mkdir(large, 0o755)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Inputs("Pkts", nil); len(got) != 2 || err == nil || err.Error() != large+": not a regular file of at most 33554432 bytes" {
		t.Errorf("with a directory: %d, %v", len(got), err)
	}
	if err := s.Remove("Pkts", a); err != nil || s.Len("Pkts") != 2 { // b, and the directory, whose name is that of an input
		t.Errorf("%d inputs, %v", s.Len("Pkts"), err)
	}
	if err := s.AddFlaky("Pkts", []byte("z")); err != nil {
		t.Error(err)
	}
	const flaky = "go test fuzz v1\n[]byte(\"z\")\n"
	if d := cmp.Diff(map[string]string{"FuzzPkts/" + hash([]byte(flaky)) + ".fuzz": flaky}, listed(t, filepath.Join(s.Dir, "flaky"))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	run := Run{Start: time.Unix(1, 0).UTC(), Seconds: 2, Engine: "native", Tree: "t", Targets: map[string]Totals{"Pkts": {Execs: 3, Seconds: 4, New: 5}}}
	if err := s.PutRun("one", run); err != nil {
		t.Error(err)
	}
	runs := filepath.Join(s.Dir, "runs")
	for name, text := range map[string]string{"a.json": "{", "b.txt": "{"} {
		if err := os.WriteFile(filepath.Join(runs, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Runs()
	if d := cmp.Diff([]Run{run}, list); d != "" || err == nil || !strings.HasPrefix(err.Error(), filepath.Join(runs, "a.json")+": ") || strings.Contains(err.Error(), "b.txt") {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if text := listed(t, runs)["one.json"]; text != `{"start":"1970-01-01T00:00:01Z","seconds":2,"engine":"native","tree":"t","targets":{"Pkts":{"execs":3,"seconds":4,"new":5}}}` {
		t.Error(text)
	}
	blocked := Store{filepath.Join(runs, "b.txt")} // a file
	if err := blocked.PutRun("x", run); err == nil {
		t.Error("a record in a file that is no directory")
	}
	if _, _, err := blocked.AddFinding("Pkts", serve.Outcome{}, nil, ".fuzz", nil); err == nil {
		t.Error("a finding in a file that is no directory")
	}
	if err := write(runs, nil); err == nil {
		t.Error("a directory is replaced by a file")
	}
	if left, _ := filepath.Glob(filepath.Join(s.Dir, "*.new")); left != nil {
		t.Errorf("files that are not complete: %v", left)
	}
}

// TestTables compares the tables of pages with what is stated.
func TestTables(t *testing.T) {
	env := record.Env{Go: "go1", CPU: "c", Kernel: "6.1"}
	row := func(property, method, result string, n int, seconds float64) record.Result {
		return record.Result{Property: property, Method: method, Judge: "Agree", Result: result, Count: n, Unit: "executions", Seconds: seconds, Env: env, Tree: "t"}
	}
	var out strings.Builder
	err := DetectTable(&out, []record.Result{row("bug", "a", record.Holds, 1, 1.25), row("other", "a", record.NotRun, 1, 9), row("bug", "b", record.Holds, 1, 2), row("other", "b", record.Holds, 1, 30)})
	want := "| planted bug | target | a | b |\n|---|---|---|---|\n| bug | Agree | 1.2 s | 2.0 s |\n| other | Agree | no | 30.0 s |\n| found | | 1 of 2 | 2 of 2 |\n\nc, Linux 6.1, go1, one process, tree t.\n"
	if out.String() != want || err != nil {
		t.Errorf("%v:\n%s\nwant:\n%s", err, out.String(), want)
	}
	out.Reset()
	first, last := targets.All()[0], targets.All()[len(targets.All())-1]
	timed := row(first.ID, "x", record.Holds, 90, 2)
	counted := row(last.ID, "x", record.Holds, 90, 2)
	counted.Unit = "bugs"
	err = RatesTable(&out, []record.Result{timed, counted, row(last.ID, "y", record.Holds, 7, 1), row(first.ID, "y", record.Holds, 7, 0)})
	lines := strings.Split(out.String(), "\n")
	if err != nil || len(lines) != len(targets.All())+5 || lines[0] != "| target | x | y |" || lines[1] != "|---|---|---|" || lines[2] != fmt.Sprintf("| %s (%s) | 45 | not measured |", first.Name, first.ID) ||
		lines[len(lines)-4] != fmt.Sprintf("| %s (%s) | not measured | 7 |", last.Name, last.ID) || lines[len(lines)-2] != "c, Linux 6.1, go1, tree t." {
		t.Errorf("%v:\n%s", err, out.String())
	}
	for _, f := range []func(io.Writer, []record.Result) error{DetectTable, RatesTable} {
		out.Reset()
		if err := f(&out, nil); err != nil || strings.Contains(out.String(), "Linux") {
			t.Errorf("without rows: %v\n%s", err, out.String())
		}
	}
}

// TestSummary checks the rows of a campaign, its summary and its last line.
func TestSummary(t *testing.T) {
	ran := Result{Target: targets.All()[0], Totals: Totals{Execs: 7200, Seconds: 3, New: 2}, Corpus: 5}
	found := Result{Target: targets.All()[1], Totals: Totals{Seconds: 1}, Corpus: 1, Findings: []Finding{
		{Outcome: serve.Outcome{Property: "P4", Where: "a", Msg: "m"}, File: "f", New: true, After: 1500 * time.Millisecond}, {Outcome: serve.Outcome{Property: "P4", Where: "b", Msg: "n"}, File: "g", After: 2 * time.Second}}}
	plant := &mutants.Bug{Name: "bug"}
	c := Config{Dir: t.TempDir(), Engine: "native", Workers: 1, AtOnce: 1, Plant: plant}
	s := &Summary{Results: []Result{ran, found}, Canary: "canary", After: 4 * time.Second, Flaky: 6, Seconds: 2}
	r := record.Collector{Ctx: t.Context(), Command: "fuzz"}
	s.Records(&r, c)
	var got []string
	for _, row := range r.Rows {
		got = append(got, fmt.Sprintf("%s, %s, %s, %d %s, %g s, control %v, %s: %s%s%s", row.Property, row.Method, row.Judge, row.Count, row.Unit, row.Seconds, row.Control, row.Result, row.Detail, row.Tree, row.Basis))
	}
	const method = "fuzz native, with the planted bug bug"
	want := []string{"canary, " + method + ", planted bug, 1 bugs, 4 s, control true, holds: canary",
		fmt.Sprintf("%s, %s, %s, 7200 executions, 3 s, control false, holds: 5 inputs kept, 2 new", ran.Target.ID, method, ran.Target.Judge),
		fmt.Sprintf("%s, %s, %s, 2 executions, 1 s, control false, violated: after 1.5 s: f\nm\nafter 2.0 s: g\nn\n", found.Target.ID, method, found.Target.Judge)}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, run := range []Run{{Seconds: 1800, Targets: map[string]Totals{"a": {Execs: 3}, "b": {Execs: 4}}}, {Seconds: 5400, Targets: map[string]Totals{"a": {Execs: 5}}}} {
		if err := (Store{c.Dir}).PutRun(fmt.Sprint(run.Seconds), run); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	err := s.Print(&out, c)
	text := "finding: P4 a after 1.5 s: f\nfinding: P4 b after 2.0 s, found before: g\n7202 executions in 2 s, 3601 a second and core; 6 inputs kept, 2 of them new; 2 findings, 6 flaky\n" +
		c.Dir + ": 2 campaigns, 12 executions, 2h0m0s\nthe bug bug was planted: \"tunproof replay -plant bug FILE\" runs a finding with it, and without -plant offload has no such bug\n"
	if out.String() != text || err != nil {
		t.Errorf("%v:\n%s\nwant:\n%s", err, out.String(), text)
	}
	out.Reset()
	quick := &Summary{Results: []Result{ran}, Seconds: 0.5}
	c.Plant, c.Workers, c.AtOnce = nil, 100*runtime.NumCPU(), 2
	if err := quick.Print(&out, c); err != nil || !strings.HasPrefix(out.String(), fmt.Sprintf("7200 executions in 0 s, %.0f a second and core; 5 inputs kept, 2 of them new; 0 findings, 0 flaky\n", 7200/float64(runtime.NumCPU()))) || strings.Contains(out.String(), "planted") {
		t.Errorf("%v:\n%s", err, out.String())
	}
	for _, f := range []struct {
		name    string
		s       Summary
		c       Config
		code    int
		verdict string
	}{
		{"all holds", Summary{Results: []Result{ran}}, Config{}, record.ExitHolds, "all holds (1 row)"},
		{"a bug that was not found", Summary{Results: []Result{ran}}, Config{Plant: plant}, record.ExitUsage, "the planted bug was not found: all holds (1 row)"},
		{"a bug that was found", Summary{Results: []Result{found}}, Config{Plant: plant}, record.ExitViolation, "VIOLATED: " + found.Target.ID + " (fuzz , with the planted bug bug)"},
		{"a canary that was found", Summary{Results: []Result{ran}, Canary: "x", After: 1}, Config{}, record.ExitHolds, "all holds (1 row)"},
		{"a canary that was not found", Summary{Results: []Result{ran}, Canary: "x"}, Config{}, record.ExitUsage, "BLIND: what ran holds (1 row)\nnot run: canary (fuzz ): x was planted and not found: this campaign is blind"},
		{"a canary that was not found, and a finding", Summary{Results: []Result{found}, Canary: "x"}, Config{}, record.ExitViolation, "VIOLATED: " + found.Target.ID + " (fuzz )\nnot run: canary (fuzz ): x was planted and not found: this campaign is blind"},
	} {
		r := record.Collector{Ctx: t.Context(), Command: "fuzz"}
		f.s.Records(&r, f.c)
		if code, verdict := f.s.Verdict(&r, f.c); code != f.code || verdict != f.verdict {
			t.Errorf("%s: %d %q, want %d %q", f.name, code, verdict, f.code, f.verdict)
		}
	}
	for want, got := range map[string]string{"interrupted before its turn": Result{}.tooShort(true, true), "the campaign ended with its first finding": Result{}.tooShort(true, false), "the time was too short: it had no turn": Result{}.tooShort(false, false)} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if !s.first(Config{First: true}) || s.first(Config{}) || quick.first(Config{First: true}) {
		t.Error("which campaigns end with their first finding")
	}
}

// TestCaseOf checks the head of a finding's case, and when it has the model's result.
func TestCaseOf(t *testing.T) {
	s := scenario.Scenario{Batches: [][][]byte{{scenario.TCP4(1).Bytes()}}}
	for _, c := range []struct {
		plant         *mutants.Bug
		where, source string
		reason        string
	}{
		{nil, "ip.id", "", " First"}, {nil, "hang", "", ""}, {nil, "memory", "", ""}, {&mutants.Bug{Name: "bug"}, "ip.id", ", with the planted bug bug", " First"},
	} {
		var camp campaign
		camp.Engine, camp.Plant, camp.tree = "native", c.plant, "t"
		text := string(camp.caseOf(s, named("Agree"), serve.Outcome{Property: "P4", Where: c.where, Msg: "P4 violated: why\nmore"}))
		want := "# why: P4 is violated: why\n# source: tunproof fuzz, target Agree, engine native, tree t" + c.source + "\n# batch:\n# in:" + c.reason + "\n"
		if !strings.Contains(text, want) {
			t.Errorf("%s: no\n%s\nin\n%s", c.where, want, text)
		}
	}
}
