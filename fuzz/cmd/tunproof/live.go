package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"tunproof/fuzz/kernel"
	"tunproof/fuzz/record"
)

func liveCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("live", flag.ContinueOnError)
	r := &kernel.Run{}
	flags.DurationVar(&r.Time, "time", time.Minute, "total time, roughly")
	flags.IntVar(&r.Count, "count", 0, "random batches for each of K2 and K3, however long it takes")
	flags.IntVar(&r.Supers, "superpackets", 0, "with -count, random superpackets for K1, refused ones included; 0 is 5 times -count")
	flags.IntVar(&r.Share, "traffic", 100, "percent of K5's traffic to send")
	flags.StringVar(&r.State, "state", "", "file in which -count keeps how far it is, to resume from")
	user := flags.Int("user", 0, "user ID to run as (root only)")
	var rows rowFlags
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	switch {
	case r.Time <= 0 || r.Count < 0 || r.Supers < 0 || *user < 0 || r.Share < 1:
		return 0, fmt.Errorf("%w: -time and -traffic must be positive, -count, -superpackets and -user not negative", errUsage)
	case (r.State != "" || r.Supers > 0) && r.Count == 0:
		return 0, fmt.Errorf("%w: -state and -superpackets go with -count", errUsage)
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
