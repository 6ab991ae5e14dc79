// SPDX-License-Identifier: MIT

package trial

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// features are what drawn traffic has. Each is in some of the captures, and in no more than
// chance allows: from the one to the other percentage.
var features = []struct {
	name     string
	from, to int
	has      func(s *spot) bool
}{
	{"IPv4", 60, 95, func(s *spot) bool { return s.Version == 4 }},
	{"IPv6", 60, 95, func(s *spot) bool { return s.Version == 6 }},
	{"TCP", 80, 99, func(s *spot) bool { return isTCP(s) }},
	{"UDP", 50, 90, func(s *spot) bool { return s.Proto == 17 && s.PayloadOff > 0 }},
	{"SYN", 30, 80, flagSet(2)},
	{"FIN", 40, 80, flagSet(1)},
	{"PSH", 50, 95, flagSet(8)},
	{"CWR", 8, 50, flagSet(0x80)},
	{"a bare acknowledgement", 60, 95, func(s *spot) bool { return isTCP(s) && len(s.payload()) == 0 && s.b[s.L4Off+13] == 0x10 }},
	{"data with an acknowledgement number of answers", 60, 99, func(s *spot) bool { return isTCP(s) && len(s.payload()) > 1 }},
	{"a datagram of an answer", 20, 70, func(s *spot) bool {
		return s.Proto == 17 && s.PayloadOff > 0 && s.u16(s.L4Off) < 9000 && s.u16(s.L4Off) >= 8000
	}},
	{"timestamps", 20, 70, func(s *spot) bool { return isTCP(s) && s.PayloadOff > s.L4Off+20 }},
	{"IPv4 options", 8, 40, func(s *spot) bool { return s.Version == 4 && s.b[0] > 0x45 }},
	{"IPv6 extension headers", 8, 40, func(s *spot) bool { return s.Extensions > 0 }},
	{"fragments", 30, 60, func(s *spot) bool { return s.Fragment }},
	{"an IPv4 fragment", 12, 45, func(s *spot) bool { return s.Fragment && s.Version == 4 }},
	{"an IPv6 fragment", 12, 45, func(s *spot) bool { return s.Fragment && s.Version == 6 }},
	{"ICMP", 3, 25, func(s *spot) bool { return s.Proto == 1 && !s.Fragment }},
	{"ESP", 3, 25, func(s *spot) bool { return s.Proto == 50 }},
	{"GRE", 3, 25, func(s *spot) bool { return s.Proto == 47 }},
	{"ICMPv6", 3, 25, func(s *spot) bool { return s.Proto == 58 }},
	{"SCTP", 3, 25, func(s *spot) bool { return s.Proto == 132 }},
	{"a tunnel without a checksum", 12, 40, func(s *spot) bool { return tunnel(s) && s.u16(s.L4Off+6) == 0 }},
	{"a tunnel with a checksum", 12, 40, func(s *spot) bool { return tunnel(s) && s.u16(s.L4Off+6) != 0 }},
	{"VXLAN", 8, 30, func(s *spot) bool { return tunnel(s) && s.u16(s.L4Off+2) == 4789 }},
	{"Geneve", 8, 30, func(s *spot) bool { return tunnel(s) && s.u16(s.L4Off+2) == 6081 }},
	{"GTP", 8, 30, func(s *spot) bool { return tunnel(s) && s.u16(s.L4Off+2) == 2152 }},
	{"padding", 15, 60, func(s *spot) bool { return s.Version != 0 && s.end < len(s.b) }},
	{"a superpacket", 30, 60, func(s *spot) bool { return s.vnet && s.hdr.GSOType != 0 }},
	{"a partial checksum with a VnetHdr alone", 10, 40, func(s *spot) bool { return s.vnet && s.hdr.GSOType == 0 && s.hdr.Flags == 1 }},
	{"a partial checksum without a VnetHdr", 8, 40, func(s *spot) bool { return !s.vnet && packet.Checksum(s.b) == packet.Partial }},
	{"merged segments", 12, 45, func(s *spot) bool {
		return isTCP(s) && len(s.b) > 1500 && packet.Checksum(s.b) == packet.Right && !s.vnet
	}},
	{"merged segments with a VnetHdr", 8, 40, func(s *spot) bool { return s.vnet && s.hdr.Flags == 2 }},
	{"an ID of 0 with DF", 20, 70, func(s *spot) bool { return s.Version == 4 && s.u16(4) == 0 && s.b[6]&0x40 != 0 }},
	{"no DF", 30, 80, func(s *spot) bool { return s.Version == 4 && s.b[6]&0x40 == 0 }},
}

