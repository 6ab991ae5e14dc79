// SPDX-License-Identifier: MIT

package exhaustive

import (
	"bytes"
	"cmp"
	"fmt"
	"sync"
	"time"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// Enumeration is one scope of P10 with its judge. Several goroutines check its parts.
type Enumeration struct {
	property, method, unit, judge string
	shards, count                 int
	Workers                       int // goroutines; 0 means one for each core
	worker                        func() func(i int) (int, error)
	mu                            sync.Mutex
	failed                        []scenario.Scenario // the inputs that violate P10
}

// supersOf is a scope of superpackets: Sizes or Pairs.
type supersOf interface {
	Shards() int
	Count() int
	Shard(i int, f func(scenario.Super) error) error
}

// AllBatches returns the Enumeration of all batches of the first letters up to a size, in
// the given modes.
func AllBatches(letters, size int, modes []law.Mode) *Enumeration {
	b := Batches{Letters: Alphabet(letters), Size: size, Modes: modes}
	return variants(fmt.Sprintf("%d letters to size %d, %d modes", letters, size, len(modes)), lettered{b})
}

// lettered gives Batches the methods of batchesOf.
type lettered struct{ Batches }

// Shard checks part i and returns the number of batches checked.
func (lettered) Shard(c *Checker, i int) (int, error) { return c.Shard(i) }

// batchesOf is a scope of batches: lettered, Flips or Words.
type batchesOf interface {
	Shards() int
	Count() int
	NewChecker() *Checker
	Shard(*Checker, int) (int, error)
}

// variants returns the Enumeration of all batches of a scope.
func variants(method string, of batchesOf) *Enumeration {
	e := &Enumeration{property: "P10", method: method, unit: "batches", judge: "model", shards: of.Shards(), count: of.Count()}
	e.worker = func() func(int) (int, error) {
		c := of.NewChecker()
		return func(i int) (int, error) {
			n, err := of.Shard(c, i)
			if err != nil {
				e.found(c.Scenario())
			}
			return n, err
		}
	}
	return e
}

// flipsName and wordsName name enumerations of batches, in records.
const flipsName, wordsName = "every bit, bit of two words, length of headers", "every value of each checksum"

// AllSupers returns the Enumeration of all superpackets of a scope. Each goroutine calls
// check once and uses the function that it returns. That function checks a superpacket and
// reports whether it asked the judge. Its error is the violation.
func AllSupers(property, method, judge string, of supersOf, check func() func(scenario.Super) (bool, error)) *Enumeration {
	e := &Enumeration{property: property, method: method, unit: "combinations", judge: judge, shards: of.Shards(), count: of.Count()}
	e.worker = func() func(int) (int, error) {
		check := check()
		return func(i int) (n int, err error) {
			err = of.Shard(i, func(p scenario.Super) error {
				asked, err := check(p)
				if err != nil {
					p.Data = bytes.Clone(p.Data)
					e.found(scenario.Scenario{Supers: []scenario.Super{p}})
				} else if asked {
					n++
				}
				return err
			})
			return n, err
		}
	}
	return e
}

// found keeps a scenario that violates the property.
func (e *Enumeration) found(s scenario.Scenario) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = append(e.failed, s)
}

// ByModel returns a check for AllSupers, whose judge is the model.
func ByModel() func(scenario.Super) (bool, error) {
	judge := Judged()
	return func(p scenario.Super) (bool, error) { return true, judge(p) }
}

// Job runs enumerations and collects their records. A Job with a State file can be
// resumed.
type Job struct {
	record.Collector
	State string // the file that stores the progress, "" for none
	Every int    // N checks every N-th part only; 0 checks all

	done struct {
		Of    string           `json:"of"` // the source tree and the kernel, which identify the run
		Parts map[string]State `json:"parts"`
	}
}

// Run runs the enumerations, each from the part that an earlier run reached.
func (r *Job) Run(list []*Enumeration) error {
	tree, env := record.Current()
	r.done.Of = fmt.Sprintf("tree %s, Linux %s", tree, env.Kernel)
	r.done.Parts = map[string]State{}
	resumed, err := file.Load(r.State, &r.done, &r.done.Of)
	if err != nil {
		return err
	}
	if resumed {
		r.Say("resuming %s", r.State)
	}
	for _, e := range list {
		if err := r.enumerate(e); err != nil {
			return err
		}
	}
	return nil
}

