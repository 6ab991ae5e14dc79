// SPDX-License-Identifier: MIT

package mutants

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Mutations returns every mutation of the Go files in a package that this platform builds,
// without a tag or with one of the tags, in the order of the text. skipped has the files
// that it does not build.
//
// An ID has the file, the function, the operator and a hash. The hash is of the line, of
// the change, and of the number of equal changes before it in the function. So the ID
// stays the same if other lines are added or removed.
func Mutations(root, dir, goos, goarch string, tags []string) (list []Mutant, skipped []string, err error) {
	names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*.go"))
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		file := dir + "/" + filepath.Base(name)
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		tag, built := builtWith(file, text, goos, goarch, tags)
		if !built {
			skipped = append(skipped, file)
			continue
		}
		found, err := mutationsOf(file, text)
		if err != nil {
			return nil, nil, err
		}
		for i := range found {
			found[i].Tags = tag
		}
		list = append(list, found...)
	}
	return list, skipped, nil
}

// builtWith reports whether a platform builds a file, and which of the tags that needs. tag
// is "" if it needs none.
func builtWith(file string, text []byte, goos, goarch string, tags []string) (tag string, built bool) {
	for _, os := range []string{"linux", "darwin", "windows"} {
		if strings.HasSuffix(file, "_"+os+".go") && os != goos {
			return "", false
		}
	}
	for _, arch := range []string{"amd64", "arm64", "386", "s390x"} {
		if strings.HasSuffix(file, "_"+arch+".go") && arch != goarch {
			return "", false
		}
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if !constraint.IsGoBuild(line) {
		return "", true
	}
	expr, err := constraint.Parse(line)
	if err != nil {
		return "", false
	}
	for _, tag := range append([]string{""}, tags...) {
		if expr.Eval(func(t string) bool { return t == goos || t == goarch || t == tag }) {
			return tag, true
		}
	}
	return "", false
}

// site is a place in the text and a replacement for it.
type site struct {
	operator string
	at, end  int
	by       string
}

// mutationsOf returns the mutations of one file.
func mutationsOf(file string, text []byte) ([]Mutant, error) {
	w := walker{fset: token.NewFileSet(), text: text}
	f, err := parser.ParseFile(w.fset, file, text, 0)
	if err != nil {
		return nil, err
	}
	var list []Mutant
	seen := map[string]int{}
	for _, d := range f.Decls {
		name := "-"
		if fn, ok := d.(*ast.FuncDecl); ok {
			name = fn.Name.Name
			if fn.Recv != nil {
				name = strings.TrimLeft(w.source(fn.Recv.List[0].Type), "*") + "." + name
			}
		} else if g, ok := d.(*ast.GenDecl); !ok || g.Tok == token.IMPORT || g.Tok == token.TYPE {
			continue
		}
		w.sites = nil
		ast.Inspect(d, w.visit)
		slices.SortStableFunc(w.sites, func(a, b site) int { return a.at - b.at })
		for _, s := range w.sites {
			change := fmt.Sprintf("%s -> %s", text[s.at:s.end], s.by)
			if s.by == "" {
				change = "without " + string(text[s.at:s.end])
			}
			m, err := newMutant("", strings.Join(strings.Fields(change), " "), file, text, s.at, s.end-s.at, s.by)
			if errors.Is(err, errGuard) {
				continue // the guard depends on it
			}
			if err != nil {
				return nil, err
			}
			key := name + " " + s.operator + " " + m.Source + " " + m.About
			seen[key]++
			hash := sha256.Sum256(fmt.Appendf(nil, "%s %d", key, seen[key]))
			m.ID = fmt.Sprintf("%s:%s:%s:%s", filepath.Base(file), name, s.operator, hex.EncodeToString(hash[:4]))
			list = append(list, m)
		}
	}
	return list, nil
}

// walker collects the sites of a declaration.
type walker struct {
	fset  *token.FileSet
	text  []byte
	sites []site
}

func (w *walker) offset(p token.Pos) int { return w.fset.Position(p).Offset }

// source returns the text of a node.
func (w *walker) source(n ast.Node) string {
	return string(w.text[w.offset(n.Pos()):w.offset(n.End())])
}

// add adds a site.
func (w *walker) add(operator string, from, to token.Pos, by string) {
	w.sites = append(w.sites, site{operator, w.offset(from), w.offset(to), by})
}

// condition makes a condition always true or always false. Its text stays, so that the
// names in it are still used.
func (w *walker) condition(e ast.Expr, values ...bool) {
	for _, v := range values {
		if v {
			w.add("true", e.Pos(), e.End(), "(("+w.source(e)+") || true)")
		} else {
			w.add("false", e.Pos(), e.End(), "(("+w.source(e)+") && false)")
		}
	}
}

// binary has the replacements of a binary operator: its opposite, then its neighbours.
var binary = map[token.Token][]struct{ operator, by string }{
	token.EQL:  {{"negate", "!="}},
	token.NEQ:  {{"negate", "=="}},
	token.LSS:  {{"negate", ">="}, {"boundary", "<="}},
	token.LEQ:  {{"negate", ">"}, {"boundary", "<"}},
	token.GTR:  {{"negate", "<="}, {"boundary", ">="}},
	token.GEQ:  {{"negate", "<"}, {"boundary", ">"}},
	token.LAND: {{"logic", "||"}}, token.LOR: {{"logic", "&&"}},
	token.ADD: {{"arithmetic", "-"}}, token.SUB: {{"arithmetic", "+"}},
	token.MUL: {{"arithmetic", "/"}}, token.QUO: {{"arithmetic", "*"}}, token.REM: {{"arithmetic", "*"}},
	token.AND: {{"bits", "|"}}, token.OR: {{"bits", "&"}}, token.XOR: {{"bits", "&"}}, token.AND_NOT: {{"bits", "&"}},
	token.SHL: {{"bits", ">>"}}, token.SHR: {{"bits", "<<"}},
}

// assigning has the replacement of an assignment operator.
var assigning = map[token.Token]string{
	token.ADD_ASSIGN: "-=", token.SUB_ASSIGN: "+=", token.MUL_ASSIGN: "/=", token.OR_ASSIGN: "&=", token.AND_ASSIGN: "|=",
	token.XOR_ASSIGN: "|=", token.AND_NOT_ASSIGN: "|=", token.SHL_ASSIGN: ">>=", token.SHR_ASSIGN: "<<=",
}

// visit adds the sites of one node.
func (w *walker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ValueSpec: // skip the names that it declares
		for _, v := range n.Values {
			ast.Inspect(v, w.visit)
		}
		return false
	case *ast.IfStmt:
		w.condition(n.Cond, true, false)
	case *ast.ForStmt:
		if n.Cond != nil {
			w.condition(n.Cond, false)
		}
	case *ast.SwitchStmt:
		if n.Tag == nil {
			for _, c := range n.Body.List {
				for _, e := range c.(*ast.CaseClause).List {
					w.condition(e, true, false)
				}
			}
		}
	case *ast.BinaryExpr:
		for _, r := range binary[n.Op] {
			w.add(r.operator, n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), r.by)
		}
		if n.Op == token.LAND || n.Op == token.LOR { // drop one side
			w.condition(n.X, n.Op == token.LAND)
			w.condition(n.Y, n.Op == token.LAND)
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT || n.Op == token.XOR || n.Op == token.SUB {
			w.add("unary", n.OpPos, n.X.Pos(), "")
		}
	case *ast.BasicLit:
		if v, err := strconv.ParseUint(n.Value, 0, 64); err == nil && n.Kind == token.INT {
			w.add("literal", n.Pos(), n.End(), strconv.FormatUint(v+1, 10))
			if v == 1 {
				w.add("literal", n.Pos(), n.End(), "0")
			}
		}
	case *ast.Ident:
		switch {
		case n.Name == "true":
			w.add("bool", n.Pos(), n.End(), "false")
		case n.Name == "false":
			w.add("bool", n.Pos(), n.End(), "true")
		case strings.HasPrefix(n.Name, "Err") && len(n.Name) > 3:
			w.add("error", n.Pos(), n.End(), "error(nil)")
		}
	case *ast.IncDecStmt:
		by := "--"
		if n.Tok == token.DEC {
			by = "++"
		}
		w.add("assign", n.TokPos, n.End(), by)
		w.delete(n)
	case *ast.AssignStmt:
		if by := assigning[n.Tok]; by != "" {
			w.add("assign", n.TokPos, n.TokPos+token.Pos(len(n.Tok.String())), by)
		}
		if n.Tok != token.DEFINE {
			w.delete(n)
		}
	case *ast.ExprStmt:
		w.delete(n)
	case *ast.BranchStmt:
		if n.Label == nil && (n.Tok == token.BREAK || n.Tok == token.CONTINUE) {
			by := "break"
			if n.Tok == token.BREAK {
				by = "continue"
			}
			w.add("branch", n.Pos(), n.End(), by)
		}
	case *ast.SliceExpr:
		if _, literal := n.Low.(*ast.BasicLit); n.Low != nil && !literal {
			w.add("slice", n.Low.Pos(), n.Low.End(), "("+w.source(n.Low)+")+1")
		}
		if n.High != nil {
			w.add("slice", n.High.Pos(), n.High.End(), "("+w.source(n.High)+")-1")
		}
	}
	return true
}

// delete disables a statement. The names in it are still used.
func (w *walker) delete(n ast.Stmt) {
	w.add("delete", n.Pos(), n.End(), "if false { "+w.source(n)+" }")
}
