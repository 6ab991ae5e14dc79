// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/record"
)

// TestTooShort checks that a target of which no input was executed has a row that says so,
// and that the campaign then does not claim that all holds.
func TestTooShort(t *testing.T) {
	ran := Result{Target: targets.All()[0], Totals: Totals{Execs: 10, Seconds: 1}}
	short := Result{Target: targets.All()[1], Totals: Totals{Seconds: 1.5}}
	none := Result{Target: targets.All()[2]}
	broken := ran
	broken.Findings = []Finding{{Target: ran.Target}}
	for _, test := range []struct {
		name    string
		results []Result
		time    time.Duration
		code    int
		want    []string
		not     string
	}{
		{"all ran", []Result{ran}, time.Minute, record.ExitHolds, []string{"all holds (1 row)"}, "short"},
		{"a short turn", []Result{ran, short}, time.Minute, record.ExitNothing, []string{"too short for 1 of 2 targets: what ran holds (1 row)", "no input was executed in 1.5 s"}, "all holds"},
		{"no turn", []Result{ran, short, none}, time.Minute, record.ExitNothing, []string{"too short for 2 of 3 targets", "it had no turn"}, "all holds"},
		{"none ran", []Result{short, none}, time.Minute, record.ExitNothing, []string{"nothing ran"}, "holds"},
		{"a finding", []Result{broken, none}, time.Minute, record.ExitViolation, []string{"VIOLATED"}, "holds"},
	} {
		r := record.Collector{Ctx: context.Background(), Command: "fuzz"}
		s, c := &Summary{Results: test.results}, Config{Engine: "native", Time: test.time}
		s.Records(&r, c)
		var out strings.Builder
		r.Table(&out)
		code, verdict := s.Verdict(&r, c)
		text := out.String() + verdict
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", test.name, want, text)
			}
		}
		if code != test.code || strings.Contains(verdict, test.not) {
			t.Errorf("%s: exit code %d, want %d, without %q: %s", test.name, code, test.code, test.not, verdict)
		}
	}
	for _, p := range record.Properties {
		if p.Law == "" || p.Judge == "" {
			t.Errorf("the rows of %s have no title or no judge", p.ID)
		}
	}
}
