package scenario

import (
	"slices"

	"tunproof/corpus/pkts"
)

// Minimise takes out of a scenario what it still fails without: packets, by halves,
// quarters, then one by one, and settings. fails says no when it is to stop.
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

// MinimiseBytes takes bytes out as long as what is left fails.
func MinimiseBytes(b []byte, fails func([]byte) bool) []byte {
	reduce(len(b), func() int { return len(b) }, func(at, n int) bool {
		c := slices.Concat(b[:at], b[min(len(b), at+n):])
		if !fails(c) {
			return false
		}
		b = c
		return true
	})
	return b
}

// reduce takes pieces out by halves, quarters, then one by one, until none can be.
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

// simpler are what settings are left out together.
var simpler = []func(*pkts.Config){
	func(c *pkts.Config) { *c = pkts.Config{} },
	func(c *pkts.Config) { c.AtomicIDs = false },
	func(c *pkts.Config) { c.Reorder = false },
	func(c *pkts.Config) { c.DisableTCPv4, c.DisableTCPv6, c.DisableUDP = false, false, false },
	func(c *pkts.Config) { c.MaxSegments, c.MaxUDPSegments, c.MaxOpen, c.MaxPerFlow = 0, 0, 0, 0 },
}

// Items counts the packets and superpackets of a
func Items(s *Scenario) int {
	n := len(s.Supers)
	for _, b := range s.Batches {
		n += len(b)
	}
	return n
}

// without is s but for n of its packets and superpackets.
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