// isTCP reports whether a packet has a complete TCP header.
func isTCP(s *spot) bool { return s.Proto == 6 && s.PayloadOff > 0 && !s.Fragment }

func flagSet(bit byte) func(s *spot) bool {
	return func(s *spot) bool { return isTCP(s) && s.b[s.L4Off+13]&bit != 0 }
}

func tunnel(s *spot) bool {
	if s.Proto != 17 || s.PayloadOff == 0 || s.Fragment {
		return false
	}
	port := s.u16(s.L4Off + 2)
	return port == 4789 || port == 6081 || port == 2152
}

// TestFeatures draws captures and counts what they have.
func TestFeatures(t *testing.T) {
	const draws = 500
	count := map[string]int{}
	copies, again, wire, probes, most, answers := 0, 0, 0, 0, 0, 0
	for seed := range uint64(draws) {
		tr := Draw(rand.New(rand.NewPCG(seed, 9)))
		if tr.Config.Wire {
			wire++
		}
		most = max(most, len(tr.Packets))
		has := map[string]bool{}
		bytesSeen := map[string]bool{}
		stream := map[string]bool{}
		copied, resent, probed := false, false, false
		frontier, ends := map[packet.Flow]uint32{}, map[packet.Flow]map[uint32]bool{}
		for at, p := range tr.Packets {
			if s := spotOf(tr, at); isTCP(s) {
				if ends[packetFlow(p)] == nil {
					ends[packetFlow(p)] = map[uint32]bool{}
				}
				ends[packetFlow(p)][binary.BigEndian.Uint32(s.b[s.L4Off+4:])+uint32(len(s.payload()))] = true
			}
		}
		for at, p := range tr.Packets {
			s := spotOf(tr, at)
			for _, f := range features {
				has[f.name] = has[f.name] || f.has(s)
			}
			copied = copied || bytesSeen[string(p.Data)]
			bytesSeen[string(p.Data)] = true
			if p.Number != at+1 || at > 0 && p.Time.Before(tr.Packets[at-1].Time) {
				t.Fatalf("seed %d: packet %d has number %d and time %v", seed, at+1, p.Number, p.Time)
			}
			if s.vnet && s.hdr.GSOType != 0 && (tr.Config.Wire || s.Version == 4 && s.b[0] > 0x45) {
				t.Fatalf("seed %d: packet %d is a superpacket on a wire, or with IPv4 options", seed, at+1)
			}
			if tr.Config.Wire && packet.Checksum(p.Data) == packet.Partial {
				t.Fatalf("seed %d: packet %d has a partial checksum on a wire", seed, at+1)
			}
			if !isTCP(s) {
				continue
			}
			if key := fmt.Sprint(packetFlow(p), s.b[s.L4Off+4:s.L4Off+8], string(s.payload())); len(s.payload()) > 1 {
				resent = resent || stream[key] && !copied
				stream[key] = true
			}
			next := binary.BigEndian.Uint32(s.b[s.L4Off+4:])
			if end, known := frontier[packetFlow(p)]; known && next == end-1 && len(s.payload()) <= 1 {
				probed = true
			}
			end := next + uint32(len(s.payload()))
			if old, known := frontier[packetFlow(p)]; !known || int32(end-old) > 0 {
				frontier[packetFlow(p)] = end
			}
			// An answer acknowledges all of a packet of the other side, which may come later.
			if len(s.payload()) == 0 && s.b[s.L4Off+13] == 0x10 && s.u16(s.L4Off) >= 8000 && s.u16(s.L4Off) < 9000 {
				if ack := binary.BigEndian.Uint32(s.b[s.L4Off+8:]); !ends[packetFlow(p).Reverse()][ack] {
					t.Fatalf("seed %d: packet %d acknowledges %d, where no packet ends", seed, at+1, ack)
				}
				answers++
			}
		}
		for name := range has {
			if has[name] {
				count[name]++
			}
		}
		copies, again, probes = copies+one(copied), again+one(resent), probes+one(probed)
	}
	check := func(name string, n, from, to int) {
		if percent := 100 * n / draws; percent < from || percent > to {
			t.Errorf("%s: in %d of %d captures, want %d to %d %%", name, n, draws, from, to)
		}
	}
	for _, f := range features {
		check(f.name, count[f.name], f.from, f.to)
	}
	check("a copy", copies, 15, 60)
	check("a retransmission", again, 4, 50)
	check("a probe", probes, 10, 50)
	check("a wire", wire, 15, 35)
	if answers < draws {
		t.Errorf("only %d answers", answers)
	}
	if most < 60 || most > 200 {
		t.Errorf("up to %d packets", most)
	}
}

