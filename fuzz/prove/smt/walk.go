// SPDX-License-Identifier: MIT

package smt

import "slices"

// Evaluate returns the value of t for the given values of its variables, 0 for others.
// It knows no functions.
func Evaluate(t *Term, values map[string]uint64) uint64 {
	memo := map[*Term]*Term{}
	var walk func(t *Term) *Term
	walk = func(t *Term) *Term {
		if r := memo[t]; r != nil {
			return r
		}
		var r *Term
		switch t.op {
		case "const":
			r = t
		case "var":
			r = Const(t.Width, values[t.name])
		default:
			args := make([]*Term, len(t.args))
			for i, a := range t.args {
				args[i] = walk(a)
			}
			r = rebuild(t, args)
		}
		memo[t] = r
		return r
	}
	v, _ := walk(t).Value()
	return v
}

// rebuild returns t with other arguments.
func rebuild(t *Term, args []*Term) *Term {
	switch t.op {
	case "not", "bvnot":
		return Not(args[0])
	case "=":
		return Eq(args[0], args[1])
	case "and":
		return All(args...)
	case "or":
		return Any(args...)
	case "ite":
		return Ite(args[0], args[1], args[2])
	case "extract":
		return Extract(int(t.value>>16), int(t.value&0xFFFF), args[0])
	case "zero_extend", "sign_extend":
		return extend(t.op, args[0], t.Width)
	case "concat":
		return Concat(args...)
	case "bvult", "bvule", "bvslt", "bvsle":
		return compare(t.op, args[0], args[1])
	case "apply":
		return intern(Term{op: "apply", Width: t.Width, name: t.name, args: args})
	}
	return op2(t.op, args[0], args[1])
}

// Root returns the term that t extends, if it extends one.
func Root(t *Term) *Term {
	for t.op == "sign_extend" || t.op == "zero_extend" {
		t = t.args[0]
	}
	return t
}

// ID returns a number that no other term has.
func (t *Term) ID() int { return t.id }

// Conjuncts returns the parts of which t is the conjunction.
func Conjuncts(t *Term) []*Term {
	if t.op == "and" {
		return t.args
	}
	return []*Term{t}
}

// Simplify returns a term that equals t if all the facts are true: it decides the
// conditions that are facts, or whose negations are.
func Simplify(t *Term, facts []*Term) *Term {
	known := map[*Term]*Term{}
	for _, f := range facts {
		for _, c := range Conjuncts(f) {
			known[c], known[Not(c)] = True, False
		}
	}
	var walk func(t *Term) *Term
	walk = func(t *Term) *Term {
		if r := known[t]; r != nil {
			return r
		}
		if len(t.args) == 0 {
			return t
		}
		args := make([]*Term, len(t.args))
		for i, a := range t.args {
			args[i] = walk(a)
		}
		r := rebuild(t, args)
		known[t] = r
		return r
	}
	return walk(t)
}

// Replace returns t with each part for which by returns a term replaced by that.
func Replace(t *Term, by func(*Term) *Term) *Term {
	memo := map[*Term]*Term{}
	var walk func(t *Term) *Term
	walk = func(t *Term) *Term {
		if r := memo[t]; r != nil {
			return r
		}
		r := by(t)
		if r == nil {
			r = t
			if len(t.args) > 0 {
				args := make([]*Term, len(t.args))
				for i, a := range t.args {
					args[i] = walk(a)
				}
				r = rebuild(t, args)
			}
		}
		memo[t] = r
		return r
	}
	return walk(t)
}

// Addends returns the terms of which t is the sum.
func Addends(t *Term) []*Term {
	if t.op == "bvadd" {
		return append(Addends(t.args[0]), Addends(t.args[1])...)
	}
	return []*Term{t}
}

// Sort sorts terms by their age.
func Sort(ts []*Term) { slices.SortFunc(ts, func(a, b *Term) int { return a.id - b.id }) }

// Variables returns the variables of terms.
func Variables(ts ...*Term) []*Term {
	var vars []*Term
	seen := map[*Term]bool{}
	var walk func(t *Term)
	walk = func(t *Term) {
		if seen[t] {
			return
		}
		seen[t] = true
		if t.op == "var" {
			vars = append(vars, t)
		}
		for _, a := range t.args {
			walk(a)
		}
	}
	for _, t := range ts {
		walk(t)
	}
	Sort(vars)
	return vars
}
