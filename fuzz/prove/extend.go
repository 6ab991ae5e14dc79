// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"go/types"
	"maps"
	"slices"

	"tunproof/fuzz/prove/smt"
	"tunproof/fuzz/prove/translate"
)

// sums replaces the functions that sum by functions of which nothing is known but what
// the lemmas say. Each lemma is an instance of a theorem of rocq/Sum.v.
type sums struct {
	m *translate.Machine
	w int
}

func abstractSums(m *translate.Machine) sums {
	s := sums{m, m.IntWidth()}
	m.Intrinsics["fold"] = func(_ *translate.State, args []translate.Value) translate.Value {
		return s.fold(args[0].(*smt.Term))
	}
	m.Intrinsics["Sum"] = func(st *translate.State, args []translate.Value) translate.Value {
		b := args[0].(translate.Slice)
		return s.sum(b.Obj.Name, b.Off, b.Len, args[1].(*smt.Term))
	}
	m.Intrinsics["sumIPv4"] = func(st *translate.State, args []translate.Value) translate.Value {
		b := args[0].(translate.Slice)
		return s.header(symbols(b.Obj.Name))
	}
	m.Intrinsics["flowKey.pseudoHeaderSum"] = func(st *translate.State, args []translate.Value) translate.Value {
		key := st.Cell(args[0].(translate.Pointer).Obj)
		t := m.Type("flowKey")
		if s, ok := key.(*translate.Struct); ok && len(s.Fields) != 5 { // the key of a parsed
			key, t = translate.Field(key, m.Type("parsed"), "key"), m.Type("flowKey")
		}
		var fs []*smt.Term
		for _, f := range []string{"srcHi", "srcLo", "dstHi", "dstLo"} {
			fs = append(fs, translate.Field(key, t, f).(*smt.Term))
		}
		return s.pseudo(fs, args[1].(*smt.Term), args[2].(*smt.Term))
	}
	return s
}

func (s sums) fold(t *smt.Term) *smt.Term { return smt.Apply("fold", 16, t) }

// sum is the Sum of the bytes of an object from an offset on.
func (s sums) sum(object string, off, length, initial *smt.Term) *smt.Term {
	return smt.Apply("Sum."+object, 16, off, length, initial)
}

// header is sumIPv4 of a packet.
func (s sums) header(p symbols) *smt.Term {
	var bs []*smt.Term
	for i := range 20 {
		bs = append(bs, p.byte(i))
	}
	return smt.Apply("sumIPv4", 16, smt.Concat(bs...))
}

func (s sums) pseudo(key []*smt.Term, proto, length *smt.Term) *smt.Term {
	return smt.Apply("pseudoHeaderSum", 16, append(append([]*smt.Term{}, key...), proto, length)...)
}

// rest is the sum of the words of an IPv4 header but length, ID and checksum.
func (s sums) rest(p symbols) *smt.Term {
	var bs []*smt.Term
	for i := range 20 {
		if i >= 2 && i < 6 || i == 10 || i == 11 {
			continue
		}
		bs = append(bs, p.byte(i))
	}
	return smt.Apply("rest", 32, smt.Concat(bs...))
}

func w32(t *smt.Term) *smt.Term { return smt.Zext(t, 32) }

// headerLemma is written_form, for the header of p: its checksum is right, and in the form
// that Segment writes, exactly if it is the complement of the sum of the rest. That sum is
// not 0, because the header begins with 0x45.
func (s sums) headerLemma(l layout, p symbols) *smt.Term {
	right := smt.All(smt.Eq(s.header(p), c16(0xFFFF)), smt.Not(smt.Eq(p.be16(10), c16(0xFFFF))))
	sum := smt.Add(s.rest(p), w32(p.be16(2)), w32(p.be16(4)))
	return smt.Implies(headersAre(l, p), smt.Eq(right, smt.Eq(p.be16(10), smt.Not(s.fold(sum)))))
}

// updateLemma is header_update: p's checksum is right, and a packet has the same rest,
// another length and another ID.
func (s sums) updateLemma(p symbols, length, id *smt.Term) *smt.Term {
	sum := smt.Add(s.rest(p), w32(p.be16(2)), w32(p.be16(4)))
	kept := smt.Add(w32(smt.Not(p.be16(10))), w32(smt.Not(p.be16(2))), w32(smt.Not(p.be16(4))))
	return smt.Implies(smt.All(smt.Ule(length, smt.Const(32, 65575)), smt.Eq(p.be16(10), smt.Not(s.fold(sum)))),
		smt.Eq(s.fold(smt.Add(kept, length, id)), s.fold(smt.Add(s.rest(p), length, id))))
}

