// SPDX-License-Identifier: MIT

// Command evidence gathers the records that tunproof's commands wrote about this tree into
// docs/evidence/VERSION-DATE, and writes the table of README.md. Or it runs one claim again.
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

	"tunproof/fuzz/internal/usage"
	"tunproof/fuzz/record"
)

// block is the table's name in README.md.
const block = "evidence"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "evidence:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context) (int, error) {
	o := Options{Progress: os.Stderr, Date: time.Now().UTC().Format(time.DateOnly)}
	var arguments usage.Evidence
	flags := flag.NewFlagSet(os.Args[0], flag.ExitOnError)
	if err := arguments.Parse(flags, func(f *flag.FlagSet) error { return f.Parse(os.Args[1:]) }); err != nil {
		return record.ExitUsage, err
	}
	o.RunMissing, o.Version, o.Out = arguments.RunMissing, arguments.Version, arguments.Out
	var err error
	if o.Root, err = record.Root("."); err != nil {
		return record.ExitUsage, err
	}
	if arguments.Claim != "" {
		return runAgain(ctx, o.Root, arguments.Claim, arguments.Seed, os.Stdout, os.Stderr)
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
	if arguments.JSON {
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
