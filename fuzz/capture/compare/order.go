// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"tunproof/fuzz/packet"
)

// placed is a segment that is in both captures, with its places.
type placed struct {
	before, after int64
	flow          *flow
	hash          uint64
	class         uint64           // its hash without an ID that has no meaning
	atomic        bool             // whether its ID has no meaning
	ids           [2]uint16        // these IDs
	at            [2]time.Duration // since the first packet of each capture
}

// place returns the place of p on a side.
func (p placed) place(side int) int64 { return [2]int64{p.before, p.after}[side] }

// own reports whether the ID of p on a side is that of its packet, and not one that cutting
// gave it.
func (p placed) own(side int) bool {
	_, segment := spot(p.place(side))
	return !p.atomic || segment <= 1
}

// spot returns the number of the packet at a place, and the number of the segment in it.
func spot(place int64) (number, segment int) {
	return int(place >> placeBits), int(place & (1<<placeBits - 1))
}

// order holds the matched segments between two addresses whose order is not judged yet.
type order struct{ list []placed }

const (
	orderMost = 8192 // segments of a pair of addresses that are kept
	orderKeep = 2048 // those that stay when the others are judged

	placedMost = 1 << 19 // segments of all pairs that are kept
	orderLeast = 4       // those of each pair that stay when there are too many
)

// add takes a matched segment. If too many are kept, for this pair of addresses or for all
// pairs, it judges the oldest.
func (o *order) add(m *Matcher, p placed) {
	o.list = append(o.list, p)
	m.placed++
	if len(o.list) >= orderMost {
		o.settle(m, orderKeep)
	}
	if m.placed > placedMost {
		for o := range m.orders.Values() {
			o.settle(m, orderLeast)
		}
	}
}

// settle reports the segments that changed places. In each flow, together with the
// packets without ports, these are the fewest whose removal leaves the same order in
// both captures. It keeps the latest segments, because later ones may still change
// places with them.
func (o *order) settle(m *Matcher, keep int) {
	o.align(m)
	list := o.list
	copies := map[uint64]int{}
	for _, p := range list {
		copies[p.hash]++
	}
	moved := map[int64]*flow{} // and the flow in which it did
	for _, f := range flowsOf(list) {
		for _, p := range outOfOrder(together(list, f)) {
			if moved[p.after] == nil || moved[p.after].opaque() {
				moved[p.after] = cmp.Or(f, p.flow)
			}
		}
	}
	cut := max(0, len(list)-keep)
	for _, p := range list[:cut] {
		p.sure()
		if copies[p.hash] > 1 {
			m.Summary.Copies++
		}
		in := moved[p.after]
		if in == nil {
			continue
		}
		f := Finding{What: Reordered, Rule: "C4.conflict", Text: "it changed places with other packets of its flow", flow: in.key}
		f.Packets[Before], f.Segments[Before] = spot(p.before)
		f.Packets[After], f.Segments[After] = spot(p.after)
		m.report(f)
	}
	o.list = slices.Clone(list[cut:])
	m.placed -= cut
}

// sure records that the pair is final.
func (p placed) sure() {
	p.flow.sure[Before].add(p.before)
	p.flow.sure[After].add(p.after)
}

// flowsOf returns the flows with ports in a list, or nil alone if there are none.
func flowsOf(list []placed) (flows []*flow) {
	seen := map[*flow]bool{}
	for _, p := range list {
		if p.flow.key.HasPorts() && !seen[p.flow] {
			seen[p.flow] = true
			flows = append(flows, p.flow)
		}
	}
	if flows == nil {
		return []*flow{nil}
	}
	return flows
}

// together returns the segments of a flow together with those without ports.
func together(list []placed, f *flow) (of []placed) {
	for _, p := range list {
		if p.flow == f || !p.flow.key.HasPorts() {
			of = append(of, p)
		}
	}
	return of
}

// align puts the list into the order of the capture after, and pairs equal packets anew: the
// ones between the same other packets belong together.
func (o *order) align(m *Matcher) {
	c := o.common(m)
	slices.SortFunc(o.list, byAfter)
	var flows []*flow // those with equal packets
	for _, p := range o.list {
		if !c.alone(p) && !slices.Contains(flows, p.flow) {
			flows = append(flows, p.flow)
		}
	}
	for _, f := range flows {
		o.alignFlow(m, f, c)
	}
	slices.SortFunc(o.list, byAfter)
}

