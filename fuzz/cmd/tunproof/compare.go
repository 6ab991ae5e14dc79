package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/compare"
	"tunproof/fuzz/match"
	"tunproof/fuzz/record"
)

// compareReport is what compare says of two captures.
type compareReport struct {
	Before   string          `json:"before"`
	After    string          `json:"after"`
	Notes    []string        `json:"notes,omitempty"`
	Summary  match.Summary   `json:"summary"`
	What     map[string]int  `json:"what,omitempty"` // findings by what happened
	Findings []match.Finding `json:"findings,omitempty"`
	Record   record.Result   `json:"record"`

	total   int
	stopped bool
}

// comparison is the captures that are compared, and how.
type comparison struct {
	before, after string
	cfg           match.Config
	ahead         int // packets of each to compare clocks by
	most          int // findings that are shown
	asJSON        bool
}

func compareCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	var cfg match.Config
	ignore := flags.String("ignore", "", "fields that may differ, such as ip.ttl,ip.checksum")
	flags.IntVar(&cfg.Size, "size", 0, "payload bytes of a full segment; by default what the captures show")
	most := flags.Int("max", 1000, "findings that are shown")
	asJSON := flags.Bool("json", false, "write a JSON object")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if *ignore != "" {
		cfg.Ignore = strings.Split(*ignore, ",")
	}
	switch unknown := unknownFields(cfg.Ignore); {
	case flags.NArg() != 2:
		return 0, fmt.Errorf("%w: two captures: BEFORE AFTER", errUsage)
	case len(unknown) > 0:
		return 0, fmt.Errorf("%w: -ignore: no field %q", errUsage, unknown[0])
	case cfg.Size < 0 || *most < 0:
		return 0, fmt.Errorf("%w: -size and -max must not be negative", errUsage)
	case flags.Arg(0) == "-" && flags.Arg(1) == "-":
		return 0, fmt.Errorf("%w: only one of the captures can be the standard input", errUsage)
	}
	return comparison{flags.Arg(0), flags.Arg(1), cfg, aheadPackets, *most, *asJSON}.run(ctx, s)
}

// run compares the captures, and returns the exit code.
func (x comparison) run(ctx context.Context, s streams) (int, error) {
	var in [2]*input
	for i, name := range []string{x.before, x.after} {
		var err error
		if in[i], err = openPackets(name, s.in); err != nil {
			return 0, err
		}
		defer in[i].close()
	}
	r, err := x.files(ctx, s, in)
	if x.asJSON {
		if err := json.NewEncoder(s.out).Encode(r); err != nil {
			return 0, err
		}
	} else {
		r.print(s.out)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w; what is said is of the %d and %d packets before", err, r.Summary.Packets[0], r.Summary.Packets[1])
	case r.Record.Result == record.Violated:
		return record.ExitViolation, nil
	case r.Record.Result == record.NotRun:
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}

const (
	sameChanges  = 20 // so many changes in the same fields are worth a note
	maxFieldSets = 1000
)

// unknownFields are those that no packet has.
func unknownFields(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(f string) bool { return slices.Contains(compare.Names(), f) })
}

// files compares two captures. With an error the report is of what came before it.
func (x comparison) files(ctx context.Context, s streams, in [2]*input) (*compareReport, error) {
	found := findings[match.Finding]{most: x.most}
	fields := map[string]int{} // changes by what they are in
	start := time.Now()
	m := match.New(x.cfg, func(f match.Finding) {
		n := 1
		if f.What == match.Lost || f.What == match.Extra {
			n = max(1, f.Count)
		}
		found.add(f.What, n, f)
		if names := f.FieldNames(); f.What == match.Changed && names != nil && len(fields) < maxFieldSets {
			fields[strings.Join(names, ",")]++
		}
	})
	tell := newProgress(s.err, "compare", in[0], in[1])
	c := newClock(in, x.ahead, x.cfg.FarBehind())
	err := func() error {
		for {
			side, p, err := c.take(m)
			if p == nil || err != nil {
				return err
			}
			if err := m.Add(side, *p); err != nil {
				return fmt.Errorf("%s: packet %d: %w", in[side].name, p.Number, err)
			}
			if err := tell.tell(ctx, found.total()); err != nil {
				return err
			}
		}
	}()
	if err == nil {
		if err = m.Finish(ctx); err != nil {
			err = errInterrupted
		}
	}
	for side, n := range m.Summary.Packets {
		if n > 0 && m.Summary.Packets[1-side] == 0 && err == nil && found.total() == 0 {
			f := match.Nothing(side, n)
			found.add(f.What, n, f)
		}
	}
	match.Sort(found.kept)
	r := &compareReport{Before: in[0].name, After: in[1].name, Summary: m.Summary, What: found.kinds, Findings: found.kept, total: found.total(), stopped: err != nil,
		Record: newRecord("compare", "P2", "captures", "model", m.Summary.Segments, "segments", start)}
	for _, i := range in {
		for _, n := range i.notes() {
			r.Notes = append(r.Notes, i.name+": "+n)
		}
	}
	if note := c.note(); note != "" {
		r.Notes = append(r.Notes, note)
	}
	for side, n := range m.Summary.Outside {
		if n > 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: %d packets or segments are before the other's first or behind its last, and not compared; if both captures ran then, they are %s", in[side].name, n, [...]string{match.Lost, match.Extra}[side]))
		}
	}
	for names, n := range fields {
		if n >= sameChanges && 2*n > found.kinds[match.Changed] {
			r.Notes = append(r.Notes, fmt.Sprintf("%d of %d changes are in %s, as of a hop between the captures; -ignore %s leaves them out", n, found.kinds[match.Changed], names, names))
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
	found.judge(&r.Record, err)
	return r, err
}

// leftOut is how many packets and segments were not compared. Where these are more
// than what was, nothing is claimed of the captures.
func (r *compareReport) leftOut() int {
	return r.Summary.Outside[0] + r.Summary.Outside[1] + r.Summary.Unresolved
}

// print writes the report for people.
func (r *compareReport) print(w io.Writer) {
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
		for _, what := range []string{match.Changed, match.Lost, match.Duplicated, match.Extra, match.Reordered} {
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
