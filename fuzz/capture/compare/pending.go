package compare

import "slices"

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

// oldest returns the unit that has waited longest. One must wait.
func (p *pending) oldest() *unit {
	for !p.units[0].waiting {
		p.units = p.units[1:]
	}
	return p.units[0]
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

// blur is by how many packets the edges of flows may differ in a capture of
// superpackets, because a superpacket takes the place of its first packet.
const blur = 128

// inside reports whether the other capture was running when a unit passed: the unit
// is neither before the first matched unit nor after the last. If superpackets were
// cut, then near an edge the edges of the unit's flow count.
func (m *Matcher) inside(u *unit) bool {
	p, flow := &m.pending[u.side], u.flow.edges[u.side]
	at := u.place()
	near := func(edge, end int64) bool {
		return m.Summary.Cut != [2]int{} && edge != end && abs(u.number-int(edge>>placeBits)) <= blur
	}
	switch {
	case p.first == 0, at < p.first, u.number > int(p.last>>placeBits):
		return false
	case near(p.first, m.start[u.side]) && (flow.first == 0 || at < flow.first):
		return false
	}
	return !near(p.last, m.end[u.side]) || flow.last != 0 && u.number <= int(flow.last>>placeBits)
}