// common records what the segments without a copy show: which time both captures have in
// common, and how long packets take between them. It returns which segments have copies.
func (o *order) common(m *Matcher) *copying {
	m.placed -= len(o.list)
	o.list = slices.DeleteFunc(o.list, func(p placed) bool { // its counterpart may be the copy
		_, torn := m.torn.Has(p.hash)
		_, inside := m.torn.Has(p.class)
		if torn || inside {
			m.Summary.Copies++
		}
		return torn || inside
	})
	m.placed += len(o.list)
	c := o.copying(m)
	for _, p := range o.list {
		if c.alone(p) {
			m.sure[Before].add(p.before)
			m.sure[After].add(p.after)
			m.takes(p)
		}
	}
	return c
}

// copying shows which segments of an order have copies.
type copying struct {
	m       *Matcher
	n       map[sameID]int                   // the placed segments
	unclear map[uint64]int                   // those that no ID identifies, by their class
	waiting map[*flow]*[2]map[uint64][]*unit // units that wait, by their class
}

// sameID is what the packets of a side that are equal have in common.
type sameID struct {
	class uint64
	side  int
	id    uint16
}

// copying returns which segments of the order have copies.
func (o *order) copying(m *Matcher) *copying {
	c := &copying{m: m, n: map[sameID]int{}, unclear: map[uint64]int{}, waiting: map[*flow]*[2]map[uint64][]*unit{}}
	for _, p := range o.list {
		for side, id := range p.ids {
			c.n[sameID{p.class, side, id}]++
		}
	}
	for _, p := range o.list {
		if !c.clear(p) {
			c.unclear[p.class]++
		}
	}
	return c
}

// clear reports whether no other packet is equal to a placed one, with its ID.
func (c *copying) clear(p placed) bool {
	for side, id := range p.ids {
		if id != p.ids[Before] || !p.own(side) || c.n[sameID{p.class, side, id}] > 1 ||
			slices.ContainsFunc(c.of(p.flow, side, p.class), func(u *unit) bool { return u.atomicID() == id }) {
			return false
		}
	}
	return true
}

// alone reports whether no other packet may be meant by a placed segment.
func (c *copying) alone(p placed) bool {
	return c.clear(p) || c.unclear[p.class] == 1 && len(c.of(p.flow, Before, p.class)) == 0 && len(c.of(p.flow, After, p.class)) == 0
}

// of returns the waiting units of a class.
func (c *copying) of(f *flow, side int, class uint64) []*unit {
	if f.waiting[side].n == 0 {
		return nil
	}
	if c.waiting[f] == nil {
		c.waiting[f] = &[2]map[uint64][]*unit{{}, {}}
		for side, of := range c.waiting[f] {
			for _, u := range f.waiting[side].units {
				if u.waiting {
					h := c.m.atomicHash(u)
					of[h] = append(of[h], u)
				}
			}
		}
	}
	return c.waiting[f][side][class]
}

// left returns the waiting units, all of one side, that may have come through in the place of
// one of several equal packets: an ID that cutting did not give must be the same.
func (c *copying) left(equal []placed) (left [2][]*unit) {
	for side := range left {
		left[side] = slices.DeleteFunc(slices.Clone(c.of(equal[0].flow, side, equal[0].class)), func(u *unit) bool {
			return u.ownID() && !slices.ContainsFunc(equal, func(p placed) bool { return !p.own(1-side) || p.ids[1-side] == u.atomicID() })
		})
	}
	if len(left[Before]) > 0 && len(left[After]) > 0 {
		return [2][]*unit{} // their IDs differ
	}
	return left
}

// dropStrays takes pairs apart that are no packet of both captures: one was sent before the
// other capture started, and an equal one after that capture ended. Such a pair seems to
// change places with more than half of all packets that have no copy.
func (m *Matcher) dropStrays() {
	var all []placed
	for o := range m.orders.Values() {
		c := o.copying(m)
		for _, p := range o.list {
			if c.alone(p) {
				all = append(all, p)
			}
		}
	}
	if len(all) < leastCommon {
		return
	}
	slices.SortFunc(all, func(x, y placed) int { return cmp.Compare(x.before, y.before) })
	rank := map[int64]int{} // in the capture before, by the place after
	for i, p := range all {
		rank[p.after] = i
	}
	slices.SortFunc(all, byAfter)
	var others [2]edges
	strays := map[int64]bool{}
	for i, p := range all {
		if abs(i-rank[p.after]) > len(all)/2 {
			strays[p.after] = true
			continue
		}
		others[Before].add(p.before)
		others[After].add(p.after)
	}
	for o := range m.orders.Values() {
		o.list = slices.DeleteFunc(o.list, func(p placed) bool {
			early, late := p.before < others[Before].first, p.before > others[Before].last
			if !strays[p.after] || !(early && p.after > others[After].last || late && p.after < others[After].first) {
				return false
			}
			m.placed--
			m.Summary.Segments--
			for side := range others {
				m.Summary.Outside[side]++
				p.flow.edges[side] = edges{}
			}
			return true
		})
	}
}

