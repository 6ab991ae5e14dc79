// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"strings"

	"tunproof/fuzz/prove/smt"
	"tunproof/fuzz/prove/translate"
)

// cutLayout is the headers of a superpacket that Segment cuts.
type cutLayout struct{ version, proto, l4Off, hdrLen int }

func (l cutLayout) String() string {
	if l.proto == udp {
		return fmt.Sprintf("udp%d at %d", l.version, l.l4Off)
	}
	return fmt.Sprintf("tcp%d at %d with data offset %d", l.version, l.l4Off, (l.hdrLen-l.l4Off)/4)
}

func (l cutLayout) fast() bool {
	return (l.l4Off == 20 || l.l4Off == 40 && l.version == 6) && (l.proto == udp || l.hdrLen == l.l4Off+20)
}

// cutLayouts has UDP after IPv4 options of every length and IPv6 extension headers of up to
// 24 bytes, TCP with every data offset, and TCP after the shortest and the longest of those.
func cutLayouts() []cutLayout {
	var ls []cutLayout
	for _, ip := range []struct{ version, least, step, most int }{{4, 20, 4, 60}, {6, 40, 8, 64}} {
		for off := ip.least; off <= ip.most; off += ip.step {
			ls = append(ls, cutLayout{ip.version, udp, off, off + 8})
		}
		for doff := 5; doff <= 15; doff++ {
			ls = append(ls, cutLayout{ip.version, tcp, ip.least, ip.least + 4*doff})
		}
		for _, off := range []int{ip.least + ip.step, ip.most} {
			ls = append(ls, cutLayout{ip.version, tcp, off, off + 20})
		}
	}
	if fastOnly {
		ls = slices.DeleteFunc(ls, func(l cutLayout) bool { return !l.fast() })
	}
	return ls
}

// cutTheorems: the segment that Next writes, after prepare, is the one that rules S1 to S6
// describe.
func cutTheorems(p *translate.Program) []*Theorem {
	ts := []*Theorem{nothingTheorem(p, "not the last"), nothingTheorem(p, "the last"), nothingTheorem(p, "no segment left")}
	for _, l := range cutLayouts() {
		for _, which := range []string{"first", "inner", "last"} {
			ts = append(ts, cutTheorem(p, l, which, true))
			if l.proto == tcp && l.fast() {
				ts = append(ts, cutTheorem(p, l, which, false))
			}
		}
	}
	return ts
}

// nothingTheorem: with a buffer that is shorter than the segment, or without a segment, Next
// returns an error, and writes and consumes nothing. It is about every kind of headers.
func nothingTheorem(p *translate.Program, which string) *Theorem {
	m, w := p.NewMachine(), p.IntWidth()
	m.Overflow = true
	n := func(v int) *smt.Term { return smt.Const(w, uint64(v)) }
	t := m.Type("Segmenter")
	s := m.Symbolic("s", t)
	hdr, total, size := smt.Var("len(s.hdr)", w), smt.Var("len(s.pkt)", w), smt.Var("s.size", w)
	i, count, room := smt.Var("s.i", w), smt.Var("s.n", w), smt.Var("len(dst)", w)
	last := smt.Not(smt.Slt(i, smt.Sub(count, n(1))))
	at := smt.Mul(i, size)
	var facts []*smt.Term
	inside := between(n(0), at, total) // the payload before a segment
	why, witness := "ErrShortBuffer", smt.Slt(n(0), room)
	switch which {
	case "not the last":
		facts = []*smt.Term{smt.Not(smt.Eq(i, count)), smt.Not(last), smt.Slt(room, smt.Add(hdr, size))}
	case "the last":
		facts = []*smt.Term{smt.Not(smt.Eq(i, count)), last, smt.Slt(room, smt.Sub(total, at))}
	default:
		facts, why, inside = []*smt.Term{smt.Eq(i, count)}, "EOF", smt.True
	}
	m.Facts = facts
	copied := false
	m.Intrinsics["copySum"] = func(*translate.State, []translate.Value) translate.Value {
		copied = true
		return smt.Var("copied", 16)
	}
	cell := translate.Cell("s", s)
	dst := translate.Packet("D", room)
	v, after, err := m.Call("Segmenter.Next", translate.NewState(), cell, dst)
	result := must(v, err).(translate.Tuple)
	note(m)
	goal := smt.All(smt.Eq(result[0].(*smt.Term), n(0)), smt.Eq(result[1].(*smt.Term), m.Error(why)),
		smt.Bool(!copied), smt.Bool(after.Cell(cell.Obj) == translate.Value(s)))
	goal = smt.All(goal, after.Unchanged(translate.NewState()))
	free := func(ts ...*smt.Term) []*smt.Term { return anyProduct(ts, i, size, w) }
	for k := range m.Obligations {
		m.Obligations[k].Holds = free(m.Obligations[k].Holds)[0]
	}
	return &Theorem{
		Name: "segment, nothing: " + which,
		Says: fmt.Sprintf("Next returns %s, writes nothing and changes nothing (int of %d bits)", why, w),
		Hyps: free(append(facts, between(n(0), size, n(65535)), between(n(0), hdr, total), between(n(0), total, n(1<<30)),
			between(n(0), count, n(65535)), between(n(0), i, count), inside, between(n(0), room, n(1<<30)))...),
		Goal: goal, Obligations: m.Obligations, Witness: witness, Fast: true,
	}
}

