// SPDX-License-Identifier: MIT

// Package smt builds terms of bit-vectors and booleans, prints them as SMT-LIB 2, and
// asks z3 about them.
package smt

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// Term is a term. Terms that are built alike are the same pointer.
type Term struct {
	op    string // as in SMT-LIB; "const", "var", "apply"
	Width int    // in bits; 0 is a boolean
	value uint64 // of a constant; of extract and extend: the parameters
	name  string // of a variable or function
	args  []*Term
	id    int
}

var (
	mu    sync.Mutex // guards the following
	terms = map[string]*Term{}
	// functions has the declaration of each function that has no definition.
	functions = map[string]string{}
)

func intern(t Term) *Term {
	var key strings.Builder
	fmt.Fprintf(&key, "%s|%d|%d|%s", t.op, t.Width, t.value, t.name)
	for _, a := range t.args {
		fmt.Fprintf(&key, "|%d", a.id)
	}
	mu.Lock()
	defer mu.Unlock()
	if old := terms[key.String()]; old != nil {
		return old
	}
	t.id = len(terms)
	terms[key.String()] = &t
	return &t
}

// True and False are the boolean constants.
var (
	True  = Const(0, 1)
	False = Const(0, 0)
)

func mask(width int) uint64 {
	if width == 0 {
		return 1
	}
	if width >= 64 {
		return ^uint64(0)
	}
	return 1<<width - 1
}

// Const returns a constant. One of more than 64 bits has zeros in front.
func Const(width int, value uint64) *Term {
	return intern(Term{op: "const", Width: width, value: value & mask(width)})
}

// Bool returns a boolean constant.
func Bool(b bool) *Term {
	if b {
		return True
	}
	return False
}

// Var returns the variable of that name.
func Var(name string, width int) *Term { return intern(Term{op: "var", Width: width, name: name}) }

// Apply applies the function of that name, of which nothing is known.
func Apply(name string, width int, args ...*Term) *Term {
	var sorts []string
	for _, a := range args {
		sorts = append(sorts, a.sort())
		name += fmt.Sprintf(".%d", a.Width)
	}
	declaration := fmt.Sprintf("(declare-fun |%s| (%s) %s)", name, strings.Join(sorts, " "), (&Term{Width: width}).sort())
	mu.Lock()
	functions[name] = declaration
	mu.Unlock()
	return intern(Term{op: "apply", Width: width, name: name, args: args})
}

// Value returns the value of a constant.
func (t *Term) Value() (uint64, bool) { return t.value, t.op == "const" && t.Width <= 64 }

// Name returns the name of a variable.
func (t *Term) Name() (string, bool) { return t.name, t.op == "var" }

func (t *Term) sort() string {
	if t.Width == 0 {
		return "Bool"
	}
	return fmt.Sprintf("(_ BitVec %d)", t.Width)
}

// all returns the values of ts if all are constants of at most 64 bits.
func all(ts ...*Term) ([]uint64, bool) {
	var vs []uint64
	for _, t := range ts {
		v, ok := t.Value()
		if !ok {
			return nil, false
		}
		vs = append(vs, v)
	}
	return vs, true
}

func signed(v uint64, width int) int64 { return int64(v<<(64-width)) >> (64 - width) }

