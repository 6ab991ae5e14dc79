// SPDX-License-Identifier: MIT

package main

import (
	"tunproof/fuzz/prove/smt"
	"tunproof/fuzz/prove/translate"
)

// admitTheorems: parse finds the flow and applies its part of C1, and verify applies the
// rest, to any bytes. The Reasons are in the order of C8.
func admitTheorems(p *translate.Program) []*Theorem {
	ts := []*Theorem{parseTheorem(p)}
	for _, l := range layouts() {
		ts = append(ts, verifyTheorem(p, l))
	}
	return ts
}

// reason returns the term of a Reason.
func reason(p *translate.Program, name string) *smt.Term { return c8(p.Constant(name)) }

// first returns the Reason of the first condition that is true, and else Joined.
func first(p *translate.Program, cases ...any) *smt.Term {
	r := reason(p, "Joined")
	for i := len(cases) - 2; i >= 0; i -= 2 {
		r = smt.Ite(cases[i+1].(*smt.Term), reason(p, cases[i].(string)), r)
	}
	return r
}

func parseTheorem(p *translate.Program) *Theorem {
	m, w := p.NewMachine(), p.IntWidth()
	m.Overflow = true
	b := symbols("P")
	n := smt.Var("len(P)", w)
	t := p.Type("parsed")
	cell := translate.Cell("parsed", m.Zero(t))
	st := translate.NewState()
	v, after, err := m.Call("parsed.parse", st, cell, translate.Packet("P", n))
	why := must(v, err).(*smt.Term)
	note(m)
	got := func(name string) *smt.Term { return translate.Field(after.Cell(cell.Obj), t, name).(*smt.Term) }

	atLeast := func(k int) *smt.Term { return smt.Sle(smt.Const(w, uint64(k)), n) }
	version := smt.Extract(7, 4, b.byte(0))
	v4 := smt.All(atLeast(20), smt.Eq(version, smt.Const(4, 4)))
	v6 := smt.All(atLeast(40), smt.Eq(version, smt.Const(4, 6)))
	proto := smt.Ite(v4, b.byte(9), b.byte(6))
	isUDP := smt.Eq(proto, c8(udp))
	known := smt.Any(isUDP, smt.Eq(proto, c8(tcp)))
	known4 := smt.All(known, smt.Eq(b.byte(0), c8(0x45)))
	fragment := smt.Not(smt.Eq(smt.And(b.be16(6), c16(0x3FFF)), c16(0)))
	evil := smt.Not(smt.Eq(smt.And(b.be16(6), c16(0x8000)), c16(0)))
	flow := smt.Any(smt.All(v4, known4, smt.Not(fragment), atLeast(24)), smt.All(v6, known, atLeast(44)))
	l4 := func(off int) *smt.Term {
		doff := smt.Zext(smt.Extract(7, 4, b.byte(off+12)), w)
		header := smt.Op("bvshl", doff, smt.Const(w, 2))
		return smt.Ite(isUDP, atLeast(off+8), smt.All(atLeast(off+20), smt.Ule(smt.Const(w, 5), doff),
			smt.Sle(smt.Add(header, smt.Const(w, uint64(off))), n)))
	}
	want := first(p,
		"NoAddresses", smt.Not(smt.Any(v4, v6)),
		"Header", smt.Any(smt.All(v4, smt.Not(known4)), smt.All(v6, smt.Not(known))),
		"Fragment", smt.All(v4, smt.Any(fragment, evil)),
		"Truncated", smt.Not(smt.Ite(v4, l4(20), l4(40))))
	joined := smt.Eq(want, reason(p, "Joined"))
	goal := smt.All(after.Unchanged(st, cell.Obj), smt.Eq(why, want), smt.Eq(got("hasAddr"), smt.Any(v4, v6)), smt.Eq(got("hasFlow"), flow))
	key4, key6 := keyOf(layout{version: 4}, b), keyOf(layout{version: 6}, b)
	for i, f := range []string{"srcHi", "srcLo", "dstHi", "dstLo"} {
		goal = smt.All(goal, smt.Implies(v4, smt.Eq(got("key."+f), key4[i])), smt.Implies(v6, smt.Eq(got("key."+f), key6[i])))
	}
	// The version, and of a flow protocol and ports.
	ports := smt.Ite(v6, smt.Const(64, 1<<40), smt.Const(64, 0))
	ofFlow := smt.Or(smt.Op("bvshl", smt.Zext(proto, 64), smt.Const(64, 32)), smt.Zext(smt.Ite(v4, b.be32(20), b.be32(40)), 64))
	ports = smt.Or(ports, smt.Ite(flow, ofFlow, smt.Const(64, 0)))
	off := func(l4 int) *smt.Term {
		return smt.All(smt.Eq(got("layout.l4Off"), smt.Const(w, uint64(l4))),
			smt.Implies(joined, smt.Eq(got("layout.hdrLen"), smt.Add(smt.Const(w, uint64(l4)),
				smt.Ite(isUDP, smt.Const(w, 8), smt.Op("bvshl", smt.Zext(smt.Extract(7, 4, b.byte(l4+12)), w), smt.Const(w, 2)))))))
	}
	goal = smt.All(goal, smt.Implies(smt.Any(v4, v6), smt.All(smt.Eq(got("key.ports"), ports), smt.Eq(got("layout.proto"), proto),
		smt.Eq(got("layout.version"), smt.Ite(v4, smt.Const(w, 4), smt.Const(w, 6))))),
		smt.Implies(v4, off(20)), smt.Implies(v6, off(40)))
	return &Theorem{
		Name:        "parse",
		Says:        "for any bytes, parse finds addresses, flow, and positions, and applies C1 up to the L4 header, in the order of C8",
		Hyps:        []*smt.Term{smt.Sle(smt.Const(w, 0), n)},
		Goal:        goal,
		Obligations: m.Obligations,
		Witness:     joined,
		Fast:        true,
		Case:        func(values map[string]uint64) (*caseFile, error) { return admitCase(layout{}, values) },
		Small:       []*smt.Term{smt.Sle(n, smt.Const(w, 120))},
	}
}

