// SPDX-License-Identifier: MIT

package excerpt

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/capture/trial"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestCheck plants each fault that check knows: the excerpt shows the finding, and without
// any one of its packets it does not.
func TestCheck(t *testing.T) {
	longest := 0
	for i, fault := range trial.Faults() {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		var tr *trial.Traffic
		for tr = trial.Draw(r); fault.Plant(r, tr) == nil; {
			tr = trial.Draw(r)
		}
		found, err := trial.Judge(tr)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: nothing found: %v", fault.Name, err)
		}
		f := found[0]
		list, err := Check(t.Context(), capture.Of("drawn", slices.Clone(tr.Packets)), tr.Config, f)
		if err != nil {
			t.Errorf("%s: %v", fault.Name, err)
			continue
		}
		longest = max(longest, len(list))
		shows := func(list []pcap.Packet) bool {
			found, err := trial.Judge(&trial.Traffic{Packets: numbered(list), Config: tr.Config})
			return err == nil && slices.ContainsFunc(found, func(g check.Finding) bool {
				return g.Name == f.Name && g.Field == f.Field && g.Got == f.Got && g.Want == f.Want && unnumbered(g.Text) == unnumbered(f.Text)
			})
		}
		if !shows(list) {
			t.Errorf("%s: the excerpt does not show it", fault.Name)
		}
		for at := range list {
			if shows(slices.Concat(list[:at], list[at+1:])) {
				t.Errorf("%s: packet %d of the excerpt is not needed", fault.Name, at+1)
			}
		}
	}
	if longest < 3 {
		t.Errorf("no excerpt has more than %d packets", longest)
	}
}

// TestCompare takes a packet of a long flow away, or changes, doubles or delays it, beside
// another flow.
func TestCompare(t *testing.T) {
	var before []pcap.Packet
	a, b := scenario.TCP4(100), scenario.UDP6(50)
	for i := range 200 {
		p := a.Bytes()
		if i%2 == 1 {
			p = b.Bytes()
			a, b = a.Next(100), b.Next(50)
		}
		before = append(before, pcap.Packet{Number: i + 1, Time: time.Unix(int64(i), 0), Data: p})
	}
	const at = 100
	for what, after := range map[string][]pcap.Packet{
		compare.Lost:       slices.Concat(before[:at], before[at+1:]),
		compare.Duplicated: slices.Concat(before[:at+1], before[at:]),
		compare.Reordered:  slices.Concat(before[:at], before[at+2:at+9], before[at:at+2], before[at+9:]),
		compare.Changed:    changed(before, at),
	} {
		more := 0 // findings that are unlike the first
		run := func(parts [2][]pcap.Packet) (first compare.Finding) {
			more = 0
			cfg := compare.Config{Each: func(f compare.Finding) {
				if first.What == "" {
					first = f
				}
				if !alike(first, f) {
					more++
				}
			}}
			in := [2]*capture.Source{capture.Of("before", numbered(parts[0])), capture.Of("after", numbered(parts[1]))}
			if _, err := compare.Files(t.Context(), t.Output(), in, cfg, 10); err != nil {
				t.Fatal(err)
			}
			return first
		}
		f := run([2][]pcap.Packet{before, after})
		if f.What != what {
			t.Fatalf("%s: found %v", what, f)
		}
		in := [2]*capture.Source{capture.Of("before", before), capture.Of("after", numbered(after))}
		parts, err := Compare(t.Context(), in, compare.Config{}, f)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if g := run(parts); !alike(f, g) || more > 0 {
			t.Errorf("%s: the excerpt shows %v and %d others", what, g, more)
		}
		if n := len(parts[0]) + len(parts[1]); n > 8 {
			t.Errorf("%s: the excerpt has %d packets", what, n)
		}
	}
}

// changed returns a copy of packets with another last byte in one of them.
func changed(list []pcap.Packet, at int) []pcap.Packet {
	list = slices.Clone(list)
	b := slices.Clone(list[at].Data)
	b[len(b)-1] ^= 1
	list[at].Data = b
	return list
}

// TestPadding checks that an excerpt has the padding of a frame that a checksum covers.
func TestPadding(t *testing.T) {
	b := scenario.TCP4(1).Bytes()
	h := packet.Parse(b)
	long := append(slices.Clone(b), 1, 2, 3, 4, 5)
	_, sum := h.Sums(long, h.L4Off+16, len(long))
	binary.BigEndian.PutUint16(b[h.L4Off+16:], ^sum)
	list := numbered([]pcap.Packet{{Data: scenario.UDP4(20).Bytes()}, {Data: b, Trailer: long[len(b):]}})
	var f check.Finding
	c := check.New(check.Config{}, func(g check.Finding) { f = g })
	for _, p := range list {
		if err := c.Packet(p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Check(t.Context(), capture.Of("padded", list), check.Config{}, f)
	if err != nil || len(got) != 1 || len(got[0].Data) != len(long) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestFar gives up on a finding that the window does not hold, and on one that is not there.
func TestFar(t *testing.T) {
	p := pcap.Packet{Number: 1, Data: scenario.TCP4(10).Bytes()}
	if _, err := Check(t.Context(), capture.Of("right", []pcap.Packet{p}), check.Config{}, check.Finding{Packet: 1}); err != errFar {
		t.Errorf("the error is %v", err)
	}
	var w window
	for i := range 3 * maxPackets {
		w.add(pcap.Packet{Number: i})
	}
	if len(w.packets) != maxPackets || w.packets[0].Number != 2*maxPackets {
		t.Errorf("%d packets from %d on", len(w.packets), w.packets[0].Number)
	}
	w.add(pcap.Packet{Data: make([]byte, maxBytes-1)})
	if w.add(pcap.Packet{Data: make([]byte, 9)}); len(w.packets) != 1 || w.bytes != 9 {
		t.Errorf("%d packets of %d bytes", len(w.packets), w.bytes)
	}
}
