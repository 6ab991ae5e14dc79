// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"tunproof/fuzz/mutants"
	"tunproof/fuzz/prove/translate"
)

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
	made, refused, seen, equal := 0, 0, 0, 0
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
		default:
			equal++
			fmt.Printf("unseen  %s (%s): %s: %s\n", m.ID, touched, m.About, m.Source)
		}
		if made%50 == 0 {
			fmt.Printf("%d changes: %d change a theorem, %d are refused, %d change nothing\n", made, seen, refused, equal)
		}
	}
	fmt.Printf("%d changes of translated functions: %d change a theorem, %d are refused, %d change nothing\n", made, seen, refused, equal)
	if equal > 0 {
		return 1, nil
	}
	return 0, nil
}

// sees reports whether a theorem asks something else of the program with another text of a
// file than it asks of the program as it is. why is the reason why it cannot be translated.
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
