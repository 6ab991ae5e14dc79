package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"tunproof/corpus"
	"tunproof/fuzz/child"
	"tunproof/fuzz/exhaustive"
	"tunproof/fuzz/live"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/pcap"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
)

// verification is one run of verify.
type verification struct {
	results
	seed     uint64
	checks   int // of each property, by rapid
	execs    int // of each fuzz target
	cache    string
	captures []captureRow
	tally    *target.Tally // of the generated scenarios
	executed *target.Tally // of what the fuzzing engine executed
	liveTime time.Duration // of asking the kernel
	native   *nativeBinary
}

// captureRow is how a capture coalesces.
type captureRow struct {
	name    string
	packets int
	mean    []float64 // segments per superpacket, by mode
}

func verify(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	checks := flags.Int("checks", 3_000, "scenarios of each property")
	execs := flags.Int("fuzz", 20_000, "executions of each fuzz target; 0 for none")
	liveTime := flags.Duration("live", 15*time.Second, "time for asking this machine's kernel, about; 0 for not")
	cache := flags.String("cache", "", "directory where fuzz targets keep what they found, for the next run to go on from; by default they start afresh")
	var rows rowFlags
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if *checks < 1 || *execs < 0 || *liveTime < 0 {
		return 0, fmt.Errorf("%w: -checks must be positive, -fuzz and -live not negative", errUsage)
	}
	v := &verification{results: newResults(ctx, "verify", s.err, rows.only), seed: rows.seed, checks: *checks, execs: *execs, liveTime: *liveTime, tally: target.NewTally(), executed: target.NewTally()}
	if *cache != "" {
		var err error
		if v.cache, err = filepath.Abs(*cache); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	fmt.Fprintf(s.err, "verify: seed %d\n", v.seed)
	if err := v.run(); err != nil {
		return 0, err
	}
	v.stamp()
	if rows.asJSON {
		if err := record.Write(s.out, v.rows); err != nil {
			return 0, err
		}
	} else {
		v.table(s.out)
		v.met(s.out)
	}
	code, verdict := v.verdict()
	fmt.Fprintf(s.err, "verify: seed %d, %.0f s\n", v.seed, time.Since(start).Seconds())
	if !rows.asJSON {
		fmt.Fprintln(s.out, verdict)
	}
	return code, nil
}

// run runs all parts; the fuzz targets are compiled while the others run.
func (v *verification) run() error {
	v.native = startNative(v.ctx, v.root, v.cache, v.execs > 0 && v.anyFuzz())
	defer v.native.close()
	parts := []func() error{v.cases, v.capturesPart, v.properties, v.sums, v.allocations, v.exhaustive, v.live, v.fuzz, v.mutants}
	for _, part := range parts {
		if v.ctx.Err() != nil {
			break // the table shows what ran
		}
		if err := part(); err != nil {
			return err
		}
	}
	if v.ctx.Err() != nil {
		v.notRun("all", "the rest", "", "interrupted")
	}
	return nil
}

// cases runs the corpus.
func (v *verification) cases() error {
	if !v.wanted("cases", "corpus") {
		return nil
	}
	list, err := corpus.Cases()
	if err != nil {
		return err
	}
	v.say("corpus: %d cases", len(list))
	start := time.Now()
	var failed error
	n := 0
	for _, c := range list {
		if v.ctx.Err() != nil {
			break
		}
		n++
		if err := target.Case(c.Case, nil); err != nil {
			failed = fmt.Errorf("%s: %w", c.ID, err)
			break
		}
	}
	v.add(record.Result{Property: "cases", Method: "corpus", Judge: "stated, model", Count: n, Unit: "cases"}, start, failed)
	return nil
}

// capturesPart runs the captures through every property in every mode.
func (v *verification) capturesPart() error {
	list, err := corpus.Captures()
	if err != nil {
		return err
	}
	v.say("captures: %d, in %d modes", len(list), len(target.Modes))
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
		for _, m := range target.Modes {
			s := target.Capture(list, 64, m.Config)
			runs = append(runs, run{s, c.Name + ", " + m.Name})
			row.mean = append(row.mean, target.MeanSegments(&s))
			packets += len(list)
		}
		v.captures = append(v.captures, row)
	}
	for _, p := range target.Properties {
		if !p.Batches || !v.wanted(p.ID, "captures") {
			continue
		}
		start := time.Now()
		var failed error
		for _, r := range runs {
			if v.ctx.Err() != nil {
				return nil
			}
			if err := p.Check(&r.s, nil); err != nil {
				failed = fmt.Errorf("%s: %w", r.name, err)
				break
			}
		}
		v.add(record.Result{Property: p.ID, Method: "captures", Judge: p.Judge, Count: packets, Unit: "packets"}, start, failed)
	}
	return nil
}

