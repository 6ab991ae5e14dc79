// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"
	"strings"
)

// worse is the share by which a ratio may grow until guard reports it.
const worse = 0.1

// guard returns a line for each row in which tunproof's time became more than a tenth
// longer than it was in an earlier run. Times of two runs are not compared: the measure
// is the fastest other implementation of the same run, and the limits. Rows that only one
// of the runs has are left out; compared is the number of the others.
func guard(was, is []*row) (lines []string, compared int) {
	for _, now := range is {
		before := find(was, now.name)
		if before == nil {
			continue
		}
		compared++
		for _, us := range []string{"tunproof", "tunproof-next", "tunproof-add"} {
			for _, by := range []string{limitCopy, limitSum, limitOpen, ""} {
				old, new := before.share(us, by), now.share(us, by)
				if old == 0 || new == 0 || new <= old*(1+worse) {
					continue
				}
				if by == "" {
					by = "the fastest peer"
				}
				lines = append(lines, fmt.Sprintf("%s: %s takes %.2f times as long as %s, was %.2f", now.name, us, new, by, old))
			}
		}
	}
	return lines, compared
}

// share returns the time of an implementation divided by that of another, or by that of
// the fastest peer if by is "". It is 0 if the row lacks one of them.
func (r *row) share(us, by string) float64 {
	if by != "" {
		return r.ratio(us, by)
	}
	fastest := 0.0
	for _, e := range r.entries {
		if strings.HasPrefix(e.impl, "tunproof") || slices.Contains([]string{limitCopy, limitSum, limitOpen}, e.impl) {
			continue
		}
		if m := e.median(); fastest == 0 || m < fastest {
			fastest = m
		}
	}
	if e := r.find(us); e != nil && fastest > 0 {
		return e.median() / fastest
	}
	return 0
}
