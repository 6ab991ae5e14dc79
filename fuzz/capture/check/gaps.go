// SPDX-License-Identifier: MIT

package check

import (
	"cmp"
	"fmt"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// gap is a range of sequence numbers, inside a run of full segments, that no packet
// has covered so far.
type gap struct {
	from, to     uint32
	after        int // number of the packet before the gap
	packet       int // number of the packet after the gap
	size         int // payload of a full segment
	ids          string
	header       packet.Header // of that packet
	continuation int           // segments in order after the gap
}

const (
	maxGaps = 16     // remembered of each flow
	longGap = 0xFFFF // bytes: a longer gap is not part of a superpacket
	inRun   = 2      // full segments in a row that make a run
	goingOn = 128    // segments after a gap, by which time late packets have come
)

// gaps updates the list of a flow's gaps. A later packet can fill a gap. A gap that
// the other direction acknowledges is forgotten: only the capture lacks these bytes.
func (p *judged) gaps(f *flow, follows bool, payload int) {
	l := &f.last
	seq, at := p.u32(p.L4Off+4), p.L4Off
	if c := p.check; c.open > 0 && p.b[at+13]&0x10 != 0 {
		if back, is := c.flows.Has(p.Flow(p.b).Reverse()); is {
			ack := p.u32(at + 8)
			back.drop(c, func(g *gap) bool { return int32(ack-g.to) >= 0 })
		}
	}
	if payload == 0 {
		return
	}
	for i := range f.missing {
		f.missing[i].fill(seq, seq+uint32(payload))
	}
	f.drop(p.check, func(g *gap) bool { return g.from == g.to })
	switch {
	case follows && payload == l.payload:
		f.full++
	case f.full >= inRun && payload == l.payload && payload >= fullSize && payload <= longest && f.started && f.frontier == l.seq+uint32(l.payload):
		if n := int32(seq - f.frontier); n > 0 && n <= longGap && p.b[at+13]&(syn|rst) == 0 {
			p.missing(f, payload)
		}
		f.full = 1
	default:
		f.full = 1
	}
	for i := range f.missing {
		if g := &f.missing[i]; follows && int32(seq-g.to) > 0 {
			g.continuation++
		}
	}
}

// missing adds the gap between p and the packet before it.
func (p *judged) missing(f *flow, size int) {
	l, seq := &f.last, p.u32(p.L4Off+4)
	if p.check.alien > l.number || l.wrong || p.csum == packet.Wrong { // perhaps a sequence number is wrong
		return
	}
	g := gap{from: f.frontier, to: seq, packet: p.n, after: l.number, size: size, header: p.Header}
	if p.Version == 4 {
		n := (int(seq-f.frontier) + size - 1) / size
		switch skipped := int(p.u16(4) - l.id - 1); skipped {
		case 0:
			return // IDs without a gap: tcpRun reports it at once
		case n:
			g.ids = fmt.Sprintf("; the IPv4 IDs skip %d, one for each segment of the gap", n)
		default:
			g.ids = fmt.Sprintf("; the IPv4 IDs skip %d", skipped)
		}
	}
	if len(f.missing) == maxGaps {
		f.missing[0].report(p.check)
		f.missing = f.missing[1:]
		p.check.open--
	}
	f.missing = append(f.missing, g)
	p.check.open++
}

// fill removes from a gap the range that a later packet covers. If that is in the
// middle, the part after it is taken as covered too.
func (g *gap) fill(from, to uint32) {
	switch {
	case int32(to-g.from) <= 0 || int32(from-g.to) >= 0:
	case int32(from-g.from) > 0 && int32(to-g.to) < 0:
		g.to = from
	case int32(from-g.from) <= 0 && int32(to-g.to) >= 0:
		g.from = g.to
	case int32(from-g.from) <= 0:
		g.from = to
	default:
		g.to = from
	}
}

// drop forgets the gaps for which which returns true.
func (f *flow) drop(c *Checker, which func(*gap) bool) {
	if len(f.missing) == 0 {
		return
	}
	before := len(f.missing)
	f.missing = slices.DeleteFunc(f.missing, func(g gap) bool { return which(&g) })
	c.open -= before - len(f.missing)
}

// report emits the finding of a gap that nothing filled, if the run went on after it.
func (g *gap) report(c *Checker) {
	if g.continuation < goingOn {
		return
	}
	p := &judged{Header: g.header, n: g.packet, check: c}
	n := g.to - g.from
	p.found(SeqLost, "tcp.seq", fmt.Sprint(g.to), fmt.Sprint(g.from), "missing after packet %d: %s (%s of %d), which no later packet brings, while the run goes on%s",
		g.after, record.Count(int(n), "byte"), record.Count((int(n)+g.size-1)/g.size, "segment"), g.size, g.ids)
}

// Finish ends the capture: it reports the gaps that nothing filled.
func (c *Checker) Finish() {
	var list []gap
	for f := range c.flows.Values() {
		list = append(list, f.missing...)
		f.missing = nil
	}
	slices.SortFunc(list, func(a, b gap) int { return cmp.Compare(a.packet, b.packet) })
	for _, g := range list {
		g.report(c)
	}
	c.open = 0
}
