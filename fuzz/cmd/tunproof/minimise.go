package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
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

// gather keeps what was read, as long as a case is to be written of it, and holds
// it.
func (r *replayer) gather(s scenario.Scenario) {
	if r.caseFile == "" || r.violated != nil {
		return
	}
	if r.small == nil {
		r.small = &scenario.Scenario{Config: s.Config}
	}
	if r.tooMany = r.tooMany || items(r.small)+items(&s) > maxCase; r.tooMany {
		return
	}
	r.small.Batches = append(r.small.Batches, s.Batches...)
	r.small.Supers = append(r.small.Supers, s.Supers...)
}

// keep remembers the first scenario that a property does not hold of.
func (r *replayer) keep(s scenario.Scenario, by target.Property) {
	if r.violated == nil {
		r.violated, r.by = &s, by
	}
}

// maxCase is how many packets a case has at most that was not minimised.
const maxCase = 1024

// writeCase writes what is violated, or if nothing is all that was read.
func (r *replayer) writeCase() error {
	s, why, source := r.small, "tunproof replay found nothing in it; to be said", "to be said"
	if r.violated != nil {
		small := minimise(r.ctx, *r.violated, func(s *scenario.Scenario) bool {
			var v *target.Violation
			err := guarded(func() error { return r.by.Check(s, nil) })
			return errors.As(err, &v)
		})
		s, why = &small, fmt.Sprintf("%s does not hold; to be said", r.by.ID)
	}
	switch {
	case r.violated == nil && r.stated:
		return fmt.Errorf("-o %s: what is violated is what a case states, not a property of its input; corpus -write changes it", r.caseFile)
	case r.violated == nil && r.tooMany:
		return fmt.Errorf("-o %s: nothing is violated, and a case has at most %d packets", r.caseFile, maxCase)
	case s == nil || items(s) == 0:
		return fmt.Errorf("-o %s: there is nothing for a case", r.caseFile)
	}
	cases := s.Cases(why, source)
	for i, c := range cases {
		name := r.caseFile
		if i > 0 {
			name = strings.TrimSuffix(name, ".pkts") + "-" + c.Op + ".pkts"
		}
		target.Expect(c)
		if err := writeFile(name, pkts.Format(c)); err != nil {
			return err
		}
		fmt.Fprintf(r.streams.err, "replay: %s: a case of op %s, ready for corpus/%s once its head is filled in\n", name, c.Op, c.Op)
	}
	return nil
}
