// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

// group returns the name of the record that a theorem is part of.
func (t *Theorem) group() string {
	if t.Group != "" {
		return t.Group
	}
	if at := strings.IndexAny(t.Name, ":,"); at >= 0 {
		return t.Name[:at]
	}
	return t.Name
}

// rows are result records: one for each theory, and one for all theorems about a function on
// one architecture, which says how many bits an int has and the byte order.
type rows struct{ list []record.Result }

// add adds n theorems to the record of a name. failed says why they are not proved, "" if
// they are.
func (r *rows) add(name, judge string, n int, seconds float64, failed string, refuted bool) {
	at := slices.IndexFunc(r.list, func(row record.Result) bool { return row.Method == name })
	if at < 0 {
		at = len(r.list)
		r.list = append(r.list, record.Result{Property: "proof", Method: name, Judge: judge, Unit: "theorems", Result: record.Holds})
	}
	row := &r.list[at]
	row.Count, row.Seconds = row.Count+n, row.Seconds+seconds
	switch {
	case refuted:
		row.Result, row.Detail = record.Violated, failed
	case failed != "" && row.Result == record.Holds:
		row.Result, row.Detail = record.NotRun, failed
	}
}

// write writes the records to a file, one JSON object a line.
func (r *rows) write(name string) error {
	var b bytes.Buffer
	c := record.Collector{Command: "prove", Rows: r.list}
	c.Stamp()
	for _, row := range c.Rows {
		if row.Basis == "" {
			return errors.New("-records: the sources have no hash; run it in a checkout")
		}
		if err := json.NewEncoder(&b).Encode(row); err != nil {
			return err
		}
	}
	return file.Write(name, b.Bytes())
}

// writeRefuted writes the bugs in translated functions to a file, one JSON object a line.
func writeRefuted(name string, list []mutants.Refutation) error {
	var b bytes.Buffer
	for _, r := range list {
		if err := json.NewEncoder(&b).Encode(r); err != nil {
			return err
		}
	}
	return file.Write(name, b.Bytes())
}
