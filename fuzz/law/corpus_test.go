// SPDX-License-Identifier: MIT

package law_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
	"tunproof/offload"
)

// cases returns all cases of the corpus.
func cases(t *testing.T) []corpus.Case {
	t.Helper()
	list, err := corpus.Cases()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestCorpus runs every case: the model and production give what it states, and every
// property holds on its input. The cases reach every Reason and every refusal.
func TestCorpus(t *testing.T) {
	tally := law.NewTally()
	for _, c := range cases(t) {
		t.Run(c.ID, func(t *testing.T) {
			if err := law.Attempt(func() error { return law.Case(c.Case, tally) }); err != nil {
				t.Error(err)
			}
			if s := scenario.FromCase(c.Case); len(s.Batches)+len(s.Supers) > 0 && !s.Equal(scenario.Decode(scenario.Encode(s))) {
				t.Error("Decode(Encode(s)) differs from s")
			}
		})
	}
	for r := range offload.NumReasons {
		if name := offload.Reason(r).String(); tally.Reasons[name] == 0 {
			t.Errorf("no packet of the corpus has Reason %s", name)
		}
	}
	for _, r := range law.RefusalNames() {
		if tally.Refusals[r] == 0 {
			t.Errorf("no superpacket of the corpus is refused with %s", r)
		}
	}
}

// TestModelStates checks that each case file states all results of the model, and is in
// the form that Format writes.
func TestModelStates(t *testing.T) {
	for _, c := range cases(t) {
		t.Run(c.ID, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", "..", "corpus", c.ID+".pkts"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text, pkts.Format(c.Case)) {
				t.Error("not in the form that Format writes: run tunproof corpus fmt")
			}
			complete := *c.Case
			complete.Batches = nil
			for _, b := range c.Batches {
				complete.Batches = append(complete.Batches, pkts.Batch{In: slices.Clone(b.In), Asked: b.Asked})
			}
			law.Expect(&complete)
			if !bytes.Equal(text, pkts.Format(&complete)) {
				t.Error("does not state the results of the model: run tunproof corpus fmt")
			}
		})
	}
}

// TestRules checks that the corpus has a case on each side of every rule. The rules that
// cases name must exist, and a case on a rule's "-" side must show its error class or
// Reason.
func TestRules(t *testing.T) {
	sides := map[string]int{}
	for _, s := range law.Sections {
		for _, r := range s.Rules {
			sides[r.ID+"+"], sides[r.ID+"-"] = 0, 0
		}
	}
	for _, c := range cases(t) {
		for _, r := range c.Rules {
			if _, known := sides[r]; !known {
				t.Errorf("%s: no rule %s", c.ID, r)
			}
			sides[r]++
			if class := law.Refusal[strings.TrimSuffix(r, "-")]; class != "" && strings.HasSuffix(r, "-") {
				if !slices.ContainsFunc(c.Batches[0].In, func(in pkts.In) bool { return in.Error == class }) {
					t.Errorf("%s names %s, but no superpacket is refused with %s", c.ID, r, class)
				}
			}
			if reason := law.Reason[strings.TrimSuffix(r, "-")]; reason != "" && strings.HasSuffix(r, "-") {
				if !slices.ContainsFunc(c.Batches, func(b pkts.Batch) bool {
					return slices.ContainsFunc(b.In, func(in pkts.In) bool { return in.Reason == reason })
				}) {
					t.Errorf("%s names %s, but no packet's Reason is %s", c.ID, r, reason)
				}
			}
		}
	}
	for side, n := range sides {
		if n == 0 {
			t.Errorf("no case names %s", side)
		}
	}
}

// TestCaseNames checks that a case's ID is its op, a slash, and words with hyphens.
func TestCaseNames(t *testing.T) {
	name := regexp.MustCompile(`^(coalesce|segment|checksum)/[a-z0-9]+(-[a-z0-9]+)*$`)
	for _, c := range cases(t) {
		if !name.MatchString(c.ID) || strings.Split(c.ID, "/")[0] != c.Op {
			t.Errorf("case %s of op %s: want an ID of the form op/words-with-hyphens", c.ID, c.Op)
		}
	}
}

// TestCaptures checks that every property holds on captured traffic, in every mode.
func TestCaptures(t *testing.T) {
	captures, err := corpus.Captures()
	if err != nil {
		t.Fatal(err)
	}
	modes := law.Modes
	if testing.Short() {
		modes = modes[:1]
	}
	for _, c := range captures {
		packets, skipped, err := pcap.ReadAll(bytes.NewReader(c.Pcap))
		if err != nil || len(skipped) > 0 {
			t.Fatalf("%s: %v, %v", c.Name, err, skipped)
		}
		for _, m := range modes {
			s := law.Capture(packets, 64, m.Config)
			for _, p := range law.Properties {
				if err := law.Attempt(func() error { return p.Check(&s, nil) }); err != nil {
					t.Errorf("%s, %s: %v", c.Name, m.Name, err)
				}
			}
		}
	}
}
