// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/packet"
)

// wait keeps a unit until its counterpart comes. If too many units wait, it gives up
// the oldest.
func (m *Matcher) wait(u *unit) {
	p := &m.pending[u.side]
	p.put(u)
	if m.settling || p.n <= m.cfg.pending() && p.bytes <= maxBytes {
		return
	}
	m.settling = true
	for side := range m.pending { // the counterparts of the later half may still come
		list := m.pending[side].all()
		m.limit[side] = 0
		if len(list) > 0 {
			m.limit[side] = list[(len(list)-1)/2].place()
		}
	}
	m.settle()
	m.changes(context.Background(), m.left())
	m.settling = false
	for p.n > m.cfg.pending()/2 || p.bytes > maxBytes/2 {
		m.giveUp(p.oldest())
	}
}

// old reports whether the counterpart of u would have come already. At the end that is so
// for all units.
func (m *Matcher) old(u *unit) bool { return u.place() <= m.limit[u.side] }

// left returns the units that wait and whose counterpart would have come already.
func (m *Matcher) left() (left [2][]*unit) {
	for side := range left {
		left[side] = slices.DeleteFunc(m.pending[side].all(), func(u *unit) bool { return !m.old(u) })
	}
	return left
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
		m.report(f)
	}
	if g.more > 0 {
		g.last.Count, g.last.at = g.more, 0
		m.report(g.last)
	}
	*g = givenUp{}
}

// Finish judges the units that still wait when both captures are at their end. It
// returns early, with an error, if ctx ends.
func (m *Matcher) Finish(ctx context.Context) error {
	m.limit = [2]int64{math.MaxInt64, math.MaxInt64}
	m.settling, m.finishing = true, true
	m.translateRest()
	m.settle()
	m.dropStrays()
	for o := range m.orders.Values() {
		o.common(m)
	}
	for o := range m.orders.Values() {
		o.align(m)
		for _, p := range o.list {
			p.sure()
		}
	}
	for side := range m.sure {
		if m.sure[side].first != 0 {
			m.pending[side].edges = m.sure[side]
		}
	}
	m.cutLast()
	m.changes(ctx, m.left())
	for o := range m.orders.Values() {
		o.settle(m, 0)
	}
	left := m.left()
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
	m.resolve()
	return nil
}

// cutLast cuts superpackets of which the other side has only the first segment, because its
// capture may have ended then. Elsewhere that may be a packet that lost its end.
func (m *Matcher) cutLast() {
	for side := range m.pending {
		for _, u := range m.pending[side].all() {
			if _, last := m.near(u); !last || u.of != nil || !u.stream() || u.Proto == 17 && !u.long() || u.place() < u.flow.sure[side].last {
				continue
			}
			for _, w := range slices.Clone(u.flow.recent(1 - side)) {
				n := len(w.payload())
				if !w.waiting || n >= len(u.payload()) || !bytes.HasPrefix(u.payload(), w.payload()) {
					continue
				}
				if list := m.segments(u, n); list != nil && m.hash(list[0].b) == w.hash && m.cut(u, n) {
					break
				}
			}
		}
	}
}

// cutCopied cuts TCP superpackets of a flow of which the other side has the first segments,
// if copies of all others came through: a copy that was sent later took their place.
func (m *Matcher) cutCopied(f *flow) {
	for side := range f.waiting {
		for _, u := range slices.Clone(f.waiting[side].units) {
			if !u.waiting || u.Proto != 6 || u.of != nil || !u.stream() {
				continue
			}
			for _, w := range f.recent(1 - side) {
				if w.waiting && w.of == nil && seq(w) == seq(u) && bytes.HasPrefix(u.payload(), w.payload()) && m.restCopied(u, w) && m.cut(u, len(w.payload())) {
					break
				}
			}
		}
	}
}

// restCopied reports whether w is the first segment of u, and copies of others came through,
// of all that do not wait on the other side too.
func (m *Matcher) restCopied(u, w *unit) bool {
	list := m.segments(u, len(w.payload()))
	if list == nil || m.hash(list[0].b) != w.hash {
		return false
	}
	copied := false
	for _, s := range list[1:] {
		h := m.hash(s.b)
		if m.pending[w.side].peek(h) != nil {
			continue
		}
		if _, was := m.copies.Has(h); !was {
			return false
		}
		copied = true
	}
	return copied
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
		for _, u := range units {
			x := m.missing(u)
			x.Text = "no packet of this flow is in the other capture"
			m.report(x)
		}
		return
	}
	for _, u := range units {
		m.giveUp(u)
	}
}

