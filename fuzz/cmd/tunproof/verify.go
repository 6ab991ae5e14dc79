// SPDX-License-Identifier: MIT

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
	"tunproof/fuzz/internal/usage"
	"tunproof/fuzz/record"
	"tunproof/fuzz/verify"
)

const verifyHelp = `
Checks offload once with every method: the cases of the corpus, the recorded captures,
each property on generated scenarios, every input of small scopes, this machine's kernel,
and each fuzz target. A scenario is a set of packets to join and of superpackets to cut.
Some rows need a checkout of tunproof, the Go command or network namespaces. They are
reported as not run where these are missing.

Prints a table. A row is one property, checked with one method. It has the number of
inputs, the judge that decides about the results (such as the model or the kernel), and
the result. Then follow the mean number of packets in a superpacket for each capture, which
records of longer runs are still of this code, how many generated batches merged packets,
how often each Reason and each refusal occurred, and a verdict: "all holds" if nothing was
left out. docs/properties.md explains the properties. Progress goes to standard error.
`

func verifyCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	v := &verify.Run{Kernel: askKernel}
	flags.IntVar(&v.Checks, "checks", 3_000, "generate `N` scenarios for each property")
	flags.IntVar(&v.Execs, "fuzz", 20_000, "execute each fuzz target `N` times; 0 executes none")
	usage.Time(flags, &v.Live, "live", 15*time.Second, "compare with this machine's kernel for about this `TIME`; 0 does not")
	flags.StringVar(&v.Cache, "cache", "", "keep the inputs of fuzz targets in `DIR` for the next run; without it targets start from the corpus alone")
	rows := rowFlags{example: `"P2 rapid"`}
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
