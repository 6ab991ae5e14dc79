// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"tunproof/fuzz/internal/usage"
	"tunproof/fuzz/kernel"
	"tunproof/fuzz/record"
)

const liveHelp = `
Compares offload with the kernel of this machine. The command makes network namespaces for
itself, and sends packets over TUN devices and veth pairs in them. It checks:

  K1  the kernel cuts superpackets into the same segments
  K2  coalesced packets come out of the kernel as they went in
  K3  the kernel's GRO makes the same superpackets
  K4  the kernel refuses what offload refuses
  K5  sockets at both ends of a tunnel receive every byte

Stops at the first difference. Prints a table with one row for each property and method,
counts of what happened to the inputs of each property (such as refusals and documented
divergences), and a verdict. Rows are reported as not run if the machine lacks what they
need. With TUNLIVE=require in the environment that is an error.
`

func liveCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("live", flag.ContinueOnError)
	r := &kernel.Run{}
	usage.Time(flags, &r.Time, "time", time.Minute, "run for about this `TIME` in all")
	flags.IntVar(&r.Count, "count", 0, "check `N` random batches for each of K2 and K3, however long it takes; it replaces -time")
	flags.IntVar(&r.Supers, "superpackets", 0, "with -count, check `N` random superpackets for K1 and K4; 0 means 5 times -count")
	flags.IntVar(&r.Share, "traffic", 0, "send `PERCENT` of the usual traffic of K5; 0 sends what fits -time, all of it from 1m on")
	flags.StringVar(&r.State, "state", "", "with -count, keep the progress in `FILE` and resume from it")
	user := flags.Int("user", 0, "run as the user with this `UID` (root only)")
	rows := rowFlags{example: `"K3"`}
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case r.Time <= 0 || r.Count < 0 || r.Supers < 0 || *user < 0 || r.Share < 0:
		return 0, fmt.Errorf("%w: -time must be positive, -count, -superpackets, -traffic and -user not negative", errUsage)
	case (r.State != "" || r.Supers > 0) && r.Count == 0:
		return 0, fmt.Errorf("%w: -state and -superpackets need -count", errUsage)
	case r.Supers == 0:
		r.Supers = 5 * r.Count
	}
	r.Collector, r.Seed = record.NewCollector(ctx, "live", s.err, rows.only), rows.seed
	if *user > 0 && os.Getuid() == 0 {
		if err := os.Setenv("TUNLIVE_USER", strconv.Itoa(*user)); err != nil {
			return 0, err
		}
	}
	if err := r.Ask(); err != nil {
		return 0, err
	}
	return finish(s, &r.Collector, rows.asJSON, r.Print)
}
