// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/excerpt"
	"tunproof/fuzz/capture/page"
	"tunproof/fuzz/record"
)

const checkHelp = `
Checks packets that any program made: lengths, checksums, VnetHdrs, TCP flags, and the
sequence numbers and IPv4 IDs from packet to packet. CAPTURE is a pcap or pcapng file, a
.pkts case, or packets as text (hex, a dump such as that of tcpdump -x, a Go slice); - is
standard input. It may be compressed: as gz or bz2, or, if the programs zstd, xz and lz4
are installed, as zst, xz or lz4. A superpacket is checked against its VnetHdr if its packet
comment states one, in the form
"vnet flags=1 gso_type=1 hdr_len=40 gso_size=100 csum_start=20 csum_offset=16".

Prints the verdict and the number of findings of each kind. Then it prints one line for each
finding, with the packet, the field, the rule of docs/rules.md that it breaks and, where
there is one, the known bug that it resembles. Findings with one cause share a line. From
standard input findings are printed as they come, and the verdict is last; an interrupt
ends it like the end of the capture.

-o writes the smallest part of CAPTURE that shows the first certain finding, or the first
one. It is a capture again; tunproof replay -o CASE makes a .pkts case of it.

-html writes the report as a page too: docs/symptoms.md describes it. -html and -o read each
capture twice, so none can be standard input.
`

const checkExits = "Exit codes: 0 nothing found, 1 findings, also if all are suspect, 2 usage, infrastructure or an unreadable capture,\n" +
	"3 nothing found, but no capture has a packet, or one has more records that were cut (snap length) or left out of a text than whole ones."

func checkCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	var o check.Options
	flags.BoolVar(&o.Wire, "wire", false, "report partial checksums as wrong, and packets of over 65,535 bytes (BIG TCP); for captures from a place after every offload")
	flags.IntVar(&o.MTU, "mtu", 0, "report packets longer than `N` bytes; 0 allows any length")
	flags.BoolVar(&o.Certain, "certain", false, "leave out suspect findings, which may have an innocent cause")
	flags.IntVar(&o.Most, "max", 100, "show at most `N` findings of each kind")
	asJSON := flags.Bool("json", false, "write a JSON object for each capture instead of text")
	html := htmlFlag(flags)
	out := flags.String("o", "", "write the packets that show the first finding to the pcapng file `OUT`, as few as possible")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: no capture given", errUsage)
	case *out != "" && flags.NArg() > 1:
		return 0, fmt.Errorf("%w: -o is for one capture", errUsage)
	case o.MTU < 0 || o.Most < 0:
		return 0, fmt.Errorf("%w: -mtu and -max must not be negative", errUsage)
	case html.name != "" || *out != "":
		if err := page.Rereadable(flags.Args()...); err != nil {
			return 0, fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	if err := newOutput("-o", flags.Args(), *out); err != nil {
		return 0, err
	}
	if err := html.open(flags.Args()); err != nil {
		return 0, err
	}
	var first *check.Finding
	if *out != "" {
		o.Each = func(f check.Finding) {
			if first == nil || first.Suspect && !f.Suspect {
				first = &f
			}
		}
	}
	code, err := checkFiles(ctx, s, flags.Args(), o, *asJSON, html)
	if err == nil && *out != "" {
		err = checkExcerpt(ctx, s, flags.Arg(0), o.Config, first, *out)
	}
	return code, html.finish(err)
}

// checkExcerpt writes the smallest part of a capture that shows a finding.
func checkExcerpt(ctx context.Context, s streams, name string, cfg check.Config, f *check.Finding, out string) error {
	if f == nil {
		return nothingFound(s, "check", out)
	}
	in, err := capture.Open(name, nil)
	if err != nil {
		return err
	}
	defer in.Close()
	list, err := excerpt.Check(ctx, in, cfg, *f)
	if err == nil {
		err = writeExcerpt(s, "check", out, list)
	}
	if err != nil {
		return fmt.Errorf("-o %s: %w", out, err)
	}
	return nil
}

// checkFiles judges captures, one after another, and returns the exit code.
func checkFiles(ctx context.Context, s streams, names []string, o check.Options, asJSON bool, html *htmlFile) (int, error) {
	code, packets, cut := record.ExitHolds, 0, false
	var failed []error
	each := o.Each
	for i, name := range names {
		var seen page.Check
		if html.name != "" {
			o.Each = func(f check.Finding) {
				seen.Found(f)
				if each != nil {
					each(f)
				}
			}
		}
		r, err := checkFile(ctx, s, name, o, asJSON)
		if r != nil && html.name != "" {
			section, e := seen.Section(r, err)
			err = errors.Join(err, html.add(section, e))
		}
		if r != nil {
			packets += r.Seen.Packets
			cut = cut || r.MostCut()
			if r.Record.Result == record.Violated {
				code = record.ExitViolation
			}
		}
		if err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil && i < len(names)-1 {
			failed = append(failed, capture.ErrInterrupted)
			break
		}
	}
	if err := errors.Join(failed...); err != nil {
		return code, err
	}
	if (packets == 0 || cut) && code == record.ExitHolds {
		return record.ExitNothing, nil
	}
	return code, nil
}

// checkFile judges one capture and prints the report. Of what was read it prints a report
// even if there is an error.
func checkFile(ctx context.Context, s streams, name string, o check.Options, asJSON bool) (*check.Report, error) {
	in, err := capture.Open(name, s.in)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if name == "-" && !asJSON {
		o.Live = s.out
	}
	r, err := check.File(ctx, s.err, in, o)
	if err != nil {
		err = fmt.Errorf("%w; the report covers the %s before that", err, record.Count(r.Seen.Packets, "packet"))
	}
	if asJSON {
		return r, errors.Join(err, json.NewEncoder(s.out).Encode(r))
	}
	r.Print(s.out)
	return r, err
}
