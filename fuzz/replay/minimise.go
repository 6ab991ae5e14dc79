package replay

import (
	"fmt"
	"strings"
	"time"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
)

// minimiseTime bounds minimising.
const minimiseTime = 20 * time.Second

// gather keeps what was read, as long as a case is to be written of it, and holds
// it.
func (r *Run) gather(s scenario.Scenario) {
	if r.CaseFile == "" || r.violated != nil {
		return
	}
	if r.small == nil {
		r.small = &scenario.Scenario{Config: s.Config}
	}
	if r.tooMany = r.tooMany || scenario.Items(r.small)+scenario.Items(&s) > maxCase; r.tooMany {
		return
	}
	r.small.Batches = append(r.small.Batches, s.Batches...)
	r.small.Supers = append(r.small.Supers, s.Supers...)
}

// keep remembers the first scenario that a property does not hold of.
func (r *Run) keep(s scenario.Scenario, by law.Property) {
	if r.violated == nil {
		r.violated, r.by = &s, by
	}
}

// maxCase is how many packets a case has at most that was not minimised.
const maxCase = 1024

// writeCase writes what is violated, or if nothing is all that was read.
func (r *Run) writeCase() error {
	s, why, source := r.small, "tunproof replay found nothing in it; to be said", "to be said"
	if r.violated != nil {
		until := time.Now().Add(minimiseTime)
		small := scenario.Minimise(*r.violated, func(s *scenario.Scenario) bool {
			if r.Ctx.Err() != nil || time.Now().After(until) {
				return false
			}
			return law.IsViolation(law.Attempt(func() error { return r.by.Check(s, nil) }))
		})
		s, why = &small, fmt.Sprintf("%s does not hold; to be said", r.by.ID)
	}
	switch {
	case r.violated == nil && r.stated:
		return fmt.Errorf("-o %s: what is violated is what a case states, not a property of its input; corpus fmt changes it", r.CaseFile)
	case r.violated == nil && r.tooMany:
		return fmt.Errorf("-o %s: nothing is violated, and a case has at most %d packets", r.CaseFile, maxCase)
	case s == nil || scenario.Items(s) == 0:
		return fmt.Errorf("-o %s: there is nothing for a case", r.CaseFile)
	}
	cases := s.Cases(why, source)
	for i, c := range cases {
		name := r.CaseFile
		if i > 0 {
			name = strings.TrimSuffix(name, ".pkts") + "-" + c.Op + ".pkts"
		}
		law.Expect(c)
		if err := file.Write(name, pkts.Format(c)); err != nil {
			return err
		}
		fmt.Fprintf(r.Err, "replay: %s: a case of op %s, ready for corpus/%s once its head is filled in\n", name, c.Op, c.Op)
	}
	return nil
}
