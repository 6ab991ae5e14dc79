// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"tunproof/fuzz/conform"
	"tunproof/fuzz/record"
)

// Results is the content of results.json.
type Results struct {
	Format     int            `json:"format"`
	Version    string         `json:"version"`
	Date       string         `json:"date"`
	Commit     string         `json:"commit"`
	Tree       string         `json:"tree"`
	Claims     []ClaimResult  `json:"claims"`
	Sources    []SourceResult `json:"sources"`
	Harness    []Row          `json:"harness"`   // mutants that the harness detects
	Detection  []Detection    `json:"detection"` // planted bugs that fuzzing engines found
	Others     []Other        `json:"others"`    // other implementations, judged by the same properties
	NotCovered []string       `json:"not_covered"`
}

// ClaimResult is a claim with its result and the records that support it.
type ClaimResult struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	Says       string   `json:"says"`
	Properties []string `json:"properties"`
	Result     string   `json:"result"` // record.Holds, Violated or NotRun
	Rows       []Row    `json:"rows"`
	Noticed    int      `json:"noticed"` // planted bugs that one of the properties detects
	Alone      int      `json:"alone"`   // planted bugs that nothing else detects
	Kernels    []string `json:"kernels,omitempty"`
	Limits     []string `json:"limits"`
}

// Row is the sum of the records of one command, property, method and judge.
type Row struct {
	Command  string   `json:"command"`
	Property string   `json:"property"`
	Method   string   `json:"method"`
	Judge    string   `json:"judge"`
	Count    int      `json:"n"`
	Unit     string   `json:"unit"`
	Seconds  float64  `json:"seconds"`
	Result   string   `json:"result"`
	Detail   string   `json:"detail,omitempty"`
	Date     string   `json:"date,omitempty"` // of the oldest record
	Kernels  []string `json:"kernels,omitempty"`
}

// Detection is the number of planted bugs that a fuzzing engine found.
type Detection struct {
	Method  string  `json:"method"`
	Found   int     `json:"found"`
	Of      int     `json:"of"`
	Seconds float64 `json:"seconds"`
}

// SourceResult is the origin of records.
type SourceResult struct {
	Name    string `json:"name"`
	Command string `json:"command"`
	File    string `json:"file"` // in the directory; "" if there is none
	Seed    uint64 `json:"seed,omitempty"`
}

// Other is the result of judging another implementation.
type Other struct {
	Name       string            `json:"name"`
	Version    string            `json:"version"`
	Seed       uint64            `json:"seed"`
	Seconds    float64           `json:"seconds"`
	Inputs     int               `json:"inputs"`
	Properties map[string]string `json:"properties"`
	Ways       int               `json:"ways"`
}

//go:embed results.schema.json
var schema []byte

// Validate returns an error if results.json does not match a schema.
func Validate(schema, results []byte) error {
	s, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(results))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("results.schema.json", s); err != nil {
		return err
	}
	compiled, err := c.Compile("results.schema.json")
	if err != nil {
		return err
	}
	return compiled.Validate(doc)
}

// results sums up the gathered records. A record that no claim uses is an error, because
// it would be lost.
func results(list []*gathered) (*Results, error) {
	r := &Results{Format: 1, NotCovered: NotCovered, Detection: []Detection{}}
	var rows []record.Result
	var bugs []mutant
	for _, g := range list {
		for _, row := range g.rows {
			switch {
			case row.Command == "detect":
				r.detected(row)
			case !slices.ContainsFunc(Claims, func(c Claim) bool { return slices.Contains(c.Properties, row.Property) }):
				return nil, fmt.Errorf("%s: no claim uses %q, which is %s: %s", g.File, row.Property, row.Result, row.Detail)
			default:
				rows = append(rows, row)
				if row.Command == "mutants" {
					r.Harness = addRow(r.Harness, row)
				}
			}
		}
		if g.Name == planted {
			bugs = g.mutants
		}
		for _, o := range g.others {
			if o.Impl == "tunproof" {
				rows = append(rows, o.Records(o.Seed, o.Tree)...)
			}
			r.Others = append(r.Others, o.sum())
		}
	}
	for _, c := range Claims {
		if c.Retired == "" {
			r.Claims = append(r.Claims, c.result(rows, bugs))
		}
	}
	for _, s := range Sources {
		one := SourceResult{Name: s.Name, Command: s.command()}
		if at := slices.IndexFunc(list, func(g *gathered) bool { return g.Name == s.Name }); at >= 0 {
			one.File, one.Seed = s.kept(), list[at].seed()
		}
		r.Sources = append(r.Sources, one)
	}
	return r, nil
}

// detected counts a planted bug that a fuzzing engine looked for.
func (r *Results) detected(row record.Result) {
	at := slices.IndexFunc(r.Detection, func(d Detection) bool { return d.Method == row.Method })
	if at < 0 {
		at = len(r.Detection)
		r.Detection = append(r.Detection, Detection{Method: row.Method})
	}
	d := &r.Detection[at]
	d.Of++
	d.Seconds += row.Seconds
	if row.Result == record.Holds {
		d.Found++
	}
}

// kept returns the name of a source's file in the directory.
func (s Source) kept() string { return "records/" + strings.ReplaceAll(s.Name, " ", "-") + ".jsonl" }

// seed returns the first seed in the records, or 0 if there is none.
func (g *gathered) seed() uint64 {
	for _, o := range g.others {
		return o.Seed
	}
	for _, r := range g.rows {
		if r.Seed != 0 {
			return r.Seed
		}
	}
	return 0
}

// refuses is the result of a property if all its violations are refusals.
const refuses = "refuses"

