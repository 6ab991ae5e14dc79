// SPDX-License-Identifier: MIT

package main

import (
	"fmt"

	"tunproof/fuzz/prove/smt"
	"tunproof/fuzz/prove/translate"
)

// offload's numbers for Reasons, read from the source by their names.
const joinedReason, limitReason, mismatchReason = 0, 13, 14

// finPSH and the others are bits of TCP's byte of flags.
const (
	finPSH   = 0x09
	ack      = 0x10
	admitted = 0x10 | 0x02 | 0x04 | 0x20 | 0x80 // of these only ACK is set
)

// runs is the world of joins: a Coalescer, and runs a and b of packets of one flow. A is
// the first packet of a, B that of b.
type runs struct {
	m    *translate.Machine
	l    layout
	w    int // bits of an int
	c    translate.Pointer
	a, b translate.Pointer
	st   *translate.State
	hyps []*smt.Term
}

func newRuns(p *translate.Program, l layout) *runs {
	r := &runs{m: p.NewMachine(), l: l, w: p.IntWidth(), st: translate.NewState()}
	r.m.Overflow = true
	coalescer, run := p.Type("Coalescer"), p.Type("run")
	c := p.Symbolic("c", coalescer)
	pkts := translate.Field(c, coalescer, "pkts").(translate.Slice)
	r.c = translate.Cell("c", c)
	make := func(name string, pkt symbols, hdrLen *smt.Term) translate.Pointer {
		v := p.Symbolic(name, run)
		v = translate.SetField(v, run, "layout.version", r.int(l.version))
		v = translate.SetField(v, run, "layout.proto", c8(l.proto))
		v = translate.SetField(v, run, "layout.l4Off", r.int(l.ip()))
		v = translate.SetField(v, run, "layout.hdrLen", hdrLen)
		r.m.SetElement(pkts, smt.Var(name+".head", 32), translate.Packet(string(pkt), smt.Var("len("+string(pkt)+")", r.w)))
		head := smt.Sext(smt.Var(name+".head", 32), r.w)
		r.hyps = append(r.hyps, smt.Sle(r.int(0), head), smt.Slt(head, smt.Var("len(c.pkts)", r.w)))
		r.hyps = append(r.hyps, r.invariant(r.variables(name, hdrLen), pkt)...)
		return translate.Cell(name, v)
	}
	r.a = make("a", "A", r.int(l.hdrLen))
	bHdr := r.int(l.hdrLen)
	if l.proto == tcp {
		// A packet of the flow may have other options.
		bHdr = smt.Var("b.hdrLen", r.w)
		r.hyps = append(r.hyps, smt.Eq(bHdr, smt.Add(r.int(l.ip()), smt.Resize(smt.Op("bvshl",
			smt.Resize(smt.Op("bvlshr", symbols("B").byte(l.ip()+12), c8(4)), 16), c16(2)), r.w))),
			smt.Sle(r.int(l.ip()+20), bHdr))
	}
	r.b = make("b", "B", bHdr)
	r.hyps = append(r.hyps, sameFlow(l, "A", "B"))
	return r
}

func (r *runs) int(v int) *smt.Term { return smt.Const(r.w, uint64(v)) }

func (r *runs) field(run, name string) *smt.Term { return smt.Var(run+"."+name, r.w) }

// between returns lo <= t <= hi.
func between(lo, t, hi *smt.Term) *smt.Term { return smt.All(smt.Sle(lo, t), smt.Sle(t, hi)) }

// sameFlow says that two candidates have the same addresses and ports.
func sameFlow(l layout, a, b symbols) *smt.Term {
	from, to := 12, 20
	if l.version == 6 {
		from, to = 8, 40
	}
	eq := smt.Eq(a.be32(l.ip()), b.be32(l.ip()))
	for i := from; i < to; i += 4 {
		eq = smt.All(eq, smt.Eq(a.be32(i), b.be32(i)))
	}
	return eq
}

// candidate is C1 of a packet of the given length, without its checksums.
func candidate(l layout, p symbols, w int, hdrLen *smt.Term) []*smt.Term {
	length := smt.Var("len("+string(p)+")", w)
	field := func(off, add int) *smt.Term {
		return smt.Eq(smt.Add(smt.Resize(p.be16(off), w), smt.Const(w, uint64(add))), length)
	}
	is := []*smt.Term{between(smt.Add(hdrLen, smt.Const(w, 1)), length, smt.Const(w, 65535))}
	if l.version == 4 {
		is = append(is, smt.Eq(p.byte(0), c8(0x45)), field(2, 0), bitsOf(p.byte(6), 0xBF, 0), smt.Eq(p.byte(7), c8(0)), smt.Eq(p.byte(9), c8(l.proto)))
	} else {
		is = append(is, bitsOf(p.byte(0), 0xF0, 0x60), field(4, 40), smt.Eq(p.byte(6), c8(l.proto)))
		is[0] = between(smt.Add(hdrLen, smt.Const(w, 1)), length, smt.Const(w, 65575))
	}
	if l.proto == udp {
		return append(is, field(l.ip()+4, l.ip()))
	}
	doff := smt.Resize(smt.Op("bvlshr", p.byte(l.ip()+12), c8(4)), w)
	return append(is,
		smt.Eq(smt.Add(smt.Const(w, uint64(l.ip())), smt.Op("bvshl", doff, smt.Const(w, 2))), hdrLen),
		bitsOf(p.byte(l.ip()+13), admitted, ack))
}

