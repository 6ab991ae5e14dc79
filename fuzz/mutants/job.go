// SPDX-License-Identifier: MIT

package mutants

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/cpu"

	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/record"
)

// Job runs mutants and reports which methods detected each.
type Job struct {
	Ctx           context.Context
	Root          string         // directory of the checkout
	Out, Progress io.Writer      // for the summary, and for a line about each mutant
	Of            string         // a key of Suites
	Bugs          string         // file of bugs to plant instead of Bugs()
	State         string         // file that keeps outcomes, to resume the job
	Write         string         // file for the results, written once every mutant was run
	Deep          bool           // run only mutants listed as equivalent, against all small inputs
	First         bool           // stop at the first test that detects a mutant
	Workers       int            // mutants at a time; 0 for one on each core
	Draw          int            // run only this many, drawn at random; 0 for all
	By            string         // seed of Draw
	Only          *regexp.Regexp // run only mutants whose ID matches
	JSON          bool           // write a result record instead of the summary

	away []string // IDs of mutants that are left out, because this processor cannot run the code
}

// Suites has the name of each set of mutants in result records.
var Suites = map[string]string{"planted": "planted bugs", "harness": "sabotage of the harness", "offload": "mutations of offload", "model": "mutations of the model", "assembly": "mutations of the assembly"}

// init adds the mutations of further packages to Suites.
func init() {
	for _, p := range Packages {
		Suites[p.Dir] = "mutations of " + p.Dir
	}
}

// list returns the mutants that the job runs.
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
	} else if r.Of == "harness" {
		for _, s := range Sabotages() {
			m, e := s.Plant(r.Root)
			all, err = append(all, m), errors.Join(err, e)
		}
	} else if r.Of == "assembly" {
		for _, arch := range assembled() {
			list, e := assemblyMutations(r.Root, assemblies[arch])
			all, err = append(all, list...), errors.Join(err, e)
		}
	} else {
		all, _, err = Mutations(r.Root, r.Of, runtime.GOOS, runtime.GOARCH, []string{"purego", "invariants"})
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range all {
		ids = append(ids, m.ID)
	}
	all = slices.DeleteFunc(all, func(m Mutant) bool {
		if away := needsVNNI(m) && !cpu.X86.HasAVX512VNNI; !away || !r.Only.MatchString(m.ID) {
			return away
		}
		r.away = append(r.away, m.ID)
		return true
	})
	listed := EquivalentIDs()
	all = slices.DeleteFunc(all, func(m Mutant) bool {
		e, is := listed[m.ID]
		return !r.Only.MatchString(m.ID) || r.Deep && !(is && e.Source == m.Source)
	})
	if len(all) == 0 && r.Only.String() != "" {
		return nil, fmt.Errorf("-run matches no mutant: %s", some(ids))
	}
	if r.Draw > 0 {
		sum := sha256.Sum256([]byte(r.By))
		draw := rand.New(rand.NewChaCha8(sum))
		draw.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		all = all[:min(r.Draw, len(all))]
	}
	return all, nil
}

// List writes a line about each mutant: its ID, its place, and where it comes from.
func (r *Job) List() error {
	all, err := r.list()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(r.Out, 0, 0, 2, ' ', 0)
	for _, m := range all {
		fmt.Fprintf(w, "%s\t%s:%d\t%s\n", m.ID, m.File, m.Line, m.About)
	}
	return w.Flush()
}

// leftOut says which mutants are left out, and why.
func (r *Job) leftOut() string {
	return fmt.Sprintf("not run, because this processor has no AVX-512 VNNI: %s", strings.Join(r.away, ", "))
}

// some returns IDs as text: all of them, or the first if there are too many to read.
func some(ids []string) string {
	const most = 300
	if len(ids) <= most {
		return fmt.Sprintf("there are %s", strings.Join(ids, ", "))
	}
	return fmt.Sprintf("there are %d, such as %s", len(ids), strings.Join(ids[:3], ", "))
}

// Run runs the mutants and returns the exit code.
func (r *Job) Run() (int, error) {
	ctx := r.Ctx
	all, err := r.list()
	if err != nil {
		return 0, err
	}
	if len(r.away) > 0 {
		fmt.Fprintln(r.Progress, r.leftOut())
	}
	start := time.Now()
	results := Results{Result: record.New("mutants", "mutants", Suites[r.Of], "harness", 0, "detected", start)}
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
	results.Seconds = seconds / float64(workers) // includes the runs that this one resumes
	return r.finish(results, len(all))
}

// methodsOf has mutants that are run against the same methods.
type methodsOf struct {
	list    []Mutant
	methods []Method
}

