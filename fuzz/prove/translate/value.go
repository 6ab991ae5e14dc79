// SPDX-License-Identifier: MIT

package translate

import (
	"fmt"
	"go/types"
	"maps"
	"reflect"
	"slices"
	"strings"

	"tunproof/fuzz/prove/smt"
)

// Value is a *smt.Term (an integer, a boolean, or an error by its number), *Struct,
// Pointer, Bytes, Slice, Tuple or Opaque.
type Value any

// Struct has the fields of a struct or the elements of an array. It does not change.
type Struct struct{ Fields []Value }

// Pointer points into a cell. The zero value is nil.
type Pointer struct {
	Obj  *Object
	path []int
}

// Bytes points to an array of n bytes, or to one byte if n is -1.
type Bytes struct {
	Obj    *Object
	off, n int
}

// Slice is a slice of bytes, of an array in a cell (base), or of elements that are known
// by their index.
type Slice struct {
	Obj           *Object
	base          []int
	Off, Len, Cap *smt.Term
}

// Tuple is the results of a function.
type Tuple []Value

// Opaque is a value that nothing may be done with.
type Opaque struct{ what string }

// Object is memory: a cell of one value, bytes, or the elements of a slice.
type Object struct {
	Name string
	init Value                 // of a cell
	zero bool                  // of bytes: they are zero, and not variables
	elem types.Type            // of elements
	at   map[*smt.Term]*Object // of elements: a cell for each index
}

// State is the content of memory.
type State struct {
	cells map[*Object]Value
	bytes map[*Object]map[int]*smt.Term
}

// NewState returns a memory in which everything has its first value.
func NewState() *State {
	return &State{cells: map[*Object]Value{}, bytes: map[*Object]map[int]*smt.Term{}}
}

func (s *State) clone() *State {
	return &State{cells: maps.Clone(s.cells), bytes: maps.Clone(s.bytes)}
}

// Cell returns the value of a cell.
func (s *State) Cell(o *Object) Value {
	if v, ok := s.cells[o]; ok {
		return v
	}
	return o.init
}

// Byte returns the byte at offset i.
func (s *State) Byte(o *Object, i int) *smt.Term {
	if v := s.bytes[o][i]; v != nil {
		return v
	}
	if o.zero {
		return smt.Const(8, 0)
	}
	return smt.Var(fmt.Sprintf("%s[%d]", o.Name, i), 8)
}

// Equal says that two values of one type are equal: every number in them, and of slices the
// memory, the place and the length.
func Equal(a, b Value) *smt.Term {
	switch a := a.(type) {
	case *smt.Term:
		return smt.Eq(a, b.(*smt.Term))
	case *Struct:
		same := smt.True
		for i, f := range a.Fields {
			same = smt.All(same, Equal(f, b.(*Struct).Fields[i]))
		}
		return same
	case Slice:
		c := b.(Slice)
		return smt.All(smt.Bool(a.Obj == c.Obj), smt.Eq(a.Off, c.Off), smt.Eq(a.Len, c.Len), smt.Eq(a.Cap, c.Cap))
	}
	return smt.Bool(reflect.DeepEqual(a, b))
}

// Unchanged says that all memory is as it was in the state before, but for the objects
// named. Memory that was allocated since does not count.
func (s *State) Unchanged(before *State, but ...*Object) *smt.Term {
	same := smt.True
	for _, o := range byName(s.cells) {
		if _, was := before.cells[o]; (was || o.init != nil) && !slices.Contains(but, o) {
			same = smt.All(same, Equal(s.cells[o], before.Cell(o)))
		}
	}
	for _, o := range byName(s.bytes) {
		if _, was := before.bytes[o]; (was || !o.zero) && !slices.Contains(but, o) {
			for _, i := range s.Stored(o) {
				same = smt.All(same, smt.Eq(s.bytes[o][i], before.Byte(o, i)))
			}
		}
	}
	return same
}

// byName returns the objects of a map in the order of their names, so that a question has
// the same text each time.
func byName[T any](m map[*Object]T) []*Object {
	return slices.SortedFunc(maps.Keys(m), func(a, b *Object) int { return strings.Compare(a.Name, b.Name) })
}

// Stored returns the offsets of the bytes of an object that were stored, in order.
func (s *State) Stored(o *Object) []int { return slices.Sorted(maps.Keys(s.bytes[o])) }

