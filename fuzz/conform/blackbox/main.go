// SPDX-License-Identifier: MIT

//go:build linux

// Command blackbox judges a program that carries packets from one TUN to another, such as
// the two ends of a VPN. It looks at the program only from outside, with package conform:
//
//	go run ./fuzz/conform/blackbox [-time 1m] [-seed N] [-corpus] [-all] [-atomic-ids] PROGRAM [ARGUMENTS]
//
// It runs the program in a network namespace of its own, where only lo is up. The
// environment variables TUN_FROM and TUN_TO have the names of two TUNs. The program opens
// both, enables its offloads, and carries every packet that it reads from the first to the
// second. Packet sockets see what goes in and what comes out, superpackets included. No
// code of the program is linked, so it may be in any language.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/conform"
	"tunproof/fuzz/record"
	"tunproof/tunlive"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "blackbox:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, progress io.Writer) (int, error) {
	flags := flag.NewFlagSet("blackbox", flag.ContinueOnError)
	flags.SetOutput(progress)
	opt := conform.Options{Say: func(f string, args ...any) { fmt.Fprintf(progress, "blackbox: "+f+"\n", args...) }}
	flags.BoolVar(&opt.Corpus, "corpus", false, "try the cases of the corpus first")
	flags.Uint64Var(&opt.Seed, "seed", 0, "seed of generated input; 0 draws one")
	flags.DurationVar(&opt.Time, "time", time.Minute, "total time")
	flags.IntVar(&opt.Checks, "checks", 0, "most batches, and most superpackets; 0 for no limit but -time")
	atomic := flags.Bool("atomic-ids", false, "IPv4 IDs of packets with DF may change (RFC 6864)")
	all := flags.Bool("all", false, "also send packets that are damaged or have a wrong length, which a VPN may drop")
	start := flags.Duration("start", 10*time.Second, "how long to wait for the program's links and for the first packet")
	asJSON := flags.Bool("json", false, "write result records, one on each line")
	if err := flags.Parse(args); err != nil {
		return record.ExitUsage, nil // the flag set wrote the error
	}
	if flags.NArg() == 0 || opt.Time <= 0 || opt.Checks < 0 {
		return record.ExitUsage, fmt.Errorf("usage: blackbox [-time TIME] [-checks N] [-seed N] [-corpus] [-all] [-atomic-ids] [-json] PROGRAM [ARGUMENTS]")
	}
	for opt.Seed == 0 {
		opt.Seed = rand.Uint64() >> 16
	}
	if err := tunlive.Enter(); err != nil {
		return record.ExitUsage, err
	}
	w, err := tunlive.NewWiring()
	if err != nil {
		return record.ExitUsage, err
	}
	defer w.Close()
	if err := w.SetUp("lo", 1000); err != nil {
		return record.ExitUsage, err
	}
	opt.Say("seed %d", opt.Seed)
	return judge(ctx, &box{argv: flags.Args(), from: "tpfrom", to: "tpto", start: *start, quiet: lostAfter, atomic: *atomic, out: progress, ctx: ctx}, opt, *all, *asJSON, out)
}

// judge judges the program and writes what it found.
func judge(ctx context.Context, b *box, opt conform.Options, all, asJSON bool, out io.Writer) (int, error) {
	ctx, b.stop = context.WithCancel(ctx)
	defer b.stop()
	if err := b.run(); err != nil { // first, because impl reads the MTU of the links
		return record.ExitUsage, err
	}
	r, err := conform.Explore(ctx, b.impl(all), opt)
	err = errors.Join(err, b.failed, b.close())
	if err != nil {
		return record.ExitUsage, err
	}
	tree := ""
	if root, err := record.Root("."); err == nil {
		tree, _ = record.Tree(root)
	}
	rows := r.Records(opt.Seed, tree)
	if asJSON {
		if err := record.Write(out, rows); err != nil {
			return record.ExitUsage, err
		}
		return record.Exit(rows), nil
	}
	for _, f := range r.Found {
		fmt.Fprintf(out, "%v\n%d inputs show it, first %s\n", f.Violation, f.Count, f.Source)
		if f.Case != nil {
			fmt.Fprintf(out, "a case that tunproof replay reads:\n%s\n", pkts.Format(f.Case))
		}
	}
	for _, row := range rows {
		fmt.Fprintf(out, "%-4s %-90s %8d inputs  %s %s\n", row.Property, conform.About(row.Property), row.Count, row.Result, row.Detail)
	}
	fmt.Fprintf(out, "seed %d, %.0f s; %d violations were not reproduced\n", opt.Seed, r.Seconds, r.Flaky)
	return record.Exit(rows), nil
}
