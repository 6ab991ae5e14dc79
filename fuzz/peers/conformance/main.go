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

const help = `usage: tunproof conformance [-time TIME] [-impl NAMES] [-corpus] [-seed N] [-o FILE] [-svg FILE] [-found] [-json]
       tunproof conformance -report FILE [-svg FILE] [-found] [-json]

Checks other implementations of packet offload, and also tunproof's own and the GRO of this
machine's kernel, against the properties of docs/properties.md. It gives generated batches
and superpackets to each implementation. The kernel needs network namespaces; it is left
out where these are missing. The command needs a checkout of tunproof and Go.

Prints a table of properties by implementations. A cell is "holds", "violated N", "refuses
N" or "n/a"; N is the number of different violations. A second table lists the known bugs
of docs/findings.md, with the seconds until each was found. Progress goes to standard
error. docs/conformance.md explains the results.

Exit codes: 0 no property is violated, 1 an implementation violates one, 2 usage,
infrastructure or an interrupt, 3 nothing ran.

Flags:
`

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	os.Exit(code)
}

// printHelp prints the help and the command's flags. Package rapid adds flags of its own,
// which are left out.
func printHelp() {
	own := flag.NewFlagSet("", flag.ContinueOnError)
	own.SetOutput(flag.CommandLine.Output())
	flag.VisitAll(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "rapid.") {
			own.Var(f.Value, f.Name, f.Usage)
			own.Lookup(f.Name).DefValue = f.DefValue
		}
	})
	fmt.Fprint(own.Output(), help)
	own.PrintDefaults()
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
	flag.BoolVar(&opt.Corpus, "corpus", false, "first check the cases of the corpus")
	flag.Uint64Var(&opt.Seed, "seed", 0, "generate inputs from seed `N`, so that a run can be repeated; 0 draws a seed and prints it")
	flag.DurationVar(&opt.Time, "time", time.Minute, "check each implementation for this `TIME`")
	only := flag.String("impl", "", "comma-separated `NAMES` of implementations, as the table has them; without it all")
	asJSON := flag.Bool("json", false, "write one result record a line, in JSON, instead of the tables")
	out := flag.String("o", "", "write all violations and their cases to `FILE`, a JSON line for each implementation")
	report := flag.String("report", "", "check nothing; print the tables of `FILE`, which -o wrote")
	svg := flag.String("svg", "", "write a picture of the table to `FILE`, as SVG")
	found := flag.Bool("found", false, "after the tables, also list each violation")
	flag.Usage = printHelp
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
