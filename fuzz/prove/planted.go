// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/prove/translate"
)

// refuteBugs plants each bug of fuzz/mutants that changes a translated function, and asks
// for a counterexample. It turns each into a case that replay, built with the bug, must
// find violated.
func (o *options) refuteBugs(ctx context.Context) (int, error) {
	src, err := translate.Load(o.root, "amd64")
	if err != nil {
		return 2, err
	}
	p, err := src.With("", "")
	if err != nil {
		return 2, err
	}
	ts, lines, err := theorems(p)
	if err != nil {
		return 2, err
	}
	known := scripts(ts)
	var knownAll map[string]string // of other headers too
	found, shown := 0, 0
	var list []mutants.Refutation
	skip := o.after != ""
	bugs, err := bugsIn(p, lines, o.root)
	if err != nil {
		return 2, err
	}
	for _, bug := range bugs {
		if skip {
			skip = bug.Name != o.after
			continue
		}
		if !strings.Contains(bug.Name, o.only) {
			continue
		}
		m, path, touched := bug.mutant, bug.path, bug.touched
		v, why := o.refute(ctx, src, path, string(m.Text), known)
		if v == nil { // it may be about other headers
			fastOnly = false
			if knownAll == nil {
				if ts, _, err = theorems(p); err != nil {
					return 2, err
				}
				knownAll = scripts(ts)
			}
			v, why = o.refute(ctx, src, path, string(m.Text), knownAll)
			fastOnly = true
		}
		switch {
		case v == nil:
			if outside[bug.Name] != "" {
				why = outside[bug.Name]
				found++
			}
			fmt.Printf("not refuted  %s (%s): %s\n", bug.Name, touched, why)
			list = append(list, mutants.Refutation{Bug: bug.Name})
			continue
		case v.failed == "":
			fmt.Printf("refuted      %s (%s): %s\n", bug.Name, touched, why)
			found++
			list = append(list, mutants.Refutation{Bug: bug.Name}) // that proves nothing about the bug
			continue
		}
		file, err := o.showViolated(ctx, m, *v)
		if err != nil {
			return 2, err
		}
		found++
		list = append(list, mutants.Refutation{Bug: bug.Name, By: v.theorem.group(), Case: file != ""})
		if file != "" {
			shown++
		} else if o.out == "" {
			file = "no case asked for (-o)"
		} else {
			file = "no case that replay finds violated"
		}
		fmt.Printf("refuted      %s (%s) by %s, %s: %s\n", bug.Name, touched, v.theorem.Name, v.failed, file)
	}
	fmt.Printf("%d bugs in translated functions: %d refuted or outside, %d of them with a case that replay finds violated\n", len(list), found, shown)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if o.records != "" {
		if err := writeRefuted(o.records, list); err != nil {
			return 2, err
		}
	}
	if found < len(list) {
		return 1, nil
	}
	return 0, nil
}

// bugIn is a bug in a translated function.
type bugIn struct {
	mutants.Bug
	mutant  mutants.Mutant
	path    string // of the file
	touched string // the function
}

// bugsIn returns the bugs of fuzz/mutants that change translated functions, which are those
// in lines.
func bugsIn(p *translate.Program, lines map[string]int, root string) (list []bugIn, err error) {
	for _, bug := range mutants.Bugs() {
		if !strings.HasPrefix(bug.File, "offload/") || !strings.HasSuffix(bug.File, ".go") || strings.HasPrefix(bug.File, "offload/tun/") {
			continue
		}
		m, err := bug.Plant(root)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(root, filepath.FromSlash(bug.File))
		touched := cmp.Or(p.At(path, m.Line, lines), p.At(path, lastLine(bug, m.Line), lines))
		if touched != "" {
			list = append(list, bugIn{bug, m, path, touched})
		}
	}
	return list, nil
}

// outside has the bugs in translated functions that show only in what the theorems leave
// out, and what that is.
var outside = map[string]string{"tunnel-fin-in-the-middle": "it is in superpackets in tunnels, which the theorems leave out"}

// scripts returns the scripts of theorems, of the code without a bug.
func scripts(ts []*Theorem) map[string]string {
	known := map[string]string{}
	for _, t := range ts {
		for i, q := range t.questions() {
			known[fmt.Sprint(t.Name, i)] = q.script()
		}
	}
	return known
}

// lastLine returns the last line of what a bug replaces, which starts at line first.
func lastLine(b mutants.Bug, first int) int {
	return first + strings.Count(strings.TrimRight(b.Old, "\n"), "\n")
}

// refute returns a verdict that refutes the program with the bug, or why there is none. A
// bug that the translator refuses is refuted too, without values.
func (o *options) refute(ctx context.Context, src *translate.Source, path, text string, known map[string]string) (*verdict, string) {
	p, err := src.With(path, text)
	if err != nil {
		return nil, err.Error()
	}
	ts, _, err := theorems(p)
	if err != nil {
		return &verdict{}, err.Error()
	}
	open, unknown := 0, 0
	for _, t := range ts {
		if fastOnly && !t.Fast {
			continue
		}
		changed := false
		for i, q := range t.questions() {
			changed = changed || q.script() != known[fmt.Sprint(t.Name, i)]
		}
		if !changed {
			continue
		}
		open++
		if v := o.prove(ctx, t); v.refuted() {
			return &v, ""
		} else if v.failed != "" {
			unknown++
		}
	}
	return nil, fmt.Sprintf("%d theorems changed, %d proved, %d unknown", open, open-unknown, unknown)
}

// showViolated builds tunproof with the bug, and returns the first case of the
// counterexample that replay finds violated. Without o.out it does nothing.
func (o *options) showViolated(ctx context.Context, m mutants.Mutant, v verdict) (string, error) {
	if v.values == nil || v.theorem.Case == nil || o.out == "" {
		return "", nil
	}
	cf, err := v.theorem.Case(v.values)
	if err != nil || cf == nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "prove")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	bin, err := m.Build(ctx, o.root, dir)
	if err != nil {
		return "", err
	}
	for _, c := range cf.variants {
		c.Why, c.Source = "counterexample to "+v.theorem.Name, m.ID
		file := filepath.Join(o.out, m.ID+".pkts")
		if err := os.WriteFile(file, pkts.Format(c), 0o644); err != nil {
			return "", err
		}
		err := exec.CommandContext(ctx, bin, "replay", "-q", file).Run()
		if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() == 1 {
			return file, nil
		}
		if err != nil && ctx.Err() != nil {
			return "", ctx.Err()
		}
		os.Remove(file)
	}
	return "", nil
}