func verifyTheorem(p *translate.Program, l layout) *Theorem {
	m, w := p.NewMachine(), p.IntWidth()
	m.Overflow = true
	s := abstractSums(m)
	b := symbols("P")
	n := smt.Var("len(P)", w)
	pkt := translate.Packet("P", n)
	c := translate.Cell("c", m.Symbolic("c", p.Type("Coalescer")))
	st := translate.NewState()
	fixHeaders(st, l, pkt)
	parsed, cell, after := parsedBy(m, st, pkt)
	v, left, err := m.Call("Coalescer.verify", after, c, pkt, cell)
	why := must(v, err).(*smt.Term)
	note(m)

	length := smt.Eq(smt.Resize(b.be16(2), w), n)
	name := "TCPv4"
	if l.version == 6 {
		length = smt.Eq(smt.Add(smt.Resize(b.be16(4), w), smt.Const(w, 40)), n)
		name = "TCPv6"
	}
	flags, l4Right := smt.True, smt.Not(smt.Eq(b.be16(l.ip()+16), c16(0xFFFF)))
	l4Len := smt.Sub(n, smt.Const(w, uint64(l.ip())))
	if l.proto == udp {
		length = smt.All(length, smt.Eq(smt.Resize(b.be16(l.ip()+4), w), l4Len))
		l4Right = smt.Not(smt.Eq(b.be16(l.ip()+6), c16(0)))
		name = "UDP"
	} else {
		flags = bitsOf(b.byte(l.ip()+13), admitted, ack)
	}
	ipRight := smt.True
	if l.version == 4 {
		ipRight = smt.All(smt.Not(smt.Eq(b.be16(10), c16(0xFFFF))), smt.Eq(s.header(b), c16(0xFFFF)))
	}
	pseudo := s.pseudo(keyOf(l, b), c8(l.proto), l4Len)
	l4Right = smt.All(l4Right, smt.Eq(s.sum("P", smt.Const(w, uint64(l.ip())), l4Len, pseudo), c16(0xFFFF)))
	if l.proto == udp && l.version == 4 { // C11
		l4Right = smt.Any(l4Right, smt.All(smt.Var("c.cfg.AbsentChecksums", 0), smt.Eq(b.be16(l.ip()+6), c16(0))))
	}
	want := first(p,
		"Length", smt.Not(length),
		"FlagBits", smt.Not(flags),
		"Empty", smt.Eq(n, smt.Const(w, uint64(l.hdrLen))),
		"IPChecksum", smt.Not(ipRight),
		"L4Checksum", smt.Not(l4Right),
		"Disabled", smt.Var("c.cfg.Disable"+name, 0))
	return &Theorem{
		Name: "verify: " + l.String(),
		Says: "of a packet that parse accepts, verify applies the rest of C1: lengths, flags, payload, both checksums in the form that Segment writes or absent as C11 allows, and the switches, in the order of C8",
		Hyps: []*smt.Term{smt.Sle(smt.Const(w, 0), n), headersAre(l, b), parsed},
		Goal: smt.All(smt.Eq(why, want), left.Unchanged(after)), Obligations: m.Obligations, Witness: smt.Eq(want, reason(p, "Joined")), Fast: l.fast(),
		Case:  func(values map[string]uint64) (*caseFile, error) { return admitCase(l, values) },
		Small: []*smt.Term{smt.Sle(n, smt.Const(w, 160))},
	}
}