// pseudoLemma is fold_chain: the length may be added to the folded sum of the rest.
func (s sums) pseudoLemma(key []*smt.Term, proto, length *smt.Term) *smt.Term {
	none := smt.Const(length.Width, 0)
	return smt.Implies(smt.Ule(length, smt.Const(s.w, 65535)),
		smt.Eq(s.fold(smt.Add(w32(s.pseudo(key, proto, none)), smt.Resize(length, 32))), s.pseudo(key, proto, length)))
}

// keyOf is the key of p's flow.
func keyOf(l layout, p symbols) []*smt.Term {
	be64 := func(i int) *smt.Term { return smt.Concat(p.be32(i), p.be32(i+4)) }
	if l.version == 4 {
		zero := smt.Const(64, 0)
		return []*smt.Term{be64(12), zero, zero, zero}
	}
	return []*smt.Term{be64(8), be64(16), be64(24), be64(32)}
}

// parsedBy translates parse of a packet whose headers have layout l, and returns the
// condition under which it returns Joined, and the parsed.
func parsedBy(m *translate.Machine, st *translate.State, pkt translate.Slice) (*smt.Term, translate.Pointer, *translate.State) {
	t := m.Type("parsed")
	p := translate.Cell("parsed", m.Zero(t))
	ways, err := m.Ways("parsed.parse", st, p, pkt)
	for _, w := range must(ways, err) {
		if v, ok := w.Result.(*smt.Term).Value(); ok && v == joinedReason {
			return w.If, p, w.After
		}
	}
	return smt.False, p, st
}

// fixHeaders gives the bytes of pkt that say which headers there are their values.
func fixHeaders(st *translate.State, l layout, pkt translate.Slice) {
	p := symbols(pkt.Obj.Name)
	if l.version == 4 {
		st.SetByte(pkt.Obj, 0, c8(0x45))
		st.SetByte(pkt.Obj, 9, c8(l.proto))
	} else {
		st.SetByte(pkt.Obj, 0, smt.Concat(smt.Const(4, 6), smt.Extract(3, 0, p.byte(0))))
		st.SetByte(pkt.Obj, 6, c8(l.proto))
	}
	if l.proto == tcp {
		at := l.ip() + 12
		st.SetByte(pkt.Obj, at, smt.Concat(smt.Const(4, uint64(l.hdrLen-l.ip())/4), smt.Extract(3, 0, p.byte(at))))
	}
}

// headersAre says the same of the variables.
func headersAre(l layout, p symbols) *smt.Term {
	var is []*smt.Term
	if l.version == 4 {
		is = append(is, smt.Eq(p.byte(0), c8(0x45)), smt.Eq(p.byte(9), c8(l.proto)))
	} else {
		is = append(is, bitsOf(p.byte(0), 0xF0, 0x60), smt.Eq(p.byte(6), c8(l.proto)))
	}
	if l.proto == tcp {
		is = append(is, bitsOf(p.byte(l.ip()+12), 0xF0, (l.hdrLen-l.ip())*4))
	}
	return smt.All(is...)
}

// settings is what NewCoalescer makes of a Config.
func settings(w int) []*smt.Term {
	in := func(name string, most uint64) *smt.Term {
		return between(smt.Const(w, 1), smt.Var("c.cfg."+name, w), smt.Const(w, most))
	}
	return []*smt.Term{in("MaxSegments", 1022), in("MaxUDPSegments", 128), in("MaxOpen", 65535),
		between(smt.Const(w, 0), smt.Var("c.opened", w), smt.Const(w, 1<<30)),
		between(smt.Const(w, 0), smt.Var("a.ordinal", w), smt.Var("c.opened", w))}
}

// inRange says that a packet's number is one of the batch.
func inRange(i *smt.Term, w int) *smt.Term {
	i = smt.Sext(i, w)
	return smt.All(smt.Sle(smt.Const(w, 0), i), smt.Slt(i, smt.Var("len(c.pkts)", w)), smt.Eq(smt.Var("len(c.next)", w), smt.Var("len(c.pkts)", w)))
}

// admits translates start of a packet that parse and verify admit. It returns the condition
// under which they do, the run, and that nothing else is changed.
func admits(m *translate.Machine, st *translate.State, c translate.Pointer, i *smt.Term, pkt translate.Slice) (admitted *smt.Term, run translate.Value, only *smt.Term) {
	parsed, p, after := parsedBy(m, st, pkt)
	v, after, err := m.Call("Coalescer.verify", after, c, pkt, p)
	right := smt.Eq(must(v, err).(*smt.Term), c8(joinedReason))
	r := translate.Cell("started", m.Symbolic("started", m.Type("run"))) // whatever was in the memory
	_, after, err = m.Call("Coalescer.start", after, c, r, i, pkt, p)
	must(0, err)
	return smt.All(parsed, right), after.Cell(r.Obj), after.Unchanged(st, p.Obj, r.Obj)
}

