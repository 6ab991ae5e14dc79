// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"maps"
	"slices"

	"tunproof/fuzz/packet"
)

// group is a set of units of both sides that overlap, one with the next.
type group struct {
	units [2][]*unit
	laps  map[*unit][]lap // of each unit, which is x in them
}

// add adds a lap and its units.
func (g *group) add(l lap) {
	if g.laps == nil {
		g.laps = map[*unit][]lap{}
	}
	for _, u := range [2]*unit{l.x, l.y} {
		if g.laps[u] == nil {
			g.units[u.side] = append(g.units[u.side], u)
		}
	}
	g.laps[l.x] = append(g.laps[l.x], l)
	g.laps[l.y] = append(g.laps[l.y], lap{l.y, l.x, -l.at})
}

// around returns the group of u, as far as it is among the latest units of its flow.
func (m *Matcher) around(u *unit) *group {
	m.searches++
	g := &group{}
	u.mark = m.searches
	for queue := []*unit{u}; len(queue) > 0; queue = queue[1:] {
		x := queue[0]
		long := x.long()
		if !long && x.flow.longs[1-x.side] == 0 {
			continue
		}
		for _, y := range x.flow.recent(1 - x.side) {
			if !y.waiting || !long && !y.long() {
				continue
			}
			l, n := m.overlap(x, y)
			if n == 0 {
				continue
			}
			if x.side == Before {
				g.add(l)
			}
			if y.mark != m.searches {
				y.mark = m.searches
				queue = append(queue, y)
			}
		}
	}
	return g
}

// cutClosed cuts the superpackets in the group of u and pairs all units, if each has an
// equal counterpart. Otherwise the group waits.
func (m *Matcher) cutClosed(u *unit) {
	g := m.around(u)
	for _, units := range g.units {
		for _, x := range units {
			if x.covered < len(x.payload()) {
				return
			}
		}
	}
	m.cutEqual(g)
}

// cutEqual pairs all units of a group, if with one of the sizes that it shows its
// superpackets have the same segments on both sides. It reports whether it did.
func (m *Matcher) cutEqual(g *group) bool {
	for _, sizes := range m.sizes(g) {
		if m.pairAll(g, sizes) {
			return true
		}
	}
	return false
}

// pairAll cuts the superpackets of a group with these sizes and pairs all of its units, if
// each has an equal counterpart.
func (m *Matcher) pairAll(g *group, sizes map[*unit]int) bool {
	var list [2][]*unit
	counts := map[*unit]int{}
	for side, units := range g.units {
		slices.SortFunc(units, byPlace)
		for _, u := range units {
			cut := m.segments(u, sizes[u])
			if counts[u] = len(cut); cut == nil {
				cut = []*unit{u}
			}
			list[side] = append(list[side], cut...)
		}
	}
	if len(list[Before]) != len(list[After]) {
		return false
	}
	waiting := map[uint64][]*unit{}
	several := map[uint64]bool{} // which of them are equal
	for _, u := range list[Before] {
		h := m.atomicHash(u)
		waiting[h] = append(waiting[h], u)
		several[h] = len(waiting[h]) > 1
	}
	pairs := make([]*unit, len(list[After]))    // the counterpart of each unit after
	for _, exact := range []bool{true, false} { // the ID of a packet that was not cut comes first
		for j, w := range list[After] {
			if pairs[j] != nil {
				continue
			}
			h := m.atomicHash(w)
			i := slices.IndexFunc(waiting[h], func(u *unit) bool {
				return u.hash == w.hash && (u.of == nil || w.of == nil) || !exact && (u.of != nil || w.of != nil)
			})
			switch {
			case i < 0 && exact:
				continue
			case i < 0, waiting[h][i].hash != w.hash && several[h] && (waiting[h][i].of == nil || w.of == nil):
				return false // of equal packets, those with the right IDs may still come
			}
			pairs[j] = waiting[h][i]
			waiting[h] = slices.Delete(waiting[h], i, i+1)
		}
	}
	for side, units := range g.units {
		for _, u := range units {
			m.pending[side].remove(u)
			if counts[u] > 0 {
				m.countCut(u, sizes[u], counts[u])
			}
		}
	}
	for j, w := range list[After] {
		if pairs[j].hash != w.hash {
			m.Summary.AtomicIDs++
			sameHash(pairs[j], w)
		}
		m.pair(pairs[j], w)
	}
	return true
}

// sameHash gives equal units the same hash: that of the one that was not cut.
func sameHash(u, w *unit) {
	if u.of != nil {
		u, w = w, u
	}
	w.hash = u.hash
}

