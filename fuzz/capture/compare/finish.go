package compare

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// wait keeps a unit until its counterpart comes. If too many units wait, it gives up
// the oldest.
func (m *Matcher) wait(u *unit) {
	p := &m.pending[u.side]
	p.put(u)
	if p.n <= m.cfg.pending() && p.bytes <= maxBytes {
		return
	}
	m.resolve()
	left := [2][]*unit{m.pending[Before].all(), m.pending[After].all()}
	for side, list := range left { // the counterparts of the later half may still come
		left[side] = list[:(len(list)+1)/2]
	}
	m.changes(context.Background(), left)
	for p.n > m.cfg.pending()/2 || p.bytes > maxBytes/2 {
		m.giveUp(p.oldest())
	}
}

// givenUp holds the units of a side that were given up after its last matched unit.
// If a later unit is matched, they are missing. If none is, the other capture was not
// running when they passed.
type givenUp struct {
	list []Finding
	more int // the number of units beyond maxGivenUp
	last Finding
	at   int64 // place of the last
}

const maxGivenUp = 1000 // findings that are kept

func (g *givenUp) add(u *unit, f Finding) {
	g.at = u.place()
	if len(g.list) < maxGivenUp {
		g.list = append(g.list, f)
		return
	}
	g.more++
	g.last = f
}

// reportGivenUp reports the units that were given up before the place of a unit that
// was matched.
func (m *Matcher) reportGivenUp(side int, place int64) {
	g := &m.givenUp[side]
	if len(g.list) == 0 || place < g.at {
		return
	}
	for _, f := range g.list {
		m.emit(f)
	}
	if g.more > 0 {
		g.last.Count = g.more
		m.emit(g.last)
	}
	*g = givenUp{}
}

// Finish judges the units that still wait when both captures are at their end. It
// returns early, with an error, if ctx ends.
func (m *Matcher) Finish(ctx context.Context) error {
	m.resolve()
	m.joined(ctx)
	left := [2][]*unit{m.pending[Before].all(), m.pending[After].all()}
	m.changes(ctx, left)
	for o := range m.orders.Values() {
		o.settle(m, 0)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	flows := map[*flow][2][]*unit{}
	var order []*flow
	for side := range left {
		for _, u := range left[side] {
			if !u.waiting {
				continue
			}
			f := flows[u.flow]
			if f[0] == nil && f[1] == nil {
				order = append(order, u.flow)
			}
			f[side] = append(f[side], u)
			flows[u.flow] = f
		}
	}
	for _, f := range order {
		for side, units := range flows[f] {
			m.flowLeft(f, side, units)
		}
	}
	for side, g := range m.givenUp {
		m.Summary.Outside[side] += len(g.list) + g.more
	}
	return nil
}

// flowLeft reports the units of a flow that still wait. If no packet of the flow is
// on the other side, that is one finding.
func (m *Matcher) flowLeft(f *flow, side int, units []*unit) {
	if len(units) == 0 {
		return
	}
	if f.edges[side].first == 0 && len(units) > 1 && m.inside(units[0]) && m.inside(units[len(units)-1]) {
		for _, u := range units {
			m.pending[side].remove(u)
		}
		x := m.missing(units[0])
		x.Count, x.Text = len(units), "no packet of this flow is in the other capture: "+packet.Line(units[0].b)
		m.emit(x)
		return
	}
	for _, u := range units {
		m.giveUp(u)
	}
}

// missing returns the finding of a unit without a counterpart.
func (m *Matcher) missing(u *unit) Finding {
	f := Finding{What: Lost, Segment: u.segment, Rule: "P2", Text: packet.Line(u.b)}
	f.Packets[u.side] = u.number
	if u.side == After {
		f.What = Extra
		if n, was := m.copies.Has(u.hash); was {
			f.What, f.Text = Duplicated, fmt.Sprintf("packet %d of the same capture is a copy of it", n[After])
			f.Packets[Before] = n[Before]
		}
	}
	return f
}

// giveUp reports a unit without a counterpart, unless the other capture was not
// running when it passed.
func (m *Matcher) giveUp(u *unit) {
	p := &m.pending[u.side]
	p.remove(u)
	switch {
	case m.inside(u):
		m.emit(m.missing(u))
	case p.first != 0 && u.place() > p.last:
		m.givenUp[u.side].add(u, m.missing(u))
	default:
		m.Summary.Outside[u.side]++
	}
}

// changed returns the finding of two units that are the same packet except for some
// fields. They no longer wait.
func (m *Matcher) changed(u, w *unit) Finding {
	if u.side == After {
		u, w = w, u
	}
	for _, x := range []*unit{u, w} {
		m.pending[x.side].remove(x)
	}
	if u.flow == w.flow && len(u.payload()) > 0 && bytes.Equal(u.payload(), w.payload()) {
		m.bothSides(u, w) // surely the same
	}
	f := Finding{What: Changed, Packets: [2]int{u.number, w.number}, Segment: max(u.segment, w.segment), Fields: m.differences(u.b, w.b)}
	f.Rule, f.Text = blame(u, w, f.Fields)
	f.hop = byHop(u, w, f.Fields)
	f.of = [2]int{u.number, w.number}
	switch { // a change in all segments of a superpacket is one finding
	case w.cut:
		f.of[Before] = 0
	case u.cut:
		f.of[After] = 0
	}
	return f
}

// joined looks for superpackets that no kernel cuts and whose packets wait on the
// other side. The finding names the wrong fields of the superpacket.
func (m *Matcher) joined(ctx context.Context) {
	tries := 0
	for side := range m.pending {
		for _, u := range slices.Clone(m.pending[side].units) {
			if !u.waiting || u.cut || len(u.b) <= likelySizes[0] && !u.derived || tries == maxTries || ctx.Err() != nil {
				continue
			}
			tries++
			members := m.members(u)
			if len(members) < 2 {
				continue
			}
			var batch [][]byte
			var index []int
			for i, w := range members {
				batch, index = append(batch, w.b), append(index, i)
			}
			_, want := model.Join(batch, index)
			got := u.b
			if len(want) == len(got) {
				packet.Fix(want, packet.FixL4Csum)
			}
			f := Finding{What: Changed, Fields: m.differences(want, got), Count: 1, Text: fmt.Sprintf("a superpacket of %d packets, but no kernel cuts it into them", len(members))}
			f.Rule, _ = blame(members[0], u, f.Fields)
			f.Packets[side], f.Packets[1-side] = u.number, members[0].number
			for _, x := range append(members, u) {
				m.pending[x.side].remove(x)
			}
			if len(f.Fields) > 0 {
				m.emit(f)
			}
		}
	}
}

// members returns the waiting units of the other side whose payloads, one after
// another, are the payload of u; nil if there are none.
func (m *Matcher) members(u *unit) []*unit {
	rest := u.payload()
	var list []*unit
	for _, w := range m.pending[1-u.side].units {
		n := len(w.payload())
		if !w.waiting || n == 0 || n >= len(u.payload()) || w.Proto != u.Proto || w.Fragment || !bytes.HasPrefix(rest, w.payload()) {
			continue
		}
		list, rest = append(list, w), rest[n:]
		if len(rest) == 0 {
			return list
		}
	}
	return nil
}
