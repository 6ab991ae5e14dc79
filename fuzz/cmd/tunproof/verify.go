package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"tunproof/fuzz/internal/process"
	"tunproof/fuzz/record"
	"tunproof/fuzz/verify"
)

const verifyHelp = `
Runs everything once: the cases of the corpus, the recorded captures, each property on
generated scenarios, every input of small scopes, this machine's kernel, and each fuzz
target. A scenario is a set of packets to join and superpackets to cut. The parts that
need a checkout of tunproof, the Go command or network namespaces are reported as not
run where these are missing.

Prints a table with one row for each property and method (how many inputs, which judge,
the result), what the inputs had in common, and a verdict. docs/properties.md explains
the properties. Progress goes to standard error.
`

func verifyCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	v := &verify.Run{Kernel: askKernel}
	flags.IntVar(&v.Checks, "checks", 3_000, "generate `N` scenarios for each property")
	flags.IntVar(&v.Execs, "fuzz", 20_000, "execute each fuzz target `N` times; 0 leaves them out")
	flags.DurationVar(&v.Live, "live", 15*time.Second, "spend about this `TIME` on this machine's kernel; 0 leaves it out")
	flags.StringVar(&v.Cache, "cache", "", "keep the inputs of fuzz targets in `DIR` for the next run; without it they start afresh")
	var rows rowFlags
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if v.Checks < 1 || v.Execs < 0 || v.Live < 0 {
		return 0, fmt.Errorf("%w: -checks must be positive, -fuzz and -live not negative", errUsage)
	}
	v.Collector, v.Seed = record.NewCollector(ctx, "verify", s.err, rows.only), rows.seed
	if v.Cache != "" {
		var err error
		if v.Cache, err = filepath.Abs(v.Cache); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	v.Say("seed %d", v.Seed)
	if err := v.All(); err != nil {
		return 0, err
	}
	v.Stamp()
	v.Say("seed %d, %.0f s", v.Seed, time.Since(start).Seconds())
	return finish(s, &v.Collector, rows.asJSON, v.Print)
}

// askKernel runs "tunproof live" in a process of its own, which enters namespaces, and
// returns its records.
func askKernel(v *verify.Run) ([]record.Result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(v.Ctx, self, "live", "-json", "-time", v.Live.String(), "-run", v.Only.String(), "-seed", strconv.FormatUint(v.Seed, 10))
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	process.Group(c)
	c.Stderr = v.Progress
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && (exit.ExitCode() == record.ExitViolation || exit.ExitCode() == record.ExitNothing) || v.Ctx.Err() != nil {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s live: %w", filepath.Base(self), err)
	}
	rows, err := record.Read(bytes.NewReader(out))
	if err != nil {
		return nil, fmt.Errorf("the output of live: %w", err)
	}
	return rows, nil
}
