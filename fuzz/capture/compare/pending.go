package compare

import "slices"

// queue is units in the order in which they came. Those that wait no longer stay
// until they are more than those that do.
type queue struct {
	units []*unit
	n     int // that wait
}

func (q *queue) put(u *unit) {
	if len(q.units) > 2*q.n+64 {
		q.units = slices.DeleteFunc(q.units, func(u *unit) bool { return !u.waiting })
	}
	q.units = append(q.units, u)
	q.n++
}

// pending are the units of a side that have no counterpart so far.
type pending struct {
	byHash map[uint64][]*unit
	queue
	bytes int
	edges
}

// peek returns the oldest unit of a hash; take takes it out.
func (p *pending) peek(hash uint64) *unit {
	if list := p.byHash[hash]; len(list) > 0 {
		return list[0]
	}
	return nil
}

func (p *pending) take(hash uint64) *unit {
	u := p.peek(hash)
	if u != nil {
		p.remove(u)
	}
	return u
}

func (p *pending) put(u *unit) {
	u.waiting = true
	p.byHash[u.hash] = append(p.byHash[u.hash], u)
	p.queue.put(u)
	u.flow.waiting[u.side].put(u)
	p.bytes += len(u.b)
}

// remove takes a unit out, if it is there.
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

// oldest returns the unit that waits for the longest.
func (p *pending) oldest() *unit {
	for !p.units[0].waiting {
		p.units = p.units[1:]
	}
	return p.units[0]
}

// edges are the places of the first and the last unit that was matched; 0 if none
// was.
type edges struct{ first, last int64 }

func (e *edges) add(place int64) {
	if e.first == 0 || place < e.first {
		e.first = place
	}
	e.last = max(e.last, place)
}

// all are the units that wait, oldest first.
func (p *pending) all() []*unit {
	var list []*unit
	for _, u := range p.units {
		if u.waiting {
			list = append(list, u)
		}
	}
	return list
}

// blur is how many packets flows may be apart in where a capture of superpackets
// starts and ends: they are written when their first packet was read.
const blur = 128

// inside says whether the other capture ran when a unit passed: it is not before
// the first that was matched, nor behind the last. Where superpackets were cut,
// flows that are near an edge have edges of their own.
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
