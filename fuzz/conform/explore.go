package conform

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"

	"tunproof/fuzz/law"
	"tunproof/model"
)

// Found is a violation that was found again, with the smallest input that shows it.
type Found struct {
	Violation
	Case    *pkts.Case `json:"-"`       // nil of P8, whose input Text says
	Source  string     `json:"source"`  // the case of the corpus, or the seed and the number of the input
	Count   int        `json:"count"`   // inputs that showed it
	Seconds float64    `json:"seconds"` // until the first
}

// Report is what became of an implementation.
type Report struct {
	Impl    string         `json:"impl"`
	Version string         `json:"version"`
	Inputs  map[string]int `json:"inputs"` // judged, by property; one that is not there does not apply
	Found   []Found        `json:"found"`  // in the order in which they were found
	Flaky   int            `json:"flaky"`  // that were not found again
	Seconds float64        `json:"seconds"`
}

// Of returns what was found of a property.
func (r *Report) Of(property string) (list []Found) {
	for _, f := range r.Found {
		if f.Property == property {
			list = append(list, f)
		}
	}
	return list
}

// Records are a row for each property.
func (r *Report) Records(seed uint64, tree string) (rows []record.Result) {
	for _, p := range Properties() {
		row := record.Result{Format: 1, Command: "conformance", Property: p, Method: strings.TrimSpace(r.Impl + " " + r.Version), Judge: "batch, model", Count: r.Inputs[p], Unit: "inputs", Seed: seed,
			Seconds: r.Seconds, Result: record.Holds, Tree: tree, Env: record.Here()}
		switch list := r.Of(p); {
		case r.Inputs[p] == 0:
			row.Result, row.Detail = record.NotRun, "not applicable"
		case len(list) > 0:
			row.Result, row.Detail = record.Violated, fmt.Sprintf("%d ways, the first: %s", len(list), list[0].What)
		}
		rows = append(rows, row)
	}
	return rows
}

// Options say what is tried.
type Options struct {
	Corpus bool          // the cases of the corpus
	Seed   uint64        // of the generators; 0 for none of generated input
	Checks int           // inputs that are generated, of batches and of superpackets each; 0 for as many as there is time
	Time   time.Duration // of all; 0 for no limit, if Checks are given
	Say    func(format string, args ...any)
	// Minimise is the time that may be spent on finding a smaller input for a violation,
	// 0 for 5 seconds. It changes the case that is shown, not what is found.
	Minimise time.Duration
	Enough   func(Found) bool // asked of each violation that is found: ends the exploration; nil for never
}

// explorer is one exploration.
type explorer struct {
	impl  Impl
	opt   Options
	r     *Report
	start time.Time
	ctx   context.Context
	end   func() // of the exploration
}

// Explore looks for all that an implementation does wrong. It ends early with the
// context, which is no error.
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

// random draws batches and superpackets by turns, the same for every implementation
// that does both.
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

// try judges a scenario, and of what is new keeps the smallest input.
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

func (e *explorer) found(s scenario.Scenario, v Violation, source string) {
	if at := slices.IndexFunc(e.r.Found, func(f Found) bool { return f.Key() == v.Key() }); at >= 0 {
		e.r.Found[at].Count++
		return
	}
	after := time.Since(e.start).Seconds()
	again := func(s *scenario.Scenario) *Violation {
		list, _ := e.impl.Judge(s)
		for _, w := range list {
			if w.Key() == v.Key() {
				return &w
			}
		}
		return nil
	}
	for range 3 {
		if again(&s) == nil {
			e.r.Flaky++
			return
		}
	}
	until := time.Now().Add(cmp.Or(e.opt.Minimise, 5*time.Second))
	small := scenario.Minimise(scenario.Scenario{Batches: s.Batches, Supers: s.Supers}, func(s *scenario.Scenario) bool {
		return time.Now().Before(until) && again(s) != nil
	})
	if w := again(&small); w != nil {
		v = *w
	}
	c := caseOf(small, v, "tunproof conformance of "+e.impl.Name+", "+source)
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

// Run judges an implementation in a test: by the cases of the corpus, then by generated
// input; without options by 5,000 batches and superpackets of a seed that it shows. Each
// property is a subtest, which shows what is violated, and a case that tunproof replay
// reads.
func Run(t *testing.T, impl Impl, opt Options) {
	t.Helper()
	if opt.Seed == 0 && !opt.Corpus {
		opt = Options{Corpus: true, Seed: rand.Uint64() | 1, Checks: 5000, Say: opt.Say}
	}
	t.Logf("conformance of %s, seed %d", impl.Name, opt.Seed)
	r, err := Explore(t.Context(), impl, opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Properties() {
		t.Run(p, func(t *testing.T) {
			if r.Inputs[p] == 0 {
				t.Skipf("%s does not do this", impl.Name)
			}
			for _, f := range r.Of(p) {
				t.Errorf("%v\n%d inputs show it, the first %s", f.Violation, f.Count, f.Source)
				if f.Case != nil {
					t.Logf("the case:\n%s", pkts.Format(f.Case))
				}
			}
		})
	}
}
