// SPDX-License-Identifier: MIT

package translate

import (
	"go/constant"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"

	"tunproof/fuzz/prove/smt"
)

// value returns the value of an operand.
func (m *Machine) value(f *frame, v ssa.Value) Value {
	switch v := v.(type) {
	case *ssa.Const:
		return m.constant(v)
	case *ssa.Global:
		return v
	case *ssa.Function, *ssa.Builtin:
		return Opaque{v.Name()}
	}
	r, ok := f.env[v]
	if !ok {
		m.refuse(v.Pos(), "%s has no value", v.Name())
	}
	return r
}

func (m *Machine) constant(c *ssa.Const) Value {
	w, _, ok := m.width(c.Type())
	if c.Value == nil || !ok {
		if c.Value != nil {
			return Opaque{c.String()}
		}
		return m.zeroValue(c.Type())
	}
	if w == 0 {
		return smt.Bool(constant.BoolVal(c.Value))
	}
	if i, ok := constant.Int64Val(constant.ToInt(c.Value)); ok {
		return smt.Const(w, uint64(i))
	}
	u, _ := constant.Uint64Val(constant.ToInt(c.Value))
	return smt.Const(w, u)
}

func (m *Machine) term(f *frame, v ssa.Value) *smt.Term {
	t, ok := m.value(f, v).(*smt.Term)
	if !ok {
		m.refuse(v.Pos(), "%s of type %s is no number", v.Name(), v.Type())
	}
	return t
}

// global returns the first value of a package variable, which nothing changes.
func (m *Machine) global(pos token.Pos, g *ssa.Global) Value {
	t := g.Type().(*types.Pointer).Elem()
	if v, ok := m.globals[g]; ok {
		return v
	}
	if m.assigned[g] {
		m.refuse(pos, "the variable %s, which is assigned", g.Name())
	}
	if types.Identical(t, types.Universe.Lookup("error").Type()) {
		return m.Error(g.Name())
	}
	if s, ok := t.Underlying().(*types.Struct); ok && s.NumFields() == 0 {
		return &Struct{}
	}
	g.Pkg.Build()
	init := g.Pkg.Func("init")
	for _, b := range init.Blocks {
		for _, in := range b.Instrs {
			if s, ok := in.(*ssa.Store); ok && s.Addr == g {
				v := m.initial(pos, s.Val)
				m.globals[g] = v
				return v
			}
		}
	}
	if g.Pkg.Pkg.Path() == "encoding/binary" {
		return m.zeroValue(t) // the byte orders
	}
	m.refuse(pos, "the variable %s", g.Name())
	return nil
}

// initial evaluates what a package variable starts with: a call without arguments.
func (m *Machine) initial(pos token.Pos, v ssa.Value) Value {
	if c, ok := v.(*ssa.Const); ok {
		return m.constant(c)
	}
	if c, ok := v.(*ssa.Call); ok && len(c.Call.Args) == 0 && c.Call.StaticCallee() != nil {
		outs := m.call(c.Call.StaticCallee(), NewState(), nil, nil)
		if len(outs) == 1 {
			return outs[0].result
		}
	}
	m.refuse(pos, "a variable with the first value %s", v)
	return nil
}

// eval evaluates an instruction that has a value.
func (m *Machine) eval(f *frame, v ssa.Value) Value {
	switch v := v.(type) {
	case *ssa.Alloc:
		return m.alloc(f, v)
	case *ssa.BinOp:
		return m.binary(f, v)
	case *ssa.UnOp:
		return m.unary(f, v)
	case *ssa.ChangeType:
		return m.value(f, v.X)
	case *ssa.Convert:
		x := m.term(f, v.X)
		_, signed, _ := m.width(v.X.Type())
		w, _, ok := m.width(v.Type())
		if !ok {
			m.refuse(v.Pos(), "a conversion to %s", v.Type())
		}
		if w > x.Width && signed {
			return smt.Sext(x, w)
		}
		return smt.Resize(x, w)
	case *ssa.Extract:
		return m.value(f, v.Tuple).(Tuple)[v.Index]
	case *ssa.Field:
		s, ok := m.value(f, v.X).(*Struct)
		if !ok {
			m.refuse(v.Pos(), "a field of %s", v.X.Type())
		}
		return s.Fields[v.Field]
	case *ssa.FieldAddr:
		p := m.pointer(f, v.Pos(), v.X)
		return Pointer{p.Obj, append(slices.Clone(p.path), v.Field)}
	case *ssa.Index:
		s, ok := m.value(f, v.X).(*Struct)
		i, isConst := m.term(f, v.Index).Value()
		if !ok || !isConst || i >= uint64(len(s.Fields)) {
			m.refuse(v.Pos(), "an index of %s", v.X.Type())
		}
		return s.Fields[i]
	case *ssa.IndexAddr:
		return m.indexAddr(f, v)
	case *ssa.Slice:
		return m.slice(f, v)
	case *ssa.SliceToArrayPointer:
		s, ok := m.value(f, v.X).(Slice)
		if !ok || len(s.base) != 0 || s.Obj == nil || s.Obj.at != nil {
			m.refuse(v.Pos(), "an array pointer of %s", v.X.Type())
		}
		n := v.Type().Underlying().(*types.Pointer).Elem().Underlying().(*types.Array).Len()
		m.oblige(f, v.Pos(), "slice shorter than array", smt.Sle(smt.Const(m.intWidth, uint64(n)), s.Len))
		return Bytes{s.Obj, m.fixedOffset(f, v.Pos(), s.Off), int(n)}
	case *ssa.MakeInterface:
		if g, ok := m.value(f, v.X).(*smt.Term); ok && v.Type().String() == "error" {
			return g
		}
	}
	m.refuse(v.Pos(), "%T: %s", v, v)
	return nil
}

