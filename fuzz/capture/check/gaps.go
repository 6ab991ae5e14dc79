package check

import (
	"cmp"
	"fmt"
	"slices"
)

// gap is a range of sequence numbers inside a run of full segments that is not
// there so far.
type gap struct {
	from, to       uint32
	packet, behind int // behind which it is seen, and which it is behind
	size           int // payload of a full segment
	ids            string
	on             int // segments in order behind it
}

const (
	maxGaps = 16     // of a flow that are remembered
	longGap = 0xFFFF // bytes: what is longer is no superpacket's
	inRun   = 2      // full segments before a gap
	goingOn = 128    // segments behind it, by when there is what was only late
)

// gaps keeps account of what of a flow is not there: a later packet fills it, or
// the other direction acknowledges it, so that only the capture lacks it.
func (p *judged) gaps(f *flow, behind bool, payload int) {
	l := &f.last
	seq, at := p.u32(p.L4Off+4), p.L4Off
	if c := p.finds; c.open > 0 && p.b[at+13]&0x10 != 0 {
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
	f.drop(p.finds, func(g *gap) bool { return g.from == g.to })
	switch {
	case behind && payload == l.payload:
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
		if g := &f.missing[i]; behind && int32(seq-g.to) > 0 {
			g.on++
		}
	}
}

// missing notes a gap before a packet.
func (p *judged) missing(f *flow, size int) {
	l, seq := &f.last, p.u32(p.L4Off+4)
	if p.finds.alien > l.number {
		return
	}
	g := gap{from: f.frontier, to: seq, packet: p.n, behind: l.number, size: size}
	if p.Version == 4 {
		n := (int(seq-f.frontier) + size - 1) / size
		switch skipped := int(p.u16(4) - l.id - 1); skipped {
		case 0:
			return // it is told at once, by IDs
		case n:
			g.ids = fmt.Sprintf("; the IDs skip exactly the %d", n)
		default:
			g.ids = fmt.Sprintf("; the IDs skip %d", skipped)
		}
	}
	if len(f.missing) == maxGaps {
		f.missing[0].tell(p.finds)
		f.missing = f.missing[1:]
		p.finds.open--
	}
	f.missing = append(f.missing, g)
	p.finds.open++
}

// fill takes from a gap what a later packet has.
func (g *gap) fill(from, to uint32) {
	switch {
	case int32(to-g.from) <= 0 || int32(from-g.to) >= 0:
	case int32(from-g.from) > 0 && int32(to-g.to) < 0:
		g.to = from // what is behind it has to come, too
	case int32(from-g.from) <= 0 && int32(to-g.to) >= 0:
		g.from = g.to
	case int32(from-g.from) <= 0:
		g.from = to
	default:
		g.to = from
	}
}

// drop forgets gaps.
func (f *flow) drop(c *Checker, which func(*gap) bool) {
	if len(f.missing) == 0 {
		return
	}
	before := len(f.missing)
	f.missing = slices.DeleteFunc(f.missing, func(g gap) bool { return which(&g) })
	c.open -= before - len(f.missing)
}

// tell reports a gap that nothing filled, if the run went on behind it.
func (g *gap) tell(c *Checker) {
	if g.on < goingOn {
		return
	}
	p := &judged{n: g.packet, finds: c}
	n := g.to - g.from
	p.found(SeqLost, "tcp.seq", fmt.Sprint(g.to), fmt.Sprint(g.from), "%d bytes, %d segments of %d, are missing behind packet %d and come no more, while the run goes on%s",
		n, (int(n)+g.size-1)/g.size, g.size, g.behind, g.ids)
}

// Finish judges what nothing filled until the end of the capture.
func (c *Checker) Finish() {
	var list []gap
	for f := range c.flows.Values() {
		list = append(list, f.missing...)
		f.missing = nil
	}
	slices.SortFunc(list, func(a, b gap) int { return cmp.Compare(a.packet, b.packet) })
	for _, g := range list {
		g.tell(c)
	}
	c.open = 0
}