// parts groups the mutants by their methods.
func (r *Job) parts(all []Mutant) []methodsOf {
	list := r.suites(all)
	if r.First {
		for _, p := range list {
			for i := range p.methods {
				p.methods[i] = p.methods[i].first()
			}
		}
	}
	return list
}

// suites returns the mutants with the methods of their suite.
func (r *Job) suites(all []Mutant) []methodsOf {
	switch {
	case r.Deep:
		return []methodsOf{{all, Deep()}}
	case r.Of == "offload":
		return []methodsOf{{all, Score()}}
	case r.Of == "model":
		return []methodsOf{{all, Model()}}
	case r.Of == "harness":
		return sabotaged(all)
	case r.Of == "assembly":
		return assemblyParts(all)
	case ownTests(r.Of) != nil:
		return []methodsOf{{all, ownTests(r.Of)}}
	}
	var list []methodsOf
	at := map[string]int{}
	for _, m := range all {
		dir := path.Dir(m.File)
		i, is := at[dir]
		if !is {
			i = len(list)
			at[dir] = i
			methods := ownTests(dir)
			if methods == nil {
				methods = Planted(dir + "/")
			}
			list = append(list, methodsOf{methods: methods})
		}
		list[i].list = append(list[i].list, m)
	}
	return list
}

// sabotaged groups sabotages by the tests that must notice them.
func sabotaged(all []Mutant) (list []methodsOf) {
	at := map[string]int{}
	for _, s := range Sabotages() {
		i := slices.IndexFunc(all, func(m Mutant) bool { return m.ID == s.Name })
		if i < 0 {
			continue
		}
		key := s.Package + s.Run
		if _, is := at[key]; !is {
			at[key] = len(list)
			list = append(list, methodsOf{methods: []Method{s.method()}})
		}
		p := &list[at[key]]
		p.list = append(p.list, all[i])
	}
	return list
}

// say writes a progress line about one mutant.
func (r *Job) say(l Line, n, of int, cached bool) {
	by := l.By
	if by == "" {
		by = l.Status
	}
	after := fmt.Sprintf("%.1f s", l.Seconds)
	if cached {
		after = "kept"
	}
	fmt.Fprintf(r.Progress, "%d/%d %-40s %-8s %s  %s\n", n, of, l.ID, after, by, l.Test)
	if l.Status == Survived {
		fmt.Fprintf(r.Progress, "    %s:%d: %s\n    %s\n", l.File, l.Line, l.Source, l.About)
	}
}

// finish writes the results and returns the exit code.
func (r *Job) finish(results Results, of int) (int, error) {
	var escaped []string
	for _, l := range results.Lines {
		if l.Status == Survived || r.Of == "planted" && l.Status != Killed && l.Status != TimedOut {
			escaped = append(escaped, l.ID)
		}
	}
	res := &results.Result
	res.Count = results.Noticed()
	res.Unit = fmt.Sprintf("detected of %d", results.Judged())
	if n := results.Count(Listed); n > 0 {
		res.Unit = fmt.Sprintf("detected of %d", results.Judged()-n)
	}
	code := record.ExitHolds
	if len(r.away) > 0 {
		res.Detail = r.leftOut()
	}
	switch {
	case len(results.Lines) == 0:
		res.Result, code = record.NotRun, record.ExitNothing
	case len(escaped) > 0:
		res.Result, code = record.Violated, record.ExitViolation
		res.Detail = fmt.Sprintf("not detected: %s", strings.Join(escaped, ", "))
	}
	if r.Deep && len(results.Lines) > 0 { // none may be detected
		res.Method += ", equivalent, against all small inputs"
		res.Unit = fmt.Sprintf("differ from the original of %d", len(results.Lines))
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

// summary writes the totals as text.
func (r *Job) summary(w io.Writer, results Results) {
	fmt.Fprintf(w, "%s, tree %s: %d mutants, %d do not compile, %d give the same machine code, %d are detected (%d time out), %d are equivalent, %d survive; %.0f s\n",
		results.Method, results.Tree, len(results.Lines), results.Count(NotViable), results.Count(Same),
		results.Noticed(), results.Count(TimedOut), results.Count(Listed), results.Count(Survived), results.Seconds)
	for _, row := range results.ByMethod() {
		fmt.Fprintf(w, "  %-10s detected %d, %d of them alone\n", row.Method, row.Noticed, row.Alone)
	}
	if results.Detail != "" {
		fmt.Fprintln(w, results.Detail)
	}
	fmt.Fprintln(w, results.Result.Result)
}