// cutting is one segment that Next writes: what the code does, and what the rules say.
type cutting struct {
	cutLayout
	which     string // first, inner or last
	needsCsum bool
	m         *translate.Machine
	w         int
	ch        *chain
	x         symbols // the headers of the superpacket
	pseudo    *smt.Term
	payload   *smt.Term // the sum of the segment's

	total, size, i, count *smt.Term // of the Segmenter
	at, length            *smt.Term // the payload before the segment, and the segment's length
	facts                 []*smt.Term
	segmenter, dst, hdr   *translate.Object
	addresses             []translate.Value  // arguments of PseudoHeaderSum
	start, before         *translate.State   // before prepare, and after it
	copied                [3]translate.Value // arguments of copySum
	result                translate.Tuple
	after                 *translate.State

	want           map[int]*smt.Term // bytes of the headers that are not the superpacket's
	id, seq, flags *smt.Term
	lemmas         []*smt.Term
}

func (c *cutting) int(v int) *smt.Term { return smt.Const(c.w, uint64(v)) }

func cutTheorem(p *translate.Program, l cutLayout, which string, needsCsum bool) *Theorem {
	c := &cutting{cutLayout: l, which: which, needsCsum: needsCsum, m: p.NewMachine(), w: p.IntWidth(), ch: newChain(),
		x: "X", pseudo: smt.Var("pseudo", 16), payload: smt.Var("payload", 32), want: map[int]*smt.Term{}}
	c.m.Overflow = true
	c.intrinsics()
	c.translate()
	note(c.m)
	c.specify()
	sums := c.sums()
	goal := c.rest()
	hyps := append(c.hypotheses(), c.bounds(append(sums, goal))...)
	for k := range c.m.Obligations {
		c.m.Obligations[k].Holds = c.product([]*smt.Term{c.m.Obligations[k].Holds})[0]
	}
	kind := ""
	if !needsCsum {
		kind = ", without NEEDS_CSUM"
	}
	return &Theorem{
		Name:        "segment, " + which + ": " + l.String() + kind,
		Says:        fmt.Sprintf("after prepare, Next writes the segment that rules S1 to S6 describe: lengths, ID, sequence number, flags, both checksums, and the payload (int of %d bits)", c.w),
		Hyps:        c.product(hyps),
		Goal:        c.product([]*smt.Term{goal})[0],
		More:        c.product(sums),
		Lemmas:      c.product(append(c.lemmas, c.ch.lemmas...)),
		Obligations: c.m.Obligations,
		Witness:     smt.Slt(c.int(2), c.count),
		Fast:        l.fast(),
		Case:        func(values map[string]uint64) (*caseFile, error) { return segmentCase(l, values) },
		Small:       []*smt.Term{smt.Sle(c.total, c.int(200)), smt.Sle(c.int(8), c.size)},
	}
}

// intrinsics replaces the functions that sum.
func (c *cutting) intrinsics() {
	m, ch, x := c.m, c.ch, c.x
	m.Intrinsics["fold"] = func(_ *translate.State, args []translate.Value) translate.Value {
		return ch.fold(args[0].(*smt.Term))
	}
	m.Intrinsics["Sum"] = func(st *translate.State, args []translate.Value) translate.Value {
		b := args[0].(translate.Slice)
		from, _ := b.Off.Value()
		length, ok := b.Len.Value()
		if !ok || length%2 != 0 {
			panic(&translate.Refusal{Place: "Sum", What: "a header whose length is unknown or odd"})
		}
		sum := words(x, int(from), int(from+length), func(i int) *smt.Term { return st.Byte(b.Obj, i) })
		return ch.fold(smt.Add(sum, w32(args[1].(*smt.Term))))
	}
	m.Intrinsics["PseudoHeaderSum"] = func(_ *translate.State, args []translate.Value) translate.Value {
		c.addresses = args
		return c.pseudo
	}
	m.Intrinsics["copySum"] = func(_ *translate.State, args []translate.Value) translate.Value {
		c.copied = [3]translate.Value(args)
		return ch.fold(smt.Add(c.payload, w32(args[2].(*smt.Term))))
	}
}

