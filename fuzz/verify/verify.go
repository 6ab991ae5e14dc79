// Package verify runs everything once: the corpus, the captures, each property, the
// small scopes, this machine's kernel, each fuzz target.
package verify

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
	"tunproof/corpus"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/kernel"
	"tunproof/fuzz/law"
	"tunproof/fuzz/law/exhaustive"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"
)

// Run is one run. Its records are those of every part.
type Run struct {
	record.Collector
	Seed   uint64
	Checks int           // scenarios of each property
	Execs  int           // executions of each fuzz target, 0 for none
	Cache  string        // where fuzz targets keep what they found, "" to start afresh
	Live   time.Duration // for asking the kernel, 0 for not asking
	// Kernel asks this machine's kernel, in a process that may enter namespaces of its
	// own, and returns the records.
	Kernel func(r *Run) ([]record.Result, error)

	captures []captureRow
	tally    *law.Tally // of the generated scenarios
	executed *law.Tally // of what the fuzzing engine executed
	native   *nativeBinary
}

// captureRow is how a capture coalesces.
type captureRow struct {
	name    string
	packets int
	mean    []float64 // segments per superpacket, by mode
}

// All runs all parts; the fuzz targets are compiled while the others run.
func (v *Run) All() error {
	v.tally, v.executed = law.NewTally(), law.NewTally()
	v.native = startNative(v.Ctx, v.Root, v.Cache, v.Execs > 0 && v.anyFuzz())
	defer v.native.close()
	parts := []func() error{v.cases, v.capturesPart, v.properties, v.sums, v.allocations, v.exhaustive, v.live, v.fuzz, v.mutants}
	for _, part := range parts {
		if v.Ctx.Err() != nil {
			break // the table shows what ran
		}
		if err := part(); err != nil {
			return err
		}
	}
	if v.Ctx.Err() != nil {
		v.NotRun("all", "the rest", "", "interrupted")
	}
	return nil
}

// cases runs the corpus.
func (v *Run) cases() error {
	if !v.Wanted("cases", "corpus") {
		return nil
	}
	list, err := corpus.Cases()
	if err != nil {
		return err
	}
	v.Say("corpus: %d cases", len(list))
	start := time.Now()
	var failed error
	n := 0
	for _, c := range list {
		if v.Ctx.Err() != nil {
			break
		}
		n++
		if err := law.Case(c.Case, nil); err != nil {
			failed = fmt.Errorf("%s: %w", c.ID, err)
			break
		}
	}
	v.Add(record.Result{Property: "cases", Method: "corpus", Judge: "stated, model", Count: n, Unit: "cases"}, start, failed)
	return nil
}

// capturesPart runs the captures through every property in every mode.
func (v *Run) capturesPart() error {
	list, err := corpus.Captures()
	if err != nil {
		return err
	}
	v.Say("captures: %d, in %d modes", len(list), len(law.Modes))
	type run struct {
		s    scenario.Scenario
		name string
	}
	var runs []run
	packets := 0
	for _, c := range list {
		list, _, err := pcap.ReadAll(bytes.NewReader(c.Pcap))
		if err != nil {
			return fmt.Errorf("capture %s: %w", c.Name, err)
		}
		row := captureRow{name: c.Name, packets: len(list)}
		for _, m := range law.Modes {
			s := law.Capture(list, 64, m.Config)
			runs = append(runs, run{s, c.Name + ", " + m.Name})
			row.mean = append(row.mean, law.MeanSegments(&s))
			packets += len(list)
		}
		v.captures = append(v.captures, row)
	}
	for _, p := range law.Properties {
		if !p.Batches || !v.Wanted(p.ID, "captures") {
			continue
		}
		start := time.Now()
		var failed error
		for _, r := range runs {
			if v.Ctx.Err() != nil {
				return nil
			}
			if err := p.Check(&r.s, nil); err != nil {
				failed = fmt.Errorf("%s: %w", r.name, err)
				break
			}
		}
		v.Add(record.Result{Property: p.ID, Method: "captures", Judge: p.Judge, Count: packets, Unit: "packets"}, start, failed)
	}
	return nil
}

