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
}

// NewCollector returns a Collector. Its Root is the checkout that the process is in, if any.
func NewCollector(ctx context.Context, command string, progress io.Writer, only *regexp.Regexp) Collector {
	root, _ := Root(".")
	return Collector{Ctx: ctx, Command: command, Progress: progress, Only: only, Root: root}
}

// Wanted reports whether a row is to be run.
func (r *Collector) Wanted(property, method string) bool {
	return r.Only == nil || r.Only.MatchString(property+" "+method)
}

// NotRun records that a row was not run, and why. It ignores rows that are not Wanted.
func (r *Collector) NotRun(property, method, judge, why string) {
	if r.Wanted(property, method) {
		r.Rows = append(r.Rows, Result{Property: property, Method: method, Judge: judge, Result: NotRun, Detail: why})
	}
}

// Add records a row that ran since start. The row is violated if err is not nil, and err is
// then also written to Progress.
func (r *Collector) Add(row Result, start time.Time, err error) {
	row.Seconds = time.Since(start).Seconds()
	row.Result = Holds
	if err != nil {
		row.Result, row.Detail = Violated, err.Error()
		r.Say("%s %s: %v", row.Property, row.Method, err)
	}
	r.Rows = append(r.Rows, row)
}

// Say writes a line to Progress.
func (r *Collector) Say(format string, args ...any) {
	fmt.Fprintf(r.Progress, r.Command+": "+format+"\n", args...)
}

// Stamp fills in the fields that all records of a run share.
func (r *Collector) Stamp() {
	tree, env := Current()
	for i := range r.Rows {
		r.Rows[i].Format, r.Rows[i].Command, r.Rows[i].Tree, r.Rows[i].Env = 1, r.Command, tree, env
	}
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

// Verdict returns the exit code and the last line of the output. The line names the rows
// that were not run.
func (r *Collector) Verdict() (int, string) {
	var ran int
	var violated, not []string
	for _, row := range r.Rows {
		switch row.Result {
		case Holds:
			if !row.Control {
				ran++
			}
		case NotRun:
			not = append(not, row.Property+" ("+row.Method+")")
		case Violated:
			violated = append(violated, row.Property+" ("+row.Method+")")
			ran++
		}
	}
	tail := ""
	if len(not) > 0 {
		tail = "; not run: " + strings.Join(not, ", ")
	}
	switch {
	case len(violated) > 0:
		return ExitViolation, "VIOLATED: " + strings.Join(violated, ", ") + tail
	case ran == 0:
		return ExitNothing, "nothing ran" + tail
	case r.Ctx.Err() != nil:
		return ExitUsage, fmt.Sprintf("interrupted: what ran holds (%d rows)%s", ran, tail)
	}
	return ExitHolds, fmt.Sprintf("all that ran holds (%d rows)%s", ran, tail)
}