// under makes obligations hold only under a condition: the code is reached only then.
func under(c *smt.Term, os []translate.Obligation) []translate.Obligation {
	for i := range os {
		os[i].Holds = smt.Implies(c, os[i].Holds)
	}
	return os
}

// extendTheorems: extends decides at once what parse, verify, start and joins decide, and
// does what add does. And start, add and prepend keep the invariant of runs.
func extendTheorems(p *translate.Program) []*Theorem {
	ts := []*Theorem{openTheorem(p)}
	for _, l := range layouts() {
		ts = append(ts, extendTheorem(p, l), startTheorem(p, l), addTheorem(p, l, false), addTheorem(p, l, true))
	}
	return ts
}

// openTheorem: a superpacket is open while fewer than MaxOpen were opened after it.
func openTheorem(p *translate.Program) *Theorem {
	m, w := p.NewMachine(), p.IntWidth()
	m.Overflow = true
	c, a := translate.Cell("c", m.Symbolic("c", p.Type("Coalescer"))), translate.Cell("a", m.Symbolic("a", p.Type("run")))
	st := translate.NewState()
	v, left, err := m.Call("Coalescer.isOpen", st, c, a)
	open := must(v, err).(*smt.Term)
	note(m)
	after := smt.Sub(smt.Var("c.opened", w), smt.Var("a.ordinal", w))
	return &Theorem{
		Name: "isOpen", Says: "a superpacket is open while fewer than MaxOpen were opened after it (C4)",
		Hyps: settings(w), Goal: smt.All(smt.Eq(open, smt.Slt(after, smt.Var("c.cfg.MaxOpen", w))), left.Unchanged(st)), Obligations: m.Obligations,
		Witness: open, Fast: true, Case: openCase,
	}
}

func extendTheorem(p *translate.Program, l layout) *Theorem {
	r := newRuns(p, l)
	m, s := r.m, abstractSums(r.m)
	run, coalescer := p.Type("run"), p.Type("Coalescer")
	i := smt.Var("i", 32)
	length := smt.Var("len(P)", r.w)
	pkt := translate.Packet("P", length)
	c := r.st.Cell(r.c.Obj)
	pkts := translate.Field(c, coalescer, "pkts").(translate.Slice)
	m.SetElement(pkts, i, pkt)
	first := translate.Element(pkts, smt.Var("a.head", 32), r.w).(translate.Slice)
	// The run a was opened by start, of a packet that was admitted.
	opening := r.st.Clone()
	fixHeaders(opening, l, first)
	fixHeaders(opening, l, pkt)
	admittedA, a0, _ := admits(m, opening, r.c, smt.Var("a.head", 32), first)
	a := r.st.Cell(r.a.Obj)
	for _, f := range []string{"ipSum", "l4Sum"} {
		a = translate.SetField(a, run, f, translate.Field(a0, run, f))
	}
	m.Obligations = nil // those of a's first packet hold by startTheorem
	q := translate.Cell("a", a)

	// The slow way: P is admitted, has a's flow, and joins.
	admittedP, one, _ := admits(m, opening, r.c, i, pkt)
	v, _, err := m.Call("Coalescer.joins", opening, r.c, q, translate.Cell("one", one))
	joins := smt.Eq(must(v, err).(*smt.Term), c8(joinedReason))
	v, _, err = m.Call("Coalescer.isOpen", opening, r.c, q)
	slow := smt.All(admittedP, sameFlow(l, "A", "P"), must(v, err).(*smt.Term), joins)
	slowDuties := under(smt.All(headersAre(l, "P"), admittedP), m.Obligations)
	m.Obligations = nil

	got, after, err := m.Call("Coalescer.extends", r.st, r.c, q, i, pkt)
	extends := must(got, err).(*smt.Term)
	note(m)

	// What it leaves behind.
	was, is := a, after.Cell(q.Obj)
	size := smt.Sub(length, r.int(l.hdrLen))
	field := func(v translate.Value, name string) *smt.Term { return translate.Field(v, run, name).(*smt.Term) }
	sealed := smt.Slt(size, field(was, "size"))
	if l.proto == tcp {
		sealed = smt.Any(sealed, smt.Not(bitsOf(symbols("P").byte(l.ip()+13), finPSH, 0)))
	}
	want := map[string]*smt.Term{
		"tail": i, "n": smt.Add(field(was, "n"), r.int(1)), "payload": smt.Add(field(was, "payload"), size), "sealed": sealed,
	}
	left := was
	for _, f := range slices.Sorted(maps.Keys(want)) {
		left = translate.SetField(left, run, f, smt.Ite(extends, want[f], field(was, f)))
	}
	same := translate.Equal(is, left)
	next := translate.Field(c, coalescer, "next").(translate.Slice)
	at := smt.Sext(smt.Var("a.tail", 32), r.w)
	cell := translate.Elements(next)[at]
	if cell == nil || len(translate.Elements(next)) != 1 {
		same = smt.False
	} else {
		same = smt.All(same, smt.Eq(after.Cell(cell).(*smt.Term), smt.Ite(extends, i, cell.First().(*smt.Term))),
			after.Unchanged(r.st, q.Obj, cell))
	}

	key, proto, l4Len := keyOf(l, "P"), c8(l.proto), smt.Sub(length, r.int(l.ip()))
	hyps := append(r.hyps, settings(r.w)...)
	hyps = append(hyps, inRange(i, r.w), inRange(smt.Var("a.tail", 32), r.w), admittedA,
		smt.Sle(r.int(0), length), s.pseudoLemma(key, proto, l4Len))
	if l.version == 4 {
		id := symbols("P").be16(4)
		hyps = append(hyps, s.headerLemma(l, "A"), s.headerLemma(l, "P"), s.updateLemma("A", smt.Resize(length, 32), w32(id)))
	}
	fixed := headersAre(l, "P")
	return &Theorem{
		Name: "extends: " + l.String(),
		Says: "extends accepts a packet if and only if it is of the run's flow and parse, verify, isOpen and joins accept it; then it does what add does, and otherwise nothing; it changes no other memory",
		Hyps: hyps,
		Goal: smt.All(smt.Implies(fixed, smt.Eq(extends, slow)), smt.Implies(extends, fixed), same),
		// A packet with other headers is not of the flow, or joins refuses it by hdrLen.
		Obligations: append(slowDuties, m.Obligations...),
		Witness:     smt.All(extends, smt.Slt(r.int(1), r.field("a", "n"))),
		Fast:        l.fast(),
		Case:        func(values map[string]uint64) (*caseFile, error) { return extendCase(l, values) },
		Small:       append(r.small("a"), smt.Sle(length, r.int(160))),
	}
}

