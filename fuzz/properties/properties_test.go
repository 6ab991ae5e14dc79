// Package properties holds the properties as rapid checks, on generated input,
// on the corpus and on the captures.
package properties

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/gen"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
	"tunproof/offload"
)

// property returns the property with a fuzz target's name.
func property(name string) target.Property {
	for _, p := range target.Properties {
		if p.Name == name {
			return p
		}
	}
	panic("no property " + name)
}

// check runs a property on generated scenarios. What fails is printed as a case
// that can be committed.
func check(t *testing.T, name string) {
	t.Parallel()
	p := property(name)
	run := func(t *rapid.T, s scenario.Scenario) {
		if err := p.Check(&s, nil); err != nil {
			for _, c := range s.Cases(p.Law, "rapid, property "+p.ID) {
				t.Logf("the case:\n%s", pkts.Format(c))
			}
			t.Fatal(err)
		}
	}
	if p.Batches {
		t.Run("batches", func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { run(t, gen.Batches().Draw(t, "scenario")) })
		})
	}
	if p.Supers {
		t.Run("supers", func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { run(t, gen.Supers().Draw(t, "scenario")) })
		})
	}
}

func TestTotal(t *testing.T)      { check(t, "Total") }
func TestEquation(t *testing.T)   { check(t, "Equation") }
func TestOrder(t *testing.T)      { check(t, "Order") }
func TestAgree(t *testing.T)      { check(t, "Agree") }
func TestRepair(t *testing.T)     { check(t, "Repair") }
func TestInterleave(t *testing.T) { check(t, "Interleave") }
func TestBuffers(t *testing.T)    { check(t, "Buffers") }
func TestWellFormed(t *testing.T) { check(t, "WellFormed") }

func TestChecksum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 3, -1).Draw(t, "seed, alignment, bytes")
		b = append(b, bytes.Repeat(b[:3], rapid.IntRange(0, 3000).Draw(t, "more"))...)
		if err := target.Checksum(b); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCodec(t *testing.T) {
	for _, g := range []*rapid.Generator[scenario.Scenario]{gen.Batches(), gen.Supers()} {
		rapid.Check(t, func(t *rapid.T) {
			s := g.Draw(t, "scenario")
			if got := scenario.Decode(scenario.Encode(s)); !s.Equal(got) {
				for _, c := range s.Cases("Decode(Encode(s)) == s", "rapid") {
					t.Logf("the case:\n%s", pkts.Format(c))
				}
				t.Fatal("Decode(Encode(s)) is not s")
			}
		})
	}
}

// TestReach checks that generated input meets every Reason and every refusal,
// and that at least half of the batches merge something: a property of inputs
// that never get there is worth nothing.
func TestReach(t *testing.T) {
	tally := target.NewTally()
	p := property("Agree")
	batches, supers := gen.Batches(), gen.Supers()
	for i := range 4000 {
		for _, s := range []scenario.Scenario{batches.Example(i), supers.Example(i)} {
			if err := p.Check(&s, tally); err != nil {
				t.Fatal(err)
			}
		}
	}
	if 2*tally.Merged < tally.Batches {
		t.Errorf("%d of %d batches merge something, want half", tally.Merged, tally.Batches)
	}
	for r := range offload.NumReasons {
		if name := offload.Reason(r).String(); tally.Reasons[name] < 10 {
			t.Errorf("%d packets are %s", tally.Reasons[name], name)
		}
	}
	for _, name := range target.RefusalNames() {
		if tally.Refusals[name] < 10 {
			t.Errorf("%d superpackets are refused with %s", tally.Refusals[name], name)
		}
	}
}
