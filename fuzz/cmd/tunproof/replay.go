// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/kernel"
	"tunproof/fuzz/record"
	"tunproof/fuzz/replay"
	"tunproof/tunlive"
)

const replayHelp = `
Runs packets through package offload, and checks every property on them. FILE is a pcap or
pcapng capture, a .pkts case, packets as text (hex, a dump, a Go slice) or a crasher (an
input file of Go's fuzzing engine); - is standard input. A packet whose comment states a
VnetHdr is segmented (tunproof check -h shows the comment); the others are coalesced in
batches. For a case, the outcome must also be the one that the case states, and packets are
counted from 0, as in its lines "out".

Prints each packet and its Reason: Joined, or why it did not join. Then it prints each
superpacket with its VnetHdr, each segment, the violations, and a verdict.

-html writes the report as a page too: docs/symptoms.md describes it. Several files are sections of it.
`

const replayExits = "Exit codes: 0 holds, 1 a property is violated, 2 usage, infrastructure or an unreadable file, 3 there was nothing to judge."

func replayCommand(ctx context.Context, s streams, args []string) (int, error) {
	r := &replay.Run{Ctx: ctx, In: s.in, Out: s.out, Err: s.err}
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.IntVar(&r.Batch, "batch", 64, "for captures: `N` packets make a batch")
	order := flags.String("order", "inorder", "for captures: `ORDER` of packets within a TCP flow, inorder (kept) or reorder (out-of-order segments may join)")
	flags.BoolVar(&r.Config.AtomicIDs, "atomic", false, "for captures: set Config.AtomicIDs, so that the IDs of packets with DF may change")
	flags.BoolVar(&r.Config.AbsentChecksums, "absent", false, "for captures: set Config.AbsentChecksums, so that IPv4 datagrams without a checksum join and get one")
	plant := flags.String("plant", "", "run a copy of offload with the planted bug `NAME`, as fuzz -plant does; it needs a checkout and Go")
	bugs := flags.String("bugs", "", "`FILE` of bugs for -plant, in the form of tunproof mutants -bugs")
	flags.StringVar(&r.Target, "target", "", "crashers are inputs of the fuzz target `NAME`; without it the name of their directory is the target, with or without Fuzz")
	flags.BoolVar(&r.Complete, "complete", false, "first complete the partial checksums of packets without a VnetHdr, as the sender's device would")
	flags.BoolVar(&r.Quiet, "q", false, "print violations and counts only, no packets")
	flags.BoolVar(&r.JSON, "json", false, "write JSON objects instead of text, one a line: one for each batch of a capture, then one for each file")
	ask := flags.Bool("kernel", false, "compare with this machine's kernel too, in network namespaces that the command makes")
	out := flags.String("pcap", "", "write the packets that offload makes to the pcapng file `OUT`; - is standard output, and then the report goes to standard error")
	html := htmlFlag(flags)
	flags.StringVar(&r.CaseFile, "o", "", "write the packets to the file `CASE`: as few as show the violation, or all if nothing is violated")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	r.Config.Reorder = *order == "reorder"
	switch {
	case *order != "reorder" && *order != "inorder":
		return 0, fmt.Errorf("%w: -order must be inorder or reorder, not %q", errUsage, *order)
	case r.Batch < 1:
		return 0, fmt.Errorf("%w: -batch must be positive", errUsage)
	case r.CaseFile == "-":
		return 0, fmt.Errorf("%w: -o writes to a file, not to standard output", errUsage)
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: no file given; - is standard input", errUsage)
	case *bugs != "" && *plant == "":
		return 0, fmt.Errorf("%w: -bugs needs -plant", errUsage)
	}
	if *plant != "" {
		var rest []string // all but these two
		flags.Visit(func(f *flag.Flag) {
			if f.Name != "plant" && f.Name != "bugs" {
				rest = append(rest, "-"+f.Name+"="+f.Value.String())
			}
		})
		return withBug(ctx, s, *plant, *bugs, append(append(rest, "--"), flags.Args()...))
	}
	if err := notAnInput(flags.Args(), *out, r.CaseFile); err != nil {
		return 0, err
	}
	if err := html.open(flags.Args()); err != nil {
		return 0, err
	}
	if html.name != "" {
		r.Page = &html.Page
	}
	code, err := replayFiles(s, r, flags.Args(), *ask, *out)
	return code, html.finish(err)
}

// withBug runs replay in a program that is built with a planted bug. It returns the exit code
// of that program.
func withBug(ctx context.Context, s streams, name, bugs string, args []string) (int, error) {
	bug, err := planted(name, bugs)
	if err != nil {
		return 0, err
	}
	root, err := record.Root(".")
	if err != nil {
		return 0, err
	}
	m, err := bug.Plant(root)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "tunproof-replay-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program, err := m.Build(ctx, root, dir)
	if err != nil {
		return 0, err
	}
	run := exec.CommandContext(ctx, program, append([]string{"replay"}, args...)...)
	run.Stdin, run.Stdout, run.Stderr = s.in, s.out, s.err
	var exit *exec.ExitError
	if err := run.Run(); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	} else if err != nil {
		return 0, err
	}
	return record.ExitHolds, nil
}

// replayFiles replays files and returns the exit code. out is the capture to write, "" for
// none.
func replayFiles(s streams, r *replay.Run, names []string, ask bool, out string) (int, error) {
	if ask {
		if err := tunlive.Enter(); err != nil {
			return 0, fmt.Errorf("-kernel: %w", err)
		}
		k, err := kernel.Open()
		if err != nil {
			return 0, fmt.Errorf("-kernel: %w", err)
		}
		defer k.Close()
		r.Kernel = k.Parts()
	}
	code, err := 0, error(nil)
	switch {
	case out == "":
		return r.Files(names)
	case file.IsStdout(out):
		r.Out = s.err
		if r.Pcap, err = pcap.NewWriter(s.out, pcap.NG); err != nil {
			return 0, err
		}
		return r.Files(names)
	}
	f, err := file.Create(out)
	if err != nil {
		return 0, err
	}
	if r.Pcap, err = pcap.NewWriter(f, pcap.NG); err == nil {
		code, err = r.Files(names)
	}
	return code, f.Finish(err)
}