// sum returns the result of an implementation.
func (o other) sum() Other {
	s := Other{Name: o.Impl, Version: o.Version, Seed: o.Seed, Seconds: o.Seconds, Inputs: o.Inputs["P1"], Properties: map[string]string{}, Ways: len(o.Found)}
	for _, p := range conform.Properties() {
		switch {
		case o.Inputs[p] == 0:
			s.Properties[p] = record.NotRun
		case len(o.Of(p)) > 0 && !slices.ContainsFunc(o.Of(p), func(f conform.Found) bool { return !strings.HasPrefix(f.What, "refuses ") }):
			s.Properties[p] = refuses
		case len(o.Of(p)) > 0:
			s.Properties[p] = record.Violated
		default:
			s.Properties[p] = record.Holds
		}
	}
	return s
}

// methods returns the methods of docs/mutation.md that belong to the claim's properties.
// It returns none if no planted bugs are meant for them.
func (c Claim) methods() (list []string) {
	for _, p := range c.Properties {
		switch {
		case p == "cases":
			list = append(list, "corpus")
		case p == "K1" || p == "K2" || p == "K3":
			list = append(list, "kernel")
		case p[0] == 'P' || p == "device":
			list = append(list, p)
		}
	}
	return list
}

// result returns the result of a claim. It holds if each of its properties was run, each
// clause is carried by records that hold, and none was violated. A row that was not run
// counts, unless another command ran the same method.
func (c Claim) result(rows []record.Result, bugs []mutant) ClaimResult {
	r := ClaimResult{ID: c.ID, Title: c.Title, Says: c.Says(), Properties: c.Properties, Limits: c.Limits, Result: record.Holds}
	for _, p := range c.Properties {
		held := false
		for _, row := range rows {
			if row.Property != p {
				continue
			}
			r.Rows = addRow(r.Rows, row)
			if k := kernelOf(row); k != "" && row.Result != record.NotRun && !slices.Contains(r.Kernels, k) {
				r.Kernels = append(r.Kernels, k)
			}
			held = held || row.Result == record.Holds
			if row.Result == record.Violated {
				r.Result = record.Violated
			}
		}
		if !held && r.Result == record.Holds {
			r.Result = record.NotRun
		}
	}
	if r.Result == record.Holds && !c.carried(r.Rows) {
		r.Result = record.NotRun
	}
	methods := c.methods()
	ours := func(m string) bool { return slices.Contains(methods, m) }
	for _, m := range bugs {
		by := strings.Fields(strings.ReplaceAll(m.By, "!", "")) // "!" marks a test that hung
		if slices.ContainsFunc(by, ours) {
			r.Noticed++
			if !slices.ContainsFunc(by, func(m string) bool { return !ours(m) }) {
				r.Alone++
			}
		}
	}
	return r
}

// carried reports whether each clause has records that hold, and nothing was left out.
func (c Claim) carried(rows []Row) bool {
	for _, x := range c.Clauses {
		for _, by := range x.By {
			if !slices.ContainsFunc(rows, func(r Row) bool { return r.Result == record.Holds && carries(by, r) }) {
				return false
			}
		}
	}
	return !slices.ContainsFunc(rows, func(r Row) bool {
		return r.Result == record.NotRun && !slices.ContainsFunc(rows, func(o Row) bool {
			return o.Result == record.Holds && o.Property == r.Property && o.Method == r.Method
		})
	})
}

// kernelOf returns the kernel that a record is about, or "".
func kernelOf(r record.Result) string {
	if r.Command == "kernels" || strings.HasPrefix(r.Property, "K") {
		return r.Env.Kernel
	}
	return ""
}

// addRow adds a record to its row. The records of several kernels share a row.
func addRow(rows []Row, r record.Result) []Row {
	method, judge := r.Method, r.Judge
	if r.Command == "kernels" {
		judge = "kernels"
	}
	unit, _, _ := strings.Cut(r.Unit, " asked of ")
	at := slices.IndexFunc(rows, func(o Row) bool {
		return o.Command == r.Command && o.Property == r.Property && o.Method == method && o.Judge == judge
	})
	if at < 0 {
		at = len(rows)
		rows = append(rows, Row{Command: r.Command, Property: r.Property, Method: method, Judge: judge, Result: record.NotRun})
	}
	row := &rows[at]
	if r.Result != record.NotRun {
		row.Count += r.Count
	}
	row.Seconds += r.Seconds
	if r.Date != "" && (row.Date == "" || r.Date < row.Date) {
		row.Date = r.Date
	}
	if unit != "" {
		row.Unit = unit
	}
	switch {
	case r.Result == record.Violated:
		row.Result, row.Detail = r.Result, r.Detail
	case r.Result == record.Holds && row.Result == record.NotRun:
		row.Result = record.Holds
	}
	if row.Result == record.NotRun {
		row.Detail = r.Detail
	} else if row.Result == record.Holds {
		row.Detail = ""
	}
	if k := kernelOf(r); k != "" && r.Result != record.NotRun && !slices.Contains(row.Kernels, k) {
		row.Kernels = append(row.Kernels, k)
	}
	return rows
}

// encode returns results.json, after checking it against the schema.
func (r *Results) encode() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	if err := Validate(schema, b); err != nil {
		return nil, fmt.Errorf("results.json: %w", err)
	}
	return b, nil
}

// Directory returns the name of the directory for the results.
func (r *Results) Directory() string { return r.Version + "-" + r.Date }

// Verdict returns the result of all claims together: record.Holds, Violated or NotRun.
func (r *Results) Verdict() string {
	verdict := record.Holds
	for _, c := range r.Claims {
		switch {
		case c.Result == record.Violated:
			return record.Violated
		case c.Result == record.NotRun:
			verdict = record.NotRun
		}
	}
	return verdict
}
