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

// Enumeration is one part of P10.
type Enumeration struct {
	property, method, unit, judge string
	shards, count                 int
	Workers                       int // 0 is one a core
	worker                        func() func(i int) (int, error)
	mu                            sync.Mutex
	failed                        []scenario.Scenario // which show a violation
}

// supersOf is what enumerates superpackets.
type supersOf interface {
	Shards() int
	Count() int
	Shard(i int, f func(scenario.Super) error) error
}

// AllBatches is every batch of the first letters to a size, in the modes.
func AllBatches(letters, size int, modes []law.Mode) *Enumeration {
	b := Batches{Letters: Alphabet(letters), Size: size, Modes: modes}
	return variants(fmt.Sprintf("%d letters to size %d, %d modes", letters, size, len(modes)), lettered{b})
}

// lettered gives Batches the methods that the others have.
type lettered struct{ Batches }

func (lettered) Shard(c *Checker, i int) (int, error) { return c.Shard(i) }

// batchesOf is what enumerates batches of a few packets.
type batchesOf interface {
	Shards() int
	Count() int
	NewChecker() *Checker
	Shard(*Checker, int) (int, error)
}

// variants is every batch of what enumerates them.
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

const flipsName, wordsName = "every bit, bit of two words, length of headers", "every value of each checksum"

// AllSupers is every superpacket of what enumerates them. check returns a check for
// one goroutine, which reports whether the judge was asked.
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

// found keeps the scenario that shows a violation.
func (e *Enumeration) found(s scenario.Scenario) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = append(e.failed, s)
}

// ByModel checks that production gives what the model gives.
func ByModel() func(scenario.Super) (bool, error) {
	judge := Judged()
	return func(p scenario.Super) (bool, error) { return true, judge(p) }
}

// Job runs enumerations, collects their records, and can be resumed.
type Job struct {
	record.Collector
	State string // file that keeps how far it is, "" for none

	done struct {
		Of    string           `json:"of"` // the sources, and the kernel
		Parts map[string]State `json:"parts"`
	}
}

// Run runs what is left of the enumerations.
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

// Quick are the enumerations that take seconds.
func Quick() []*Enumeration {
	return []*Enumeration{
		AllBatches(Small, 3, law.Orders()),
		variants(flipsName, Flips{Modes: law.Orders(), Word: 4}),
		AllSupers("P10", "gso_size to 16, payload to 130, options", "model", Sizes{MaxGSO: 16, MaxPayload: 130}, ByModel),
		AllSupers("P10", PairsName, "model", Pairs{}, ByModel),
	}
}

// Full are all enumerations that production and the model are compared over, with
// batches of so many letters to a size.
func Full(letters, size int) []*Enumeration {
	return []*Enumeration{
		AllBatches(letters, size, law.Orders()),
		AllBatches(Medium, 3, law.Modes),
		variants(flipsName, Flips{Modes: law.Modes, Word: 2}),
		variants(wordsName, Words{Modes: law.Orders()}),
		AllSupers("P10", SizesName, "model", AllSizes, ByModel),
		AllSupers("P10", PairsName, "model", Pairs{}, ByModel),
	}
}

// AllSizes are the sizes that SizesName names.
var AllSizes = Sizes{MaxGSO: 130, MaxPayload: 260}

// SizesName and PairsName name enumerations of superpackets.
const SizesName, PairsName = "gso_size to 130, payload to 260, options", "pairs of fields"

// enumerate runs what is left of a part.
func (r *Job) enumerate(e *Enumeration) error {
	if !r.Wanted(e.property, e.method) || r.Ctx.Err() != nil {
		return nil
	}
	key := e.property + " " + e.method
	from := r.done.Parts[key]
	r.Say("%s: %d %s, %d of them checked before", key, e.count, e.unit, from.Count)
	start, told := time.Now(), time.Now()
	var saving error
	state, failed := Run(r.Ctx, from, e.shards, e.Workers, e.worker, func(s State) {
		if time.Since(told) < 10*time.Second {
			return
		}
		told = time.Now()
		rate := float64(s.Count-from.Count) / time.Since(start).Seconds()
		r.Say("%s: %d of %d (%.0f %%), %.0f a second, %.0f s left", key, s.Count, e.count, 100*float64(s.Count)/float64(e.count), rate, float64(e.count-s.Count)/rate)
		r.done.Parts[key] = s
		saving = file.Save(r.State, r.done)
	})
	r.done.Parts[key] = state
	if err := cmp.Or(file.Save(r.State, r.done), saving); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if failed != nil && !law.IsViolation(failed) {
		return failed
	}
	for _, s := range e.failed {
		law.PrintCases(r.Progress, s, record.LawOf(e.property), "exhaustive, "+e.method)
	}
	if failed == nil && state.Next == e.shards && e.judge == "model" && state.Count != e.count {
		return fmt.Errorf("%s: %d were checked, there are %d", key, state.Count, e.count)
	}
	if failed == nil && state.Next < e.shards {
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
