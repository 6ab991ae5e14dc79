// SPDX-License-Identifier: MIT

package trial

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// random returns the source that a rapid test draws.
func random(t *rapid.T) *rand.Rand {
	return rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
}

// judged returns what check finds.
func judged(t rapid.TB, tr *Traffic) []check.Finding {
	t.Helper()
	list, err := Judge(tr)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestRight checks right traffic: nothing is found.
func TestRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if list := judged(t, Draw(random(t))); len(list) > 0 {
			t.Fatalf("found: %v", list)
		}
	})
}

// TestPart checks a part of right traffic, as of a capture that starts late and ends early, or
// has only some of the flows: nothing is found.
func TestPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := random(t)
		tr := Draw(r)
		from := r.IntN(len(tr.Packets))
		to := from + r.IntN(len(tr.Packets)-from)
		part := &Traffic{tr.Packets[from:to], tr.Config}
		if r.IntN(2) == 0 && to > from {
			of := packetFlow(part.Packets[0])
			part.Packets = slices.DeleteFunc(slices.Clone(part.Packets), func(p pcap.Packet) bool { return packetFlow(p) == of })
		}
		if list := judged(t, part); len(list) > 0 {
			t.Fatalf("packets %d to %d: found: %v", from, to, list)
		}
	})
}

// TestTwo plants two faults in different flows: both are found.
func TestTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := random(t)
		tr, want := twoPlanted(r)
		for tries := 1; want == nil; tries++ {
			if tries == mostTries {
				t.Fatalf("no place for two faults in %d drawings of traffic", tries)
			}
			tr, want = twoPlanted(r)
		}
		slices.Sort(want)
		if got := places(judged(t, tr), same); !slices.Equal(got, want) {
			t.Fatalf("found %q, want %q", got, want)
		}
	})
}

// mostTries is how often a test draws traffic that has a place for what it tests.
const mostTries = 5000

// twoPlanted returns traffic with two faults in different flows, and what must be found. It
// returns nil if the faults have no place, are in one flow, or one removes a packet.
func twoPlanted(r *rand.Rand) (tr *Traffic, want []string) {
	faults := Faults()
	tr = Draw(r)
	before := clone(tr) // a fault may change the addresses
	flows := map[packet.Flow]int{}
	for i := range 2 {
		list := faults[r.IntN(len(faults))].Plant(r, tr)
		if list == nil || len(tr.Packets) != len(before.Packets) {
			return nil, nil
		}
		for _, w := range list {
			of := packetFlow(before.Packets[w.Packet-1])
			if at, is := flows[of]; is && at != i {
				return nil, nil
			}
			flows[of] = i
			want = append(want, fmt.Sprint(w.Packet, " ", w.Field, " ", w.Kind.Name))
		}
	}
	return tr, want
}

// TestFaults plants each fault of the catalogue: it is found in the right packet and field,
// nothing else is, and nearly always the cause is right. Seldom another mistake would have
// written the same value.
func TestFaults(t *testing.T) {
	for _, f := range Faults() {
		t.Run(f.Name, func(t *testing.T) {
			row := Row{Fault: f}
			for seed := uint64(0); seed < 2000 && row.Drawn < 10; seed++ {
				if err := row.Draw(seed); err != nil {
					t.Fatal(err)
				}
			}
			if err := row.err(); err != nil || row.Drawn < 10 || row.Drawn-row.Cause > 1 || row.Doubt > 0 {
				t.Errorf("planted %d times, %d causes, %d suspects: %v", row.Drawn, row.Cause, row.Doubt, err)
			}
		})
	}
}

// TestKept draws captures again that were judged wrong once.
func TestKept(t *testing.T) {
	for _, c := range []struct {
		fault string
		seed  uint64
	}{
		{"UDP length: only the payload", 1004588136445776558}, // a checksum of FFFF, which stands for 0
	} {
		i := slices.IndexFunc(Faults(), func(f Fault) bool { return f.Name == c.fault })
		row := Row{Fault: Faults()[i]}
		if err := row.Draw(c.seed); err != nil || row.Drawn != 1 || row.Wrong != "" {
			t.Errorf("%s: %v, drawn %d times, %s", c.fault, err, row.Drawn, row.Wrong)
		}
	}
}

