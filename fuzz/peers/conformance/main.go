// SPDX-License-Identifier: MIT

// Command conformance judges the implementations of package peers and this machine's
// kernel with package conform, and shows which properties each violates.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/conform"
	"tunproof/fuzz/internal/usage"
	"tunproof/fuzz/peers"
	"tunproof/fuzz/record"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	os.Exit(code)
}

// result is a line of the output: the report on an implementation, with the cases.
type result struct {
	*conform.Report
	Seed  uint64     `json:"seed"`
	Tree  string     `json:"tree"`
	Basis string     `json:"basis,omitempty"` // see record.Result
	Date  string     `json:"date,omitempty"`
	Env   record.Env `json:"env"`
	Cases []string   `json:"cases"` // a case for each element of Found, or ""
}

func run() (int, error) {
	opt := conform.Options{Say: func(f string, args ...any) { fmt.Fprintf(os.Stderr, "conformance: "+f+"\n", args...) }}
	var arguments usage.Conformance
	flags := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	if err := arguments.Parse(flags, func(f *flag.FlagSet) error { return f.Parse(os.Args[1:]) }); err != nil {
		return record.ExitUsage, err
	}
	opt.Corpus, opt.Seed, opt.Time = arguments.Corpus, arguments.Seed, arguments.Time
	var results []result
	var err error
	if arguments.Report != "" {
		results, err = read(arguments.Report)
	} else {
		if err := enter(); err != nil {
			return record.ExitUsage, err
		}
		for opt.Seed == 0 {
			opt.Seed = rand.Uint64() >> 16
		}
		results, err = judge(opt, arguments.Only)
	}
	if err != nil {
		return record.ExitUsage, err
	}
	if arguments.Out != "" {
		if err := write(arguments.Out, results); err != nil {
			return record.ExitUsage, err
		}
	}
	if arguments.SVG != "" {
		if err := picture(arguments.SVG, results); err != nil {
			return record.ExitUsage, err
		}
	}
	rows := records(results)
	if arguments.JSON {
		err = record.Write(os.Stdout, rows)
	} else {
		table(os.Stdout, results, arguments.Found)
	}
	if err != nil {
		return record.ExitUsage, err
	}
	return record.Exit(rows), nil
}

// judge explores each implementation.
func judge(opt conform.Options, only string) (results []result, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var list []conform.Impl
	for _, i := range peers.All() {
		if i.NewCoalescer != nil {
			list = append(list, i.Conform())
		}
	}
	if k, err := kernel(); err == nil {
		list = append(list, k)
	} else {
		fmt.Fprintln(os.Stderr, "conformance: the kernel is not asked:", err)
	}
	var known []string
	for _, i := range list {
		known = append(known, i.Name)
	}
	for name := range strings.SplitSeq(only, ",") {
		if only != "" && !slices.Contains(known, name) {
			return nil, fmt.Errorf("-impl: no implementation %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	fmt.Fprintf(os.Stderr, "conformance: seed %d\n", opt.Seed)
	for _, i := range list {
		if only != "" && !strings.Contains(","+only+",", ","+i.Name+",") {
			continue
		}
		r, err := conform.Explore(ctx, i, opt)
		if err != nil {
			return nil, err
		}
		stamp := record.Result{Property: "conformance", Env: record.Here()}
		stamp.Stamp()
		one := result{Report: r, Seed: opt.Seed, Tree: stamp.Tree, Basis: stamp.Basis, Date: stamp.Date, Env: stamp.Env}
		for _, f := range r.Found {
			one.Cases = append(one.Cases, caseText(f))
		}
		if ctx.Err() != nil {
			return results, errors.New("interrupted")
		}
		results = append(results, one)
	}
	return results, nil
}

// caseText returns the case of a violation. It returns none for a panic that a remote
// sender could cause (.github/SECURITY.md).
func caseText(f conform.Found) string {
	if f.Case == nil || strings.HasPrefix(f.Key(), "P1: Coalesce") {
		return ""
	}
	return string(pkts.Format(f.Case))
}

func write(file string, results []result) error {
	f, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	e := json.NewEncoder(f)
	for _, r := range results {
		if err == nil {
			err = e.Encode(r)
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), file)
}

func read(file string) (results []result, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var r result
		if err := d.Decode(&r); err == io.EOF {
			return results, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		results = append(results, r)
	}
}

func records(results []result) (rows []record.Result) {
	for _, r := range results {
		for _, row := range r.Records(r.Seed, r.Tree) {
			row.Env = r.Env // the environment of the run, also if read from a file
			rows = append(rows, row)
		}
	}
	return rows
}
