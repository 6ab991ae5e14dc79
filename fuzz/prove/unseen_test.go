// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tunproof/fuzz/prove/translate"
)

// fastTheorems returns the module's root, its source, the program, and the theorems of -fast
// with the functions that they are about. Until the test ends, theorems gives only those.
func fastTheorems(t *testing.T) (root string, src *translate.Source, p *translate.Program, ts []*Theorem, lines map[string]int) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if src, err = translate.Load(root, "amd64"); err != nil {
		t.Fatal(err)
	}
	if p, err = src.With("", ""); err != nil {
		t.Fatal(err)
	}
	was := fastOnly
	t.Cleanup(func() { fastOnly = was })
	fastOnly = true
	if ts, lines, err = theorems(p); err != nil {
		t.Fatal(err)
	}
	return root, src, p, ts, lines
}

// TestSees checks that a change is seen only if it changes a question: the same program
// always gives the same questions, and so does one with another comment.
func TestSees(t *testing.T) {
	root, src, _, ts, _ := fastTheorems(t)
	known := map[bool]map[string]string{true: scripts(ts)}
	path := filepath.Join(root, "offload", "coalesce.go")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, old, new string
		seen           bool
	}{
		{"nothing", "", "", false},
		{"a comment", "// start sets r to", "// START sets r to", false},
		{"a number in start", "none, 0\n\tr.layout", "none, 1\n\tr.layout", true},
		{"a write beside what add does", "\tc.next[q.tail] = i\n", "\tc.next[q.tail] = i\n\tc.opened--\n", true},
	} {
		if !strings.Contains(string(text), c.old) {
			t.Fatalf("%s: the source has no %q", c.what, c.old)
		}
		for range 3 {
			if is, why := sees(src, path, strings.Replace(string(text), c.old, c.new, 1), known); is != c.seen || why != "" {
				t.Errorf("a change of %s: seen %v, want %v; %s", c.what, is, c.seen, why)
			}
		}
	}
}

// TestExplained checks that the source has each line of which no theorem sees some changes.
func TestExplained(t *testing.T) {
	var source strings.Builder
	files, err := filepath.Glob("../../offload/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for _, e := range explained {
		if !strings.Contains(source.String(), e.line) {
			t.Errorf("offload has no line with %q", e.line)
		}
	}
}
