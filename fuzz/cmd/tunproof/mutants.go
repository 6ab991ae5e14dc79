package main

import (
	"context"
	"flag"
	"fmt"
	"regexp"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

func mutantsCommand(ctx context.Context, s streams, args []string) (int, error) {
	r := mutants.Job{Ctx: ctx, Out: s.out, Progress: s.err, Only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.StringVar(&r.Of, "of", "planted", "planted, offload or model: planted bugs, or the mutations of a package")
	flags.StringVar(&r.Bugs, "bugs", "", "file of bugs to plant instead of the harness's own: a JSON array of objects with name, from, file, old, new")
	flags.StringVar(&r.State, "state", "", "file that keeps outcomes, to resume from")
	flags.StringVar(&r.Write, "o", "", "file to write results to, once every mutant has run")
	flags.BoolVar(&r.Deep, "deep", false, "with -of offload: only those that are listed as equivalent, against all small inputs")
	flags.BoolVar(&r.First, "first", false, "stop at the first test program that detects a mutant")
	flags.IntVar(&r.Workers, "workers", 0, "mutants that run at the same time; 0 for one per core")
	flags.IntVar(&r.Draw, "draw", 0, "run only N mutants, drawn by -by")
	flags.StringVar(&r.By, "by", "", "text that determines what -draw draws, such as a commit hash")
	report := flags.String("report", "", "run nothing and print a page from the newest records: page is docs/mutation.md, rows has each mutant")
	flags.Func("run", "only mutants whose ID matches", func(t string) (err error) {
		r.Only, err = regexp.Compile(t)
		return err
	})
	flags.BoolVar(&r.JSON, "json", false, "write the result record")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case flags.NArg() > 0:
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	case mutants.Suites[r.Of] == "":
		return 0, fmt.Errorf("%w: -of is planted, offload or model", errUsage)
	case r.Bugs != "" && r.Of != "planted":
		return 0, fmt.Errorf("%w: -bugs goes with -of planted", errUsage)
	case r.Deep && r.Of != "offload":
		return 0, fmt.Errorf("%w: -deep goes with -of offload", errUsage)
	case r.Write != "" && (r.First || r.Draw != 0 || r.Bugs != "" || r.Only.String() != ""):
		return 0, fmt.Errorf("%w: -o is for all that there are: without -first, -draw, -bugs, -run", errUsage)
	case (r.Draw != 0) != (r.By != "") || r.Draw < 0 || r.Workers < 0:
		return 0, fmt.Errorf("%w: -draw goes with -by, and neither it nor -workers is negative", errUsage)
	}
	if *report != "" && *report != "page" && *report != "rows" {
		return 0, fmt.Errorf("%w: -report is page or rows, not %q", errUsage, *report)
	}
	var err error
	if r.Root, err = record.Root("."); err != nil {
		return 0, err
	}
	if *report != "" {
		return record.ExitHolds, mutants.Report(s.out, r.Root, *report == "rows")
	}
	return r.Run()
}