// properties runs each property on generated scenarios, as many side by side as there
// are cores. Each draws scenarios of its own.
func (v *Run) properties() error {
	type outcome struct {
		start time.Time
		n     int
		found *draw.Finding
		tally *law.Tally
	}
	list := slices.DeleteFunc(slices.Clone(law.Properties), func(p law.Property) bool { return !v.Wanted(p.ID, "rapid") })
	outcomes := make([]outcome, len(list))
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for i, p := range list {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			o := &outcomes[i]
			o.start, o.tally = time.Now(), law.NewTally()
			source := draw.NewSource(draw.Kinds{Batches: p.Batches, Supers: p.Supers}, record.Seed(v.Seed, p.ID+" rapid", 0))
			o.n, o.found = draw.Check(v.Ctx, source, v.Checks, func(s *scenario.Scenario, small bool) error {
				t := o.tally
				if small {
					t = nil
				}
				return law.Attempt(func() error { return p.Check(s, t) })
			})
		})
		v.Say("%s %s: %d scenarios", p.ID, p.Name, v.Checks)
	}
	all.Wait()
	for i, p := range list {
		o := outcomes[i]
		v.tally.Add(o.tally)
		var failed error
		if o.found != nil {
			failed = o.found.Err
			law.PrintCases(v.Progress, o.found.Scenario, p.Law, fmt.Sprintf("verify -seed %d, property %s", v.Seed, p.ID))
		}
		v.Add(record.Result{Property: p.ID, Method: "rapid", Judge: p.Judge, Count: o.n, Unit: "scenarios", Seed: v.Seed}, o.start, failed)
	}
	return nil
}

// sums is P8 over lengths and alignments.
func (v *Run) sums() error {
	if !v.Wanted("P8", "every length") {
		return nil
	}
	start := time.Now()
	r := rand.New(rand.NewPCG(record.Seed(v.Seed, "P8 every length", 0), 0))
	n, err := law.Sums(2048, func(int) byte { return byte(r.Uint32()) })
	v.Add(record.Result{Property: "P8", Method: "every length", Judge: "model", Count: n, Unit: "sums", Seed: v.Seed}, start, err)
	return nil
}

// exhaustive is P10 in the scope that takes seconds; tunproof exhaustive has more.
func (v *Run) exhaustive() error {
	x := &exhaustive.Job{Collector: v.Collector}
	x.Rows = nil
	err := x.Run(exhaustive.Quick())
	v.Rows = append(v.Rows, x.Rows...)
	return err
}

// mutants shows what docs/mutation has, which takes an hour to make.
func (v *Run) mutants() error {
	tree, _ := record.Current()
	for _, suite := range slices.Sorted(maps.Keys(mutants.Suites)) {
		if v.Root == "" {
			v.NotRun("mutants", mutants.Suites[suite], "harness", "not in a checkout of tunproof")
			continue
		}
		r, err := mutants.ReadResults(mutants.ResultsFile(v.Root, suite))
		switch {
		case err != nil:
			return err
		case r.Lines == nil:
			v.NotRun("mutants", mutants.Suites[suite], "harness", "there are no results")
		case r.Tree != tree:
			v.NotRun("mutants", mutants.Suites[suite], "harness", fmt.Sprintf("the results are of tree %s, this is %s; there %d %s", r.Tree, tree, r.Result.Count, r.Unit))
		case v.Wanted("mutants", mutants.Suites[suite]):
			v.Rows = append(v.Rows, r.Result)
		}
	}
	return nil
}

// live asks the kernel, in a process of its own, which is put into namespaces.
func (v *Run) live() error {
	if !slices.ContainsFunc(kernel.Rows(), v.Only.MatchString) {
		return nil
	}
	if v.Live == 0 {
		for _, k := range record.IDs(record.OfKind(record.Kernel)) {
			v.NotRun(k, "live", "kernel", "-live 0")
		}
		return nil
	}
	rows, err := v.Kernel(v)
	v.Rows = append(v.Rows, rows...)
	return err
}

// Print writes the table, and what the inputs met, for people.
func (v *Run) Print(out io.Writer) {
	v.Table(out)
	if len(v.captures) > 0 {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out)
		fmt.Fprint(w, "PACKETS PER SUPERPACKET\tPACKETS")
		for _, m := range law.Modes {
			fmt.Fprintf(w, "\t%s", strings.ToUpper(m.Name))
		}
		fmt.Fprintln(w)
		for _, c := range v.captures {
			fmt.Fprintf(w, "%s\t%d", c.name, c.packets)
			for _, m := range c.mean {
				fmt.Fprintf(w, "\t%.1f", m)
			}
			fmt.Fprintln(w)
		}
		w.Flush()
	}
	reached(out, fmt.Sprintf("Generated: %d batches of two packets and more", v.tally.Batches), v.tally)
	reached(out, fmt.Sprintf("Executed by the fuzzing engine: %d batches of two packets and more", v.executed.Batches), v.executed)
	fmt.Fprintln(out)
}

// reached writes what inputs met.
func reached(out io.Writer, what string, t *law.Tally) {
	if t.Batches > 0 {
		fmt.Fprintf(out, "\n%s, %.0f %% merge something; %d superpackets accepted\nReasons: %s\nRefusals: %s\n", what,
			100*float64(t.Merged)/float64(t.Batches), t.Accepted, counts(t.Reasons), counts(t.Refusals))
	}
}

func counts(m map[string]int) string {
	var list []string
	for k, n := range m {
		list = append(list, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
