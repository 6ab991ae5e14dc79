// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"tunproof/fuzz/record"
)

// entry is one implementation in a row.
type entry struct {
	impl string
	// run does the work n times and returns how long it took, without the time to
	// prepare it.
	run func(n int) time.Duration
	// ns are the nanoseconds per operation of each round.
	ns []float64
}

// row is one measurement: the same work done by several implementations.
type row struct {
	name    string // operation and key=value pairs, as in names of benchmarks
	bytes   int    // bytes of one operation
	packets int    // packets of one operation; 1 for a checksum
	entries []*entry
}

// roundTime is how long an implementation is measured in one round.
const roundTime = 25 * time.Millisecond

// measure runs all entries of a row in alternating rounds. Each round begins with another
// entry.
func (r *row) measure(ctx context.Context, rounds int) error {
	times := make([]int, len(r.entries))
	for i, e := range r.entries {
		n, took := 1, e.run(1)
		for took < roundTime/4 {
			n *= 2
			took = e.run(n)
		}
		times[i] = max(1, int(float64(n)*float64(roundTime)/float64(took)))
	}
	for round := range rounds {
		for i := range r.entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			at := (i + round) % len(r.entries)
			e := r.entries[at]
			e.ns = append(e.ns, float64(e.run(times[at]))/float64(times[at]))
		}
	}
	return nil
}

// median returns the median of the entry's rounds, in nanoseconds.
func (e *entry) median() float64 {
	s := slices.Sorted(slices.Values(e.ns))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread returns half the distance of the quartiles, as a share of the median.
func (e *entry) spread() float64 {
	s := slices.Sorted(slices.Values(e.ns))
	return (s[len(s)*3/4] - s[len(s)/4]) / 2 / e.median()
}

// find returns the entry of an implementation, or nil.
func (r *row) find(impl string) *entry {
	for _, e := range r.entries {
		if e.impl == impl {
			return e
		}
	}
	return nil
}

// ratio returns the time of a divided by that of b, or 0 if the row lacks one of them.
func (r *row) ratio(a, b string) float64 {
	x, y := r.find(a), r.find(b)
	if x == nil || y == nil {
		return 0
	}
	return x.median() / y.median()
}

// ready is the time that two readings of the clock take.
var ready = func() time.Duration {
	best := time.Hour
	for range 1000 {
		t := time.Now()
		best = min(best, time.Since(t))
	}
	return best
}()

// timed returns an entry's run that calls load before work and measures only work.
func timed(load, work func()) func(int) time.Duration {
	return func(n int) time.Duration {
		var total time.Duration
		for range n {
			load()
			t := time.Now()
			work()
			total += time.Since(t) - ready
		}
		return total
	}
}

// whole returns an entry's run for work that needs no preparation. It measures n times work
// at once.
func whole(work func()) func(int) time.Duration {
	return func(n int) time.Duration {
		t := time.Now()
		for range n {
			work()
		}
		return time.Since(t)
	}
}

// check ends the program if something could not be measured.
func check(impl string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", impl, err)
		os.Exit(record.ExitUsage)
	}
}
