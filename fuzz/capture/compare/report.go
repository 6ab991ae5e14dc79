package compare

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/record"
)

// Report is the result of comparing two captures.
type Report struct {
	Before   string         `json:"before"`
	After    string         `json:"after"`
	Notes    []string       `json:"notes,omitempty"`
	Summary  Summary        `json:"summary"`
	What     map[string]int `json:"what,omitempty"` // findings by what happened
	Findings []Finding      `json:"findings,omitempty"`
	Record   record.Result  `json:"record"`

	total   int
	stopped bool
}

const (
	sameChanges  = 20 // so many changes in the same fields are worth a note
	maxFieldSets = 1000
)

// Files compares two captures, and keeps at most most findings. With an error the report is of what came
// before it.
func Files(ctx context.Context, progress io.Writer, in [2]*capture.Source, cfg Config, most int) (*Report, error) {
	found := record.Findings[Finding]{Most: most}
	fields := map[string]int{} // changes by what they are in
	start := time.Now()
	m := New(cfg, func(f Finding) {
		n := 1
		if f.What == Lost || f.What == Extra {
			n = max(1, f.Count)
		}
		found.Add(f.What, n, f)
		if names := f.FieldNames(); f.What == Changed && names != nil && len(fields) < maxFieldSets {
			fields[strings.Join(names, ",")]++
		}
	})
	tell := capture.NewProgress(progress, "compare", in[0], in[1])
	c := newClock(in, cmp.Or(cfg.Ahead, DefaultAhead), cfg.FarBehind())
	err := func() error {
		for {
			side, p, err := c.take(m)
			if p == nil || err != nil {
				return err
			}
			if err := m.Add(side, *p); err != nil {
				return fmt.Errorf("%s: packet %d: %w", in[side].Name, p.Number, err)
			}
			if err := tell.Step(ctx, found.Total()); err != nil {
				return err
			}
		}
	}()
	if err == nil {
		if err = m.Finish(ctx); err != nil {
			err = capture.ErrInterrupted
		}
	}
	for side, n := range m.Summary.Packets {
		if n > 0 && m.Summary.Packets[1-side] == 0 && err == nil && found.Total() == 0 {
			f := Nothing(side, n)
			found.Add(f.What, n, f)
		}
	}
	Sort(found.Kept)
	r := &Report{Before: in[0].Name, After: in[1].Name, Summary: m.Summary, What: found.Kinds, Findings: found.Kept, total: found.Total(), stopped: err != nil,
		Record: record.New("compare", "P2", "captures", "model", m.Summary.Segments, "segments", start)}
	for _, i := range in {
		for _, n := range i.Notes() {
			r.Notes = append(r.Notes, i.Name+": "+n)
		}
	}
	if note := c.note(); note != "" {
		r.Notes = append(r.Notes, note)
	}
	for side, n := range m.Summary.Outside {
		if n > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: %d packets or segments are before the other's first or behind its last, and not compared; if both captures ran then, they are %s", in[side].Name, n, [...]string{Lost, Extra}[side]))
		}
	}
	for names, n := range fields {
		if n >= sameChanges && 2*n > found.Kinds[Changed] {
			r.Notes = append(r.Notes, fmt.Sprintf("%d of %d changes are in %s, as of a hop between the captures; -ignore %s leaves them out", n, found.Kinds[Changed], names, names))
		}
	}
	if n := m.Summary.Unresolved; n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d superpackets of both sides have other boundaries, nothing shows how long their segments are, and they are not compared; -size says it", n))
	}
	switch n := r.leftOut(); {
	case m.Summary.Segments == 0:
		r.Record.Result, r.Record.Detail = record.NotRun, "no packet is in both captures"
	case n > m.Summary.Segments:
		r.Record.Result, r.Record.Detail = record.NotRun, fmt.Sprintf("%d segments came through as they were, but %d packets were not compared", m.Summary.Segments, n)
	}
	found.Judge(&r.Record, err)
	return r, err
}

// leftOut is how many packets and segments were not compared. Where these are more
// than what was, nothing is claimed of the captures.
func (r *Report) leftOut() int {
	return r.Summary.Outside[0] + r.Summary.Outside[1] + r.Summary.Unresolved
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "before: %s: %d packets, %d of them superpackets that were cut\n", r.Before, r.Summary.Packets[0], r.Summary.Cut[0])
	fmt.Fprintf(w, "after:  %s: %d packets, %d of them superpackets that were cut\n", r.After, r.Summary.Packets[1], r.Summary.Cut[1])
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%v\n", f)
	}
	if r.total > len(r.Findings) {
		fmt.Fprintf(w, "and %d more; -max shows more\n", r.total-len(r.Findings))
	}
	switch {
	case r.total > 0:
		var list []string
		for _, what := range []string{Changed, Lost, Duplicated, Extra, Reordered} {
			if n := r.What[what]; n > 0 {
				list = append(list, fmt.Sprint(n, " ", what))
			}
		}
		fmt.Fprintf(w, "VIOLATED: %s; %d segments are on both sides\n", strings.Join(list, ", "), r.Summary.Segments)
	case r.stopped:
		fmt.Fprintf(w, "stopped: %d segments came through as they were, what is missing was not looked for\n", r.Summary.Segments)
	case r.Summary.Segments == 0:
		fmt.Fprintln(w, "nothing to judge: no packet is in both captures")
	case r.Record.Result == record.NotRun:
		fmt.Fprintf(w, "not judged: %s, which is more\n", r.Record.Detail)
	default:
		fmt.Fprintf(w, "holds: %d segments came through as they were, in order", r.Summary.Segments)
		if n := r.leftOut(); n > 0 {
			fmt.Fprintf(w, "; %d were not compared", n)
		}
		fmt.Fprintln(w)
	}
}
