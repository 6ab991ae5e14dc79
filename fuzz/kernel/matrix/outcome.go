// SPDX-License-Identifier: MIT

package matrix

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"tunproof/fuzz/record"
	"tunproof/tunlive/kernels"
)

// output is the output of a program.
type output struct{ bytes.Buffer }

// tail returns the last 40 lines of the output.
func (o *output) tail() string {
	const most = 40
	lines := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// records returns the records of a boot: those that the program wrote if it ended by
// itself, otherwise one that says how it ended.
func (s step) records(o kernels.Outcome, said *output) ([]record.Result, error) {
	failed := record.Result{Property: s.about, Method: s.name, Result: record.Violated, Seconds: o.Seconds, Seed: s.seed}
	switch {
	case o.Ended != kernels.Exited:
		failed.Detail = fmt.Sprintf("%v\n%s\n%s", o, said.tail(), o.Console)
		return []record.Result{failed}, nil
	case s.program != "tunproof":
		return s.tests(o, said)
	case o.Code != record.ExitHolds && o.Code != record.ExitViolation:
		return nil, fmt.Errorf("%v\n%s\n%s", o, said.tail(), o.Console)
	}
	var lines []string
	for line := range strings.Lines(said.String()) {
		if strings.HasPrefix(line, "{") {
			lines = append(lines, line)
		}
	}
	rows, err := record.Read(strings.NewReader(strings.Join(lines, "")))
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("no records\n%s", said.tail())
	}
	if err != nil {
		return nil, err
	}
	for i := range rows {
		if row := &rows[i]; row.Result == record.NotRun && !mayMiss(s.series.Name, row.Method) {
			row.Result, row.Detail = record.Violated, "not run, and not expected to be missing: "+row.Detail
		} else if row.Result == record.Violated {
			row.Detail += "\n" + said.tail()
		}
	}
	if s.name == first { // once for each kernel
		rows = append(rows, probed(s.series.Name, rows[0]))
	}
	return rows, nil
}

var (
	passed  = regexp.MustCompile(`(?m)^\s*--- PASS: (\S+)`)
	skipped = regexp.MustCompile(`(?m)^\s*--- SKIP: (\S+)`)
	broken  = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
)

// tests returns the record of a test program: how many tests passed, and whether it
// skipped exactly the tests that it is expected to skip on this kernel.
func (s step) tests(o kernels.Outcome, said *output) ([]record.Result, error) {
	row := record.Result{Property: s.about, Method: "tests", Unit: "tests", Result: record.Holds, Seconds: o.Seconds}
	row.Count = len(passed.FindAll(said.Bytes(), -1))
	var names []string
	for _, m := range broken.FindAllSubmatch(said.Bytes(), -1) {
		names = append(names, string(m[1]))
	}
	switch {
	case len(names) > 0:
		row.Result, row.Detail = record.Violated, fmt.Sprintf("tests failed: %s\n%s", strings.Join(names, ", "), said.tail())
	case o.Code != 0:
		row.Result, row.Detail = record.Violated, fmt.Sprintf("%v\n%s", o, said.tail())
	case row.Count == 0:
		return nil, fmt.Errorf("no tests ran\n%s", said.tail())
	}
	if row.Result != record.Holds {
		return []record.Result{row}, nil
	}
	var skips []string
	for _, m := range skipped.FindAllSubmatch(said.Bytes(), -1) {
		skips = append(skips, string(m[1]))
	}
	if unexpected := checkSkips(s.about, s.series.Name, skips); unexpected != "" {
		row.Result, row.Detail = record.Violated, unexpected
	} else if len(skips) > 0 {
		row.Detail = "skipped, as expected: " + strings.Join(skips, ", ")
	}
	return []record.Result{row}, nil
}