// fixedOffset returns an offset that must be a constant.
func (m *Machine) fixedOffset(f *frame, pos token.Pos, t *smt.Term) int {
	if _, ok := t.Value(); !ok {
		t = smt.Simplify(t, append(slices.Clone(f.before), f.path...))
	}
	v, ok := t.Value()
	if !ok {
		m.refuse(pos, "bytes at an offset that does not follow from constants")
	}
	return int(v)
}

func (m *Machine) unary(f *frame, v *ssa.UnOp) Value {
	if v.Op == token.MUL {
		return m.load(f, v.Pos(), v.X)
	}
	x := m.term(f, v.X)
	switch v.Op {
	case token.NOT, token.XOR:
		return smt.Not(x)
	case token.SUB:
		return smt.Sub(smt.Const(x.Width, 0), x)
	}
	m.refuse(v.Pos(), "the operator %s", v.Op)
	return nil
}

var arithmetic = map[token.Token][2]string{ // without and with a sign
	token.ADD: {"bvadd", "bvadd"}, token.SUB: {"bvsub", "bvsub"}, token.MUL: {"bvmul", "bvmul"},
	token.QUO: {"bvudiv", "bvsdiv"}, token.REM: {"bvurem", "bvsrem"},
	token.AND: {"bvand", "bvand"}, token.OR: {"bvor", "bvor"}, token.XOR: {"bvxor", "bvxor"},
	token.SHL: {"bvshl", "bvshl"}, token.SHR: {"bvlshr", "bvashr"},
}

func (m *Machine) binary(f *frame, v *ssa.BinOp) Value {
	a, b := m.value(f, v.X), m.value(f, v.Y)
	if v.Op == token.EQL || v.Op == token.NEQ {
		eq, ok := m.equal(a, b)
		if !ok {
			m.refuse(v.Pos(), "a comparison of %s", v.X.Type())
		}
		if v.Op == token.NEQ {
			return smt.Not(eq)
		}
		return eq
	}
	x, ok1 := a.(*smt.Term)
	y, ok2 := b.(*smt.Term)
	w, signed, ok := m.width(v.X.Type())
	if !ok || !ok1 || !ok2 {
		m.refuse(v.Pos(), "the operator %s of %s", v.Op, v.X.Type())
	}
	less, le := smt.Ult, smt.Ule
	if signed {
		less, le = smt.Slt, smt.Sle
	}
	switch v.Op {
	case token.LSS:
		return less(x, y)
	case token.LEQ:
		return le(x, y)
	case token.GTR:
		return less(y, x)
	case token.GEQ:
		return le(y, x)
	case token.AND_NOT:
		return smt.And(x, smt.Not(y))
	case token.SHL, token.SHR:
		if n, ok := y.Value(); ok { // any type, and any size
			y = smt.Const(w, min(n, uint64(w)))
		} else if y.Width > w {
			m.refuse(v.Pos(), "a shift by a number of more bits")
		}
		y = smt.Zext(y, w)
	case token.QUO, token.REM:
		m.oblige(f, v.Pos(), "division by zero", smt.Not(smt.Eq(y, smt.Const(w, 0))))
	}
	ops, ok := arithmetic[v.Op]
	if !ok {
		m.refuse(v.Pos(), "the operator %s", v.Op)
	}
	op := ops[0]
	if signed {
		op = ops[1]
	}
	r := smt.Op(op, x, y)
	if b, ok := v.X.Type().Underlying().(*types.Basic); ok && m.Overflow && b.Kind() == types.Int {
		switch v.Op {
		case token.ADD, token.SUB, token.MUL:
			wide := smt.Op(op, smt.Sext(x, 2*w), smt.Sext(y, 2*w))
			m.oblige(f, v.Pos(), "overflow of int", smt.Eq(wide, smt.Sext(r, 2*w)))
		}
	}
	return r
}

// equal compares two values of one type.
func (m *Machine) equal(a, b Value) (*smt.Term, bool) {
	switch a := a.(type) {
	case *smt.Term:
		b, ok := b.(*smt.Term)
		if !ok {
			return nil, false
		}
		return smt.Eq(a, b), true
	case *Struct:
		b, ok := b.(*Struct)
		if !ok || len(a.Fields) != len(b.Fields) {
			return nil, false
		}
		r := smt.True
		for i := range a.Fields {
			eq, ok := m.equal(a.Fields[i], b.Fields[i])
			if !ok {
				return nil, false
			}
			r = smt.All(r, eq)
		}
		return r, true
	case Pointer:
		b, ok := b.(Pointer)
		if ok && (a.Obj == nil || b.Obj == nil) {
			return smt.Bool(a.Obj == b.Obj), true
		}
	}
	return nil, false
}
