// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"fmt"
	"slices"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// cutRest cuts waiting superpackets for which no counterpart with other boundaries was found.
// Each is cut with the size of its VnetHdr. One without a size is cut with a size of its
// flow if its segments are copies of packets that came through before.
func (m *Matcher) cutRest() {
	for side := range m.pending {
		for _, u := range m.pending[side].all() {
			if !u.long() || !m.old(u) {
				continue
			}
			if u.size > 0 {
				m.cut(u, u.size)
				continue
			}
			for _, size := range u.flow.sizes {
				if slices.ContainsFunc(m.segments(u, size), func(s *unit) bool { _, is := m.copies.Has(m.hash(s.b)); return is }) {
					m.cut(u, size)
					break
				}
			}
		}
	}
}

// joined looks for packets whose payload is that of several packets of the other side, one
// after another. If a superpacket can be cut into them, joined cuts it. Otherwise that is a
// finding: a superpacket that no kernel cuts so, datagrams that became one, or one that became
// several.
func (m *Matcher) joined() {
	tries := 0
	for side := range m.pending {
		for _, u := range m.pending[side].all() {
			large := u.long() || u.Fragment && len(u.b) > mtu
			if !u.waiting || u.of != nil || len(u.payload()) == 0 || !m.old(u) || u.Proto == 6 && !large || tries == maxTries {
				continue
			}
			tries++
			members := m.members(u)
			if len(members) < 2 {
				continue
			}
			n := len(members[0].payload())
			legal := !slices.ContainsFunc(members[:len(members)-1], func(w *unit) bool { return len(w.payload()) != n }) && len(members[len(members)-1].payload()) <= n
			if legal && u.long() && m.cut(u, n) {
				continue
			}
			m.emitJoined(u, members, large)
		}
	}
}

// emitJoined reports a packet whose payload is that of several packets of the other side. It
// is a superpacket if large is set, or else a datagram.
func (m *Matcher) emitJoined(u *unit, members []*unit, large bool) {
	f := Finding{What: Changed, flow: u.flow.key, Rule: "S1.split", Text: fmt.Sprintf("%d datagrams became one", len(members))}
	one, several := u.b, members[0].b
	switch {
	case large:
		var batch [][]byte
		var index []int
		for i, w := range members {
			batch, index = append(batch, w.b), append(index, i)
		}
		if _, several = model.Join(batch, index); len(several) == len(one) {
			packet.Fix(several, packet.FixL4Csum)
		}
		f.Text = fmt.Sprintf("a superpacket of %d packets, but no kernel cuts it into them", len(members))
	case u.side == Before:
		f.Text, f.Rule = fmt.Sprintf("one datagram became %d", len(members)), "C3.header"
	}
	if u.side == Before {
		f.Fields = m.differences(one, several)
	} else {
		f.Fields = m.differences(several, one)
	}
	if large {
		f.Rule, _ = blame(members[0], u, f.Fields)
	}
	for _, x := range append([]*unit{u}, members...) {
		m.pending[x.side].remove(x)
		f.Runs[x.side] = capture.AddRun(f.Runs[x.side], x.number)
		if f.Packets[x.side] == 0 {
			f.Packets[x.side], f.Segments[x.side] = x.number, x.segment
		}
	}
	if before, after := members[0], u; u.side == After {
		m.came(before, after)
	} else {
		m.came(after, before)
	}
	guessed := func(w *unit) bool { return w.long() || w.of != nil && w.of.guessed }
	switch {
	case len(f.Fields) == 0:
	case guessed(u) || slices.ContainsFunc(members, guessed):
		m.report(f)
	default: // each of them is one datagram, so no length of segments explains it
		m.emit(f)
	}
}

// members returns waiting units of the other side whose payloads, one after another, are
// the payload of u; nil if there are none. Those of u's flow come first.
func (m *Matcher) members(u *unit) []*unit {
	if list := tiles(u, u.flow.waiting[1-u.side].units); list != nil {
		return list
	}
	return tiles(u, m.pending[1-u.side].units)
}

// tiles returns those units whose payloads, one after another, are the payload of u; nil if
// there are none.
func tiles(u *unit, units []*unit) (list []*unit) {
	rest := u.payload()
	for _, w := range units {
		n := len(w.payload())
		if !w.waiting || n == 0 || n >= len(u.payload()) || w.Proto != u.Proto || w.Fragment || !bytes.HasPrefix(rest, w.payload()) {
			continue
		}
		if list, rest = append(list, w), rest[n:]; len(rest) == 0 {
			return list
		}
	}
	return nil
}
