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

// anonymiseCommand writes captures again without what is private in them.
func anonymiseCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("anonymise", flag.ContinueOnError)
	dir := flags.String("o", "", "directory to write to; what is equal in captures of one run stays equal")
	size := flags.Int("size", 0, "UDP segment size, so that a superpacket and its datagrams are enciphered alike")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case *dir == "" || *dir == "-":
		return 0, fmt.Errorf("%w: where to? -o DIR", errUsage)
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: which capture?", errUsage)
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
			return 0, fmt.Errorf("%w: %s is there already", errUsage, to)
		}
		if other, twice := targets[to]; twice {
			return 0, fmt.Errorf("%w: %s and %s would both be %s", errUsage, other, name, to)
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
		fmt.Fprintf(s.out, "%d UDP superpackets no longer have the bytes of their datagrams, by which compare knows them: say with -size how long these are, or with a VnetHdr in each one's comment\n", a.Whole)
	}
	if total == 0 {
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}

// anonymisedName is where a capture is written to. What was a text becomes one.
func anonymisedName(name, dir string) string {
	if name == "-" {
		name = "stdin.pcapng"
	}
	if ext := filepath.Ext(name); ext == ".pkts" || ext == ".txt" || ext == ".hex" {
		name = strings.TrimSuffix(name, ext) + ".pcapng"
	}
	return filepath.Join(dir, filepath.Base(name))
}

// anonymiseFile writes one capture. With an error nothing is written.
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
			fmt.Fprintf(s.out, "%s: %d packets\n", to, n)
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
