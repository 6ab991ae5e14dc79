// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"
	"tunproof/fuzz/engine/campaign"
	"tunproof/fuzz/record"
)

const detectHelp = `
Plants bugs in offload, one at a time. One process of each fuzzing engine looks for each
bug twice: for 30 seconds, starting from the seeds of the corpus, and for two minutes,
starting without inputs. It takes about 25 minutes and needs a checkout, Go and clang.

Prints result records, one a line, in JSON. With -o they go to a file, and standard
output has a table of bugs by engines with the seconds until each was found. After an
interrupt nothing is written. In -run the property is the name of the bug.
`

const detectExits = "Exit codes: 0 all was measured, even if an engine missed bugs, 2 usage or infrastructure, 3 nothing ran."

func detectCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("detect", flag.ContinueOnError)
	out := flags.String("o", "", "write the result records to `FILE`, and the table to standard output")
	report := flags.String("report", "", "only print the table of the result records in `FILE`")
	into := flags.String("into", "", "with -report, replace the table in the document `DOC`, between the lines <!-- detection --> and <!-- /detection -->")
	rows := rowFlags{without: []string{"seed", "json"}, example: `"cwr-on-all native from nothing"`}
	if err := rows.parse(flags, args); err != nil {
		return 0, err
	}
	if *report != "" {
		return record.ExitHolds, record.Render(s.out, *report, *into, "detection", campaign.DetectTable)
	}
	r := record.Collector{Ctx: ctx, Command: "detect", Progress: s.err, Only: rows.only}
	var err error
	if r.Root, err = record.Root("."); err != nil {
		return 0, err
	}
	if err := campaign.Detect(&r); err != nil {
		return 0, err
	}
	r.Stamp()
	if len(r.Rows) == 0 {
		_, verdict := r.Verdict()
		fmt.Fprintln(s.out, verdict)
		return record.ExitNothing, nil
	}
	if *out != "" {
		if err := record.WriteFile(*out, r.Rows); err != nil {
			return 0, err
		}
		if err := campaign.DetectTable(s.out, r.Rows); err != nil {
			return 0, err
		}
	} else if err := record.Write(s.out, r.Rows); err != nil {
		return 0, err
	}
	return record.ExitHolds, nil
}
