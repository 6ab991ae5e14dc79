package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/anonymise"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/file"
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
	targets := map[string]string{}
	for _, name := range flags.Args() {
		to := anonymisedName(name, *dir)
		if _, err := os.Lstat(to); err == nil {
			return 0, fmt.Errorf("%w: %s exists already, and is not overwritten", errUsage, to)
		}
		if other, twice := targets[to]; twice {
			return 0, fmt.Errorf("%w: %s and %s would both be written to %s", errUsage, other, name, to)
		}
		targets[to] = name
	}
	total := 0
	for _, name := range flags.Args() {
		n, err := anonymiseFile(ctx, s, a, name, anonymisedName(name, *dir))
		if err != nil {
			return 0, err
		}
		total += n
	}
	if a.Whole > 0 {
		fmt.Fprintf(s.out, "%d UDP superpackets were enciphered as one piece, so compare cannot match them with their datagrams: state the datagrams' payload length with -size, or a VnetHdr in the comment of each superpacket\n", a.Whole)
	}
	if total == 0 {
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}

// anonymisedName returns the file that the copy of a capture is written to. The copy of
// a text is a pcapng file.
func anonymisedName(name, dir string) string {
	if name == "-" {
		name = "stdin.pcapng"
	}
	if ext := filepath.Ext(name); ext == ".pkts" || ext == ".txt" || ext == ".hex" {
		name = strings.TrimSuffix(name, ext) + ".pcapng"
	}
	return filepath.Join(dir, filepath.Base(name))
}

// anonymiseFile writes the copy of one capture and returns the number of its packets.
// After an error there is no copy.
func anonymiseFile(ctx context.Context, s streams, a *anonymise.Anonymiser, name, to string) (n int, err error) {
	in, err := capture.Open(name, s.in)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	f, err := file.Create(to)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = f.Finish(err); err == nil {
			for _, note := range in.Notes() {
				fmt.Fprintf(s.out, "%s: %s\n", name, note)
			}
			fmt.Fprintf(s.out, "%s: %s\n", to, record.Count(n, "packet"))
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	format := pcap.Classic
	if in.NG() {
		format = pcap.NG // it has room for comments
	}
	w, err := pcap.NewWriter(buffered, format)
	if err != nil {
		return 0, err
	}
	tell := capture.NewProgress(s.err, "anonymise", in)
	for {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			return n, buffered.Flush()
		}
		if err == nil {
			p, err = a.Packet(p)
		}
		if err == nil {
			err = w.Write(p)
		}
		if err == nil {
			err = tell.Step(ctx, 0)
		}
		if err != nil {
			return n, err
		}
		n++
	}
}
