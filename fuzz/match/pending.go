package match

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

// older are the units that wait, without the later half of them.
func (p *pending) older() []*unit {
	var list []*unit
	for _, u := range p.units {
		if u.waiting {
			list = append(list, u)
		}
	}
	return list[:(len(list)+1)/2]
}

func (p *pending) matched(u *unit) {
	p.add(u.place())
	u.flow.edges[u.side].add(u.place())
}

// blur is how many packets flows may be apart in where a capture starts and ends:
// superpackets are written when their first packet was read.
const blur = 512

// outside says whether the other capture did not run yet when a unit passed, or
// no longer: it is before the first that was matched, or behind the last; or near
// them, and of its flow before the first or behind the last. Of a capture that
// was matched from its first unit, or to its last, nothing is outside there.
func (p *pending) outside(u *unit, lastPlace int64) bool {
	at, flow := u.place(), u.flow.edges[u.side]
	near := func(edge int64) bool { return abs(int(at>>placeBits)-int(edge>>placeBits)) <= blur }
	switch {
	case p.first == 0:
		return true
	case p.first != 1<<placeBits && (at < p.first || near(p.first) && (flow.first == 0 || at < flow.first)):
		return true
	}
	return p.last != lastPlace && (at > p.last || near(p.last) && (flow.last == 0 || at > flow.last))
}

// generations is a map of bounded size: of what was not asked for lately it
// forgets.
type generations[V any] struct {
	most     int
	now, old map[any]V
	made     int
	gone     func(V)
}

// get returns the value of a key, or makes one, with a number of its own.
func (g *generations[V]) get(key any, fresh func(id int) V) V {
	if v, ok := g.now[key]; ok {
		return v
	}
	v, ok := g.old[key]
	if ok {
		delete(g.old, key)
	} else {
		g.made++
		v = fresh(g.made)
	}
	g.put(key, v)
	return v
}

func (g *generations[V]) has(key any) (V, bool) {
	v, ok := g.now[key]
	if !ok {
		v, ok = g.old[key]
	}
	return v, ok
}

func (g *generations[V]) put(key any, v V) {
	if len(g.now) >= g.most || g.now == nil {
		if g.gone != nil {
			for _, v := range g.old {
				g.gone(v)
			}
		}
		g.old, g.now = g.now, map[any]V{}
	}
	g.now[key] = v
}
