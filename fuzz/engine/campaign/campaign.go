// Package campaign fuzzes for long: target after target by an engine that is there, Go's
// own or libFuzzer, from inputs that a directory keeps, and with findings that are
// confirmed, minimised and told apart.
package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"

	"tunproof/fuzz/engine/targets"
)

// Config says what to fuzz, and how.
type Config struct {
	Root    string // of the checkout
	Dir     string // of the Store
	Engine  string // "native" or "libfuzzer"
	Targets []targets.Target
	Time    time.Duration // of fuzzing; 0 is until the context ends
	AtOnce  int           // targets
	Workers int           // processes of each
	Empty   bool          // no seeds
	Blind   bool          // no canary
	First   bool          // stop at the first finding
	Plant   *mutants.Bug  // fuzz with a bug, which is not kept apart from others' findings
	Limits  serve.Limits
	Say     func(format string, args ...any)
}

// Finding is a violation that was confirmed.
type Finding struct {
	Target  targets.Target
	Outcome serve.Outcome
	File    string // where it is kept
	New     bool   // not kept by a campaign before
	After   time.Duration
}

// Result is what came of one target.
type Result struct {
	Target targets.Target
	Totals
	Corpus   int // inputs that are kept
	Findings []Finding
}

// Summary is what came of a campaign.
type Summary struct {
	Results []Result
	Canary  string        // the bug that was planted first, "" if none was
	After   time.Duration // until it was found, 0 if it was not: the campaign is blind
	Flaky   int           // inputs that failed once and not again
	Seconds float64       // of fuzzing
}

const (
	interval   = 10 * time.Second // after which progress is shown, and what was found is kept
	mostSlice  = time.Minute      // of a target before the next one's turn
	canaryTime = time.Minute
	canaryBug  = "short-packet-does-not-close"
	canaryOf   = "Agree"
	leastSlice = 3 * time.Second // to go on after a finding
	mostErrors = 3               // of an engine in a row
)

// campaign is one that runs.
type campaign struct {
	Config
	ctx    context.Context // ends when the user wants it
	store  Store
	engine engine
	plain  string // executes inputs
	work   string
	name   string // of the work directory
	tree   string
	start  time.Time

	mu     sync.Mutex // of what follows, and of states
	states []*state
	others []*state // of findings that were recovered, and are of no target that runs
	said   string   // what was left out
	flaky  int
	stop   context.CancelCauseFunc
}

// state is where a target is.
type state struct {
	Result
	running bool
	before  int64           // executions of slices that ended
	told    int64           // executions when they were shown last
	at      time.Time       // of that
	begun   time.Time       // the slice
	newest  time.Time       // when an input was kept last
	given   map[string]bool // files of the store that the engine has
	seeded  bool            // it has the seeds
	taken   map[string]bool // the engine's files that are in the store
	errors  int             // of the engine in a row
	syncing sync.Mutex
}

func newState(t targets.Target) *state {
	return &state{Result: Result{Target: t}, given: map[string]bool{}, taken: map[string]bool{}}
}

var (
	errTime  = errors.New("the time is up")
	errFirst = errors.New("the first finding")
)

// Fuzz runs a campaign. It ends with its time or its context, neither of which is an
// error.
func Fuzz(ctx context.Context, config Config) (*Summary, error) {
	c := &campaign{Config: config, ctx: ctx, store: Store{config.Dir}}
	c.tree, _ = record.Tree(c.Root)
	dir, err := os.MkdirTemp("", "tunproof-fuzz-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := c.build(&programs{root: c.Root, dir: dir}, c.Plant); err != nil {
		return nil, err
	}
	lock, err := c.open()
	if err != nil {
		return nil, err
	}
	for _, t := range c.Targets {
		c.states = append(c.states, newState(t))
		c.states[len(c.states)-1].Corpus = c.store.Len(t.Name)
	}
	err = c.recover()
	s := &Summary{}
	if err == nil && !c.Blind && c.Plant == nil {
		s.Canary = canaryBug
		s.After, err = c.canary()
	}
	switch {
	case c.ctx.Err() != nil && s.After == 0: // of the canary nothing is known
		s.Canary = ""
		if errors.Is(err, context.Canceled) {
			err = nil
		}
	case err == nil:
		err = c.fuzz()
		s.Seconds = time.Since(c.start).Seconds()
	}
	err = errors.Join(err, c.close(lock, err == nil))
	for _, st := range append(c.states, c.others...) {
		st.Corpus = c.store.Len(st.Target.Name)
		s.Results = append(s.Results, st.Result)
	}
	s.Flaky = c.flaky
	return s, err
}

// build compiles the engine and what executes inputs, with a bug if there is one.
func (c *campaign) build(p *programs, bug *mutants.Bug) error {
	if bug != nil {
		if err := p.plant(*bug); err != nil {
			return err
		}
	}
	var program string
	var err error
	switch c.Engine {
	case "native":
		program, err = p.native(c.ctx)
		c.engine = native{program, c.Limits}
	case "libfuzzer":
		program, err = p.libfuzzer(c.ctx)
		c.engine = libfuzzer{program, c.Limits}
	default:
		err = fmt.Errorf("no engine %q", c.Engine)
	}
	if err == nil {
		c.plain, err = p.plain(c.ctx)
	}
	return err
}

