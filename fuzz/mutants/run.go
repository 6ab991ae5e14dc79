// SPDX-License-Identifier: MIT

package mutants

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Verdict is the result of running the methods on a mutant.
type Verdict struct {
	Mutant
	Status  string
	Kills   []Kill
	Seconds float64
}

// The values of Status.
const (
	Killed    = "killed"
	TimedOut  = "timed out" // detected, but only because it hangs
	Survived  = "survived"
	NotViable = "does not compile"
	Same      = "same machine code" // proven equivalent by the compiler
)

// Noticed reports whether the harness detected the mutant.
func (v Verdict) Noticed() bool { return v.Status == Killed || v.Status == TimedOut }

// Beyond reports whether a method other than this one detected the mutant.
func (v Verdict) Beyond(method string) bool {
	return slices.ContainsFunc(v.Kills, func(k Kill) bool { return k.Method != method })
}

// Runner runs mutants.
type Runner struct {
	Root    string // directory of the checkout
	Methods []Method
	First   bool                                // stop at the first test program that detects a mutant other than by a case of the corpus
	State   string                              // file that keeps outcomes; "" for none
	Workers int                                 // mutants at a time; 0 for one on each core
	Done    func(n int, v Verdict, cached bool) // called for each verdict, by one goroutine at a time

	dir    string             // temporary directory
	inputs []string           // hash of each method's inputs, without the mutant
	plain  map[string]string  // hash of each test program without a mutant, by tag and method
	known  map[string]outcome // by key
	mu     sync.Mutex         // guards known and the state file
}

