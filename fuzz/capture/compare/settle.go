// SPDX-License-Identifier: MIT

package compare

import (
	"cmp"
	"slices"
)

// settle decides about the waiting units that have some of the same bytes as others with
// other boundaries. It cuts superpackets, then compares what remains of TCP streams and
// fragments byte by byte.
func (m *Matcher) settle() {
	seen := map[*flow]bool{}
	for _, u := range m.pending[Before].all() {
		if seen[u.flow] || !u.waiting {
			continue
		}
		seen[u.flow] = true
		list := slices.DeleteFunc(m.groups(u.flow, true), m.cutEqual)
		slices.SortStableFunc(list, func(g, h *group) int { return len(h.laps) - len(g.laps) })
		for range 2 { // those that show most come first, and the others again after them
			for _, g := range list {
				m.cutLegal(g)
			}
		}
		m.pairAtomic(u.flow)
		if u.flow.key.Proto == 6 {
			if m.finishing {
				m.cutCopied(u.flow)
			}
			for _, g := range m.groups(u.flow, false) {
				m.stitch(g)
			}
			m.stitchSame(u.flow)
		}
	}
	m.cutRest()
	m.joined()
	m.datagrams()
}

// groups returns the groups that the waiting units of a flow form: those with a
// superpacket, or all.
func (m *Matcher) groups(f *flow, long bool) []*group {
	var of [2][]*unit
	for side := range of {
		for _, u := range f.waiting[side].units {
			if u.waiting && u.stream() {
				of[side] = append(of[side], u)
			}
		}
	}
	if len(of[Before]) == 0 || len(of[After]) == 0 {
		return nil
	}
	var laps []lap
	if f.key.Proto == 6 {
		laps = m.lapsOfStream(of)
	} else {
		laps = m.lapsOfDatagrams(of)
	}
	index := map[*unit]*group{}
	var list []*group
	for _, l := range laps {
		if long && !l.x.long() && !l.y.long() {
			continue
		}
		into, from := index[l.x], index[l.y]
		switch {
		case into == nil && from == nil:
			into = &group{}
			list = append(list, into)
		case into == nil:
			into = from
		case from != nil && from != into:
			for _, units := range from.units {
				for _, u := range units {
					index[u] = into
				}
			}
			for u, laps := range from.laps {
				into.laps[u] = laps
			}
			for side := range from.units {
				into.units[side] = append(into.units[side], from.units[side]...)
			}
			from.units = [2][]*unit{}
		}
		into.add(l)
		index[l.x], index[l.y] = into, into
	}
	return slices.DeleteFunc(list, func(g *group) bool { return len(g.units[Before]) == 0 })
}

// lapsOfStream returns the laps of TCP units, found in one pass in the order of the stream.
func (m *Matcher) lapsOfStream(of [2][]*unit) (laps []lap) {
	base := seq(of[Before][0])
	at := func(u *unit) int { return int(int32(seq(u) - base)) }
	all := slices.Concat(of[Before], of[After])
	slices.SortStableFunc(all, func(u, w *unit) int { return cmp.Compare(at(u), at(w)) })
	var open [2][]*unit // the units that reach as far as the one that is looked at
	for _, u := range all {
		other := &open[1-u.side]
		*other = slices.DeleteFunc(*other, func(w *unit) bool { return at(w)+len(w.payload()) <= at(u) })
		for _, w := range *other {
			b, a := u, w
			if u.side == After {
				b, a = w, u
			}
			if l, n := m.overlap(b, a); n > 0 {
				laps = append(laps, l)
			}
		}
		open[u.side] = append(open[u.side], u)
	}
	return laps
}

// maxMisses bounds the search for laps of datagrams: it ends after as many units in a row
// without one.
const maxMisses = 32

// lapsOfDatagrams returns the laps of UDP units. Both lists are in the order of their flow.
func (m *Matcher) lapsOfDatagrams(of [2][]*unit) (laps []lap) {
	for side := range of {
		from, misses := 0, 2*maxMisses
		for _, x := range of[side] {
			if !x.long() {
				continue
			}
			for j, missed := max(0, from-4), 0; j < len(of[1-side]) && missed < misses; j++ {
				y := of[1-side][j]
				missed++
				if y.long() && side == After {
					continue // found from the other side
				}
				l, n := m.overlap(x, y)
				if n == 0 {
					continue
				}
				from, misses, missed = j, maxMisses, 0
				if side == After {
					l = lap{l.y, l.x, -l.at}
				}
				laps = append(laps, l)
			}
		}
	}
	return laps
}

