package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

// mutantsRun is one run of mutants.
type mutantsRun struct {
	of, bugs      string
	state, out    string
	deep, first   bool
	workers, draw int
	seed          string
	only          *regexp.Regexp
	asJSON        bool
	root          string
}

// suites are what mutants there are, as docs/mutation has them.
var suites = map[string]string{"planted": "planted bugs", "offload": "mutations of offload", "model": "mutations of the model"}

func mutantsCommand(ctx context.Context, s streams, args []string) (int, error) {
	r := mutantsRun{only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.StringVar(&r.of, "of", "planted", "planted, offload or model: bugs, or mutations of a package")
	flags.StringVar(&r.bugs, "bugs", "", "file of bugs to plant instead of those that are known: a JSON array of name, from, file, old, new")
	flags.StringVar(&r.state, "state", "", "file that keeps verdicts, to go on from")
	flags.StringVar(&r.out, "o", "", "file of results to write, when every mutant was run")
	flags.BoolVar(&r.deep, "deep", false, "with -of offload: only those that are listed as equivalent, against all small inputs")
	flags.BoolVar(&r.first, "first", false, "stop at the first test program that notices a mutant")
	flags.IntVar(&r.workers, "workers", 0, "mutants at a time; 0 is one a core")
	flags.IntVar(&r.draw, "draw", 0, "run only as many, drawn")
	flags.StringVar(&r.seed, "by", "", "what -draw draws by, such as a commit")
	report := flags.String("report", "", "print docs/mutation.md of the results in this directory, and run nothing")
	flags.Func("run", "only mutants whose ID matches", func(t string) (err error) {
		r.only, err = regexp.Compile(t)
		return err
	})
	flags.BoolVar(&r.asJSON, "json", false, "write the result record")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case flags.NArg() > 0:
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	case suites[r.of] == "":
		return 0, fmt.Errorf("%w: -of is planted, offload or model", errUsage)
	case r.bugs != "" && r.of != "planted":
		return 0, fmt.Errorf("%w: -bugs goes with -of planted", errUsage)
	case r.deep && r.of != "offload":
		return 0, fmt.Errorf("%w: -deep goes with -of offload", errUsage)
	case r.out != "" && (r.first || r.draw != 0 || r.bugs != "" || r.only.String() != ""):
		return 0, fmt.Errorf("%w: -o is for all that there are: without -first, -draw, -bugs, -run", errUsage)
	case (r.draw != 0) != (r.seed != "") || r.draw < 0 || r.workers < 0:
		return 0, fmt.Errorf("%w: -draw goes with -by, and neither it nor -workers is negative", errUsage)
	}
	if *report != "" {
		return record.ExitHolds, mutants.Report(s.out, *report)
	}
	var err error
	if r.root, err = record.Root("."); err != nil {
		return 0, err
	}
	return r.run(ctx, s)
}

// list returns the mutants that are asked for.
func (r *mutantsRun) list() ([]mutants.Mutant, error) {
	var all []mutants.Mutant
	var err error
	if r.of == "planted" {
		bugs := mutants.Bugs()
		if r.bugs != "" {
			if bugs, err = mutants.ReadBugs(r.bugs); err != nil {
				return nil, err
			}
		}
		for _, b := range bugs {
			m, e := b.Plant(r.root)
			all, err = append(all, m), errors.Join(err, e)
		}
	} else {
		all, _, err = mutants.Mutations(r.root, r.of, runtime.GOOS, runtime.GOARCH, []string{"purego", "invariants"})
	}
	if err != nil {
		return nil, err
	}
	listed := mutants.EquivalentIDs()
	all = slices.DeleteFunc(all, func(m mutants.Mutant) bool {
		e, is := listed[m.ID]
		return !r.only.MatchString(m.ID) || r.deep && !(is && e.Source == m.Source)
	})
	if r.draw > 0 {
		sum := sha256.Sum256([]byte(r.seed))
		draw := rand.New(rand.NewChaCha8(sum))
		draw.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		all = all[:min(r.draw, len(all))]
	}
	return all, nil
}

func (r *mutantsRun) run(ctx context.Context, s streams) (int, error) {
	all, err := r.list()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	results := mutants.Results{Result: newRecord("mutants", "mutants", suites[r.of], "harness", 0, "noticed", start)}
	equivalent := mutants.EquivalentIDs()
	var seconds float64
	for _, part := range r.parts(all) {
		runner := mutants.Runner{Root: r.root, Methods: part.methods, First: r.first, State: r.state, Workers: r.workers}
		done := len(results.Lines)
		runner.Done = func(n int, v mutants.Verdict, cached bool) {
			seconds += v.Seconds
			l := mutants.NewLine(v, equivalent)
			say(s, l, done+n, len(all), cached)
		}
		verdicts, err := runner.Run(ctx, part.list)
		if err != nil {
			return 0, err
		}
		for _, v := range verdicts {
			l := mutants.NewLine(v, equivalent)
			if r.of == "planted" && l.Status == mutants.Killed && !v.Beyond("corpus") {
				l.Status = mutants.CorpusOnly
			}
			results.Lines = append(results.Lines, l)
		}
		if ctx.Err() != nil {
			break
		}
	}
	workers := r.workers
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	results.Seconds = seconds / float64(workers) // of this run and of those before it
	return r.finish(ctx, s, results, len(all))
}

