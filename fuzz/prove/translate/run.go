// SPDX-License-Identifier: MIT

package translate

import (
	"fmt"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"

	"tunproof/fuzz/prove/smt"
)

// Obligation is what must hold so that the code does not panic, or an int overflow.
type Obligation struct {
	Place string // file and line
	What  string
	Holds *smt.Term
}

// Intrinsic replaces a function: it returns its results.
type Intrinsic func(st *State, args []Value) Value

// Machine translates calls.
type Machine struct {
	*Program
	Obligations []Obligation
	Intrinsics  map[string]Intrinsic // by name, such as "fold" or "flowKey.equal"
	Overflow    bool                 // overflow of int is an obligation
	Facts       []*smt.Term          // true of the arguments; conditions that they decide make no paths
	lines       map[string]int
	errors      map[string]int
	globals     map[*ssa.Global]Value
}

// NewMachine returns a Machine without intrinsics.
func (p *Program) NewMachine() *Machine {
	return &Machine{Program: p, Intrinsics: map[string]Intrinsic{}, lines: map[string]int{}, errors: map[string]int{}, globals: map[*ssa.Global]Value{}}
}

// Lines has, for each function of offload that was translated, the number of its lines.
func (m *Machine) Lines() map[string]int { return m.lines }

// Error returns the number of a package variable that is an error.
func (m *Machine) Error(name string) *smt.Term {
	if m.errors[name] == 0 {
		m.errors[name] = len(m.errors) + 1
	}
	return smt.Const(16, uint64(m.errors[name]))
}

// Refusal is the error for what the translator does not know.
type Refusal struct{ Place, What string }

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Place, r.What) }

func (m *Machine) refuse(pos token.Pos, format string, args ...any) {
	panic(&Refusal{m.place(pos), fmt.Sprintf(format, args...)})
}

func (m *Machine) place(pos token.Pos) string {
	p := m.fset.Position(pos)
	file := p.Filename
	if i := strings.LastIndexByte(file, '/'); i >= 0 {
		file = file[i+1:]
	}
	return fmt.Sprintf("%s:%d", file, p.Line)
}

// outcome is a way in which a function returns.
type outcome struct {
	path   []*smt.Term // conditions since the function was entered
	state  *State
	result Value
}

// Call translates a call of a function such as "fold" or "Coalescer.joins". It returns
// the result, a Tuple if there are several, and the memory after it. The error is a
// *Refusal if the function has something that the translator does not know.
func (m *Machine) Call(name string, st *State, args ...Value) (result Value, after *State, err error) {
	defer refused(name, &err)
	fn := m.function(name)
	outs := m.call(fn, st, args, m.Facts)
	if len(outs) != 1 {
		m.refuse(fn.Pos(), "%d results that are no one value", len(outs))
	}
	return outs[0].result, outs[0].state, nil
}

// refused recovers from a refusal of the translator and makes it the error of the function
// name. It is deferred.
func refused(name string, err *error) {
	switch r := recover().(type) {
	case nil:
	case *Refusal:
		*err = fmt.Errorf("%s: %w", name, r)
	default:
		panic(r)
	}
}

// Way is one way in which a function returns.
type Way struct {
	If     *smt.Term
	Result Value
	After  *State
}

// Ways translates a call like Call, and does not join the ways in which it returns.
func (m *Machine) Ways(name string, st *State, args ...Value) (ways []Way, err error) {
	defer refused(name, &err)
	for _, o := range m.ways(m.function(name), st, args, m.Facts) {
		ways = append(ways, Way{smt.All(o.path...), o.result, o.state})
	}
	return ways, nil
}

const (
	maxVisits = 64     // of a block with a condition that is no constant, on one path
	maxSteps  = 200000 // instructions of one call
)

// frame is a function that is running, on one path.
type frame struct {
	fn     *ssa.Function
	env    map[ssa.Value]Value
	before []*smt.Term // conditions of the callers
	path   []*smt.Term
	state  *State
	visits map[*ssa.BasicBlock]int
	steps  *int
}

func (f *frame) clone() *frame {
	g := *f
	g.env, g.visits, g.state = maps.Clone(f.env), maps.Clone(f.visits), f.state.clone()
	g.path = slices.Clone(f.path)
	return &g
}

// shortName names a function as Call does.
func shortName(fn *ssa.Function) string {
	if recv := fn.Signature.Recv(); recv != nil {
		t := recv.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if n, ok := t.(*types.Named); ok {
			return n.Obj().Name() + "." + fn.Name()
		}
	}
	return fn.Name()
}

