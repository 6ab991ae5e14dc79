//go:build linux

// Command blackbox judges a program that carries packets from one TUN to another, such as
// the two ends of a VPN, from outside, by package conform:
//
//	go run ./fuzz/conform/blackbox [-time 1m] [-seed N] [-corpus] [-all] [-atomic-ids] PROGRAM [ARGUMENTS]
//
// It runs the program in a network namespace of its own, where only lo is up, with the
// names of two TUNs in the environment, TUN_FROM and TUN_TO. The program opens both,
// switches on what offloads it has, and carries every packet that it reads from the first
// to the second. What goes in and comes out is seen by packet sockets: superpackets as
// the program wrote them. Nothing of the program is linked, in whatever language it is.
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
	flags.BoolVar(&opt.Corpus, "corpus", false, "the corpus' cases first")
	flags.Uint64Var(&opt.Seed, "seed", 0, "of generated input; 0 draws one")
	flags.DurationVar(&opt.Time, "time", time.Minute, "in all")
	flags.IntVar(&opt.Checks, "checks", 0, "batches, and superpackets, at most; 0 for as many as there is time")
	atomic := flags.Bool("atomic-ids", false, "IPv4 IDs of packets with DF may come out as others (RFC 6864)")
	all := flags.Bool("all", false, "packets too that are damaged or have another length than they say, which a VPN may drop")
	start := flags.Duration("start", 10*time.Second, "to wait for the program's links, and for the first packet")
	asJSON := flags.Bool("json", false, "write result records, one a line")
	if err := flags.Parse(args); err != nil {
		return record.ExitUsage, nil // it said why
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

// judge judges the program and shows what it does.
func judge(ctx context.Context, b *box, opt conform.Options, all, asJSON bool, out io.Writer) (int, error) {
	ctx, b.stop = context.WithCancel(ctx)
	defer b.stop()
	if err := b.run(); err != nil { // first, for what impl asks of the links
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
		fmt.Fprintf(out, "%v\n%d inputs show it, the first %s\n", f.Violation, f.Count, f.Source)
		if f.Case != nil {
			fmt.Fprintf(out, "a case of it, for tunproof replay:\n%s\n", pkts.Format(f.Case))
		}
	}
	for _, row := range rows {
		fmt.Fprintf(out, "%-4s %-90s %8d inputs  %s %s\n", row.Property, conform.About(row.Property), row.Count, row.Result, row.Detail)
	}
	fmt.Fprintf(out, "seed %d, %.0f s; %d that were seen once and not again\n", opt.Seed, r.Seconds, r.Flaky)
	return record.Exit(rows), nil
}
