package draw

import (
	"context"

	"pgregory.net/rapid"

	"tunproof/fuzz/scenario"
)

// Kinds says what a scenario that is drawn has: batches, superpackets, or in turn
// the one and the other.
type Kinds struct{ Batches, Supers bool }

// Source draws scenarios. It has no state that another Source shares, so that
// several can draw side by side.
type Source struct {
	generators []*rapid.Generator[scenario.Scenario]
	seed       uint64
}

// NewSource returns a Source of the kinds. Its scenarios depend on the seed alone
// (record.Seed derives one for each row of a run).
func NewSource(k Kinds, seed uint64) *Source {
	s := &Source{seed: seed}
	if k.Batches {
		s.generators = append(s.generators, Batches())
	}
	if k.Supers {
		s.generators = append(s.generators, Supers())
	}
	return s
}

// Draw returns scenario i, the same at each call. On a 32-bit machine it depends on
// the low 32 bits of seed + i, else on all of them.
func (s *Source) Draw(i int) scenario.Scenario {
	return s.generators[i%len(s.generators)].Example(int(s.seed + uint64(i)))
}

// Finding is a scenario that violates a property, with as few packets as show it.
type Finding struct {
	Scenario scenario.Scenario
	Err      error
}

// Check calls check with scenarios 0 to n-1 of a source, until one fails or the
// context ends. It returns how many were checked, and the first that fails, made
// smaller as long as check still fails. small is told apart: it is set while a
// finding is made smaller, when nothing is to be counted.
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
