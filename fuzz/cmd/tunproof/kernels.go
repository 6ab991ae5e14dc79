package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"tunproof/fuzz/kernel/matrix"
	"tunproof/fuzz/record"
	"tunproof/tunlive/kernels"
)

// kernelsCommand asks several kernels, in virtual machines.
func kernelsCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("kernels", flag.ContinueOnError)
	series := flags.String("series", "", "series to ask, separated by commas; all by default")
	count := flags.Int("count", 9_500, "random batches for each of K2 and K3 on each kernel, and half that number of superpackets for K1")
	stride := flags.Int("stride", 18, "ask about every Nth of the 1,860,048 enumerated superpackets")
	jobs := flags.Int("at-once", runtime.NumCPU(), "virtual machines that run at the same time")
	cache := flags.String("cache", "", "directory that keeps kernels and QEMU; by default .cache/kernels of the checkout")
	state := flags.String("state", "", "file that keeps what ran, to resume from")
	out := flags.String("o", "", "file to write result records to, one a line")
	report := flags.String("report", "", "write the tables of a file of result records, and run nothing")
	into := flags.String("into", "", "document to write the tables into, between lines such as <!-- features --> and <!-- /features -->")
	name := flags.String("block", "kernels", "name of the first table's block there")
	var rows rowFlags
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if *report != "" {
		if err := record.Render(s.out, *report, *into, *name, matrix.Table); err != nil {
			return 0, err
		}
		return record.ExitHolds, record.Render(s.out, *report, *into, "features", matrix.FeaturesTable)
	}
	if *count < 1 || *jobs < 1 || *stride < 1 {
		return 0, fmt.Errorf("%w: -count, -stride and -at-once must be positive", errUsage)
	}
	var names []string
	if *series != "" {
		names = strings.Split(*series, ",")
	}
	list, err := kernels.Named(names)
	if err != nil {
		return 0, fmt.Errorf("%w: -series: %w", errUsage, err)
	}
	r := record.NewCollector(ctx, "kernels", s.err, rows.only)
	if r.Root, err = record.Root("."); err != nil {
		return 0, err
	}
	if *cache == "" {
		*cache = filepath.Join(r.Root, ".cache", "kernels")
	}
	if err := os.MkdirAll(*cache, 0o777); err != nil {
		return 0, err
	}
	tree, env := record.Current()
	r.Say("seed %d", rows.seed)
	found, failed := matrix.Run(ctx, matrix.Config{Root: r.Root, Series: list, Cache: kernels.Cache{Dir: *cache, Log: r.Say},
		Count: *count, Stride: *stride, Seed: rows.seed, Jobs: *jobs, State: *state, Say: r.Say})
	for i := range found {
		row := &found[i]
		row.Format, row.Command, row.Tree = 1, r.Command, tree
		row.Env.Go, row.Env.CPU, row.Env.NCPU = env.Go, "emulated on "+env.CPU, env.NCPU
	}
	r.Rows = found
	if *out != "" && ctx.Err() == nil && failed == nil {
		if err := record.WriteFile(*out, r.Rows); err != nil {
			return 0, err
		}
	}
	code, verdict := r.Verdict()
	if rows.asJSON {
		err = record.Write(s.out, r.Rows)
	} else {
		_, last := fmt.Fprintf(s.out, "\n%s\n", verdict)
		err = errors.Join(matrix.Table(s.out, r.Rows), matrix.FeaturesTable(s.out, r.Rows), last)
	}
	return code, errors.Join(failed, err)
}
