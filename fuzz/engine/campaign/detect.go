// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

// detections are the bugs that engines look for, each with a target that can see it. They
// cover every part of offload and every difficulty.
var detections = []struct{ bug, target string }{
	{"short-packet-does-not-close", "Agree"},
	{"id-not-compared", "Equation"},
	{"psh-does-not-close", "Equation"},
	{"l4-checksum-repaired", "Repair"},
	{"udp-checksum-absent-is-right", "Agree"},
	{"fragment-is-overtaken", "Order"},
	{"table-not-emptied", "Agree"},
	{"cwr-on-all", "Agree"},
	{"extension-length-of-8-bits", "Total"},
	{"headers-overwritten-in-place", "Buffers"},
	{"pseudo-sum-without-length", "WellFormed"},
	{"carry-lost", "Checksum"},
}

// starts are what an engine starts from, and how long it may look.
var starts = []struct {
	name  string
	empty bool
	limit time.Duration
}{{"the seeds", false, 30 * time.Second}, {"nothing", true, 2 * time.Minute}}

// Detect looks for each bug of detections with each engine, once from the seeds and once
// from nothing. It adds a row to r for each of these searches, except those that r does
// not want. If it is interrupted, it returns an error.
func Detect(r *record.Collector) error {
	for _, engine := range []string{"native", "libfuzzer"} {
		for _, start := range starts {
			for _, d := range detections {
				method := engine + " from " + start.name
				if r.Ctx.Err() != nil || !r.Wanted(d.bug, method) {
					continue
				}
				row, err := detect(r.Ctx, r.Root, engine, d.bug, d.target, start.empty, start.limit)
				if err != nil {
					return err
				}
				if r.Ctx.Err() != nil {
					break // it had not its time
				}
				row.Method = method
				r.Rows = append(r.Rows, row)
				r.Say("%s, %s: %s after %.1f s, %s", d.bug, method, row.Result, row.Seconds, row.Detail)
			}
		}
	}
	if r.Ctx.Err() != nil {
		return errors.New("interrupted: nothing is written")
	}
	return nil
}

// detect looks for one bug with one process. The row holds if it was found, and is not
// run if it was not: an engine that finds nothing says nothing.
func detect(ctx context.Context, root, engine, name, of string, empty bool, limit time.Duration) (record.Result, error) {
	row := record.Result{Property: name, Judge: of, Count: 1, Unit: "bugs"}
	bug := mutants.Named(mutants.Bugs(), name)
	if bug == nil {
		return row, fmt.Errorf("no planted bug %q", name)
	}
	dir, err := os.MkdirTemp("", "tunproof-detect-")
	if err != nil {
		return row, err
	}
	defer os.RemoveAll(dir)
	c := Config{Root: root, Dir: filepath.Join(dir, "store"), Engine: engine, Time: limit, AtOnce: 1, Workers: 1, Empty: empty, First: true, Plant: bug,
		Limits: serve.Limits{Time: 10 * time.Second, Memory: 2048}, Say: func(string, ...any) {}}
	t, ok := targets.Named(of)
	if !ok {
		return row, fmt.Errorf("no fuzz target %q", of)
	}
	c.Targets = []targets.Target{t}
	sum, err := Fuzz(ctx, c)
	if err != nil {
		return row, err
	}
	got := sum.Results[0]
	row.Seconds, row.Result, row.Detail = sum.Seconds, record.NotRun, fmt.Sprintf("not found in %v, %d executions", limit, got.Execs)
	if len(got.Findings) > 0 {
		f := got.Findings[0]
		row.Seconds, row.Result, row.Detail = f.After.Seconds(), record.Holds, f.Outcome.Key()
	}
	return row, nil
}

// DetectTable writes bugs by engines, in Markdown.
func DetectTable(w io.Writer, rows []record.Result) error {
	var bugs, methods []string
	cell := map[[2]string]string{}
	of := map[string]string{}
	found := map[string]int{}
	for _, r := range rows {
		if !slices.Contains(bugs, r.Property) {
			bugs = append(bugs, r.Property)
		}
		if !slices.Contains(methods, r.Method) {
			methods = append(methods, r.Method)
		}
		of[r.Property] = r.Judge
		text := "no"
		if r.Result == record.Holds {
			text = fmt.Sprintf("%.1f s", r.Seconds)
			found[r.Method]++
		}
		cell[[2]string{r.Property, r.Method}] = text
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| planted bug | target | %s |\n|---|---|%s\n", strings.Join(methods, " | "), strings.Repeat("---|", len(methods)))
	for _, bug := range bugs {
		fmt.Fprintf(&b, "| %s | %s |", bug, of[bug])
		for _, m := range methods {
			fmt.Fprintf(&b, " %s |", cell[[2]string{bug, m}])
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "| found | |")
	for _, m := range methods {
		fmt.Fprintf(&b, " %d of %d |", found[m], len(bugs))
	}
	b.WriteByte('\n')
	if len(rows) > 0 {
		e := rows[0].Env
		fmt.Fprintf(&b, "\n%s, Linux %s, %s, one process, tree %s.\n", e.CPU, e.Kernel, e.Go, rows[0].Tree)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
