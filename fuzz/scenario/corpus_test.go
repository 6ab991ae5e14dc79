// SPDX-License-Identifier: MIT

package scenario_test

import (
	"testing"

	"tunproof/corpus"
	"tunproof/fuzz/scenario"
)

// TestCorpus checks for every case of the corpus that Decode undoes Encode.
func TestCorpus(t *testing.T) {
	cases, err := corpus.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		if s := scenario.FromCase(c.Case); !scenario.Decode(scenario.Encode(s)).Equal(s) {
			t.Errorf("%s comes back as another scenario", c.ID)
		}
	}
}
