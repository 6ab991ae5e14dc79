package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/pcap"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
)

// verification is one run of verify.
type verification struct {
	ctx      context.Context
	progress io.Writer
	seed     uint64
	checks   int // of each property, by rapid
	execs    int // of each fuzz target
	cache    string
	only     *regexp.Regexp
	root     string // of the checkout, "" if there is none
	rows     []record.Result
	captures []captureRow
	tally    *target.Tally // of the generated scenarios
	executed *target.Tally // of what the fuzzing engine executed
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
	flags.SetOutput(io.Discard)
	seed := flags.Uint64("seed", 0, "of generated input; 0 draws one")
	checks := flags.Int("checks", 3_000, "scenarios of each property")
	execs := flags.Int("fuzz", 8_000, "executions of each fuzz target; 0 for none")
	cache := flags.String("cache", "", "directory where fuzz targets keep what they found, for the next run to go on from; by default they start afresh")
	only := flags.String("run", "", "only rows whose \"property method\" matches")
	asJSON := flags.Bool("json", false, "write result records, one a line")
	if err := flags.Parse(args); err != nil {
		return 0, fmt.Errorf("%w: %w", errUsage, err)
	}
	re, err := regexp.Compile(*only)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: -run: %w", errUsage, err)
	case flags.NArg() > 0:
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	case *checks < 1 || *execs < 0:
		return 0, fmt.Errorf("%w: -checks must be positive, -fuzz not negative", errUsage)
	}
	for *seed == 0 {
		*seed = rand.Uint64()
	}
	v := &verification{ctx: ctx, progress: s.err, seed: *seed, checks: *checks, execs: *execs, only: re, tally: target.NewTally(), executed: target.NewTally()}
	v.root, _ = record.Root(".")
	if *cache != "" {
		if v.cache, err = filepath.Abs(*cache); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	fmt.Fprintf(s.err, "verify: seed %d\n", *seed)
	if err := v.run(); err != nil {
		return 0, err
	}
	v.stamp()
	if *asJSON {
		if err := record.Write(s.out, v.rows); err != nil {
			return 0, err
		}
	} else {
		v.table(s.out)
	}
	code, verdict := v.verdict()
	fmt.Fprintf(s.err, "verify: seed %d, %.0f s\n", *seed, time.Since(start).Seconds())
	if !*asJSON {
		fmt.Fprintln(s.out, verdict)
	}
	return code, nil
}

// run runs all parts; the fuzz targets are compiled while the others run.
func (v *verification) run() error {
	v.native = startNative(v.ctx, v.root, v.cache, v.execs > 0 && v.anyFuzz())
	defer v.native.close()
	parts := []func() error{v.cases, v.capturesPart, v.properties, v.sums, v.allocations, v.fuzz}
	for _, part := range parts {
		if v.ctx.Err() != nil {
			break // the table shows what ran
		}
		if err := part(); err != nil {
			return err
		}
	}
	v.notRun("P10", "exhaustive", "model", "this version has no exhaustive enumeration")
	for _, k := range []string{"K1", "K2", "K3", "K4", "K5"} {
		v.notRun(k, "live", "kernel", "this version has no kernel oracle")
	}
	if v.ctx.Err() != nil {
		v.notRun("all", "the rest", "", "interrupted")
	}
	return nil
}

func (v *verification) wanted(property, method string) bool {
	return v.only.MatchString(property + " " + method)
}

func (v *verification) notRun(property, method, judge, why string) {
	if v.wanted(property, method) {
		v.rows = append(v.rows, record.Result{Property: property, Method: method, Judge: judge, Result: record.NotRun, Detail: why})
	}
}

// add records what ran. Of a violation it shows all there is.
func (v *verification) add(r record.Result, start time.Time, err error) {
	r.Seconds = time.Since(start).Seconds()
	r.Result = record.Holds
	if err != nil {
		r.Result, r.Detail = record.Violated, err.Error()
		fmt.Fprintf(v.progress, "verify: %s %s: %v\n", r.Property, r.Method, err)
	}
	v.rows = append(v.rows, r)
}

