// SPDX-License-Identifier: MIT

package main

import (
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/record"
)

// TestAgain checks that the commands that run a claim again ask for each of its properties,
// once, and that seeds are passed on.
func TestAgain(t *testing.T) {
	for _, c := range Claims {
		list, err := c.commands(func(source string) (uint64, error) { return 77, nil })
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]int{}
		for _, s := range list {
			text := s.command()
			for _, id := range c.Properties {
				p := record.PropertyOf(id)
				if strings.Contains(text, "("+id+"|") || strings.Contains(text, "|"+id+"|") || strings.Contains(text, "|"+id+")") || strings.Contains(text, "("+id+")") ||
					s.Name == "kernels" && p.Kind == record.Device || s.Name == planted && id == "mutants" || s.Name == "proofs" && id == "proof" {
					asked[id]++
				}
			}
			if s.Name != planted && s.Name != "proofs" && !strings.HasSuffix(text, "-seed 77") {
				t.Errorf("%s: %s: no seed", c.ID, text)
			}
		}
		for _, id := range c.Properties {
			if asked[id] != 1 {
				t.Errorf("%s: %d commands ask for %s", c.ID, asked[id], id)
			}
		}
	}
}

// TestCompare compares records with those of earlier evidence.
func TestCompare(t *testing.T) {
	c := Claim{ID: "C-99", Title: "a title", Clauses: []Clause{{"It says so.", []string{"P8"}}}, Properties: []string{"P8"}}
	row := record.Result{Command: "verify", Property: "P8", Method: "rapid", Count: 5, Unit: "sums", Result: record.Holds}
	before := &Results{Claims: []ClaimResult{c.result([]record.Result{row, {Command: "live", Property: "P8", Method: "long", Result: record.Holds}}, nil)}}
	with := func(change func(r *record.Result)) []record.Result {
		r := row
		change(&r)
		return []record.Result{r}
	}
	for _, x := range []struct {
		name string
		rows []record.Result
		code int
		said []string
	}{
		{"the same", with(func(*record.Result) {}), record.ExitHolds, []string{"5 sums: holds  5 sums: holds", "not run again: 1 row of the command live", "C-99 holds, as in docs/evidence/1"}},
		{"a new row", with(func(r *record.Result) { r.Method = "new" }), record.ExitHolds, []string{"no such row", "C-99 holds; docs/evidence/1 has none of these rows"}},
		{"violated", with(func(r *record.Result) { r.Result, r.Detail = record.Violated, "a difference\nmore" }), record.ExitViolation,
			[]string{"a difference", "P8 rapid was holds and is violated"}},
		{"not run", with(func(r *record.Result) { r.Result, r.Count = record.NotRun, 0 }), record.ExitNothing, []string{"was holds and is not run"}},
		{"nothing", nil, record.ExitNothing, []string{"C-99 not run"}},
	} {
		var out strings.Builder
		code, _ := c.compare(before, "docs/evidence/1", x.rows, nil, &out)
		if code != x.code || slices.ContainsFunc(x.said, func(s string) bool { return !strings.Contains(out.String(), s) }) {
			t.Errorf("%s: exit code %d, want %d\n%s", x.name, code, x.code, out.String())
		}
	}
	for _, id := range []string{"C-98", "", "P8"} {
		if _, err := claimOf(id); err == nil || !strings.Contains(err.Error(), "C-01, C-02") {
			t.Errorf("claim %q: %v", id, err)
		}
	}
}

// TestNewest checks that a claim that no directory of evidence has yet is compared with the
// newest records.
func TestNewest(t *testing.T) {
	for _, c := range Claims {
		if slices.Contains(c.Properties, "proof") {
			if rows := c.newest("../..").Claims[0].Rows; len(rows) == 0 || slices.ContainsFunc(rows, func(r Row) bool { return r.Result != record.Holds }) {
				t.Errorf("%s: %+v", c.ID, rows)
			}
		}
	}
}
