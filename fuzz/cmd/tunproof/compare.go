package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

const compareHelp = `
Compares captures from both sides of an offload: BEFORE is where packets go in, AFTER
where they come out. Start both before the traffic, and take them with tcpdump -s 0. Each
is a pcap or pcapng file, a .pkts case, or packets as text; - is standard input, for one
of them. A superpacket on either side is matched with its segments on the other.

Prints every packet that was changed (with the fields), lost, duplicated, added or
reordered, and a verdict. Packets from before or after the time of the other capture are
not compared.
`

const compareExits = "Exit codes: 0 what was compared came through, 1 findings, 2 usage, infrastructure or an unreadable capture,\n" +
	"3 no packet is in both captures, or more was left out than compared."

func compareCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	var cfg compare.Config
	ignore := flags.String("ignore", "", "comma-separated `FIELDS` that may differ, such as ip.ttl,ip.checksum")
	flags.IntVar(&cfg.Size, "size", 0, "a full segment has `N` bytes of payload; 0 infers it from the captures")
	most := flags.Int("max", 1000, "show at most `N` findings")
	asJSON := flags.Bool("json", false, "write a JSON object instead of text")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if *ignore != "" {
		cfg.Ignore = strings.Split(*ignore, ",")
	}
	switch unknown := unknownFields(cfg.Ignore); {
	case flags.NArg() != 2:
		return 0, fmt.Errorf("%w: give two captures, BEFORE and AFTER", errUsage)
	case len(unknown) > 0:
		return 0, fmt.Errorf("%w: -ignore: no field %q", errUsage, unknown[0])
	case cfg.Size < 0 || *most < 0:
		return 0, fmt.Errorf("%w: -size and -max must not be negative", errUsage)
	case flags.Arg(0) == "-" && flags.Arg(1) == "-":
		return 0, fmt.Errorf("%w: only one of the captures can be the standard input", errUsage)
	}
	var in [2]*capture.Source
	for i, name := range flags.Args() {
		var err error
		if in[i], err = capture.Open(name, s.in); err != nil {
			return 0, err
		}
		defer in[i].Close()
	}
	r, err := compare.Files(ctx, s.err, in, cfg, *most)
	if *asJSON {
		if err := json.NewEncoder(s.out).Encode(r); err != nil {
			return 0, err
		}
	} else {
		r.Print(s.out)
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w; the report covers %s of BEFORE and %s of AFTER", err, record.Count(r.Summary.Packets[0], "packet"), record.Count(r.Summary.Packets[1], "packet"))
	case r.Record.Result == record.Violated:
		return record.ExitViolation, nil
	case r.Record.Result == record.NotRun:
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}

// unknownFields returns the names in list that are no field of a packet.
func unknownFields(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(f string) bool { return slices.Contains(packet.Names(), f) })
}
