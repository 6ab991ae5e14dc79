package main

import (
	"fmt"
	"strings"

	"tunproof/fuzz/record"
)

// findings counts what was found by kind, and keeps the first of each or of all.
type findings[F fmt.Stringer] struct {
	kinds map[string]int
	kept  []F
	most  int  // that are kept
	each  bool // of each kind, not of all
}

// add counts n findings of a kind, which are told as one.
func (f *findings[F]) add(kind string, n int, found F) {
	if f.kinds == nil {
		f.kinds = map[string]int{}
	}
	f.kinds[kind] += n
	if f.each && f.kinds[kind] <= f.most || !f.each && len(f.kept) < f.most {
		f.kept = append(f.kept, found)
	}
}

func (f *findings[F]) total() int {
	n := 0
	for _, k := range f.kinds {
		n += k
	}
	return n
}

// judge puts into a record what was found. An error that ended the run before
// anything was found leaves a record that claims nothing.
func (f *findings[F]) judge(r *record.Result, err error) {
	total := f.total()
	if total == 0 {
		stopped(r, err)
		return
	}
	r.Result, r.Detail = record.Violated, fmt.Sprintf("%d findings", total)
	if len(f.kept) > 0 {
		first, _, _ := strings.Cut(f.kept[0].String(), "\n")
		r.Detail += ", the first: " + first
	}
}

// stopped makes the record of a run that an error ended one that claims nothing,
// if nothing was violated until then.
func stopped(r *record.Result, err error) {
	if err != nil && r.Result == record.Holds {
		r.Result, r.Detail = record.NotRun, err.Error()
	}
}
