package compare

import (
	"cmp"
	"slices"
	"sort"
)

// placed is a segment that is in both captures, with its places.
type placed struct {
	before, after int64
	flow          int
	ports         bool
	b, a          int // numbers of the packets, before and after
	hash          uint64
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
			w.number, w.segment = p.a, 0 // a copy of it is in its place, so the copy is the duplicate
		} else {
			m.emit(Finding{What: Reordered, Packets: [2]int{p.b, p.a}, Rule: "C4.conflict",
				Text: "it changed places with other packets of its flow"})
		}
	}
	o.list = slices.Clone(list[cut:])
	m.placed -= cut
}

// uncross pairs copies of one packet in their order, because they look alike.
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

// outOfOrder returns the segments that are not in the longest subsequence of list
// whose places in the capture before are in order.
func outOfOrder(list []placed) []placed {
	sorted := slices.IsSortedFunc(list, func(x, y placed) int { return cmp.Compare(x.before, y.before) })
	if sorted {
		return nil
	}
	var tails []int // for each length, the index of the last segment of the best subsequence
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
