package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"tunproof/fuzz/matrix"
	"tunproof/fuzz/record"
	"tunproof/tunlive"
	"tunproof/tunlive/kernels"
)

// kernelsCommand asks many kernels, in virtual machines.
func kernelsCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("kernels", flag.ContinueOnError)
	series := flags.String("series", "", "by commas; all without it")
	count := flags.Int("count", 9_500, "random batches for each of K2 and K3, half as many superpackets for K1, a kernel")
	stride := flags.Int("stride", 18, "of the 1,860,048 superpackets that are enumerated every so many are asked about")
	jobs := flags.Int("at-once", runtime.NumCPU(), "virtual machines at a time")
	cache := flags.String("cache", "", "where kernels and QEMU are kept; .cache/kernels of the checkout without it")
	state := flags.String("state", "", "file of what ran, to go on from")
	out := flags.String("o", "", "file to write result records to, one a line")
	report := flags.String("report", "", "write the tables of such a file, and run nothing")
	into := flags.String("into", "", "document to write them into, between lines such as <!-- features --> and <!-- /features -->")
	name := flags.String("block", "kernels", "what the first table is called there")
	var rows rowFlags
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if *report != "" {
		if err := renderRecords(s.out, *report, *into, *name, kernelsTable); err != nil {
			return 0, err
		}
		return record.ExitHolds, renderRecords(s.out, *report, *into, "features", featuresTable)
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
	r := results{ctx: ctx, command: "kernels", progress: s.err, only: rows.only}
	if r.root, err = record.Root("."); err != nil {
		return 0, err
	}
	if *cache == "" {
		*cache = filepath.Join(r.root, ".cache", "kernels")
	}
	if err := os.MkdirAll(*cache, 0o777); err != nil {
		return 0, err
	}
	tree, env := here()
	r.say("seed %d", rows.seed)
	found, failed := matrix.Run(ctx, matrix.Config{Root: r.root, Series: list, Cache: kernels.Cache{Dir: *cache, Log: r.say},
		Count: *count, Stride: *stride, Seed: rows.seed, Jobs: *jobs, State: *state, Say: r.say})
	for i := range found {
		row := &found[i]
		row.Format, row.Command, row.Tree = 1, r.command, tree
		row.Env.Go, row.Env.CPU, row.Env.NCPU = env.Go, "emulated on "+env.CPU, env.NCPU
	}
	r.rows = found
	if *out != "" && ctx.Err() == nil && failed == nil {
		if err := writeRecords(*out, r.rows); err != nil {
			return 0, err
		}
	}
	code, verdict := r.verdict()
	if rows.asJSON {
		err = record.Write(s.out, r.rows)
	} else {
		_, last := fmt.Fprintf(s.out, "\n%s\n", verdict)
		err = errors.Join(kernelsTable(s.out, r.rows), featuresTable(s.out, r.rows), last)
	}
	return code, errors.Join(failed, err)
}

// columns are the table's, of properties and units.
var kernelColumns = []struct{ name, property string }{
	{"K1: cut, every byte compared", "K1"}, {"K4: refused, or diverging as stated", "K4"}, {"K2: batches through the kernel", "K2"},
	{"K3: batches through its GRO", "K3"}, {"K5: packets between sockets", "K5"},
	{"tests of the device", matrix.Device}, {"tests of the harness", matrix.Harness}, {"features as expected", matrix.Features},
}

// kernelsTable writes kernels by properties, in Markdown.
func kernelsTable(w io.Writer, rows []record.Result) error {
	var b strings.Builder
	b.WriteString("| series | Linux |")
	for _, c := range kernelColumns {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("---|", len(kernelColumns)))
	for _, name := range seriesOf(rows) {
		of := slices.DeleteFunc(slices.Clone(rows), func(r record.Result) bool { return r.Judge != name })
		release := "not there"
		if of[0].Env.Kernel != "" {
			release = of[0].Env.Kernel
		}
		fmt.Fprintf(&b, "| %s | %s |", name, release)
		for _, c := range kernelColumns {
			fmt.Fprintf(&b, " %s |", kernelCell(of, c.property))
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\nSeries without an architecture are amd64. Tree %s, seed %d, %s, %s.\n", rows[0].Tree, seedOf(rows), rows[0].Env.CPU, rows[0].Env.Go)
	_, err := io.WriteString(w, b.String())
	return err
}

func seriesOf(rows []record.Result) (series []string) {
	for _, r := range rows {
		if !slices.Contains(series, r.Judge) {
			series = append(series, r.Judge)
		}
	}
	return series
}

// featuresTable writes what each kernel is expected to do.
func featuresTable(w io.Writer, rows []record.Result) error {
	var b strings.Builder
	series := seriesOf(rows)
	fmt.Fprintf(&b, "| feature | about |")
	for _, s := range series {
		fmt.Fprintf(&b, " %s |", s)
	}
	fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("---|", len(series)))
	for _, f := range tunlive.FeatureTable {
		fmt.Fprintf(&b, "| %s | %s |", f.Name, f.About)
		for _, s := range series {
			cell := ""
			if slices.Contains(matrix.Expected[s], f.Name) {
				cell = "yes"
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// kernelCell sums up what there is of a property.
func kernelCell(rows []record.Result, property string) string {
	n, all := 0, true
	for _, r := range rows {
		if r.Property != property {
			continue
		}
		switch r.Result {
		case record.Violated:
			return "VIOLATED: " + r.Method
		case record.NotRun:
			all = false
		}
		n += r.Count
	}
	if n == 0 {
		return "not run"
	}
	text := fmt.Sprint(n)
	if property == "K3" && !all {
		text += " (by toggle only)"
	}
	return text
}

// seedOf is the seed of the run.
func seedOf(rows []record.Result) uint64 {
	for _, r := range rows {
		if r.Property == "K5" {
			return r.Seed
		}
	}
	return 0
}
