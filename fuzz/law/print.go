package law

import (
	"errors"
	"fmt"
	"io"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
)

// IsViolation reports whether err is a *Violation: about what is judged, and not about
// the harness.
func IsViolation(err error) bool {
	var v *Violation
	return errors.As(err, &v)
}

// PrintCases writes a scenario as cases that can be put into the corpus, with what the
// model makes of it.
func PrintCases(w io.Writer, s scenario.Scenario, law, source string) {
	for _, c := range s.Cases(law, source) {
		Expect(c)
		fmt.Fprintf(w, "a case of it, ready for corpus/%s:\n%s", c.Op, pkts.Format(c))
	}
}
