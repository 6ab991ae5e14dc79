// SPDX-License-Identifier: MIT

package capture

import (
	"fmt"
	"slices"
	"strings"
)

// Run is consecutive packets of a capture, from the first to the last number.
type Run [2]int

const (
	MaxRuns   = 100 // runs that AddRun keeps
	ShownRuns = 10  // of these, those that RunsText shows
)

// AddRun adds the number of a packet to runs, which are in order.
func AddRun(runs []Run, n int) []Run {
	at := len(runs)
	for at > 0 && runs[at-1][0] > n {
		at--
	}
	switch {
	case at > 0 && n <= runs[at-1][1]:
		return runs
	case at > 0 && n == runs[at-1][1]+1:
		runs[at-1][1] = n
		if at < len(runs) && runs[at][0] == n+1 {
			runs[at-1][1] = runs[at][1]
			return slices.Delete(runs, at, at+1)
		}
		return runs
	case at < len(runs) && runs[at][0] == n+1:
		runs[at][0] = n
		return runs
	case len(runs) >= MaxRuns:
		return runs
	}
	return slices.Insert(runs, at, Run{n, n})
}

// RunsText returns runs as text: "1-80, 90".
func RunsText(runs []Run) string {
	var s []string
	for i, r := range runs {
		switch {
		case i == ShownRuns:
			return strings.Join(s, ", ") + " and others"
		case r[0] == r[1]:
			s = append(s, fmt.Sprint(r[0]))
		default:
			s = append(s, fmt.Sprintf("%d-%d", r[0], r[1]))
		}
	}
	return strings.Join(s, ", ")
}
