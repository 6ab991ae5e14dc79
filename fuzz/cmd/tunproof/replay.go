package main

import (
	"context"
	"flag"
	"fmt"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/kernel"
	"tunproof/fuzz/replay"
	"tunproof/tunlive"
)

func replayCommand(ctx context.Context, s streams, args []string) (int, error) {
	r := &replay.Run{Ctx: ctx, In: s.in, Out: s.out, Err: s.err}
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.IntVar(&r.Batch, "batch", 64, "packets of a capture to a batch")
	order := flags.String("order", "inorder", "for captures: inorder or reorder")
	flags.BoolVar(&r.Config.AtomicIDs, "atomic", false, "for captures: Config.AtomicIDs")
	flags.StringVar(&r.Target, "target", "", "fuzz target of a crasher; by default the name of its directory")
	flags.BoolVar(&r.Complete, "complete", false, "fill in partial checksums of packets without a VnetHdr, which a receiver with offload takes for right")
	flags.BoolVar(&r.Quiet, "q", false, "show only violations and counts, no packets")
	flags.BoolVar(&r.JSON, "json", false, "write JSON objects, one a line: one for each batch of a capture, then one for each file")
	ask := flags.Bool("kernel", false, "ask this machine's kernel too, in network namespaces made for it")
	out := flags.String("pcap", "", "write the packets that offload makes to a pcapng file; with - they go to the standard output, and the report to the standard error")
	flags.StringVar(&r.CaseFile, "o", "", "write a case: of the violation, with as few packets as show it, or of all packets if nothing is violated")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	r.Config.Reorder = *order == "reorder"
	switch {
	case *order != "reorder" && *order != "inorder":
		return 0, fmt.Errorf("%w: -order is inorder or reorder, not %q", errUsage, *order)
	case r.Batch < 1:
		return 0, fmt.Errorf("%w: -batch must be positive", errUsage)
	case r.CaseFile == "-":
		return 0, fmt.Errorf("%w: -o writes to files, not to the standard output", errUsage)
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: which file? - is the standard input", errUsage)
	}
	for _, name := range flags.Args() {
		for _, to := range []string{*out, r.CaseFile} {
			if to != "" && file.Same(name, to) {
				return 0, fmt.Errorf("%w: %s would be written over what is read", errUsage, to)
			}
		}
	}
	if *ask {
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
	case *out == "":
		return r.Files(flags.Args())
	case file.IsStdout(*out):
		r.Out = s.err
		if r.Pcap, err = pcap.NewWriter(s.out, pcap.NG); err != nil {
			return 0, err
		}
		return r.Files(flags.Args())
	}
	f, err := file.Create(*out)
	if err != nil {
		return 0, err
	}
	if r.Pcap, err = pcap.NewWriter(f, pcap.NG); err == nil {
		code, err = r.Files(flags.Args())
	}
	return code, f.Finish(err)
}
