// SPDX-License-Identifier: MIT

package draw

import (
	"context"

	"pgregory.net/rapid"

	"tunproof/fuzz/scenario"
)

// Kinds selects the scenarios to draw: with batches, with superpackets of all kinds, or with
// superpackets that are nearly all in tunnels. If several are set, they alternate.
type Kinds struct{ Batches, Supers, Tunnels bool }

// Source draws random scenarios. Several Sources can be used at the same time: they share
// no state.
type Source struct {
	generators []*rapid.Generator[scenario.Scenario]
	seed       uint64
}

// NewSource returns a Source of scenarios of the given kinds. They depend only on the seed.
// (record.Seed derives a seed for each row of a run.)
func NewSource(k Kinds, seed uint64) *Source {
	s := &Source{seed: seed}
	if k.Batches {
		s.generators = append(s.generators, Batches())
	}
	if k.Supers {
		s.generators = append(s.generators, Supers())
	}
	if k.Tunnels {
		s.generators = append(s.generators, Tunnels())
	}
	return s
}

// Draw returns scenario i, the same at each call. It depends on seed + i; on a 32-bit
// machine, only on the low 32 bits of that.
func (s *Source) Draw(i int) scenario.Scenario {
	return s.generators[i%len(s.generators)].Example(int(s.seed + uint64(i)))
}

// Finding is a minimised scenario that violates a property, and the error that it gives.
type Finding struct {
	Scenario scenario.Scenario
	Err      error
}

// Check calls check with scenarios 0 to n-1 of a source, until one fails or the context
// ends. It returns the number of scenarios checked and, if one failed, a Finding with
// that scenario minimised. small is set in the calls that minimise, so that check can
// leave them out of its counts.
func Check(ctx context.Context, s *Source, n int, check func(s *scenario.Scenario, small bool) error) (checked int, found *Finding) {
	for i := range n {
		if ctx.Err() != nil {
			return checked, nil
		}
		drawn := s.Draw(i)
		err := check(&drawn, false)
		checked++
		if err == nil {
			continue
		}
		found = &Finding{drawn, err}
		found.Scenario = scenario.Minimise(drawn, func(t *scenario.Scenario) bool {
			if ctx.Err() != nil {
				return false
			}
			err := check(t, true)
			if err != nil {
				found.Err = err
			}
			return err != nil
		})
		return checked, found
	}
	return checked, nil
}
