// SPDX-License-Identifier: MIT

package campaign

import (
	"fmt"
	"time"
)

// interval is the time between two reports of progress. Each also stores the inputs that
// were found, so a campaign that is killed had at most this much not stored.
const interval = 10 * time.Second

// progress stores the inputs of the targets that run, and shows a line for each.
func (c *campaign) progress() error {
	for _, st := range c.states {
		c.mu.Lock()
		running := st.running
		c.mu.Unlock()
		if !running {
			continue
		}
		if err := c.take(st, false); err != nil {
			return err
		}
		c.Say("%s", c.line(st))
	}
	return c.putRun()
}

// line returns the progress of a target since the last line.
func (c *campaign) line(st *state) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	rate := float64(st.Execs-st.shown) / time.Since(st.shownAt).Seconds()
	st.shown, st.shownAt = st.Execs, time.Now()
	newest := "none new"
	if !st.newest.IsZero() {
		newest = fmt.Sprintf("new %.0fs ago", time.Since(st.newest).Seconds())
	}
	findings := 0
	for _, s := range c.states {
		findings += len(s.Findings)
	}
	return fmt.Sprintf("t=%.0fs target=%s execs=%s (%s/s) corpus=%d (+%d) %s findings=%d", time.Since(c.start).Seconds(),
		st.Target.Name, short(float64(st.Execs)), short(rate), st.Corpus, st.New, newest, findings)
}

// putRun stores the number of executions up to now.
func (c *campaign) putRun() error {
	if c.name == "" {
		return nil // the canary's campaign
	}
	c.mu.Lock()
	r := Run{Start: c.start, Seconds: time.Since(c.start).Seconds(), Engine: c.Engine, Tree: c.tree, Targets: map[string]Totals{}}
	for _, st := range c.states {
		t := st.Totals
		if st.running {
			t.Seconds += time.Since(st.begun).Seconds()
		}
		if t.Execs > 0 {
			r.Targets[st.Target.Name] = t
		}
	}
	c.mu.Unlock()
	return c.store.PutRun(c.name, r)
}

// short formats a number with about three digits.
func short(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2fG", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", n/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1fk", n/1e3)
	}
	return fmt.Sprintf("%.0f", n)
}
