// SPDX-License-Identifier: MIT

package mutants

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"tunproof/fuzz/record"
)

// outcome is the result of one method on one mutant.
type outcome struct {
	Key       string  `json:"key"` // hash of everything that it depends on
	ID        string  `json:"id"`
	NotViable bool    `json:"not_viable,omitempty"`
	Same      bool    `json:"same,omitempty"`
	Kills     []Kill  `json:"kills,omitempty"`
	Seconds   float64 `json:"seconds"`
}

// key returns a hash of everything that the outcome of method k depends on.
func (r *Runner) key(m Mutant, k int) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s %s\n", r.inputs[k], m.File, m.Tags)
	sum.Write(record.Compiled(m.File, m.Text))
	for _, o := range m.Others {
		sum.Write(record.Compiled(o.File, o.Text))
	}
	return hex.EncodeToString(sum.Sum(nil))[:24]
}

// hashInputs returns a hash of the files of this module that a test program is built from,
// of the files that they embed, and of the way it is run.
func (r *Runner) hashInputs(ctx context.Context, m Method) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%+v %v %v %v %v %v %v", record.Here(), m.Package, m.Run, m.Skip, m.Args, m.Env, m.Tags)
	fmt.Fprintln(sum, m.Arch)
	c := exec.CommandContext(ctx, "go", "list", "-deps", "-test", "-json=Dir,Module,GoFiles,SFiles,EmbedFiles,TestEmbedFiles,XTestEmbedFiles", "-tags", m.Tags, m.Package)
	c.Dir = r.Root
	if m.Arch != "" {
		c.Env = append(os.Environ(), "GOARCH="+m.Arch)
	}
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("go list %s: %w", m.Package, err)
	}
	// The modules and the code that runs programs also matter.
	files := []string{filepath.Join(r.Root, "go.mod"), filepath.Join(r.Root, "go.sum"), filepath.Join(r.Root, "fuzz", "mutants", "program.go")}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir                                                          string
			Module                                                       *struct{ Path string }
			GoFiles, SFiles, EmbedFiles, TestEmbedFiles, XTestEmbedFiles []string
		}
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return "", err
		}
		if p.Module == nil || p.Module.Path != "tunproof" {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.SFiles, p.EmbedFiles, p.TestEmbedFiles, p.XTestEmbedFiles) {
			if !filepath.IsAbs(name) { // go test generates files with absolute names
				files = append(files, filepath.Join(p.Dir, name))
			}
		}
	}
	slices.Sort(files)
	for _, name := range slices.Compact(files) {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		rel, err := filepath.Rel(r.Root, name)
		if err != nil {
			return "", err
		}
		b = record.Compiled(name, b)
		fmt.Fprintf(sum, "%s %d\n", filepath.ToSlash(rel), len(b))
		sum.Write(b)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// load reads the outcomes of the state file. It ignores an incomplete line,
// which a killed run may have left.
func (r *Runner) load() error {
	r.known = map[string]outcome{}
	if r.State == "" {
		return nil
	}
	b, err := os.ReadFile(r.State)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for line := range bytes.Lines(b) {
		var o outcome
		if json.Unmarshal(line, &o) == nil && o.Key != "" {
			r.known[o.Key] = o
		}
	}
	return err
}

// keep adds an outcome to known and to the state file.
func (r *Runner) keep(o outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[o.Key] = o
	if r.State == "" {
		return nil
	}
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.State, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	// Begin a new line, since a killed run may have left an incomplete one.
	if _, err := f.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
