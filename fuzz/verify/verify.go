// SPDX-License-Identifier: MIT

// Package verify runs all checks of the project once: the corpus, the captures, each
// property on random scenarios, small scopes exhaustively, this machine's kernel, and
// each fuzz target.
package verify

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"tunproof/corpus"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/capture/trial"
	"tunproof/fuzz/kernel"
	"tunproof/fuzz/law"
	"tunproof/fuzz/law/exhaustive"
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

	every    int // exhaustive.Job.Every; tests look at a part of each scope, and at two captures
	captures []captureRow
	kept     []keptRow
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
	parts := []func() error{v.cases, v.captureFiles, v.properties, v.sums, v.judges, v.allocations, v.exhaustive, v.live, v.fuzz, v.records}
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
	if v.every > 1 {
		list = list[:2]
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

// judges puts check on trial: it must name faults that are planted in drawn captures.
func (v *Run) judges() error {
	const planted = "faults planted"
	if !v.Wanted("faults", planted) {
		return nil
	}
	start := time.Now()
	t := trial.Trial{Collector: record.Collector{Ctx: v.Ctx, Progress: io.Discard}, Seed: v.Seed, Draws: 10}
	if err := t.Run(); err != nil {
		return err
	}
	n := 0
	var failed error
	for _, r := range t.Rows {
		if n += r.Count; r.Result == record.Violated && failed == nil {
			failed = fmt.Errorf("%s: %s", r.Method, r.Detail)
		}
	}
	v.Add(record.Result{Property: "faults", Method: planted, Judge: "the fault planted", Count: n, Unit: "captures", Seed: v.Seed}, start, failed)
	return nil
}

// exhaustive checks P10 in scopes that take seconds. The command exhaustive has larger ones.
func (v *Run) exhaustive() error {
	x := &exhaustive.Job{Collector: v.Collector, Every: v.every}
	x.Rows = nil
	err := x.Run(exhaustive.Quick())
	v.Rows, v.Others = append(v.Rows, x.Rows...), x.Others
	return err
}

// recorded are the records of runs that take longer than verify, by the file that has them
// and the command that makes them.
var recorded = []struct{ name, file, command string }{
	{"planted bugs", "planted-bugs.jsonl", "make mutants"},
	{"sabotage of the harness", "harness.jsonl", "make mutants OF=harness"},
	{"mutations of offload", "offload.jsonl", "make mutants OF=offload"},
	{"mutations of the model", "model.jsonl", "make mutants OF=model"},
	{"other kernels", "matrix.jsonl", "make kernels"},
	{"other kernels, more inputs", "kernels.jsonl", "make kernels LONG=1"},
	{"larger small scopes", "exhaustive.jsonl", "make exhaustive LONG=1"},
	{"check on trial", "trial.jsonl", "make trial LONG=1"},
	{"proofs", "proofs.jsonl", "make prove"},
}

// evidenceDate finds the date in the name of a directory of evidence. Records of 0.1.0 have none.
var evidenceDate = regexp.MustCompile(`/evidence/[^/]*-(\d{4}-\d{2}-\d{2})/`)

// keptRow is a row of the table of records that earlier runs made.
type keptRow struct{ name, count, result string }

// records finds the records of longer runs, and which of them are still of this tree. One
// that is, and is violated, is a row of this run.
func (v *Run) records() error {
	if v.Root == "" {
		return nil
	}
	sources := record.NewSources(v.Root)
	tree, _ := record.Current()
	for _, k := range recorded {
		if !v.Wanted("records", k.name) {
			continue
		}
		file := record.DataFile(v.Root, k.file)
		rows, err := record.ReadFile(file)
		if err != nil {
			return err
		}
		row := keptRow{name: k.name, count: record.Count(len(rows), "row"), result: "no: none; " + k.command + " makes them"}
		if len(rows) == 1 {
			row.count = fmt.Sprintf("%d %s", rows[0].Count, rows[0].Unit)
		}
		var when, changed string // of those of this code, and of the others
		holds, current := "hold", 0
		date := evidenceDate.FindStringSubmatch(filepath.ToSlash(file))
		for _, r := range rows {
			if r.Date == "" && date != nil {
				r.Date = date[1]
			}
			of, since := r.Of(sources, tree)
			if !of {
				changed = since
				continue
			}
			when = since
			if current++; r.Result == record.Violated {
				holds = "violated"
				v.Rows = append(v.Rows, r)
			}
		}
		switch {
		case len(rows) == 0:
		case current == 0:
			row.result = "no: " + changed + "; " + k.command + " makes them again"
		case current == len(rows):
			row.result = "yes, " + holds + ": " + when
		default:
			row.result = fmt.Sprintf("%d, %s: %s; not %d: %s; %s makes them again", current, holds, when, len(rows)-current, changed, k.command)
		}
		v.kept = append(v.kept, row)
	}
	return nil
}

// live asks the kernel, by the function Kernel.
func (v *Run) live() error {
	if !slices.ContainsFunc(kernel.Rows(), v.Only.MatchString) {
		v.Others = append(v.Others, kernel.Rows()...)
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
	if len(v.kept) > 0 {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out)
		fmt.Fprintln(w, "RECORDS OF LONGER RUNS\tHOW MANY\tOF THIS CODE")
		for _, k := range v.kept {
			fmt.Fprintf(w, "%s\t%s\t%s\n", k.name, k.count, k.result)
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
