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
	"strings"
	"syscall"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/conform"
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
	Env   record.Env `json:"env"`
	Cases []string   `json:"cases"` // a case for each element of Found, or ""
}

func run() (int, error) {
	opt := conform.Options{Say: func(f string, args ...any) { fmt.Fprintf(os.Stderr, "conformance: "+f+"\n", args...) }}
	flag.BoolVar(&opt.Corpus, "corpus", false, "try the cases of the corpus first")
	flag.Uint64Var(&opt.Seed, "seed", 0, "seed of generated input; 0 draws one")
	flag.DurationVar(&opt.Time, "time", time.Minute, "time for each implementation")
	only := flag.String("impl", "", "only these implementations, separated by commas")
	asJSON := flag.Bool("json", false, "write result records, one on each line")
	out := flag.String("o", "", "file for all violations and their cases, a JSON line for each implementation")
	report := flag.String("report", "", "run nothing: show the contents of a file that -o wrote")
	svg := flag.String("svg", "", "file for an SVG picture of the table")
	found := flag.Bool("found", false, "also show each violation, after the table")
	flag.Parse()
	if flag.NArg() > 0 || opt.Time <= 0 {
		return record.ExitUsage, errors.New("conformance takes no arguments, and -time must be positive")
	}
	var results []result
	var err error
	if *report != "" {
		results, err = read(*report)
	} else {
		if err := enter(); err != nil {
			return record.ExitUsage, err
		}
		for opt.Seed == 0 {
			opt.Seed = rand.Uint64() >> 16
		}
		results, err = judge(opt, *only)
	}
	if err != nil {
		return record.ExitUsage, err
	}
	if *out != "" {
		if err := write(*out, results); err != nil {
			return record.ExitUsage, err
		}
	}
	if *svg != "" {
		if err := picture(*svg, results); err != nil {
			return record.ExitUsage, err
		}
	}
	rows := records(results)
	if *asJSON {
		err = record.Write(os.Stdout, rows)
	} else {
		table(os.Stdout, results, *found)
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
	root, err := record.Root(".")
	if err != nil {
		return nil, err
	}
	tree, err := record.Tree(root)
	if err != nil {
		return nil, err
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
		one := result{Report: r, Seed: opt.Seed, Tree: tree, Env: record.Here()}
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