// cutLegal cuts the superpackets of a group whose boundaries on the other side are those of
// segments of one size, except for a few. If there are several such sizes, it takes the one
// that gives most packets of the other side. It gives up the datagrams that nothing shows
// how to cut.
func (m *Matcher) cutLegal(g *group) {
	list := m.sizes(g)
	for side := range g.units {
		for _, u := range g.units[side] {
			if !u.long() || !u.waiting {
				continue
			}
			var sizes []int
			for _, of := range list {
				sizes = append(sizes, of[u])
			}
			only := true
			for _, l := range g.laps[u] {
				if n := len(l.y.payload()); !l.y.long() {
					only = false
					sizes = append(sizes, n)
					if l.at > 0 && l.at+n == len(u.payload()) {
						sizes = append(sizes, sizesByLast(u, l.y, l.at)...)
						if slices.ContainsFunc(g.laps[u], func(o lap) bool { return o.at == 0 && l.at%len(o.y.payload()) != 0 }) {
							sizes = append(sizes, l.at) // the first one became longer
						}
					}
				}
			}
			if u.size > 0 || m.cfg.Size > 0 {
				sizes = []int{cmp.Or(m.cfg.Size, u.size)}
			}
			best := m.likeliest(u, g, sizes)
			if best == 0 && u.Proto == 17 {
				m.stitchLast(u, g.laps[u])
			}
			if !m.cut(u, best) && u.Proto == 17 && only && len(list) == 0 {
				m.pending[side].remove(u)
				m.Summary.Unresolved++
			}
		}
	}
}

// leastSure is the length of a datagram that is recognised by its bytes.
const leastSure = 8

// likeliest returns the legal size that gives most packets of the other side. Of several it
// returns one that the flow had before and that all boundaries fit, or else the largest:
// bytes are more often added at the end of a packet than before it. If none gives any, it
// returns the first.
func (m *Matcher) likeliest(u *unit, g *group, sizes []int) (best int) {
	most, sure := -1, false
	for i, size := range sizes {
		if size <= 0 || slices.Contains(sizes[:i], size) || !m.legal(u, g, size) {
			continue
		}
		n := 0
		for _, s := range m.segments(u, size) {
			h := m.hash(s.b)
			_, copied := m.copies.Has(h)
			if w := m.pending[1-u.side].peek(h); copied || w != nil && !w.long() {
				n++
			}
		}
		if size < leastSure && n < len(m.segments(u, size)) {
			continue // so few bytes are the same by chance
		}
		known := slices.Contains(u.flow.sizes, size) && !slices.ContainsFunc(g.laps[u], func(l lap) bool { return !l.fits(size) })
		if n > most || n == most && n > 0 && (known && !sure || known == sure && size > best) {
			best, most, sure = size, n, known
		}
	}
	return best
}

// pairAtomic pairs the waiting segments of superpackets with units that differ from them
// only in an ID without a meaning: a superpacket does not keep the IDs of its segments. Those
// segments get the hash of the unit that was not cut.
func (m *Matcher) pairAtomic(f *flow) {
	classes := map[uint64]*[2][]*unit{}
	var order []uint64
	for side := range f.waiting {
		units := slices.DeleteFunc(slices.Clone(f.waiting[side].units), func(u *unit) bool { return !u.waiting || !u.atomic() })
		slices.SortFunc(units, byPlace)
		for _, u := range units {
			h := m.atomicHash(u)
			if classes[h] == nil {
				classes[h] = &[2][]*unit{}
				order = append(order, h)
			}
			classes[h][side] = append(classes[h][side], u)
		}
	}
	for _, h := range order {
		of := classes[h]
		for _, u := range of[Before] {
			i := slices.IndexFunc(of[After], func(w *unit) bool { return u.of != nil || w.of != nil })
			if i < 0 {
				continue
			}
			w := of[After][i]
			of[After] = slices.Delete(of[After], i, i+1)
			m.Summary.AtomicIDs++
			m.pending[Before].remove(u)
			m.pending[After].remove(w)
			sameHash(u, w)
			m.pair(u, w)
			for _, x := range slices.Concat(of[:]...) { // all others of them are equal too
				if x.of != nil && x.waiting {
					m.pending[x.side].rehash(x, u.hash)
				}
			}
		}
	}
}

// legal reports whether most of the boundaries within u are those of segments of a size.
// Two superpackets alone do not show a size: one may have lost its end.
func (m *Matcher) legal(u *unit, g *group, size int) bool {
	laps := g.laps[u]
	if size != u.size && size != m.cfg.Size && u.ambiguous(laps, size) {
		return false
	}
	if len(laps) == 1 && len(g.laps[laps[0].y]) == 1 && laps[0].y.long() && size != u.size && size != m.cfg.Size && !slices.Contains(u.flow.sizes, size) {
		return false
	}
	fits := 0
	for _, l := range laps {
		if l.fits(size) {
			fits++
		}
	}
	return 2*fits >= len(laps)
}