// SetByte stores a byte.
func (s *State) SetByte(o *Object, i int, v *smt.Term) {
	m := maps.Clone(s.bytes[o])
	if m == nil {
		m = map[int]*smt.Term{}
	}
	m[i] = v
	s.bytes[o] = m
}

// get and set follow a path into a value.
func get(v Value, path []int) Value {
	for _, i := range path {
		v = v.(*Struct).Fields[i]
	}
	return v
}

func set(v Value, path []int, to Value) Value {
	if len(path) == 0 {
		return to
	}
	old := v.(*Struct)
	fields := append([]Value(nil), old.Fields...)
	fields[path[0]] = set(fields[path[0]], path[1:], to)
	return &Struct{fields}
}

// Field returns the value of a field, such as "size" or "layout.hdrLen".
func Field(v Value, t types.Type, name string) Value {
	path, _ := fieldPath(t, name)
	return get(v, path)
}

// SetField returns v with another value of a field.
func SetField(v Value, t types.Type, name string, to Value) Value {
	path, _ := fieldPath(t, name)
	return set(v, path, to)
}

func fieldPath(t types.Type, name string) ([]int, types.Type) {
	var path []int
	for part := range strings.SplitSeq(name, ".") {
		s := t.Underlying().(*types.Struct)
		found := false
		for i := range s.NumFields() {
			if s.Field(i).Name() == part {
				path, t, found = append(path, i), s.Field(i).Type(), true
				break
			}
		}
		if !found {
			panic(fmt.Sprintf("%s has no field %s", t, part))
		}
	}
	return path, t
}

// Cell returns a cell with the value, and a pointer to it.
func Cell(name string, v Value) Pointer { return Pointer{Obj: &Object{Name: name, init: v}} }

// Packet returns a slice of the given length over bytes that are the variables name[0],
// name[1] and so on.
func Packet(name string, length *smt.Term) Slice {
	return Slice{Obj: &Object{Name: name}, Off: smt.Const(length.Width, 0), Len: length, Cap: length}
}

// width returns the width in bits of a type that is a *smt.Term, and whether it has a
// sign.
func (p *Program) width(t types.Type) (width int, signed, ok bool) {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch u.Kind() {
		case types.Bool, types.UntypedBool:
			return 0, false, true
		case types.Int:
			return p.intWidth, true, true
		case types.Uint, types.Uintptr:
			return p.intWidth, false, true
		case types.Int8:
			return 8, true, true
		case types.Int16:
			return 16, true, true
		case types.Int32:
			return 32, true, true
		case types.Int64:
			return 64, true, true
		case types.Uint8:
			return 8, false, true
		case types.Uint16:
			return 16, false, true
		case types.Uint32:
			return 32, false, true
		case types.Uint64:
			return 64, false, true
		}
	case *types.Interface:
		if types.Identical(t, types.Universe.Lookup("error").Type()) {
			return 16, false, true // the number of a package variable, 0 for nil
		}
	}
	return 0, false, false
}

func isByte(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.Uint8
}

// Symbolic returns a value of type t whose parts are variables. They are called name and
// the path of fields; fields of an embedded struct are called as if they were not in one.
func (p *Program) Symbolic(name string, t types.Type) Value {
	if w, _, ok := p.width(t); ok {
		return smt.Var(name, w)
	}
	switch u := t.Underlying().(type) {
	case *types.Struct:
		var s Struct
		for i := range u.NumFields() {
			f := u.Field(i)
			field := name + "." + f.Name()
			if f.Embedded() {
				field = name
			}
			s.Fields = append(s.Fields, p.Symbolic(field, f.Type()))
		}
		return &s
	case *types.Array:
		if u.Len() > 64 {
			return Opaque{name}
		}
		var s Struct
		for i := range u.Len() {
			s.Fields = append(s.Fields, p.Symbolic(fmt.Sprintf("%s[%d]", name, i), u.Elem()))
		}
		return &s
	case *types.Slice:
		length := smt.Var("len("+name+")", p.intWidth)
		s := Packet(name, length)
		if !isByte(u.Elem()) {
			s.Obj.elem, s.Obj.at = u.Elem(), map[*smt.Term]*Object{}
		}
		return s
	}
	return Opaque{name}
}

