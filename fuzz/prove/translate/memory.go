// SPDX-License-Identifier: MIT

package translate

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"

	"tunproof/fuzz/prove/smt"
)

func (m *Machine) alloc(f *frame, v *ssa.Alloc) Value {
	t := v.Type().(*types.Pointer).Elem()
	if a, ok := t.Underlying().(*types.Array); ok && isByte(a.Elem()) {
		return Bytes{&Object{Name: v.Comment, zero: true}, 0, int(a.Len())}
	}
	o := &Object{Name: v.Comment}
	f.state.cells[o] = m.zeroValue(t)
	return Pointer{Obj: o}
}

func (m *Machine) pointer(f *frame, pos token.Pos, v ssa.Value) Pointer {
	if g, ok := v.(*ssa.Global); ok {
		// A copy: nothing writes through it, since nothing assigns the variable.
		o := &Object{Name: g.Name(), init: m.global(pos, g)}
		return Pointer{Obj: o}
	}
	p, ok := m.value(f, v).(Pointer)
	if !ok {
		m.refuse(pos, "%s is no pointer that is known", v)
	}
	if p.Obj == nil {
		m.oblige(f, pos, "nil pointer", smt.False)
		m.refuse(pos, "a nil pointer")
	}
	return p
}

func (m *Machine) store(f *frame, pos token.Pos, addr, v Value) {
	switch p := addr.(type) {
	case Pointer:
		if p.Obj == nil {
			m.refuse(pos, "a store to a nil pointer")
		}
		f.state.cells[p.Obj] = set(f.state.Cell(p.Obj), p.path, v)
		return
	case Bytes:
		if p.n < 0 {
			f.state.SetByte(p.Obj, p.off, v.(*smt.Term))
			return
		}
		for i, b := range v.(*Struct).Fields {
			f.state.SetByte(p.Obj, p.off+i, b.(*smt.Term))
		}
		return
	}
	m.refuse(pos, "a store to %T", addr)
}

func (m *Machine) load(f *frame, pos token.Pos, v ssa.Value) Value {
	if g, ok := v.(*ssa.Global); ok {
		return m.global(pos, g)
	}
	switch p := m.value(f, v).(type) {
	case Pointer:
		if p.Obj == nil {
			m.refuse(pos, "a nil pointer")
		}
		return get(f.state.Cell(p.Obj), p.path)
	case Bytes:
		if p.n < 0 {
			return f.state.Byte(p.Obj, p.off)
		}
		var s Struct
		for i := range p.n {
			s.Fields = append(s.Fields, f.state.Byte(p.Obj, p.off+i))
		}
		return &s
	}
	m.refuse(pos, "a load through %s", v)
	return nil
}

func (m *Machine) indexAddr(f *frame, v *ssa.IndexAddr) Value {
	i := m.term(f, v.Index)
	_, signed, _ := m.width(v.Index.Type())
	if i.Width < m.intWidth && signed {
		i = smt.Sext(i, m.intWidth)
	}
	i = smt.Resize(i, m.intWidth)
	inRange := func(n *smt.Term) {
		m.oblige(f, v.Pos(), "index out of range", smt.All(smt.Sle(smt.Const(m.intWidth, 0), i), smt.Slt(i, n)))
	}
	switch x := m.value(f, v.X).(type) {
	case Bytes:
		inRange(smt.Const(m.intWidth, uint64(x.n)))
		return Bytes{x.Obj, x.off + m.fixedOffset(f, v.Pos(), i), -1}
	case Pointer: // to an array in a cell
		s, ok := get(f.state.Cell(x.Obj), x.path).(*Struct)
		if !ok {
			m.refuse(v.Pos(), "an index of %s", v.X.Type())
		}
		inRange(smt.Const(m.intWidth, uint64(len(s.Fields))))
		return Pointer{x.Obj, append(slices.Clone(x.path), m.fixedOffset(f, v.Pos(), i))}
	case Slice:
		inRange(x.Len)
		if x.Obj == nil {
			m.refuse(v.Pos(), "an index of a nil slice")
		}
		at := smt.Add(x.Off, i)
		if x.Obj.at == nil && x.base == nil {
			return Bytes{x.Obj, m.fixedOffset(f, v.Pos(), at), -1}
		}
		if x.base != nil {
			return Pointer{x.Obj, append(slices.Clone(x.base[1:]), m.fixedOffset(f, v.Pos(), at))}
		}
		cell := x.Obj.at[at]
		if cell == nil {
			name := fmt.Sprintf("%s[%s]", x.Obj.Name, nameOf(at))
			cell = &Object{Name: name, init: m.Symbolic(name, x.Obj.elem)}
			x.Obj.at[at] = cell
		}
		return Pointer{Obj: cell}
	}
	if g, ok := v.X.(*ssa.Global); ok {
		p := m.pointer(f, v.Pos(), g)
		return Pointer{p.Obj, []int{m.fixedOffset(f, v.Pos(), i)}}
	}
	m.refuse(v.Pos(), "an index of %s", v.X.Type())
	return nil
}

func nameOf(t *smt.Term) string {
	if n, ok := smt.Root(t).Name(); ok {
		return n
	}
	return fmt.Sprint(t.ID())
}

// Elements returns the cells of a slice's elements that were used, by index.
func Elements(s Slice) map[*smt.Term]*Object { return s.Obj.at }

// SetElement gives an element of a slice a value that it has from the beginning.
func (m *Machine) SetElement(s Slice, index *smt.Term, v Value) {
	i := index
	if i.Width < m.intWidth {
		i = smt.Sext(i, m.intWidth)
	}
	s.Obj.at[i] = &Object{Name: s.Obj.Name + "[" + nameOf(i) + "]", init: v}
}

func (m *Machine) slice(f *frame, v *ssa.Slice) Value {
	var s Slice
	switch x := m.value(f, v.X).(type) {
	case Slice:
		s = x
	case Bytes:
		n := smt.Const(m.intWidth, uint64(x.n))
		s = Slice{Obj: x.Obj, Off: smt.Const(m.intWidth, uint64(x.off)), Len: n, Cap: n}
	case Pointer:
		a, ok := get(f.state.Cell(x.Obj), x.path).(*Struct)
		if !ok {
			m.refuse(v.Pos(), "a slice of %s", v.X.Type())
		}
		n := smt.Const(m.intWidth, uint64(len(a.Fields)))
		s = Slice{Obj: x.Obj, base: append([]int{0}, x.path...), Off: smt.Const(m.intWidth, 0), Len: n, Cap: n}
	default:
		m.refuse(v.Pos(), "a slice of %s", v.X.Type())
	}
	bound := func(e ssa.Value, def *smt.Term) *smt.Term {
		if e == nil {
			return def
		}
		return smt.Resize(m.term(f, e), m.intWidth)
	}
	low, high, most := bound(v.Low, smt.Const(m.intWidth, 0)), bound(v.High, s.Len), bound(v.Max, s.Cap)
	m.oblige(f, v.Pos(), "slice out of range", smt.All(smt.Sle(smt.Const(m.intWidth, 0), low), smt.Sle(low, high), smt.Sle(high, most), smt.Sle(most, s.Cap)))
	s.Off, s.Len, s.Cap = smt.Add(s.Off, low), smt.Sub(high, low), smt.Sub(most, low)
	return s
}