// fieldsAre says that fields of a value have the terms that are wanted.
func fieldsAre(v translate.Value, t types.Type, want map[string]*smt.Term) *smt.Term {
	are := smt.True
	for _, f := range slices.Sorted(maps.Keys(want)) {
		are = smt.All(are, smt.Eq(translate.Field(v, t, f).(*smt.Term), want[f]))
	}
	return are
}

// startTheorem: what verify admits is a candidate, and start makes a run of it.
func startTheorem(p *translate.Program, l layout) *Theorem {
	r := &runs{m: p.NewMachine(), l: l, w: p.IntWidth(), st: translate.NewState()}
	r.m.Overflow = true
	abstractSums(r.m)
	c := translate.Cell("c", r.m.Symbolic("c", p.Type("Coalescer")))
	length := smt.Var("len(P)", r.w)
	pkt := translate.Packet("P", length)
	fixHeaders(r.st, l, pkt)
	i := smt.Var("i", 32)
	admitted, one, only := admits(r.m, r.st, c, i, pkt)
	note(r.m)
	run := p.Type("run")
	x := r.values(one, r.int(0), smt.Sub(length, r.int(l.hdrLen)), c8(0))
	if l.proto == tcp {
		x.flags = smt.And(symbols("P").byte(l.ip()+13), c8(finPSH))
	}
	goal := smt.All(r.invariant(x, "P")...)
	most := smt.Var("c.cfg.MaxUDPSegments", r.w)
	if l.proto == tcp { // nothing joins after a first payload under 8 bytes (C2)
		most = smt.Ite(smt.Slt(smt.Sub(length, r.int(l.hdrLen)), r.int(8)), r.int(1), smt.Var("c.cfg.MaxSegments", r.w))
	}
	want := map[string]*smt.Term{
		"most": most, "layout.hdrLen": r.int(l.hdrLen), "layout.l4Off": r.int(l.ip()), "layout.version": r.int(l.version), "layout.proto": c8(l.proto),
		"head": i, "tail": i, "older": smt.Const(32, 0xFFFFFFFF), "n": r.int(1), "ordinal": r.int(0),
	}
	if l.version == 6 {
		want["id"], want["ipSum"] = c16(0), smt.Const(32, 0)
	}
	if l.proto == udp {
		want["seq"] = smt.Const(32, 0)
	}
	goal = smt.All(goal, only, fieldsAre(one, run, want))
	return &Theorem{
		Name:        "start: " + l.String(),
		Says:        "a packet that parse and verify admit is a candidate (C1), and start makes a run of it, with the limits of C2",
		Hyps:        append(settings(r.w), smt.Sle(r.int(0), length), headersAre(l, "P"), admitted),
		Goal:        goal,
		Obligations: r.m.Obligations,
		Witness:     smt.True,
		Fast:        l.fast(),
		Case:        func(values map[string]uint64) (*caseFile, error) { return admitCase(l, values) },
		Small:       []*smt.Term{smt.Sle(length, r.int(160))},
	}
}

