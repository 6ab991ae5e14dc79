// SPDX-License-Identifier: MIT

package conform

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"
	"tunproof/model"
)

// Found is a violation that was reproduced, with the smallest input that shows it.
type Found struct {
	Violation
	Case    *pkts.Case `json:"-"`       // nil for P8: Text has the input
	Source  string     `json:"source"`  // the case of the corpus, or the seed and the number of the input
	Count   int        `json:"count"`   // number of inputs that showed it
	Seconds float64    `json:"seconds"` // until the first of them
}

// Report is the result of exploring an implementation.
type Report struct {
	Impl    string         `json:"impl"`
	Version string         `json:"version"`
	Inputs  map[string]int `json:"inputs"` // number of judged inputs, by property; 0 if the property does not apply
	Found   []Found        `json:"found"`  // in the order in which they were found
	Flaky   int            `json:"flaky"`  // violations that were not reproduced
	Seconds float64        `json:"seconds"`
}

// Of returns the violations of a property.
func (r *Report) Of(property string) (list []Found) {
	for _, f := range r.Found {
		if f.Property == property {
			list = append(list, f)
		}
	}
	return list
}

// Records returns a result record for each property.
func (r *Report) Records(seed uint64, tree string) (rows []record.Result) {
	for _, p := range Properties() {
		row := record.Result{Format: 1, Command: "conformance", Property: p, Method: strings.TrimSpace(r.Impl + " " + r.Version), Judge: "batch, model", Count: r.Inputs[p], Unit: "inputs", Seed: seed,
			Seconds: r.Seconds, Result: record.Holds, Tree: tree, Env: record.Here()}
		switch list := r.Of(p); {
		case r.Inputs[p] == 0:
			row.Result, row.Detail = record.NotRun, "not applicable"
		case len(list) > 0:
			row.Result, row.Detail = record.Violated, fmt.Sprintf("%d ways to violate it, the first: %s", len(list), list[0].What)
		}
		rows = append(rows, row)
	}
	return rows
}

// Options are the inputs and the limits of an exploration.
type Options struct {
	Corpus bool          // try the cases of the corpus
	Seed   uint64        // seed of generated input; 0 for no generated input
	Checks int           // number of generated batches, and of superpackets; 0 for no limit but Time
	Time   time.Duration // total time; 0 for no limit, if Checks is set
	Say    func(format string, args ...any)
	// Minimise limits the time to find a smaller input for a violation; 0 is 5 seconds. It
	// changes the case that is shown, but not which violations are found.
	Minimise time.Duration
	Enough   func(Found) bool // called for each violation found; true ends the exploration; nil for never
}

// explorer is the state of one exploration.
type explorer struct {
	impl  Impl
	opt   Options
	r     *Report
	start time.Time
	ctx   context.Context
	end   func() // ends the exploration
}

// Explore looks for violations of an implementation. If the context ends, it returns what
// was found so far, without an error.
func Explore(ctx context.Context, impl Impl, opt Options) (*Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &explorer{impl: impl, opt: opt, r: &Report{Impl: impl.Name, Version: impl.Version, Inputs: map[string]int{}}, start: time.Now(), ctx: ctx, end: cancel}
	if opt.Time > 0 {
		var cancel context.CancelFunc
		e.ctx, cancel = context.WithTimeout(ctx, opt.Time)
		defer cancel()
	}
	if opt.Corpus {
		cases, err := corpus.Cases()
		if err != nil {
			return nil, err
		}
		for _, c := range cases {
			if e.ctx.Err() != nil {
				break
			}
			e.try(scenario.FromCase(c.Case), c.ID)
		}
	}
	if opt.Seed != 0 {
		if impl.Sum != nil {
			e.sums()
		}
		e.random()
	}
	e.r.Seconds = time.Since(e.start).Seconds()
	return e.r, nil
}

