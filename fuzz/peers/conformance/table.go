package main

import (
	"fmt"
	"io"
	"strings"

	"tunproof/fuzz/conform"
)

// cell is what the table has of an implementation and a property.
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

// refuses says whether all that is wrong is that something is refused.
func (r result) refuses(p string) bool {
	for _, f := range r.Of(p) {
		if !strings.HasPrefix(f.What, "refuses ") {
			return false
		}
	}
	return true
}

// table writes implementations by properties, in Markdown.
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
	fmt.Fprint(w, "| inputs |")
	for _, r := range results {
		n := 0
		for _, k := range r.Inputs {
			n = max(n, k)
		}
		fmt.Fprintf(w, " %d |", n)
	}
	fmt.Fprintln(w)
	for _, r := range results {
		fmt.Fprintf(w, "\n%s %s, seed %d, %.0f s: %d ways to violate a property\n", r.Impl, r.Version, r.Seed, r.Seconds, len(r.Found))
		if !found {
			continue
		}
		fmt.Fprintln(w, "\n| what | inputs | first after | from |\n|---|---|---|---|")
		for _, f := range r.Found {
			fmt.Fprintf(w, "| %s | %d | %.2f s | %s |\n", f.Key(), f.Count, f.Seconds, f.Source)
		}
	}
}
