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

// Source is a command whose records are evidence.
type Source struct {
	Name    string
	Command []string // run in the checkout's directory
	File    string   // of what it wrote, by the checkout's directory
	stdout  bool     // File is its standard output
	Needed  bool     // there is no evidence without it
}

// Sources are all, in the order in which they run.
var Sources = []Source{
	{"verify", []string{program, "verify", "-checks", "20000", "-fuzz", "100000", "-json"}, ".cache/evidence/verify.jsonl", true, true},
	{"live", []string{program, "live", "-count", "50000", "-json"}, ".cache/evidence/live.jsonl", true, true},
	{"exhaustive", []string{program, "exhaustive", "-kernel", "-json"}, ".cache/evidence/exhaustive.jsonl", true, true},
	{"kernels", []string{"make", "kernels", "LONG=1"}, record.Data + "/kernels.jsonl", false, true},
	{planted, []string{"make", "mutants"}, record.Data + "/planted-bugs.jsonl", false, true},
	{"mutations of offload", []string{"make", "mutants", "OF=offload"}, record.Data + "/offload.jsonl", false, false},
	{"mutations of the model", []string{"make", "mutants", "OF=model"}, record.Data + "/model.jsonl", false, false},
	{"equivalent mutations", []string{"make", "mutants", "OF=offload", "DEEP=1"}, record.Data + "/deep.jsonl", false, false},
	{"fuzzing engines", []string{program, "detect", "-o", record.Data + "/detection.jsonl"}, record.Data + "/detection.jsonl", false, false},
	{conformance, []string{"make", "conformance"}, record.Data + "/conformance.jsonl", false, true},
}

const (
	conformance = "conformance"
	planted     = "planted bugs"
	program     = "tunproof" // built of the tree
)

func (s Source) command() string { return strings.Join(s.Command, " ") }

// other is what `tunproof conformance` writes of an implementation.
type other struct {
	*conform.Report
	Seed uint64     `json:"seed"`
	Tree string     `json:"tree"`
	Env  record.Env `json:"env"`
}

// mutant is what `tunproof mutants` writes of one, behind its record.
type mutant struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	By     string `json:"by"`
}

// gathered is what a source has.
type gathered struct {
	Source
	raw     []byte // of File
	tree    string
	rows    []record.Result
	others  []other
	mutants []mutant
}

// read reads what a source wrote.
func (s Source) read(root string) (*gathered, error) {
	b, err := os.ReadFile(filepath.Join(root, s.File))
	if err != nil {
		return nil, err
	}
	g := &gathered{Source: s, raw: b}
	for line := range bytes.Lines(b) {
		if err := g.line(line); err != nil {
			return nil, fmt.Errorf("%s: %w", s.File, err)
		}
	}
	return g, nil
}

func (g *gathered) line(b []byte) error {
	if g.Name == conformance {
		var o other
		if err := json.Unmarshal(b, &o); err != nil {
			return err
		}
		g.others = append(g.others, o)
		return g.of(o.Tree)
	}
	var r record.Result
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	if r.Property != "" {
		g.rows = append(g.rows, r)
		return g.of(r.Tree)
	}
	var m mutant
	err := json.Unmarshal(b, &m)
	g.mutants = append(g.mutants, m)
	return err
}

// of notes the tree, which is one.
func (g *gathered) of(tree string) error {
	if g.tree != "" && g.tree != tree {
		return fmt.Errorf("records of trees %s and %s", g.tree, tree)
	}
	g.tree = tree
	return nil
}

// run runs a source's command.
func (s Source) run(ctx context.Context, root string, out io.Writer) error {
	fmt.Fprintf(out, "evidence: %s: %s\n", s.Name, s.command())
	name := s.Command[0]
	if name == program { // "go run" has one exit code for all
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
	var exit *exec.ExitError
	if s.stdout && (err == nil || errors.As(err, &exit) && exit.ExitCode() == record.ExitViolation) {
		return write(filepath.Join(root, s.File), kept.Bytes()) // which says what is violated
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

// dirty returns what differs from the commit, of what the tree's hash is of, and of what
// says what is run and drawn.
func dirty(ctx context.Context, root string) (string, error) {
	out, err := git(ctx, root, "status", "--porcelain", "--", "offload", "model", "fuzz", "corpus", "tunlive",
		"go.mod", "go.sum", "Makefile", ".zenodo.json", record.Data+"/bench")
	return strings.TrimRight(out, "\n"), err
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	c := process.Command(ctx, "git", args...)
	c.Dir = root
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// gather reads all sources, runs those that are not of the tree if it may, and returns
// those that are; missing names the others.
func gather(ctx context.Context, root, tree string, runMissing bool, out io.Writer) (list []*gathered, missing []string, err error) {
	for _, s := range Sources {
		g, read := s.read(root)
		var ran error
		if runMissing && (read != nil || g.tree != tree) {
			ran = s.run(ctx, root, out)
			g, read = s.read(root)
		}
		why := ""
		switch {
		case ctx.Err() != nil:
			return nil, nil, errors.Join(ran, ctx.Err())
		case errors.Is(read, os.ErrNotExist):
			why = "not there"
		case read != nil:
			return nil, nil, read
		case g.tree != tree:
			why = "of tree " + g.tree
		default: // also of a command that failed, if it wrote what it found
			list = append(list, g)
			continue
		}
		if ran != nil {
			why += ", " + ran.Error()
		}
		missing = append(missing, fmt.Sprintf("%s: %s: %s", s.Name, why, s.command()))
		if s.Needed {
			err = errMissing
		}
	}
	return list, missing, err
}

// errMissing is that records are missing without which there is no evidence.
var errMissing = errors.New("records of this tree are missing")
