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

const checkHelp = `
Checks packets that any program made: lengths, checksums, VnetHdrs, TCP flags, and the
sequence numbers and IPv4 IDs from packet to packet. CAPTURE is a pcap or pcapng file, a
.pkts case, or packets as text (hex, a dump, a Go slice); - is standard input. A superpacket
is checked against its VnetHdr if its packet comment states one, in the form
"vnet flags=1 gso_type=1 hdr_len=40 gso_size=100 csum_start=20 csum_offset=16".

Prints one line for each finding, with the packet, the field, the rule of docs/rules.md
that it breaks and, where there is one, the known bug that it resembles. Then it prints a
verdict.
`

const checkExits = "Exit codes: 0 nothing found, 1 findings, also if all are suspect, 2 usage, infrastructure or an unreadable capture,\n" +
	"3 no capture has a packet."

func checkCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	var cfg check.Config
	flags.BoolVar(&cfg.Wire, "wire", false, "report partial checksums as wrong; for captures from a place after every offload")
	flags.IntVar(&cfg.MTU, "mtu", 0, "report packets longer than `N` bytes; 0 allows any length")
	certain := flags.Bool("certain", false, "leave out suspect findings, which may have an innocent cause")
	most := flags.Int("max", 100, "show at most `N` findings of each kind")
	asJSON := flags.Bool("json", false, "write a JSON object for each capture instead of text")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: no capture given", errUsage)
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