// op2 returns a binary operation on bit-vectors of one width.
func op2(op string, a, b *Term) *Term {
	if a.Width != b.Width || a.Width == 0 {
		panic(fmt.Sprintf("smt: %s of widths %d and %d", op, a.Width, b.Width))
	}
	w := a.Width
	if v, ok := all(a, b); ok {
		x, y := v[0], v[1]
		switch op {
		case "bvadd":
			return Const(w, x+y)
		case "bvsub":
			return Const(w, x-y)
		case "bvmul":
			return Const(w, x*y)
		case "bvand":
			return Const(w, x&y)
		case "bvor":
			return Const(w, x|y)
		case "bvxor":
			return Const(w, x^y)
		case "bvshl":
			return Const(w, x<<min(y, 64))
		case "bvlshr":
			return Const(w, x>>min(y, 64))
		case "bvashr":
			return Const(w, uint64(signed(x, w)>>min(y, 63)))
		case "bvudiv":
			if y != 0 {
				return Const(w, x/y)
			}
		case "bvurem":
			if y != 0 {
				return Const(w, x%y)
			}
		case "bvsdiv":
			if y != 0 {
				return Const(w, uint64(signed(x, w)/signed(y, w)))
			}
		case "bvsrem":
			if y != 0 {
				return Const(w, uint64(signed(x, w)%signed(y, w)))
			}
		}
	}
	if n, ok := b.Value(); ok && n > 0 && (op == "bvlshr" || op == "bvshl") {
		switch {
		case n >= uint64(w):
			return Const(w, 0)
		case op == "bvlshr":
			return Zext(Extract(w-1, int(n), a), w)
		}
		return Concat(Extract(w-1-int(n), 0, a), Const(int(n), 0))
	}
	if n, ok := b.Value(); ok && op == "bvand" && n&(n+1) == 0 && n != 0 && n < mask(min(w, 64)) {
		return Zext(Extract(bits.Len64(n)-1, 0, a), w)
	}
	zero := func(t *Term) bool { v, ok := t.Value(); return ok && v == 0 }
	ones := func(t *Term) bool { v, ok := t.Value(); return ok && v == mask(w) && w <= 64 }
	if op == "bvmul" && (zero(a) || zero(b)) {
		return Const(w, 0)
	}
	switch op {
	case "bvadd", "bvor", "bvxor":
		if zero(a) {
			return b
		}
		if zero(b) {
			return a
		}
	case "bvsub", "bvshl", "bvlshr":
		if zero(b) {
			return a
		}
	case "bvand":
		if zero(a) || ones(b) {
			return a
		}
		if zero(b) || ones(a) {
			return b
		}
	}
	if a == b {
		switch op {
		case "bvxor", "bvsub":
			return Const(w, 0)
		case "bvand", "bvor":
			return a
		}
	}
	return intern(Term{op: op, Width: w, args: []*Term{a, b}})
}

// Op returns the operation op of SMT-LIB, such as bvadd, on two bit-vectors.
func Op(op string, a, b *Term) *Term { return op2(op, a, b) }

// Add returns the sum of bit-vectors of one width.
func Add(ts ...*Term) *Term {
	sum := ts[0]
	for _, t := range ts[1:] {
		sum = op2("bvadd", sum, t)
	}
	return sum
}

// Sub, Mul, And and Xor are operations on bit-vectors.
func Sub(a, b *Term) *Term { return op2("bvsub", a, b) }
func Mul(a, b *Term) *Term { return op2("bvmul", a, b) }
func And(a, b *Term) *Term { return op2("bvand", a, b) }
func Or(a, b *Term) *Term  { return op2("bvor", a, b) }
func Xor(a, b *Term) *Term { return op2("bvxor", a, b) }

// Not returns the complement of a bit-vector or a boolean.
func Not(a *Term) *Term {
	if v, ok := a.Value(); ok {
		return Const(a.Width, ^v)
	}
	op := "bvnot"
	if a.Width == 0 {
		op = "not"
	}
	if a.op == op {
		return a.args[0]
	}
	return intern(Term{op: op, Width: a.Width, args: []*Term{a}})
}

// Eq reports whether two terms of one sort are equal.
func Eq(a, b *Term) *Term {
	if a.Width != b.Width {
		panic(fmt.Sprintf("smt: = of widths %d and %d", a.Width, b.Width))
	}
	if a == b {
		return True
	}
	if v, ok := all(a, b); ok {
		return Bool(v[0] == v[1])
	}
	if a.Width == 0 {
		for _, p := range [][2]*Term{{a, b}, {b, a}} {
			switch p[0] {
			case True:
				return p[1]
			case False:
				return Not(p[1])
			}
		}
	}
	return intern(Term{op: "=", args: []*Term{a, b}})
}

// compare returns a comparison such as bvult.
func compare(op string, a, b *Term) *Term {
	if a.Width != b.Width || a.Width == 0 {
		panic(fmt.Sprintf("smt: %s of widths %d and %d", op, a.Width, b.Width))
	}
	if v, ok := all(a, b); ok {
		switch op {
		case "bvult":
			return Bool(v[0] < v[1])
		case "bvule":
			return Bool(v[0] <= v[1])
		case "bvslt":
			return Bool(signed(v[0], a.Width) < signed(v[1], a.Width))
		case "bvsle":
			return Bool(signed(v[0], a.Width) <= signed(v[1], a.Width))
		}
	}
	if a == b {
		return Bool(op == "bvule" || op == "bvsle")
	}
	return intern(Term{op: op, args: []*Term{a, b}})
}

// Ult, Ule, Slt and Sle compare bit-vectors without and with a sign.
func Ult(a, b *Term) *Term { return compare("bvult", a, b) }
func Ule(a, b *Term) *Term { return compare("bvule", a, b) }
func Slt(a, b *Term) *Term { return compare("bvslt", a, b) }
func Sle(a, b *Term) *Term { return compare("bvsle", a, b) }

