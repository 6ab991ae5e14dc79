// SPDX-License-Identifier: MIT

package main

import (
	"tunproof/fuzz/prove/smt"
	"tunproof/fuzz/prove/translate"
)

// The theorems about sums. They say that the code computes the functions that
// rocq/Sum.v is about. There numbers have no bounds; here they have more bits than the
// code's, so a carry that the code loses is seen.

// step is step of Sum.v.
func step(n int, s *smt.Term) *smt.Term {
	high := smt.Op("bvlshr", s, smt.Const(s.Width, uint64(n)))
	return smt.Add(high, smt.And(s, smt.Const(s.Width, 1<<n-1)))
}

func specFold(s *smt.Term) *smt.Term   { return step(16, step(16, s)) }
func specFold64(s *smt.Term) *smt.Term { return specFold(step(32, step(32, s))) }

// residue says that r is the folded value of s: s less r is a multiple of 0xFFFF, r is 0
// only if s is, and at most 0xFFFF. The quotient is s>>16 or one more.
func residue(s, r *smt.Term) *smt.Term {
	var is []*smt.Term
	for more := range uint64(2) {
		k := smt.Add(smt.Op("bvlshr", s, smt.Const(s.Width, 16)), smt.Const(s.Width, more))
		product := smt.Sub(smt.Op("bvshl", k, smt.Const(s.Width, 16)), k)
		is = append(is, smt.Eq(smt.Sub(s, r), product))
	}
	zero := smt.Const(s.Width, 0)
	return smt.All(smt.Any(is...), smt.Eq(smt.Eq(r, zero), smt.Eq(s, zero)), smt.Ule(r, smt.Const(s.Width, 0xFFFF)))
}

func sumTheorems(p *translate.Program) []*Theorem {
	var ts []*Theorem
	theorem := func(name, says string, call func(m *translate.Machine) *smt.Term, hyps ...*smt.Term) {
		m := p.NewMachine()
		m.Overflow = true
		goal := call(m)
		note(m)
		ts = append(ts, &Theorem{Name: name, Group: "sums", Says: says, Hyps: hyps, Goal: goal, Obligations: m.Obligations, Fast: true, Case: sumCase})
	}
	call := func(m *translate.Machine, name string, args ...translate.Value) *smt.Term {
		r, _, err := m.Call(name, translate.NewState(), args...)
		return must(r, err).(*smt.Term)
	}
	s32, s64, w := smt.Var("sum", 32), smt.Var("sum64", 64), smt.Var("w", 16)
	wide := func(t *smt.Term) *smt.Term { return smt.Zext(t, 80) }
	theorem("fold is fold of Sum.v", "without a carry that is lost, for every 32-bit sum",
		func(m *translate.Machine) *smt.Term { return smt.Eq(wide(call(m, "fold", s32)), specFold(wide(s32))) })
	theorem("fold is a residue", "the result is the sum modulo 0xFFFF, in 1..0xFFFF, or 0 for 0",
		func(m *translate.Machine) *smt.Term { return residue(wide(s32), wide(call(m, "fold", s32))) })
	theorem("fold64 is fold64 of Sum.v", "without a carry that is lost, for every 64-bit sum",
		func(m *translate.Machine) *smt.Term {
			return smt.Eq(wide(call(m, "fold64", s64)), specFold64(wide(s64)))
		})
	theorem("neg is neg of Sum.v", "0xFFFF less the word",
		func(m *translate.Machine) *smt.Term {
			return smt.Eq(wide(call(m, "neg", w)), smt.Sub(smt.Const(80, 0xFFFF), wide(w)))
		})
	theorem("halves", "the sum of two words of 32 bits, without a carry that is lost",
		func(m *translate.Machine) *smt.Term { return smt.Eq(wide(call(m, "halves", s64)), step(32, wide(s64))) })
	theorem("sumIPv4 is fold64 of a sum of the words", "each of the ten words of the header, the even ones 65,536 times",
		func(m *translate.Machine) *smt.Term {
			var arg *smt.Term
			m.Intrinsics["fold64"] = func(_ *translate.State, args []translate.Value) translate.Value {
				arg = args[0].(*smt.Term)
				return smt.Apply("fold64", 16, arg)
			}
			h := symbols("H")
			n := smt.Var("len(H)", m.IntWidth())
			result := call(m, "sumIPv4", translate.Packet("H", n))
			sum := smt.Const(80, 0)
			for i := 0; i < 20; i += 2 {
				word := wide(h.be16(i))
				if i%4 == 0 {
					word = smt.Op("bvshl", word, smt.Const(80, 16))
				}
				sum = smt.Add(sum, word)
			}
			return smt.All(smt.Eq(wide(arg), sum), smt.Eq(result, smt.Apply("fold64", 16, arg)))
		}, smt.Sle(smt.Const(p.IntWidth(), 20), smt.Var("len(H)", p.IntWidth())))
	theorem("pseudoHeaderSum is fold64 of a sum of the words", "addresses, protocol and length",
		func(m *translate.Machine) *smt.Term {
			var arg *smt.Term
			m.Intrinsics["fold64"] = func(_ *translate.State, args []translate.Value) translate.Value {
				arg = args[0].(*smt.Term)
				return smt.Apply("fold64", 16, arg)
			}
			key := m.Symbolic("key", m.Type("flowKey"))
			length := smt.Var("l4Len", m.IntWidth())
			result := call(m, "flowKey.pseudoHeaderSum", translate.Cell("key", key), smt.Var("proto", 8), length)
			sum := smt.Add(wide(smt.Var("proto", 8)), wide(length))
			for _, f := range []string{"srcHi", "srcLo", "dstHi", "dstLo"} {
				sum = smt.Add(sum, step(32, wide(smt.Var("key."+f, 64))))
			}
			return smt.All(smt.Eq(wide(arg), sum), smt.Eq(result, smt.Apply("fold64", 16, arg)))
		}, smt.Ule(smt.Var("l4Len", p.IntWidth()), smt.Const(p.IntWidth(), 65535)))
	return ts
}
