// SPDX-License-Identifier: MIT

package campaign

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tunproof/fuzz/engine/targets"
)

// recover stores what killed campaigns left in their work directories.
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
		err := c.recoverIfKilled(dir)
		switch {
		case isFull(err):
			return err
		case err != nil && !errors.Is(err, os.ErrNotExist): // that is: another campaign was faster
			c.Say("%s is left as it is: %v", dir, err)
		}
	}
	return nil
}

// recoverIfKilled recovers a work directory and removes it, unless a campaign holds its
// lock. After an error the directory stays.
func (c *campaign) recoverIfKilled(dir string) error {
	var lock *os.File
	var ours bool
	err := c.store.locked(func() (err error) {
		if lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
			ours, err = lockFile(lock, false)
		}
		return err
	})
	if lock == nil {
		return err
	}
	recovered := false
	if err == nil && ours {
		err = c.recoverFrom(dir)
		recovered = err == nil
	}
	return errors.Join(err, c.release(lock, dir, recovered))
}

// recoverFrom stores the inputs and confirms the failing inputs of a work directory.
func (c *campaign) recoverFrom(dir string) error {
	name, err := os.ReadFile(filepath.Join(dir, "engine"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // killed before the engine started
	} else if err != nil {
		return err
	}
	old := &campaign{Config: c.Config, ctx: c.ctx, store: c.store, work: dir, tree: c.tree, start: time.Now(),
		parts: parts{engine: native{}, plain: c.plain}}
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
		confirmed, err := old.judge(st)
		for _, f := range st.Findings { // also those before an error
			c.stateOf(t).found(f)
		}
		if err != nil {
			return err
		}
		inputs, findings = inputs+st.New, findings+confirmed
	}
	c.flaky += old.flaky
	c.Say("recovered a campaign that was killed (%s): %d inputs that were not stored yet, %d failing", filepath.Base(dir), inputs, findings)
	return nil
}

// stateOf returns the state of a target, which is one of others if it does not run.
func (c *campaign) stateOf(t targets.Target) *state {
	is := func(st *state) bool { return st.Target.Name == t.Name }
	for _, list := range [][]*state{c.states, c.others} {
		if at := slices.IndexFunc(list, is); at >= 0 {
			return list[at]
		}
	}
	st := newState(t)
	c.others = append(c.others, st)
	return st
}
