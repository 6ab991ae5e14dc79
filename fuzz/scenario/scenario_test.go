// SPDX-License-Identifier: MIT

package scenario

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tunproof/corpus/pkts"
)

// TestCases checks the cases of a scenario, and that FromCase undoes them.
func TestCases(t *testing.T) {
	conf := pkts.Config{MaxOpen: 3}
	h := pkts.VnetHdr{Flags: 1, GSOType: 5}
	both := Scenario{Config: conf, Batches: [][][]byte{{{1}, {2}}, {}}, Supers: []Super{{h, []byte{3}}, {pkts.VnetHdr{}, []byte{4}}}}
	batches := &pkts.Case{Op: "coalesce", Why: "w", Source: "s", Config: conf, Batches: []pkts.Batch{{In: []pkts.In{{Data: []byte{1}}, {Data: []byte{2}}}}, {}}}
	supers := &pkts.Case{Op: "segment", Why: "w", Source: "s", Batches: []pkts.Batch{{In: []pkts.In{{Vnet: h, Data: []byte{3}}, {Data: []byte{4}}}}}}
	for _, c := range []struct {
		s    Scenario
		want []*pkts.Case
	}{
		{both, []*pkts.Case{batches, supers}},
		{Scenario{Config: conf, Batches: both.Batches}, []*pkts.Case{batches}},
		{Scenario{Supers: both.Supers}, []*pkts.Case{supers}},
		{Scenario{Config: conf}, nil},
	} {
		got := c.s.Cases("w", "s")
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if len(got) == 1 && !FromCase(got[0]).Equal(c.s) {
			t.Errorf("%x comes back as %x", c.s, FromCase(got[0]))
		}
	}
	sum := &pkts.Case{Op: "checksum", Batches: []pkts.Batch{{In: []pkts.In{{Data: []byte{1}}}}}}
	if s := FromCase(sum); !s.Equal(Scenario{}) {
		t.Errorf("a case of a checksum is %x", s)
	}
}

// TestEqual checks that a difference in any part counts, and that nil slices do not.
func TestEqual(t *testing.T) {
	base := func() Scenario {
		return Scenario{Config: pkts.Config{MaxOpen: 1}, Batches: [][][]byte{{{1, 2}, {}}, nil}, Supers: []Super{{pkts.VnetHdr{Flags: 1}, []byte{3}}}}
	}
	same := base()
	same.Batches[0][1], same.Batches[1] = nil, [][]byte{}
	if !base().Equal(same) || !(Scenario{}).Equal(Scenario{Batches: [][][]byte{}, Supers: []Super{}}) {
		t.Error("nil and empty slices differ")
	}
	for i, change := range []func(s *Scenario){
		func(s *Scenario) { s.Config.MaxOpen = 2 },
		func(s *Scenario) { s.Batches[0][0][1] = 3 },
		func(s *Scenario) { s.Batches[0] = s.Batches[0][:1] },
		func(s *Scenario) { s.Batches = s.Batches[:1] },
		func(s *Scenario) { s.Supers[0].Hdr.InnerNHOffset = 1 },
		func(s *Scenario) { s.Supers[0].Data[0] = 4 },
		func(s *Scenario) { s.Supers = nil },
	} {
		other := base()
		if change(&other); base().Equal(other) || other.Equal(base()) {
			t.Errorf("change %d makes no difference", i)
		}
	}
	if got := fmt.Sprintf("%#v", base()); got != "scenario(max_open=1; 2 batches, 1 superpackets)" {
		t.Error(got)
	}
}