// TestNumbers checks that Bytes gives the numbers of its bytes, and then others.
func TestNumbers(t *testing.T) {
	b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 11), 22)
	r := Bytes(append(b, 1, 2, 3))
	for _, want := range []uint64{11, 22} {
		if got := r.Uint64(); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	other := rand.NewPCG(0, 0)
	for range 3 {
		if got, want := r.Uint64(), other.Uint64(); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
}

// TestOnce checks that Once says nothing of faults that check finds, and something of one that
// cannot be found.
func TestOnce(t *testing.T) {
	for _, f := range []Fault{Faults()[0], Faults()[len(Faults())-1]} {
		if wrong, err := Once(f, rand.New(rand.NewPCG(1, 1))); wrong != "" || err != nil {
			t.Errorf("%s: %q, %v", f.Name, wrong, err)
		}
	}
	none := Fault{Name: "none", Plant: func(r *rand.Rand, tr *Traffic) []Want {
		return []Want{{Packet: 1, Field: "ip.id", Kind: check.IDConstant}}
	}}
	if wrong, err := Once(none, rand.New(rand.NewPCG(1, 1))); wrong == "" || err != nil {
		t.Errorf("%q, %v", wrong, err)
	}
	nowhere := Fault{Name: "nowhere", Plant: func(r *rand.Rand, tr *Traffic) []Want { return nil }}
	if wrong, err := Once(nowhere, rand.New(rand.NewPCG(1, 1))); wrong != "" || err != nil {
		t.Errorf("%q, %v", wrong, err)
	}
}

// TestRowCounts plants a fault of which something else is expected than what check finds, as
// TestCounts does with compare.
func TestRowCounts(t *testing.T) {
	fault := Faults()[0]
	plant := fault.Plant
	for name, c := range map[string]struct {
		change func(w []Want) []Want
		cause  string
		want   Row // of each drawing
	}{
		"right":          {func(w []Want) []Want { return w }, fault.Cause, Row{Packet: 1, Field: 1, Cause: 1}},
		"nothing":        {func(w []Want) []Want { return []Want{} }, fault.Cause, Row{Packet: 1, Field: 1, Cause: 1, False: 1}},
		"another packet": {func(w []Want) []Want { w[0].Packet++; return w }, fault.Cause, Row{False: 1}},
		"another field":  {func(w []Want) []Want { w[0].Field = "ip.id"; return w }, fault.Cause, Row{Packet: 1, Cause: 1}},
		"another kind":   {func(w []Want) []Want { w[0].Kind = check.IPChecksum; return w }, fault.Cause, Row{Packet: 1, Cause: 1}},
		"another cause":  {func(w []Want) []Want { return w }, "the moon", Row{Packet: 1, Field: 1}},
		"a dark one":     {func(w []Want) []Want { w[0].Dark = true; return w }, "the moon", Row{Packet: 1, Field: 1, Cause: 1}},
		"one more":       {func(w []Want) []Want { return append(w, Want{Packet: w[0].Packet, Field: "x"}) }, fault.Cause, Row{}},
	} {
		f := fault
		f.Cause = c.cause
		f.Plant = func(r *rand.Rand, tr *Traffic) []Want {
			w := plant(r, tr)
			if w == nil {
				return nil
			}
			return c.change(w)
		}
		const n = 5
		row := Row{Fault: f}
		for seed := uint64(0); row.Drawn < n; seed++ {
			if err := row.Draw(seed); err != nil {
				t.Fatal(err)
			}
		}
		right := name == "right" || name == "a dark one"
		if row.Packet != n*c.want.Packet || row.Field != n*c.want.Field || row.Cause != n*c.want.Cause || row.False != n*c.want.False || row.Doubt > 0 || (row.Wrong == "") != right {
			t.Errorf("%s: %+v, want %d times %+v", name, row, n, c.want)
		}
		if name != "another cause" && (row.err() == nil) != right {
			t.Errorf("%s: %v", name, row.err())
		}
	}
	for _, r := range []struct {
		row  Row
		want bool
	}{
		{Row{Drawn: 100, Packet: 100, Field: 100, Cause: 96, Doubt: 4}, true},
		{Row{Drawn: 100, Packet: 100, Field: 100, Cause: 95}, false},
		{Row{Drawn: 100, Packet: 100, Field: 100, Cause: 100, Doubt: 5}, false},
		{Row{Drawn: 100, Packet: 99, Field: 100, Cause: 100}, false},
		{Row{Drawn: 100, Packet: 100, Field: 99, Cause: 100}, false},
		{Row{Drawn: 100, Packet: 100, Field: 100, Cause: 100, False: 1}, false},
		{Row{Drawn: 10, Packet: 10, Field: 10, Cause: 7, Doubt: 3}, true},
		{Row{Drawn: 10, Packet: 10, Field: 10, Cause: 6}, false},
	} {
		if got := r.row.err() == nil; got != r.want {
			t.Errorf("%+v: %v", r.row, r.row.err())
		}
	}
}

// TestPlanted plants each fault in many captures: a fault without a place changes nothing. One
// with a place changes packets that it names, and the others only where it is of a whole run.
func TestPlanted(t *testing.T) {
	if testing.Short() {
		t.Skip("it is slow, and the same on every machine")
	}
	same := func(p, q pcap.Packet) bool { return bytes.Equal(p.Data, q.Data) && p.Comment == q.Comment }
	for _, f := range Faults() {
		for seed := range uint64(40) {
			tr, was := Draw(rand.New(rand.NewPCG(seed, 4))), Draw(rand.New(rand.NewPCG(seed, 4)))
			want := f.Plant(rand.New(rand.NewPCG(seed, 5)), tr)
			changed := 0
			for i := range min(len(tr.Packets), len(was.Packets)) {
				if !same(tr.Packets[i], was.Packets[i]) {
					changed++
				}
			}
			removed := len(was.Packets) - len(tr.Packets)
			switch {
			case want == nil && (changed > 0 || removed > 0):
				t.Errorf("%s: seed %d has no place, and %d packets changed", f.Name, seed, changed)
			case want != nil && changed == 0 && removed == 0:
				t.Errorf("%s: seed %d is as it was", f.Name, seed)
			}
			for _, w := range want {
				if w.Packet < 1 || w.Packet > len(tr.Packets) || w.Field == "" || w.Kind.Name == "" {
					t.Errorf("%s: seed %d wants %+v", f.Name, seed, w)
				}
				if removed == 0 && len(want) == 1 && changed == 1 && same(tr.Packets[w.Packet-1], was.Packets[w.Packet-1]) {
					t.Errorf("%s: seed %d wants packet %d, and another one was changed", f.Name, seed, w.Packet)
				}
			}
		}
	}
}
