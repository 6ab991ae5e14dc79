// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"strings"

	"tunproof/fuzz/conform"
)

// cell returns the text of a table's cell for a property.
func (r result) cell(p string) string {
	switch list := r.Of(p); {
	case r.Inputs[p] == 0:
		return "n/a"
	case len(list) == 0:
		return "holds"
	case r.refuses(p):
		return fmt.Sprintf("refuses %d", len(list))
	default:
		return fmt.Sprintf("violated %d", len(list))
	}
}

// refuses reports whether all violations of a property are refusals.
func (r result) refuses(p string) bool {
	for _, f := range r.Of(p) {
		if !strings.HasPrefix(f.What, "refuses ") {
			return false
		}
	}
	return true
}

// table writes, in Markdown, a table of properties by implementations and one of known ways
// by implementations. With found it also lists each violation, new ones with a star.
func table(w io.Writer, results []result, found bool) {
	fmt.Fprint(w, "| property |")
	for _, r := range results {
		fmt.Fprintf(w, " %s |", r.Impl)
	}
	fmt.Fprint(w, "\n|---|", strings.Repeat("---|", len(results)), "\n")
	for _, p := range conform.Properties() {
		fmt.Fprintf(w, "| %s: %s |", p, conform.About(p))
		for _, r := range results {
			fmt.Fprintf(w, " %s |", r.cell(p))
		}
		fmt.Fprintln(w)
	}
	row := func(name string, value func(r result) int) {
		fmt.Fprintf(w, "| %s |", name)
		for _, r := range results {
			fmt.Fprintf(w, " %d |", value(r))
		}
		fmt.Fprintln(w)
	}
	row("batches and superpackets", func(r result) int { return r.Inputs["P1"] })
	row("violations not reproduced", func(r result) int { return r.Flaky })
	fmt.Fprintln(w)
	knownTable(w, results)
	for _, r := range results {
		fmt.Fprintf(w, "\n%s: seed %d, %.0f s, %d ways to violate a property; tree %s, %s, Linux %s.\n", strings.TrimSpace(r.Impl+" "+r.Version), r.Seed, r.Seconds, len(r.Found), r.Tree, r.Env.CPU, r.Env.Kernel)
		if !found || len(r.Found) == 0 {
			continue
		}
		fmt.Fprintln(w, "\n| what | inputs | first after | from |\n|---|---|---|---|")
		for _, f := range r.Found {
			name := f.Key()
			if isNew(f.Violation) {
				name += " *"
			}
			fmt.Fprintf(w, "| %s | %d | %.2f s | %s |\n", name, f.Count, f.Seconds, f.Source)
		}
	}
}
