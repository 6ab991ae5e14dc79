package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"sync"
	"time"

	"tunproof/fuzz/exhaustive"
	"tunproof/fuzz/live"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
	"tunproof/tunlive"
)

// enumeration is one part of P10.
type enumeration struct {
	property, method, unit, judge string
	shards, count                 int
	workers                       int // 0 is one a core
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

// allBatches is every batch of the first letters to a size, in the modes.
func allBatches(letters, size int, modes []target.Mode) *enumeration {
	b := exhaustive.Batches{Letters: exhaustive.Alphabet(letters), Size: size, Modes: modes}
	return variants(fmt.Sprintf("%d letters to size %d, %d modes", letters, size, len(modes)), lettered{b})
}

// lettered makes exhaustive.Batches what the others are.
type lettered struct{ exhaustive.Batches }

func (lettered) Shard(c *exhaustive.Checker, i int) (int, error) { return c.Shard(i) }

// batchesOf is what enumerates batches of a few packets.
type batchesOf interface {
	Shards() int
	Count() int
	NewChecker() *exhaustive.Checker
	Shard(*exhaustive.Checker, int) (int, error)
}

// variants is every batch of what enumerates them.
func variants(method string, of batchesOf) *enumeration {
	e := &enumeration{property: "P10", method: method, unit: "batches", judge: "model", shards: of.Shards(), count: of.Count()}
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

// allSupers is every superpacket of what enumerates them. check returns a check for
// one goroutine, which says whether the judge was asked.
func allSupers(property, method, judge string, of supersOf, check func() func(scenario.Super) (bool, error)) *enumeration {
	e := &enumeration{property: property, method: method, unit: "combinations", judge: judge, shards: of.Shards(), count: of.Count()}
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

// found keeps what shows a violation.
func (e *enumeration) found(s scenario.Scenario) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = append(e.failed, s)
}

// byModel checks that production gives what the model gives.
func byModel() func(scenario.Super) (bool, error) {
	judge := exhaustive.Judged()
	return func(p scenario.Super) (bool, error) { return true, judge(p) }
}

// exhaustiveRun is one run of exhaustive.
type exhaustiveRun struct {
	results
	file  string // of the state
	state struct {
		Of    string                      `json:"of"` // the sources, and the kernel
		Parts map[string]exhaustive.State `json:"parts"`
	}
}

func exhaustiveCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("exhaustive", flag.ContinueOnError)
	letters := flags.Int("letters", exhaustive.Small, "letters of the alphabet of packets, at most 100")
	size := flags.Int("size", 4, "packets of the longest batch")
	kernel := flags.Bool("kernel", false, "ask this machine's kernel of every superpacket, too")
	stride := flags.Int("stride", 1, "ask the kernel of every so many superpackets only")
	list := flags.Bool("list", false, "print the alphabet, and run nothing")
	r := &exhaustiveRun{}
	flags.StringVar(&r.file, "state", "", "file that keeps how far it is, to go on from")
	var rows rowFlags
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if *letters < 1 || *letters > exhaustive.Large || *size < 2 || *size > 8 {
		return 0, fmt.Errorf("%w: -letters is from 1 to %d, -size from 2 to 8", errUsage, exhaustive.Large)
	}
	if *stride < 1 {
		return 0, fmt.Errorf("%w: -stride must be positive", errUsage)
	}
	if *list {
		for i, l := range exhaustive.Alphabet(*letters) {
			fmt.Fprintf(s.out, "%d %s\n", i+1, l.Name)
		}
		return record.ExitHolds, nil
	}
	r.results = newResults(ctx, "exhaustive", s.err, rows.only)
	parts := []*enumeration{
		allBatches(*letters, *size, target.Orders()),
		allBatches(exhaustive.Medium, 3, target.Modes),
		variants(flipsName, exhaustive.Flips{Modes: target.Modes, Word: 2}),
		variants(wordsName, exhaustive.Words{Modes: target.Orders()}),
		allSupers("P10", sizesName, "model", allSizes, byModel),
		allSupers("P10", pairsName, "model", exhaustive.Pairs{}, byModel),
	}
	if *kernel {
		more, closing, err := r.byKernel(*stride)
		if err != nil {
			return 0, err
		}
		defer closing()
		parts = append(parts, more...)
	}
	tree, env := here()
	r.state.Of = fmt.Sprintf("tree %s, Linux %s", tree, env.Kernel)
	r.state.Parts = map[string]exhaustive.State{}
	if err := r.resume(r.file, &r.state, &r.state.Of); err != nil {
		return 0, err
	}
	for _, p := range parts {
		if err := r.enumerate(p); err != nil {
			return 0, err
		}
	}
	r.stamp()
	code, verdict := r.verdict()
	if rows.asJSON {
		return code, record.Write(s.out, r.rows)
	}
	r.table(s.out)
	fmt.Fprintln(s.out, verdict)
	return code, nil
}

var allSizes = exhaustive.Sizes{MaxGSO: 130, MaxPayload: 260}

const sizesName, pairsName = "gso_size to 130, payload to 260, options", "pairs of fields"

// byKernel are the enumerations of superpackets with the kernel as judge, which is asked
// of every stride-th.
func (r *exhaustiveRun) byKernel(stride int) ([]*enumeration, func(), error) {
	if err := tunlive.Enter(); err != nil {
		return nil, nil, err
	}
	k, err := live.Open()
	if err != nil {
		return nil, nil, err
	}
	o := k.Cuts[0]
	if o.Missing != nil {
		k.Close()
		return nil, nil, o.Missing
	}
	check := func() func(scenario.Super) (bool, error) {
		var tally live.Tally
		s := scenario.Scenario{Supers: make([]scenario.Super, 1)}
		return func(p scenario.Super) (bool, error) {
			before := tally.Rounds
			s.Supers[0] = p
			err := k.Segment(o, &s, &tally)
			return tally.Rounds > before, err
		}
	}
	sizes := allSizes
	sizes.Stride = exhaustive.Stride(stride)
	list := []*enumeration{
		allSupers("K1", sizesName+", "+o.Name, "kernel", sizes, check),
		allSupers("K1", pairsName+", "+o.Name, "kernel", exhaustive.Pairs{Stride: sizes.Stride}, check),
	}
	for _, e := range list {
		e.workers = 1
	}
	return list, func() { k.Close() }, nil
}

// enumerate runs what is left of a part.
func (r *exhaustiveRun) enumerate(e *enumeration) error {
	if !r.wanted(e.property, e.method) || r.ctx.Err() != nil {
		return nil
	}
	key := e.property + " " + e.method
	from := r.state.Parts[key]
	r.say("%s: %d %s, %d of them checked before", key, e.count, e.unit, from.Count)
	start, told := time.Now(), time.Now()
	var saving error
	state, failed := exhaustive.Run(r.ctx, from, e.shards, e.workers, e.worker, func(s exhaustive.State) {
		if time.Since(told) < 10*time.Second {
			return
		}
		told = time.Now()
		rate := float64(s.Count-from.Count) / time.Since(start).Seconds()
		r.say("%s: %d of %d (%.0f %%), %.0f a second, %.0f s left", key, s.Count, e.count, 100*float64(s.Count)/float64(e.count), rate, float64(e.count-s.Count)/rate)
		r.state.Parts[key] = s
		saving = writeState(r.file, r.state)
	})
	r.state.Parts[key] = state
	if err := cmp.Or(writeState(r.file, r.state), saving); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if !isViolation(failed) {
		return failed
	}
	for _, s := range e.failed {
		r.sayCases(&finding{s, failed}, law(e.property), "exhaustive, "+e.method)
	}
	if failed == nil && state.Next == e.shards && e.judge == "model" && state.Count != e.count {
		return fmt.Errorf("%s: %d were checked, there are %d", key, state.Count, e.count)
	}
	if failed == nil && state.Next < e.shards {
		r.notRun(e.property, e.method, e.judge, fmt.Sprintf("interrupted after %d of %d %s", state.Count, e.count, e.unit))
		return nil
	}
	if failed == nil && state.Count == 0 {
		r.notRun(e.property, e.method, e.judge, "nothing was asked")
		return nil
	}
	if state.Count < e.count {
		e.unit = fmt.Sprintf("%s asked of %d", e.unit, e.count)
	}
	r.add(record.Result{Property: e.property, Method: e.method, Judge: e.judge, Count: state.Count, Unit: e.unit}, start, failed)
	return nil
}
