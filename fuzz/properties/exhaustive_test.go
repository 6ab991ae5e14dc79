package properties

import (
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/exhaustive"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
)

// TestExhaustiveBatches is P10: every batch of 31 letters to size 4 in both orders,
// to size 3 with AtomicIDs.
func TestExhaustiveBatches(t *testing.T) {
	t.Parallel()
	size := 4
	if testing.Short() {
		size = 3
	}
	for _, b := range []exhaustive.Batches{
		{Letters: exhaustive.Alphabet(exhaustive.Small), Size: size, Modes: target.Orders()},
		{Letters: exhaustive.Alphabet(exhaustive.Medium), Size: size - 1, Modes: target.Modes},
	} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			c := b.NewChecker()
			n := 0
			for i := range b.Shards() {
				k, err := c.Shard(i)
				if err != nil {
					s := c.Scenario()
					for _, c := range s.Cases("every batch of a small alphabet", "P10") {
						t.Logf("the case:\n%s", pkts.Format(c))
					}
					t.Fatal(err)
				}
				n += k
			}
			t.Logf("%d letters to size %d: %d batches", len(b.Letters), b.Size, n)
		})
	}
}

// TestExhaustiveSupers is P10 of superpackets: every size, every pair of fields.
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
			for i := range all.Shards() {
				if err := all.Shard(i, judge); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
