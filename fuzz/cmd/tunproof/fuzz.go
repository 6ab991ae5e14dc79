package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/campaign"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
	"tunproof/fuzz/target"
)

// fuzzCommand is a fuzzing campaign.
func fuzzCommand(ctx context.Context, s streams, args []string) (int, error) {
	c := campaign.Config{}
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	flags.StringVar(&c.Dir, "dir", ".cache/campaign", "directory that keeps inputs and findings; several campaigns may share it")
	flags.StringVar(&c.Engine, "engine", "native", "native or libfuzzer")
	flags.DurationVar(&c.Time, "time", 0, "of fuzzing; 0 is until it is interrupted")
	flags.IntVar(&c.AtOnce, "at-once", 1, "targets at the same time")
	flags.IntVar(&c.Workers, "workers", 0, "processes of each target; by default all together are one a core")
	flags.BoolVar(&c.Empty, "empty", false, "start without the seeds, from what the directory has")
	flags.BoolVar(&c.Blind, "no-canary", false, "do not look first for a bug that is planted")
	flags.BoolVar(&c.First, "first", false, "stop at the first finding")
	flags.DurationVar(&c.Limits.Time, "timeout", 10*time.Second, "what takes an input longer is a finding")
	flags.IntVar(&c.Limits.Memory, "memory", 2048, "MB; what takes an input more is a finding")
	plant := flags.String("plant", "", "fuzz with this bug of tunproof mutants, or of -bugs")
	bugs := flags.String("bugs", "", "JSON file of bugs, as of tunproof mutants -bugs")
	asJSON := flags.Bool("json", false, "write result records, one a line")
	report := flags.String("report", "", "write how fast the targets of such records were, and run nothing")
	into := flags.String("into", "", "document to write that into, between its lines <!-- rates --> and <!-- /rates -->")
	targets := targetFlag(flags)
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if *report != "" {
		return record.ExitHolds, renderRecords(s.out, *report, *into, "rates", ratesTable)
	}
	var err error
	if c.Targets, err = targets(); err != nil {
		return 0, err
	}
	c.AtOnce = min(c.AtOnce, len(c.Targets))
	if c.Workers == 0 {
		c.Workers = max(1, runtime.NumCPU()/max(1, c.AtOnce))
	}
	switch {
	case flags.NArg() > 0:
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	case c.Engine != "native" && c.Engine != "libfuzzer":
		return 0, fmt.Errorf("%w: -engine is native or libfuzzer, not %q", errUsage, c.Engine)
	case c.Time < 0 || c.AtOnce < 1 || c.Workers < 1 || c.Limits.Time < time.Second || c.Limits.Memory < 256:
		return 0, fmt.Errorf("%w: -time must not be negative, -at-once and -workers positive, -timeout at least 1s, -memory at least 256", errUsage)
	}
	if c.Plant, err = bugNamed(*plant, *bugs); err != nil {
		return 0, err
	}
	if c.Root, err = record.Root("."); err != nil {
		return 0, err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return 0, err
	}
	if c.Plant != nil { // its findings are no one's else
		c.Dir = filepath.Join(c.Dir, "planted", c.Plant.Name)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return 0, err
	}
	r := results{ctx: ctx, command: "fuzz", progress: s.err, root: c.Root}
	c.Say = r.say
	summary, err := campaign.Fuzz(ctx, c)
	if summary != nil {
		fuzzRows(&r, c, summary)
		if *asJSON {
			if e := record.Write(s.out, r.rows); e != nil {
				return 0, e
			}
		} else {
			r.table(s.out)
			fuzzTotals(s, c, summary)
		}
	}
	if err != nil {
		return 0, err
	}
	return fuzzVerdict(&r, s, c, summary, *asJSON), nil
}

// bugNamed returns a bug of the harness, or of a file.
func bugNamed(name, file string) (*mutants.Bug, error) {
	list := mutants.Bugs()
	if file != "" {
		var err error
		if list, err = mutants.ReadBugs(file); err != nil {
			return nil, err
		}
	}
	if name == "" {
		return nil, nil
	}
	if at := slices.IndexFunc(list, func(b mutants.Bug) bool { return b.Name == name }); at >= 0 {
		return &list[at], nil
	}
	return nil, fmt.Errorf("%w: -plant: no bug %q", errUsage, name)
}

// canaryRow is the property of the record that says whether the campaign sees.
const canaryRow = "canary"

