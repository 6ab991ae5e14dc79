// SPDX-License-Identifier: MIT

package exhaustive

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestAlphabet checks that all letters and their names differ, and the documented numbers
// of letters.
func TestAlphabet(t *testing.T) {
	letters := all()
	names, packets := map[string]bool{}, map[string]string{}
	for _, l := range letters {
		if first, twice := packets[string(l.Packet)]; twice {
			t.Errorf("letter %q has the bytes of %q", l.Name, first)
		}
		if names[l.Name] {
			t.Errorf("two letters are named %q", l.Name)
		}
		packets[string(l.Packet)], names[l.Name] = l.Name, true
	}
	if len(letters) != Large || len(states()) != Small {
		t.Errorf("%d letters, %d of them of states; want %d and %d", len(letters), len(states()), Large, Small)
	}
}

// TestReach checks that batches of three letters reach every Reason except Disabled, and
// superpackets of three packets.
func TestReach(t *testing.T) {
	met := map[string]int{}
	longest := 0
	letters := Alphabet(Large)
	co := law.NewCoalescer(pkts.Config{})
	for i := range letters {
		for j := range letters {
			supers, reasons := law.Coalesce(co, [][]byte{letters[0].Packet, letters[i].Packet, letters[j].Packet})
			for _, r := range reasons {
				met[r]++
			}
			for _, p := range supers {
				longest = max(longest, len(p.Members))
			}
		}
	}
	for _, r := range append(slices.Clone(law.AdmissionReasons), "First", "Closed", "Limit", "Mismatch", "Joined") {
		if (met[r] == 0) != (r == "Disabled") {
			t.Errorf("%d packets have Reason %s", met[r], r)
		}
	}
	if longest != 3 {
		t.Errorf("the longest superpacket has %d packets, want 3", longest)
	}
}

// checked checks all batches, and returns how many there were.
func checked(t *testing.T, b Batches) (n int) {
	t.Helper()
	c := b.NewChecker()
	for i := range b.Shards() {
		k, err := c.Shard(i)
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	return n
}

// TestCounts checks that Count is the number of inputs that the parts enumerate.
func TestCounts(t *testing.T) {
	b := Batches{Alphabet(3), 4, law.Modes}
	if n := checked(t, b); n != b.Count() || n != 3+9+27+81 {
		t.Errorf("%d batches were checked, Count is %d", n, b.Count())
	}
	for name, of := range map[string]interface {
		Shards() int
		Count() int
		Shard(int, func(scenario.Super) error) error
	}{"sizes": Sizes{MaxGSO: 3, MaxPayload: 9}, "pairs": Pairs{}} {
		n := 0
		for i := range of.Shards() {
			if err := of.Shard(i, func(scenario.Super) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if n != of.Count() {
			t.Errorf("%s: %d superpackets were enumerated, Count is %d", name, n, of.Count())
		}
	}
}

// TestFlips checks that Count is right for Flips and Words, and that both detect a
// difference between production and model. It runs some parts of Words; package law's
// TestExhaustiveFlips runs all.
func TestFlips(t *testing.T) {
	for name, all := range map[string]interface {
		Shards() int
		Count() int
		NewChecker() *Checker
		Shard(*Checker, int) (int, error)
	}{"flips": Flips{law.Modes[:1], 4}, "words": Words{Modes: law.Modes[:1]}} {
		c := all.NewChecker()
		step := 1
		if name == "words" {
			step = 41 // some parts of each word, with different upper bytes
		}
		n, ran := 0, 0
		for i := 0; i < all.Shards(); i += step {
			k, err := all.Shard(c, i)
			if err != nil {
				t.Fatal(err)
			}
			n += k
			ran++
		}
		if want := all.Count() * ran / all.Shards(); n != want {
			t.Errorf("%s: %d batches in %d of %d parts, want %d by Count", name, n, ran, all.Shards(), want)
		}
		c.modes[0].model.MaxSegments = 2
		if _, err := all.Shard(c, 0); err == nil || len(c.Scenario().Batches[0]) != 3 {
			t.Errorf("%s: %v, %d packets", name, err, len(c.Scenario().Batches[0]))
		}
	}
}

// TestEdges checks that Words with Edges reach the edges: a header checksum of 0 in a
// packet and in a superpacket, a TCP checksum of 0, and a UDP checksum of 0xFFFF.
func TestEdges(t *testing.T) {
	met := map[string]int{}
	for _, s := range (Words{}).sweeps() {
		build := func(v uint16) (packets [][]byte) {
			for k := range batch {
				p := after(s.p, k)
				s.set(&p, k, v)
				packets = append(packets, p.Bytes())
			}
			return packets
		}
		for _, v := range edgesOf(build(0)) {
			packets := build(v)
			supers, _ := law.CoalesceModel(pkts.Config{}, packets)
			for i, b := range append(packets, supers[0].Data) {
				l4, proto := packet.Locate(b)
				what := fmt.Sprintf("of protocol %d, superpacket %v, is ", proto, i == batch)
				if l4 == 20 && b[10]|b[11] == 0 {
					met["header "+what+"0"]++
				}
				at := l4 + map[byte]int{6: 16, 17: 6}[proto]
				if sum := int(b[at])<<8 | int(b[at+1]); sum == 0 || sum == 0xFFFF {
					met[fmt.Sprint("L4 ", what, sum)]++
				}
			}
		}
	}
	for _, what := range []string{"header of protocol 6, superpacket false, is 0", "header of protocol 6, superpacket true, is 0",
		"L4 of protocol 6, superpacket false, is 0", "L4 of protocol 17, superpacket false, is 65535"} {
		if met[what] == 0 {
			t.Errorf("no checksum %s; reached: %v", what, met)
		}
	}
}

// TestRun checks that an error ends a run, and that a run resumes where it stopped.
func TestRun(t *testing.T) {
	var seen []int
	one := func() func(int) (int, error) {
		return func(i int) (int, error) {
			if len(seen) == 5 {
				return 0, errors.New("at part 5")
			}
			seen = append(seen, i)
			return i, nil
		}
	}
	s, err := Run(t.Context(), State{}, 9, 1, one, nil)
	if err == nil || s != (State{5, 0 + 1 + 2 + 3 + 4}) {
		t.Fatalf("%+v, %v", s, err)
	}
	seen = nil
	var saved []State
	s, err = Run(t.Context(), State{5, 10}, 9, 1, one, func(s State) { saved = append(saved, s) })
	if err != nil || s != (State{9, 36}) || !slices.Equal(seen, []int{5, 6, 7, 8}) || len(saved) != 4 || saved[3] != s {
		t.Errorf("%+v, %v, parts %v, saved %v", s, err, seen, saved)
	}
}

// TestDetects checks that a difference between production and model is found, and that the
// error names the letters of the batch.
func TestDetects(t *testing.T) {
	b := Batches{Alphabet(Small), 2, law.Modes[:1]}
	c := b.NewChecker()
	c.modes[0].model.MaxSegments = 1 // production joins two
	_, err := c.Shard(1)
	if err == nil || !strings.Contains(err.Error(), `"tcp 0" "tcp 1"`) || len(c.Scenario().Batches[0]) != 2 {
		t.Errorf("%v, %d packets", err, len(c.Scenario().Batches[0]))
	}
}
