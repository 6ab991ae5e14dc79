// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
)

// Part is one check of one property by one oracle, for any scenario.
type Part struct {
	Property string // K1, K2 or K3; K1 also checks K4
	Kind     string // "random", "corpus" ...
	Oracle   *Oracle
	Unit     string // unit of Tally.Rounds
	Weight   int    // relative share of the time
	Supers   bool   // Check reads the superpackets of a scenario, otherwise its batches
	Tunnels  bool   // with Supers: of superpackets in tunnels
	Reads    bool   // the kernel makes the superpackets, so it refuses none
	Check    func(s *scenario.Scenario, t *Tally) error
}

// Method returns the name of the part, unique among the parts of its property.
func (p Part) Method() string { return p.Kind + ", " + p.Oracle.Name }

// Parts returns the checks that run on generated scenarios.
func (k *Kernel) Parts() []Part {
	var list []Part
	add := func(property, kind, unit string, weight int, supers bool, oracles []*Oracle,
		check func(*Oracle, *scenario.Scenario, *Tally) error) {
		for i, o := range oracles {
			w := weight
			if i > 0 && supers {
				w /= 2
			}
			list = append(list, Part{Property: property, Kind: kind, Oracle: o, Unit: unit, Weight: w, Supers: supers, Tunnels: o.tap, Reads: o.Name == vxlan,
				Check: func(s *scenario.Scenario, t *Tally) error { return check(o, s, t) }})
		}
	}
	add("K1", "random", "superpackets", 30, true, k.Cuts, k.CutsAlike)
	add("K1", "tunnels", "superpackets", 10, true, k.Tunnels[:1], k.CutsAlike)
	add("K1", "read from the device", "superpackets", 10, true, k.Tunnels[1:], k.ReadsAlike)
	add("K2", "random", "batches", 10, false, k.Cuts, k.ComesBack)
	add("K3", "superpackets alone", "batches", 10, false, k.Joins, k.JoinsAlone)
	add("K3", "whole batches", "batches", 10, false, k.Joins, k.JoinsBatches)
	return list
}

// Stated returns the checks of the repository's own input: the cases of the corpus and
// the captures. They ignore the scenario that they get.
func (k *Kernel) Stated() []Part {
	var list []Part
	for _, o := range k.Cuts {
		list = append(list,
			Part{Property: "K1", Kind: "corpus", Oracle: o, Unit: "superpackets",
				Check: everyCase(func(c *pkts.Case, t *Tally) error {
					s := scenario.FromCase(c)
					if err := k.CutsAlike(o, &s, t); err != nil {
						return err
					}
					return k.CutCase(o, c, t)
				})},
			Part{Property: "K2", Kind: "corpus", Oracle: o, Unit: "batches",
				Check: everyCase(func(c *pkts.Case, t *Tally) error {
					s := scenario.FromCase(c)
					return k.ComesBack(o, &s, t)
				})},
			Part{Property: "K2", Kind: "captures", Oracle: o, Unit: "batches",
				Check: everyCapture(law.Modes, func(s *scenario.Scenario, t *Tally) error { return k.ComesBack(o, s, t) })})
	}
	tap := k.Tunnels[0]
	list = append(list, Part{Property: "K1", Kind: "corpus", Oracle: tap, Unit: "superpackets",
		Check: everyCase(func(c *pkts.Case, t *Tally) error {
			s := scenario.FromCase(c)
			return k.CutsAlike(tap, &s, t)
		})})
	for _, o := range k.Joins {
		list = append(list,
			Part{Property: "K3", Kind: "corpus", Oracle: o, Unit: "batches",
				Check: everyCase(func(c *pkts.Case, t *Tally) error { return k.JoinCase(o, c, t) })},
			Part{Property: "K3", Kind: "captures", Oracle: o, Unit: "batches",
				Check: everyCapture(law.Modes[:1], func(s *scenario.Scenario, t *Tally) error {
					if err := k.JoinsAlone(o, s, t); err != nil {
						return err
					}
					return k.JoinsBatches(o, s, t)
				})})
	}
	return list
}

// everyCase returns a check of every case of the corpus. It ignores its scenario.
func everyCase(check func(*pkts.Case, *Tally) error) func(*scenario.Scenario, *Tally) error {
	return func(_ *scenario.Scenario, t *Tally) error {
		cases, err := corpus.Cases()
		if err != nil {
			return err
		}
		for _, c := range cases {
			if err := check(c.Case, t); err != nil {
				return at(err, "%s", c.ID)
			}
		}
		return nil
	}
}

// everyCapture returns a check of every capture, cut into batches that fit one poll. It
// ignores its scenario.
func everyCapture(modes []law.Mode, check func(*scenario.Scenario, *Tally) error) func(*scenario.Scenario, *Tally) error {
	return func(_ *scenario.Scenario, t *Tally) error {
		captures, err := corpus.Captures()
		if err != nil {
			return err
		}
		for _, c := range captures {
			packets, _, err := pcap.ReadAll(bytes.NewReader(c.Pcap))
			if err != nil {
				return fmt.Errorf("capture %s: %w", c.Name, err)
			}
			for _, m := range modes {
				s := law.Capture(packets, tunlive.MaxBatch, m.Config)
				if err := check(&s, t); err != nil {
					return at(err, "capture %s, %s", c.Name, m.Name)
				}
			}
		}
		return nil
	}
}

// Rows returns the names of the rows of all checks, as "property method".
func Rows() []string {
	k := unopened()
	var rows []string
	for _, p := range append(k.Stated(), k.Parts()...) {
		rows = append(rows, p.Property+" "+p.Method())
		if p.Property == "K1" && !p.Reads {
			rows = append(rows, "K4 "+p.Method())
		}
	}
	for _, p := range Paths {
		rows = append(rows, "K5 "+p.Name)
	}
	return rows
}

// expected maps an oracle to the feature that it needs. Such an oracle may be missing
// if the feature is. Any other missing oracle is a fault of the machine.
var expected = map[string]string{"toggle": "root"}

// Unexpected lists the oracles that are missing although no probed feature explains it.
// With TUNLIVE=require they are a failure.
func (k *Kernel) Unexpected() []string {
	var list []string
	for _, o := range k.oracles() {
		feature, may := expected[o.Name]
		if o.Missing != nil && !(may && !k.Features[feature]) && !errors.Is(o.Missing, tunlive.ErrKernel) {
			list = append(list, o.Name+": "+o.Missing.Error())
		}
	}
	slices.Sort(list)
	return list
}