// methodsOf is mutants that are run against the same methods.
type methodsOf struct {
	list    []mutants.Mutant
	methods []mutants.Method
}

func (r *mutantsRun) parts(all []mutants.Mutant) []methodsOf {
	switch {
	case r.deep:
		return []methodsOf{{all, mutants.Deep()}}
	case r.of == "offload":
		return []methodsOf{{all, mutants.Score()}}
	case r.of == "model":
		return []methodsOf{{all, mutants.Model()}}
	}
	var list []methodsOf
	for _, dir := range []string{"offload", "offload/tun"} {
		p := methodsOf{methods: mutants.Planted(dir + "/")}
		for _, m := range all {
			if filepath.ToSlash(filepath.Dir(m.File)) == dir {
				p.list = append(p.list, m)
			}
		}
		if len(p.list) > 0 {
			list = append(list, p)
		}
	}
	return list
}

// say tells of one mutant.
func say(s streams, l mutants.Line, n, of int, cached bool) {
	by := l.By
	if by == "" {
		by = l.Status
	}
	after := fmt.Sprintf("%.1f s", l.Seconds)
	if cached {
		after = "before"
	}
	fmt.Fprintf(s.err, "%d/%d %-40s %-8s %s  %s\n", n, of, l.ID, after, by, l.Test)
	if l.Status == mutants.Survived {
		fmt.Fprintf(s.err, "    %s:%d: %s\n    %s\n", l.File, l.Line, l.Source, l.About)
	}
}

// finish judges and writes what there is.
func (r *mutantsRun) finish(ctx context.Context, s streams, results mutants.Results, of int) (int, error) {
	var escaped []string
	for _, l := range results.Lines {
		if l.Status == mutants.Survived || r.of == "planted" && l.Status != mutants.Killed && l.Status != mutants.TimedOut {
			escaped = append(escaped, l.ID)
		}
	}
	res := &results.Result
	res.Count = results.Noticed()
	res.Unit = fmt.Sprintf("noticed of %d", results.Judged())
	if n := results.Count(mutants.Listed); n > 0 {
		res.Unit = fmt.Sprintf("noticed of %d", results.Judged()-n)
	}
	code := record.ExitHolds
	switch {
	case len(results.Lines) == 0:
		res.Result, code = record.NotRun, record.ExitNothing
	case len(escaped) > 0:
		res.Result, code = record.Violated, record.ExitViolation
		res.Detail = fmt.Sprintf("not noticed: %s", strings.Join(escaped, ", "))
	}
	if r.deep && len(results.Lines) > 0 { // none must be noticed
		res.Method += ", equivalent, against all small inputs"
		res.Unit = fmt.Sprintf("told from the original of %d", len(results.Lines))
		res.Result, res.Detail, code = record.Holds, "", record.ExitHolds
		if results.Noticed() > 0 {
			res.Result, code = record.Violated, record.ExitViolation
		}
	}
	if len(results.Lines) < of {
		res.Result, res.Detail = record.NotRun, fmt.Sprintf("interrupted after %d of %d", len(results.Lines), of)
		code = record.ExitUsage
	}
	if r.asJSON {
		if err := record.Write(s.out, []record.Result{*res}); err != nil {
			return 0, err
		}
	} else {
		r.summary(s.out, results)
	}
	if r.out != "" && len(results.Lines) == of && ctx.Err() == nil {
		return code, writeFile(r.out, results.Bytes())
	}
	return code, nil
}

func (r *mutantsRun) summary(w io.Writer, results mutants.Results) {
	fmt.Fprintf(w, "%s, tree %s: %d, %d do not compile, %d same machine code, %d noticed (%d timed out), %d equivalent, %d survive; %.0f s\n",
		results.Method, results.Tree, len(results.Lines), results.Count(mutants.NotViable), results.Count(mutants.Same),
		results.Noticed(), results.Count(mutants.TimedOut), results.Count(mutants.Listed), results.Count(mutants.Survived), results.Seconds)
	for _, row := range results.ByMethod() {
		fmt.Fprintf(w, "  %-10s noticed %d, %d that no other did\n", row.Method, row.Noticed, row.Alone)
	}
	if results.Detail != "" {
		fmt.Fprintln(w, results.Detail)
	}
	fmt.Fprintln(w, results.Result.Result)
}
