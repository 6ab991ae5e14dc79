// SPDX-License-Identifier: MIT

package record

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestVerdict checks what rows make of a run: the exit code and the last line.
func TestVerdict(t *testing.T) {
	bad := errors.New("bytes differ")
	row := func(method string, n int) Result {
		return Result{Property: "P2", Method: method, Count: n}
	}
	control := Result{Property: "canary", Method: "control", Count: 1, Control: true}
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		name string
		ctx  context.Context
		add  func(r *Collector)
		code int
		line string
	}{
		{"a row that holds", t.Context(), func(r *Collector) { r.Add(row("a", 3), time.Now(), nil) }, ExitHolds, "all holds (1 row)"},
		{"a violation among others", t.Context(), func(r *Collector) {
			r.Add(row("a", 3), time.Now(), nil)
			r.Add(row("b", 3), time.Now(), bad)
			r.Add(row("c", 3), time.Now(), nil)
		}, ExitViolation, "VIOLATED: P2 (b)"},
		{"a violation by the first input", t.Context(), func(r *Collector) { r.Add(row("a", 0), time.Now(), bad) }, ExitViolation, "VIOLATED: P2 (a)"},
		{"a row that checked nothing", t.Context(), func(r *Collector) { r.Add(row("a", 0), time.Now(), nil) }, ExitNothing, "nothing ran\nnot run: P2 (a): nothing was checked"},
		{"a row that was not run", t.Context(), func(r *Collector) {
			r.Add(row("a", 1), time.Now(), nil)
			r.NotRun("P3", "b", "", "why")
		}, ExitHolds, "what ran holds (1 row)\nnot run: P3 (b): why"},
		{"a control alone", t.Context(), func(r *Collector) { r.Add(control, time.Now(), nil) }, ExitNothing, "nothing ran"},
		{"a control that fails", t.Context(), func(r *Collector) {
			r.Add(row("a", 1), time.Now(), nil)
			r.Add(control, time.Now(), bad)
		}, ExitViolation, "VIOLATED: canary (control)"},
		{"an interrupt", ended, func(r *Collector) { r.Add(row("a", 1), time.Now(), nil) }, ExitUsage, "interrupted: what ran holds (1 row)"},
	} {
		r := Collector{Ctx: c.ctx, Progress: io.Discard}
		c.add(&r)
		if code, line := r.Verdict(); code != c.code || line != c.line {
			t.Errorf("%s: %d %q, want %d %q", c.name, code, line, c.code, c.line)
		}
		var table strings.Builder
		if r.Table(&table); !strings.Contains(table.String(), r.Rows[0].Method) {
			t.Errorf("%s: the table lacks its row:\n%s", c.name, table.String())
		}
	}
}

// TestExit checks the exit code for results.
func TestExit(t *testing.T) {
	holds, violated, not := Result{Result: Holds}, Result{Result: Violated}, Result{Result: NotRun}
	for _, c := range []struct {
		list []Result
		code int
	}{
		{nil, ExitNothing}, {[]Result{not}, ExitNothing}, {[]Result{not, holds}, ExitHolds},
		{[]Result{holds, violated}, ExitViolation}, {[]Result{violated, holds, not}, ExitViolation},
	} {
		if code := Exit(c.list); code != c.code {
			t.Errorf("%v: %d, want %d", c.list, code, c.code)
		}
	}
}

// TestJudgeFindings checks the result that findings give.
func TestJudgeFindings(t *testing.T) {
	stopped := errors.New("interrupted")
	for _, c := range []struct {
		total  int
		err    error
		result string
		detail string
	}{
		{0, nil, Holds, ""}, {0, stopped, NotRun, "interrupted"}, {2, nil, Violated, "2 findings, the first: one"}, {1, stopped, Violated, "1 finding, the first: one"},
	} {
		r := Result{Result: Holds}
		if JudgeFindings(&r, c.total, []text{"one\nmore"}, c.err); r.Result != c.result || r.Detail != c.detail {
			t.Errorf("%d findings, error %v: %s %q", c.total, c.err, r.Result, r.Detail)
		}
	}
}

type text string

func (t text) String() string { return string(t) }
