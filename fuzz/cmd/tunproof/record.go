// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
	"tunproof/tunlive"
)

const corpusRecordHelp = `
Records traffic between sockets in network namespaces that the command makes, and checks
every property on the packets. NAME is a recording, such as tcp4-bulk; without a NAME all
are made. corpus/captures/README.md lists them.

Writes DIR/NAME.pcap for each, and prints its packets, bytes, and the mean number of
packets in a superpacket.
`

// corpusRecord records traffic between sockets in namespaces of its own.
func corpusRecord(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("corpus record", flag.ContinueOnError)
	dir := flags.String("o", "", "write the captures into `DIR`")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if *dir == "" || *dir == "-" {
		return 0, fmt.Errorf("%w: no directory given: -o DIR", errUsage)
	}
	var missing *tunlive.Missing
	if err := tunlive.Enter(); errors.As(err, &missing) {
		fmt.Fprintln(s.out, err)
		return record.ExitNothing, nil
	} else if err != nil {
		return 0, err
	}
	names := flags.Args()
	if len(names) == 0 {
		names = tunlive.Recordings()
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return 0, err
	}
	for _, name := range names {
		recorded, err := tunlive.Record(ctx, name)
		if err != nil {
			return 0, err
		}
		var packets []pcap.Packet
		total := 0
		for _, p := range recorded {
			packets = append(packets, pcap.Packet{Time: p.Time, Data: p.Data})
			total += len(p.Data)
		}
		f, err := file.Create(filepath.Join(*dir, name+".pcap"))
		if err != nil {
			return 0, err
		}
		if err := f.Finish(pcap.Write(f, packets)); err != nil {
			return 0, err
		}
		sc := law.Capture(packets, 64, pkts.Config{})
		for _, p := range law.Properties {
			if err := p.Check(&sc, nil); err != nil {
				fmt.Fprintf(s.out, "%s: %v\n", name, err)
				return record.ExitViolation, nil
			}
		}
		fmt.Fprintf(s.out, "%-20s %5d packets %7d bytes, %.1f packets per superpacket\n", name, len(packets), total, law.MeanSegments(&sc))
	}
	return record.ExitHolds, nil
}