// translate calls prepare and then Next. Which segment it is decides the code's
// conditions; the other facts follow from the hypotheses.
func (c *cutting) translate() {
	t := c.m.Type("Segmenter")
	s := c.m.Symbolic("s", t)
	set := func(name string, v translate.Value) { s = translate.SetField(s, t, name, v) }
	set("layout.version", c.int(c.version))
	set("layout.proto", c8(c.proto))
	set("layout.l4Off", c.int(c.l4Off))
	set("layout.hdrLen", c.int(c.hdrLen))
	set("tunnel.len", c.int(0)) // the theorems are about superpackets that are in no tunnel
	set("edges", c.int(1))      // as Reset sets it then
	set("split", smt.True)
	hdr := translate.Packet("X", c.int(c.hdrLen))
	set("hdr", hdr)
	c.total, c.size, c.i, c.count = smt.Var("len(s.pkt)", c.w), smt.Var("s.size", c.w), smt.Var("s.i", c.w), smt.Var("s.n", c.w)
	if c.which == "first" {
		c.i = c.int(0)
		set("i", c.i)
	}
	c.at = smt.Mul(c.i, c.size)
	c.length = smt.Add(c.int(c.hdrLen), c.size)
	c.facts = []*smt.Term{smt.Not(smt.Eq(c.i, c.count)), smt.Slt(c.i, smt.Sub(c.count, c.int(1)))}
	if c.which == "last" {
		c.length = smt.Sub(c.total, c.at)
		c.facts[1] = smt.Not(c.facts[1])
	}
	end := smt.Eq(smt.Add(c.at, c.length), c.total)
	if c.which == "inner" {
		end = smt.Not(end)
	}
	if c.which != "first" {
		c.facts = append(c.facts, smt.Not(smt.Eq(c.i, c.int(0))), smt.Slt(c.int(0), c.i), end)
	}
	c.facts = append(c.facts, smt.Not(smt.Slt(smt.Var("len(dst)", c.w), c.length)))
	c.m.Facts = c.facts
	cell := translate.Cell("s", s)
	c.start = translate.NewState()
	_, st, err := c.m.Call("Segmenter.prepare", c.start, cell, smt.Bool(c.needsCsum))
	must(0, err)
	dst := translate.Packet("D", smt.Var("len(dst)", c.w))
	v, after, err := c.m.Call("Segmenter.Next", st, cell, dst)
	c.result, c.after, c.segmenter, c.dst, c.hdr, c.before = must(v, err).(translate.Tuple), after, cell.Obj, dst.Obj, hdr.Obj, st
}

// specify says which bytes of the headers rules S2 to S5 set, but for checksums.
func (c *cutting) specify() {
	put16 := func(off int, v *smt.Term) { c.want[off], c.want[off+1] = smt.Extract(15, 8, v), smt.Extract(7, 0, v) }
	if c.version == 4 {
		c.id = smt.Add(c.x.be16(4), smt.Resize(c.i, 16))
		put16(2, smt.Resize(c.length, 16))
		put16(4, c.id)
	} else {
		put16(4, smt.Resize(smt.Sub(c.length, c.int(40)), 16))
	}
	if c.proto == udp {
		put16(c.l4Off+4, smt.Resize(smt.Sub(c.length, c.int(c.l4Off)), 16))
		return
	}
	c.seq = smt.Add(c.x.be32(c.l4Off+4), smt.Resize(c.at, 32))
	put16(c.l4Off+4, smt.Extract(31, 16, c.seq))
	put16(c.l4Off+6, smt.Extract(15, 0, c.seq))
	// CWR is on the first only, FIN and PSH are on the last only.
	kept := map[string]int{"first": 0xFF &^ finPSH, "inner": 0x7F &^ finPSH, "last": 0x7F}[c.which]
	c.flags = smt.And(c.x.byte(c.l4Off+13), c8(kept))
	c.want[c.l4Off+13] = c.flags
}

