// SPDX-License-Identifier: MIT

package campaign

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/mutants"
)

// The canary is a planted bug that a campaign must find within canaryTime, to show that
// it finds bugs at all.
const (
	canaryBug    = "short-packet-does-not-close"
	canaryTarget = "Agree"
	canaryTime   = time.Minute
)

// canary runs a campaign on the canary, without inputs to start from, in a store of its
// own. It returns the time until the bug was found, 0 if it was not.
func (c *campaign) canary() (time.Duration, error) {
	bugs := mutants.Bugs()
	at := slices.IndexFunc(bugs, func(b mutants.Bug) bool { return b.Name == canaryBug })
	t, ok := targets.Named(canaryTarget)
	if at < 0 || !ok {
		return 0, fmt.Errorf("canary: there is no planted bug %s, or no target %s", canaryBug, canaryTarget)
	}
	dir, err := os.MkdirTemp("", "tunproof-canary-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	d := &campaign{Config: c.Config, ctx: c.ctx, store: Store{filepath.Join(dir, "store")}, work: filepath.Join(dir, "work"), tree: c.tree}
	d.Time, d.First, d.Empty, d.AtOnce, d.Targets, d.Plant = canaryTime, true, true, 1, []targets.Target{t}, &bugs[at]
	d.Say = func(string, ...any) {}
	if d.parts, err = c.build(c.ctx, d.Config, dir); err != nil {
		return 0, fmt.Errorf("canary: %w", err)
	}
	d.states = []*state{newState(t)}
	c.Say("canary: the bug %s is planted and must be found within %v", canaryBug, canaryTime)
	if err := d.turns(); err != nil {
		return 0, fmt.Errorf("canary: %w", err)
	}
	if found := d.states[0].Findings; len(found) > 0 {
		c.Say("canary: found after %.1f s: %s", found[0].After.Seconds(), found[0].Outcome.Key())
		return found[0].After, nil
	}
	if c.ctx.Err() == nil {
		c.Say("canary: NOT FOUND within %v: this campaign is blind", canaryTime)
	}
	return 0, nil
}