// planted returns traffic with a fault, and what check finds in it. It draws until the fault
// has a place and fits reports true.
func planted(t *rapid.T, fits func(tr *Traffic, found []check.Finding) bool) (*Traffic, []check.Finding) {
	faults := Faults()
	f := faults[rapid.IntRange(0, len(faults)-1).Draw(t, "fault")]
	r := random(t)
	for try := range mostTries {
		if try >= 10 {
			f = faults[r.IntN(len(faults))] // this one may never fit
		}
		tr := Draw(r)
		if f.Plant(r, tr) == nil {
			continue
		}
		if found := judged(t, tr); fits(tr, found) {
			return tr, found
		}
	}
	t.Fatalf("no traffic fits in %d drawings", mostTries)
	return nil, nil
}

// anyTraffic takes all traffic with a fault.
func anyTraffic(*Traffic, []check.Finding) bool { return true }

// has reports whether findings are of a kind.
func has(found []check.Finding, kind check.Kind) bool {
	return slices.ContainsFunc(found, func(f check.Finding) bool { return f.Name == kind.Name })
}

// places returns packets, fields and kinds of findings, with the packets' numbers as
// numbered has them.
func places(list []check.Finding, numbered func(int) int) []string {
	var s []string
	for _, f := range list {
		s = append(s, fmt.Sprint(numbered(f.Packet), " ", f.Field, " ", f.Name))
	}
	slices.Sort(s)
	return s
}

func same(n int) int { return n }

// clone returns a copy of traffic.
func clone(tr *Traffic) *Traffic {
	c := &Traffic{Config: tr.Config}
	for _, p := range tr.Packets {
		p.Data = bytes.Clone(p.Data)
		c.Packets = append(c.Packets, p)
	}
	return c
}

// TestMerge merges two captures of different flows: what is found is what is found in each.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, foundA := planted(t, anyTraffic)
		b, foundB := planted(t, func(b *Traffic, _ []check.Finding) bool {
			for _, p := range a.Packets {
				for _, q := range b.Packets {
					if packetFlow(p).Pair() == packetFlow(q).Pair() || packetFlow(p).Pair() == packetFlow(q).Pair().Reverse() {
						return false // they share addresses
					}
				}
			}
			return a.Config == b.Config // else they are checked in other ways
		})
		both := &Traffic{Config: a.Config}
		numbers := [2]map[int]int{{}, {}}
		add := func(side int, p pcap.Packet) {
			numbers[side][p.Number] = len(both.Packets) + 1
			p.Number = len(both.Packets) + 1
			both.Packets = append(both.Packets, p)
		}
		left := [2][]pcap.Packet{a.Packets, b.Packets}
		for len(left[0])+len(left[1]) > 0 {
			side := 0
			if len(left[0]) == 0 || len(left[1]) > 0 && left[1][0].Time.Before(left[0][0].Time) {
				side = 1
			}
			add(side, left[side][0])
			left[side] = left[side][1:]
		}
		want := append(places(foundA, func(n int) int { return numbers[0][n] }), places(foundB, func(n int) int { return numbers[1][n] })...)
		slices.Sort(want)
		if got := places(judged(t, both), same); !slices.Equal(got, want) {
			t.Fatalf("found %q, in each alone %q", got, want)
		}
	})
}

// TestShift shifts the times, all IPv4 IDs or all sequence numbers of a capture by any
// number: the findings stay where they are.
func TestShift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		what := rapid.SampledFrom([]string{"times", "IDs", "sequence numbers"}).Draw(t, "shift")
		k := rapid.Uint32().Draw(t, "by")
		tr, found := planted(t, func(_ *Traffic, found []check.Finding) bool {
			// The checksum of the pseudo-header alone has no sequence number in it, and IDs that
			// count with their bytes swapped do not after a number is added.
			return !has(found, check.L4PartialSender) && !(what == "IDs" && has(found, check.IDSwapped))
		})
		shifted := clone(tr)
		for i := range shifted.Packets {
			p := &shifted.Packets[i]
			h := packet.Parse(p.Data)
			switch {
			case what == "times":
				p.Time = p.Time.Add(time.Duration(k) * time.Second)
			case what == "IDs" && h.Version == 4:
				at := binary.BigEndian.Uint16(p.Data[4:])
				change(p.Data, 4, 10, binary.BigEndian.AppendUint16(nil, at+uint16(k)))
			case what == "sequence numbers" && h.Proto == 6 && h.PayloadOff > 0 && !h.Fragment:
				sum := h.L4Off + 16
				if v, has, _ := pcap.Vnet(p.Comment); has && v.Flags&packet.NeedsCsum != 0 || packet.Checksum(p.Data) == packet.Partial {
					sum = 0
				}
				for _, at := range []int{h.L4Off + 4, h.L4Off + 8} {
					change(p.Data, at, sum, binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(p.Data[at:])+k))
				}
			}
		}
		if got, want := places(judged(t, shifted), same), places(found, same); !slices.Equal(got, want) {
			t.Fatalf("%s shifted by %d: found %q, before %q", what, k, got, want)
		}
	})
}

