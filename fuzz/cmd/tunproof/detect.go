package main

import (
	"context"
	"flag"
	"tunproof/fuzz/engine/campaign"
	"tunproof/fuzz/record"
)

// detectCommand measures how soon engines find planted bugs.
func detectCommand(ctx context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("detect", flag.ContinueOnError)
	out := flags.String("o", "", "file to write result records to, one a line")
	report := flags.String("report", "", "write the table of a file of result records, and run nothing")
	into := flags.String("into", "", "document to write that table into, between its lines <!-- detection --> and <!-- /detection -->")
	var rows rowFlags
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
	if len(r.Rows) == 0 {
		return record.ExitNothing, nil
	}
	return record.ExitHolds, nil
}
