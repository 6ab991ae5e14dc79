// SPDX-License-Identifier: MIT

// Package campaign runs fuzzing campaigns: an engine, Go's own or libFuzzer, fuzzes one
// target after another. Inputs are kept in a directory from one campaign to the next.
// Each input that fails is executed again, minimised and filed under its cause.
package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

// Config chooses what to fuzz, and how.
type Config struct {
	Root    string // directory of the checkout
	Dir     string // directory of the Store
	Engine  string // "native" or "libfuzzer"
	Targets []targets.Target
	Time    time.Duration // total time of fuzzing; 0 means until the context ends
	AtOnce  int           // number of targets that run at the same time
	Workers int           // number of processes of each target
	Empty   bool          // start without the seeds
	Blind   bool          // do not look for the canary first
	First   bool          // stop at the first finding
	Plant   *mutants.Bug  // bug to fuzz with; give it a Dir of its own, its findings are stored like others
	Limits  serve.Limits
	Say     func(format string, args ...any) // reports progress; called by several goroutines
}

// Finding is a confirmed violation.
type Finding struct {
	Target  targets.Target
	Outcome serve.Outcome
	File    string        // the file of the store that holds it
	New     bool          // no earlier campaign had stored it
	After   time.Duration // from the start of fuzzing until it failed first
}

// Result is the result of one target.
type Result struct {
	Target targets.Target
	Totals
	Corpus   int // number of stored inputs
	Findings []Finding
}

// Summary is the result of a campaign.
type Summary struct {
	Results []Result
	Canary  string        // name of the bug that was planted first, "" for none
	After   time.Duration // time until the canary was found; 0 if it was not: the campaign is blind
	Flaky   int           // number of inputs that failed, but not each time
	Seconds float64       // time of fuzzing
}

// campaign is a running campaign.
type campaign struct {
	Config
	ctx   context.Context // ends on the user's wish
	store Store
	build builder
	parts
	work  string // its work directory
	name  string // of the work directory
	tree  string // hash of the sources
	start time.Time

	mu     sync.Mutex // guards the fields below and, in each state, Result and those above syncing
	states []*state
	others []*state // targets that do not run but have recovered findings
	flaky  int
	stop   context.CancelCauseFunc
}

// Fuzz runs a campaign. The end of its time, or of ctx, is no error.
func Fuzz(ctx context.Context, config Config) (*Summary, error) {
	return fuzz(ctx, config, compile)
}

// fuzz is Fuzz with the engine and the program that build makes.
func fuzz(ctx context.Context, config Config, build builder) (*Summary, error) {
	c := &campaign{Config: config, ctx: ctx, store: Store{config.Dir}, build: build}
	c.tree, _ = record.Tree(c.Root)
	dir, err := os.MkdirTemp("", "tunproof-fuzz-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if c.parts, err = build(ctx, config, dir); err != nil {
		return nil, err
	}
	lock, err := c.open()
	if err != nil {
		return nil, err
	}
	for _, t := range c.Targets {
		c.states = append(c.states, newState(t))
	}
	s := &Summary{}
	err = c.phases(s)
	err = errors.Join(err, c.release(lock, c.work, err == nil)) // after an error the next campaign recovers it
	for _, st := range append(c.states, c.others...) {
		st.Corpus = c.store.Len(st.Target.Name)
		s.Results = append(s.Results, st.Result)
	}
	s.Flaky = c.flaky
	return s, err
}

// phases recovers what killed campaigns left, looks for the canary, and fuzzes.
func (c *campaign) phases(s *Summary) error {
	err := c.recover()
	for _, st := range c.states {
		st.Corpus = c.store.Len(st.Target.Name)
	}
	if err == nil && !c.Blind && c.Plant == nil {
		s.Canary = canaryBug
		s.After, err = c.canary()
	}
	if c.ctx.Err() != nil && s.After == 0 { // too early to know whether the canary is found
		s.Canary = ""
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	err = c.turns()
	s.Seconds = time.Since(c.start).Seconds()
	return err
}

// open makes the work directory and locks it for as long as this process runs.
func (c *campaign) open() (lock *os.File, err error) {
	c.name = fmt.Sprintf("%s-%08x", time.Now().UTC().Format("20060102T150405"), rand.Uint32())
	c.work = filepath.Join(c.Dir, "work", c.name)
	err = c.store.locked(func() error {
		if err := os.MkdirAll(c.work, 0o755); err != nil {
			return err
		}
		if err := write(filepath.Join(c.work, "engine"), []byte(c.Engine)); err != nil {
			return err
		}
		if lock, err = os.Create(filepath.Join(c.work, "lock")); err != nil {
			return err
		}
		_, err := lockFile(lock, false)
		return err
	})
	return lock, err
}

// release unlocks a work directory, and removes it if everything in it is stored.
func (c *campaign) release(lock *os.File, work string, stored bool) error {
	return c.store.locked(func() error { // so that no other campaign takes it in between
		err := lock.Close()
		if stored {
			err = errors.Join(err, os.RemoveAll(work))
		}
		return err
	})
}