// change writes bytes into a packet and updates a checksum by the difference (RFC 1624), so
// that a right one stays right and a wrong one wrong by as much. sum is its offset, or 0.
func change(b []byte, at, sumAt int, v []byte) {
	if sumAt > 0 {
		s := sum(word(int(^binary.BigEndian.Uint16(b[sumAt:]))), v, inverted(b[at:at+len(v)]))
		binary.BigEndian.PutUint16(b[sumAt:], ^s)
	}
	copy(b[at:], v)
}

// TestFramings writes traffic with a fault as each kind of frame, and reads it again: the
// findings are the same. Padding and a frame check sequence change nothing.
func TestFramings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr, found := planted(t, func(tr *Traffic, _ []check.Finding) bool {
			return !slices.ContainsFunc(tr.Packets, func(p pcap.Packet) bool {
				// A pcap file has no comments, and with a frame check sequence the wrong length is right.
				return p.Comment != "" || packet.Parse(p.Data).IPLen == len(p.Data)+4
			})
		})
		framing := rapid.IntRange(0, len(framings)-1).Draw(t, "framing")
		file := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, byte(framings[framing].link), 0, 0, 0}
		for _, p := range tr.Packets {
			b := framings[framing].frame(bytes.Clone(p.Data))
			for _, n := range []int{int(p.Time.Unix()), p.Time.Nanosecond() / 1000, len(b), len(b)} {
				file = binary.LittleEndian.AppendUint32(file, uint32(n))
			}
			file = append(file, b...)
		}
		list, skipped, err := pcap.ReadAll(bytes.NewReader(file))
		if err != nil || len(skipped) > 0 {
			t.Fatal(err, skipped)
		}
		again := judged(t, &Traffic{list, tr.Config})
		if got, want := places(again, same), places(found, same); !slices.Equal(got, want) {
			t.Fatalf("%s: found %q, raw %q", framings[framing].name, got, want)
		}
		for i, f := range again {
			if past := "past the end of the packet"; strings.Contains(found[i].Text, past) && !strings.Contains(f.Text, past) {
				t.Fatalf("%s: found %v, raw %v", framings[framing].name, f, found[i])
			}
		}
	})
}

// framings are the kinds of frames in which packets are captured.
var framings = []struct {
	name  string
	link  int
	frame func(b []byte) []byte
}{
	{"Ethernet", 1, func(b []byte) []byte { return pad(ethernet(b)) }},
	{"Ethernet with a frame check sequence", 1, func(b []byte) []byte {
		b = pad(ethernet(b))
		return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}},
	{"Ethernet with a tag", 1, func(b []byte) []byte {
		b = ethernet(b)
		return pad(slices.Concat(b[:12], []byte{0x81, 0, 0, 5}, b[12:]))
	}},
	{"Linux cooked", 113, func(b []byte) []byte {
		return append(append(make([]byte, 14), ethernet(b)[12:14]...), b...)
	}},
}

// ethernet puts an Ethernet header before a packet.
func ethernet(b []byte) []byte {
	h := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0}
	if b[0]>>4 == 6 {
		h[12], h[13] = 0x86, 0xDD
	}
	return append(h, b...)
}

// pad makes an Ethernet frame as long as the shortest one.
func pad(b []byte) []byte { return append(b, make([]byte, max(0, 60-len(b)))...) }

// TestFalse checks that findings of anything but the fault count as false.
func TestFalse(t *testing.T) {
	fault := Faults()[0]
	plant := fault.Plant
	fault.Plant = func(r *rand.Rand, t *Traffic) []Want {
		if plant(r, t) == nil {
			return nil
		}
		return []Want{} // nothing is expected
	}
	row := Row{Fault: fault}
	for seed := uint64(0); row.Drawn < 3; seed++ {
		if err := row.Draw(seed); err != nil {
			t.Fatal(err)
		}
	}
	if row.False < 3 || row.err() == nil {
		t.Errorf("%d false findings in %d captures, %v", row.False, row.Drawn, row.err())
	}
}
