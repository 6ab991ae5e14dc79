package compare

import (
	"bytes"
	"cmp"
	"slices"
)

// resolve cuts the superpackets that have other boundaries on the other side, with
// a segment size that fits the boundaries of both. Those that no size fits are left
// out.
func (m *Matcher) resolve() {
	seen := map[*flow]bool{}
	for _, u := range m.pending[Before].all() {
		if seen[u.flow] || !u.whole() {
			continue
		}
		seen[u.flow] = true
		var of [2][]*unit
		for side := range of {
			of[side] = slices.DeleteFunc(slices.Clone(u.flow.waiting[side].units), func(u *unit) bool { return !u.whole() })
		}
		list := groups(append(overlaps(of[Before], of[After]), overlaps(of[After], of[Before])...))
		for _, g := range list {
			for _, u := range g.units {
				m.pending[u.side].remove(u)
			}
		}
		slices.SortStableFunc(list, func(g, h *group) int { return cmp.Compare(h.sized(), g.sized()) })
		for _, g := range list { // groups that show a size come first, for the others
			m.cutAlike(g)
		}
	}
}

// cutAlike cuts the superpackets of a group, each with its size.
func (m *Matcher) cutAlike(g *group) {
	slices.SortFunc(g.units, func(u, w *unit) int { return cmp.Or(u.side-w.side, cmp.Compare(u.place(), w.place())) })
	for _, u := range g.units {
		switch size := g.size(u); {
		case size == 0:
			m.Summary.Unresolved++
		case !m.cut(u, size):
			m.add(u)
		}
	}
}

// whole reports whether u waits and may be a superpacket.
func (u *unit) whole() bool { return u.waiting && u.derived && !u.cut && len(u.payload()) > 0 }

// overlapped is a pair of superpackets of different sides. y starts in the payload of x.
type overlapped struct {
	x, y *unit
	at   int // offset of y in x's payload
}

// maxMisses bounds the search of overlaps: it ends after as many superpackets in a
// row that do not overlap.
const maxMisses = 32

// overlaps returns the pairs of a unit of xs and a unit of ys that starts in it. Both
// lists are in the order of their flow.
func overlaps(xs, ys []*unit) (list []overlapped) {
	from, misses := 0, 2*maxMisses
	for _, x := range xs {
		for j, missed := max(0, from-4), 0; j < len(ys) && missed < misses; j++ {
			missed++
			if at := position(x, ys[j]); at >= 0 {
				from, misses, missed = j, maxMisses, 0
				list = append(list, overlapped{x, ys[j], at})
			}
		}
	}
	return list
}

// position returns the offset of y in x's payload, or -1 if y does not start there.
func position(x, y *unit) int {
	p, q := x.payload(), y.payload()
	if x.Proto == 6 {
		if at := start(x, y); at >= 0 && at < len(p) {
			return at
		}
		return -1
	}
	at := bytes.Index(p, q[:min(len(q), 32)])
	if at >= 0 && !mostlyEqual(p[at:min(at+len(q), len(p))], q[:min(len(q), len(p)-at)]) {
		return -1
	}
	return at
}

// group is a set of superpackets of both sides that overlap, one with the next. Each
// starts and ends in others at a multiple of the segment size.
type group struct {
	units   []*unit
	divisor int           // greatest common divisor of the distances between boundaries
	byID    map[*unit]int // the size that IPv4 IDs show; -1 if they contradict each other
}

// groups returns the groups that overlapping superpackets form.
func groups(list []overlapped) []*group {
	of := map[*unit]*group{}
	for _, o := range list {
		for _, u := range []*unit{o.x, o.y} {
			if of[u] == nil {
				of[u] = &group{units: []*unit{u}, byID: map[*unit]int{}}
			}
		}
		into, from := of[o.x], of[o.y]
		if into == from {
			continue
		}
		if len(into.units) < len(from.units) {
			into, from = from, into
		}
		for _, u := range from.units {
			of[u] = into
		}
		into.units = append(into.units, from.units...)
	}
	var all []*group
	seen := map[*group]bool{}
	for _, o := range list {
		g := of[o.x]
		g.add(o)
		if !seen[g] {
			seen[g] = true
			all = append(all, g)
		}
	}
	return all
}

// add takes the distances between the boundaries of two superpackets of the group.
func (g *group) add(o overlapped) {
	all, end := len(o.x.payload()), o.at+len(o.y.payload())
	g.divisor = gcd(g.divisor, o.at)
	if end < all {
		g.divisor = gcd(g.divisor, end)
	} else if end > all {
		g.divisor = gcd(g.divisor, all-o.at)
	}
	if o.x.Version != 4 || o.at == 0 {
		return
	}
	size := -1
	if before := int(id(o.y) - id(o.x)); before > 0 && o.at%before == 0 {
		size = o.at / before
	}
	if known := g.byID[o.x]; known != 0 && known != size {
		size = -1
	}
	g.byID[o.x] = size
}

// sized returns in how many superpackets IPv4 IDs show a size.
func (g *group) sized() int {
	n := 0
	for _, size := range g.byID {
		if size > 0 {
			n++
		}
	}
	return n
}

// size returns the payload length of u's full segments, or 0 if it is unknown. In
// IPv4 the IDs show it: those of u, or else those of its flow or group, if they fit.
// Without IDs it is the divisor of all distances between boundaries. That may be one
// segment or several, but both sides are cut alike.
func (g *group) size(u *unit) int {
	size, most := g.divisor, maxSegments
	if u.Proto == 17 {
		most = maxDatagrams
	}
	known := slices.IndexFunc(u.flow.sizes, func(n int) bool { return size > 0 && size%n == 0 && len(u.payload()) <= most*n })
	switch {
	case u.Version == 4 && g.byID[u] != 0:
		size = g.byID[u]
	case known >= 0:
		size = u.flow.sizes[known]
	case u.Version == 4:
		size = 0
		for _, of := range g.byID {
			if size != 0 && size != of {
				return 0
			}
			size = of
		}
	}
	if size <= 0 || len(u.payload()) > most*size {
		return 0
	}
	return size
}

// maxSegments is the largest number of segments into which a TCP superpacket is cut
// by its boundaries alone.
const maxSegments = 256

// gcd returns the greatest common divisor.
func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
