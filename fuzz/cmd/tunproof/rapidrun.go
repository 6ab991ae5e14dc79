package main

import (
	"context"
	"fmt"

	"pgregory.net/rapid"

	"tunproof/fuzz/gen"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
)

// finding is a scenario, minimised, of which a property does not hold.
type finding struct {
	scenario scenario.Scenario
	err      error
}

// rapidCheck checks a property on n generated scenarios, half of them batches
// and half superpackets if it is of both. It returns how many were checked and
// the first scenario that violates it, minimised.
func rapidCheck(ctx context.Context, p target.Property, n int, seed uint64, tally *target.Tally) (int, *finding, error) {
	var generators []*rapid.Generator[scenario.Scenario]
	if p.Batches {
		generators = append(generators, gen.Batches())
	}
	if p.Supers {
		generators = append(generators, gen.Supers())
	}
	checked := 0
	for _, g := range generators {
		var found *finding
		prop := func(t *rapid.T) {
			if ctx.Err() != nil {
				return
			}
			s := g.Draw(t, "scenario")
			u := tally
			if found != nil {
				u = nil // minimising
			} else {
				checked++
			}
			if err := p.Check(&s, u); err != nil {
				found = &finding{s, err}
				t.Fatal(err)
			}
		}
		log, failed, err := gen.Check(p.Name, max(1, n/len(generators)), seed, prop)
		if err != nil {
			return 0, nil, err
		}
		switch {
		case found != nil:
			return checked, found, nil
		case failed && ctx.Err() == nil:
			return checked, &finding{err: fmt.Errorf("%s: %s", p.ID, log)}, nil
		}
	}
	return checked, nil, nil
}
