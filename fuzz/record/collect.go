// SPDX-License-Identifier: MIT

package record

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Collector collects the result records of a command that checks properties, shows them as
// a table, and gives the verdict.
type Collector struct {
	Ctx      context.Context
	Command  string
	Progress io.Writer      // lines about the progress go here
	Only     *regexp.Regexp // the rows to run, matched with "property method"; nil for all
	Root     string         // the checkout's directory, "" if there is none
	Rows     []Result
	Others   []string // the rows that exist and were not wanted, by "property method"
}

// NewCollector returns a Collector. Its Root is the checkout that the process is in, if any.
func NewCollector(ctx context.Context, command string, progress io.Writer, only *regexp.Regexp) Collector {
	root, _ := Root(".")
	return Collector{Ctx: ctx, Command: command, Progress: progress, Only: only, Root: root}
}

// Wanted reports whether a row is to be run. A row that is not is kept in Others.
func (r *Collector) Wanted(property, method string) bool {
	row := property + " " + method
	if r.Only == nil || r.Only.MatchString(row) {
		return true
	}
	if !slices.Contains(r.Others, row) {
		r.Others = append(r.Others, row)
	}
	return false
}

// NotRun records that a row was not run, and why. It ignores rows that are not Wanted.
func (r *Collector) NotRun(property, method, judge, why string) {
	if r.Wanted(property, method) {
		r.Rows = append(r.Rows, Result{Property: property, Method: method, Judge: judge, Result: NotRun, Detail: why})
	}
}

// Add records a row that ran since start, and shows it on Progress. The row is violated if
// err is not nil. A row that checked nothing counts as not run.
func (r *Collector) Add(row Result, start time.Time, err error) {
	row.Seconds = time.Since(start).Seconds()
	switch {
	case err != nil:
		row.Result, row.Detail = Violated, err.Error()
		r.Say("%s %s: %v", row.Property, row.Method, err)
	case row.Count == 0:
		row.Result, row.Detail = NotRun, "nothing was checked"
	default:
		row.Result = Holds
		r.Say("%s %s: %d %s, %.1f s: %s", row.Property, row.Method, row.Count, row.Unit, row.Seconds, row.Result)
	}
	r.Rows = append(r.Rows, row)
}

// Say writes a line to Progress.
func (r *Collector) Say(format string, args ...any) {
	fmt.Fprintf(r.Progress, r.Command+": "+format+"\n", args...)
}

// Stamp fills in the fields that all records of a run share.
func (r *Collector) Stamp() {
	_, env := Current()
	for i := range r.Rows {
		r.Rows[i].Command, r.Rows[i].Env = r.Command, env
		r.Rows[i].Stamp()
	}
}

// Stamp fills in the format, the tree, the basis and the date of a record that was made
// in this checkout, now. Its environment must be set.
func (r *Result) Stamp() {
	r.Format = 1
	r.Tree, _ = Current()
	r.Basis, r.Date = basisHere(*r), time.Now().UTC().Format(time.DateOnly)
}

// New returns the single record of a command that does not need a Collector. Its result is
// Holds; the caller changes it if something is found.
func New(command, property, method, judge string, n int, unit string, start time.Time) Result {
	r := Collector{Command: command, Rows: []Result{{Property: property, Method: method, Judge: judge, Count: n, Unit: unit,
		Seconds: time.Since(start).Seconds(), Result: Holds}}}
	r.Stamp()
	return r.Rows[0]
}

// Current returns the hash of the source tree and the environment. The hash is "" if the
// sources are not there. Both are determined once, so all records of a process share them.
var Current = sync.OnceValues(func() (tree string, env Env) {
	if root, err := Root("."); err == nil {
		tree, _ = Tree(root)
	}
	return tree, Here()
})

// Table sorts the rows in the order of Properties and writes them as a table for people.
func (r *Collector) Table(out io.Writer) {
	slices.SortStableFunc(r.Rows, func(a, b Result) int { return Order(a.Property) - Order(b.Property) })
	width, judge := 14, 12
	for _, row := range r.Rows {
		width, judge = max(width, len(row.Method)), max(judge, len(row.Judge))
	}
	columns := fmt.Sprintf("  %%-%ds %%-20s %%-%ds %%8s  %%s\n", width, judge)
	fmt.Fprintf(out, "PROPERTY\n"+columns, "HOW CHECKED", "HOW MANY", "JUDGE", "SECONDS", "RESULT")
	last := ""
	for _, row := range r.Rows {
		if row.Property != last {
			fmt.Fprintf(out, "%s: %s\n", row.Property, LawOf(row.Property))
		}
		last = row.Property
		if row.Result == NotRun {
			fmt.Fprintf(out, columns, row.Method, "-", row.Judge, "-", "not run: "+row.Detail)
			continue
		}
		fmt.Fprintf(out, columns, row.Method, fmt.Sprint(row.Count, " ", row.Unit), row.Judge, fmt.Sprintf("%.1f", row.Seconds), row.Result)
	}
}

// Verdict returns the exit code and the end of the output: the verdict, and then what was
// not run, by reason.
func (r *Collector) Verdict() (int, string) {
	ran := 0
	var violated, reasons []string
	not := map[string][]Result{} // rows by reason
	for _, row := range r.Rows {
		name := row.Property + " (" + row.Method + ")"
		switch row.Result {
		case Holds:
			if !row.Control {
				ran++
			}
		case NotRun:
			if not[row.Detail] == nil {
				reasons = append(reasons, row.Detail)
			}
			not[row.Detail] = append(not[row.Detail], row)
		case Violated:
			violated = append(violated, name)
			ran++
		}
	}
	tail := ""
	for _, why := range reasons {
		tail += "\nnot run: " + folded(not[why]) + ": " + why
	}
	switch {
	case len(violated) > 0:
		return ExitViolation, "VIOLATED: " + strings.Join(violated, ", ") + tail
	case ran == 0 && len(not) == 0 && len(r.Others) > 0:
		return ExitNothing, "nothing ran: -run matches none of these rows:\n  " + strings.Join(r.Others, "\n  ")
	case ran == 0:
		return ExitNothing, "nothing ran" + tail
	case r.Ctx.Err() != nil:
		return ExitUsage, fmt.Sprintf("interrupted: what ran holds (%s)%s", Count(ran, "row"), tail)
	case len(not) > 0:
		return ExitHolds, fmt.Sprintf("what ran holds (%s)%s", Count(ran, "row"), tail)
	}
	return ExitHolds, fmt.Sprintf("all holds (%s)", Count(ran, "row"))
}

// folded returns the names of rows. Several rows of a property share one.
func folded(rows []Result) string {
	var properties, list []string
	of := map[string][]Result{}
	for _, r := range rows {
		if of[r.Property] == nil {
			properties = append(properties, r.Property)
		}
		of[r.Property] = append(of[r.Property], r)
	}
	for _, p := range properties {
		what := of[p][0].Method
		if n := len(of[p]); n > 1 {
			what = Count(n, "row")
		}
		list = append(list, p+" ("+what+")")
	}
	return strings.Join(list, ", ")
}
