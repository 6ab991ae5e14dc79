// SPDX-License-Identifier: MIT

package law

import (
	"errors"
	"fmt"
	"io"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
)

// IsViolation reports whether err is, or wraps, a *Violation: the property fails. Any
// other error is a failure of the harness.
func IsViolation(err error) bool {
	var v *Violation
	return errors.As(err, &v)
}

// PrintCases writes a scenario as corpus cases, with the model's results as their
// expectations. law becomes the "why" of each case, source its "source".
func PrintCases(w io.Writer, s scenario.Scenario, law, source string) {
	for _, c := range s.Cases(law, source) {
		Expect(c)
		fmt.Fprintf(w, "the scenario as a case, ready for corpus/%s:\n%s", c.Op, pkts.Format(c))
	}
}
