// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"tunproof/fuzz/capture/trial"
	"tunproof/fuzz/record"
)

const trialHelp = `
Puts check and compare on trial. It draws right traffic, plants one fault of a catalogue in
it, and asks check: it must name the packet, the field and the cause, and nothing else. Then
it draws right traffic without a fault, in which check must find nothing. It does the same
with two captures and compare, with a fifth of the drawings. docs/judges.md has the result
of a long run.

Prints two tables with one row for each fault, and a verdict.
`

func trialCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("trial", flag.ContinueOnError)
	draws := flags.Int("draws", 100, "plant each fault in `N` captures")
	out := flags.String("o", "", "write the result records to `FILE` too")
	report := flags.String("report", "", "only print the table of the result records in `FILE`")
	into := flags.String("into", "", "with -report, replace the table in the document `DOC`, between the lines <!-- trial --> and <!-- /trial -->")
	rows := rowFlags{example: `"faults IP length"`}
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if *draws < 1 {
		return 0, fmt.Errorf("%w: -draws must be positive", errUsage)
	}
	if *report != "" {
		return record.ExitHolds, record.Render(s.out, *report, *into, "trial", trial.Table)
	}
	t := trial.Trial{Collector: record.NewCollector(ctx, "trial", s.err, rows.only), Seed: rows.seed, Draws: *draws}
	t.Say("seed %d", t.Seed)
	if err := t.Run(); err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		t.NotRun("faults", "the rest", "", "interrupted")
	}
	t.Stamp()
	if *out != "" {
		if err := record.WriteFile(*out, t.Rows); err != nil {
			return 0, err
		}
	}
	return finish(s, &t.Collector, rows.asJSON, func(w io.Writer) { trial.Table(w, t.Rows) })
}