// addTheorem: what joins accepts, add or prepend makes a run.
func addTheorem(p *translate.Program, l layout, front bool) *Theorem {
	r := newRuns(p, l)
	run := p.Type("run")
	v, _, err := r.m.Call("Coalescer.joins", r.st, r.c, r.a, r.b)
	joined := smt.Eq(must(v, err).(*smt.Term), c8(joinedReason))
	r.m.Obligations = nil // they hold by joinTheorems
	hyps := append(append(r.hyps, settings(r.w)...), joined, inRange(smt.Var("a.tail", 32), r.w))
	name, single := "add", "b"
	before := smt.Add(r.field("a", "before"), r.field("a", "last"))
	var after *translate.State
	var whole translate.Value
	changes, spent := r.a.Obj, r.a.Obj
	linked := [2]*smt.Term{smt.Var("a.tail", 32), smt.Var("b.head", 32)} // c.next of the first is the second
	if front {
		name, single = "prepend", "a"
		before = smt.Add(before, r.field("b", "before"))
		_, after, err = r.m.Call("Coalescer.prepend", r.st, r.c, r.b, r.a)
		changes = r.b.Obj // and r.a is not used again
	} else {
		_, after, err = r.m.Call("Coalescer.add", r.st, r.c, r.a, smt.Var("b.head", 32), r.field("b", "payload"), smt.Var("b.sealed", 0))
	}
	must(0, err)
	note(r.m)
	whole = after.Cell(changes)
	hyps = append(hyps, smt.Eq(r.field(single, "n"), r.int(1)))
	x := r.values(whole, before, r.field("b", "last"), smt.Var("b.flags", 8))
	x.hdrLen = r.int(l.hdrLen)
	goal := smt.All(r.invariant(x, "A")...)
	want := map[string]*smt.Term{
		"head": smt.Var("a.head", 32), "tail": smt.Var("b.tail", 32),
		"n":    smt.Add(r.field("a", "n"), r.field("b", "n")),
		"size": r.field("a", "size"), "layout.hdrLen": r.int(l.hdrLen),
		"layout.version": r.int(l.version), "layout.proto": c8(l.proto), "layout.l4Off": r.int(l.ip()),
	}
	owner := "a"
	if front {
		owner = "b" // the superpacket keeps its place
	} else {
		want["tail"] = smt.Var("b.head", 32)
	}
	for _, f := range []string{"older", "ordinal"} {
		want[f] = translate.Field(r.m.Symbolic(owner, run), run, f).(*smt.Term)
	}
	for _, f := range []string{"most", "ipSum", "l4Sum"} { // of its first packet
		want[f] = translate.Field(r.m.Symbolic("a", run), run, f).(*smt.Term)
	}
	goal = smt.All(goal, fieldsAre(whole, run, want))
	next := translate.Field(r.st.Cell(r.c.Obj), p.Type("Coalescer"), "next").(translate.Slice)
	cell := translate.Elements(next)[smt.Sext(linked[0], r.w)]
	if cell == nil || len(translate.Elements(next)) != 1 {
		goal = smt.False
	} else {
		goal = smt.All(goal, smt.Eq(after.Cell(cell).(*smt.Term), linked[1]), after.Unchanged(r.st, changes, cell, spent))
	}
	return &Theorem{
		Name:        name + ": " + l.String(),
		Says:        fmt.Sprintf("after joins accepts, %s makes one run of the two, which has the invariant of runs, and links the packets", name),
		Hyps:        hyps,
		Goal:        goal,
		Obligations: r.m.Obligations,
		Witness:     smt.Slt(r.field("b", "last"), r.field("a", "size")),
		Fast:        l.fast(),
		Case:        func(values map[string]uint64) (*caseFile, error) { return addCase(l, front, values) },
		Small:       r.small("a", "b"),
	}
}
