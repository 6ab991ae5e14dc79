package campaign

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/engine/crasher"
	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/scenario"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/law"
)

// confirmations is how often an input must fail again, each time in a new process.
const confirmations = 3

// judge confirms what the engine says fails, and returns how many were. Of a file that
// cannot be judged there is an error, and it stays where it is.
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

// withhold takes an input that fails out of what the engine starts from, which it would
// not get past.
func (c *campaign) withhold(st *state, text []byte) error {
	st.syncing.Lock()
	defer st.syncing.Unlock()
	name := st.Target.Name
	dir := filepath.Join(c.work, name, c.engine.inputs(name))
	list, err := entries(dir)
	for _, e := range list {
		file := filepath.Join(dir, e.Name())
		if b, err := os.ReadFile(file); err == nil && bytes.Equal(b, text) {
			st.taken[e.Name()] = true
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return err
}

// finding confirms an input that failed, minimises it and keeps it.
func (c *campaign) finding(st *state, b []byte) (confirmed bool, err error) {
	after := time.Since(c.start)
	// An interrupt loses no finding.
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
		c.Say("%s: an input failed, and then not %d times alike: kept under flaky", st.Target.Name, confirmations)
		return false, c.store.AddFlaky(st.Target.Name, b)
	}
	text, ext, err := c.minimised(ctx, st.Target, b, o)
	if err != nil {
		return false, err
	}
	file, isNew, err := c.store.AddFinding(st.Target.Name, o, text, ext, func(file string) bool { return c.still(ctx, st.Target.Name, file, o) })
	if err != nil {
		c.Say("%s: a finding could not be kept, here it is:\n%s", st.Target.Name, text)
		return false, err
	}
	c.mu.Lock()
	at := slices.IndexFunc(st.Findings, func(f Finding) bool { return f.Outcome.Key() == o.Key() })
	if at >= 0 {
		st.Findings[at].File = file
	} else {
		st.Findings = append(st.Findings, Finding{st.Target, o, file, isNew, after})
	}
	c.mu.Unlock()
	if at < 0 {
		c.Say("FINDING after %.1f s: %s: %s\n%s", after.Seconds(), st.Target.Name, file, o.Msg)
	}
	if c.First && c.stop != nil {
		c.stop(errFirst)
	}
	return true, nil
}

// still says whether a finding that is kept fails as it is said to.
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

// confirm executes an input in new processes and says whether it always fails alike.
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

func (c *campaign) process(name string) *serve.Process {
	return &serve.Process{Program: c.plain, Target: name, Limits: c.Limits}
}

// minimiseTime bounds minimising; what hangs is slow to try.
const minimiseTime = 30 * time.Second

// minimised returns the smallest input found that fails like b, as a case if a case of
// it fails so, else as the native engine has it.
func (c *campaign) minimised(ctx context.Context, t targets.Target, b []byte, o serve.Outcome) (text []byte, ext string, err error) {
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
		return err == nil && got.Key() == o.Key()
	}
	if t.Form != targets.Raw {
		s := scenario.Decode(b)
		if scenario.Items(&s) > 0 && fails(scenario.Encode(s)) {
			s = scenario.Minimise(s, func(s *scenario.Scenario) bool { return fails(scenario.Encode(*s)) })
			text := c.caseOf(s, t, o)
			again, err := targets.Input(".pkts", text)
			if err == nil {
				if _, ok, err := c.confirm(ctx, t.Name, again); ok && err == nil {
					return text, ".pkts", nil
				}
			}
		}
	}
	b = scenario.MinimiseBytes(b, fails)
	return crasher.Format(b), ".fuzz", broken
}

// caseOf writes a scenario as a case that says what is violated, with what the model
// makes of it, unless that could be what does not end.
func (c *campaign) caseOf(s scenario.Scenario, t targets.Target, o serve.Outcome) []byte {
	line, _, _ := strings.Cut(strings.TrimPrefix(o.Msg, o.Property+" violated: "), "\n")
	list := s.Cases(fmt.Sprintf("%s is violated: %s", o.Property, line), fmt.Sprintf("tunproof fuzz, target %s, engine %s, tree %s", t.Name, c.Engine, c.tree))
	if o.Where != "hang" && o.Where != "memory" {
		_ = law.Attempt(func() error { law.Expect(list[0]); return nil })
	}
	return pkts.Format(list[0])
}
