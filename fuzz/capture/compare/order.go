package compare

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
)

// placed is a segment that is on both sides, and where.
type placed struct {
	before, after int64
	flow          int
	ports         bool
	b, a          int // numbers of the packets
	hash          uint64
}

// order is what of one pair of addresses is on both sides, and not yet judged.
type order struct{ list []placed }

const (
	orderMost = 8192 // of a pair that are kept
	orderKeep = 2048 // of these, when the others are judged

	placedMost = 1 << 19 // of all pairs
	orderLeast = 4       // of each, when these are too many
)

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

// settle finds the segments that changed places: in each flow, together with
// what may be of it, the fewest without which the order is the same on both
// sides. It keeps the latest ones, with which others may still change places.
func (o *order) settle(m *Matcher, keep int) {
	list := o.list
	slices.SortFunc(list, func(x, y placed) int { return cmp.Compare(x.after, y.after) })
	uncross(list)
	moved := map[int64]placed{}
	flows := map[int]bool{}
	for _, p := range list {
		if p.ports {
			flows[p.flow] = true
		}
	}
	if len(flows) == 0 {
		flows[0] = true
	}
	for f := range flows {
		var of []placed
		for _, p := range list {
			if p.flow == f || !p.ports {
				of = append(of, p)
			}
		}
		for _, p := range outOfOrder(of) {
			moved[p.after] = p
		}
	}
	cut := max(0, len(list)-keep)
	for _, p := range list[:cut] {
		if _, is := moved[p.after]; !is {
			continue
		}
		if w := m.pending[After].peek(p.hash); w != nil {
			w.number, w.segment = p.a, 0 // a copy of it is in its place
		} else {
			m.emit(Finding{What: Reordered, Packets: [2]int{p.b, p.a}, Rule: "C4.conflict",
				Text: fmt.Sprintf("it is packet %d of the other capture, and has changed places with others of its flow", p.a)})
		}
	}
	o.list = slices.Clone(list[cut:])
	m.placed -= cut
}

// uncross pairs copies of one packet, which cannot be told apart, in their order.
func uncross(list []placed) {
	copies := map[uint64][]int{}
	for i, p := range list {
		copies[p.hash] = append(copies[p.hash], i)
	}
	for _, at := range copies {
		if len(at) == 1 {
			continue
		}
		var befores []placed
		for _, i := range at {
			befores = append(befores, list[i])
		}
		slices.SortFunc(befores, func(x, y placed) int { return cmp.Compare(x.before, y.before) })
		for k, i := range at {
			list[i].before, list[i].b = befores[k].before, befores[k].b
		}
	}
}

// outOfOrder returns all but the longest part of list whose places before are in
// order.
func outOfOrder(list []placed) []placed {
	sorted := slices.IsSortedFunc(list, func(x, y placed) int { return cmp.Compare(x.before, y.before) })
	if sorted {
		return nil
	}
	var tails []int // by length, the index at which the best part so long ends
	previous := make([]int, len(list))
	for i, p := range list {
		n := sort.Search(len(tails), func(k int) bool { return list[tails[k]].before >= p.before })
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
	stays := make([]bool, len(list))
	for i := tails[len(tails)-1]; i >= 0; i = previous[i] {
		stays[i] = true
	}
	var moved []placed
	for i, p := range list {
		if !stays[i] {
			moved = append(moved, p)
		}
	}
	return moved
}
