// SPDX-License-Identifier: MIT

package law_test

import (
	"os"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/law/exhaustive"
	"tunproof/fuzz/scenario"
)

// step returns how large the steps are in which the shards of a large set are run. It
// is 1, for all, with -short, which has small sets, and with LONG=1. tunproof
// exhaustive, which CI runs too, always runs all.
func step() int {
	if testing.Short() || os.Getenv("LONG") != "" {
		return 1
	}
	return 20
}

// TestExhaustiveBatches is P10 for batches: up to 4 of 31 packets in both orders, and
// up to 3 of 40 packets in all modes.
func TestExhaustiveBatches(t *testing.T) {
	t.Parallel()
	size := 4
	if testing.Short() {
		size = 3
	}
	for _, b := range []exhaustive.Batches{
		{Letters: exhaustive.Alphabet(exhaustive.Small), Size: size, Modes: law.Orders()},
		{Letters: exhaustive.Alphabet(exhaustive.Medium), Size: size - 1, Modes: law.Modes},
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			c := b.NewChecker()
			n := 0
			for i := 0; i < b.Shards(); i += step() {
				k, err := c.Shard(i)
				if err != nil {
					logCases(t, c.Scenario())
					t.Fatal(err)
				}
				n += k
			}
			if step() == 1 && n != b.Count() {
				t.Errorf("%d letters to size %d: %d batches were checked, want %d", len(b.Letters), b.Size, n, b.Count())
			}
		})
	}
}

// TestExhaustiveFlips is P10 for bits and lengths of the headers, and for values of a
// checksum.
func TestExhaustiveFlips(t *testing.T) {
	t.Parallel()
	flips, words := exhaustive.Flips{Modes: law.Modes, Word: 2}, exhaustive.Words{Modes: law.Orders()}
	if testing.Short() {
		flips, words = exhaustive.Flips{Modes: law.Orders(), Word: 4}, exhaustive.Words{Modes: law.Orders(), Edges: true}
	}
	for name, all := range map[string]interface {
		Shards() int
		Count() int
		NewChecker() *exhaustive.Checker
		Shard(*exhaustive.Checker, int) (int, error)
	}{"flips": flips, "words": words} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := all.NewChecker()
			n := 0
			for i := 0; i < all.Shards(); i += step() {
				k, err := all.Shard(c, i)
				if err != nil {
					logCases(t, c.Scenario())
					t.Fatal(err)
				}
				n += k
			}
			if edges := name == "words" && words.Edges; !edges && step() == 1 && n != all.Count() { // Count counts all values
				t.Errorf("%d batches were checked, want %d", n, all.Count())
			}
		})
	}
}

// logCases logs the scenario that violates P10, as cases.
func logCases(t *testing.T, s scenario.Scenario) {
	for _, c := range s.Cases("every batch there is", "P10") {
		t.Logf("the case:\n%s", pkts.Format(c))
	}
}

// TestExhaustiveSupers is P10 for superpackets: sizes, and pairs of header fields.
func TestExhaustiveSupers(t *testing.T) {
	t.Parallel()
	sizes := exhaustive.Sizes{MaxGSO: 130, MaxPayload: 260}
	if testing.Short() {
		sizes = exhaustive.Sizes{MaxGSO: 12, MaxPayload: 30}
	}
	for name, all := range map[string]interface {
		Shards() int
		Shard(i int, f func(scenario.Super) error) error
	}{"sizes": sizes, "pairs": exhaustive.Pairs{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judge := exhaustive.Judged()
			step := step()
			if testing.Short() && name == "pairs" {
				step = 5
			}
			for i := 0; i < all.Shards(); i += step {
				if err := all.Shard(i, judge); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
