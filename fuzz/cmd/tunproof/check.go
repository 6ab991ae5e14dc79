package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/record"
)

func checkCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	var cfg check.Config
	flags.BoolVar(&cfg.Wire, "wire", false, "the capture was taken after every offload, so partial checksums are wrong")
	flags.IntVar(&cfg.MTU, "mtu", 0, "no packet may be longer than this many bytes; 0 for any length")
	certain := flags.Bool("certain", false, "leave out findings that are only suspect")
	most := flags.Int("max", 100, "show at most N findings of each kind")
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
		in, err := capture.Open(name, s.in)
		if err != nil {
			return 0, err
		}
		r, err := check.File(ctx, s.err, in, cfg, *certain, *most)
		in.Close()
		packets += r.Seen.Packets
		if r.Record.Result == record.Violated {
			code = record.ExitViolation
		}
		if *asJSON {
			if err := json.NewEncoder(s.out).Encode(r); err != nil {
				return 0, err
			}
		} else {
			r.Print(s.out)
		}
		if err != nil {
			return 0, fmt.Errorf("%w; the report covers the %s before that", err, record.Count(r.Seen.Packets, "packet"))
		}
	}
	if packets == 0 && code == record.ExitHolds {
		return record.ExitNothing, nil
	}
	return code, nil
}
