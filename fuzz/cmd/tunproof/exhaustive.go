package main

import (
	"context"
	"flag"
	"fmt"

	"tunproof/fuzz/kernel"
	"tunproof/fuzz/law/exhaustive"
	"tunproof/fuzz/record"
)

func exhaustiveCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("exhaustive", flag.ContinueOnError)
	letters := flags.Int("letters", exhaustive.Small, "letters of the alphabet of packets, at most 100")
	size := flags.Int("size", 4, "packets of the longest batch")
	ask := flags.Bool("kernel", false, "ask this machine's kernel about every superpacket too")
	stride := flags.Int("stride", 1, "ask the kernel about every Nth superpacket")
	list := flags.Bool("list", false, "print the alphabet, and run nothing")
	r := &exhaustive.Job{}
	flags.StringVar(&r.State, "state", "", "file that keeps how far it is, to resume from")
	var rows rowFlags
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if *letters < 1 || *letters > exhaustive.Large || *size < 2 || *size > 8 {
		return 0, fmt.Errorf("%w: -letters is from 1 to %d, -size from 2 to 8", errUsage, exhaustive.Large)
	}
	if *stride < 1 {
		return 0, fmt.Errorf("%w: -stride must be positive", errUsage)
	}
	if *list {
		for i, l := range exhaustive.Alphabet(*letters) {
			fmt.Fprintf(s.out, "%d %s\n", i+1, l.Name)
		}
		return record.ExitHolds, nil
	}
	r.Collector = record.NewCollector(ctx, "exhaustive", s.err, rows.only)
	parts := exhaustive.Full(*letters, *size)
	if *ask {
		more, closing, err := kernel.Enumerations(*stride)
		if err != nil {
			return 0, err
		}
		defer closing()
		parts = append(parts, more...)
	}
	if err := r.Run(parts); err != nil {
		return 0, err
	}
	r.Stamp()
	return finish(s, &r.Collector, rows.asJSON, r.Table)
}
