package exhaustive

import (
	"context"
	"runtime"
	"sync"
)

// State is how far a run has come: everything in the parts before Next, which were
// Count inputs, was checked.
type State struct {
	Next  int `json:"next"`
	Count int `json:"count"`
}

// Run checks the parts from s.Next to shards, in order, on every core or on workers
// of them if that is not 0. worker returns a function of its own to each goroutine
// that checks one part and returns how many inputs that were. saved is called, not
// by two goroutines at once, when all parts before its State are checked.
//
// Run ends at the first error, which it returns with the state before it, or when
// the context does.
func Run(ctx context.Context, s State, shards, workers int, worker func() func(i int) (int, error), saved func(State)) (State, error) {
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	var mu sync.Mutex
	next, counts := s.Next, map[int]int{} // of parts that were checked before an earlier one
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
