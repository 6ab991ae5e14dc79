// SPDX-License-Identifier: MIT

package scenario

import (
	"slices"

	"tunproof/corpus/pkts"
)

// Minimise returns a smaller scenario that still fails. It removes packets in halves, in
// quarters and so on to single packets, as long as fails reports true, and then tries
// simpler settings. To stop early, fails returns false from then on.
func Minimise(s Scenario, fails func(*Scenario) bool) Scenario {
	n := Items(&s)
	reduce(n, func() int { return Items(&s) }, func(at, n int) bool {
		t := without(s, at, n)
		if Items(&t) == 0 || !fails(&t) {
			return false
		}
		s = t
		return true
	})
	for _, set := range simpler {
		t := s
		if set(&t.Config); t.Config != s.Config && fails(&t) {
			s = t
		}
	}
	return s
}

// MinimiseList returns a shorter list that still fails, of bytes or of packets: it removes
// items as long as fails reports true. To stop early, fails returns false from then on.
func MinimiseList[T any](list []T, fails func([]T) bool) []T {
	reduce(len(list), func() int { return len(list) }, func(at, n int) bool {
		c := slices.Concat(list[:at], list[min(len(list), at+n):])
		if !fails(c) {
			return false
		}
		list = c
		return true
	})
	return list
}

// reduce removes chunks of halves, quarters and so on to single items, until no single item
// can be removed. left returns the number of items. without tries to remove n items from
// at on, and reports whether it did.
func reduce(n int, left func() int, without func(at, n int) bool) {
	for chunk := max(1, n/2); ; {
		before := left()
		for at := 0; at < left(); {
			if !without(at, chunk) {
				at += chunk
			}
		}
		if chunk == 1 && left() == before {
			return
		}
		chunk = max(1, chunk/2)
	}
}

// simpler are changes to the settings, each of which resets some of them to the default.
var simpler = []func(*pkts.Config){
	func(c *pkts.Config) { *c = pkts.Config{} },
	func(c *pkts.Config) { c.AtomicIDs = false },
	func(c *pkts.Config) { c.AbsentChecksums = false },
	func(c *pkts.Config) { c.Reorder = false },
	func(c *pkts.Config) { c.DisableTCPv4, c.DisableTCPv6, c.DisableUDP = false, false, false },
	func(c *pkts.Config) { c.MaxSegments, c.MaxUDPSegments, c.MaxOpen, c.MaxPerFlow = 0, 0, 0, 0 },
}

// Items returns the number of packets and superpackets of a scenario.
func Items(s *Scenario) int {
	n := len(s.Supers)
	for _, b := range s.Batches {
		n += len(b)
	}
	return n
}

// without returns s without n of its packets and superpackets, from index at on. Batches
// that become empty are removed.
func without(s Scenario, at, n int) Scenario {
	i := 0
	out := func() bool {
		i++
		return i > at && i <= at+n
	}
	t := Scenario{Config: s.Config}
	for _, b := range s.Batches {
		if b = slices.DeleteFunc(slices.Clone(b), func([]byte) bool { return out() }); len(b) > 0 {
			t.Batches = append(t.Batches, b)
		}
	}
	t.Supers = slices.DeleteFunc(slices.Clone(s.Supers), func(Super) bool { return out() })
	return t
}
