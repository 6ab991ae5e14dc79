// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"flag"
	"fmt"

	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
)

const rulesHelp = `
Prints the page docs/rules.md: each rule of segmentation and coalescing, its source, and
the cases of the corpus for which its condition holds and for which it does not.
`

func rulesCommand(_ context.Context, s streams, args []string) (int, error) {
	flags := flag.NewFlagSet("rules", flag.ContinueOnError)
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	if flags.NArg() > 0 {
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	}
	text, err := law.RulesPage()
	if err != nil {
		return 0, err
	}
	fmt.Fprint(s.out, text)
	return record.ExitHolds, nil
}