// open makes the work directory, which is this process's as long as it runs.
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

// close gives the work directory up, and removes it if all that was found is kept: else
// the next campaign goes on with what is there.
func (c *campaign) close(lock *os.File, whole bool) error {
	return c.store.locked(func() error { // nobody else takes it meanwhile
		err := lock.Close()
		if whole {
			err = errors.Join(err, os.RemoveAll(c.work))
		}
		return err
	})
}

// recover keeps what campaigns left that were killed.
func (c *campaign) recover() error {
	dirs, err := os.ReadDir(filepath.Join(c.Dir, "work"))
	if err != nil {
		return err
	}
	for _, e := range dirs {
		dir := filepath.Join(c.Dir, "work", e.Name())
		if dir == c.work || !e.IsDir() {
			continue
		}
		var lock *os.File
		var ours bool
		err := c.store.locked(func() (err error) {
			if lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
				ours, err = lockFile(lock, false)
			}
			return err
		})
		whole := false
		if err == nil && ours {
			err = c.recoverFrom(dir)
			whole = err == nil
		}
		if lock != nil {
			err = errors.Join(err, lock.Close())
		}
		if whole {
			err = os.RemoveAll(dir)
		}
		switch {
		case isFull(err):
			return err
		case err != nil && !errors.Is(err, os.ErrNotExist): // another campaign was faster
			c.Say("left as it is: %s: %v", dir, err)
		}
	}
	return nil
}

