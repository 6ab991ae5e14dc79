// SPDX-License-Identifier: MIT

package check

import (
	"fmt"
	"slices"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// TestGaps leaves segments out of a run: a gap that nothing fills is
// reported, with what the IDs show. A gap is not reported if its segments come late,
// are sent again or are acknowledged, or if it is at the end of the capture.
func TestGaps(t *testing.T) {
	segment := func(v6 bool, i int) scenario.Packet {
		p := scenario.TCP4(1000)
		p.V6 = v6
		p.Seq += uint32(1000 * i)
		p.ID += uint16(i)
		return p
	}
	late := func(list [][]byte, b []byte) [][]byte { return slices.Insert(list, 90, b) }
	for _, v6 := range []bool{false, true} {
		ids := func(s string) string {
			if v6 {
				return ""
			}
			return s
		}
		for name, test := range map[string]struct {
			n      int
			change func(list [][]byte) [][]byte
			want   []string
		}{
			"lost": {300, func(list [][]byte) [][]byte { return list }, []string{fmt.Sprintf("packet 21: tcp.seq is 23001, want 20001: missing after packet 20: 3000 bytes (3 segments of 1000), "+
				"which no later packet brings, while the run goes on%s [S4.seq] (suspect)", ids("; the IPv4 IDs skip 3, one for each segment of the gap"))}},
			"other IDs": {300, func(list [][]byte) [][]byte {
				for i := range list[20:] {
					p := segment(v6, 23+i)
					p.ID += 4
					list[20+i] = p.Bytes()
				}
				return list
			}, []string{fmt.Sprintf("packet 21: tcp.seq is 23001, want 20001: missing after packet 20: 3000 bytes (3 segments of 1000), "+
				"which no later packet brings, while the run goes on%s [S4.seq] (suspect)", ids("; the IPv4 IDs skip 7"))}},
			"late": {300, func(list [][]byte) [][]byte {
				return late(late(late(list, segment(v6, 22).Bytes()), segment(v6, 20).Bytes()), segment(v6, 21).Bytes())
			}, nil},
			"one of them late": {300, func(list [][]byte) [][]byte { return late(list, segment(v6, 20).Bytes()) },
				[]string{fmt.Sprintf("packet 21: tcp.seq is 23001, want 21001: missing after packet 20: 2000 bytes (2 segments of 1000), "+
					"which no later packet brings, while the run goes on%s [S4.seq] (suspect)", ids("; the IPv4 IDs skip 3, one for each segment of the gap"))}},
			"sent again": {300, func(list [][]byte) [][]byte {
				p := segment(v6, 20)
				p.ID, p.Payload = 9, scenario.Fill(3000, 0)
				return late(list, p.Bytes())
			}, nil},
			"acknowledged": {300, func(list [][]byte) [][]byte {
				p := segment(v6, 0)
				p.Src, p.Dst, p.SrcPort, p.DstPort, p.Payload, p.Ack = p.Dst, p.Src, p.DstPort, p.SrcPort, nil, 24001
				return late(list, p.Bytes())
			}, nil},
			"left out by the capture": {300, func(list [][]byte) [][]byte { return slices.Insert(list, 20, nil) }, nil},
			"in a damaged packet":     {300, func(list [][]byte) [][]byte { return slices.Insert(list, 20, []byte{0x46}) }, []string{"packet 21: ip.version_ihl is 46: no complete IPv4 or IPv6 header in 1 byte [V4.ip_header]"}},
			"at the end":              {120, func(list [][]byte) [][]byte { return list }, nil},
		} {
			var list [][]byte
			for i := range test.n {
				if i < 20 || i >= 23 {
					list = append(list, segment(v6, i).Bytes())
				}
			}
			var got []string
			c := New(Config{}, func(f Finding) { got = append(got, f.String()) })
			for i, b := range test.change(list) {
				if b == nil {
					continue
				}
				if err := c.Packet(pcap.Packet{Number: i + 1, Data: b}); err != nil {
					t.Fatal(err)
				}
			}
			if c.Finish(); !slices.Equal(got, test.want) {
				t.Errorf("v6 %v, %s:\n%q, want\n%q", v6, name, got, test.want)
			}
		}
	}
}

// TestGapWraps checks that an acknowledgement is compared with a gap wherever the sequence
// numbers wrap: a gap that was acknowledged is no finding, and one that was not is one.
func TestGapWraps(t *testing.T) {
	for k := uint32(0); k <= 30; k++ {
		base := -(1000*k + 500) // the wrap is in segment k
		for _, acked := range []bool{false, true} {
			found := 0
			c := New(Config{}, func(Finding) { found++ })
			n := 0
			add := func(p scenario.Packet) {
				n++
				if err := c.Packet(pcap.Packet{Number: n, Data: p.Bytes()}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 300 {
				p := scenario.TCP4(1000)
				p.Seq, p.ID = base+uint32(1000*i), uint16(i)
				if i < 20 || i >= 23 {
					add(p)
				}
				if i == 90 {
					p.Src, p.Dst, p.SrcPort, p.DstPort, p.Payload, p.Seq = p.Dst, p.Src, p.DstPort, p.SrcPort, nil, 1
					if p.Ack = base + 19000; acked {
						p.Ack = base + 24000
					}
					add(p)
				}
			}
			want := 1
			if acked {
				want = 0
			}
			if c.Finish(); found != want {
				t.Errorf("from %#x, acknowledged %v: %d findings, want %d", base, acked, found, want)
			}
		}
	}
}
