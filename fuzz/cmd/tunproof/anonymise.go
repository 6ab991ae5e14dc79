// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"tunproof/fuzz/capture/anonymise"
	"tunproof/fuzz/record"
)

const anonymiseHelp = `
Writes a copy of each CAPTURE with other addresses and payload, so that it can be published.
So check, compare and replay work on the copies. CAPTURE is a pcap or pcapng file, a .pkts
case, or packets as text (hex, a dump, a Go slice); - is standard input.

These stay: the length and time of each packet; the fields of the IP, TCP and UDP headers
except addresses and checksums, so also ports, IDs and sequence numbers; the type and code
of ICMP; the data of TCP's MSS, window scale, SACK and timestamp options; VnetHdrs in
comments. Addresses that identify nobody stay too: loopback, broadcast, and multicast groups
that everybody uses. A checksum stays right, partial, absent or wrong.

All else is replaced or enciphered: payload, other options, the inner packets of tunnels, the
packets in ICMP messages, bytes after the end of a packet. Link headers, other comments, and
the names of interfaces are left out.

Equal addresses and equal payload of a flow stay equal within one run: give all captures of a
report at once. Each run has a new key, which is not kept. If the payload at one place of a
TCP stream is not the same each time, the copies show the difference (xor). They also show
it of a datagram that was changed between two captures.

Prints the number of packets in each copy. An existing file is not overwritten. A capture that
ends inside its last record is copied up to there.
`

const anonymiseExits = "Exit codes: 0 copied, 2 usage, infrastructure or an unreadable capture, 3 no capture has a packet."

func anonymiseCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("anonymise", flag.ContinueOnError)
	dir := flags.String("o", "", "write the copies into `DIR`; it is created if it does not exist")
	size := flags.Int("size", 0, "payload length in bytes of datagrams that were joined, to a superpacket without a VnetHdr or to one datagram; compare can then match the copies of both")
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
	if info, err := os.Stat(*dir); err == nil && !info.IsDir() {
		return 0, fmt.Errorf("%w: -o %s: it is a file; give a directory", errUsage, *dir)
	}
	a, err := anonymise.New(*size)
	if err != nil {
		return 0, err
	}
	total, err := a.Files(ctx, s.in, s.out, s.err, *dir, flags.Args())
	if err != nil {
		return 0, err
	}
	if a.Whole > 0 {
		fmt.Fprintf(s.out, "%d UDP superpackets were enciphered as one piece, so compare cannot match them with their datagrams: state the datagrams' payload length with -size, or a VnetHdr in the comment of each superpacket\n", a.Whole)
	}
	if n := a.Joined(); n > 0 {
		fmt.Fprintf(s.out, "the longest datagrams of %s differ between the captures. If datagrams were joined or cut, compare cannot match their copies: state the length of their payload with -size\n", record.Count(n, "flow"))
	}
	if n := a.Short(); n > 0 {
		fmt.Fprintf(s.out, "compare says of %s that they were changed. Their copies have too few bytes to show what was: there it says lost and extra, or another change\n", record.Count(n, "short datagram"))
	}
	if a.Unlike > 0 {
		fmt.Fprintf(s.out, "in the copies, check names another cause of %s\n", record.Count(a.Unlike, "wrong checksum"))
	}
	if total == 0 {
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}
