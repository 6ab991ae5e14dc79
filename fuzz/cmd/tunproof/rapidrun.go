package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"testing"

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

// outside is a rapid.TB outside of go test: it keeps what was logged.
type outside struct {
	name   string
	log    string
	failed bool
}

func (o *outside) Helper()                    {}
func (o *outside) Name() string               { return o.name }
func (o *outside) Logf(f string, args ...any) { o.log += fmt.Sprintf(f, args...) + "\n" }
func (o *outside) Log(args ...any)            { o.log += fmt.Sprintln(args...) }
func (o *outside) Skipf(string, ...any)       { runtime.Goexit() }
func (o *outside) Skip(...any)                { runtime.Goexit() }
func (o *outside) SkipNow()                   { runtime.Goexit() }
func (o *outside) Errorf(f string, args ...any) {
	o.Logf(f, args...)
	o.Fail()
}
func (o *outside) Error(args ...any) {
	o.Log(args...)
	o.Fail()
}
func (o *outside) Fatalf(f string, args ...any) {
	o.Errorf(f, args...)
	runtime.Goexit()
}
func (o *outside) Fatal(args ...any) {
	o.Error(args...)
	runtime.Goexit()
}
func (o *outside) FailNow() {
	o.Fail()
	runtime.Goexit()
}
func (o *outside) Fail()        { o.failed = true }
func (o *outside) Failed() bool { return o.failed }

// setRapid sets rapid's flags, as go test would.
func setRapid(checks int, seed uint64) error {
	if flag.Lookup("test.short") == nil {
		testing.Init()
	}
	if !flag.Parsed() {
		if err := flag.CommandLine.Parse(nil); err != nil {
			return err
		}
	}
	if testing.Short() {
		checks *= 5 // rapid divides by as much
	}
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(checks),
		"rapid.seed": strconv.FormatUint(seed, 10), "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			return err
		}
	}
	return nil
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
		if err := setRapid(max(1, n/len(generators)), seed); err != nil {
			return 0, nil, err
		}
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
		tb := &outside{name: p.Name}
		done := make(chan struct{})
		go func() {
			defer close(done)
			rapid.Check(tb, prop)
		}()
		<-done
		switch {
		case found != nil:
			return checked, found, nil
		case tb.failed && ctx.Err() == nil:
			return checked, &finding{err: fmt.Errorf("%s: %s", p.ID, tb.log)}, nil
		}
	}
	return checked, nil, nil
}
