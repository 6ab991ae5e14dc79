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

// Part is one check by one oracle, of whatever scenario it is given.
type Part struct {
	Property string // K1 to K3; K1 is K4 too
	Kind     string
	Oracle   *Oracle
	Unit     string // of Tally.Rounds
	Weight   int    // share of the time
	Supers   bool   // it is about superpackets, else about batches
	Check    func(s *scenario.Scenario, t *Tally) error
}

// Method names the part among those of its property.
func (p Part) Method() string { return p.Kind + ", " + p.Oracle.Name }

// Parts are the checks of scenarios.
func (k *Kernel) Parts() []Part {
	var list []Part
	add := func(property, kind, unit string, weight int, supers bool, oracles []*Oracle,
		check func(*Oracle, *scenario.Scenario, *Tally) error) {
		for i, o := range oracles {
			w := weight
			if i > 0 && supers {
				w /= 2
			}
			list = append(list, Part{property, kind, o, unit, w, supers,
				func(s *scenario.Scenario, t *Tally) error { return check(o, s, t) }})
		}
	}
	add("K1", "random", "superpackets", 30, true, k.Cuts, k.Segment)
	add("K2", "random", "batches", 10, false, k.Cuts, k.Back)
	add("K3", "superpackets alone", "batches", 10, false, k.Joins, k.Groups)
	add("K3", "whole batches", "batches", 10, false, k.Joins, k.Batches)
	return list
}

// Stated are the checks of what is in the repository: cases and captures.
func (k *Kernel) Stated() []Part {
	var list []Part
	for _, o := range k.Cuts {
		list = append(list,
			Part{Property: "K1", Kind: "corpus", Oracle: o, Unit: "superpackets",
				Check: everyCase(func(c *pkts.Case, t *Tally) error {
					s := scenario.FromCase(c)
					if err := k.Segment(o, &s, t); err != nil {
						return err
					}
					return k.CutCase(o, c, t)
				})},
			Part{Property: "K2", Kind: "corpus", Oracle: o, Unit: "batches",
				Check: everyCase(func(c *pkts.Case, t *Tally) error {
					s := scenario.FromCase(c)
					return k.Back(o, &s, t)
				})},
			Part{Property: "K2", Kind: "captures", Oracle: o, Unit: "batches",
				Check: everyCapture(law.Modes, func(s *scenario.Scenario, t *Tally) error { return k.Back(o, s, t) })})
	}
	for _, o := range k.Joins {
		list = append(list,
			Part{Property: "K3", Kind: "corpus", Oracle: o, Unit: "batches",
				Check: everyCase(func(c *pkts.Case, t *Tally) error { return k.JoinCase(o, c, t) })},
			Part{Property: "K3", Kind: "captures", Oracle: o, Unit: "batches",
				Check: everyCapture(law.Modes[:1], func(s *scenario.Scenario, t *Tally) error {
					if err := k.Groups(o, s, t); err != nil {
						return err
					}
					return k.Batches(o, s, t)
				})})
	}
	return list
}

// everyCase checks every case of the corpus; its check takes no scenario.
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

// everyCapture checks every capture, in batches that are one poll.
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

// Rows are the rows of all checks, as "property method".
func Rows() []string {
	k := unopened()
	var rows []string
	for _, p := range append(k.Stated(), k.Parts()...) {
		rows = append(rows, p.Property+" "+p.Method())
		if p.Property == "K1" {
			rows = append(rows, "K4 "+p.Method())
		}
	}
	for _, p := range Paths {
		rows = append(rows, "K5 "+p.Name)
	}
	return rows
}

// expected are the features without which an oracle may be missing; all others
// must be there, or what is missing is a fault of the machine.
var expected = map[string]string{"toggle": "root"}

// Unexpected names what is missing although nothing that was probed says that it
// may be. With TUNLIVE=require that is a failure.
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
