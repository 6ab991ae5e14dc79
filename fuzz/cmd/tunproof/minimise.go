package main

import (
	"context"
	"slices"
	"time"

	"tunproof/fuzz/scenario"
)

// minimiseTime bounds minimising.
const minimiseTime = 20 * time.Second

// minimise takes packets out of a scenario as long as it still fails: halves,
// quarters, then one by one, until none can be left out.
func minimise(ctx context.Context, s scenario.Scenario, fails func(*scenario.Scenario) bool) scenario.Scenario {
	deadline := time.Now().Add(minimiseTime)
	n := items(&s)
	for chunk := max(1, n/2); ; {
		before := items(&s)
		for at := 0; at < items(&s); {
			if ctx.Err() != nil || time.Now().After(deadline) {
				return s
			}
			if t := without(s, at, chunk); items(&t) > 0 && fails(&t) {
				s = t
			} else {
				at += chunk
			}
		}
		if chunk == 1 && items(&s) == before {
			return s
		}
		chunk = max(1, chunk/2)
	}
}

// items counts the packets and superpackets of a scenario.
func items(s *scenario.Scenario) int {
	n := len(s.Supers)
	for _, b := range s.Batches {
		n += len(b)
	}
	return n
}

// without is s but for n of its packets and superpackets.
func without(s scenario.Scenario, at, n int) scenario.Scenario {
	i := 0
	out := func() bool {
		i++
		return i > at && i <= at+n
	}
	t := scenario.Scenario{Config: s.Config}
	for _, b := range s.Batches {
		if b = slices.DeleteFunc(slices.Clone(b), func([]byte) bool { return out() }); len(b) > 0 {
			t.Batches = append(t.Batches, b)
		}
	}
	t.Supers = slices.DeleteFunc(slices.Clone(s.Supers), func(scenario.Super) bool { return out() })
	return t
}
