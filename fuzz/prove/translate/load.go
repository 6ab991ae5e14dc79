// SPDX-License-Identifier: MIT

// Package translate turns functions of package offload into terms of bit-vectors. It
// reads their SSA form, follows every path, and joins the paths where the function
// returns. It knows functions without loops, and loops whose ends follow from constants,
// over integers, structs, and bytes at constant offsets. It refuses everything else, and
// names the place.
package translate

import (
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"
)

// Source is package offload and all that it imports, type-checked for one architecture.
type Source struct {
	fset    *token.FileSet
	offload *packages.Package
	all     map[string]*packages.Package // by path
}

// Load reads package offload of the module in dir.
func Load(dir, goarch string) (*Source, error) {
	s := &Source{fset: token.NewFileSet(), all: map[string]*packages.Package{}}
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.LoadAllSyntax, Dir: dir, Fset: s.fset,
		Env: append(os.Environ(), "GOARCH="+goarch, "GOOS=linux", "CGO_ENABLED=0", "GOWORK=off"),
	}, "./offload")
	if err != nil {
		return nil, err
	}
	var broken error
	packages.Visit(pkgs, nil, func(p *packages.Package) {
		s.all[p.PkgPath] = p
		for _, e := range p.Errors {
			broken = errors.Join(broken, e)
		}
	})
	s.offload = pkgs[0]
	return s, broken
}

// Import returns a package that was loaded.
func (s *Source) Import(path string) (*types.Package, error) {
	if p := s.all[path]; p != nil {
		return p.Types, nil
	}
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	return nil, fmt.Errorf("no package %s", path)
}

// Program is package offload in SSA form, for one architecture.
type Program struct {
	pkg      *ssa.Package
	fset     *token.FileSet
	intWidth int
	assigned map[*ssa.Global]bool // outside of init
	sources  map[string]string    // the text of each file, by its name
}

// With returns the SSA form with another text of one file, or as it is if path is "".
func (s *Source) With(path, text string) (*Program, error) {
	return s.Program(func(file, was string) string {
		if file == path {
			return text
		}
		return was
	})
}

// Program returns the SSA form. edit returns the text of a file, given its path and its
// text.
func (s *Source) Program(edit func(path, text string) string) (*Program, error) {
	p := &Program{fset: s.fset, assigned: map[*ssa.Global]bool{}, sources: map[string]string{}}
	var files []*ast.File
	for _, path := range s.offload.CompiledGoFiles {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text := edit(path, string(raw))
		p.sources[path] = text
		file, err := parser.ParseFile(s.fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	info := &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{}, Instances: map[*ast.Ident]types.Instance{}, Scopes: map[ast.Node]*types.Scope{},
		Selections: map[*ast.SelectorExpr]*types.Selection{}, FileVersions: map[*ast.File]string{},
	}
	config := types.Config{Importer: s, Sizes: s.offload.TypesSizes}
	checked, err := config.Check(s.offload.PkgPath, s.fset, files, info)
	if err != nil {
		return nil, err
	}
	prog := ssa.NewProgram(s.fset, ssa.InstantiateGenerics)
	prog.CreatePackage(types.Unsafe, nil, nil, true)
	for path, q := range s.all {
		if q != s.offload && path != "unsafe" {
			prog.CreatePackage(q.Types, q.Syntax, q.TypesInfo, true)
		}
	}
	p.pkg = prog.CreatePackage(checked, files, info, false)
	p.pkg.Build()
	p.intWidth = 8 * int(s.offload.TypesSizes.Sizeof(types.Typ[types.Int]))
	for fn := range ssautil.AllFunctions(prog) {
		if fn.Pkg != p.pkg || fn.Name() == "init" {
			continue
		}
		for _, b := range fn.Blocks {
			for _, in := range b.Instrs {
				if s, ok := in.(*ssa.Store); ok {
					if g, ok := s.Addr.(*ssa.Global); ok {
						p.assigned[g] = true
					}
				}
			}
		}
	}
	return p, nil
}

// IntWidth returns the number of bits of an int.
func (p *Program) IntWidth() int { return p.intWidth }

// function finds a function such as "fold", or a method such as "Coalescer.joins".
func (p *Program) function(name string) *ssa.Function {
	recv, method, isMethod := strings.Cut(name, ".")
	if !isMethod {
		if fn := p.pkg.Func(name); fn != nil {
			return fn
		}
		panic(&Refusal{"package offload", "it has no function " + name})
	}
	t := p.Type(recv)
	for _, typ := range []types.Type{types.NewPointer(t), t} {
		if sel := p.pkg.Prog.MethodSets.MethodSet(typ).Lookup(p.pkg.Pkg, method); sel != nil {
			return p.pkg.Prog.MethodValue(sel)
		}
	}
	panic(&Refusal{"package offload", "it has no method " + name})
}

// Type returns the type of that name.
func (p *Program) Type(name string) types.Type {
	obj := p.pkg.Pkg.Scope().Lookup(name)
	if obj == nil {
		panic(&Refusal{"package offload", "it has no type " + name})
	}
	return obj.Type()
}

// lines returns the number of lines of a function's source.
func (p *Program) lines(fn *ssa.Function) int {
	decl, ok := fn.Syntax().(*ast.FuncDecl)
	if !ok {
		return 0
	}
	return p.fset.Position(decl.End()).Line - p.fset.Position(decl.Pos()).Line + 1
}

// Functions returns the functions and methods of offload that have a Go body, with their
// lines.
func (p *Program) Functions() map[string]int {
	out := map[string]int{}
	for fn := range ssautil.AllFunctions(p.pkg.Prog) {
		if n := p.lines(fn); fn.Pkg == p.pkg && n > 0 {
			out[shortName(fn)] = n
		}
	}
	return out
}

// Constant returns the value of a constant of offload.
func (p *Program) Constant(name string) int {
	c, ok := p.pkg.Pkg.Scope().Lookup(name).(*types.Const)
	if !ok {
		panic(&Refusal{"package offload", "it has no constant " + name})
	}
	v, _ := constant.Int64Val(c.Val())
	return int(v)
}

// At returns the function of names that has the line of a file, or a package variable
// that is set there; "" if there is none.
func (p *Program) At(path string, line int, names map[string]int) string {
	for fn := range ssautil.AllFunctions(p.pkg.Prog) {
		decl, ok := fn.Syntax().(*ast.FuncDecl)
		if !ok || fn.Pkg != p.pkg {
			continue
		}
		from, to := p.fset.Position(decl.Pos()), p.fset.Position(decl.End())
		if _, known := names[shortName(fn)]; known && from.Filename == path && from.Line <= line && line <= to.Line {
			return shortName(fn)
		}
	}
	return ""
}

// Params returns the types of a function's parameters, with the receiver.
func (p *Program) Params(name string) []types.Type {
	var ts []types.Type
	for _, param := range p.function(name).Params {
		ts = append(ts, param.Type())
	}
	return ts
}