func fuzzRows(r *results, c campaign.Config, s *campaign.Summary) {
	method := "fuzz " + c.Engine
	if s.Canary != "" {
		row := record.Result{Property: canaryRow, Method: method, Judge: "planted bug", Count: 1, Unit: "bugs", Seconds: s.After.Seconds(), Result: record.Holds, Detail: s.Canary}
		if s.After == 0 {
			row.Count, row.Result, row.Detail = 0, record.NotRun, s.Canary+" was planted and not found: this campaign is blind"
		}
		r.rows = append(r.rows, row)
	}
	for _, t := range s.Results {
		row := record.Result{Property: t.Target.ID, Method: method, Judge: t.Target.Judge, Count: int(t.Execs), Unit: "executions", Seconds: t.Seconds,
			Result: record.Holds, Detail: fmt.Sprintf("%d inputs kept, %d new", t.Corpus, t.New)}
		for i, f := range t.Findings {
			if i == 0 {
				row.Result, row.Detail = record.Violated, ""
			}
			row.Detail += fmt.Sprintf("after %.1f s: %s\n%s\n", f.After.Seconds(), f.File, f.Outcome.Msg)
		}
		if t.Execs == 0 && t.Findings == nil {
			row.Result, row.Detail = record.NotRun, "no execution was counted"
		}
		r.rows = append(r.rows, row)
	}
	r.stamp()
}

// fuzzTotals shows what is for people only: what all campaigns on the directory did.
func fuzzTotals(s streams, c campaign.Config, sum *campaign.Summary) {
	var execs, inputs, fresh int64
	findings := 0
	for _, t := range sum.Results {
		execs, inputs, fresh = execs+t.Execs, inputs+int64(t.Corpus), fresh+int64(t.New)
		findings += len(t.Findings)
		for _, f := range t.Findings {
			again := ""
			if !f.New {
				again = ", found before"
			}
			fmt.Fprintf(s.out, "finding: %s after %.1f s%s: %s\n", f.Outcome.Key(), f.After.Seconds(), again, f.File)
		}
	}
	fmt.Fprintf(s.out, "%d executions in %.0f s, %.0f a second and core; %d inputs kept, %d of them new; %d findings, %d flaky\n", execs, sum.Seconds,
		float64(execs)/max(1, sum.Seconds)/float64(min(runtime.NumCPU(), c.Workers*c.AtOnce)), inputs, fresh, findings, sum.Flaky)
	runs, err := campaign.Store{Dir: c.Dir}.Runs()
	if err != nil {
		fmt.Fprintf(s.err, "fuzz: %v\n", err)
	}
	var all int64
	seconds := 0.0
	for _, r := range runs {
		seconds += r.Seconds
		for _, t := range r.Targets {
			all += t.Execs
		}
	}
	fmt.Fprintf(s.out, "%s: %d campaigns, %d executions, %.1f hours\n", c.Dir, len(runs), all, seconds/3600)
}

// fuzzVerdict is the exit code. An interrupt is how a campaign without an end ends.
func fuzzVerdict(r *results, s streams, c campaign.Config, sum *campaign.Summary, quiet bool) int {
	code, verdict := r.verdict()
	if code == record.ExitUsage && c.Time == 0 {
		code = record.ExitHolds
	}
	if sum.Canary != "" && sum.After == 0 && code == record.ExitHolds {
		code, verdict = record.ExitUsage, "BLIND: "+verdict
	}
	if !quiet {
		fmt.Fprintln(s.out, verdict)
	}
	return code
}

// ratesTable writes targets by engines, in Markdown: executions a second of one process.
func ratesTable(w io.Writer, rows []record.Result) error {
	var methods []string
	rate := map[[2]string]float64{}
	for _, r := range rows {
		if !slices.Contains(methods, r.Method) {
			methods = append(methods, r.Method)
		}
		if r.Unit == "executions" && r.Seconds > 0 {
			rate[[2]string{r.Property, r.Method}] = float64(r.Count) / r.Seconds
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| target | %s |\n|---|%s\n", strings.Join(methods, " | "), strings.Repeat("---|", len(methods)))
	for _, t := range target.Targets() {
		fmt.Fprintf(&b, "| %s (%s) |", t.Name, t.ID)
		for _, m := range methods {
			fmt.Fprintf(&b, " %.0f |", rate[[2]string{t.ID, m}])
		}
		b.WriteByte('\n')
	}
	if len(rows) > 0 {
		e := rows[0].Env
		fmt.Fprintf(&b, "\n%s, Linux %s, %s, tree %s.\n", e.CPU, e.Kernel, e.Go, rows[0].Tree)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