// atomicHash returns a hash of u without its ID, if the ID has no meaning: a superpacket
// does not keep the IDs of its segments.
func (m *Matcher) atomicHash(u *unit) uint64 {
	if u.hash == 0 {
		u.hash = m.hash(u.b)
	}
	if !u.atomic() || !packet.HeaderRight(u.b) {
		return u.hash
	}
	b := bytes.Clone(u.b)
	clear(b[4:6])
	clear(b[10:12])
	return m.hash(b)
}

// sizes returns the segment sizes that a group shows for its superpackets, the likeliest
// first. If the boundaries of superpackets show several, each is returned.
func (m *Matcher) sizes(g *group) (list []map[*unit]int) {
	shown := map[*unit]int{}
	var open []*unit
	for _, units := range g.units {
		for _, u := range units {
			if !u.long() {
				continue
			}
			if size := m.shown(u, g.laps[u]); size > 0 {
				shown[u] = size
			} else {
				open = append(open, u)
			}
		}
	}
	divisor, byID := g.measured(shown)
	if len(open) == 0 {
		list = append(list, shown)
	}
	parts := g.divisors(shown)
	for _, size := range []func(u *unit) int{
		func(u *unit) int { return shown[g.laps[u][0].y] },
		func(u *unit) int { return byID[u] },
		func(u *unit) int { return byID[nil] },
		func(u *unit) int { return firstFit(u, u.flow.sizes, divisor) },
		func(u *unit) int { return firstFit(u, likelyPayloads(u), divisor) },
		func(u *unit) int { return firstFit(u, []int{divisor}, divisor) },
		func(u *unit) int { return firstFit(u, []int{parts[u]}, parts[u]) },
	} {
		sizes := map[*unit]int{}
		n := 0
		for u, size := range shown {
			sizes[u] = size
		}
		for _, u := range open {
			if s := size(u); s > 0 {
				sizes[u] = s
				n++
			}
		}
		if n > 0 && !slices.ContainsFunc(list, func(x map[*unit]int) bool { return maps.Equal(x, sizes) }) {
			list = append(list, sizes)
		}
	}
	if size := byID[nil]; size > 0 { // receive offload may have joined any of them
		sizes := map[*unit]int{}
		for _, units := range g.units {
			for _, u := range units {
				if u.Proto == 6 && u.of == nil {
					sizes[u] = size
				}
			}
		}
		list = append(list, sizes)
	}
	return list
}

// firstFit returns the first of several sizes that divides all distances between
// boundaries, and with which u is not cut into too many segments; 0 if there is none.
func firstFit(u *unit, sizes []int, divisor int) int {
	most := maxSegments
	if u.Proto == 17 {
		most = maxDatagrams
	}
	for _, size := range sizes {
		if size > 0 && divisor > 0 && divisor%size == 0 && len(u.payload()) <= most*size {
			return size
		}
	}
	return 0
}

// maxSegments is the largest number of segments into which a TCP superpacket is cut
// by its boundaries alone.
const maxSegments = 256

// likelyPayloads returns the payload lengths of full segments in most networks and
// tunnels.
func likelyPayloads(u *unit) (list []int) {
	for _, mtu := range []int{1500, 1420, 1492, 1480, 1440, 1400, 1380, 1350, 1280, 9000, 8920} {
		list = append(list, mtu-u.PayloadOff)
	}
	return list
}

// measured returns the greatest common divisor of the distances between the boundaries of
// overlapping units, 0 if there are none, and for each superpacket the size that IPv4 IDs
// show. For nil it is the size that all of them show. Where IDs contradict each other it is 0.
func (g *group) measured(shown map[*unit]int) (divisor int, byID map[*unit]int) {
	byID = map[*unit]int{}
	common := 0
	for x, laps := range g.laps {
		for _, l := range laps {
			if x.Version == 4 && l.at > 0 && !x.atomic() {
				common = agreed(common, sizeByID(x, l))
			}
			if !x.long() || shown[x] > 0 {
				continue
			}
			all, end := len(x.payload()), l.at+len(l.y.payload())
			divisor = gcd(divisor, abs(l.at))
			if end < all {
				divisor = gcd(divisor, end)
			} else if end > all && l.at > 0 {
				divisor = gcd(divisor, all-l.at)
			}
			if x.Version != 4 || l.at <= 0 {
				continue
			}
			byID[x] = agreed(byID[x], sizeByID(x, l))
		}
	}
	byID[nil] = common
	for u, size := range byID {
		most := maxSegments
		if u != nil && u.Proto == 17 {
			most = maxDatagrams
		}
		if size < 0 || u != nil && len(u.payload()) > most*size {
			byID[u] = 0
		}
	}
	return divisor, byID
}

// sizeByID returns the segment size that the IPv4 IDs of x and y show, -1 if they show none.
func sizeByID(x *unit, l lap) int {
	if n := int(id(l.y) - id(x)); n > 0 && l.at%n == 0 {
		return l.at / n
	}
	return -1
}

