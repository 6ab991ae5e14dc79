package evidence

import (
	"bufio"
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

	"tunproof/fuzz/child"
	"tunproof/fuzz/conform"
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
	{"verify", []string{"go", "run", "./fuzz/cmd/tunproof", "verify", "-checks", "20000", "-fuzz", "100000", "-json"}, ".cache/evidence/verify.jsonl", true, true},
	{"live", []string{"go", "run", "./fuzz/cmd/tunproof", "live", "-count", "50000", "-json"}, ".cache/evidence/live.jsonl", true, true},
	{"exhaustive", []string{"make", "exhaustive-long"}, "docs/mutation/exhaustive.jsonl", false, true},
	{"kernels", []string{"make", "kernels-long"}, "docs/kernel/long.jsonl", false, true},
	{"planted bugs", []string{"make", "mutants"}, "docs/mutation/planted.jsonl", false, true},
	{"mutations of offload", []string{"make", "mutation"}, "docs/mutation/offload.jsonl", false, true},
	{"mutations of the model", []string{"make", "mutation-model"}, "docs/mutation/model.jsonl", false, false},
	{"equivalent mutations", []string{"make", "mutation-deep"}, "docs/mutation/deep.jsonl", false, false},
	{"fuzzing engines", []string{"make", "detect"}, "docs/fuzzing/detection.jsonl", false, false},
	{conformance, []string{"make", "conformance"}, "docs/conformance/results.jsonl", false, true},
}

const conformance = "conformance"

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
	g := &gathered{Source: s}
	for lines := bufio.NewReader(bytes.NewReader(b)); ; {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 && err == io.EOF {
			return g, nil
		}
		if err := g.line(line); err != nil {
			return nil, fmt.Errorf("%s: %w", s.File, err)
		}
	}
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
	c := child.Command(ctx, s.Command[0], s.Command[1:]...)
	c.Dir, c.Stdout, c.Stderr = root, out, out
	var kept bytes.Buffer
	if s.stdout {
		c.Stdout = &kept
	}
	err := c.Run()
	var exit *exec.ExitError
	if s.stdout && errors.As(err, &exit) && exit.ExitCode() == record.ExitViolation {
		err = nil // which the records say
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.command(), err)
	}
	if !s.stdout {
		return nil
	}
	return write(filepath.Join(root, s.File), kept.Bytes())
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

// dirty returns what differs from the commit, of what the tree's hash is of.
func dirty(ctx context.Context, root string) (string, error) {
	out, err := git(ctx, root, "status", "--porcelain", "--", "offload", "model", "fuzz", "corpus", "tunlive", "go.mod", "go.sum")
	return strings.TrimRight(out, "\n"), err
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	c := child.Command(ctx, "git", args...)
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
	var needed error
	for _, s := range Sources {
		g, err := s.read(root)
		if (err != nil || g.tree != tree) && runMissing {
			if err := s.run(ctx, root, out); err != nil {
				return nil, nil, err
			}
			g, err = s.read(root)
		}
		switch {
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return nil, nil, err
		case err != nil:
			missing = append(missing, fmt.Sprintf("%s: not there: %s", s.Name, s.command()))
		case g.tree != tree:
			missing = append(missing, fmt.Sprintf("%s: of tree %s: %s", s.Name, g.tree, s.command()))
		default:
			list = append(list, g)
			continue
		}
		if s.Needed {
			needed = errMissing
		}
	}
	return list, missing, needed
}

// errMissing is that records are missing without which there is no evidence.
var errMissing = errors.New("records of this tree are missing")
