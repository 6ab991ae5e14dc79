// SPDX-License-Identifier: MIT

package law_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"
	"tunproof/offload"
)

// TestProperty checks each property on random scenarios. A scenario that fails is printed
// as a case that can be committed.
func TestProperty(t *testing.T) {
	for _, p := range law.Properties {
		t.Run(p.ID, func(t *testing.T) {
			t.Parallel()
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
					rapid.Check(t, func(t *rapid.T) { run(t, draw.Batches().Draw(t, "scenario")) })
				})
			}
			if p.Supers {
				t.Run("supers", func(t *testing.T) {
					rapid.Check(t, func(t *rapid.T) { run(t, draw.Supers().Draw(t, "scenario")) })
				})
			}
		})
	}
}

// TestChecksum checks P8 on random bytes, seeds and alignments.
func TestChecksum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 3, -1).Draw(t, "seed, alignment, bytes")
		b = append(b, bytes.Repeat(b[:3], rapid.IntRange(0, 3000).Draw(t, "more"))...)
		if err := law.Checksum(b); err != nil {
			t.Fatal(err)
		}
	})
}

// TestCodec checks that Decode reads back what Encode writes.
func TestCodec(t *testing.T) {
	for _, g := range []*rapid.Generator[scenario.Scenario]{draw.Batches(), draw.Supers()} {
		rapid.Check(t, func(t *rapid.T) {
			s := g.Draw(t, "scenario")
			if got := scenario.Decode(scenario.Encode(s)); !s.Equal(got) {
				for _, c := range s.Cases("Decode(Encode(s)) == s", "rapid") {
					t.Logf("the case:\n%s", pkts.Format(c))
				}
				t.Fatal("Decode(Encode(s)) differs from s")
			}
		})
	}
}

// TestReach checks that random scenarios reach every Reason and every refusal, and that
// at least half of the batches merge packets. A property that is checked on input that
// reaches less proves less.
func TestReach(t *testing.T) {
	tally := law.NewTally()
	p := law.Named("Agree")
	batches, supers := draw.Batches(), draw.Supers()
	split := map[uint8]int{} // superpackets that are cut into two and more, by type
	options := []string{"Reorder", "AtomicIDs", "AbsentChecksums", "DisableTCPv4", "DisableTCPv6", "DisableUDP", "MaxOpen", "MaxPerFlow", "MaxSegments"}
	filled := 0                      // datagrams without a checksum that joined
	set := make([]int, len(options)) // scenarios of batches in which they are set
	for i := range 2500 {
		for _, s := range []scenario.Scenario{batches.Example(i), supers.Example(i)} {
			if err := p.Check(&s, tally); err != nil {
				t.Fatal(err)
			}
			for i, is := range []bool{s.Config.Reorder, s.Config.AtomicIDs, s.Config.AbsentChecksums, s.Config.DisableTCPv4, s.Config.DisableTCPv6, s.Config.DisableUDP,
				s.Config.MaxOpen != 0, s.Config.MaxPerFlow != 0, s.Config.MaxSegments != 0} {
				if is {
					set[i]++
				}
			}
			filled += joinedAbsent(&s)
			for _, super := range s.Supers {
				if segments, _ := law.SegmentModel(super); len(segments) > 1 {
					split[super.Hdr.GSOType&^packet.GSOECN]++
				}
			}
		}
	}
	for _, gsoType := range []uint8{packet.GSOTCPv4, packet.GSOTCPv6, packet.GSOUDPL4} {
		for tunnel, least := range map[uint8]int{0: 100, packet.GSOTunnel4: 20, packet.GSOTunnel6: 20} {
			if n := split[gsoType|tunnel]; n < least {
				t.Errorf("%d superpackets of type %#x are cut into segments, want at least %d", n, gsoType|tunnel, least)
			}
		}
	}
	for i, name := range options {
		if n := set[i]; n < 50 || n > 2450 {
			t.Errorf("%s is set in %d scenarios of 2500 with batches", name, n)
		}
	}
	if filled < 100 {
		t.Errorf("%d datagrams without a checksum joined, want at least 100", filled)
	}
	if 2*tally.Merged < tally.Batches {
		t.Errorf("%d of %d batches merge packets, want half", tally.Merged, tally.Batches)
	}
	for r := range offload.NumReasons {
		if name := offload.Reason(r).String(); tally.Reasons[name] < 10 {
			t.Errorf("%d packets have Reason %s, want at least 10", tally.Reasons[name], name)
		}
	}
	for _, name := range law.RefusalNames() {
		if tally.Refusals[name] < 10 {
			t.Errorf("%d superpackets are refused with %s, want at least 10", tally.Refusals[name], name)
		}
	}
}

// joinedAbsent returns the number of datagrams without a checksum in superpackets of two and
// more.
func joinedAbsent(s *scenario.Scenario) (n int) {
	for _, batch := range s.Batches {
		supers, _ := law.CoalesceModel(s.Config, batch)
		for _, super := range supers {
			for _, m := range super.Members {
				if len(super.Members) > 1 && packet.Checksum(batch[m]) == packet.Absent {
					n++
				}
			}
		}
	}
	return n
}