// divisors returns a size for each superpacket: the greatest common divisor of the
// boundaries within it, and within those that contain it or that it contains. Superpackets
// that only overlap at an end may have segments of other lengths.
func (g *group) divisors(shown map[*unit]int) map[*unit]int {
	sizes := map[*unit]int{}
	for _, units := range g.units {
		for _, u := range units {
			if _, known := sizes[u]; known || !u.long() || shown[u] > 0 {
				continue
			}
			divisor, part := 0, []*unit{u}
			sizes[u] = 0
			for i := 0; i < len(part); i++ {
				x := part[i]
				for _, l := range g.laps[x] {
					all, end := len(x.payload()), l.at+len(l.y.payload())
					if l.at > 0 {
						divisor = gcd(divisor, l.at)
					}
					if end < all {
						divisor = gcd(divisor, end)
					}
					_, known := sizes[l.y]
					if in := l.at >= 0 && end <= all || l.at <= 0 && end >= all; in && !known && l.y.long() && shown[l.y] == 0 {
						sizes[l.y] = 0
						part = append(part, l.y)
					}
				}
			}
			for _, x := range part {
				sizes[x] = divisor
			}
		}
	}
	return sizes
}

// agreed returns a size that was found after others: -1 if it is another one.
func agreed(known, size int) int {
	if known != 0 && known != size {
		return -1
	}
	return size
}

// gcd returns the greatest common divisor.
func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// abs returns the absolute value.
func abs(n int) int { return max(n, -n) }

// shown returns the payload length of the segments of superpacket u, as its VnetHdr or
// single packets of the other side show it; 0 if they do not.
func (m *Matcher) shown(u *unit, laps []lap) int {
	switch {
	case m.cfg.Size > 0:
		return m.cfg.Size
	case u.size > 0:
		return u.size
	}
	all := len(u.payload())
	best, most := 0, 0
	var last *lap
	for i, l := range laps {
		n := len(l.y.payload())
		if l.y.long() && l.y.size == 0 {
			continue
		}
		if l.y.size > 0 {
			n = l.y.size
		}
		switch {
		case l.at < 0 || n == 0:
			continue
		case l.at+n == all && l.at > 0:
			last = &laps[i]
			continue
		case l.at%n != 0 || n >= all:
			continue
		}
		fits := 0
		for _, other := range laps {
			if other.fits(n) {
				fits++
			}
		}
		if fits > most || fits == most && n > best {
			best, most = n, fits
		}
	}
	switch {
	case best == 0 && last != nil && slices.ContainsFunc(laps, func(l lap) bool { return l.y.long() }):
		return 0 // the boundaries of superpackets show more
	case best == 0 && last != nil:
		return append(sizesByLast(u, last.y, last.at), 0)[0]
	case u.ambiguous(laps, best):
		return 0
	}
	return best
}

// ambiguous reports whether the only unit of the other side that has a part of u may be the
// same packet without its end, and not its first segment.
func (u *unit) ambiguous(laps []lap, size int) bool {
	if len(laps) != 1 || laps[0].at != 0 || laps[0].y.size > 0 || slices.Contains(u.flow.sizes, size) {
		return false
	}
	half := 2*size <= len(u.payload()) // few packets lose so much
	if len(u.b) > mtu {
		return !u.partial() && !half
	}
	return !u.partial() || !half
}

// fits reports whether y may consist of segments of x, if these are of a size. The end of y
// may be missing: then its header claims another length.
func (l lap) fits(size int) bool {
	all, n := len(l.x.payload()), len(l.y.payload())
	if claimed := l.y.IPLen - l.y.PayloadOff; claimed > n && claimed == size && l.at+claimed <= all {
		n = claimed
	}
	switch end := l.at + n; {
	case l.at%size != 0:
		return false
	case l.y.long():
		return end >= all || end%size == 0
	default:
		return l.at >= 0 && (end == all && n <= size || end < all && n == size)
	}
}

// sizesByLast returns the segment sizes of long that fit if short is its last segment, which
// may be shorter than the others, the likeliest first. The at bytes before it must be full
// segments; in IPv4 the IDs show how many.
func sizesByLast(long, short *unit, at int) (list []int) {
	n := len(short.payload())
	add := func(size int) {
		if size >= n && at%size == 0 {
			list = append(list, size)
		}
	}
	if long.Version == 4 {
		if before := int(id(short) - id(long)); before > 0 && at%before == 0 {
			add(at / before)
		}
	}
	for _, size := range slices.Concat(long.flow.sizes, likelyPayloads(long)) {
		add(size)
	}
	if n >= leastFull {
		add(n)
	}
	return list
}

// leastFull is the smallest payload of a last segment that is taken for a full one.
const leastFull = 536
