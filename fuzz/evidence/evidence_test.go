// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/conform"
	"tunproof/fuzz/record"
)

// laws returns the IDs of all properties that a claim must use.
func laws() []string {
	return record.IDs(slices.DeleteFunc(slices.Clone(record.Properties), func(p record.Property) bool { return p.ID == "canary" }))
}

// TestClaims checks that claims use only properties that exist, that every property has a
// claim, and that IDs are consecutive, so that none is reused.
func TestClaims(t *testing.T) {
	claimed := map[string]bool{}
	for i, c := range Claims {
		if want := fmt.Sprintf("C-%02d", i+1); c.ID != want {
			t.Errorf("claim %s, want %s: IDs are not reused, retired claims stay", c.ID, want)
		}
		if c.Title == "" || c.Says() == "" || len(c.Properties) == 0 || len(c.Limits) == 0 {
			t.Errorf("%s has an empty field", c.ID)
		}
		for _, p := range c.Properties {
			claimed[p] = claimed[p] || c.Retired == ""
		}
	}
	for _, p := range laws() {
		if !claimed[p] {
			t.Errorf("no claim uses %s", p)
		}
	}
	doc, err := os.ReadFile("../../docs/properties.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\| ([PK][0-9]+) \|`).FindAllStringSubmatch(string(doc), -1) {
		if !claimed[m[1]] {
			t.Errorf("no claim uses %s of docs/properties.md", m[1])
		}
	}
}

// methodsOf returns the methods of a property that clauses name, or "rapid".
func methodsOf(property string) (list []string) {
	for _, c := range Claims {
		for _, x := range c.Clauses {
			for _, by := range x.By {
				if p, method, named := strings.Cut(by, " "); named && p == property && !slices.Contains(list, method) {
					list = append(list, method)
				}
			}
		}
	}
	if list == nil {
		list = []string{"rapid"}
	}
	return list
}

