// SPDX-License-Identifier: MIT

package exhaustive

import (
	"context"
	"runtime"
	"sync"
)

// State is the progress of a run. All parts before Next are checked; they had Count
// inputs.
type State struct {
	Next  int `json:"next"`
	Count int `json:"count"`
}

// Run checks the parts from s.Next to shards-1. It starts the given number of goroutines,
// or one for each core if workers is 0. worker is called once in each goroutine. The
// function that it returns checks part i and returns the number of inputs checked.
// saved, which may be nil, is called with each new State, by one goroutine at a time.
//
// Run ends at the first error or when the context ends. It returns the State that it
// reached, and the error.
func Run(ctx context.Context, s State, shards, workers int, worker func() func(i int) (int, error), saved func(State)) (State, error) {
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	var mu sync.Mutex
	next, counts := s.Next, map[int]int{} // counts of checked parts that still wait for an earlier part
	var failed error
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			check := worker()
			for {
				mu.Lock()
				i := next
				if i >= shards || failed != nil || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				next++
				mu.Unlock()
				n, err := check(i)
				mu.Lock()
				if err != nil {
					if failed == nil {
						failed = err
					}
					mu.Unlock()
					return
				}
				counts[i] = n
				for k, ok := counts[s.Next]; ok; k, ok = counts[s.Next] {
					delete(counts, s.Next)
					s.Next++
					s.Count += k
				}
				if saved != nil {
					saved(s)
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	return s, failed
}
