// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

const mutantsHelp = `
Shows which bugs the tests detect. A mutant is a copy of the code with one change. The
change is a planted bug, modelled on a real bug where there is one, or a mutation such as
< for <=. Each mutant is compiled, and tested with the properties, with offload's own tests
and with the kernel. The default set takes about 20 minutes. The kernel needs network
namespaces. The checkout itself is never changed.

Prints a line for each mutant on standard error, and at the end a summary: how many were
detected, by which method, and which survived. docs/mutation.md has the results.
`

const mutantsExits = "Exit codes: 0 all mutants were detected (with -deep: none), 1 some were not (with -deep: some were),\n" +
	"2 usage, infrastructure or an interrupt, 3 nothing ran."

func mutantsCommand(ctx context.Context, s streams, args []string) (int, error) {
	r := mutants.Job{Ctx: ctx, Out: s.out, Progress: s.err, Only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.StringVar(&r.Of, "of", "planted", "`SET` of mutants: planted (a list of bugs), offload or model (every mutation of that package), assembly (of the sums in assembly), harness (a list of checks that no longer check), or a directory such as fuzz/capture/check (every mutation of it, against its own tests)")
	flags.StringVar(&r.Bugs, "bugs", "", "plant the bugs of `FILE`, a JSON array of objects with name, from, file, old and new, instead of the built-in list")
	flags.StringVar(&r.State, "state", "", "keep the outcomes in `FILE` and resume from it")
	flags.StringVar(&r.Write, "o", "", "write the results to `FILE` once every mutant has run")
	flags.BoolVar(&r.Deep, "deep", false, "with -of offload, run only the mutants that are listed as equivalent to the code, on all small inputs; none may be detected")
	flags.BoolVar(&r.First, "first", false, "for each mutant, stop at the first test that detects it: several times as fast, without the other methods")
	flags.IntVar(&r.Workers, "workers", 0, "run `N` mutants at the same time; 0 is one for each core")
	flags.IntVar(&r.Draw, "draw", 0, "run only `N` mutants; -by selects them")
	flags.StringVar(&r.By, "by", "", "`TEXT` that determines which mutants -draw selects, such as a commit hash")
	report := flags.String("report", "", "only print a `PAGE`, made from the newest results in docs/evidence: page is docs/mutation.md, rows is a table of all mutants")
	flags.Func("run", "only mutants whose ID matches `REGEXP`", func(t string) (err error) {
		r.Only, err = regexp.Compile(t)
		return err
	})
	list := flags.Bool("list", false, "only print the IDs of the mutants, with the place and the origin of each")
	flags.BoolVar(&r.JSON, "json", false, "write the result record, in JSON, instead of the summary")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case flags.NArg() > 0:
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	case mutants.Suites[r.Of] == "":
		return 0, fmt.Errorf("%w: -of %s: there is no such set; there are %s", errUsage, r.Of, strings.Join(slices.Sorted(maps.Keys(mutants.Suites)), ", "))
	case r.Bugs != "" && r.Of != "planted":
		return 0, fmt.Errorf("%w: -bugs needs -of planted", errUsage)
	case r.Deep && r.Of != "offload":
		return 0, fmt.Errorf("%w: -deep needs -of offload", errUsage)
	case r.Write != "" && (r.First || r.Draw != 0 || r.Bugs != "" || r.Only.String() != ""):
		return 0, fmt.Errorf("%w: -o needs all mutants: it excludes -first, -draw, -bugs and -run", errUsage)
	case (r.Draw != 0) != (r.By != "") || r.Draw < 0 || r.Workers < 0:
		return 0, fmt.Errorf("%w: -draw and -by need each other, and -draw and -workers must not be negative", errUsage)
	}
	if *report != "" && *report != "page" && *report != "rows" {
		return 0, fmt.Errorf("%w: -report must be page or rows, not %q", errUsage, *report)
	}
	var err error
	if r.Root, err = record.Root("."); err != nil {
		return 0, err
	}
	if *report != "" {
		return record.ExitHolds, mutants.Report(s.out, r.Root, *report == "rows")
	}
	if *list {
		return record.ExitHolds, r.List()
	}
	return r.Run()
}
