// SPDX-License-Identifier: MIT

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

const kernelsHelp = `
Boots kernels of several series in QEMU virtual machines, without root, and runs in each:
K1 to K5 (see "tunproof live -h"), the tests of offload/tun and the tests of tunlive. It
also compares the kernel's features with the expected ones; a difference is a violation.
Kernels and QEMU are fetched from packages of Debian on first use. A series that is not
available is reported as not run.

Prints a table of series by properties, a table of features, and a verdict. -o writes the
result records to a file. -report prints the tables of such a file.
`

func kernelsCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("kernels", flag.ContinueOnError)
	series := flags.String("series", "", "comma-separated `NAMES` of kernel series, such as 6.1,6.12-arm64; without it all")
	count := flags.Int("count", 9_500, "check `N` random batches for each of K2 and K3 on each kernel, and half as many superpackets for K1")
	stride := flags.Int("stride", 18, "check only every `N`th of the 1,860,048 enumerated superpackets for K1")
	jobs := flags.Int("at-once", runtime.NumCPU(), "run `N` virtual machines at the same time")
	cache := flags.String("cache", "", "keep kernels and QEMU in `DIR`; without it in .cache/kernels of the checkout")
	state := flags.String("state", "", "keep the progress in `FILE` and resume from it")
	out := flags.String("o", "", "write the result records to `FILE`, one a line, in JSON")
	report := flags.String("report", "", "only print the tables of the result records in `FILE`")
	into := flags.String("into", "", "with -report, replace the tables in the document `DOC` instead of printing them; the second one is between <!-- features --> and <!-- /features -->")
	name := flags.String("block", "kernels", "with -into, the first table goes between <!-- `NAME` --> and <!-- /NAME -->")
	rows := rowFlags{without: []string{"run"}}
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
	_, env := record.Current()
	r.Say("seed %d", rows.seed)
	found, failed := matrix.Run(ctx, matrix.Config{Root: r.Root, Series: list, Cache: kernels.Cache{Dir: *cache, Log: r.Say},
		Count: *count, Stride: *stride, Seed: rows.seed, Jobs: *jobs, State: *state, Say: r.Say})
	for i := range found {
		row := &found[i]
		row.Command = r.Command
		row.Env.Go, row.Env.CPU, row.Env.NCPU = env.Go, "emulated on "+env.CPU, env.NCPU
		row.Stamp()
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