// leastCommon is how many packets without a copy must be in both captures to show which of
// them do not belong together.
const leastCommon = 16

func byAfter(x, y placed) int { return cmp.Compare(x.after, y.after) }

// alignFlow pairs the equal packets of a flow anew. The others, which have no copy, show where
// they belong, as far as they did not change places. There may be several ways to see which
// ones did. The way counts with which fewest packets changed places.
func (o *order) alignFlow(m *Matcher, f *flow, c *copying) {
	list := together(o.list, f)
	single := func(list []placed) []placed {
		return slices.DeleteFunc(slices.Clone(list), func(p placed) bool { return !c.alone(p) })
	}
	best := m.realign(list, f, inOrder(single(list)), c)
	if best.moved > 0 {
		if other := m.realign(list, f, single(inOrder(list)), c); other.moved < best.moved {
			best = other
		}
	}
	m.placed -= len(o.list)
	o.list = slices.DeleteFunc(o.list, func(p placed) bool { return p.flow == f && !c.alone(p) })
	o.list = append(o.list, best.pairs...)
	m.placed += len(o.list)
	m.Summary.Segments -= best.missed // each side missed one of them
	m.Summary.Outside[Before] += best.missed
	m.Summary.Outside[After] += best.missed
	for _, p := range best.pairs {
		m.copies.Put(p.hash, [2]int64{p.before, p.after})
	}
	for _, x := range best.left {
		x.replace(m)
	}
}

// alignment is a way to pair the equal packets of a flow.
type alignment struct {
	pairs  []placed
	left   []leftover // those without counterpart
	missed int        // pairs of which each side missed one
	moved  int        // segments of the flow that then changed places
}

// leftover is a waiting unit, and the one of the packets equal to it that has no counterpart.
type leftover struct {
	*unit
	copied
	hash uint64
}

// replace makes the unit that packet.
func (x leftover) replace(m *Matcher) {
	u, hash := x.unit, x.hash
	u.number, u.segment = spot(x.copied.place)
	u.time = m.times[u.side].first.Add(x.copied.at)
	if u.atomic() && id(u) != x.id {
		u.b = bytes.Clone(u.b)
		binary.BigEndian.PutUint16(u.b[4:], x.id)
		packet.Fix(u.b, packet.FixIPCsum)
	}
	if u.ownID() {
		hash = m.hash(u.b)
	}
	m.pending[u.side].rehash(u, hash)
}

// realign pairs the equal packets of flow f in a list anew. line has packets without a copy
// that are in order.
func (m *Matcher) realign(list []placed, f *flow, line []placed, c *copying) (a alignment) {
	equal := map[uint64][]placed{}
	var order []uint64
	var all []placed
	for _, p := range list {
		switch {
		case p.flow != f || c.alone(p):
			all = append(all, p)
			continue
		case equal[p.class] == nil:
			order = append(order, p.class)
		}
		equal[p.class] = append(equal[p.class], p)
	}
	for _, h := range order {
		m.pairCopies(&a, equal[h], c.left(equal[h]), line)
	}
	all = append(all, a.pairs...)
	slices.SortFunc(all, byAfter)
	a.moved = len(outOfOrder(all))
	return a
}

// copied is the place of one of several equal packets.
type copied struct {
	place int64
	at    time.Duration // since the first packet of its capture
	id    uint16        // without a meaning
	gap   int           // how many of other packets are before it
}

