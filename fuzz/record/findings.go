package record

import (
	"fmt"
	"strings"
)

// Findings counts what was found by kind, and keeps the first of each or of all.
type Findings[F fmt.Stringer] struct {
	Kinds map[string]int
	Kept  []F
	Most  int  // that are kept
	Each  bool // of each kind, not of all
}

// Add counts n findings of a kind, which are told as one.
func (f *Findings[F]) Add(kind string, n int, found F) {
	if f.Kinds == nil {
		f.Kinds = map[string]int{}
	}
	f.Kinds[kind] += n
	if f.Each && f.Kinds[kind] <= f.Most || !f.Each && len(f.Kept) < f.Most {
		f.Kept = append(f.Kept, found)
	}
}

// Total is the number of findings.
func (f *Findings[F]) Total() int {
	n := 0
	for _, k := range f.Kinds {
		n += k
	}
	return n
}

// Judge puts into a record what was found. An error that ended the run before
// anything was found leaves a record that claims nothing.
func (f *Findings[F]) Judge(r *Result, err error) {
	total := f.Total()
	if total == 0 {
		Stopped(r, err)
		return
	}
	r.Result, r.Detail = Violated, Count(total, "finding")
	if len(f.Kept) > 0 {
		first, _, _ := strings.Cut(f.Kept[0].String(), "\n")
		r.Detail += ", the first: " + first
	}
}

// Stopped makes the record of a run that an error ended one that claims nothing,
// if nothing was violated until then.
func Stopped(r *Result, err error) {
	if err != nil && r.Result == Holds {
		r.Result, r.Detail = NotRun, err.Error()
	}
}
