// SPDX-License-Identifier: MIT

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

// minimiseTime is the time limit of minimising.
const minimiseTime = 20 * time.Second

// gather appends a scenario to r.small, which has those read before. writeCase writes it as
// a case if nothing is violated. gather appends no more after a violation, or when there
// would be more than maxCase packets.
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

// keep stores the first scenario that violates a property.
func (r *Run) keep(s scenario.Scenario, by law.Property) {
	if r.violated == nil {
		r.violated, r.by = &s, by
	}
}

// maxCase is the largest number of packets in a case that was not minimised.
const maxCase = 1024

// writeCase writes a case to CaseFile: the scenario that violates a property, minimised, or
// everything that was read if nothing is violated.
func (r *Run) writeCase() error {
	s, why, source := r.small, "tunproof replay found no violation; write here what the case shows", "write here where the packets come from"
	if r.violated != nil {
		until := time.Now().Add(minimiseTime)
		small := scenario.Minimise(*r.violated, func(s *scenario.Scenario) bool {
			if r.Ctx.Err() != nil || time.Now().After(until) {
				return false
			}
			return law.IsViolation(law.Attempt(func() error { return r.by.Check(s, nil) }))
		})
		s, why = &small, fmt.Sprintf("minimised: %s does not hold (%s)", r.by.ID, r.by.Law)
		if err := law.Attempt(func() error { return r.by.Check(s, nil) }); err != nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			why = "minimised: " + strings.TrimSuffix(line, ":")
		}
	}
	switch {
	case r.violated == nil && r.stated:
		return fmt.Errorf("-o %s: the results that a case states are wrong, but no property is violated by its input; tunproof corpus fmt writes the right results", r.CaseFile)
	case r.violated == nil && r.tooMany:
		return fmt.Errorf("-o %s: nothing is violated, and there are more packets than a case may have (%d)", r.CaseFile, maxCase)
	case s == nil || scenario.Items(s) == 0:
		return fmt.Errorf("-o %s: there are no packets to write a case from", r.CaseFile)
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
		fmt.Fprintf(r.Err, "replay: %s: a case of op %s, ready for corpus/%s after you read its why and complete its source\n", name, c.Op, c.Op)
	}
	return nil
}