func (v *verification) say(format string, args ...any) {
	fmt.Fprintf(v.progress, "verify: "+format+"\n", args...)
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
			for _, c := range found.scenario.Cases(p.Law, fmt.Sprintf("verify -seed %d, property %s", v.seed, p.ID)) {
				target.Expect(c)
				fmt.Fprintf(v.progress, "a case of it, ready for corpus/%s:\n%s", c.Op, pkts.Format(c))
			}
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

// stamp fills in what all records share.
func (v *verification) stamp() {
	tree := ""
	if v.root != "" {
		tree, _ = record.Tree(v.root)
	}
	env := record.Here()
	for i := range v.rows {
		v.rows[i].Format, v.rows[i].Command, v.rows[i].Tree, v.rows[i].Env = 1, "verify", tree, env
	}
}

// order is the order of the rows.
func order(property string) int {
	known := []string{"cases", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "codec", "pkts", "pcap", "K1", "K2", "K3", "K4", "K5"}
	if i := slices.Index(known, property); i >= 0 {
		return i
	}
	return len(known)
}

var laws = map[string]string{
	"cases": "every case of the corpus comes out as stated",
	"P8":    "every checksum is the model's, at every length and alignment",
	"P9":    "no allocation in steady state, errors included",
	"P10":   "every batch of a small alphabet of packets",
	"codec": "Decode(Encode(s)) == s",
	"pkts":  "the .pkts parser takes or refuses any bytes",
	"pcap":  "the pcap reader takes or refuses any bytes",
	"K1":    "Segment == the kernel's",
	"K2":    "superpackets come out of the kernel as the packets",
	"K3":    "the kernel's GRO makes the same superpackets",
	"K4":    "the kernel refuses what Segment refuses",
	"K5":    "sockets on both ends get every byte",
}

func law(property string) string {
	for _, p := range target.Properties {
		if p.ID == property {
			return p.Law
		}
	}
	return laws[property]
}

// table writes the rows for people.
func (v *verification) table(out io.Writer) {
	slices.SortStableFunc(v.rows, func(a, b record.Result) int { return order(a.Property) - order(b.Property) })
	const columns = "  %-14s %-18s %-18s %8s  %s\n"
	fmt.Fprintf(out, "PROPERTY\n"+columns, "HOW CHECKED", "HOW MANY", "JUDGE", "SECONDS", "RESULT")
	last := ""
	for _, r := range v.rows {
		if r.Property != last {
			fmt.Fprintf(out, "%s: %s\n", r.Property, law(r.Property))
		}
		last = r.Property
		if r.Result == record.NotRun {
			fmt.Fprintf(out, columns, r.Method, "-", r.Judge, "-", "not run: "+r.Detail)
			continue
		}
		fmt.Fprintf(out, columns, r.Method, fmt.Sprint(r.Count, " ", r.Unit), r.Judge, fmt.Sprintf("%.1f", r.Seconds), r.Result)
	}
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

// verdict is the exit code and the last line, which claims nothing that was not
// run.
func (v *verification) verdict() (int, string) {
	var ran int
	var violated, not []string
	for _, r := range v.rows {
		switch r.Result {
		case record.NotRun:
			not = append(not, r.Property+" ("+r.Method+")")
		case record.Violated:
			violated = append(violated, r.Property+" ("+r.Method+")")
			ran++
		default:
			ran++
		}
	}
	tail := ""
	if len(not) > 0 {
		tail = "; not run: " + strings.Join(not, ", ")
	}
	switch {
	case len(violated) > 0:
		return record.ExitViolation, "VIOLATED: " + strings.Join(violated, ", ") + tail
	case ran == 0:
		return record.ExitNothing, "nothing ran" + tail
	case v.ctx.Err() != nil:
		return record.ExitUsage, fmt.Sprintf("interrupted: what ran holds (%d rows)%s", ran, tail)
	}
	return record.ExitHolds, fmt.Sprintf("all that ran holds (%d rows)%s", ran, tail)
}
