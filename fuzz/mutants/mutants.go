// SPDX-License-Identifier: MIT

// Package mutants measures which bugs the harness detects. It plants one bug at a time
// into a copy of a file, which the go command builds in place of the original (go build
// -overlay). Some bugs are those that other projects had, or that a reader fears (Bugs).
// Others are small changes made by a set of operators (Mutations). The methods of the
// harness are run on each, and the package records which of them detect it.
package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Mutant is one change of one file.
type Mutant struct {
	ID     string
	About  string // origin of a planted bug, or the change that a mutation makes
	File   string // path from the module's root, with slashes
	Line   int
	Source string   // the original line, without space around it
	Text   []byte   // the changed file
	Tags   string   // build tags that the file needs
	Others []Mutant // further files that change with it
}

// Bug is a bug to plant. File has the text Old once, and it becomes New.
type Bug struct {
	Name string `json:"name"`
	From string `json:"from"` // the project that had the bug, or who fears it
	File string `json:"file"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// ReadBugs reads a JSON array of bugs.
func ReadBugs(name string) ([]Bug, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var bugs []Bug
	if err := json.Unmarshal(b, &bugs); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i, b := range bugs {
		if b.Name == "" || b.File == "" || b.Old == "" {
			return nil, fmt.Errorf("%s: bug %d has no name, file or old text", name, i+1)
		}
	}
	return bugs, nil
}

// Plant returns the mutant. If File does not have Old, the error shows the most similar
// lines.
func (b Bug) Plant(root string) (Mutant, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(b.File)))
	if err != nil {
		return Mutant{}, fmt.Errorf("%s: %w", b.Name, err)
	}
	old := []byte(b.Old)
	switch n := bytes.Count(text, old); {
	case n == 0:
		line, near := nearest(string(text), b.Old)
		return Mutant{}, fmt.Errorf("%s: %s no longer has the text\n%s\nThe most similar text is at line %d:\n%s", b.Name, b.File, b.Old, line, near)
	case n > 1:
		return Mutant{}, fmt.Errorf("%s: %s has the text %d times:\n%s", b.Name, b.File, n, b.Old)
	}
	at := bytes.Index(text, old)
	return newMutant(b.Name, b.From, b.File, text, at, len(old), b.New)
}

// newMutant returns the mutant that replaces n bytes of a file's text, from offset at.
func newMutant(id, about, file string, text []byte, at, n int, by string) (Mutant, error) {
	line := 1 + bytes.Count(text[:at], []byte("\n"))
	m := Mutant{ID: id, About: about, File: file, Line: line,
		Source: strings.TrimSpace(strings.Split(string(text), "\n")[line-1]),
		Text:   slices.Concat(text[:at], []byte(by), text[at+n:])}
	if err := exempt(file, text, m.Text); err != nil {
		return Mutant{}, fmt.Errorf("%s: %w", id, err)
	}
	return m, nil
}

// Overlay writes into dir the changed files and the file for go build -overlay that puts them
// into a checkout. It returns the name of the latter.
func (m Mutant) Overlay(root, dir string) (string, error) {
	overlay := filepath.Join(dir, "overlay.json")
	replace := map[string]string{}
	var failed error
	for i, c := range append([]Mutant{m}, m.Others...) {
		file := filepath.Join(dir, fmt.Sprint(i, path.Base(c.File)))
		replace[filepath.Join(root, filepath.FromSlash(c.File))] = file
		failed = errors.Join(failed, os.WriteFile(file, c.Text, 0o644))
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	return overlay, errors.Join(failed, err, os.WriteFile(overlay, text, 0o644))
}

// Build builds the command tunproof with the mutant in dir, and returns the program's path.
func (m Mutant) Build(ctx context.Context, root, dir string) (string, error) {
	overlay, err := m.Overlay(root, dir)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "tunproof")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "./fuzz/cmd/tunproof")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the bug %s: %w\n%s", m.ID, err, out)
	}
	return program, nil
}

// mutable has the directories whose files may be changed, besides those below fuzz. The guard
// of K6 is in none of them: what fuzz writes to the kernel goes through tunlive.
var mutable = []string{"offload", "offload/tun", "model", "corpus/pkts"}

// exempt returns an error for a change that could let a fragment with a GSO type past the
// guard. The device calls the guard in kernel.writev, the only function that writes, which
// writer.writev calls. Both, and the values that they depend on, must stay unchanged, and no
// other function may write.
func exempt(file string, before, after []byte) error {
	if !slices.Contains(mutable, path.Dir(file)) && !strings.HasPrefix(file, "fuzz/") || strings.HasSuffix(file, "_test.go") {
		return fmt.Errorf("%s must not be changed", file)
	}
	was, err := writing(file, before)
	if err != nil {
		return err
	}
	is, err := writing(file, after)
	if err == nil && was != is { // else it does not compile
		return fmt.Errorf("%s: %w", file, errGuard)
	}
	return nil
}

// errGuard is the reason to refuse a change that could bypass the guard.
var errGuard = errors.New("the change affects code that writes to the kernel or could do so, past the guard (K6)")

// pinned has the names of the constants that the guard depends on.
var pinned = []string{"leastHeaders", "VnetHdrLen", "TunnelVnetHdrLen", "maxPieces"}

// guarded has the names of the functions that write, or that find the size of the VnetHdr,
// after which the guard looks.
var guarded = []string{"writev", "askHdrLen"}

// writes has prefixes of the names of functions that may write, or return something that
// may.
var writes = []string{"Write", "write", "Pwrite", "Send", "Syscall", "RawSyscall", "File", "Fd", "Control", "NewFile", "ReadFrom", "Sendfile", "Splice", "Tee", "Vmsplice"}

// writing returns the parts of a file's text that can write to the kernel or that decide
// what the guard sees, joined to one string for comparison. These are functions of guarded,
// each call of a function that may write or that gets a file, each assignment of a file,
// the pinned constants, and the imports. For assembly the string is the number of system
// calls. Text that does not parse is an error.
func writing(file string, text []byte) (string, error) {
	if strings.HasSuffix(file, ".s") {
		return strconv.Itoa(bytes.Count(text, []byte("SYSCALL")) + bytes.Count(text, []byte("SVC")) + bytes.Count(text, []byte("INT"))), nil
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	source := func(n ast.Node) string {
		return string(text[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset])
	}
	var b strings.Builder
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if slices.Contains(guarded, n.Name.Name) {
				b.WriteString(source(n))
				return false
			}
		case *ast.CallExpr:
			name := source(n.Fun)
			name = name[strings.LastIndex(name, ".")+1:]
			may := slices.ContainsFunc(writes, func(p string) bool { return strings.HasPrefix(name, p) })
			for _, a := range n.Args {
				given := source(a)
				may = may || strings.HasSuffix(given, ".file") || strings.HasSuffix(given, ".raw")
			}
			if may {
				fmt.Fprintf(&b, "\n%s", source(n))
			}
		case *ast.AssignStmt: // another name for a file
			for _, e := range n.Rhs {
				if given := source(e); strings.HasSuffix(given, ".file") || strings.HasSuffix(given, ".raw") {
					fmt.Fprintf(&b, "\n%s", source(n))
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				if slices.Contains(pinned, id.Name) {
					fmt.Fprintf(&b, "\n%s", source(n))
				}
			}
		case *ast.ImportSpec:
			fmt.Fprintf(&b, "\nimport %s", n.Path.Value)
		}
		return true
	})
	return b.String(), nil
}

// nearest returns the lines of text that are most similar to old, and the number of the
// first.
func nearest(text, old string) (int, string) {
	lines, want := strings.Split(text, "\n"), strings.Split(strings.TrimSuffix(old, "\n"), "\n")
	best, at := -1, 0
	for i := range lines[:max(1, len(lines)-len(want)+1)] {
		like := 0
		for k, l := range want {
			if i+k < len(lines) {
				like += likeness(lines[i+k], l)
			}
		}
		if like > best {
			best, at = like, i
		}
	}
	return at + 1, strings.Join(lines[at:min(len(lines), at+len(want))], "\n")
}

// likeness returns how similar two lines are: the pairs of characters that they share,
// minus those that they do not share.
func likeness(a, b string) int {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	pairs := map[string]int{}
	for i := range max(0, len(a)-1) {
		pairs[a[i:i+2]]++
	}
	shared := 0
	for i := range max(0, len(b)-1) {
		if pairs[b[i:i+2]] > 0 {
			pairs[b[i:i+2]]--
			shared++
		}
	}
	return 3*shared - max(0, len(a)-1) - max(0, len(b)-1)
}

// Named returns the bug with a name, or nil if the list has none.
func Named(list []Bug, name string) *Bug {
	if at := slices.IndexFunc(list, func(b Bug) bool { return b.Name == name }); at >= 0 {
		return &list[at]
	}
	return nil
}