// properties runs each property on generated scenarios.
func (v *verification) properties() error {
	for i, p := range target.Properties {
		seed := v.seed + uint64(i) // other scenarios for each
		if v.ctx.Err() != nil {
			return nil
		}
		if !v.wanted(p.ID, "rapid") {
			continue
		}
		v.say("%s %s: %d scenarios", p.ID, p.Name, v.checks)
		start := time.Now()
		n, found, err := rapidCheck(v.ctx, p, v.checks, seed, v.tally)
		if err != nil {
			return err
		}
		var failed error
		if found != nil {
			failed = found.err
			v.sayCases(found, p.Law, fmt.Sprintf("verify -seed %d, property %s", v.seed, p.ID))
		}
		v.add(record.Result{Property: p.ID, Method: "rapid", Judge: p.Judge, Count: n, Unit: "scenarios", Seed: v.seed}, start, failed)
	}
	return nil
}

// sums is P8 over lengths and alignments.
func (v *verification) sums() error {
	if !v.wanted("P8", "every length") {
		return nil
	}
	start := time.Now()
	r := rand.New(rand.NewPCG(v.seed, 8))
	n, err := target.Sums(2048, func(int) byte { return byte(r.Uint32()) })
	v.add(record.Result{Property: "P8", Method: "every length", Judge: "model", Count: n, Unit: "sums", Seed: v.seed}, start, err)
	return nil
}

// exhaustive is P10 in the scope that takes seconds; tunproof exhaustive has more.
func (v *verification) exhaustive() error {
	x := &exhaustiveRun{results: v.results}
	x.state.Parts = map[string]exhaustive.State{}
	x.rows = nil
	for _, e := range []*enumeration{
		allBatches(exhaustive.Small, 3, target.Orders()),
		variants(flipsName, exhaustive.Flips{Modes: target.Orders(), Word: 4}),
		allSupers("P10", "gso_size to 16, payload to 130, options", "model", exhaustive.Sizes{MaxGSO: 16, MaxPayload: 130}, byModel),
		allSupers("P10", pairsName, "model", exhaustive.Pairs{}, byModel),
	} {
		if err := x.enumerate(e); err != nil {
			return err
		}
	}
	v.rows = append(v.rows, x.rows...)
	return nil
}

// mutants shows what docs/mutation has, which takes an hour to make.
func (v *verification) mutants() error {
	tree, _ := here()
	for _, suite := range slices.Sorted(maps.Keys(suites)) {
		if v.root == "" {
			v.notRun("mutants", suites[suite], "harness", "not in a checkout of tunproof")
			continue
		}
		r, err := mutants.ReadResults(filepath.Join(v.root, "docs", "mutation", suite+".jsonl"))
		switch {
		case err != nil:
			return err
		case r.Lines == nil:
			v.notRun("mutants", suites[suite], "harness", "no results in docs/mutation")
		case r.Tree != tree:
			v.notRun("mutants", suites[suite], "harness", fmt.Sprintf("docs/mutation is of tree %s, this is %s; there %d %s", r.Tree, tree, r.Result.Count, r.Unit))
		case v.wanted("mutants", suites[suite]):
			v.rows = append(v.rows, r.Result)
		}
	}
	return nil
}

// live asks the kernel, in a process of its own, which is put into namespaces.
func (v *verification) live() error {
	if !slices.ContainsFunc(live.Rows(), v.only.MatchString) {
		return nil
	}
	if v.liveTime == 0 {
		for _, k := range kernelProperties {
			v.notRun(k, "live", "kernel", "-live 0")
		}
		return nil
	}
	rows, err := v.askKernel()
	v.rows = append(v.rows, rows...)
	return err
}

func (v *verification) askKernel() ([]record.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(v.ctx, self, "live", "-json", "-time", v.liveTime.String(), "-run", v.only.String(), "-seed", strconv.FormatUint(v.seed, 10))
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	child.Group(c)
	c.Stderr = v.progress
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && (exit.ExitCode() == record.ExitViolation || exit.ExitCode() == record.ExitNothing) || v.ctx.Err() != nil {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s live: %w", filepath.Base(self), err)
	}
	rows, err := record.Read(bytes.NewReader(out))
	if err != nil {
		return nil, fmt.Errorf("what live wrote: %w", err)
	}
	return rows, nil
}

// met writes what the inputs met, for people.
func (v *verification) met(out io.Writer) {
	if len(v.captures) > 0 {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out)
		fmt.Fprint(w, "PACKETS PER SUPERPACKET\tPACKETS")
		for _, m := range target.Modes {
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
func reached(out io.Writer, what string, t *target.Tally) {
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