// Quick returns enumerations with small scopes, which take a few seconds in all.
func Quick() []*Enumeration {
	return []*Enumeration{
		AllBatches(Small, 3, law.Orders()),
		variants(flipsName, Flips{Modes: law.Orders(), Word: 4}),
		AllSupers("P10", "gso_size to 16, payload to 130, options", "model", Sizes{MaxGSO: 16, MaxPayload: 130}, ByModel),
		AllSupers("P10", PairsName, "model", Pairs{}, ByModel),
	}
}

// Full returns all enumerations that compare production with the model. letters and size
// bound the batches of the first.
func Full(letters, size int) []*Enumeration {
	list := []*Enumeration{
		AllBatches(letters, size, law.Orders()),
		AllBatches(Medium, 3, law.Modes),
		variants(flipsName, Flips{Modes: law.Modes, Word: 2}),
		variants(wordsName, Words{Modes: law.Orders()}),
		AllSupers("P10", SizesName, "model", AllSizes, ByModel),
		AllSupers("P10", PairsName, "model", Pairs{}, ByModel),
	}
	for _, form := range Forms {
		list = append(list, Limits(form))
	}
	return list
}

// AllSizes is the scope that SizesName names.
var AllSizes = Sizes{MaxGSO: 130, MaxPayload: 260}

// SizesName and PairsName name enumerations of superpackets, in records.
const SizesName, PairsName = "gso_size to 130, payload to 260, options", "pairs of fields"

// enumerate checks the parts of e that no earlier run has checked, and adds a record.
func (r *Job) enumerate(e *Enumeration) error {
	if !r.Wanted(e.property, e.method) || r.Ctx.Err() != nil {
		return nil
	}
	key := e.property + " " + e.method
	from := r.done.Parts[key]
	r.Say("%s: %d %s, of which an earlier run checked %d", key, e.count, e.unit, from.Count)
	start, reported := time.Now(), time.Now()
	var saving error
	every := max(r.Every, 1)
	shards := (e.shards + every - 1) / every
	worker := func() func(int) (int, error) {
		check := e.worker()
		return func(i int) (int, error) { return check(i * every) }
	}
	state, failed := Run(r.Ctx, from, shards, e.Workers, worker, func(s State) {
		if time.Since(reported) < 10*time.Second {
			return
		}
		reported = time.Now()
		rate := float64(s.Count-from.Count) / time.Since(start).Seconds()
		r.Say("%s: %d of %d (%.0f %%), %.0f per second, %.0f s left", key, s.Count, e.count, 100*float64(s.Count)/float64(e.count), rate, float64(e.count-s.Count)/rate)
		r.done.Parts[key] = s
		saving = file.Save(r.State, r.done)
	})
	r.done.Parts[key] = state
	if err := cmp.Or(file.Save(r.State, r.done), saving); err != nil {
		return fmt.Errorf("saving the state: %w", err)
	}
	if failed != nil && !law.IsViolation(failed) {
		return failed
	}
	for _, s := range e.failed {
		law.PrintCases(r.Progress, s, record.LawOf(e.property), "exhaustive, "+e.method)
	}
	if failed == nil && state.Next == shards && every == 1 && e.judge == "model" && state.Count != e.count {
		return fmt.Errorf("%s: %d inputs were checked, want %d", key, state.Count, e.count)
	}
	if failed == nil && state.Next < shards {
		r.NotRun(e.property, e.method, e.judge, fmt.Sprintf("interrupted after %d of %d %s", state.Count, e.count, e.unit))
		return nil
	}
	if failed == nil && state.Count == 0 {
		r.NotRun(e.property, e.method, e.judge, "nothing was asked")
		return nil
	}
	if state.Count < e.count {
		e.unit = fmt.Sprintf("%s asked of %d", e.unit, e.count)
	}
	r.Add(record.Result{Property: e.property, Method: e.method, Judge: e.judge, Count: state.Count, Unit: e.unit}, start, failed)
	return nil
}