// expected returns the bytes of the headers, with zeros for the words at skip.
func (c *cutting) expected(skip ...int) func(i int) *smt.Term {
	return func(i int) *smt.Term {
		for _, s := range skip {
			if i == s || i == s+1 {
				return c8(0)
			}
		}
		if t := c.want[i]; t != nil {
			return t
		}
		return c.x.byte(i)
	}
}

// csumAt is the offset of the L4 checksum.
func (c *cutting) csumAt() int {
	if c.proto == udp {
		return c.l4Off + 6
	}
	return c.l4Off + 16
}

// is says that the word at off is the complement of the folded sum, and notes the lemmas
// that may be needed. Zero becomes other.
func (c *cutting) is(off int, sum, other *smt.Term) *smt.Term {
	for _, f := range c.ch.results() {
		c.lemmas = append(c.lemmas, c.ch.more(c.ch.folded[f], c.ch.note(sum)))
	}
	csum := smt.Not(smt.Apply("fold", 16, sum))
	if other != nil {
		csum = smt.Ite(smt.Eq(csum, c16(0)), other, csum)
	}
	return smt.Eq(smt.Concat(c.after.Byte(c.dst, off), c.after.Byte(c.dst, off+1)), csum)
}

// sums says what the checksums are: of the headers as they are at the end. What is not a
// word of the superpacket's headers has a term of its own.
func (c *cutting) sums() []*smt.Term {
	var sums []*smt.Term
	if c.version == 4 {
		sum := smt.Add(words(c.x, 0, c.l4Off, c.expected(2, 4, 10)), smt.Resize(c.length, 32), w32(c.id))
		sums = append(sums, c.is(10, sum, nil))
	}
	old := smt.Resize(smt.Sub(c.total, c.int(c.l4Off)), 16)
	if c.proto == udp {
		old = c.x.be16(c.l4Off + 4)
	}
	// By delta: the partial sum, less the old length; or the pseudo-header without length.
	seed := smt.Add(w32(c.x.be16(c.csumAt())), w32(smt.Not(old)))
	if !c.needsCsum {
		seed = w32(c.pseudo)
	}
	l4Len := smt.Resize(smt.Sub(c.length, c.int(c.l4Off)), 32)
	sum := smt.Add(seed, l4Len, c.payload)
	if c.proto == udp {
		sum = smt.Add(sum, words(c.x, c.l4Off, c.hdrLen, c.expected(c.l4Off+4, c.csumAt())), l4Len)
		return append(sums, c.is(c.csumAt(), sum, c16(0xFFFF)))
	}
	rest := words(c.x, c.l4Off, c.hdrLen, c.expected(c.l4Off+4, c.l4Off+6, c.l4Off+12, c.csumAt()))
	sum = smt.Add(sum, rest, w32(smt.Concat(c.x.byte(c.l4Off+12), c.flags)), w32(smt.Extract(31, 16, c.seq)), w32(smt.Extract(15, 0, c.seq)))
	return append(sums, c.is(c.csumAt(), sum, nil))
}

// rest says what the other bytes of the headers are, that the payload is copied from its
// place after the headers and nothing else is written after them, what Next returns, and that
// it changes nothing but the index and dst: so the next call finds what prepare left. Of a TCP
// checksum without NEEDS_CSUM it says whose pseudo-header is summed.
func (c *cutting) rest() *smt.Term {
	goal := smt.True
	for off := range c.hdrLen {
		if at := c.csumAt(); off == at || off == at+1 || c.version == 4 && (off == 10 || off == 11) {
			continue
		}
		goal = smt.All(goal, smt.Eq(c.after.Byte(c.dst, off), c.expected()(off)))
	}
	to, from := c.copied[0].(translate.Slice), c.copied[1].(translate.Slice)
	n := smt.Sub(c.length, c.int(c.hdrLen))
	t := c.m.Type("Segmenter")
	next := translate.SetField(c.before.Cell(c.segmenter), t, "i", smt.Add(c.i, c.int(1)))
	goal = smt.All(goal, translate.Equal(c.after.Cell(c.segmenter), next), c.pseudoOf())
	stored := c.after.Stored(c.dst)
	return smt.All(goal, c.before.Unchanged(c.start, c.segmenter, c.hdr), c.after.Unchanged(c.before, c.segmenter, c.dst),
		smt.Bool(len(stored) == c.hdrLen && stored[c.hdrLen-1] == c.hdrLen-1), // copySum writes the rest
		smt.Eq(c.result[0].(*smt.Term), c.length), smt.Eq(c.result[1].(*smt.Term), smt.Const(16, 0)),
		smt.Eq(to.Off, c.int(c.hdrLen)), smt.Eq(to.Len, n), smt.Bool(from.Obj.Name == "s.pkt"),
		smt.Eq(from.Off, smt.Add(c.int(c.hdrLen), c.at)), smt.Eq(from.Len, n))
}