// Run returns a verdict for each mutant, in order. If the context ends, it returns those of
// the mutants that were run. It writes only the state file.
func (r *Runner) Run(ctx context.Context, list []Mutant) ([]Verdict, error) {
	var err error
	if r.dir, err = os.MkdirTemp("", "tunproof-mutants-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(r.dir)
	r.inputs = nil
	for _, m := range r.Methods {
		sum, err := r.hashInputs(ctx, m)
		if err != nil {
			return nil, err
		}
		r.inputs = append(r.inputs, sum)
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	verdicts := make([]Verdict, len(list))
	var todo []int
	told := 0
	for i, m := range list {
		v, done, _ := r.judge(m, func(k int, method Method) (outcome, error) {
			o, ok := r.known[r.key(m, k)]
			if !ok {
				return o, errUnknown
			}
			return o, nil
		})
		if !done {
			todo = append(todo, i)
			continue
		}
		verdicts[i] = v
		told++
		r.Done(told, v, true)
	}
	if len(todo) > 0 {
		if err := r.sound(ctx, list, todo); err != nil || ctx.Err() != nil {
			return nil, err
		}
	}
	workers := r.Workers
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var wait sync.WaitGroup
	next := 0
	for w := range workers {
		wait.Go(func() {
			for {
				mu.Lock()
				if next == len(todo) || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				i := todo[next]
				next++
				mu.Unlock()
				v, err := r.one(ctx, w, list[i])
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				if err == nil {
					verdicts[i] = v
					told++
					r.Done(told, v, false)
				} else {
					cancel(fmt.Errorf("%s: %w", list[i].ID, err))
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for k, m := range r.Methods {
		if sum, err := r.hashInputs(context.WithoutCancel(ctx), m); err == nil && sum != r.inputs[k] {
			return nil, fmt.Errorf("the sources of %s were changed during the run: remove the state file", m.Package)
		}
	}
	verdicts = slices.DeleteFunc(verdicts, func(v Verdict) bool { return v.Status == "" })
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return verdicts, err
	}
	return verdicts, nil
}

// sound runs the methods on the unchanged tree. A method that fails there would prove
// nothing, so that is an error. sound also keeps the hashes of the test programs.
func (r *Runner) sound(ctx context.Context, list []Mutant, todo []int) error {
	r.plain = map[string]string{}
	tags := map[string]bool{}
	for _, i := range todo {
		tags[list[i].Tags] = true
	}
	for tag := range tags {
		for k, m := range r.Methods {
			bin := filepath.Join(r.dir, "plain.test")
			if out, err := r.build(ctx, m, tag, "", bin); ctx.Err() != nil {
				return nil
			} else if err != nil {
				return fmt.Errorf("go test -c %s: %w\n%s", m.Package, err, out)
			}
			sum, err := hashFile(bin)
			if err != nil {
				return err
			}
			r.plain[fmt.Sprint(tag, k)] = sum
			v := m
			v.Args = append(slices.Clone(m.Args), "-test.v")
			kills, out, err := r.execute(ctx, v, bin)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil && len(kills) > 0 {
				err = fmt.Errorf("%s %s", kills[0].By, cmp.Or(kills[0].How, "fails"))
			}
			if err != nil {
				return fmt.Errorf("%s, without a mutant: %w\n%s", m.Package, err, out[max(0, len(out)-4000):])
			}
			if err := m.ran(out); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge returns the verdict for a mutant. It calls of for the outcome of each method that
// is needed. done is false if of returned an error.
func (r *Runner) judge(m Mutant, of func(k int, method Method) (outcome, error)) (v Verdict, done bool, err error) {
	v = Verdict{Mutant: m, Status: Survived}
	same := true
	for k, method := range r.Methods {
		if method.Last && v.Beyond("corpus") {
			continue
		}
		o, err := of(k, method)
		if err != nil {
			return v, false, err
		}
		v.Seconds += o.Seconds
		if o.NotViable {
			v.Status = NotViable
			return v, true, nil
		}
		same = same && o.Same
		for _, k := range o.Kills {
			if !slices.ContainsFunc(v.Kills, func(l Kill) bool { return k.Method == l.Method }) {
				v.Kills = append(v.Kills, k)
			}
		}
		if r.First && v.Beyond("corpus") {
			break
		}
	}
	switch {
	case same:
		v.Status = Same
	case onlyHangs(v.Kills):
		v.Status = TimedOut
	case len(v.Kills) > 0:
		v.Status = Killed
	}
	return v, true, nil
}

// errUnknown means that the state file has no such outcome.
var errUnknown = errors.New("not run yet")

// one returns the verdict for a mutant. It runs the methods whose outcomes are not known.
// worker is the name of a temporary directory that no other goroutine uses.
func (r *Runner) one(ctx context.Context, worker int, m Mutant) (Verdict, error) {
	dir := filepath.Join(r.dir, strconv.Itoa(worker))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Verdict{}, err
	}
	overlay, err := m.Overlay(r.Root, dir)
	if err != nil {
		return Verdict{}, err
	}
	bin := filepath.Join(dir, "mutant.test")
	v, _, err := r.judge(m, func(k int, method Method) (outcome, error) {
		key := r.key(m, k)
		r.mu.Lock()
		o, ok := r.known[key]
		r.mu.Unlock()
		if ok {
			return o, nil
		}
		o, err := r.outcome(ctx, m, k, overlay, bin)
		if err == nil && ctx.Err() == nil {
			o.Key, o.ID = key, m.ID
			err = r.keep(o)
		}
		return o, cmp.Or(err, ctx.Err())
	})
	return v, err
}

// outcome runs one method on a mutant.
func (r *Runner) outcome(ctx context.Context, m Mutant, k int, overlay, bin string) (o outcome, err error) {
	start := time.Now()
	defer func() { o.Seconds = time.Since(start).Seconds() }()
	out, err := r.build(ctx, r.Methods[k], m.Tags, overlay, bin)
	if ctx.Err() != nil {
		return o, nil
	}
	if err != nil {
		if !isExit(err) || !strings.HasPrefix(out, "# tunproof/") || !codeLine.MatchString(out) {
			return o, fmt.Errorf("go test -c %s: %w\n%s", r.Methods[k].Package, err, out)
		}
		o.NotViable = true
		return o, nil
	}
	sum, err := hashFile(bin)
	if err != nil {
		return o, err
	}
	if sum == r.plain[fmt.Sprint(m.Tags, k)] {
		o.Same = true // it cannot be detected
		return o, nil
	}
	method := r.Methods[k]
	o.Kills, _, err = r.execute(ctx, method, bin)
	if method.Confirm && len(o.Kills) > 0 && !slices.ContainsFunc(o.Kills, hung) && err == nil { // a failure that does not repeat was the machine's
		again, _, e := r.execute(ctx, method, bin)
		o.Kills = slices.DeleteFunc(o.Kills, func(k Kill) bool {
			return !slices.ContainsFunc(again, func(l Kill) bool { return k.Method == l.Method })
		})
		err = e
	}
	return o, err
}
