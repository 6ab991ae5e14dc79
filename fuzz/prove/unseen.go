// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"tunproof/fuzz/mutants"
	"tunproof/fuzz/prove/translate"
)

// explained are lines of which no theorem sees some changes, and need not: the function, "" for
// any, a part of the line, and why.
var explained = []struct{ function, line, why string }{
	{"", ".compared.add(", counts},
	{"", ".summed.add(", counts},
	{"", "invariant(", counts},
	{"sameHeaders", "i+4 <= len(a) && i+4 <= len(b)", "both have one length"},
	{"Segmenter.Next", "if !s.split {", unsplit},
	{"Segmenter.Next", "copy(dst, s.pkt)", unsplit},
	{"Segmenter.Next", "s.complete(dst)", unsplit},
	{"Segmenter.NextLen", "return 0", "Next does not use it when no segment is left"},
	{"Segmenter.edge", "if s.tunnel.len > 0 {", tunnels},
	{"Segmenter.edge", "seg = s.outer(seg)", tunnels},
	{"Segmenter.prepare", "if s.tunnel.len > 0 {", tunnels},
	{"Segmenter.prepare", "inner := ", tunnels},
	{"Segmenter.prepare", "if s.version == 6 {", tunnels},
	{"Segmenter.prepare", "inner += ", tunnels},
	{"Segmenter.prepare", "s.tunnel.prepare(", tunnels},
}

const (
	counts  = "it does nothing without the tag invariants"
	unsplit = "it is for packets that are not split, which the theorems leave out"
	tunnels = "it is for superpackets in tunnels, which the theorems leave out"
)

// explanation returns why no theorem sees a change in a function, or "".
func explanation(function string, m mutants.Mutant) string {
	for _, e := range explained {
		if (e.function == "" || e.function == function) && strings.Contains(m.Source, e.line) {
			return e.why
		}
	}
	return ""
}

// unseen looks for code that is translated and that no theorem is about: it makes each small
// change of fuzz/mutants in a translated function, and lists those after which every theorem
// asks the same. z3 is not asked. It returns the exit code.
func (o *options) unseen(ctx context.Context) (int, error) {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return 2, err
	}
	o.root = root
	src, err := translate.Load(o.root, "amd64")
	if err != nil {
		return 2, err
	}
	original, err := src.With("", "")
	if err != nil {
		return 2, err
	}
	known := map[bool]map[string]string{}
	var lines map[string]int
	for _, fast := range []bool{true, false} {
		fastOnly = fast
		ts, of, err := theorems(original)
		if err != nil {
			return 2, err
		}
		known[fast], lines = scripts(ts), of
	}
	all, _, err := mutants.Mutations(o.root, "offload", "linux", "amd64", nil)
	if err != nil {
		return 2, err
	}
	made, refused, seen, excused, equal := 0, 0, 0, 0, 0
	tell := func() {
		fmt.Printf("%d changes of translated functions: %d change a theorem, %d are refused, %d change none but need not, %d change none\n", made, seen, refused, excused, equal)
	}
	for _, m := range all {
		if ctx.Err() != nil {
			return 2, ctx.Err()
		}
		path := filepath.Join(o.root, filepath.FromSlash(m.File))
		touched := original.At(path, m.Line, lines)
		if touched == "" {
			continue
		}
		made++
		is, why := sees(src, path, string(m.Text), known)
		switch {
		case why != "":
			refused++
		case is:
			seen++
		case explanation(touched, m) != "":
			excused++
			fmt.Printf("excused %s (%s): %s: %s: %s\n", m.ID, touched, m.About, m.Source, explanation(touched, m))
		default:
			equal++
			fmt.Printf("unseen  %s (%s): %s: %s\n", m.ID, touched, m.About, m.Source)
		}
		if made%50 == 0 {
			tell()
		}
	}
	tell()
	if equal > 0 {
		return 1, nil
	}
	return 0, nil
}

// sees reports whether a theorem asks something else of the program with another text of a
// file than it asks of the program as it is. known has the questions of that one, by whether
// they are those of -fast. why is the reason why it cannot be translated.
func sees(src *translate.Source, path, text string, known map[bool]map[string]string) (is bool, why string) {
	p, err := src.With(path, text)
	if err != nil {
		return false, err.Error()
	}
	for _, fast := range []bool{true, false} {
		if known[fast] == nil {
			continue
		}
		fastOnly = fast
		ts, _, err := theorems(p)
		if err != nil {
			return false, err.Error()
		}
		now := scripts(ts)
		if len(now) != len(known[fast]) {
			return true, ""
		}
		for name, script := range now {
			if script != known[fast][name] {
				return true, ""
			}
		}
	}
	return false, ""
}
