package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"tunproof/fuzz/check"
	"tunproof/fuzz/record"
)

// checkReport is what check says of one capture.
type checkReport struct {
	File     string          `json:"file"`
	Notes    []string        `json:"notes,omitempty"`
	Seen     check.Seen      `json:"seen"`
	Kinds    map[string]int  `json:"kinds,omitempty"` // findings by kind
	Findings []check.Finding `json:"findings,omitempty"`
	Record   record.Result   `json:"record"`

	total int
}

func checkCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	var cfg check.Config
	flags.BoolVar(&cfg.Wire, "wire", false, "the capture is from behind every offload: partial checksums are wrong")
	flags.IntVar(&cfg.MTU, "mtu", 0, "bytes that no packet may be longer than; 0 for any")
	certain := flags.Bool("certain", false, "leave out what is only suspect")
	most := flags.Int("max", 100, "findings that are shown of each kind")
	asJSON := flags.Bool("json", false, "write a JSON object for each capture")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: which capture?", errUsage)
	case cfg.MTU < 0 || *most < 0:
		return 0, fmt.Errorf("%w: -mtu and -max must not be negative", errUsage)
	}
	code, packets := record.ExitHolds, 0
	for _, name := range flags.Args() {
		in, err := openPackets(name, s.in)
		if err != nil {
			return 0, err
		}
		r, err := checkFile(ctx, s, in, cfg, *certain, *most)
		in.close()
		packets += r.Seen.Packets
		if r.Record.Result == record.Violated {
			code = record.ExitViolation
		}
		if *asJSON {
			if err := json.NewEncoder(s.out).Encode(r); err != nil {
				return 0, err
			}
		} else {
			r.print(s.out)
		}
		if err != nil {
			return 0, fmt.Errorf("%w; what is said is of the %d packets before", err, r.Seen.Packets)
		}
	}
	if packets == 0 && code == record.ExitHolds {
		return record.ExitNothing, nil
	}
	return code, nil
}

// checkFile judges a capture. With an error the report is of what came before it.
func checkFile(ctx context.Context, s streams, in *input, cfg check.Config, certain bool, most int) (*checkReport, error) {
	found := findings[check.Finding]{most: most, each: true}
	start := time.Now()
	c := check.New(cfg, func(f check.Finding) {
		if certain && f.Suspect {
			return
		}
		found.add(f.Name, 1, f)
	})
	tell := newProgress(s.err, "check", in)
	err := func() error {
		for {
			p, err := in.next()
			if errors.Is(err, io.EOF) {
				c.Finish()
				return nil
			}
			if err == nil {
				if err = c.Packet(p); err != nil {
					err = fmt.Errorf("%s: %w", in.name, err)
				}
			}
			if err == nil {
				err = tell.tell(ctx, c.Seen.Findings)
			}
			if err != nil {
				return err
			}
		}
	}()
	slices.SortStableFunc(found.kept, func(a, b check.Finding) int { return a.Packet - b.Packet })
	r := &checkReport{File: in.name, Notes: in.notes(), Seen: c.Seen, Kinds: found.kinds, Findings: found.kept, total: found.total(),
		Record: newRecord("check", "wire", in.kind, "rules", c.Seen.Packets, "packets", start)}
	found.judge(&r.Record, err)
	return r, err
}

// print writes the report for people.
func (r *checkReport) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %d packets: %d TCP, %d UDP, %d other\n", r.File, r.Seen.Packets, r.Seen.TCP, r.Seen.UDP, r.Seen.Other)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	if r.Seen.Partial > 0 {
		fmt.Fprintf(w, "  %d have a partial checksum, as packets have that an offload is still to finish; -wire takes it for wrong\n", r.Seen.Partial)
	}
	shown := map[string]bool{}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%v\n", f)
		if !shown[f.Name] && f.Like != "" {
			fmt.Fprintf(w, "  like: %s; see corpus/%s.pkts\n", f.Like, f.Case)
		}
		shown[f.Name] = true
	}
	if r.total > len(r.Findings) {
		fmt.Fprintf(w, "and %d more; -max shows more of each kind\n", r.total-len(r.Findings))
	}
	switch {
	case r.total == 0 && r.Record.Result == record.NotRun:
		fmt.Fprintf(w, "stopped: nothing found in %d packets\n", r.Seen.Packets)
	case r.Seen.Packets == 0:
		fmt.Fprintln(w, "nothing to judge")
	case r.total == 0:
		fmt.Fprintf(w, "holds: %d packets, nothing found\n", r.Seen.Packets)
	case !slices.ContainsFunc(r.Findings, func(f check.Finding) bool { return !f.Suspect }):
		fmt.Fprintf(w, "SUSPECT: %d findings in %d packets, none of them certain; -certain leaves them out\n", r.total, r.Seen.Packets)
	default:
		fmt.Fprintf(w, "VIOLATED: %d findings in %d packets\n", r.total, r.Seen.Packets)
	}
}
