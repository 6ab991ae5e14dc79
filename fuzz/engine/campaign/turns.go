// SPDX-License-Identifier: MIT

package campaign

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tunproof/fuzz/record"
)

const (
	mostSlice  = time.Minute     // longest turn of a target
	leastSlice = 3 * time.Second // a turn with less time left is not continued after a finding
	mostErrors = 3               // errors of an engine in a row that end the campaign
)

var (
	errTime  = errors.New("the time is up")
	errFirst = errors.New("the first finding")
)

// slice returns the length of a turn. It is the same for all turns. If AtOnce divides the
// number of targets, the last round of turns ends with the time.
func (c *campaign) slice() time.Duration {
	if c.Time == 0 {
		return mostSlice
	}
	n := time.Duration(len(c.states))
	all := c.Time * time.Duration(min(c.AtOnce, len(c.states)))
	round := mostSlice * n
	return all / n / max(1, (all+round-1)/round)
}

// turns gives each target its turns until the time is up.
func (c *campaign) turns() error {
	c.start = time.Now()
	ctx, stop := context.WithCancelCause(c.ctx)
	defer stop(nil)
	c.stop = stop
	if c.Time > 0 {
		timer := time.AfterFunc(c.Time, func() { stop(errTime) })
		defer timer.Stop()
	}
	if c.name != "" { // not for the canary
		c.resume()
	}
	slice := c.slice()
	if enough := 10 * time.Second; slice < enough {
		c.Say("each target has %.1f s, which may be too short to begin; -time %v gives each %v", slice.Seconds(), enough*time.Duration(len(c.states)), enough)
	}
	var errs []error
	fail := func(err error) {
		c.mu.Lock()
		errs = append(errs, err)
		c.mu.Unlock()
		stop(err)
	}
	var wait sync.WaitGroup
	for range min(c.AtOnce, len(c.states)) {
		wait.Go(func() {
			for ctx.Err() == nil {
				if err := c.turn(ctx, c.next(), slice); err != nil {
					fail(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wait.Wait(); close(ended) }()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := c.progress(); err != nil {
				fail(err)
			}
		case <-ended:
			return errors.Join(append(errs, c.putRun())...)
		}
	}
}

// resume reads how long earlier campaigns on the store fuzzed each target. The first turn is
// that of the target that had the least time.
func (c *campaign) resume() {
	runs, err := c.store.Runs()
	if err != nil {
		c.Say("%v", err)
	}
	for _, r := range runs {
		for _, st := range c.states {
			st.earlier += r.Targets[st.Target.Name].Seconds
		}
	}
	if len(runs) > 0 {
		least := slices.MinFunc(c.states, func(a, b *state) int { return cmp.Compare(a.earlier, b.earlier) })
		c.Say("resuming after %s, with %s: it had the least time, %.0f s", record.Count(len(runs), "campaign"), least.Target.Name, least.earlier)
	}
}

// next starts the turn of a target: the one that had the fewest, among those without one,
// and of these the one that had the least time in earlier campaigns.
func (c *campaign) next() *state {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next *state
	for _, st := range c.states {
		if !st.running && (next == nil || st.turns < next.turns || st.turns == next.turns && st.earlier < next.earlier) {
			next = st
		}
	}
	next.turns++
	next.running, next.begun, next.shownAt, next.shown = true, time.Now(), time.Now(), next.Execs
	return next
}

// turn fuzzes one target for a slice of time. After each failing input it starts the
// engine again.
func (c *campaign) turn(ctx context.Context, st *state, slice time.Duration) error {
	defer func() {
		c.mu.Lock()
		st.Seconds += time.Since(st.begun).Seconds()
		st.running = false
		c.mu.Unlock()
	}()
	name := st.Target.Name
	work := filepath.Join(c.work, name)
	for _, d := range []string{c.engine.inputs(name), c.engine.failing(name)} {
		if err := os.MkdirAll(filepath.Join(work, d), 0o755); err != nil {
			return err
		}
	}
	until := time.Now().Add(slice)
	for left := slice; ctx.Err() == nil && (left == slice || left >= leastSlice); left = time.Until(until) {
		if err := c.give(st); err != nil {
			return err
		}
		limited, cancel := context.WithDeadline(ctx, until)
		err := c.engine.run(limited, name, work, c.Workers, left, func(execs int64) {
			c.mu.Lock()
			st.Execs = st.before + execs
			c.mu.Unlock()
		})
		cancel()
		c.mu.Lock()
		st.before = st.Execs
		c.mu.Unlock()
		confirmed, e := c.judge(st)
		if e = errors.Join(e, c.take(st, true)); e != nil {
			return e
		}
		if err := c.ended(st, err, confirmed); err != nil {
			return err
		}
	}
	return nil
}

// ended judges how a run of the engine ended: with err, and with confirmed findings. It
// returns an error if the campaign must end.
func (c *campaign) ended(st *state, err error, confirmed int) error {
	name := st.Target.Name
	switch {
	case err == nil || confirmed > 0:
		st.errors = 0
		return nil
	case isFull(err):
		return fmt.Errorf("%s: the engine stopped: %w", name, err)
	}
	if st.errors++; st.errors == mostErrors {
		return fmt.Errorf("%s: the engine stopped %d times without a finding: %w", name, mostErrors, err)
	}
	c.Say("%s: the engine stopped without a finding: %v", name, err)
	return nil
}

// isFull reports whether err means that the disk is full. An engine's error is text only.
func isFull(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no space left on device")
}
