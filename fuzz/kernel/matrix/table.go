// SPDX-License-Identifier: MIT

package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"tunproof/fuzz/record"
	"tunproof/tunlive"
)

// column is a column of the table.
type column struct{ name, property string }

// columns returns the columns of the table: the kernel's properties, then the device's.
func columns() (list []column) {
	for _, p := range record.OfKind(record.Kernel) {
		list = append(list, column{p.ID + ": " + p.Unit, p.ID})
	}
	for _, p := range record.OfKind(record.Device) {
		list = append(list, column{p.Unit, p.ID})
	}
	return list
}

// Table writes a Markdown table with a row for each kernel and a column for each property.
func Table(w io.Writer, rows []record.Result) error {
	var b strings.Builder
	b.WriteString("| series | Linux |")
	for _, c := range columns() {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("---|", len(columns())))
	for _, name := range seriesOf(rows) {
		of := slices.DeleteFunc(slices.Clone(rows), func(r record.Result) bool { return r.Judge != name })
		release := "not available"
		if of[0].Env.Kernel != "" {
			release = of[0].Env.Kernel
		}
		fmt.Fprintf(&b, "| %s | %s |", name, release)
		for _, c := range columns() {
			fmt.Fprintf(&b, " %s |", cell(of, c.property))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\nSeries without an architecture are amd64. Tree %s, seed %d, %s, %s.\n", rows[0].Tree, seedOf(rows), rows[0].Env.CPU, rows[0].Env.Go)
	_, err := io.WriteString(w, b.String())
	return err
}

// seriesOf returns the series of the records, in their order.
func seriesOf(rows []record.Result) (series []string) {
	for _, r := range rows {
		if !slices.Contains(series, r.Judge) {
			series = append(series, r.Judge)
		}
	}
	return series
}

// FeaturesTable writes a Markdown table of the features that each kernel is expected to
// have.
func FeaturesTable(w io.Writer, rows []record.Result) error {
	var b strings.Builder
	series := seriesOf(rows)
	fmt.Fprintf(&b, "| feature | about |")
	for _, s := range series {
		fmt.Fprintf(&b, " %s |", s)
	}
	fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("---|", len(series)))
	for _, f := range tunlive.FeatureTable {
		fmt.Fprintf(&b, "| %s | %s |", f.Name, f.About)
		for _, s := range series {
			text := ""
			if slices.Contains(Expected[s], f.Name) {
				text = "yes"
			}
			fmt.Fprintf(&b, " %s |", text)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cell returns the sum of the counts of a property, or "not run", or the violation.
func cell(rows []record.Result, property string) string {
	n, all := 0, true
	for _, r := range rows {
		if r.Property != property {
			continue
		}
		switch r.Result {
		case record.Violated:
			return "VIOLATED: " + r.Method
		case record.NotRun:
			all = false
		}
		n += r.Count
	}
	if n == 0 {
		return "not run"
	}
	text := fmt.Sprint(n)
	if property == "K3" && !all {
		text += " (by toggle only)"
	}
	return text
}

// seedOf returns the seed of the run.
func seedOf(rows []record.Result) uint64 {
	for _, r := range rows {
		if r.Property == "K5" {
			return r.Seed
		}
	}
	return 0
}
