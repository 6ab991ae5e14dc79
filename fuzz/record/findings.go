// SPDX-License-Identifier: MIT

package record

import (
	"fmt"
	"strings"
)

// Findings counts findings by kind and keeps the first ones.
type Findings[F fmt.Stringer] struct {
	Kinds map[string]int // the number of findings of each kind
	Kept  []F
	Most  int  // the number of findings to keep
	Each  bool // Most is meant for each kind, not for all together
}

// Add counts n findings of a kind. found stands for all of them.
func (f *Findings[F]) Add(kind string, n int, found F) {
	if f.Kinds == nil {
		f.Kinds = map[string]int{}
	}
	f.Kinds[kind] += n
	if f.Each && f.Kinds[kind] <= f.Most || !f.Each && len(f.Kept) < f.Most {
		f.Kept = append(f.Kept, found)
	}
}

// Total returns the number of findings.
func (f *Findings[F]) Total() int {
	n := 0
	for _, k := range f.Kinds {
		n += k
	}
	return n
}

// Judge sets the result of a record: Violated if there are findings. Without findings, an
// error that ended the run makes it NotRun.
func (f *Findings[F]) Judge(r *Result, err error) {
	JudgeFindings(r, f.Total(), f.Kept, err)
}

// JudgeFindings sets the result of a record: Violated if the total number of findings is not
// 0. The detail has the first of those that are kept. Without findings, an error that ended the
// run makes the result NotRun.
func JudgeFindings[F fmt.Stringer](r *Result, total int, kept []F, err error) {
	if total == 0 {
		Stopped(r, err)
		return
	}
	r.Result, r.Detail = Violated, Count(total, "finding")
	if len(kept) > 0 {
		first, _, _ := strings.Cut(kept[0].String(), "\n")
		r.Detail += ", the first: " + first
	}
}

// Stopped sets the result of a record to NotRun if an error ended the run and nothing was
// violated before.
func Stopped(r *Result, err error) {
	if err != nil && r.Result == Holds {
		r.Result, r.Detail = NotRun, err.Error()
	}
}
