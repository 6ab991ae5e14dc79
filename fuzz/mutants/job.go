package mutants

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/record"
)

// Job runs mutants and judges what noticed each.
type Job struct {
	Ctx           context.Context
	Root          string         // of the checkout
	Out, Progress io.Writer      // the summary, a line for each mutant
	Of            string         // planted, offload or model
	Bugs          string         // file of bugs to plant instead of those of the harness
	State         string         // file that keeps outcomes, to resume from
	Write         string         // file of results, written when every mutant was run
	Deep          bool           // those listed as equivalent, against all small inputs
	First         bool           // stop at the first test program that notices a mutant
	Workers       int            // mutants at a time, 0 for one a core
	Draw          int            // run only this many, drawn by By; 0 for all
	By            string         // what Draw draws by
	Only          *regexp.Regexp // of IDs
	JSON          bool
}

// Suites are the sets of mutants, as docs/evidence has their results.
var Suites = map[string]string{"planted": "planted bugs", "offload": "mutations of offload", "model": "mutations of the model"}

// list returns the mutants that are asked for.
func (r *Job) list() ([]Mutant, error) {
	var all []Mutant
	var err error
	if r.Of == "planted" {
		bugs := Bugs()
		if r.Bugs != "" {
			if bugs, err = ReadBugs(r.Bugs); err != nil {
				return nil, err
			}
		}
		for _, b := range bugs {
			m, e := b.Plant(r.Root)
			all, err = append(all, m), errors.Join(err, e)
		}
	} else {
		all, _, err = Mutations(r.Root, r.Of, runtime.GOOS, runtime.GOARCH, []string{"purego", "invariants"})
	}
	if err != nil {
		return nil, err
	}
	listed := EquivalentIDs()
	all = slices.DeleteFunc(all, func(m Mutant) bool {
		e, is := listed[m.ID]
		return !r.Only.MatchString(m.ID) || r.Deep && !(is && e.Source == m.Source)
	})
	if r.Draw > 0 {
		sum := sha256.Sum256([]byte(r.By))
		draw := rand.New(rand.NewChaCha8(sum))
		draw.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		all = all[:min(r.Draw, len(all))]
	}
	return all, nil
}

// Run runs the mutants and returns the exit code.
func (r *Job) Run() (int, error) {
	ctx := r.Ctx
	all, err := r.list()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	results := Results{Result: record.New("mutants", "mutants", Suites[r.Of], "harness", 0, "noticed", start)}
	equivalent := EquivalentIDs()
	var seconds float64
	for _, part := range r.parts(all) {
		runner := Runner{Root: r.Root, Methods: part.methods, First: r.First, State: r.State, Workers: r.Workers}
		done := len(results.Lines)
		runner.Done = func(n int, v Verdict, cached bool) {
			seconds += v.Seconds
			l := NewLine(v, equivalent)
			r.say(l, done+n, len(all), cached)
		}
		verdicts, err := runner.Run(ctx, part.list)
		if err != nil {
			return 0, err
		}
		for _, v := range verdicts {
			l := NewLine(v, equivalent)
			if r.Of == "planted" && l.Status == Killed && !v.Beyond("corpus") {
				l.Status = CorpusOnly
			}
			results.Lines = append(results.Lines, l)
		}
		if ctx.Err() != nil {
			break
		}
	}
	workers := r.Workers
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	results.Seconds = seconds / float64(workers) // of this run and of those before it
	return r.finish(results, len(all))
}

// methodsOf is mutants that are run against the same methods.
type methodsOf struct {
	list    []Mutant
	methods []Method
}

func (r *Job) parts(all []Mutant) []methodsOf {
	switch {
	case r.Deep:
		return []methodsOf{{all, Deep()}}
	case r.Of == "offload":
		return []methodsOf{{all, Score()}}
	case r.Of == "model":
		return []methodsOf{{all, Model()}}
	}
	var list []methodsOf
	for _, dir := range []string{"offload", "offload/tun"} {
		p := methodsOf{methods: Planted(dir + "/")}
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

// say writes a line about one mutant.
func (r *Job) say(l Line, n, of int, cached bool) {
	by := l.By
	if by == "" {
		by = l.Status
	}
	after := fmt.Sprintf("%.1f s", l.Seconds)
	if cached {
		after = "before"
	}
	fmt.Fprintf(r.Progress, "%d/%d %-40s %-8s %s  %s\n", n, of, l.ID, after, by, l.Test)
	if l.Status == Survived {
		fmt.Fprintf(r.Progress, "    %s:%d: %s\n    %s\n", l.File, l.Line, l.Source, l.About)
	}
}

// finish judges and writes what there is.
func (r *Job) finish(results Results, of int) (int, error) {
	var escaped []string
	for _, l := range results.Lines {
		if l.Status == Survived || r.Of == "planted" && l.Status != Killed && l.Status != TimedOut {
			escaped = append(escaped, l.ID)
		}
	}
	res := &results.Result
	res.Count = results.Noticed()
	res.Unit = fmt.Sprintf("noticed of %d", results.Judged())
	if n := results.Count(Listed); n > 0 {
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
	if r.Deep && len(results.Lines) > 0 { // none must be noticed
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
	if r.JSON {
		if err := record.Write(r.Out, []record.Result{*res}); err != nil {
			return 0, err
		}
	} else {
		r.summary(r.Out, results)
	}
	if r.Write != "" && len(results.Lines) == of && r.Ctx.Err() == nil {
		return code, file.Write(r.Write, results.Bytes())
	}
	return code, nil
}

func (r *Job) summary(w io.Writer, results Results) {
	fmt.Fprintf(w, "%s, tree %s: %d, %d do not compile, %d same machine code, %d noticed (%d timed out), %d equivalent, %d survive; %.0f s\n",
		results.Method, results.Tree, len(results.Lines), results.Count(NotViable), results.Count(Same),
		results.Noticed(), results.Count(TimedOut), results.Count(Listed), results.Count(Survived), results.Seconds)
	for _, row := range results.ByMethod() {
		fmt.Fprintf(w, "  %-10s noticed %d, %d that no other did\n", row.Method, row.Noticed, row.Alone)
	}
	if results.Detail != "" {
		fmt.Fprintln(w, results.Detail)
	}
	fmt.Fprintln(w, results.Result.Result)
}
