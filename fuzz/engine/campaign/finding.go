// SPDX-License-Identifier: MIT

package campaign

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/internal/crasher"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
)

// confirmations is the number of times that an input must fail again, each time in a new
// process.
const confirmations = 3

// judge executes the inputs that failed in the engine, and returns how many are confirmed.
// A file that it cannot judge is an error and stays in place.
func (c *campaign) judge(st *state) (int, error) {
	name := st.Target.Name
	dir := filepath.Join(c.work, name, c.engine.failing(name))
	list, err := entries(dir)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range list {
		file := filepath.Join(dir, e.Name())
		text, err := os.ReadFile(file)
		if err != nil {
			return n, err
		}
		if b, err := c.engine.parse(text); err == nil && !strings.HasPrefix(e.Name(), "slow-unit-") {
			confirmed, err := c.finding(st, b)
			if err != nil {
				return n, err
			}
			if confirmed {
				n++
			}
			if err := c.withhold(st, text); err != nil {
				return n, err
			}
		}
		if err := os.Remove(file); err != nil {
			return n, err
		}
	}
	return n, nil
}

// withhold removes a failing input from those that the engine starts from: the engine
// would stop at it each time.
func (c *campaign) withhold(st *state, text []byte) error {
	st.syncing.Lock()
	defer st.syncing.Unlock()
	name := st.Target.Name
	dir := filepath.Join(c.work, name, c.engine.inputs(name))
	list, err := entries(dir)
	for _, e := range list {
		file := filepath.Join(dir, e.Name())
		if b, err := os.ReadFile(file); err == nil && bytes.Equal(b, text) {
			st.imported[e.Name()] = true
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return err
}

// finding confirms an input that failed, minimises it and stores it.
func (c *campaign) finding(st *state, b []byte) (confirmed bool, err error) {
	after := time.Since(c.start)
	// This goes on after an interrupt, which must not lose a finding.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 4*confirmations*c.Limits.Time+2*minimiseTime)
	defer cancel()
	o, ok, err := c.confirm(ctx, st.Target.Name, b)
	if err != nil {
		return false, err
	}
	if !ok {
		c.mu.Lock()
		c.flaky++
		c.mu.Unlock()
		c.Say("%s: an input failed, but not in the same way %d times more: stored under flaky", st.Target.Name, confirmations)
		return false, c.store.AddFlaky(st.Target.Name, b)
	}
	text, ext, o, err := c.minimised(ctx, st.Target, b, o)
	if err != nil {
		return false, err
	}
	file, isNew, err := c.store.AddFinding(st.Target.Name, o, text, ext, func(file string) bool { return c.still(ctx, st.Target.Name, file, o) })
	if err != nil {
		c.Say("%s: a finding could not be stored; here it is:\n%s", st.Target.Name, text)
		return false, err
	}
	c.mu.Lock()
	first := st.found(Finding{st.Target, o, file, isNew, after})
	c.mu.Unlock()
	if first {
		c.Say("FINDING after %.1f s: %s: %s\n%s", after.Seconds(), st.Target.Name, file, o.Msg)
	}
	if c.First && c.stop != nil {
		c.stop(errFirst)
	}
	return true, nil
}

// still reports whether the finding in a file still fails with outcome o.
func (c *campaign) still(ctx context.Context, name, file string, o serve.Outcome) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	var b []byte
	if strings.HasSuffix(file, ".fuzz") {
		b, err = crasher.Parse(text)
	} else {
		b, err = targets.Input(file, text)
	}
	if err != nil {
		return false
	}
	got, ok, err := c.confirm(ctx, name, b)
	return err == nil && ok && got.Key() == o.Key()
}

// confirm executes an input in new processes. It returns the first outcome, and whether
// all are failures with the same key.
func (c *campaign) confirm(ctx context.Context, name string, b []byte) (first serve.Outcome, ok bool, err error) {
	for i := range confirmations {
		p := c.process(name)
		o, err := p.Run(ctx, b)
		p.Close()
		if err != nil {
			return o, false, err
		}
		if i == 0 {
			first = o
		}
		if o.Property == "" || o.Key() != first.Key() {
			return first, false, nil
		}
	}
	return first, true, nil
}

// process returns a new Process that executes inputs of a target with the plain program.
// The caller must close it.
func (c *campaign) process(name string) *serve.Process {
	return &serve.Process{Program: c.plain, Target: name, Limits: c.Limits}
}

// minimiseTime limits minimising: an input that hangs takes long to try.
const minimiseTime = 30 * time.Second

// minimised returns the smallest input it finds that fails like b, and how that input
// fails. The input is written as a case if that case fails in the same way, otherwise in the
// native engine's form.
func (c *campaign) minimised(ctx context.Context, t targets.Target, b []byte, o serve.Outcome) (text []byte, ext string, smallest serve.Outcome, err error) {
	smallest = o
	p := c.process(t.Name)
	defer p.Close()
	until := time.Now().Add(minimiseTime)
	var broken error
	fails := func(b []byte) bool {
		if broken != nil || c.ctx.Err() != nil || time.Now().After(until) {
			return false
		}
		got, err := p.Run(ctx, b)
		broken = err
		if err != nil || got.Key() != o.Key() {
			return false
		}
		smallest = got // of all that were tried, the last that fails is kept
		return true
	}
	if t.Form != targets.Raw {
		s := scenario.Decode(b)
		if scenario.Items(&s) > 0 && fails(scenario.Encode(s)) {
			s = scenario.Minimise(s, func(s *scenario.Scenario) bool { return fails(scenario.Encode(*s)) })
			text := c.caseOf(s, t, smallest)
			again, err := targets.Input(".pkts", text)
			if err == nil {
				if got, ok, err := c.confirm(ctx, t.Name, again); ok && err == nil && got.Key() == o.Key() {
					return text, ".pkts", smallest, nil
				}
			}
		}
		smallest = o
	}
	b = scenario.MinimiseList(b, fails)
	return crasher.Format(b), ".fuzz", smallest, broken
}

// caseOf writes a scenario as a case that states the violation and the model's result. The
// result is missing if the input hangs or exhausts the memory, as the model might too.
func (c *campaign) caseOf(s scenario.Scenario, t targets.Target, o serve.Outcome) []byte {
	line, _, _ := strings.Cut(strings.TrimPrefix(o.Msg, o.Property+" violated: "), "\n")
	source := fmt.Sprintf("tunproof fuzz, target %s, engine %s, tree %s", t.Name, c.Engine, c.tree)
	if c.Plant != nil {
		source += scenario.WithPlant + c.Plant.Name
	}
	list := s.Cases(fmt.Sprintf("%s is violated: %s", o.Property, line), source)
	if o.Where != "hang" && o.Where != "memory" {
		_ = law.Attempt(func() error { law.Expect(list[0]); return nil })
	}
	return pkts.Format(list[0])
}