// zeroValue returns the zero value of type t.
func (p *Program) zeroValue(t types.Type) Value {
	if w, _, ok := p.width(t); ok {
		return smt.Const(w, 0)
	}
	switch u := t.Underlying().(type) {
	case *types.Struct:
		var s Struct
		for i := range u.NumFields() {
			s.Fields = append(s.Fields, p.zeroValue(u.Field(i).Type()))
		}
		return &s
	case *types.Array:
		var s Struct
		for range u.Len() {
			s.Fields = append(s.Fields, p.zeroValue(u.Elem()))
		}
		return &s
	case *types.Pointer:
		return Pointer{}
	case *types.Slice:
		none := smt.Const(p.intWidth, 0)
		return Slice{Off: none, Len: none, Cap: none}
	case *types.Tuple:
		var ts Tuple
		for i := range u.Len() {
			ts = append(ts, p.zeroValue(u.At(i).Type()))
		}
		return ts
	}
	return Opaque{"zero " + t.String()}
}

// merge returns the value that is a if c is true and else b, and whether there is one.
func merge(c *smt.Term, a, b Value) (Value, bool) {
	switch a := a.(type) {
	case *smt.Term:
		b, ok := b.(*smt.Term)
		if !ok || a.Width != b.Width {
			return nil, false
		}
		return smt.Ite(c, a, b), true
	case *Struct:
		b, ok := b.(*Struct)
		if !ok || len(a.Fields) != len(b.Fields) {
			return nil, false
		}
		if a == b {
			return a, true
		}
		fields, ok := mergeAll(c, a.Fields, b.Fields)
		return &Struct{fields}, ok
	case Tuple:
		b, ok := b.(Tuple)
		if !ok || len(a) != len(b) {
			return nil, false
		}
		vs, ok := mergeAll(c, a, b)
		return Tuple(vs), ok
	case Slice:
		b, ok := b.(Slice)
		if !ok || a.Obj != b.Obj || len(a.base) != 0 || len(b.base) != 0 {
			return nil, false
		}
		return Slice{Obj: a.Obj, Off: smt.Ite(c, a.Off, b.Off), Len: smt.Ite(c, a.Len, b.Len), Cap: smt.Ite(c, a.Cap, b.Cap)}, true
	case Pointer:
		b, ok := b.(Pointer)
		return a, ok && a.Obj == b.Obj && fmt.Sprint(a.path) == fmt.Sprint(b.path)
	case Bytes:
		return a, a == b
	case Opaque:
		return a, a == b
	}
	return a, a == nil && b == nil
}

func mergeAll(c *smt.Term, as, bs []Value) ([]Value, bool) {
	var out []Value
	for i := range as {
		v, ok := merge(c, as[i], bs[i])
		if !ok {
			return nil, false
		}
		out = append(out, v)
	}
	return out, true
}

// mergeStates returns the memory that is a if c is true and else b.
func mergeStates(c *smt.Term, a, b *State) (*State, bool) {
	out := a.clone()
	for o := range b.cells {
		if _, ok := a.cells[o]; !ok {
			if o.init == nil {
				out.cells[o] = b.cells[o] // made on b's path only
				continue
			}
			out.cells[o] = o.init
		}
	}
	for o, v := range out.cells {
		w := b.Cell(o)
		if w == nil {
			continue
		}
		m, ok := merge(c, v, w)
		if !ok {
			return nil, false
		}
		out.cells[o] = m
	}
	for o := range b.bytes {
		for i := range b.bytes[o] {
			if out.bytes[o][i] == nil {
				out.SetByte(o, i, a.Byte(o, i))
			}
		}
	}
	for o, m := range out.bytes {
		for i, v := range m {
			out.SetByte(o, i, smt.Ite(c, v, b.Byte(o, i)))
		}
	}
	return out, true
}

// Zero returns the zero value of a type.
func (p *Program) Zero(t types.Type) Value { return p.zeroValue(t) }

// Clone returns a copy of the memory.
func (s *State) Clone() *State { return s.clone() }

// First returns the value that a cell has from the beginning.
func (o *Object) First() Value { return o.init }

// Element returns the value that element i of a slice has from the beginning.
func Element(s Slice, i *smt.Term, intWidth int) Value {
	if i.Width < intWidth {
		i = smt.Sext(i, intWidth)
	}
	return s.Obj.at[i].init
}
