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
	"time"

	"tunproof/fuzz/engine/campaign"
	"tunproof/fuzz/internal/usage"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

const fuzzHelp = `
Runs the fuzz targets in turn, each for up to a minute, until the time is over or the
command is interrupted. Each property is a target, and so is each parser. Inputs and
findings are kept in a directory. The next campaign on that directory resumes from them. A
failing input is a finding if it fails three times more; it is then minimised. A campaign
first has to find a planted bug, to show that it detects bugs.

Prints a line for each running target every ten seconds on standard error, and at the
end a table and the findings. docs/fuzzing.md explains the fields of the lines and the
files of the directory. "tunproof replay" shows what is wrong in a finding.
`

const fuzzExits = "Exit codes: 0 no finding, 1 a finding, 2 usage or infrastructure, an interrupt before -time is over,\n" +
	"or a planted bug was not found (that of -plant, or the first test's), 3 nothing ran, or -time was too short for a target. Without -time an interrupt is the normal end."

func fuzzCommand(ctx context.Context, s streams, args []string) (int, error) {
	c := campaign.Config{}
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	flags.StringVar(&c.Dir, "dir", ".cache/campaign", "keep inputs and findings in `DIR`; several campaigns may share it")
	flags.StringVar(&c.Engine, "engine", "native", "fuzzing `ENGINE`: native (Go's own) or libfuzzer (needs clang)")
	usage.Time(flags, &c.Time, "time", 0, "stop after this `TIME`; without it, or with 0, run until interrupted")
	flags.IntVar(&c.AtOnce, "at-once", 1, "run `N` targets at the same time")
	flags.IntVar(&c.Workers, "workers", 0, "run `N` processes for each target; 0 shares the cores among the targets")
	flags.BoolVar(&c.Empty, "empty", false, "start only from the inputs in the directory, without those of the corpus")
	flags.BoolVar(&c.Blind, "no-canary", false, "do not look for a planted bug first")
	flags.BoolVar(&c.First, "first", false, "stop at the first finding")
	usage.Time(flags, &c.Limits.Time, "timeout", 10*time.Second, "an input that runs longer than this `TIME` is a finding")
	flags.IntVar(&c.Limits.Memory, "memory", 2048, "an input that needs more than `MB` megabytes of memory is a finding")
	plant := flags.String("plant", "", "plant the bug `NAME` in a copy of offload, and fuzz the copy; inputs and findings go to DIR/planted/NAME, and the campaign does not first look for a planted bug of its own; \"tunproof mutants -list\" prints the names, or -bugs has them")
	bugs := flags.String("bugs", "", "`FILE` of bugs for -plant, in the form of tunproof mutants -bugs")
	asJSON := flags.Bool("json", false, "write one result record a line, in JSON, instead of the table")
	report := flags.String("report", "", "only print how many inputs a second each target executed, from the result records in `FILE`")
	into := flags.String("into", "", "with -report, replace the table in the document `DOC`, between the lines <!-- rates --> and <!-- /rates -->")
	targets := targetFlag(flags)
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if *report != "" {
		return record.ExitHolds, record.Render(s.out, *report, *into, "rates", campaign.RatesTable)
	}
	var err error
	if c.Targets, err = targets(); err != nil {
		return 0, err
	}
	c.AtOnce = min(c.AtOnce, len(c.Targets))
	if c.Workers == 0 {
		c.Workers = max(1, runtime.NumCPU()/max(1, c.AtOnce))
	}
	switch {
	case flags.NArg() > 0:
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	case c.Engine != "native" && c.Engine != "libfuzzer":
		return 0, fmt.Errorf("%w: -engine must be native or libfuzzer, not %q", errUsage, c.Engine)
	case c.Time < 0 || c.AtOnce < 1 || c.Workers < 1 || c.Limits.Time < time.Second || c.Limits.Memory < 256:
		return 0, fmt.Errorf("%w: -time must not be negative, -at-once and -workers positive, -timeout at least 1s, -memory at least 256", errUsage)
	}
	if *plant != "" {
		if c.Plant, err = planted(*plant, *bugs); err != nil {
			return 0, err
		}
	}
	if c.Root, err = record.Root("."); err != nil {
		return 0, err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return 0, err
	}
	if c.Plant != nil { // keep its findings apart from real ones
		c.Dir = filepath.Join(c.Dir, "planted", c.Plant.Name)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return 0, err
	}
	r := record.Collector{Ctx: ctx, Command: "fuzz", Progress: s.err, Root: c.Root}
	c.Say = r.Say
	summary, err := campaign.Fuzz(ctx, c)
	if summary != nil {
		summary.Records(&r, c)
		if *asJSON {
			if e := record.Write(s.out, r.Rows); e != nil {
				return 0, e
			}
		} else {
			r.Table(s.out)
			err = errors.Join(err, summary.Print(s.out, c))
		}
	}
	if err != nil {
		return 0, err
	}
	code, verdict := summary.Verdict(&r, c)
	if !*asJSON {
		fmt.Fprintln(s.out, verdict)
	}
	return code, nil
}

// planted returns the bug with a name: of a file of bugs, or of the built-in list if file is
// "".
func planted(name, file string) (*mutants.Bug, error) {
	list, where := mutants.Bugs(), `"tunproof mutants -list" prints the names`
	if file != "" {
		var err error
		if list, err = mutants.ReadBugs(file); err != nil {
			return nil, err
		}
	}
	var known []string
	for _, b := range list {
		known = append(known, b.Name)
	}
	if file != "" {
		where = file + " has " + strings.Join(known, ", ")
	}
	if bug := mutants.Named(list, name); bug != nil {
		return bug, nil
	}
	return nil, fmt.Errorf("%w: -plant: no bug %q%s; %s", errUsage, name, usage.Meant(name, known), where)
}
