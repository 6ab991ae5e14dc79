package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"tunproof/fuzz/engine/campaign"
	"tunproof/fuzz/mutants"
	"tunproof/fuzz/record"
)

// fuzzCommand is a fuzzing campaign.
func fuzzCommand(ctx context.Context, s streams, args []string) (int, error) {
	c := campaign.Config{}
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	flags.StringVar(&c.Dir, "dir", ".cache/campaign", "directory that keeps inputs and findings; several campaigns may share it")
	flags.StringVar(&c.Engine, "engine", "native", "native or libfuzzer")
	flags.DurationVar(&c.Time, "time", 0, "how long to fuzz; 0 until interrupted")
	flags.IntVar(&c.AtOnce, "at-once", 1, "targets that run at the same time")
	flags.IntVar(&c.Workers, "workers", 0, "processes per target; by default one per core in all")
	flags.BoolVar(&c.Empty, "empty", false, "start without the seeds, from what the directory has")
	flags.BoolVar(&c.Blind, "no-canary", false, "do not begin with the search for a planted bug")
	flags.BoolVar(&c.First, "first", false, "stop at the first finding")
	flags.DurationVar(&c.Limits.Time, "timeout", 10*time.Second, "an input that runs longer is a finding")
	flags.IntVar(&c.Limits.Memory, "memory", 2048, "an input that needs more megabytes is a finding")
	plant := flags.String("plant", "", "plant this bug first: a name of tunproof mutants, or of -bugs")
	bugs := flags.String("bugs", "", "JSON file of bugs, in the form of tunproof mutants -bugs")
	asJSON := flags.Bool("json", false, "write result records, one a line")
	report := flags.String("report", "", "write how fast the targets of a file of result records were, and run nothing")
	into := flags.String("into", "", "document to write that table into, between its lines <!-- rates --> and <!-- /rates -->")
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
		return 0, fmt.Errorf("%w: -engine is native or libfuzzer, not %q", errUsage, c.Engine)
	case c.Time < 0 || c.AtOnce < 1 || c.Workers < 1 || c.Limits.Time < time.Second || c.Limits.Memory < 256:
		return 0, fmt.Errorf("%w: -time must not be negative, -at-once and -workers positive, -timeout at least 1s, -memory at least 256", errUsage)
	}
	if *plant != "" {
		list := mutants.Bugs()
		if *bugs != "" {
			if list, err = mutants.ReadBugs(*bugs); err != nil {
				return 0, err
			}
		}
		if c.Plant = mutants.Named(list, *plant); c.Plant == nil {
			return 0, fmt.Errorf("%w: -plant: no bug %q", errUsage, *plant)
		}
	}
	if c.Root, err = record.Root("."); err != nil {
		return 0, err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return 0, err
	}
	if c.Plant != nil { // its findings are no one's else
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
