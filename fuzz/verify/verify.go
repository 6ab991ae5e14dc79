// Package verify runs all checks of the project once: the corpus, the captures, each
// property on random scenarios, small scopes exhaustively, this machine's kernel, and
// each fuzz target.
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

// Run is one run of all checks. Its Collector has the records of every part.
type Run struct {
	record.Collector
	Seed   uint64
	Checks int           // random scenarios for each property
	Execs  int           // executions of each fuzz target, 0 to run none
	Cache  string        // directory of the inputs that fuzz targets found, "" to start without
	Live   time.Duration // time for asking the kernel, 0 to ask nothing
	// Kernel asks this machine's kernel and returns the records. It does so in another
	// process, which can enter namespaces of its own.
	Kernel func(r *Run) ([]record.Result, error)

	captures []captureRow
	tally    *law.Tally // of the random scenarios
	executed *law.Tally // of the inputs that the fuzzing engine executed
	native   *nativeBinary
}

// captureRow is a row of the table of captures.
type captureRow struct {
	name    string
	packets int
	mean    []float64 // mean number of packets in a superpacket, by mode
}

// All runs all parts. The fuzz targets are compiled while other parts run.
func (v *Run) All() error {
	v.tally, v.executed = law.NewTally(), law.NewTally()
	v.native = startNative(v.Ctx, v.Root, v.Cache, v.Execs > 0 && v.anyFuzz())
	defer v.native.close()
	parts := []func() error{v.cases, v.captureFiles, v.properties, v.sums, v.allocations, v.exhaustive, v.live, v.fuzz, v.mutants}
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

// cases runs the cases of the corpus.
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

// captureFiles checks every property on the captures, in every mode.
func (v *Run) captureFiles() error {
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

// properties checks each property on random scenarios of its own. It runs as many
// properties at the same time as there are cores.
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

// sums checks P8 for many lengths and alignments.
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

// exhaustive checks P10 in scopes that take seconds. The command exhaustive has larger ones.
func (v *Run) exhaustive() error {
	x := &exhaustive.Job{Collector: v.Collector}
	x.Rows = nil
	err := x.Run(exhaustive.Quick())
	v.Rows = append(v.Rows, x.Rows...)
	return err
}

// mutants adds the records in docs/mutation, which take an hour to make. Records of another
// tree do not count.
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
			v.NotRun("mutants", mutants.Suites[suite], "harness", fmt.Sprintf("the results are of tree %s, this tree is %s; their result: %d %s", r.Tree, tree, r.Result.Count, r.Unit))
		case v.Wanted("mutants", mutants.Suites[suite]):
			v.Rows = append(v.Rows, r.Result)
		}
	}
	return nil
}

// live asks the kernel, by the function Kernel.
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

// Print writes for people: the table of results, the table of captures, and the outcomes
// that random and fuzzed inputs reached.
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
	reached(out, fmt.Sprintf("Random scenarios: %d batches of two or more packets", v.tally.Batches), v.tally)
	reached(out, fmt.Sprintf("Executions of the fuzzing engine: %d batches of two or more packets", v.executed.Batches), v.executed)
	fmt.Fprintln(out)
}

// reached writes the outcomes that inputs reached.
func reached(out io.Writer, what string, t *law.Tally) {
	if t.Batches > 0 {
		fmt.Fprintf(out, "\n%s, of which %.0f %% merge packets; %d superpackets accepted\nReasons: %s\nRefusals: %s\n", what,
			100*float64(t.Merged)/float64(t.Batches), t.Accepted, counts(t.Reasons), counts(t.Refusals))
	}
}

// counts returns names with their numbers, sorted by name.
func counts(m map[string]int) string {
	var list []string
	for k, n := range m {
		list = append(list, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
