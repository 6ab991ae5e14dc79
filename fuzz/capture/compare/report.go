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
	Ignored  []string       `json:"ignored,omitempty"` // fields that -ignore left out
	Notes    []string       `json:"notes,omitempty"`
	Summary  Summary        `json:"summary"`
	What     map[string]int `json:"what,omitempty"` // the number of findings, by what happened
	Findings []Finding      `json:"findings,omitempty"`
	Record   record.Result  `json:"record"`

	total   int  // findings, also those that are not in Findings
	stopped bool // an error ended the comparison early
}

const (
	sameChanges  = 20   // least changes in the same fields that get a note
	maxFieldSets = 1000 // sets of fields that are counted
)

// Files compares two captures. The report has at most most findings. If there is an
// error, the report covers the packets before it.
func Files(ctx context.Context, progress io.Writer, in [2]*capture.Source, cfg Config, most int) (*Report, error) {
	found := record.Findings[Finding]{Most: most}
	fields := map[string]int{} // the number of changes, by the fields that changed
	start := time.Now()
	m := New(cfg, func(f Finding) {
		n := 1
		if f.What == Lost || f.What == Extra {
			n = max(1, f.Count)
		}
		found.Add(f.What, n, f)
		if names := f.FieldNames(); f.What == Changed && f.hop && len(fields) < maxFieldSets {
			fields[strings.Join(names, ",")]++
		}
	})
	progressed := capture.NewProgress(progress, "compare", in[0], in[1])
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
			if err := progressed.Step(ctx, found.Total()); err != nil {
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
			f := otherEmpty(side, n)
			found.Add(f.What, n, f)
		}
	}
	sortFindings(found.Kept)
	r := &Report{Before: in[0].Name, After: in[1].Name, Ignored: cfg.Ignore, Summary: m.Summary, What: found.Kinds, Findings: found.Kept, total: found.Total(), stopped: err != nil,
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
			where := " before the first or after the last one that is in both captures; if both captures were running then, count this as " + [...]string{Lost, Extra}[side]
			if m.Summary.Segments == 0 {
				where = ", because none is in both captures"
			}
			r.Notes = append(r.Notes, fmt.Sprintf("%s: not compared: %s%s", in[side].Name, units(n), where))
		}
	}
	for names, n := range fields {
		if n >= sameChanges && 2*n > found.Kinds[Changed] {
			r.Notes = append(r.Notes, fmt.Sprintf("%d of %d changes are in %s, as if a router between the captures had made them; -ignore %s leaves them out", n, found.Kinds[Changed], names, names))
		}
	}
	if n := m.Summary.Unresolved; n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("not compared: %s that the other capture has with other boundaries; nothing shows how long their segments are; -size N sets it", record.Count(n, "superpacket")))
	}
	switch n := r.leftOut(); {
	case m.Summary.Segments == 0:
		r.Record.Result, r.Record.Detail = record.NotRun, "no packet is in both captures"
	case n > m.Summary.Segments:
		r.Record.Result, r.Record.Detail = record.NotRun, fmt.Sprintf("%s came through unchanged, but %s were not compared", record.Count(m.Summary.Segments, "segment"), units(n))
	}
	found.Judge(&r.Record, err)
	return r, err
}

// units returns a number of packets or segments as text.
func units(n int) string {
	if n == 1 {
		return "1 packet or segment"
	}
	return fmt.Sprint(n, " packets or segments")
}

// leftOut returns how many packets and segments were not compared. If they are more
// than those that were compared, there is no verdict.
func (r *Report) leftOut() int {
	return r.Summary.Outside[0] + r.Summary.Outside[1] + r.Summary.Unresolved
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "before: %s: %s, %s cut into segments\n", r.Before, record.Count(r.Summary.Packets[0], "packet"), record.Count(r.Summary.Cut[0], "superpacket"))
	fmt.Fprintf(w, "after:  %s: %s, %s cut into segments\n", r.After, record.Count(r.Summary.Packets[1], "packet"), record.Count(r.Summary.Cut[1], "superpacket"))
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%v\n", f)
	}
	if r.total > len(r.Findings) {
		fmt.Fprintf(w, "and %d more; -max shows more\n", r.total-len(r.Findings))
	}
	segments := record.Count(r.Summary.Segments, "segment")
	switch {
	case r.total > 0:
		var list []string
		for _, what := range []string{Changed, Lost, Duplicated, Extra, Reordered} {
			if n := r.What[what]; n > 0 {
				list = append(list, fmt.Sprint(n, " ", what))
			}
		}
		fmt.Fprintf(w, "VIOLATED: %s; %s in both captures\n", strings.Join(list, ", "), segments)
	case r.stopped:
		fmt.Fprintf(w, "stopped: %s came through unchanged; there was no search for lost or extra packets\n", segments)
	case r.Summary.Segments == 0:
		fmt.Fprintln(w, "nothing to judge: no packet is in both captures")
	case r.Record.Result == record.NotRun:
		fmt.Fprintf(w, "no verdict: %s, which is more\n", r.Record.Detail)
	case len(r.Ignored) > 0:
		fmt.Fprintf(w, "holds but for what was ignored: %s came through in order, unchanged except perhaps in %s", segments, strings.Join(r.Ignored, ", "))
		if n := r.leftOut(); n > 0 {
			fmt.Fprintf(w, "; %s not compared", units(n))
		}
		fmt.Fprintln(w)
	default:
		fmt.Fprintf(w, "holds: %s came through unchanged, in order", segments)
		if n := r.leftOut(); n > 0 {
			fmt.Fprintf(w, "; %s not compared", units(n))
		}
		fmt.Fprintln(w)
	}
}