// All is true if all of ts are.
func All(ts ...*Term) *Term { return junction("and", True, False, ts) }

// Any is true if one of ts is.
func Any(ts ...*Term) *Term { return junction("or", False, True, ts) }

func junction(op string, unit, zero *Term, ts []*Term) *Term {
	var args []*Term
	for _, t := range ts {
		if t.Width != 0 {
			panic("smt: " + op + " of a bit-vector")
		}
		parts := []*Term{t}
		if t.op == op {
			parts = t.args
		}
		for _, p := range parts {
			if p == zero {
				return zero
			}
			if p != unit && !slices.Contains(args, p) {
				args = append(args, p)
			}
		}
	}
	switch len(args) {
	case 0:
		return unit
	case 1:
		return args[0]
	}
	return intern(Term{op: op, args: args})
}

// Implies is true unless a is true and b is not.
func Implies(a, b *Term) *Term { return Any(Not(a), b) }

// Ite returns a if c is true, and else b.
func Ite(c, a, b *Term) *Term {
	switch {
	case c == True || a == b:
		return a
	case c == False:
		return b
	case a == True && b == False:
		return c
	case a == False && b == True:
		return Not(c)
	case a.Width == 0 && a == True:
		return Any(c, b)
	case a.Width == 0 && a == False:
		return All(Not(c), b)
	case a.Width == 0 && b == True:
		return Any(Not(c), a)
	case a.Width == 0 && b == False:
		return All(c, a)
	}
	if a.Width != b.Width {
		panic("smt: ite of two sorts")
	}
	return intern(Term{op: "ite", Width: a.Width, args: []*Term{c, a, b}})
}

// Extract returns bits hi to lo of a.
func Extract(hi, lo int, a *Term) *Term {
	if lo == 0 && hi == a.Width-1 {
		return a
	}
	if v, ok := a.Value(); ok {
		return Const(hi-lo+1, v>>lo)
	}
	switch a.op {
	case "concat":
		if low := a.args[1]; hi < low.Width {
			return Extract(hi, lo, low)
		} else if lo >= low.Width {
			return Extract(hi-low.Width, lo-low.Width, a.args[0])
		}
	case "zero_extend":
		x := a.args[0]
		if hi < x.Width {
			return Extract(hi, lo, x)
		}
		if lo >= x.Width {
			return Const(hi-lo+1, 0)
		}
	case "extract":
		base := int(a.value & 0xFFFF)
		return Extract(hi+base, lo+base, a.args[0])
	}
	return intern(Term{op: "extract", Width: hi - lo + 1, value: uint64(hi)<<16 | uint64(lo), args: []*Term{a}})
}

// Concat joins bit-vectors, the most significant first.
func Concat(ts ...*Term) *Term {
	r := ts[0]
	for _, t := range ts[1:] {
		if r.op == "extract" && t.op == "extract" && r.args[0] == t.args[0] && r.value&0xFFFF == t.value>>16+1 {
			r = Extract(int(r.value>>16), int(t.value&0xFFFF), r.args[0])
			continue
		}
		if v, ok := all(r, t); ok && r.Width+t.Width <= 64 {
			r = Const(r.Width+t.Width, v[0]<<t.Width|v[1])
			continue
		}
		r = intern(Term{op: "concat", Width: r.Width + t.Width, args: []*Term{r, t}})
	}
	return r
}

// Zext and Sext widen a bit-vector without and with its sign. Resize widens it without
// its sign, or keeps its lower bits.
func Zext(a *Term, width int) *Term { return extend("zero_extend", a, width) }
func Sext(a *Term, width int) *Term { return extend("sign_extend", a, width) }
func Resize(a *Term, width int) *Term {
	if width < a.Width {
		return Extract(width-1, 0, a)
	}
	return Zext(a, width)
}

func extend(op string, a *Term, width int) *Term {
	if width == a.Width {
		return a
	}
	if width < a.Width {
		panic("smt: extend to fewer bits")
	}
	if v, ok := a.Value(); ok && width <= 64 {
		if op == "sign_extend" {
			v = uint64(signed(v, a.Width))
		}
		return Const(width, v)
	}
	if op == "zero_extend" && a.op == op {
		return extend(op, a.args[0], width)
	}
	return intern(Term{op: op, Width: width, value: uint64(width - a.Width), args: []*Term{a}})
}
