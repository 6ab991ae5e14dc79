// SPDX-License-Identifier: MIT

package record

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// put writes a file, and the directories above it.
func put(t *testing.T, root, name, text string) {
	t.Helper()
	name = filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestProperties checks how properties are found by ID and kind.
func TestProperties(t *testing.T) {
	for i, p := range Properties {
		if Order(p.ID) != i || PropertyOf(p.ID).ID != p.ID || LawOf(p.ID) != p.Law || p.Law == "" {
			t.Errorf("%s: order %d, law %q", p.ID, Order(p.ID), LawOf(p.ID))
		}
	}
	if Order("P99") != len(Properties) || LawOf("P99") != "" {
		t.Error("there is a P99")
	}
	got := map[Kind]string{}
	for _, k := range []Kind{Stated, Scenarios, Bytes, Counted, Kernel, Device} {
		got[k] = strings.Join(IDs(OfKind(k)), " ")
	}
	want := map[Kind]string{Stated: "cases canary mutants proof", Scenarios: "P1 P2 P3 P4 P5 P6 P7 P11 P12 P13", Bytes: "P8 codec pkts pcap hexdump judges faults", Counted: "P9 P10",
		Kernel: "K1 K2 K3 K4 K5", Device: "device harness features"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	defer func() {
		if r := recover(); r != "record: no property P99" {
			t.Errorf("PropertyOf of what does not exist: %v", r)
		}
	}()
	PropertyOf("P99")
}

// TestSeed compares seeds with values that were computed by another program.
func TestSeed(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		row  string
		part int
		want uint64
	}{{1, "P3 rapid", 0, 5682907890830862244}, {20261121, "cases corpus", 7, 11662507289889825934}} {
		if got := Seed(c.seed, c.row, c.part); got != c.want {
			t.Errorf("%d %s %d: %d, want %d", c.seed, c.row, c.part, got, c.want)
		}
	}
}

// TestTree changes a tree: the hash changes with the name and the content of each source, and
// with nothing else.
func TestTree(t *testing.T) {
	root := t.TempDir()
	hash := func() string {
		t.Helper()
		h, err := Tree(root)
		if err != nil || len(h) != 16 {
			t.Fatalf("%q, %v", h, err)
		}
		return h
	}
	seen := map[string]string{hash(): "the empty tree"}
	for _, name := range []string{"offload/a.go", "offload/b.go", "model/a.go", "fuzz/x/y/a.go", "corpus/coalesce/a.pkts", "tunlive/a.go", "fuzz/x/evidence/a.go", "fuzz/evidence.go"} {
		for _, text := range []string{"", "1", "2"} {
			put(t, root, name, text)
			h := hash()
			if seen[h] != "" {
				t.Errorf("%s with %q has the hash of %s", name, text, seen[h])
			}
			seen[h] = name + " with " + text
		}
	}
	was := hash()
	for _, name := range []string{"fuzz/evidence/a.go", "fuzz/testdata/a", "offload/testdata/b/c", "fuzz/x.test", "fuzz/x/cpu.out", "docs/a.md", "a.go"} {
		put(t, root, name, "1")
		if hash() != was {
			t.Errorf("%s changes the hash", name)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "model", "b.go")); err != nil {
		t.Fatal(err)
	}
	if h, err := Tree(root); err == nil || h != "" {
		t.Errorf("a source that cannot be read: %q, %v", h, err)
	}
}

// TestRoot checks which directory the root of a checkout is.
func TestRoot(t *testing.T) {
	root := t.TempDir()
	put(t, root, "go.mod", "module tunproof\n\ngo 1.25\n")
	put(t, root, "a/go.mod", "module tunproof/a\n")
	put(t, root, "a/b/c", "")
	for _, dir := range []string{root, filepath.Join(root, "a"), filepath.Join(root, "a", "b")} {
		if got, err := Root(dir); got != root || err != nil {
			t.Errorf("%s: %q, %v", dir, got, err)
		}
	}
	other := t.TempDir()
	put(t, other, "go.mod", "module tunproofs\n")
	if got, err := Root(other); err == nil || got != "" {
		t.Errorf("another module: %q, %v", got, err)
	}
}

// TestHere checks the environment of the process.
func TestHere(t *testing.T) {
	cpu := ""
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*:\s*(.*?)\s*$`).FindSubmatch(b); m != nil {
			cpu = string(m[1])
		}
	}
	e := Here()
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil && e.Kernel != strings.TrimSpace(string(release)) {
		t.Errorf("the kernel is %s, want %s", e.Kernel, release)
	}
	if e.Kernel == "" && (runtime.GOOS == "darwin" || runtime.GOOS == "windows") {
		t.Error("no kernel")
	}
	e.Kernel = ""
	if want := (Env{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: cpu, NCPU: runtime.NumCPU()}); e != want {
		t.Errorf("%+v, want %+v", e, want)
	}
	tree, env := Current()
	root, err := Root(".")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := Tree(root); tree != want || err != nil || env.Go != e.Go {
		t.Errorf("%s %+v, want %s, %v", tree, env, want, err)
	}
}

// sample is a record with all fields set.
var sample = Result{Format: 1, Command: "verify", Property: "P2", Method: "rapid", Judge: "the batch", Count: 3, Unit: "batches", Seed: 4, Seconds: 0.5, Result: Violated, Detail: "d", Control: true, Tree: "t", Basis: "b",
	Date: "2026-11-25", Env: Env{"go1", "linux", "amd64", "c", 2, "6.1"}, Counts: map[string]int{"a": 1}, Features: map[string]bool{"f": false}}

const sampleLine = `{"format":1,"command":"verify","property":"P2","method":"rapid","judge":"the batch","n":3,"unit":"batches","seed":4,"seconds":0.5,"result":"violated","detail":"d","control":true,"tree":"t","basis":"b",` +
	`"date":"2026-11-25","env":{"go":"go1","os":"linux","arch":"amd64","cpu":"c","ncpu":2,"kernel":"6.1"},"counts":{"a":1},"features":{"f":false}}` + "\n"

// broken is a writer that fails.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

// TestWriteRead checks the form of records, that Read undoes Write, and which errors name their
// place.
func TestWriteRead(t *testing.T) {
	list := []Result{sample, {Property: "P3"}}
	var w strings.Builder
	if err := Write(&w, list); err != nil || !strings.HasPrefix(w.String(), sampleLine) {
		t.Errorf("%v:\n%s\nwant\n%s", err, w.String(), sampleLine)
	}
	if got, err := Read(strings.NewReader(w.String())); err != nil || cmp.Diff(list, got) != "" {
		t.Errorf("%v: %s", err, cmp.Diff(list, got))
	}
	if err := Write(broken{}, list); err == nil {
		t.Error("an error of the writer is lost")
	}
	if got, err := Read(strings.NewReader(sampleLine + "{")); got != nil || err == nil || !strings.HasPrefix(err.Error(), "result 2: ") {
		t.Errorf("a line that is cut: %v, %v", got, err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "a.jsonl")
	if rows, err := ReadFile(name); rows != nil || err != nil {
		t.Errorf("no file: %v, %v", rows, err)
	}
	if err := WriteFile(name, list); err != nil {
		t.Error(err)
	}
	if rows, err := ReadFile(name); err != nil || cmp.Diff(list, rows) != "" {
		t.Errorf("%v: %s", err, cmp.Diff(list, rows))
	}
	put(t, dir, "a.jsonl", sampleLine+"{\"id\":\"x\"}\n"+sampleLine)
	if rows, err := ReadFile(name); err != nil || len(rows) != 2 {
		t.Errorf("with a line that is no record: %d, %v", len(rows), err)
	}
	put(t, dir, "a.jsonl", sampleLine+"{\n")
	if rows, err := ReadFile(name); rows != nil || err == nil || !strings.HasPrefix(err.Error(), name+": ") {
		t.Errorf("with a line that is cut: %d, %v", len(rows), err)
	}
	if rows, err := ReadFile(dir); rows != nil || err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory: %v, %v", rows, err)
	}
}

// TestBlock checks what of a document a block is.
func TestBlock(t *testing.T) {
	const doc = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"
	before, in, after, err := Block([]byte(doc), "x")
	if string(before) != "a\n<!-- x -->\n" || string(in) != "old\n" || string(after) != "<!-- /x -->\nb\n" || err != nil {
		t.Errorf("%q %q %q %v", before, in, after, err)
	}
	if got, err := Replace([]byte(doc), "x", []byte("new\n")); string(got) != strings.Replace(doc, "old", "new", 1) || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, in, _, err := Block([]byte("<!-- x -->\n<!-- /x -->\n"), "x"); len(in) != 0 || err != nil {
		t.Errorf("an empty block at the beginning: %q, %v", in, err)
	}
	for _, bad := range []string{"", "<!-- x -->\n", "<!-- /x -->\n", "<!-- /x -->\n<!-- x -->\n", "<!-- y -->\n<!-- /y -->\n"} {
		if _, _, _, err := Block([]byte(bad), "x"); err == nil || err.Error() != `no lines "<!-- x -->" and "<!-- /x -->"` {
			t.Errorf("%q: %v", bad, err)
		}
		if got, err := Replace([]byte(bad), "x", nil); err == nil || got != nil {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

// TestRender checks where a table is written, and each error on the way.
func TestRender(t *testing.T) {
	dir := t.TempDir()
	records, document := filepath.Join(dir, "a.jsonl"), filepath.Join(dir, "a.md")
	table := func(w io.Writer, rows []Result) error {
		_, err := w.Write([]byte(rows[0].Property + "\n"))
		return err
	}
	var out strings.Builder
	render := func(into string, f func(w io.Writer, rows []Result) error) error {
		out.Reset()
		return Render(&out, records, into, "x", f)
	}
	if err := render("", table); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no records: %v", err)
	}
	put(t, dir, "a.jsonl", "{")
	if err := render("", table); err == nil || !strings.HasPrefix(err.Error(), records+": result 1: ") {
		t.Errorf("a record that is cut: %v", err)
	}
	put(t, dir, "a.jsonl", "")
	if err := render("", table); err == nil || err.Error() != records+": no records" {
		t.Errorf("an empty file: %v", err)
	}
	put(t, dir, "a.jsonl", sampleLine)
	if err := render("", table); err != nil || out.String() != "P2\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := render(document, table); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no document: %v", err)
	}
	put(t, dir, "a.md", "a\n")
	if err := render(document, table); err == nil || !strings.HasPrefix(err.Error(), document+": no lines ") {
		t.Errorf("no block: %v", err)
	}
	put(t, dir, "a.md", "<!-- x -->\n<!-- /x -->\n")
	failed := errors.New("no table")
	if err := render(document, func(io.Writer, []Result) error { return failed }); err != failed {
		t.Errorf("no table: %v", err)
	}
	if err := render("", func(io.Writer, []Result) error { return failed }); err != failed {
		t.Errorf("no table: %v", err)
	}
	if err := render(document, table); err != nil || out.String() != "" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if b, err := os.ReadFile(document); string(b) != "<!-- x -->\nP2\n<!-- /x -->\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestCollector checks the rows of a run, and what is shown of them.
func TestCollector(t *testing.T) {
	var said, table strings.Builder
	r := NewCollector(t.Context(), "verify", &said, regexp.MustCompile("^P[23] "))
	if root, err := Root("."); r.Root != root || err != nil || r.Ctx != t.Context() {
		t.Errorf("%+v, %v", r, err)
	}
	all := Collector{}
	if !all.Wanted("K1", "tun") || all.Others != nil {
		t.Error("without a pattern a row is not wanted")
	}
	r.Add(Result{Property: "P3", Method: "with a long name", Judge: "one with a long name", Count: 7, Unit: "inputs"}, time.Now(), nil)
	r.NotRun("P2", "a", "the batch", "no time")
	for range 2 {
		r.NotRun("K1", "tun", "kernel", "no kernel")
	}
	r.Add(Result{Property: "P2", Method: "b", Judge: "the batch", Count: 1234567, Unit: "batches"}, time.Now().Add(-90*time.Minute), nil)
	r.Add(Result{Property: "P2", Method: "c"}, time.Now(), errors.New("bytes differ"))
	r.Add(Result{Property: "P2", Method: "d"}, time.Now(), nil)
	r.Say("%s", "end")
	if want := []string{"K1 tun"}; !slices.Equal(r.Others, want) {
		t.Errorf("not wanted: %q, want %q", r.Others, want)
	}
	if took := r.Rows[2].Seconds; took < 5400 || took > 9000 {
		t.Errorf("it took %v", took)
	}
	want := "verify: P3 with a long name: 7 inputs, N s: holds\nverify: P2 b: 1234567 batches, N s: holds\nverify: P2 c: bytes differ\nverify: end\n"
	if got := regexp.MustCompile(`\d+\.\d s:`).ReplaceAllString(said.String(), "N s:"); got != want {
		t.Errorf("said:\n%s\nwant:\n%s", got, want)
	}
	r.Rows[2].Seconds = 5400.04
	for _, i := range []int{0, 3, 4} {
		r.Rows[i].Seconds = 0.06
	}
	r.Table(&table)
	if d := cmp.Diff([]string{
		"PROPERTY",
		"  HOW CHECKED      HOW MANY             JUDGE                 SECONDS  RESULT",
		"P2: Segment(Coalesce(batch)) == batch, in all four pairings with the model",
		"  a                -                    the batch                   -  not run: no time",
		"  b                1234567 batches      the batch              5400.0  holds",
		"  c                0                                              0.1  violated",
		"  d                -                                                -  not run: nothing was checked",
		"P3: no two conflicting packets change places; no packet is lost or doubled",
		"  with a long name 7 inputs             one with a long name      0.1  holds",
		"",
	}, strings.Split(table.String(), "\n")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	short := Collector{Rows: []Result{{Property: "P2", Method: "a", Judge: "b", Result: Holds, Count: 1, Unit: "c"}}}
	table.Reset()
	if short.Table(&table); !strings.Contains(table.String(), "\n  HOW CHECKED    HOW MANY             JUDGE         SECONDS  RESULT\n") {
		t.Errorf("%s", table.String())
	}
	r.Stamp()
	tree, env := Current()
	today := time.Now().UTC().Format(time.DateOnly)
	for _, row := range r.Rows {
		if row.Command != "verify" || row.Env != env || row.Tree != tree || row.Format != 1 || row.Date > today || row.Date < "2026" || row.Basis != basisHere(row) || len(row.Basis) != 16 {
			t.Errorf("%+v", row)
		}
	}
	got := New("mutants", "mutants", "m", "harness", 3, "bugs", time.Now().Add(-time.Hour))
	if got.Seconds < 3600 || got.Seconds > 7000 {
		t.Errorf("it took %v", got.Seconds)
	}
	one := Result{Format: 1, Command: "mutants", Property: "mutants", Method: "m", Judge: "harness", Count: 3, Unit: "bugs", Seconds: got.Seconds, Result: Holds, Tree: tree, Basis: got.Basis, Date: got.Date, Env: env}
	if d := cmp.Diff(one, got); d != "" || got.Basis != basisHere(got) || got.Date < r.Rows[0].Date {
		t.Errorf("(-want +got):\n%s", d)
	}
	if a, b := basisHere(Result{Property: "mutants", Env: env}), basisHere(Result{Property: "mutants", Method: "sabotage of the harness", Env: env}); a == b {
		t.Error("a record of sabotage has the basis of planted bugs")
	}
}

// TestVerdictOfOthers checks the last line of a run in which nothing ran, and how rows that did
// not run are folded.
func TestVerdictOfOthers(t *testing.T) {
	r := Collector{Ctx: t.Context(), Only: regexp.MustCompile("x")}
	r.Wanted("P2", "a")
	r.Wanted("P3", "b")
	if code, line := r.Verdict(); code != ExitNothing || line != "nothing ran: -run matches none of these rows:\n  P2 a\n  P3 b" {
		t.Errorf("%d %q", code, line)
	}
	r.Rows = []Result{{Property: "P2", Method: "a", Result: NotRun, Detail: "why"}, {Property: "P2", Method: "b", Result: NotRun, Detail: "why"}, {Property: "P3", Method: "c", Result: NotRun, Detail: "why"}, {Property: "P3", Method: "d", Result: NotRun, Detail: "another"}}
	tail := "\nnot run: P2 (2 rows), P3 (c): why\nnot run: P3 (d): another"
	if code, line := r.Verdict(); code != ExitNothing || line != "nothing ran"+tail {
		t.Errorf("%d %q", code, line)
	}
	r.Rows = append(r.Rows, Result{Property: "P4", Result: Holds}, Result{Property: "P5", Result: Holds})
	if code, line := r.Verdict(); code != ExitHolds || line != "what ran holds (2 rows)"+tail {
		t.Errorf("%d %q", code, line)
	}
	r.Rows = append(r.Rows, Result{Property: "P6", Method: "e", Result: Violated}, Result{Property: "P7", Method: "f", Result: Violated})
	if code, line := r.Verdict(); code != ExitViolation || line != "VIOLATED: P6 (e), P7 (f)"+tail {
		t.Errorf("%d %q", code, line)
	}
	control := Collector{Ctx: t.Context(), Rows: []Result{{Property: "canary", Result: Holds, Control: true}, {Property: "P2", Result: Holds}}}
	if code, line := control.Verdict(); code != ExitHolds || line != "all holds (1 row)" {
		t.Errorf("%d %q", code, line)
	}
}

// TestFindings checks which findings are kept, and what they make of a record.
func TestFindings(t *testing.T) {
	for _, each := range []bool{false, true} {
		f := Findings[text]{Most: 2, Each: each}
		for _, kind := range []string{"a", "a", "a", "b", "b"} {
			f.Add(kind, 1, text(kind))
		}
		want := []text{"a", "a"}
		if each {
			want = []text{"a", "a", "b", "b"}
		}
		if !slices.Equal(f.Kept, want) || f.Total() != 5 || f.Kinds["a"] != 3 || f.Kinds["b"] != 2 {
			t.Errorf("each %v: %+v, %d", each, f, f.Total())
		}
		r := Result{Result: Holds}
		if f.Judge(&r, nil); r.Result != Violated || r.Detail != "5 findings, the first: a" {
			t.Errorf("%+v", r)
		}
	}
	many := Findings[text]{Most: 3, Each: true}
	many.Add("a", 4, "a") // stands for more than are kept of a kind
	if many.Add("b", 3, "b"); !slices.Equal(many.Kept, []text{"b"}) || many.Total() != 7 {
		t.Errorf("%+v", many)
	}
	r := Result{Result: Holds}
	if JudgeFindings[text](&r, 2, nil, nil); r.Result != Violated || r.Detail != "2 findings" {
		t.Errorf("%+v", r)
	}
	stopped := Result{Result: Violated, Detail: "before"}
	if Stopped(&stopped, errors.New("interrupted")); stopped.Result != Violated || stopped.Detail != "before" {
		t.Errorf("%+v", stopped)
	}
	if got := Count(0, "row") + ", " + Count(1, "row") + ", " + Count(2, "row"); got != "0 rows, 1 row, 2 rows" {
		t.Error(got)
	}
}
