// SPDX-License-Identifier: MIT

package verify

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/record"
)

// rows are the rows of verify without the kernel and the fuzzing engine: the parts that a run
// must have. A part that is left out must be missed.
var rows = strings.Split(strings.TrimSpace(`
P1 captures
P1 rapid
P2 captures
P2 rapid
P3 captures
P3 rapid
P4 captures
P4 rapid
P5 captures
P5 rapid
P6 captures
P6 rapid
P7 captures
P7 rapid
P8 every length
P9 go test
P10 31 letters to size 3, 2 modes
P10 every bit, bit of two words, length of headers
P10 gso_size to 16, payload to 130, options
P10 pairs of fields
P11 captures
P11 rapid
P12 captures
P12 rapid
P13 rapid
cases corpus
faults faults planted
`), "\n")

// TestRows checks that a run with little input has all rows, that each checked something, and
// that each holds.
func TestRows(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 10 seconds")
	}
	v := Run{Collector: record.NewCollector(t.Context(), "verify", io.Discard, regexp.MustCompile("")), Seed: 1, Checks: 20, every: 30}
	if err := v.All(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range v.Rows {
		row := r.Property + " " + r.Method
		if r.Property[0] != 'K' && !strings.HasSuffix(r.Method, "fuzz") && !slices.Contains(got, row) {
			got = append(got, row)
		}
		if r.Detail != "-live 0" && r.Method != "fuzz" && (r.Result != record.Holds || r.Count == 0) {
			t.Errorf("%s: %s, %d %s %s", row, r.Result, r.Count, r.Unit, r.Detail)
		}
	}
	var kept []string
	for _, k := range v.kept {
		kept = append(kept, k.name)
	}
	if records := []string{"planted bugs", "sabotage of the harness", "mutations of offload", "mutations of the model", "other kernels", "other kernels, more inputs", "larger small scopes", "check on trial", "proofs"}; !slices.Equal(kept, records) {
		t.Errorf("the records of longer runs are %q, want %q", kept, records)
	}
	want := slices.Clone(rows)
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the rows are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
