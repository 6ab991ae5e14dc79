package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/record"
	"tunproof/fuzz/target"
)

// results are what a command that checks properties found: result records, and
// how they are shown.
type results struct {
	ctx      context.Context
	command  string
	progress io.Writer
	only     *regexp.Regexp // of rows
	root     string         // of the checkout, "" if there is none
	rows     []record.Result
}

func newResults(ctx context.Context, command string, progress io.Writer, only *regexp.Regexp) results {
	root, _ := record.Root(".")
	return results{ctx: ctx, command: command, progress: progress, only: only, root: root}
}

func (r *results) wanted(property, method string) bool {
	return r.only.MatchString(property + " " + method)
}

func (r *results) notRun(property, method, judge, why string) {
	if r.wanted(property, method) {
		r.rows = append(r.rows, record.Result{Property: property, Method: method, Judge: judge, Result: record.NotRun, Detail: why})
	}
}

// add records what ran. Of a violation it shows all there is.
func (r *results) add(row record.Result, start time.Time, err error) {
	row.Seconds = time.Since(start).Seconds()
	row.Result = record.Holds
	if err != nil {
		row.Result, row.Detail = record.Violated, err.Error()
		r.say("%s %s: %v", row.Property, row.Method, err)
	}
	r.rows = append(r.rows, row)
}

func (r *results) say(format string, args ...any) {
	fmt.Fprintf(r.progress, r.command+": "+format+"\n", args...)
}

// sayCases shows what was found as cases.
func (r *results) sayCases(f *finding, law, source string) {
	for _, c := range f.scenario.Cases(law, source) {
		target.Expect(c)
		fmt.Fprintf(r.progress, "a case of it, ready for corpus/%s:\n%s", c.Op, pkts.Format(c))
	}
}

// stamp fills in what all records share.
func (r *results) stamp() {
	tree, env := here()
	for i := range r.rows {
		r.rows[i].Format, r.rows[i].Command, r.rows[i].Tree, r.rows[i].Env = 1, r.command, tree, env
	}
}

// newRecord is the record of a command with one, that holds so far.
func newRecord(command, property, method, judge string, n int, unit string, start time.Time) record.Result {
	r := results{command: command, rows: []record.Result{{Property: property, Method: method, Judge: judge, Count: n, Unit: unit,
		Seconds: time.Since(start).Seconds(), Result: record.Holds}}}
	r.stamp()
	return r.rows[0]
}

// here is the tree, "" if the sources are not there, and the environment: of all
// records of a process.
var here = sync.OnceValues(func() (tree string, env record.Env) {
	if root, err := record.Root("."); err == nil {
		tree, _ = record.Tree(root)
	}
	return tree, record.Here()
})

// resume reads a state file, if there is one, into state, a pointer. of points to
// what in state says what it is of; if that was of something else it is an error.
func (r *results) resume(file string, state any, of *string) error {
	if file == "" {
		return nil
	}
	want := *of
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, state)
	}
	if err == nil && *of != want {
		err = fmt.Errorf("it is of %s, this is %s; remove it to start afresh", *of, want)
	}
	if err != nil {
		return fmt.Errorf("state %s: %w", file, err)
	}
	r.say("going on with %s", file)
	return nil
}

// writeState writes a state file, if one was named.
func writeState(file string, state any) error {
	if file == "" {
		return nil
	}
	b, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return writeFile(file, b)
}

// order is the order of the rows.
func order(property string) int {
	known := []string{"cases", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "codec", "pkts", "pcap", "hexdump", "judges", "K1", "K2", "K3", "K4", "K5", "mutants"}
	if i := slices.Index(known, property); i >= 0 {
		return i
	}
	return len(known)
}

var laws = map[string]string{
	"cases":   "every case of the corpus comes out as stated",
	"P8":      "every checksum is the model's, at every length and alignment",
	"P9":      "no allocation in steady state, errors included",
	"P10":     "every input of a small scope",
	"codec":   "Decode(Encode(s)) == s",
	"pkts":    "the .pkts parser takes or refuses any bytes",
	"pcap":    "the pcap reader takes or refuses any bytes",
	"hexdump": "the reader of packets as text takes or refuses any bytes",
	"judges":  "check, compare and anonymise take any packets; a capture compared with itself shows nothing",
	"K1":      "Segment == the kernel's",
	"K2":      "superpackets come out of the kernel as the packets",
	"K3":      "the kernel's GRO makes the same superpackets",
	"K4":      "the kernel refuses what Segment refuses",
	"K5":      "sockets on both ends get every byte",
	"mutants": "bugs that are planted one at a time are noticed (docs/mutation.md)",
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
func (r *results) table(out io.Writer) {
	slices.SortStableFunc(r.rows, func(a, b record.Result) int { return order(a.Property) - order(b.Property) })
	width, judge := 14, 12
	for _, row := range r.rows {
		width, judge = max(width, len(row.Method)), max(judge, len(row.Judge))
	}
	columns := fmt.Sprintf("  %%-%ds %%-20s %%-%ds %%8s  %%s\n", width, judge)
	fmt.Fprintf(out, "PROPERTY\n"+columns, "HOW CHECKED", "HOW MANY", "JUDGE", "SECONDS", "RESULT")
	last := ""
	for _, row := range r.rows {
		if row.Property != last {
			fmt.Fprintf(out, "%s: %s\n", row.Property, law(row.Property))
		}
		last = row.Property
		if row.Result == record.NotRun {
			fmt.Fprintf(out, columns, row.Method, "-", row.Judge, "-", "not run: "+row.Detail)
			continue
		}
		fmt.Fprintf(out, columns, row.Method, fmt.Sprint(row.Count, " ", row.Unit), row.Judge, fmt.Sprintf("%.1f", row.Seconds), row.Result)
	}
}

// verdict is the exit code and the last line, which claims nothing that was not
// run.
func (r *results) verdict() (int, string) {
	var ran int
	var violated, not []string
	for _, row := range r.rows {
		switch row.Result {
		case record.Holds:
			if row.Property != canaryRow { // which says that the others would see something
				ran++
			}
		case record.NotRun:
			not = append(not, row.Property+" ("+row.Method+")")
		case record.Violated:
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
		return record.ExitViolation, "VIOLATED: " + strings.Join(violated, ", ") + tail
	case ran == 0:
		return record.ExitNothing, "nothing ran" + tail
	case r.ctx.Err() != nil:
		return record.ExitUsage, fmt.Sprintf("interrupted: what ran holds (%d rows)%s", ran, tail)
	}
	return record.ExitHolds, fmt.Sprintf("all that ran holds (%d rows)%s", ran, tail)
}