func (c *campaign) recoverFrom(dir string) error {
	name, err := os.ReadFile(filepath.Join(dir, "engine"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // killed before it began
	} else if err != nil {
		return err
	}
	old := &campaign{Config: c.Config, ctx: c.ctx, store: c.store, plain: c.plain, work: dir, tree: c.tree, start: time.Now(), engine: native{}}
	if string(name) == "libfuzzer" {
		old.engine = libfuzzer{}
	}
	inputs, findings := 0, 0
	for _, t := range targets.All() {
		if _, err := os.Stat(filepath.Join(dir, t.Name)); err != nil {
			continue
		}
		st := newState(t)
		if err := old.take(st, true); err != nil {
			return err
		}
		found, err := old.judge(st)
		if err != nil {
			return err
		}
		inputs, findings = inputs+st.New, findings+found
		mine := slices.IndexFunc(c.states, func(s *state) bool { return s.Target.Name == t.Name })
		if mine >= 0 {
			c.states[mine].Findings = append(c.states[mine].Findings, st.Findings...)
		} else if st.Findings != nil {
			c.others = append(c.others, st)
		}
	}
	c.flaky += old.flaky
	c.Say("a campaign ended without its end (%s): %d inputs that it had not kept yet, %d failing", filepath.Base(dir), inputs, findings)
	return nil
}

// canary finds a bug that is planted, from nothing, as any finding is found; it returns
// after how long, 0 for not.
func (c *campaign) canary() (time.Duration, error) {
	bugs := mutants.Bugs()
	at := slices.IndexFunc(bugs, func(b mutants.Bug) bool { return b.Name == canaryBug })
	t, ok := targets.Named(canaryOf)
	if at < 0 || !ok {
		return 0, fmt.Errorf("the canary: no planted bug %s, or no target %s", canaryBug, canaryOf)
	}
	dir, err := os.MkdirTemp("", "tunproof-canary-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	d := &campaign{Config: c.Config, ctx: c.ctx, store: Store{filepath.Join(dir, "store")}, work: filepath.Join(dir, "work"), tree: c.tree}
	d.Time, d.First, d.Empty, d.AtOnce, d.Targets = canaryTime, true, true, 1, []targets.Target{t}
	d.Say = func(string, ...any) {}
	if err := d.build(&programs{root: c.Root, dir: dir}, &bugs[at]); err != nil {
		return 0, fmt.Errorf("the canary: %w", err)
	}
	d.states = []*state{newState(t)}
	c.Say("canary: %s is planted, and must be found within %v", canaryBug, canaryTime)
	if err := d.fuzz(); err != nil {
		return 0, fmt.Errorf("the canary: %w", err)
	}
	if found := d.states[0].Findings; len(found) > 0 {
		c.Say("canary: found after %.1f s: %s", found[0].After.Seconds(), found[0].Outcome.Key())
		return found[0].After, nil
	}
	if c.ctx.Err() == nil {
		c.Say("canary: NOT FOUND in %v: this campaign is blind", canaryTime)
	}
	return 0, nil
}

// fuzz gives each target its turns until the time is up.
func (c *campaign) fuzz() error {
	c.start = time.Now()
	ctx, stop := context.WithCancelCause(c.ctx)
	defer stop(nil)
	c.stop = stop
	if c.Time > 0 {
		timer := time.AfterFunc(c.Time, func() { stop(errTime) })
		defer timer.Stop()
	}
	slice := mostSlice
	if c.Time > 0 {
		all := c.Time * time.Duration(min(c.AtOnce, len(c.states)))
		round := mostSlice * time.Duration(len(c.states))
		slice = all / time.Duration(len(c.states)) / max(1, (all+round-1)/round)
	}
	idle := make(chan *state, len(c.states)) // none has two turns at once
	for _, st := range c.states {
		idle <- st
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
				st := <-idle
				if err := c.turn(ctx, st, slice); err != nil {
					fail(err)
				}
				idle <- st
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

// turn fuzzes one target for a slice of time, again after each input that fails.
func (c *campaign) turn(ctx context.Context, st *state, slice time.Duration) error {
	name := st.Target.Name
	work := filepath.Join(c.work, name)
	for _, d := range []string{c.engine.inputs(name), c.engine.failing(name)} {
		if err := os.MkdirAll(filepath.Join(work, d), 0o755); err != nil {
			return err
		}
	}
	c.mu.Lock()
	st.running, st.begun, st.at, st.told = true, time.Now(), time.Now(), st.Execs
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		st.Seconds += time.Since(st.begun).Seconds()
		st.running = false
		c.mu.Unlock()
	}()
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
		st.before = st.Execs
		found, e := c.judge(st) // confirmed
		if e = errors.Join(e, c.take(st, true)); e != nil {
			return e
		}
		switch {
		case err == nil || found > 0:
			st.errors = 0
		case isFull(err):
			return fmt.Errorf("%s: the engine ended: %w", name, err)
		default:
			if st.errors++; st.errors == mostErrors {
				return fmt.Errorf("%s: the engine ended %d times without a finding: %w", name, mostErrors, err)
			}
			c.Say("%s: the engine ended without a finding: %v", name, err)
		}
	}
	return nil
}

// isFull says whether the disk is full, to an engine or to us.
func isFull(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no space left on device")
}

// givenPrefix begins the names of files that an engine did not make.
const givenPrefix = "given-"

// give writes what is kept, and the seeds, where the engine reads it.
func (c *campaign) give(st *state) error {
	st.syncing.Lock()
	defer st.syncing.Unlock()
	name := st.Target.Name
	dir := filepath.Join(c.work, name, c.engine.inputs(name))
	inputs, err := c.store.Inputs(name, st.given)
	if err != nil && c.said != err.Error() {
		c.said = err.Error()
		c.Say("left out: %v", err)
	}
	if !c.Empty && !st.seeded {
		list, err := st.Target.Seeds()
		if err != nil {
			return err
		}
		for _, b := range list {
			inputs["seed-"+hash(b)] = b
		}
		st.seeded = true
	}
	for _, file := range slices.Sorted(maps.Keys(inputs)) {
		st.given[file] = true
		if err := write(filepath.Join(dir, givenPrefix+file), c.engine.format(inputs[file])); err != nil {
			return err
		}
	}
	return nil
}

// take keeps what the engine found; a file that it may be writing yet only at the end.
func (c *campaign) take(st *state, end bool) error {
	st.syncing.Lock()
	defer st.syncing.Unlock()
	name := st.Target.Name
	dir := filepath.Join(c.work, name, c.engine.inputs(name))
	list, err := entries(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if st.taken[e.Name()] || strings.HasPrefix(e.Name(), givenPrefix) || strings.HasSuffix(e.Name(), ".new") {
			continue
		}
		info, err := e.Info()
		if err != nil || !end && time.Since(info.ModTime()) < time.Second {
			continue // gone, or for the next time
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		st.taken[e.Name()] = true
		b, err := c.engine.parse(text)
		if err != nil {
			continue // cut, by an engine that was killed
		}
		file, added, err := c.store.Add(st.Target, b)
		if err != nil {
			return err
		}
		st.given[file] = true
		if added {
			c.mu.Lock()
			st.New++
			st.Corpus++
			st.newest = time.Now()
			c.mu.Unlock()
		}
	}
	return nil
}

// progress shows the targets that run and keeps what was found.
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
		c.mu.Lock()
		rate := float64(st.Execs-st.told) / time.Since(st.at).Seconds()
		st.told, st.at = st.Execs, time.Now()
		newest := "none new"
		if !st.newest.IsZero() {
			newest = fmt.Sprintf("new %.0fs ago", time.Since(st.newest).Seconds())
		}
		findings := 0
		for _, s := range c.states {
			findings += len(s.Findings)
		}
		line := fmt.Sprintf("t=%.0fs target=%s execs=%s (%s/s) corpus=%d (+%d) %s findings=%d", time.Since(c.start).Seconds(),
			st.Target.Name, short(float64(st.Execs)), short(rate), st.Corpus, st.New, newest, findings)
		c.mu.Unlock()
		c.Say("%s", line)
	}
	return c.putRun()
}

// putRun writes down what was executed until now.
func (c *campaign) putRun() error {
	if c.name == "" {
		return nil // the canary's
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

// short writes a number with three digits.
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
