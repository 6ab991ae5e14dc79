// SPDX-License-Identifier: MIT

package campaign

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/record"
)

// Records adds a row for each target to r, and a row that shows whether the campaign found
// its canary.
func (s *Summary) Records(r *record.Collector, c Config) {
	method := "fuzz " + c.Engine
	if c.Plant != nil {
		method += ", with the planted bug " + c.Plant.Name
	}
	if s.Canary != "" {
		row := record.Result{Property: "canary", Method: method, Judge: "planted bug", Control: true, Count: 1, Unit: "bugs", Seconds: s.After.Seconds(), Result: record.Holds, Detail: s.Canary}
		if s.After == 0 {
			row.Count, row.Result, row.Detail = 0, record.NotRun, s.Canary+" was planted and not found: this campaign is blind"
		}
		r.Rows = append(r.Rows, row)
	}
	for _, t := range s.Results {
		row := record.Result{Property: t.Target.ID, Method: method, Judge: t.Target.Judge, Count: int(t.executed()), Unit: "executions", Seconds: t.Seconds,
			Result: record.Holds, Detail: fmt.Sprintf("%d inputs kept, %d new", t.Corpus, t.New)}
		for i, f := range t.Findings {
			if i == 0 {
				row.Result, row.Detail = record.Violated, ""
			}
			row.Detail += fmt.Sprintf("after %.1f s: %s\n%s\n", f.After.Seconds(), f.File, f.Outcome.Msg)
		}
		if t.Execs == 0 && t.Findings == nil {
			row.Result, row.Detail = record.NotRun, t.tooShort(s.first(c), r.Ctx != nil && r.Ctx.Err() != nil)
		}
		r.Rows = append(r.Rows, row)
	}
	r.Stamp()
	if c.Plant != nil { // they are not of this tree
		for i := range r.Rows {
			r.Rows[i].Tree, r.Rows[i].Basis = "", ""
		}
	}
}

// executed returns the number of executions. An engine that stopped before its first report
// executed at least the inputs that are findings.
func (t Result) executed() int64 { return max(t.Execs, int64(len(t.Findings))) }

// first reports whether the campaign ended with its first finding.
func (s *Summary) first(c Config) bool {
	return c.First && slices.ContainsFunc(s.Results, func(t Result) bool { return len(t.Findings) > 0 })
}

// tooShort explains why no input of a target was executed.
func (t Result) tooShort(first, interrupted bool) string {
	switch {
	case interrupted:
		return "interrupted before its turn"
	case first:
		return "the campaign ended with its first finding"
	case t.Seconds == 0:
		return "the time was too short: it had no turn"
	}
	return fmt.Sprintf("the time was too short: no input was executed in %.1f s", t.Seconds)
}

// Print writes, for people, the findings and what all campaigns on the directory did.
func (sum *Summary) Print(out io.Writer, c Config) error {
	var execs, inputs, fresh int64
	findings := 0
	for _, t := range sum.Results {
		execs, inputs, fresh = execs+t.executed(), inputs+int64(t.Corpus), fresh+int64(t.New)
		findings += len(t.Findings)
		for _, f := range t.Findings {
			again := ""
			if !f.New {
				again = ", found before"
			}
			fmt.Fprintf(out, "finding: %s after %.1f s%s: %s\n", f.Outcome.Key(), f.After.Seconds(), again, f.File)
		}
	}
	fmt.Fprintf(out, "%s in %.0f s, %.0f a second and core; %d inputs kept, %d of them new; %s, %d flaky\n", record.Count(int(execs), "execution"), sum.Seconds,
		float64(execs)/max(1, sum.Seconds)/float64(min(runtime.NumCPU(), c.Workers*c.AtOnce)), inputs, fresh, record.Count(findings, "finding"), sum.Flaky)
	runs, err := Store{Dir: c.Dir}.Runs()
	if err != nil {
		return err
	}
	var all int64
	seconds := 0.0
	for _, r := range runs {
		seconds += r.Seconds
		for _, t := range r.Targets {
			all += t.Execs
		}
	}
	fmt.Fprintf(out, "%s: %s, %s, %v\n", c.Dir, record.Count(len(runs), "campaign"), record.Count(int(all), "execution"), time.Duration(seconds)*time.Second)
	if c.Plant != nil && findings > 0 {
		fmt.Fprintf(out, "the bug %s was planted: \"tunproof replay -plant %s FILE\" runs a finding with it, and without -plant offload has no such bug\n", c.Plant.Name, c.Plant.Name)
	}
	return nil
}

// Verdict returns the exit code and the last line. An interrupt is how a campaign
// without a time limit ends. If the time was too short for a target, nothing is known
// about its property, and the campaign is inconclusive.
func (sum *Summary) Verdict(r *record.Collector, c Config) (int, string) {
	code, verdict := r.Verdict()
	short := 0
	for _, t := range sum.Results {
		if t.Execs == 0 && t.Findings == nil {
			short++
		}
	}
	if short > 0 && code == record.ExitHolds {
		code = record.ExitNothing
		verdict = fmt.Sprintf("too short for %d of %d targets: %s", short, len(sum.Results), verdict)
	}
	if code == record.ExitUsage && c.Time == 0 {
		code = record.ExitHolds
	}
	if c.Plant != nil && code == record.ExitHolds {
		code, verdict = record.ExitUsage, "the planted bug was not found: "+verdict
	}
	if sum.Canary != "" && sum.After == 0 && code != record.ExitViolation {
		code, verdict = record.ExitUsage, "BLIND: "+verdict
	}
	return code, verdict
}

// RatesTable writes targets by engines, in Markdown: executions a second of one process.
func RatesTable(w io.Writer, rows []record.Result) error {
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
	for _, t := range targets.All() {
		fmt.Fprintf(&b, "| %s (%s) |", t.Name, t.ID)
		for _, m := range methods {
			if v, measured := rate[[2]string{t.ID, m}]; measured {
				fmt.Fprintf(&b, " %.0f |", v)
			} else {
				b.WriteString(" not measured |")
			}
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
