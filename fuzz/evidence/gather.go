// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"tunproof/fuzz/conform"
	"tunproof/fuzz/internal/process"
	"tunproof/fuzz/record"
)

// Source is a command that writes records for the evidence.
type Source struct {
	Name    string
	Command []string // run in the directory of the checkout
	File    string   // the file with its records, relative to the checkout
	stdout  bool     // File is its standard output
	Needed  bool     // without its records there is no evidence
}

// Sources has all sources, in the order in which they run.
var Sources = []Source{
	{"verify", []string{program, "verify", "-checks", "20000", "-fuzz", "100000", "-json"}, ".cache/evidence/verify.jsonl", true, true},
	{"live", []string{program, "live", "-count", "50000", "-json"}, ".cache/evidence/live.jsonl", true, true},
	{"exhaustive", []string{program, "exhaustive", "-kernel", "-json"}, ".cache/evidence/exhaustive.jsonl", true, true},
	{"kernels", []string{"make", "kernels", "LONG=1"}, record.Data + "/kernels.jsonl", false, true},
	{planted, []string{"make", "mutants"}, record.Data + "/planted-bugs.jsonl", false, true},
	{"sabotage of the harness", []string{"make", "mutants", "OF=harness"}, record.Data + "/harness.jsonl", false, false},
	{"mutations of offload", []string{"make", "mutants", "OF=offload"}, record.Data + "/offload.jsonl", false, false},
	{"mutations of the model", []string{"make", "mutants", "OF=model"}, record.Data + "/model.jsonl", false, false},
	{"equivalent mutations", []string{"make", "mutants", "OF=offload", "DEEP=1"}, record.Data + "/deep.jsonl", false, false},
	{"fuzzing engines", []string{program, "detect", "-o", record.Data + "/detection.jsonl"}, record.Data + "/detection.jsonl", false, false},
	{"proofs", []string{"make", "prove"}, record.Data + "/proofs.jsonl", false, false},
	{conformance, []string{"make", "conformance"}, record.Data + "/conformance.jsonl", false, true},
}

const (
	conformance = "conformance"
	planted     = "planted bugs"
	program     = "tunproof" // built from the tree
)

func (s Source) command() string { return strings.Join(s.Command, " ") }

// other is a line that `tunproof conformance` writes about an implementation.
type other struct {
	*conform.Report
	Seed  uint64     `json:"seed"`
	Tree  string     `json:"tree"`
	Basis string     `json:"basis"` // of the property "conformance"
	Date  string     `json:"date"`
	Env   record.Env `json:"env"`
}

// mutant is a line that `tunproof mutants` writes about a mutant, after its record.
type mutant struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	By     string `json:"by"`
}

// gathered is the content of a source's file.
type gathered struct {
	Source
	raw     []byte // the whole file
	stale   string // why its records are not of this tree, "" if they are
	rows    []record.Result
	others  []other
	mutants []mutant
}

// here is the tree that records must be of.
type here struct {
	*record.Sources
	tree string
}

// read reads the file of a source.
func (s Source) read(root string, of here) (*gathered, error) {
	b, err := os.ReadFile(filepath.Join(root, s.File))
	if err != nil {
		return nil, err
	}
	g := &gathered{Source: s, raw: b}
	for line := range bytes.Lines(b) {
		if err := g.line(line, of); err != nil {
			return nil, fmt.Errorf("%s: %w", s.File, err)
		}
	}
	return g, nil
}

// line adds a line of the file.
func (g *gathered) line(b []byte, of here) error {
	var r record.Result
	if g.Name == conformance {
		var o other
		if err := json.Unmarshal(b, &o); err != nil {
			return err
		}
		g.others = append(g.others, o)
		r = record.Result{Property: conformance, Tree: o.Tree, Basis: o.Basis, Date: o.Date, Env: o.Env}
	} else if err := json.Unmarshal(b, &r); err != nil {
		return err
	} else if r.Property != "" {
		g.rows = append(g.rows, r)
	} else {
		var m mutant
		err := json.Unmarshal(b, &m)
		g.mutants = append(g.mutants, m)
		return err
	}
	if is, since := r.Of(of.Sources, of.tree); !is && g.stale == "" {
		g.stale = fmt.Sprintf("%s %s: %s", r.Property, r.Method, since)
	}
	return nil
}

// run runs a source's command.
func (s Source) run(ctx context.Context, root string, out io.Writer) error {
	fmt.Fprintf(out, "evidence: %s: %s\n", s.Name, s.command())
	name := s.Command[0]
	if name == program { // "go run" hides the exit code
		dir, err := os.MkdirTemp("", "tunproof-evidence-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		name = filepath.Join(dir, program)
		build := process.Command(ctx, "go", "build", "-o", name, "./fuzz/cmd/tunproof")
		build.Dir, build.Stdout, build.Stderr = root, out, out
		if err := build.Run(); err != nil {
			return fmt.Errorf("go build: %w", err)
		}
	}
	c := process.Command(ctx, name, s.Command[1:]...)
	c.Dir, c.Stdout, c.Stderr = root, out, out
	var kept bytes.Buffer
	if s.stdout {
		c.Stdout = &kept
	}
	err := c.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("%s: interrupted", s.command())
	}
	var exit *exec.ExitError
	if s.stdout && (err == nil || errors.As(err, &exit) && exit.ExitCode() == record.ExitViolation) {
		return write(filepath.Join(root, s.File), kept.Bytes()) // its records say what is violated
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.command(), err)
	}
	return nil
}

// write writes a file, whole or not at all.
func write(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", b, 0o666); err != nil {
		return errors.Join(err, os.Remove(name+".new"))
	}
	return os.Rename(name+".new", name)
}

// dirty lists uncommitted changes to the files that the tree hash includes, and to those
// that choose what runs or is drawn.
func dirty(ctx context.Context, root string) (string, error) {
	out, err := git(ctx, root, "status", "--porcelain", "--", "offload", "model", "fuzz", "corpus", "tunlive",
		"go.mod", "go.sum", "Makefile", ".zenodo.json", record.Data+"/bench")
	return strings.TrimRight(out, "\n"), err
}

// git returns the output of a git command.
func git(ctx context.Context, root string, args ...string) (string, error) {
	c := process.Command(ctx, "git", args...)
	c.Dir = root
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// gather reads all sources. With runMissing it first runs those without records of the
// tree. It returns those with records of the tree, and names the others in missing. A
// record is of the tree if what it depends on is the same there (package record).
func gather(ctx context.Context, root, tree string, runMissing bool, out io.Writer) (list []*gathered, missing []string, err error) {
	of := here{record.NewSources(root), tree}
	for _, s := range Sources {
		g, read := s.read(root, of)
		var ran error
		if runMissing && (read != nil || g.stale != "") {
			ran = s.run(ctx, root, out)
			g, read = s.read(root, of)
		}
		why := ""
		switch {
		case ctx.Err() != nil:
			return nil, nil, errors.Join(ran, ctx.Err())
		case errors.Is(read, os.ErrNotExist):
			why = s.File + " is not there"
		case read != nil:
			return nil, nil, read
		case g.stale != "":
			why = g.stale
		default: // also of a command that failed, if it wrote what it found
			list = append(list, g)
			continue
		}
		if ran != nil {
			why += ", " + ran.Error()
		}
		missing = append(missing, fmt.Sprintf("%s: %s; made by: %s", s.Name, why, s.command()))
		if s.Needed {
			err = errMissing
		}
	}
	return list, missing, err
}

// errMissing means that a needed source has no records of the tree.
var errMissing = errors.New("records of this tree are missing; -run-missing makes them")
