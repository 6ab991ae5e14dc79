// SPDX-License-Identifier: MIT

// Bench measures tunproof and other implementations on the same packets, in alternating
// rounds of one process. It compares them with two limits: a copy of the same bytes, and
// one checksum pass over them.
//
//	bench [-run REGEXP] [-rounds N] [-o DIR -data DIR] [-json FILE] [-guard FILE]
//
// It prints a table. With -o it writes the measurements to DIR/bench, as benchmarks for
// benchstat and as plots, and the tables to DIR/bench.md. With -guard it also prints what
// became worse since an earlier run. It never fails because of a timing. Exit code 2 means
// that something could not be measured.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/cpu"

	"tunproof/fuzz/record"
)

func main() {
	run := flag.String("run", "", "only rows whose name matches `REGEXP`")
	rounds := flag.Int("rounds", 10, "alternating rounds")
	out := flag.String("o", "", "write tables into bench.md of `DIR`")
	data := flag.String("data", "", "with -o, write data and plots to `DIR`")
	results := flag.String("json", "", "write the result records to `FILE`")
	redraw := flag.String("plots", "", "measure nothing; draw the plots of `FILE`, the bench.txt of an earlier run, next to it")
	against := flag.String("guard", "", "compare with `FILE`, the bench.txt of an earlier run, by ratios, and print what became more than a tenth worse")
	raw := flag.Bool("raw", false, "print the time of every round, and nothing else")
	flag.Parse()
	match, err := regexp.Compile(*run)
	if err != nil || flag.NArg() > 0 || *rounds < 1 || (*out == "") != (*data == "") {
		fmt.Fprintln(os.Stderr, "bench: usage: bench [-run REGEXP] [-rounds N] [-o DIR -data DIR] [-json FILE] [-guard FILE] | -plots FILE", err)
		os.Exit(record.ExitUsage)
	}
	if *redraw != "" {
		rows, err := read(*redraw)
		check("read", err)
		check("draw", plots(filepath.Dir(*redraw), rows))
		return
	}
	var was []*row
	if *against != "" {
		was, err = read(*against)
		check("read", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *raw {
		check("measure", measureAll(ctx, match, *rounds, printRaw))
		return
	}
	rows, err := measure(ctx, match, *rounds)
	check("measure", err)
	if len(rows) == 0 {
		fmt.Fprintln(os.Stderr, "bench: no row matches")
		os.Exit(record.ExitNothing)
	}
	fmt.Print("\n", claimTable(rows))
	if *against != "" {
		lines, compared := guard(was, rows)
		fmt.Printf("\n%d rows compared with %s, %d ratios more than a tenth worse\n", compared, *against, len(lines))
		for _, l := range lines {
			fmt.Println(l)
		}
	}
	if *out != "" {
		check("write", write(*out, *data, rows, *rounds))
	}
	if *results != "" {
		check("write", writeResults(*results, rows, *rounds))
	}
}

// measure measures the rows that match, and the checksum also without AVX-512 VNNI, if the
// processor has it.
func measure(ctx context.Context, match *regexp.Regexp, rounds int) ([]*row, error) {
	var rows []*row
	done := func(r *row) {
		rows = append(rows, r)
		fmt.Println(r)
	}
	if match.MatchString("SumAVX2") && cpu.X86.HasAVX512VNNI {
		if err := measureAVX2(ctx, rounds, done); err != nil {
			return nil, err
		}
	}
	return rows, measureAll(ctx, match, rounds, done)
}

// measureAll measures the rows that match and calls done for each.
func measureAll(ctx context.Context, match *regexp.Regexp, rounds int, done func(*row)) error {
	for _, f := range allRows() {
		r := f()
		if !match.MatchString(r.name) {
			continue
		}
		if err := r.measure(ctx, rounds); errors.Is(err, context.Canceled) {
			return fmt.Errorf("interrupted at %s: nothing is written", r.name)
		} else if err != nil {
			return err
		}
		done(r)
	}
	return nil
}

// measureAVX2 runs this program again for the checksum only, with AVX-512 VNNI disabled.
func measureAVX2(ctx context.Context, rounds int, done func(*row)) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-raw", "-run", "^Sum/", "-rounds", strconv.Itoa(rounds))
	cmd.Env = append(os.Environ(), "GODEBUG=cpu.avx512vnni=off")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("without AVX-512: %w", err)
	}
	var r *row
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		f := strings.Split(s.Text(), "\t")
		name := strings.Replace(f[0], "Sum/", "SumAVX2/", 1)
		if r == nil || r.name != name {
			if r != nil {
				done(r)
			}
			n, err := strconv.Atoi(f[1])
			if err != nil {
				return err
			}
			r = &row{name: name, bytes: n, packets: 1}
		}
		e := &entry{impl: f[2]}
		for _, ns := range strings.Fields(f[3]) {
			v, err := strconv.ParseFloat(ns, 64)
			if err != nil {
				return err
			}
			e.ns = append(e.ns, v)
		}
		r.entries = append(r.entries, e)
	}
	if r != nil {
		done(r)
	}
	return nil
}

// printRaw prints the times of a row, as measureAVX2 reads them.
func printRaw(r *row) {
	for _, e := range r.entries {
		fmt.Printf("%s\t%d\t%s\t%s\n", r.name, r.bytes, e.impl, strings.Trim(fmt.Sprint(e.ns), "[]"))
	}
}
