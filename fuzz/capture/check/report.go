package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/record"
)

// Report is the result of judging one capture.
type Report struct {
	File     string         `json:"file"`
	Notes    []string       `json:"notes,omitempty"`
	Seen     Seen           `json:"seen"`
	Kinds    map[string]int `json:"kinds,omitempty"` // findings by kind
	Findings []Finding      `json:"findings,omitempty"`
	Record   record.Result  `json:"record"`

	total int
}

// File judges a capture. The report has at most most findings of each kind, and no
// suspect ones if certain is set. If there is an error, the report covers the
// packets before it.
func File(ctx context.Context, progress io.Writer, in *capture.Source, cfg Config, certain bool, most int) (*Report, error) {
	found := record.Findings[Finding]{Most: most, Each: true}
	start := time.Now()
	c := New(cfg, func(f Finding) {
		if certain && f.Suspect {
			return
		}
		found.Add(f.Name, 1, f)
	})
	progressed := capture.NewProgress(progress, "check", in)
	err := func() error {
		for {
			p, err := in.Next()
			if errors.Is(err, io.EOF) {
				c.Finish()
				return nil
			}
			if err == nil {
				if err = c.Packet(p); err != nil {
					err = fmt.Errorf("%s: %w", in.Name, err)
				}
			}
			if err == nil {
				err = progressed.Step(ctx, c.Seen.Findings)
			}
			if err != nil {
				return err
			}
		}
	}()
	slices.SortStableFunc(found.Kept, func(a, b Finding) int { return a.Packet - b.Packet })
	r := &Report{File: in.Name, Notes: in.Notes(), Seen: c.Seen, Kinds: found.Kinds, Findings: found.Kept, total: found.Total(),
		Record: record.New("check", "wire", string(in.Kind), "rules", c.Seen.Packets, "packets", start)}
	found.Judge(&r.Record, err)
	return r, err
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	packets, findings := record.Count(r.Seen.Packets, "packet"), record.Count(r.total, "finding")
	fmt.Fprintf(w, "%s: %s: %d TCP, %d UDP, %d other\n", r.File, packets, r.Seen.TCP, r.Seen.UDP, r.Seen.Other)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	if r.Seen.Partial > 0 {
		fmt.Fprintf(w, "  %s with a partial checksum, which an offload still has to complete; with -wire each is a finding\n", record.Count(r.Seen.Partial, "packet"))
	}
	if n := r.Seen.Big; n > 0 {
		fmt.Fprintf(w, "  %s without a length in the header, presumed BIG TCP; the checksum was not judged\n", record.Count(n, "packet"))
	}
	if n := r.Seen.Padded; n > 0 {
		fmt.Fprintf(w, "  %s with padding or an FCS after the end, which was cut off as a kernel does\n", record.Count(n, "packet"))
	}
	shown := map[string]bool{}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%v\n", f)
		if !shown[f.Name] && f.Like != "" && !f.Suspect {
			fmt.Fprintf(w, "  like: %s; see corpus/%s.pkts\n", f.Like, f.Case)
		}
		shown[f.Name] = true
	}
	if r.total > len(r.Findings) {
		fmt.Fprintf(w, "and %d more; -max shows more of each kind\n", r.total-len(r.Findings))
	}
	switch {
	case r.total == 0 && r.Record.Result == record.NotRun:
		fmt.Fprintf(w, "stopped: nothing found in %s\n", packets)
	case r.Seen.Packets == 0:
		fmt.Fprintln(w, "nothing to judge: no packet in the capture")
	case r.total == 0:
		fmt.Fprintf(w, "holds: %s, nothing found\n", packets)
	case !slices.ContainsFunc(r.Findings, func(f Finding) bool { return !f.Suspect }):
		fmt.Fprintf(w, "SUSPECT: %s in %s, none certain; -certain leaves out what is not certain\n", findings, packets)
	default:
		fmt.Fprintf(w, "VIOLATED: %s in %s\n", findings, packets)
	}
}