// call runs a function on all paths, and joins what can be joined.
func (m *Machine) call(fn *ssa.Function, st *State, args []Value, before []*smt.Term) []outcome {
	return joined(m.ways(fn, st, args, before))
}

// ways runs a function on all paths.
func (m *Machine) ways(fn *ssa.Function, st *State, args []Value, before []*smt.Term) []outcome {
	name := shortName(fn)
	if fn.Pkg == m.pkg {
		if in := m.Intrinsics[name]; in != nil {
			after := st.clone()
			return []outcome{{state: after, result: in(after, args)}}
		}
	}
	if len(fn.Blocks) == 0 && fn.Pkg != nil {
		fn.Pkg.Build() // once
	}
	if len(fn.Blocks) == 0 {
		m.refuse(fn.Pos(), "%s has no Go body", name)
	}
	if fn.Pkg == m.pkg {
		m.lines[name] = m.Program.lines(fn)
	}
	f := &frame{fn: fn, env: map[ssa.Value]Value{}, before: before, state: st.clone(), visits: map[*ssa.BasicBlock]int{}, steps: new(int)}
	for i, p := range fn.Params {
		f.env[p] = args[i]
	}
	return m.block(f, fn.Blocks[0], nil, 0)
}

// joined merges outcomes, each into the first that it can be merged with.
func joined(outs []outcome) []outcome {
	var done []outcome
next:
	for i := len(outs) - 1; i >= 0; i-- {
		o := outs[i]
		c := smt.All(o.path...)
		for j, d := range done {
			result, ok := merge(c, o.result, d.result)
			if !ok {
				continue
			}
			state, ok := mergeStates(c, o.state, d.state)
			if !ok {
				continue
			}
			done[j] = outcome{path: []*smt.Term{smt.Any(c, smt.All(d.path...))}, state: state, result: result}
			continue next
		}
		done = append(done, o)
	}
	if len(done) == 1 {
		done[0].path = nil // all ways that return
	}
	return done
}

// block runs a block from instruction i on, coming from block prev.
func (m *Machine) block(f *frame, b, prev *ssa.BasicBlock, i int) []outcome {
	for ; i < len(b.Instrs); i++ {
		in := b.Instrs[i]
		if *f.steps++; *f.steps > maxSteps {
			m.refuse(in.Pos(), "more than %d steps", maxSteps)
		}
		switch in := in.(type) {
		case *ssa.Phi:
			// All phis of a block read the values from before it.
			values := map[ssa.Value]Value{}
			at := slices.Index(b.Preds, prev)
			for ; i < len(b.Instrs); i++ {
				phi, ok := b.Instrs[i].(*ssa.Phi)
				if !ok {
					break
				}
				values[phi] = m.value(f, phi.Edges[at])
			}
			maps.Copy(f.env, values)
			i--
		case *ssa.Jump:
			return m.block(f, b.Succs[0], b, 0)
		case *ssa.If:
			c := m.term(f, in.Cond)
			if _, ok := c.Value(); !ok {
				c = smt.Simplify(c, append(slices.Clone(f.before), f.path...))
			}
			if c == smt.True {
				return m.block(f, b.Succs[0], b, 0)
			}
			if c == smt.False {
				return m.block(f, b.Succs[1], b, 0)
			}
			if f.visits[b]++; f.visits[b] > maxVisits {
				m.refuse(in.Cond.Pos(), "a loop whose end does not follow from constants")
			}
			g := f.clone()
			f.path = append(f.path, c)
			g.path = append(g.path, smt.Not(c))
			outs := m.block(f, b.Succs[0], b, 0)
			return append(outs, m.block(g, b.Succs[1], b, 0)...)
		case *ssa.Return:
			var result Value
			switch len(in.Results) {
			case 0:
			case 1:
				result = m.value(f, in.Results[0])
			default:
				var t Tuple
				for _, r := range in.Results {
					t = append(t, m.value(f, r))
				}
				result = t
			}
			return []outcome{{path: f.path, state: f.state, result: result}}
		case *ssa.Panic:
			m.oblige(f, in.Pos(), "panic", smt.False)
			return nil
		case *ssa.Call:
			outs := m.callInstr(f, in)
			if len(outs) == 0 {
				return nil
			}
			path := f.path
			var all []outcome
			for n, o := range outs {
				g := f
				if n < len(outs)-1 {
					g = f.clone()
				}
				g.state, g.path = o.state, append(slices.Clone(path), o.path...)
				g.env[in] = o.result
				if len(outs) > 1 {
					all = append(all, m.block(g, b, prev, i+1)...)
				}
			}
			if len(outs) > 1 {
				return all
			}
		case *ssa.Store:
			m.store(f, in.Pos(), m.value(f, in.Addr), m.value(f, in.Val))
		case *ssa.DebugRef:
		case ssa.Value:
			f.env[in] = m.eval(f, in)
		default:
			m.refuse(in.Pos(), "%T", in)
		}
	}
	panic("a block without an end")
}

