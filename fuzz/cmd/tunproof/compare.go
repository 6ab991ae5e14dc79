// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/excerpt"
	"tunproof/fuzz/capture/page"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

const compareHelp = `
Compares captures from both sides of an offload: BEFORE is from where packets go in, AFTER
from where they come out. Start both before the traffic, with tcpdump -s 0. Each is a pcap
or pcapng file, a .pkts case, or packets as text (hex, a dump, a Go slice); one of them may
be -, standard input. An interrupt ends that one like the end of the capture. A superpacket
on one side is matched with its segments on the other.

Prints every packet that was changed (with the fields), lost, duplicated, added or
reordered, and a verdict. Two kinds of packets are left out: packets before the first or
after the last one that is in both captures, and superpackets whose segment size nothing
shows (-size sets it). Lines with the words "not compared" count them. A capture that ends
inside its last record (tcpdump was killed, the file was copied while it grew) ends there.

-o NAME writes the smallest parts of the captures that show the first finding, to
NAME-before.pcapng and NAME-after.pcapng.

-html writes the report as a page too: docs/symptoms.md describes it. -html and -o read each
capture twice, so none can be standard input.
`

const compareExits = "Exit codes: 0 all compared packets came through unchanged, 1 findings, 2 usage, infrastructure or an unreadable capture,\n" +
	"3 no finding, but no packet is in both captures, or more packets were left out than compared,\n" +
	"or a capture has more records that were cut (snap length) or left out of a text than whole ones."

func compareCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	var cfg compare.Config
	ignore := flags.String("ignore", "", "comma-separated `FIELDS` that may differ, such as ip.ttl,ip.checksum; reports of changed packets name fields. A checksum that becomes wrong for its own packet is reported even so")
	flags.IntVar(&cfg.Size, "size", 0, "cut superpackets without a VnetHdr into segments of `N` bytes of payload; 0 infers the length from the captures")
	most := flags.Int("max", 1000, "show at most `N` findings")
	asJSON := flags.Bool("json", false, "write a JSON object instead of text")
	html := htmlFlag(flags)
	out := flags.String("o", "", "write the packets that show the first finding to two pcapng files whose names begin with `NAME`, as few as possible")
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
		return 0, fmt.Errorf("%w: -ignore: no field %q; the fields are %s", errUsage, unknown[0], strings.Join(packet.Names(), ", "))
	case slices.ContainsFunc(cfg.Ignore, func(f string) bool { return slices.Contains(compare.Matched, f) }):
		return 0, fmt.Errorf("%w: -ignore: packets are matched by %s, so changes of these cannot be ignored", errUsage, strings.Join(compare.Matched, ", "))
	case cfg.Size < 0 || *most < 0:
		return 0, fmt.Errorf("%w: -size and -max must not be negative", errUsage)
	case flags.Arg(0) == "-" && flags.Arg(1) == "-":
		return 0, fmt.Errorf("%w: only one of the captures can be the standard input", errUsage)
	case html.name != "" || *out != "":
		if err := page.Rereadable(flags.Args()...); err != nil {
			return 0, fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	var parts []string // the files of -o
	if *out != "" {
		parts = []string{*out + "-before.pcapng", *out + "-after.pcapng"}
	}
	if err := newOutput("-o", flags.Args(), parts...); err != nil {
		return 0, err
	}
	if err := html.open(flags.Args()); err != nil {
		return 0, err
	}
	var first *compare.Finding
	if *out != "" {
		cfg.Each = func(f compare.Finding) {
			if first == nil || compare.Order(f, *first) < 0 {
				first = &f
			}
		}
	}
	code, err := compareFiles(ctx, s, flags.Args(), cfg, *most, *asJSON, html)
	if err == nil && *out != "" {
		if err = compareExcerpt(ctx, s, flags.Args(), cfg, first, parts); err != nil {
			err = fmt.Errorf("-o %s: %w", *out, err)
		}
	}
	return code, html.finish(err)
}

// compareExcerpt writes the smallest parts of two captures that show a finding.
func compareExcerpt(ctx context.Context, s streams, names []string, cfg compare.Config, f *compare.Finding, out []string) error {
	if f == nil {
		return nothingFound(s, "compare", out[0])
	}
	in, err := openBoth(names, nil)
	if err != nil {
		return err
	}
	defer in[0].Close()
	defer in[1].Close()
	parts, err := excerpt.Compare(ctx, in, cfg, *f)
	for i, list := range parts {
		if err == nil {
			err = writeExcerpt(s, "compare", out[i], list)
		}
	}
	return err
}

// openBoth opens two captures. The caller closes them, unless there is an error.
func openBoth(names []string, stdin io.Reader) (in [2]*capture.Source, err error) {
	if in[0], err = capture.Open(names[0], stdin); err != nil {
		return in, err
	}
	if in[1], err = capture.Open(names[1], stdin); err != nil {
		in[0].Close()
	}
	return in, err
}

// compareFiles compares two captures, prints the report and returns the exit code.
func compareFiles(ctx context.Context, s streams, names []string, cfg compare.Config, most int, asJSON bool, html *htmlFile) (int, error) {
	in, err := openBoth(names, s.in)
	if err != nil {
		return 0, err
	}
	defer in[0].Close()
	defer in[1].Close()
	var seen page.Compare
	if html.name != "" {
		each := cfg.Each
		cfg.Each, cfg.Cut = seen.Found, seen.Cut
		if each != nil {
			cfg.Each = func(f compare.Finding) { seen.Found(f); each(f) }
		}
	}
	r, err := compare.Files(ctx, s.err, in, cfg, most)
	if asJSON {
		if err := json.NewEncoder(s.out).Encode(r); err != nil {
			return 0, err
		}
	} else {
		r.Print(s.out)
	}
	if err != nil {
		err = fmt.Errorf("%w; the report covers %s of BEFORE and %s of AFTER", err, record.Count(r.Summary.Packets[0], "packet"), record.Count(r.Summary.Packets[1], "packet"))
	}
	if html.name != "" {
		section, e := seen.Section(r, err)
		err = errors.Join(err, html.add(section, e))
	}
	switch {
	case err != nil:
		return 0, err
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