// pairCopies pairs equal packets anew, those that are paired and those that wait. If one of
// them has no counterpart, it decides which.
func (m *Matcher) pairCopies(a *alignment, equal []placed, waiting [2][]*unit, line []placed) {
	p := equal[0]
	var places [2][]copied
	for side := range places {
		add := func(place int64, at time.Duration, id uint16) {
			gap := sort.Search(len(line), func(k int) bool { return line[k].place(side) > place })
			places[side] = append(places[side], copied{place, at, id, gap})
		}
		for _, p := range equal {
			add(p.place(side), p.at[side], p.ids[side])
		}
		for _, u := range waiting[side] {
			add(u.place(), m.since(u), u.atomicID())
		}
		slices.SortFunc(places[side], func(x, y copied) int { return cmp.Compare(x.place, y.place) })
	}
	pair := func(b, w copied) {
		p.before, p.after, p.at, p.ids = b.place, w.place, [2]time.Duration{b.at, w.at}, [2]uint16{b.id, w.id}
		a.pairs = append(a.pairs, p)
	}
	var rest, left [2][]copied
	for len(places[Before])+len(places[After]) > 0 {
		gap := len(line)
		for side := range places {
			if len(places[side]) > 0 {
				gap = min(gap, places[side][0].gap)
			}
		}
		var here [2][]copied
		for side, list := range places {
			n := sort.Search(len(list), func(k int) bool { return list[k].gap > gap })
			here[side], places[side] = list[:n], list[n:]
		}
		here, left = m.even(here)
		for i := range here[Before] {
			pair(here[Before][i], here[After][i])
		}
		for side := range left {
			rest[side] = append(rest[side], left[side]...)
		}
	}
	rest, left = m.even(rest)
	for i, b := range rest[Before] {
		if w := rest[After][i]; m.finishing && (m.missed(Before, b.place) || m.missed(After, w.place)) {
			a.missed++
		} else {
			pair(b, w)
		}
	}
	for side := range left {
		for i, x := range left[side] {
			a.left = append(a.left, leftover{waiting[side][i], x, p.hash})
		}
	}
}

// missed reports whether a place of a side is before the first or after the last packet
// without a copy that is on both sides.
func (m *Matcher) missed(side int, place int64) bool {
	return place < m.sure[side].first || place > m.sure[side].last
}

// even makes the lists of equal packets of both sides equally long. It leaves packets out
// that the other capture can have missed, because they are before the first or after the
// last of the packets without a copy, or because of their time. Otherwise it leaves out the
// first, if no other packet is before them, or the last.
func (m *Matcher) even(of [2][]copied) (same, left [2][]copied) {
	n := min(len(of[Before]), len(of[After]))
	near := func(side int, x copied) (first, last bool) {
		number, _ := spot(x.place)
		return m.nearAt(side, number, m.times[side].first.Add(x.at))
	}
	for side, list := range of {
		for len(list) > n {
			i := slices.IndexFunc(list, func(x copied) bool { return m.missed(side, x.place) })
			first, _ := near(side, list[0])
			_, last := near(side, list[len(list)-1])
			switch {
			case i >= 0:
			case list[0].gap == 0 && (first || !last): // else the other capture was running
				i = 0
			default:
				i = len(list) - 1
			}
			left[side] = append(left[side], list[i])
			list = slices.Concat(list[:i], list[i+1:])
		}
		same[side] = list
	}
	return same, left
}

// outOfOrder returns the segments that are not in the longest subsequence of list
// whose places in the capture before are in order.
func outOfOrder(list []placed) (moved []placed) {
	stays := inOrder(list)
	for _, p := range list {
		if len(stays) > 0 && stays[0] == p {
			stays = stays[1:]
			continue
		}
		moved = append(moved, p)
	}
	return moved
}

// inOrder returns the longest subsequence of list whose places in the capture before are in
// order.
func inOrder(list []placed) []placed {
	if slices.IsSortedFunc(list, func(x, y placed) int { return cmp.Compare(x.before, y.before) }) {
		return list
	}
	var tails []int // for each length, the index of the last segment of the best subsequence
	previous := make([]int, len(list))
	for i, p := range list {
		n := sort.Search(len(tails), func(k int) bool { return list[tails[k]].before > p.before })
		previous[i] = -1
		if n > 0 {
			previous[i] = tails[n-1]
		}
		if n == len(tails) {
			tails = append(tails, i)
		} else {
			tails[n] = i
		}
	}
	var stays []placed
	for i := tails[len(tails)-1]; i >= 0; i = previous[i] {
		stays = append(stays, list[i])
	}
	slices.Reverse(stays)
	return stays
}