// oblige records that c must hold on this path.
func (m *Machine) oblige(f *frame, pos token.Pos, what string, c *smt.Term) {
	if c == smt.True {
		return
	}
	if !pos.IsValid() {
		pos = f.fn.Pos()
	}
	path := smt.All(append(slices.Clone(f.before), f.path...)...)
	m.Obligations = append(m.Obligations, Obligation{m.place(pos), what, smt.Implies(path, c)})
}

// callInstr runs the function that an instruction calls.
func (m *Machine) callInstr(f *frame, in *ssa.Call) []outcome {
	common := in.Common()
	var args []Value
	for _, a := range common.Args {
		args = append(args, m.value(f, a))
	}
	if b, ok := common.Value.(*ssa.Builtin); ok {
		return []outcome{{state: f.state, result: m.builtin(f, in, b.Name(), args)}}
	}
	callee := common.StaticCallee()
	if callee == nil || common.IsInvoke() {
		m.refuse(in.Pos(), "a call of a function that is not known before")
	}
	if f.fn == callee {
		m.refuse(in.Pos(), "a recursive call of %s", callee.Name())
	}
	return m.call(callee, f.state, args, append(slices.Clone(f.before), f.path...))
}

func (m *Machine) builtin(f *frame, in *ssa.Call, name string, args []Value) Value {
	switch name {
	case "len", "cap":
		if s, ok := args[0].(Slice); ok {
			if name == "len" {
				return s.Len
			}
			return s.Cap
		}
	case "min", "max":
		_, signed, ok := m.width(in.Type())
		if ok {
			r := args[0].(*smt.Term)
			for _, a := range args[1:] {
				a := a.(*smt.Term)
				less := smt.Ult(a, r)
				if signed {
					less = smt.Slt(a, r)
				}
				if name == "max" {
					less = smt.Not(less)
				}
				r = smt.Ite(less, a, r)
			}
			return r
		}
	case "copy":
		// All of a source of known length.
		to, ok1 := args[0].(Slice)
		from, ok2 := args[1].(Slice)
		if ok1 && ok2 && to.Obj != nil && from.Obj != nil && to.Obj.at == nil && from.Obj.at == nil {
			if n, ok := from.Len.Value(); ok {
				m.oblige(f, in.Pos(), "copy to a shorter slice", smt.Sle(from.Len, to.Len))
				src, dst := m.fixedOffset(f, in.Pos(), from.Off), m.fixedOffset(f, in.Pos(), to.Off)
				was := f.state.clone()
				for i := range int(n) {
					f.state.SetByte(to.Obj, dst+i, was.Byte(from.Obj, src+i))
				}
				return from.Len
			}
		}
	case "ssa:wrapnilchk":
		return args[0]
	}
	m.refuse(in.Pos(), "the builtin %s of %s", name, in.Call.Args[0].Type())
	return nil
}

// Why returns the reason why a function is not translated: what the translator refuses if
// it is called with variables, or "not asked".
func (p *Program) Why(name string) (why string) {
	defer func() {
		if r := recover(); r != nil {
			why = fmt.Sprint(r)
		}
	}()
	m := p.NewMachine()
	fn := p.function(name)
	var args []Value
	for _, param := range fn.Params {
		t := param.Type()
		if ptr, ok := t.Underlying().(*types.Pointer); ok {
			args = append(args, Cell(param.Name(), p.Symbolic(param.Name(), ptr.Elem())))
			continue
		}
		args = append(args, p.Symbolic(param.Name(), t))
	}
	if _, _, err := m.Call(name, NewState(), args...); err != nil {
		return strings.TrimPrefix(err.Error(), name+": ")
	}
	return "no theorem is about it"
}
