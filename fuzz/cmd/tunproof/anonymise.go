package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"tunproof/fuzz/capture/anonymise"
	"tunproof/fuzz/record"
)

const anonymiseHelp = `
Writes a copy of each CAPTURE with other addresses and payload, so that it can be published.
Lengths, flags, ports and IDs stay as they were. A checksum stays right, partial or wrong.
Packets of one flow stay packets of one flow. So check, compare and replay work on the
copies. Equal addresses and equal payload stay equal within one run: give all captures of a
report at once. CAPTURE is a pcap or pcapng file, a .pkts case, or packets as text (hex, a
dump, a Go slice); - is standard input.

Prints the number of packets in each copy. An existing file is not overwritten.
`

const anonymiseExits = "Exit codes: 0 copied, 2 usage, infrastructure or an unreadable capture, 3 no capture has a packet."

func anonymiseCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("anonymise", flag.ContinueOnError)
	dir := flags.String("o", "", "write the copies into `DIR`; it is created if it does not exist")
	size := flags.Int("size", 0, "payload length in bytes of the datagrams in UDP superpackets without a VnetHdr; compare can then match the copies of both")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case *dir == "" || *dir == "-":
		return 0, fmt.Errorf("%w: no directory given: -o DIR", errUsage)
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: no capture given", errUsage)
	case *size < 0:
		return 0, fmt.Errorf("%w: -size must not be negative", errUsage)
	}
	a, err := anonymise.New(*size)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return 0, err
	}
	total, err := a.Files(ctx, s.in, s.out, s.err, *dir, flags.Args())
	var exists anonymise.NameError
	switch {
	case errors.As(err, &exists):
		return 0, fmt.Errorf("%w: %w", errUsage, err)
	case err != nil:
		return 0, err
	}
	if a.Whole > 0 {
		fmt.Fprintf(s.out, "%d UDP superpackets were enciphered as one piece, so compare cannot match them with their datagrams: state the datagrams' payload length with -size, or a VnetHdr in the comment of each superpacket\n", a.Whole)
	}
	if total == 0 {
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}