// random draws batches and superpackets in turn. They are the same for every
// implementation that does both.
func (e *explorer) random() {
	kinds := draw.Kinds{Batches: e.impl.NewCoalescer != nil, Supers: e.impl.NewSegmenter != nil}
	n := e.opt.Checks // of each kind
	if kinds.Batches && kinds.Supers {
		n *= 2
	}
	if !kinds.Batches && !kinds.Supers {
		return
	}
	source := draw.NewSource(kinds, record.Seed(e.opt.Seed, "conformance", 0))
	for i := 0; e.ctx.Err() == nil && (n == 0 || i < n); i++ {
		e.try(source.Draw(i), fmt.Sprintf("seed %d, input %d", e.opt.Seed, i))
	}
}

// try judges a scenario and adds its violations to the report.
func (e *explorer) try(s scenario.Scenario, source string) {
	list, asked := e.impl.Judge(&s)
	for _, p := range asked {
		e.r.Inputs[p]++
	}
	seen := map[string]bool{}
	for _, v := range list {
		if key := v.Key(); !seen[key] {
			seen[key] = true
			e.found(s, v, source)
		}
	}
}

// found counts a violation. A new one is reproduced, minimised and added to the report.
func (e *explorer) found(s scenario.Scenario, v Violation, source string) {
	if at := slices.IndexFunc(e.r.Found, func(f Found) bool { return f.Key() == v.Key() }); at >= 0 {
		e.r.Found[at].Count++
		return
	}
	after := time.Since(e.start).Seconds()
	for range 3 {
		if e.impl.violates(&s, v) == nil {
			e.r.Flaky++
			return
		}
	}
	small, v := e.impl.minimised(scenario.Scenario{Batches: s.Batches, Supers: s.Supers}, v, cmp.Or(e.opt.Minimise, 5*time.Second))
	c := caseOf(small, v, scenario.OfAnother+e.impl.Name+", "+source)
	_ = law.Attempt(func() error { law.Expect(c); return nil })
	e.r.Found = append(e.r.Found, Found{Violation: v, Case: c, Source: source, Count: 1, Seconds: after})
	if e.opt.Say != nil {
		e.opt.Say("%s, %.1f s, %s: %v", e.impl.Name, after, source, v)
	}
	if e.opt.Enough != nil && e.opt.Enough(e.r.Found[len(e.r.Found)-1]) {
		e.end()
	}
}

// sums compares checksums with the model's.
func (e *explorer) sums() {
	r := rand.New(rand.NewPCG(e.opt.Seed, 8))
	for n := range 2049 {
		for range 4 {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			initial := uint16(r.Uint32())
			e.r.Inputs["P8"]++
			want := uint16(model.Sum([]byte{byte(initial >> 8), byte(initial)}, b))
			var got uint16
			list := guard("Sum", func() []Violation { got = e.impl.Sum(b, initial); return nil })
			if list == nil && got != want {
				list = []Violation{{Property: "P8", What: "another sum", Text: fmt.Sprintf("of %x and initial %#04x: %#04x, want %#04x", b, initial, got, want)}}
			}
			if list != nil {
				e.r.Found = append(e.r.Found, Found{Violation: list[0], Source: fmt.Sprintf("seed %d", e.opt.Seed), Count: 1, Seconds: time.Since(e.start).Seconds()})
				return
			}
		}
	}
}

