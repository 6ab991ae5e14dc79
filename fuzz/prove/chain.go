// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"strings"

	"tunproof/fuzz/prove/smt"
)

// chain replaces fold and Sum in the functions of Segment. fold is a function of which
// only the lemmas are known; Sum of headers is fold of the sum of their words, and Sum of
// payload is fold of an unknown sum. Each time fold is applied to a sum that has a folded
// sum in it, the lemma fold_inner of rocq/Sum.v is noted for it.
type chain struct {
	lemmas []*smt.Term
	whole  map[*smt.Term]*smt.Term // the sum without inner folds, of each sum that was folded
	folded map[*smt.Term]*smt.Term // the sum that was folded, of each result
}

func newChain() *chain {
	return &chain{whole: map[*smt.Term]*smt.Term{}, folded: map[*smt.Term]*smt.Term{}}
}

// fold applies fold to a 32-bit sum.
func (c *chain) fold(t *smt.Term) *smt.Term {
	r := smt.Apply("fold", 16, t)
	c.folded[r] = t
	flat := smt.Replace(t, func(x *smt.Term) *smt.Term {
		inner := c.folded[smt.Root(x)]
		if inner == nil || x.Width != 32 {
			return nil
		}
		return c.whole[inner]
	})
	c.whole[t] = flat
	if flat != t {
		c.lemmas = append(c.lemmas, smt.Implies(noCarry(flat), smt.Eq(r, smt.Apply("fold", 16, flat))))
	}
	return r
}

// more is fold_more: two sums that differ by a multiple of 0xFFFF, up to three times that,
// and are not zero. What both have is left out of the comparison.
func (c *chain) more(a, b *smt.Term) *smt.Term {
	a, b = c.whole[a], c.whole[b]
	notZero := func(t *smt.Term) *smt.Term {
		var some []*smt.Term
		for _, x := range smt.Addends(t) {
			some = append(some, smt.Not(smt.Eq(x, smt.Const(32, 0))))
		}
		return smt.Any(some...)
	}
	left := smt.Addends(b)
	ra, rb := smt.Const(32, 0), smt.Const(32, 0)
	for _, x := range smt.Addends(a) {
		if i := slices.Index(left, x); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		ra = smt.Add(ra, x)
	}
	for _, x := range left {
		rb = smt.Add(rb, x)
	}
	var same []*smt.Term
	for k := range uint64(4) {
		same = append(same, smt.Eq(ra, smt.Add(rb, smt.Const(32, k*0xFFFF))))
	}
	return smt.Implies(smt.All(noCarry(a), noCarry(b), notZero(a), notZero(b), smt.Any(same...)),
		smt.Eq(smt.Apply("fold", 16, a), smt.Apply("fold", 16, b)))
}

// noCarry says enough that the additions of a 32-bit sum lose no carry, not even if
// 0xFFFF were added four times: each of its terms that may be long is a length.
func noCarry(t *smt.Term) *smt.Term {
	var short []*smt.Term
	most := uint64(4 * 0xFFFF)
	for _, x := range smt.Addends(t) {
		v, isConst := x.Value()
		name, _ := x.Name()
		switch {
		case isConst:
			most += v
		case name == "payload":
			most += maxPayloadSum
		case strings.HasPrefix(name, "words("):
			most += maxWords
		case smt.Root(x).Width <= 16:
			most += 0xFFFF
		default:
			short = append(short, smt.Ule(x, smt.Const(32, 65575)))
			most += 65575
		}
	}
	return smt.All(append(short, smt.Bool(most < 1<<32))...)
}

// The most that the sum of a segment's payload and that of the words of its headers are.
const maxPayloadSum, maxWords = 1 << 31, 1 << 21

// words returns the sum of the words at offsets from..to of the bytes, and a name for the
// sum of those words that are the variables of the packet itself.
func words(p symbols, from, to int, at func(i int) *smt.Term) *smt.Term {
	sum, own := smt.Const(32, 0), ""
	for i := from; i < to; i += 2 {
		h, l := at(i), at(i+1)
		if h == p.byte(i) && l == p.byte(i+1) {
			own += fmt.Sprintf(",%d", i)
			continue
		}
		sum = smt.Add(sum, w32(smt.Concat(h, l)))
	}
	if own == "" {
		return sum
	}
	return smt.Add(smt.Var("words("+string(p)+own+")", 32), sum)
}

// results returns the folded sums so far, in the order of their terms.
func (c *chain) results() []*smt.Term {
	var rs []*smt.Term
	for r := range c.folded {
		rs = append(rs, r)
	}
	smt.Sort(rs)
	return rs
}

// note makes t a sum that was folded.
func (c *chain) note(t *smt.Term) *smt.Term {
	c.whole[t] = t
	return t
}

func between32(lo, t, hi *smt.Term) *smt.Term { return smt.All(smt.Ule(lo, t), smt.Ule(t, hi)) }