// missing returns the finding of a unit without a counterpart.
func (m *Matcher) missing(u *unit) Finding {
	f := Finding{What: Lost, Rule: "P2", Packet: packet.Line(u.b), Bytes: len(u.b), flow: u.flow.key, at: u.at}
	if u.of != nil {
		f.of = u.of.segments
	}
	f.Packets[u.side], f.Segments[u.side], f.Data[u.side] = u.number, u.segment, u.b
	copy, was := m.copies.Has(u.hash)
	changed, is := m.altered.Has(u.hash)
	is = is && u.side == After
	if is && !was {
		copy, was = changed.places, true
	}
	if was {
		n, _ := spot(copy[u.side])
		f.Text = fmt.Sprintf("it is a copy of %s %d, which came through", [...]string{"before", "after"}[u.side], n)
		if u.side == After {
			first, _ := spot(copy[Before])
			f.Text = fmt.Sprintf("before %d came twice: after %d and after %d", first, n, u.number)
		}
	}
	if is {
		f.Text += ", changed in the same way"
		if changed.text != "" {
			f.Text += ": " + changed.text
		}
	}
	switch {
	case u.side == After && was:
		f.What = Duplicated
		f.Packets[Before], f.Segments[Before] = spot(copy[Before])
	case u.side == After:
		f.What = Extra
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
		m.report(m.missing(u))
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
	m.reportFlaw(u, w)
	fields := m.differences(u.b, w.b)
	rest := withoutCutID(u, w, fields)
	if len(rest) < len(fields) {
		m.Summary.AtomicIDs++
	}
	f := m.change(u, w, rest)
	m.altered.Put(w.hash, altered{[2]int64{u.place(), w.place()}, f.Text})
	return f
}

// withoutCutID returns the fields that changed besides the IPv4 ID, if one of two units with DF
// has an ID that only cutting gave it. If nothing else changed, the ID stays.
func withoutCutID(u, w *unit, fields []packet.Difference) []packet.Difference {
	if u.ownID() && w.ownID() || !u.atomic() || !w.atomic() {
		return fields
	}
	rest := slices.DeleteFunc(slices.Clone(fields), func(d packet.Difference) bool { return d.Field == "ip.id" })
	if len(rest) == len(fields) || !slices.ContainsFunc(rest, func(d packet.Difference) bool { return d.Field != "ip.checksum" }) {
		return fields
	}
	return rest
}

// change returns the finding of two units that differ in some fields.
func (m *Matcher) change(u, w *unit, fields []packet.Difference) Finding {
	bad := spoiled(u, w)
	if len(m.cfg.Ignore) > 0 { // which may have left out one of these
		fields = withKept(u, w, fields, bad)
	}
	f := Finding{What: Changed, Packets: [2]int{u.number, w.number}, Segments: [2]int{u.segment, w.segment}, Fields: fields, Data: [2][]byte{u.b, w.b},
		flow: u.flow.key, spoiled: bad, outcome: outcome(u, w, fields)}
	f.Rule, f.Text = blame(u, w, fields)
	f.hop = byHop(u, w, fields)
	sums, text := m.tellSums(u, w, fields)
	f.Sums, f.Text = sums, cmp.Or(text, f.Text)
	if text != "" && len(bad) > 0 { // it is about these
		f.Rule = ruleOf(packet.Difference{Field: bad[0]})
	}
	for _, field := range bad {
		changed := slices.Contains(f.FieldNames(), field)
		switch {
		case f.Text != "":
		case field == "ip.checksum" && !changed:
			f.Text = "the checksum of the header was kept, and is wrong for the new one"
		case field == "ip.checksum":
		case u.partial() || w.partial(): // what completes it decides
		case !changed:
			f.Text = field + " was kept, and is wrong for the new packet: a receiver drops it"
		default:
			f.Text = check.CauseOf(w.b)
		}
	}
	return f
}

// longestLink is more bytes than most headers of a link have.
const longestLink = 32

// snapped returns of how many packets a finding says that they are lost or extra, if their
// counterparts may be among the records that the other capture cut: they are as long as
// those, or have payload that may be in a superpacket.
func (m *Matcher) snapped(f Finding) int {
	side := slices.Index([]string{Lost, Extra}, f.What)
	if side < 0 || m.cuts[1-side].N == 0 {
		return 0
	}
	b := f.Data[side]
	h := packet.Parse(b)
	if b != nil && len(b)+longestLink < m.cuts[1-side].Least && (h.PayloadOff == 0 || h.PayloadOff == len(b)) {
		return 0
	}
	return max(1, f.Count)
}
