// SPDX-License-Identifier: MIT

package compare

import (
	"slices"
	"time"
)

// queue holds units in the order in which they came. Units that no longer wait stay in it
// until they outnumber the waiting ones by more than 64. Then put drops them.
type queue struct {
	units []*unit
	n     int // how many wait
}

// put adds a unit that waits.
func (q *queue) put(u *unit) {
	if len(q.units) > 2*q.n+64 {
		q.units = slices.DeleteFunc(q.units, func(u *unit) bool { return !u.waiting })
	}
	q.units = append(q.units, u)
	q.n++
}

// pending holds the units of a side that have no counterpart so far.
type pending struct {
	byHash map[uint64][]*unit
	bySign map[uint64][]*unit // those of flows that have no packet in the other capture so far
	queue
	bytes int
	edges
}

// peek returns the oldest unit with a hash, or nil.
func (p *pending) peek(hash uint64) *unit {
	if list := p.byHash[hash]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// take removes the oldest unit with a hash and returns it, or nil.
func (p *pending) take(hash uint64) *unit {
	u := p.peek(hash)
	if u != nil {
		p.remove(u)
	}
	return u
}

// put makes a unit wait.
func (p *pending) put(u *unit) {
	u.waiting = true
	p.byHash[u.hash] = append(p.byHash[u.hash], u)
	p.queue.put(u)
	u.flow.waiting[u.side].put(u)
	p.bytes += len(u.b)
	if u.long() {
		u.flow.longs[u.side]++
	}
}

// remove removes a unit if it waits.
func (p *pending) remove(u *unit) {
	if !u.waiting {
		return
	}
	u.waiting = false
	p.n--
	u.flow.waiting[u.side].n--
	p.bytes -= len(u.b)
	if u.long() {
		u.flow.longs[u.side]--
	}
	if u.sign != 0 {
		p.removeSign(u)
	}
	p.forget(u)
}

// rehash gives a waiting unit another hash.
func (p *pending) rehash(u *unit, hash uint64) {
	if hash == u.hash {
		return
	}
	p.forget(u)
	u.hash = hash
	p.byHash[hash] = append(p.byHash[hash], u)
}

// forget removes a unit from those with its hash.
func (p *pending) forget(u *unit) {
	list := p.byHash[u.hash]
	if len(list) == 1 {
		delete(p.byHash, u.hash)
		return
	}
	if list[0] == u {
		p.byHash[u.hash] = list[1:]
		return
	}
	i := slices.Index(list, u)
	p.byHash[u.hash] = slices.Delete(list, i, i+1)
}

// addSign adds a waiting unit to those with its sign.
func (p *pending) addSign(u *unit, sign uint64) {
	if list := p.bySign[sign]; len(list) < maxAlike {
		u.sign, p.bySign[sign] = sign, append(list, u)
		u.flow.signed[u.side]++
	}
}

// removeSign removes a unit from those with its sign.
func (p *pending) removeSign(u *unit) {
	list := slices.DeleteFunc(p.bySign[u.sign], func(w *unit) bool { return w == u })
	if p.bySign[u.sign] = list; len(list) == 0 {
		delete(p.bySign, u.sign)
	}
	u.flow.signed[u.side]--
	u.sign = 0
}

// oldest returns the unit that has waited longest. One must wait.
func (p *pending) oldest() *unit {
	for !p.units[0].waiting {
		p.units = p.units[1:]
	}
	return p.units[0]
}

// all returns the units that wait, oldest first.
func (p *pending) all() []*unit {
	var list []*unit
	for _, u := range p.units {
		if u.waiting {
			list = append(list, u)
		}
	}
	return list
}

// edges holds the places of the first and the last unit that were matched; 0 if none
// was.
type edges struct{ first, last int64 }

// add takes the place of a matched unit.
func (e *edges) add(place int64) {
	if e.first == 0 || place < e.first {
		e.first = place
	}
	e.last = max(e.last, place)
}

// blur is by how many packets the edges of flows may differ in a capture of
// superpackets without times, because a superpacket takes the place of its first packet.
const blur = 128

// takes records how long a packet took from one capture to the other, by their clocks.
func (m *Matcher) takes(p placed) {
	d := m.times[After].first.Sub(m.times[Before].first) + p.at[After] - p.at[Before]
	t := &m.took
	if !t.known {
		t.least, t.most, t.known = d, d, true
	}
	t.least, t.most = min(t.least, d), max(t.most, d)
}

// inside reports whether the other capture was running when a unit passed.
func (m *Matcher) inside(u *unit) bool { return m.edge(u, u.place()) == 0 }

// edge returns 0 if the other capture was running at a place at the unit, -1 if it had perhaps
// not started, and 1 if it had perhaps ended: if the place is before the first matched unit,
// or after the last. If packets have other boundaries in the other capture, then near an edge
// the edges of the unit's flow count.
func (m *Matcher) edge(u *unit, at int64) int {
	p, flow := &m.pending[u.side], u.flow.edges[u.side]
	if sure := u.flow.sure[u.side]; m.finishing && sure.first != 0 {
		flow = sure
	}
	nearFirst, nearLast := m.near(u)
	switch {
	case p.first == 0 || at < p.first || nearFirst && (flow.first == 0 || at < flow.first):
		return -1
	case at > p.last || nearLast && (flow.last == 0 || at >= flow.last):
		return 1
	}
	return 0
}

// near reports whether the other capture may not have been running yet, or no longer, when
// unit u passed. The times show it, if they show how long packets take between the captures.
// Otherwise the first and the last matched units show it.
func (m *Matcher) near(u *unit) (first, last bool) { return m.nearAt(u.side, u.number, u.time) }

// nearAt is near for a unit with a number and a time.
func (m *Matcher) nearAt(side, number int, at time.Time) (first, last bool) {
	least, most := m.took.least, m.took.most
	other := m.times[1-side]
	if side == After {
		least, most = -most, -least
	}
	if whole, spread := other.last.Sub(other.first), most-least; m.took.known && spread < whole/4 {
		margin := spread / 2 // others may take longer than those that were seen
		return at.Add(least - margin).Before(other.first), at.Add(most + margin).After(other.last)
	}
	if m.Summary.Cut == [2]int{} && m.Summary.Recut == [2]int{} {
		return false, false
	}
	edges := m.pending[side].edges
	near := func(edge, end int64) bool { return edge != end && abs(number-int(edge>>placeBits)) <= blur }
	return near(edges.first, m.start[side]), near(edges.last, m.end[side])
}
