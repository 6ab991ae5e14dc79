// Package mutants asks what the harness would notice. It plants bugs, one at a
// time, into copies of single files that the go command builds from in place of the
// tree's (go build -overlay): bugs that others had and bugs that a reader fears
// (Bugs), and every small change of a set of operators (Mutations). Each is run
// against methods of the harness, and what notices it is kept.
package mutants

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Mutant is a change of one file.
type Mutant struct {
	ID     string
	About  string // of a planted bug where it comes from, of a mutation what was changed to what
	File   string // from the module's root, with slashes
	Line   int
	Source string // that line as it was, without space around it
	Text   []byte // the file as it is changed
	Tags   string // what the file is built with
}

// Bug is a bug to plant: in File, which has Old once, it becomes New.
type Bug struct {
	Name string `json:"name"`
	From string `json:"from"` // whose it was, or who fears it
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

// Plant returns the mutant, or an error that says where Old may have gone.
func (b Bug) Plant(root string) (Mutant, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(b.File)))
	if err != nil {
		return Mutant{}, fmt.Errorf("%s: %w", b.Name, err)
	}
	old := []byte(b.Old)
	switch n := bytes.Count(text, old); {
	case n == 0:
		line, near := nearest(string(text), b.Old)
		return Mutant{}, fmt.Errorf("%s: %s has no longer the text\n%s\nThe nearest is at line %d:\n%s", b.Name, b.File, b.Old, line, near)
	case n > 1:
		return Mutant{}, fmt.Errorf("%s: %s has the text %d times:\n%s", b.Name, b.File, n, b.Old)
	}
	at := bytes.Index(text, old)
	return newMutant(b.Name, b.From, b.File, text, at, len(old), b.New)
}

// newMutant replaces n bytes at at of a file's text.
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

// Overlay writes into dir the changed file, and the file that go build -overlay takes to
// build a checkout with it, whose name it returns.
func (m Mutant) Overlay(root, dir string) (string, error) {
	file, overlay := filepath.Join(dir, path.Base(m.File)), filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, filepath.FromSlash(m.File)): file}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(file, m.Text, 0o644), os.WriteFile(overlay, text, 0o644))
}

// mutable are the directories whose files may be changed: what is tested, and the
// model. The guard of K6 is in none of them.
var mutable = []string{"offload", "offload/tun", "model"}

// exempt refuses a change that could let a fragment with a GSO type past the guard.
// The device asks it in the one function that writes, writev: that must stay as it
// is, with what it depends on, and nothing else may write.
func exempt(file string, before, after []byte) error {
	if !slices.Contains(mutable, path.Dir(file)) || strings.HasSuffix(file, "_test.go") {
		return fmt.Errorf("%s is none of what may be changed", file)
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

var errGuard = errors.New("the change reaches what writes to the kernel, or could, which the guard stands before (K6)")

// pinned are the names on which the guard depends.
var pinned = []string{"leastHeaders", "VnetHdrLen", "maxPieces"}

// writes are beginnings of the names of functions that may write, or give what may.
var writes = []string{"Write", "write", "Pwrite", "Send", "Syscall", "RawSyscall", "File", "Fd", "Control", "NewFile", "ReadFrom", "Sendfile", "Splice", "Tee", "Vmsplice"}

// writing returns what of a file's text can write to the kernel, or decides what the
// guard sees: the function writev; every call of what may write, with its receiver and
// arguments, and every call that is given a file; the values of pinned constants; what
// is imported. In assembly those are system calls.
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
			if n.Name.Name == "writev" {
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
		case *ast.AssignStmt: // a file by another name
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

// nearest returns the lines of text that are the most like old, and the first one's
// number.
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

// likeness counts the pairs of characters that two lines share, those that they do
// not share subtracted.
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

// Named returns the bug of a name, nil if the list has none.
func Named(list []Bug, name string) *Bug {
	if at := slices.IndexFunc(list, func(b Bug) bool { return b.Name == name }); at >= 0 {
		return &list[at]
	}
	return nil
}
