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

func verifyCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	v := &verify.Run{Kernel: askKernel}
	flags.IntVar(&v.Checks, "checks", 3_000, "scenarios of each property")
	flags.IntVar(&v.Execs, "fuzz", 20_000, "executions of each fuzz target; 0 for none")
	flags.DurationVar(&v.Live, "live", 15*time.Second, "time for asking this machine's kernel, roughly; 0 to leave it out")
	flags.StringVar(&v.Cache, "cache", "", "directory in which fuzz targets keep their inputs for the next run; by default they start afresh")
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

// askKernel asks the kernel in a process of its own, which is put into namespaces.
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
		return nil, fmt.Errorf("what live wrote: %w", err)
	}
	return rows, nil
}
