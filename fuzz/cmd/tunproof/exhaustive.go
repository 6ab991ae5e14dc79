// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"

	"tunproof/fuzz/kernel"
	"tunproof/fuzz/law/exhaustive"
	"tunproof/fuzz/record"
)

const exhaustiveHelp = `
Compares offload with the model on all inputs of small scopes: every batch of up to -size
packets from an alphabet, every superpacket of small sizes, and every superpacket in which
two header fields have an extreme value. The alphabet is a list of packets that differ in
the fields that coalescing compares; -list prints it. With the default flags it takes about
15 seconds.

Prints a table with one row for each enumeration, and a verdict.
`

func exhaustiveCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("exhaustive", flag.ContinueOnError)
	letters := flags.Int("letters", exhaustive.Small, fmt.Sprintf("use the first `N` packets of the alphabet, at most %d", exhaustive.Large))
	size := flags.Int("size", 4, "check batches of up to `N` packets")
	ask := flags.Bool("kernel", false, "compare superpackets with this machine's kernel too")
	stride := flags.Int("stride", 1, "with -kernel, compare every `N`th superpacket")
	list := flags.Bool("list", false, "only print the alphabet")
	r := &exhaustive.Job{}
	flags.StringVar(&r.State, "state", "", "keep the progress in `FILE` and resume from it")
	rows := rowFlags{without: []string{"seed"}, example: `"P10 pairs"`}
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if *letters < 1 || *letters > exhaustive.Large || *size < 2 || *size > 8 {
		return 0, fmt.Errorf("%w: -letters must be from 1 to %d, -size from 2 to 8", errUsage, exhaustive.Large)
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