// TestClauses checks that clauses name records of their claim's properties, and all of them,
// and that a claim does not hold if the records of any one clause are missing or not run.
func TestClauses(t *testing.T) {
	for _, c := range Claims {
		var rows []record.Result
		named := map[string]bool{}
		for _, x := range c.Clauses {
			if x.Says == "" || len(x.By) == 0 {
				t.Errorf("%s: the clause %q has no records", c.ID, x.Says)
			}
			for _, by := range x.By {
				r := record.Result{Command: "verify", Count: 1, Result: record.Holds}
				if command, rest, is := strings.Cut(by, ": "); is {
					r.Command, by = command, rest
				}
				r.Property, r.Method, _ = strings.Cut(by, " ")
				named[r.Property] = true
				if !slices.Contains(c.Properties, r.Property) {
					t.Errorf("%s: %s is not one of its properties", c.ID, r.Property)
				}
				rows = append(rows, r)
			}
		}
		for _, p := range c.Properties {
			if !named[p] {
				t.Errorf("%s: no clause is carried by %s", c.ID, p)
			}
		}
		if got := c.result(rows, nil); got.Result != record.Holds {
			t.Errorf("%s: %s with all records", c.ID, got.Result)
		}
		for i := range rows {
			if got := c.result(slices.Delete(slices.Clone(rows), i, i+1), nil); got.Result == record.Holds {
				t.Errorf("%s holds without %s %s", c.ID, rows[i].Property, rows[i].Method)
			}
			not := slices.Clone(rows)
			not[i].Result = record.NotRun
			if got := c.result(not, nil); got.Result == record.Holds {
				t.Errorf("%s holds, and %s %s was not run", c.ID, rows[i].Property, rows[i].Method)
			}
			other := rows[i]
			other.Method, other.Result = other.Method+" more", record.NotRun
			if got := c.result(append(slices.Clone(rows), other), nil); got.Result == record.Holds {
				t.Errorf("%s holds, and a row of %s was not run", c.ID, rows[i].Property)
			}
			other.Method, other.Command = rows[i].Method, "again"
			if got := c.result(append(slices.Clone(rows), other), nil); got.Result != record.Holds {
				t.Errorf("%s: a row of %s that another command ran counts", c.ID, rows[i].Property)
			}
		}
	}
	lines := 0
	names, err := filepath.Glob("../../model/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && !strings.HasSuffix(name, "_test.go") {
			lines += bytes.Count(b, []byte("\n"))
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if text := fmt.Sprintf("a model of under %d lines", ModelLines); err != nil || !bytes.Contains(readme, []byte(text)) {
		t.Errorf("README.md does not say %q: %v", text, err)
	}
	if lines == 0 || lines >= ModelLines {
		t.Errorf("the model has %d lines, C-05 says under %d", lines, ModelLines)
	}
}

// checkout returns a directory with records of a tree for every source.
func checkout(t *testing.T, tree string) string {
	t.Helper()
	root := t.TempDir()
	for _, s := range Sources {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		row := record.Result{Format: 1, Command: "verify", Method: "rapid", Judge: "model", Count: 7, Unit: "scenarios", Seed: 5, Result: record.Holds, Tree: tree, Env: record.Env{Kernel: "6.1"}}
		switch s.Name {
		case conformance:
			r := &conform.Report{Impl: "tunproof", Inputs: map[string]int{}}
			for _, p := range conform.Properties() {
				r.Inputs[p] = 3
			}
			_ = e.Encode(other{Report: r, Seed: 5, Tree: tree})
		case planted:
			row.Command, row.Property, row.Method = "mutants", "mutants", "planted bugs"
			_ = e.Encode(row)
			_ = e.Encode(mutant{ID: "a", By: "P2"})
			_ = e.Encode(mutant{ID: "b", By: "P2! corpus"})
			_ = e.Encode(mutant{ID: "c", By: "P2 P4"})
		case "kernels":
			for _, p := range []string{"K1", "K2", "K3", "K4", "K5", "device", "harness", "features"} {
				for _, k := range []string{"5.10", "6.1"} {
					row.Command, row.Property, row.Judge, row.Env.Kernel = "kernels", p, k, k+".7"
					_ = e.Encode(row)
				}
			}
		default:
			for _, p := range laws() {
				row.Property = p
				for _, row.Method = range methodsOf(p) {
					_ = e.Encode(row)
				}
			}
		}
		if err := write(filepath.Join(root, s.File), b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const tree = "0123456789abcdef"

// whole returns the results of a checkout in which nothing is missing.
func whole(t *testing.T, root string) *Results {
	t.Helper()
	list, missing, err := gather(context.Background(), root, tree, false, io.Discard)
	if err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	r, err := results(list)
	if err != nil {
		t.Fatal(err)
	}
	r.Version, r.Date, r.Tree, r.Commit = "1.2.3", "2026-01-02", tree, strings.Repeat("0", 40)
	return r
}

// TestResults checks the sums of records.
func TestResults(t *testing.T) {
	r := whole(t, checkout(t, tree))
	if _, err := r.encode(); err != nil {
		t.Fatal(err)
	}
	if r.Verdict() != record.Holds {
		for _, c := range r.Claims {
			t.Errorf("%s %s: %+v", c.ID, c.Result, c.Rows)
		}
	}
	if c := r.Claims[0]; c.Noticed != 3 || c.Alone != 2 || !slices.Equal(c.Kernels, []string{"6.1", "5.10.7", "6.1.7"}) {
		t.Errorf("%+v", c)
	}
	if got := r.Claims[11].Rows; len(got) == 0 || !slices.ContainsFunc(got, func(row Row) bool { return row.Command == "kernels" && row.Count == 14 && len(row.Kernels) == 2 }) {
		t.Errorf("K5: %+v", got)
	}
	if got := r.Claims[7].Rows; len(got) != 1 || got[0].Property != "P9" {
		t.Errorf("P9: %+v", got)
	}
}

// TestViolated checks that one violation violates its claim, and that a claim does not hold
// if its property was not run.
func TestViolated(t *testing.T) {
	root := checkout(t, tree)
	name := filepath.Join(root, ".cache/evidence/verify.jsonl")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for was, is := range map[string]string{`"property":"P3","method":"rapid","judge":"model","n":7,"unit":"scenarios","seed":5,"seconds":0,"result":"holds"`: record.Violated,
		`"property":"P6","method":"rapid","judge":"model","n":7,"unit":"scenarios","seed":5,"seconds":0,"result":"holds"`: record.NotRun} {
		b = bytes.Replace(b, []byte(was), []byte(strings.Replace(was, "holds", is, 1)), 1)
	}
	for _, s := range Sources { // the others must have no record of these properties
		if s.Name != "verify" && s.Name != "kernels" && s.Name != planted && s.Name != conformance {
			o, _ := os.ReadFile(filepath.Join(root, s.File))
			line, _, _ := bytes.Cut(o, []byte("\n"))
			if err := write(filepath.Join(root, s.File), append(line, '\n')); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := write(name, b); err != nil {
		t.Fatal(err)
	}
	r := whole(t, root)
	if r.Claims[1].Result != record.Violated || r.Claims[5].Result != record.NotRun || r.Verdict() != record.Violated {
		t.Errorf("%s, %s, %s", r.Claims[1].Result, r.Claims[5].Result, r.Verdict())
	}
}

// TestUnclaimed checks that a record that no claim uses is an error, and that a claim needs
// all of its properties.
func TestUnclaimed(t *testing.T) {
	root := checkout(t, tree)
	list, _, err := gather(context.Background(), root, tree, false, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		g.rows = slices.DeleteFunc(g.rows, func(r record.Result) bool { return r.Property == "K2" })
	}
	if r, err := results(list); err != nil {
		t.Fatal(err)
	} else if r.Claims[0].Result != record.NotRun || r.Verdict() != record.NotRun {
		t.Errorf("without K2: %s", r.Claims[0].Result)
	}
	list[0].rows = append(list[0].rows, record.Result{Property: "K1 to K5", Result: record.Violated, Detail: "kernel panic"})
	if _, err := results(list); err == nil || !strings.Contains(err.Error(), `"K1 to K5", which is violated: kernel panic`) {
		t.Error(err)
	}
}

// TestDetection checks that only bugs that were found count as found.
func TestDetection(t *testing.T) {
	r := &Results{}
	for _, result := range []string{record.Holds, record.NotRun, record.Holds} {
		r.detected(record.Result{Method: "m", Count: 1, Result: result, Seconds: 2})
	}
	if want := (Detection{"m", 2, 3, 6}); len(r.Detection) != 1 || r.Detection[0] != want {
		t.Errorf("%+v", r.Detection)
	}
}

// TestMissing checks that a source without records of the tree is missing.
func TestMissing(t *testing.T) {
	for _, s := range Sources {
		root := checkout(t, tree)
		if err := os.Remove(filepath.Join(root, s.File)); err != nil {
			t.Fatal(err)
		}
		_, missing, err := gather(context.Background(), root, tree, false, io.Discard)
		if errors.Is(err, errMissing) != s.Needed || len(missing) != 1 || !strings.Contains(missing[0], s.command()) {
			t.Errorf("%s: %v, %v", s.Name, missing, err)
		}
	}
	_, missing, err := gather(context.Background(), checkout(t, "fedcba9876543210"), tree, false, io.Discard)
	if !errors.Is(err, errMissing) || len(missing) != len(Sources) || !strings.Contains(missing[0], "tree fedcba9876543210") {
		t.Errorf("%v, %v", missing, err)
	}
	root := checkout(t, tree)
	name := filepath.Join(root, Sources[0].File)
	b, _ := os.ReadFile(name)
	if err := os.WriteFile(name, []byte(string(b)+"{\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, _, err := gather(context.Background(), root, tree, false, io.Discard); err == nil || !strings.Contains(err.Error(), "verify.jsonl") {
		t.Error(err)
	}
}

// TestBases checks that a record of another tree counts if what it depends on is the same,
// and that a source is missing if this has changed for one of its records.
func TestBases(t *testing.T) {
	code, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	basis, err := record.NewSources(code).Basis("linux", "amd64", "P2")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ tree, basis, missing string }{
		{tree, "", ""},
		{"fedcba9876543210", "", "P2 rapid: of unknown date, tree fedcba9876543210"},
		{"fedcba9876543210", basis, ""},
		{tree, "fedcba9876543210", "P2 rapid: 2026-11-25, changed since"},
	} {
		root := checkout(t, tree)
		for _, dir := range []string{"offload", "model", "fuzz", "corpus", "tunlive"} {
			if err := os.Symlink(filepath.Join(code, dir), filepath.Join(root, dir)); err != nil {
				t.Skip(err)
			}
		}
		name := filepath.Join(root, Sources[0].File)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		row := record.Result{Format: 1, Command: "verify", Property: "P2", Method: "rapid", Judge: "model", Count: 7, Unit: "scenarios", Result: record.Holds,
			Tree: test.tree, Basis: test.basis, Env: record.Env{OS: "linux", Arch: "amd64"}}
		if test.basis != "" {
			row.Date = "2026-11-25"
		}
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, append(b, line...), 0o666); err != nil {
			t.Fatal(err)
		}
		_, missing, err := gather(context.Background(), root, tree, false, io.Discard)
		if test.missing == "" && (err != nil || len(missing) > 0) || test.missing != "" && (len(missing) != 1 || !strings.Contains(missing[0], test.missing)) {
			t.Errorf("%+v: %v, %v", test, missing, err)
		}
	}
}

// TestDirty checks that a tree with uncommitted changes is refused.
func TestDirty(t *testing.T) {
	root := t.TempDir()
	run := func(args ...string) {
		c := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		c.Dir = root
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	run("init", "-q")
	if err := write(filepath.Join(root, "offload", "x.go"), []byte("package offload\n")); err != nil {
		t.Fatal(err)
	}
	run("add", ".")
	run("commit", "-qm", "x")
	o := Options{Root: root, Progress: io.Discard}
	if _, err := Gather(context.Background(), o); errors.Is(err, ErrDirty) || !errors.Is(err, errMissing) {
		t.Errorf("clean: %v", err)
	}
	if err := write(filepath.Join(root, "offload", "y.go"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := Gather(context.Background(), o); !errors.Is(err, ErrDirty) || !strings.Contains(err.Error(), "offload/y.go") {
		t.Errorf("dirty: %v", err)
	}
}

// TestSchema checks that the schema refuses wrong values.
func TestSchema(t *testing.T) {
	good, err := whole(t, checkout(t, tree)).encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"result": "holds"`, `"result": "probably"`}, {`"format": 1`, `"format": 2`}, {`"id": "C-01"`, `"id": "1"`}, {`"n": 7`, `"n": -7`}, {`"title"`, `"titel"`},
		{`"tree": "0123456789abcdef"`, `"tree": ""`}, {`"date": "2026-01-02"`, `"date": "today"`}, {`"unit": "scenarios"`, `"unit": ""`}, {`"property": "P2"`, `"property": "P0"`},
	} {
		bad := bytes.Replace(good, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(bad, good) {
			t.Errorf("no %s", change[0])
		}
		if Validate(schema, bad) == nil {
			t.Errorf("%s is accepted", change[1])
		}
	}
}

// TestFiles checks that all files are written, and that a later change is detected.
func TestFiles(t *testing.T) {
	root := checkout(t, tree)
	bench, err := os.ReadFile("../../docs/evidence/current/bench/bench.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := write(filepath.Join(root, "docs/evidence/current/bench/bench.txt"), bench); err != nil {
		t.Fatal(err)
	}
	list, _, err := gather(context.Background(), root, tree, false, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r := whole(t, root)
	files, err := r.files(root, list, 500)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if strings.HasSuffix(name, ".svg") && xml.Unmarshal(b, new(struct{})) != nil {
			t.Errorf("%s is no XML", name)
		}
	}
	dir := filepath.Join(t.TempDir(), "x", r.Directory())
	if err := writeAll(dir, files); err != nil {
		t.Fatal(err)
	}
	if err := writeAll(dir, files); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("twice: %v", err)
	}
	if got, err := ReadDirectory(dir); err != nil || len(got) != len(files) {
		t.Errorf("%d files of %d: %v", len(got), len(files), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "records", "more"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDirectory(dir); err == nil {
		t.Error("an additional file is not detected")
	}
}

// TestKept checks every committed directory of evidence: its manifest and its results
// against their schema. It also checks that README.md has the table of the newest.
func TestKept(t *testing.T) {
	const root = "../.."
	dirs, err := filepath.Glob(root + "/docs/evidence/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no evidence: %v", err)
	}
	var newest *Results
	for _, dir := range dirs {
		if filepath.Base(dir) == filepath.Base(record.Data) {
			continue // the newest records, of several trees
		}
		files, err := ReadDirectory(dir)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := Validate(files["results.schema.json"], files["results.json"]); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		r := new(Results)
		if err := json.Unmarshal(files["results.json"], r); err != nil {
			t.Fatal(err)
		}
		if filepath.Base(dir) != r.Directory() {
			t.Errorf("the directory %s has results for %s", dir, r.Directory())
		}
		for _, s := range r.Sources {
			if s.File != "" && files[s.File] == nil {
				t.Errorf("%s: no %s", dir, s.File)
			}
		}
		if newest == nil || r.Date+r.Version > newest.Date+newest.Version {
			newest = r
		}
	}
	doc, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := record.Replace(doc, "evidence", []byte(newest.Block("docs/evidence/"+newest.Directory())))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(doc, want) {
		t.Error("README.md: the table is not that of the newest evidence")
	}
}

// TestProvedClaims checks that docs/proofs.md has the claims that rest on proofs, with their
// limits.
func TestProvedClaims(t *testing.T) {
	page, err := os.ReadFile("../../docs/proofs.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Claims {
		if !slices.Contains(c.Properties, "proof") {
			continue
		}
		limits := slices.DeleteFunc(slices.Clone(c.Limits), func(l string) bool { return l == proofs })
		want := fmt.Sprintf("- **%s, %s.** %s *Limits:* %s\n", c.ID, c.Title, c.Says(), strings.Join(limits, " "))
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/proofs.md lacks:\n%s", want)
		}
	}
}