// Run judges an implementation in a test, with the cases of the corpus, then with
// generated input. With neither Corpus nor Seed it tries the corpus, and generates input
// from a seed that it logs: 5,000 batches and as many superpackets, unless Checks or Time
// says how much. Each property is a subtest. It reports each violation with a
// case that tunproof replay reads.
func Run(t *testing.T, impl Impl, opt Options) {
	t.Helper()
	if opt.Seed == 0 && !opt.Corpus {
		opt.Corpus, opt.Seed = true, rand.Uint64()|1
		if opt.Checks == 0 && opt.Time == 0 {
			opt.Checks = 5000
		}
	}
	limit := ""
	if opt.Time > 0 {
		limit = fmt.Sprintf(", Time: time.Duration(%d)", opt.Time)
	}
	t.Logf("conformance of %s; the same again: conform.Options{Corpus: %v, Seed: %d, Checks: %d%s}", impl.Name, opt.Corpus, opt.Seed, opt.Checks, limit)
	if opt.Say == nil {
		opt.Say = t.Logf
	}
	r, err := Explore(t.Context(), impl, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Properties() {
		t.Run(p, func(t *testing.T) {
			if r.Inputs[p] == 0 {
				t.Skipf("%s has nothing that is judged by it", impl.Name)
			}
			for _, f := range r.Of(p) {
				t.Errorf("%v\nseen in %s, first %s\nits key for Impl.Known: %q", f.Violation, record.Count(f.Count, "input"), f.Source, f.Key())
				if f.Case != nil {
					t.Logf("the case:\n%s", pkts.Format(f.Case))
				}
			}
		})
	}
}

// Fuzz looks for violations of an implementation with Go's fuzzing engine, which is led by
// what of its code an input reaches: go test -fuzz of the function that calls it. The seeds
// are the cases of the corpus. A failure has a case that tunproof replay reads. Without -fuzz
// it tries the seeds, and the inputs that failed before, and shows the case of the first
// violation of each key. It passes over the violations in impl.Known.
func Fuzz(f *testing.F, impl Impl) {
	f.Helper()
	cases, err := corpus.Cases()
	if err != nil {
		f.Fatal(err)
	}
	ids := map[string]string{}
	for _, c := range cases {
		seed := scenario.Encode(scenario.FromCase(c.Case))
		ids[string(seed)] = c.ID
		f.Add(seed)
	}
	var mu sync.Mutex
	first := map[string]string{} // the test that showed a violation first, by key
	fuzzing := flag.Lookup("test.fuzz") != nil && flag.Lookup("test.fuzz").Value.String() != ""
	f.Fuzz(func(t *testing.T, b []byte) {
		s := scenario.Decode(b)
		list, _ := impl.Judge(&s)
		for _, v := range list {
			key := v.Key()
			if slices.Contains(impl.Known, key) {
				continue
			}
			mu.Lock()
			by := first[key]
			if by == "" {
				first[key] = t.Name()
			}
			mu.Unlock()
			if by != "" && !fuzzing {
				t.Errorf("%s, as %s", key, by)
				continue
			}
			small := scenario.Scenario{Batches: s.Batches, Supers: s.Supers} // the implementation has a configuration of its own
			if !fuzzing {                                                    // the engine has a way of its own
				small, v = impl.minimised(small, v, time.Second)
			}
			c := caseOf(small, v, cmp.Or(ids[string(b)], "go test -fuzz")+", "+scenario.OfAnother+impl.Name)
			_ = law.Attempt(func() error { law.Expect(c); return nil })
			t.Errorf("%v\nits key for Impl.Known: %q\nthe case:\n%s", v, key, pkts.Format(c))
		}
	})
}

// minimised returns the smallest input that it finds in a time for a violation, and how it is
// violated by that.
func (i Impl) minimised(s scenario.Scenario, v Violation, limit time.Duration) (scenario.Scenario, Violation) {
	until := time.Now().Add(limit)
	small := scenario.Minimise(s, func(s *scenario.Scenario) bool {
		return time.Now().Before(until) && i.violates(s, v) != nil
	})
	if w := i.violates(&small, v); w != nil {
		return small, *w
	}
	return s, v
}

// violates returns the violation with the key of v, or nil if the input gives none.
func (i Impl) violates(s *scenario.Scenario, v Violation) *Violation {
	list, _ := i.Judge(s)
	for _, w := range list {
		if w.Key() == v.Key() {
			return &w
		}
	}
	return nil
}