// run is a run as it is specified: what the code keeps of it, and three values that it
// does not keep. before is the bytes of payload before the last packet, (n-1)*size; last
// is the payload of the last packet, and flags its FIN and PSH.
type run struct {
	n, most, payload, size, hdrLen *smt.Term
	sealed, atomic                 *smt.Term
	ports, seq, id                 *smt.Term
	before, last, flags            *smt.Term
}

// variables returns the run whose parts are variables.
func (r *runs) variables(name string, hdrLen *smt.Term) run {
	v := func(field string, w int) *smt.Term { return smt.Var(name+"."+field, w) }
	return run{
		v("n", r.w), v("most", r.w), v("payload", r.w), v("size", r.w), hdrLen, v("sealed", 0), v("atomic", 0),
		v("ports", 32), v("seq", 32), v("id", 16), v("before", r.w), v("last", r.w), v("flags", 8),
	}
}

// values returns the run that the code has, with the three values that it does not keep.
func (r *runs) values(v translate.Value, before, last, flags *smt.Term) run {
	t := r.m.Type("run")
	f := func(field string) *smt.Term { return translate.Field(v, t, field).(*smt.Term) }
	return run{
		f("n"), f("most"), f("payload"), f("size"), f("layout.hdrLen"), f("sealed"), f("atomic"),
		f("ports"), f("seq"), f("id"), before, last, flags,
	}
}

// invariant is what holds of a run that a candidate opened, and whose first packet is p.
func (r *runs) invariant(x run, p symbols) []*smt.Term {
	one := r.int(1)
	single := smt.Eq(x.n, one)
	limit := 1022
	if r.l.proto == udp {
		limit = 128
	}
	is := candidate(r.l, p, r.w, x.hdrLen)
	is = append(is,
		between(one, x.n, x.most), between(one, x.most, r.int(limit)),
		smt.Eq(smt.Var("len("+string(p)+")", r.w), smt.Add(x.hdrLen, x.size)),
		between(one, x.last, x.size),
		between(r.int(0), x.before, r.int(65535)),
		smt.Ite(single, smt.All(smt.Eq(x.before, r.int(0)), smt.Eq(x.last, x.size)), smt.Sle(x.size, x.before)),
		smt.Eq(x.payload, smt.Add(x.before, x.last)),
		smt.Any(single, smt.Sle(smt.Add(x.hdrLen, x.payload), r.int(65535))),
		smt.Eq(x.sealed, smt.Any(smt.Not(smt.Eq(x.flags, c8(0))), smt.Slt(x.last, x.size))),
		smt.Eq(x.ports, p.be32(r.l.ip())),
	)
	if r.l.version == 4 {
		is = append(is, smt.Eq(x.id, p.be16(4)),
			smt.Eq(x.atomic, smt.All(smt.Var("c.cfg.AtomicIDs", 0), bitsOf(p.byte(6), 0x40, 0x40))))
	} else {
		is = append(is, smt.Not(x.atomic))
	}
	if r.l.proto == udp {
		return append(is, smt.Eq(x.flags, c8(0)))
	}
	own := smt.And(p.byte(r.l.ip()+13), c8(finPSH))
	return append(is, smt.Eq(x.seq, p.be32(r.l.ip()+4)),
		smt.Any(single, smt.Sle(r.int(8), x.size)), // C2.small_first
		smt.Implies(smt.Slt(x.size, r.int(8)), smt.Eq(x.most, one)),
		smt.Ite(single, smt.Eq(x.flags, own), smt.Eq(own, c8(0))),
		bitsOf(x.flags, 0xFF&^finPSH, 0))
}

// small says that runs have one or two packets, of few bytes, so that they can be built.
func (r *runs) small(names ...string) []*smt.Term {
	var is []*smt.Term
	for _, x := range names {
		size := r.field(x, "size")
		single := smt.Eq(r.field(x, "n"), r.int(1))
		is = append(is, smt.Sle(r.field(x, "n"), r.int(2)), smt.Sle(size, r.int(40)),
			smt.Any(single, smt.Eq(r.field(x, "before"), size)))
	}
	return append(is, smt.Sle(r.int(8), r.field("a", "size")))
}

// limits is C2: a and b together would be too long, or too many.
func (r *runs) limits() *smt.Term {
	return smt.Any(
		smt.Slt(r.field("a", "most"), smt.Add(r.field("a", "n"), r.field("b", "n"))),
		smt.Slt(r.int(65535), smt.Add(r.int(r.l.hdrLen), r.field("a", "payload"), r.field("b", "payload"))))
}

