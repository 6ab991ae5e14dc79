// Command evidence gathers the records that tunproof's commands wrote about this tree into
// docs/evidence/VERSION-DATE, and writes the table of README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tunproof/fuzz/record"
)

// block is the table's name in README.md.
const block = "evidence"

const help = `usage: tunproof evidence [-run-missing] [-version VERSION] [-o DIR] [-json]

Collects the result records that other commands wrote about this source tree: verify, live,
exhaustive, kernels, mutants, detect and conformance. A record states the tree that it is
about. The command needs a checkout of tunproof without uncommitted changes, git and Go.

Writes docs/evidence/VERSION-DATE, with a report, results.json, pictures and the records,
and replaces the table of claims in README.md. Prints that table.

Exit codes: 0 every claim holds, 1 a property is violated, 2 usage, infrastructure or a
missing record, 3 some claims have a property that was not run.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "evidence:", err)
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

func run(ctx context.Context) (int, error) {
	o := Options{Progress: os.Stderr, Date: time.Now().UTC().Format(time.DateOnly)}
	flag.BoolVar(&o.RunMissing, "run-missing", false, "first run the commands that have no records of this source tree; this takes hours")
	flag.StringVar(&o.Version, "version", "", "`VERSION` of the evidence; without it the one in .zenodo.json")
	flag.StringVar(&o.Out, "o", "", "write to the new directory `DIR` instead of docs/evidence/VERSION-DATE, and leave README.md unchanged")
	asJSON := flag.Bool("json", false, "print results.json instead of the table")
	flag.Usage = printHelp
	flag.Parse()
	if flag.NArg() > 0 {
		return record.ExitUsage, errors.New("evidence takes no arguments")
	}
	var err error
	if o.Root, err = record.Root("."); err != nil {
		return record.ExitUsage, err
	}
	if o.Version == "" {
		if o.Version, err = version(o.Root); err != nil {
			return record.ExitUsage, err
		}
	}
	file := filepath.Join(o.Root, "README.md")
	doc, err := os.ReadFile(file)
	if err == nil {
		_, _, _, err = record.Block(doc, block) // check this before hours of work
	}
	if err != nil {
		return record.ExitUsage, fmt.Errorf("README.md: %w", err)
	}
	r, err := Gather(ctx, o)
	if err != nil {
		return record.ExitUsage, err
	}
	if o.Out == "" {
		if doc, err = record.Replace(doc, block, []byte(r.Block("docs/evidence/"+r.Directory()))); err == nil {
			err = os.WriteFile(file, doc, 0o666)
		}
		if err != nil {
			return record.ExitUsage, err
		}
	}
	if *asJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", " ")
		err = e.Encode(r)
	} else {
		_, err = fmt.Printf("%s%d claims, tree %s\n", r.Block("docs/evidence/"+r.Directory()), len(r.Claims), r.Tree)
	}
	switch {
	case err != nil:
		return record.ExitUsage, err
	case r.Verdict() == record.Violated:
		return record.ExitViolation, nil
	case r.Verdict() == record.NotRun:
		return record.ExitNothing, errors.New("some claims have a property that was not run")
	}
	return record.ExitHolds, nil
}

// version returns the version in .zenodo.json, without its "v".
func version(root string) (string, error) {
	b, err := os.ReadFile(filepath.Join(root, ".zenodo.json"))
	if err != nil {
		return "", err
	}
	var z struct{ Version string }
	if err := json.Unmarshal(b, &z); err != nil {
		return "", fmt.Errorf(".zenodo.json: %w", err)
	}
	return strings.TrimPrefix(z.Version, "v"), nil
}