// pseudoOf says that PseudoHeaderSum, if it was called, had the protocol, the packet's
// addresses, and the length 0.
func (c *cutting) pseudoOf() *smt.Term {
	if c.needsCsum || c.proto == udp {
		return smt.Bool(c.addresses == nil)
	}
	if c.addresses == nil {
		return smt.False
	}
	at, n := 12, 4
	if c.version == 6 {
		at, n = 8, 16
	}
	src, dst := c.addresses[1].(translate.Slice), c.addresses[2].(translate.Slice)
	return smt.All(smt.Eq(c.addresses[0].(*smt.Term), c8(c.proto)), smt.Bool(src.Obj == c.hdr && dst.Obj == c.hdr),
		smt.Eq(src.Off, c.int(at)), smt.Eq(src.Len, c.int(n)), smt.Eq(dst.Off, c.int(at+n)), smt.Eq(dst.Len, c.int(n)),
		smt.Eq(c.addresses[3].(*smt.Term), c.int(0)))
}

// hypotheses are what Reset leaves: the count is the payload by the size, rounded up
// (rocq/Cut.v).
func (c *cutting) hypotheses() []*smt.Term {
	n := c.int
	rest := smt.Sub(c.total, n(c.hdrLen)) // the payload
	hyps := append(c.facts,
		between(n(1), c.size, n(65534)), between(n(c.hdrLen+1), c.total, n(65535)), smt.Slt(c.size, rest),
		between(n(2), c.count, n(65535)), between(n(0), c.i, smt.Sub(c.count, n(1))), between(n(0), c.at, n(65535)))
	if c.which == "last" {
		hyps = append(hyps, smt.Sle(c.size, c.at), smt.Slt(c.at, rest), smt.Sle(smt.Sub(rest, c.at), c.size))
	} else {
		hyps = append(hyps, smt.Slt(smt.Add(c.at, c.size), rest))
	}
	hyps = append(hyps, smt.Sle(c.length, smt.Var("len(dst)", c.w)), smt.Ule(c.payload, smt.Const(32, maxPayloadSum)), smt.Not(smt.Eq(c.pseudo, c16(0))))
	if c.proto == udp {
		return append(hyps, smt.Sle(c.count, n(128)))
	}
	return append(hyps, smt.Eq(smt.Op("bvlshr", c.x.byte(c.l4Off+12), c8(4)), c8((c.hdrLen-c.l4Off)/4)))
}

// bounds says how large the sums of words are that have names.
func (c *cutting) bounds(goals []*smt.Term) []*smt.Term {
	var is []*smt.Term
	for _, v := range smt.Variables(slices.Concat(c.lemmas, c.ch.lemmas, goals)...) {
		name, _ := v.Name()
		if !strings.HasPrefix(name, "words(") {
			continue
		}
		is = append(is, between32(smt.Const(32, 0), v, smt.Const(32, maxWords)))
		if c.version == 4 && strings.HasPrefix(name, "words(X,0,") {
			is = append(is, smt.Ule(smt.Const(32, 0x4500), v))
		}
	}
	return is
}

// product makes the product of i and the size any number that the hypotheses allow.
func (c *cutting) product(ts []*smt.Term) []*smt.Term {
	if c.which == "first" {
		return ts
	}
	return anyProduct(ts, c.i, c.size, c.w)
}

// anyProduct replaces the product of i and size by a variable.
func anyProduct(ts []*smt.Term, i, size *smt.Term, w int) []*smt.Term {
	at, product := smt.Var("at", w), smt.Mul(i, size)
	wide := smt.Mul(smt.Sext(i, 2*w), smt.Sext(size, 2*w))
	for k, t := range ts {
		ts[k] = smt.Replace(t, func(x *smt.Term) *smt.Term {
			switch x {
			case product:
				return at
			case wide:
				return smt.Sext(at, 2*w)
			}
			return nil
		})
	}
	return ts
}