// boundaries says that the payloads of the joined packets end where Segment cuts: all but
// the last have the size of the first (rocq/Cut.v), and that the last packet of a is as
// Segment makes one that is not the last.
func (r *runs) boundaries() *smt.Term {
	return smt.All(
		smt.Eq(r.field("a", "last"), r.field("a", "size")),
		smt.Eq(smt.Var("a.flags", 8), c8(0)),
		smt.Any(smt.Eq(r.field("b", "n"), r.int(1)), smt.Eq(r.field("b", "size"), r.field("a", "size"))),
		smt.Sle(r.field("b", "last"), r.field("a", "size")))
}

// cameBack says that packet j of b has the bytes that Segment gives to packet n+j of the
// whole: a's headers, an ID and a sequence number that count up, and FIN and PSH only on
// the last. at is the payload of b before packet j. Lengths are equal because the
// boundaries are. Checksums are equal because all the rest is: each is right, in the
// form that Segment writes (rocq/Sum.v, written_form), or absent and filled in (C11).
func (r *runs) cameBack(j, at *smt.Term) *smt.Term {
	l, a, b := r.l, symbols("A"), symbols("B")
	last := smt.Eq(j, smt.Sub(r.field("b", "n"), r.int(1)))
	var eq []*smt.Term
	for i := range l.hdrLen {
		switch {
		case l.version == 4 && (i >= 2 && i < 6 || i == 10 || i == 11), l.version == 6 && (i == 4 || i == 5):
		case l.proto == udp && i >= l.ip()+4:
		case l.proto == tcp && (i >= l.ip()+4 && i < l.ip()+8 || i == l.ip()+13 || i == l.ip()+16 || i == l.ip()+17):
		default:
			eq = append(eq, smt.Eq(a.byte(i), b.byte(i)))
		}
	}
	if l.version == 4 {
		cut := smt.Add(a.be16(4), smt.Resize(smt.Add(r.field("a", "n"), j), 16))
		own := smt.Add(b.be16(4), smt.Resize(j, 16))
		ignored := smt.All(smt.Var("c.cfg.AtomicIDs", 0), bitsOf(b.byte(6), 0x40, 0x40))
		eq = append(eq, smt.Any(ignored, smt.Eq(cut, own)))
	}
	if l.proto == tcp {
		cut := smt.Add(a.be32(l.ip()+4), smt.Resize(smt.Add(r.field("a", "before"), r.field("a", "size"), at), 32))
		own := smt.Add(b.be32(l.ip()+4), smt.Resize(at, 32))
		end := smt.Ite(last, smt.Var("b.flags", 8), c8(0))
		flags := func(p symbols) *smt.Term { return smt.Or(smt.And(p.byte(l.ip()+13), c8(0xFF&^finPSH)), end) }
		eq = append(eq, smt.Eq(cut, own), smt.Eq(flags(a), flags(b)))
	}
	return smt.All(eq...)
}

// joinTheorems is "joins if and only if the equation holds", of the code.
func joinTheorems(p *translate.Program) []*Theorem {
	var ts []*Theorem
	for _, l := range layouts() {
		r := newRuns(p, l)
		v, after, err := r.m.Call("Coalescer.joins", r.st, r.c, r.a, r.b)
		why := must(v, err).(*smt.Term)
		note(r.m)
		joined := smt.Eq(why, c8(joinedReason))
		// Packet j of b is any of them.
		j, at, n := smt.Var("j", r.w), smt.Var("at", r.w), r.field("b", "n")
		hyps := append(r.hyps,
			between(r.int(0), j, smt.Sub(n, r.int(1))), between(r.int(0), at, r.field("b", "before")),
			smt.Implies(smt.Eq(j, r.int(0)), smt.Eq(at, r.int(0))),
			smt.Implies(smt.Eq(j, smt.Sub(n, r.int(1))), smt.Eq(at, r.field("b", "before"))))
		limits, fits := r.limits(), r.boundaries()
		goal := smt.All(after.Unchanged(r.st),
			smt.Eq(smt.Eq(why, c8(limitReason)), limits),
			smt.Any(joined, smt.Eq(why, c8(limitReason)), smt.Eq(why, c8(mismatchReason))),
			smt.Implies(joined, smt.All(smt.Not(limits), fits, r.cameBack(j, at))),
			smt.Implies(smt.All(smt.Not(limits), fits, r.cameBack(r.int(0), r.int(0))), joined))
		witness := smt.All(joined, smt.Slt(r.int(1), r.field("a", "n")), smt.Slt(r.int(1), n), smt.Slt(r.field("b", "last"), r.field("b", "size")))
		ts = append(ts, &Theorem{
			Name:        "joins: " + l.String(),
			Says:        fmt.Sprintf("joins accepts if and only if the limits hold and each packet of b comes back from Segment; it writes nothing (int of %d bits)", r.w),
			Hyps:        hyps,
			Goal:        goal,
			Obligations: r.m.Obligations,
			Witness:     witness,
			Fast:        l.fast(),
			Small:       append(r.small("a", "b"), smt.Eq(n, r.int(1))),
			Case:        func(values map[string]uint64) (*caseFile, error) { return joinCase(l, values) },
		})
	}
	return ts
}
