package main

import (
	"context"
	"fmt"

	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
)

// rulesCommand prints docs/rules.md.
func rulesCommand(_ context.Context, s streams, args []string) (int, error) {
	if len(args) > 0 {
		return 0, fmt.Errorf("%w: it takes no arguments", errUsage)
	}
	text, err := law.RulesPage()
	if err != nil {
		return 0, err
	}
	fmt.Fprint(s.out, text)
	return record.ExitHolds, nil
}
