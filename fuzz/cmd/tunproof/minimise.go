package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/minimise"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
)

// minimiseTime bounds minimising.
const minimiseTime = 20 * time.Second

// gather keeps what was read, as long as a case is to be written of it, and holds
// it.
func (r *replayer) gather(s scenario.Scenario) {
	if r.caseFile == "" || r.violated != nil {
		return
	}
	if r.small == nil {
		r.small = &scenario.Scenario{Config: s.Config}
	}
	if r.tooMany = r.tooMany || minimise.Items(r.small)+minimise.Items(&s) > maxCase; r.tooMany {
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
		until := time.Now().Add(minimiseTime)
		small := minimise.Scenario(*r.violated, func(s *scenario.Scenario) bool {
			if r.ctx.Err() != nil || time.Now().After(until) {
				return false
			}
			var v *target.Violation
			err := guarded(func() error { return r.by.Check(s, nil) })
			return errors.As(err, &v)
		})
		s, why = &small, fmt.Sprintf("%s does not hold; to be said", r.by.ID)
	}
	switch {
	case r.violated == nil && r.stated:
		return fmt.Errorf("-o %s: what is violated is what a case states, not a property of its input; corpus fmt changes it", r.caseFile)
	case r.violated == nil && r.tooMany:
		return fmt.Errorf("-o %s: nothing is violated, and a case has at most %d packets", r.caseFile, maxCase)
	case s == nil || minimise.Items(s) == 0:
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
