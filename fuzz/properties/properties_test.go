// Package properties holds the properties as rapid checks, on generated input,
// on the corpus and on the captures.
package properties

import (
	"testing"

	"pgregory.net/rapid"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/gen"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
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
