// SPDX-License-Identifier: MIT

package check

import (
	"encoding/binary"
	"strings"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// judgedRun returns the findings of a run of segments of 1,000 bytes and a last one of 300, of
// which change changes segment i.
func judgedRun(t *testing.T, v6 bool, change func(i int, b []byte, h packet.Header) []byte) []Finding {
	t.Helper()
	p := scenario.TCP4(1000)
	p.V6 = v6
	var found []Finding
	c := New(Config{}, func(f Finding) { found = append(found, f) })
	for i := range 40 {
		q := p
		if i == lastOfRun {
			q.Payload = q.Payload[:300]
		}
		q.Payload = scenario.Fill(len(q.Payload), byte(i*7))
		b := q.Bytes()
		if err := c.Packet(pcap.Packet{Number: i + 1, Data: change(i, b, packet.Parse(b))}); err != nil {
			t.Fatal(err)
		}
		p.Seq += uint32(len(q.Payload))
		p.ID++
	}
	c.Finish()
	return found
}

// lastOfRun is the index of the short segment, the last of a superpacket of which the first is
// at index firstOfRun.
const firstOfRun, lastOfRun = 10, 19

// TestWrongSequence changes sequence numbers of segments in each way, with the checksum kept or
// right. The changed segments are named, or one beside them is suspect. No other is accused.
func TestWrongSequence(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, test := range map[string]struct {
			from, to int // segments that are changed
			back     func(i int) int
			kept     bool
			want     string // in the text of each finding
			found    int
		}{
			"all as the first":                 {firstOfRun + 1, lastOfRun, func(i int) int { return 1000 * (i - firstOfRun) }, false, "does not advance", lastOfRun - firstOfRun},
			"all as the first, checksums kept": {firstOfRun + 1, lastOfRun, func(i int) int { return 1000 * (i - firstOfRun) }, true, "tcp.seq is wrong", lastOfRun - firstOfRun},
			"one late, checksums kept":         {firstOfRun + 1, lastOfRun, func(int) int { return 1000 }, true, "tcp.seq is wrong", lastOfRun - firstOfRun},
			"the last too low":                 {lastOfRun, lastOfRun, func(int) int { return 150 }, false, "one of the two is not where it belongs", 1},
		} {
			found := judgedRun(t, v6, func(i int, b []byte, h packet.Header) []byte {
				if i < test.from || i > test.to {
					return b
				}
				at := h.L4Off + 4
				binary.BigEndian.PutUint32(b[at:], binary.BigEndian.Uint32(b[at:])-uint32(test.back(i)))
				if !test.kept {
					packet.Fix(b, packet.FixL4Csum)
				}
				return b
			})
			for _, f := range found {
				if !strings.Contains(f.Text, test.want) || f.Packet < test.from+1 || f.Packet > test.to+1 {
					t.Errorf("%s, IPv6 %v: %v", name, v6, f)
				}
			}
			if len(found) != test.found {
				t.Errorf("%s, IPv6 %v: %d findings, want %d", name, v6, len(found), test.found)
			}
		}
	}
}

// TestWholeLength sums the segments of a superpacket with a wrong length in the pseudo-header:
// the superpacket's is named, and a number that all segments are off by is not taken for it
// with certainty, nor for a translated address.
func TestWholeLength(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, test := range map[string]struct {
			by       func(b []byte, h packet.Header) int // what is added to the sum
			certain  int                                 // findings that name the length alone
			possible int                                 // findings that name it as possible
		}{
			"superpacket":    {func(b []byte, h packet.Header) int { return 9*1000 + 300 + h.PayloadOff - h.L4Off - (len(b) - h.L4Off) }, 1, 8},
			"same in all":    {func([]byte, packet.Header) int { return 0x3039 }, 0, 8},
			"whole multiple": {func([]byte, packet.Header) int { return 9 * 1000 }, 10, 0},
		} {
			found := judgedRun(t, v6, func(i int, b []byte, h packet.Header) []byte {
				if i >= firstOfRun && i <= lastOfRun {
					at := h.L4Off + 16
					sum := int(^binary.BigEndian.Uint16(b[at:])) + test.by(b, h)
					binary.BigEndian.PutUint16(b[at:], ^fold(sum))
				}
				return b
			})
			certain, possible := 0, 0
			for _, f := range found {
				switch {
				case strings.Contains(f.Text, "NAT"):
					t.Errorf("%s: %v", name, f)
				case strings.Contains(f.Text, "as of a superpacket"):
					certain++
				case strings.Contains(f.Text, "or something else that they share"):
					possible++
				}
			}
			if certain != test.certain || possible != test.possible || len(found) != lastOfRun-firstOfRun+1 {
				t.Errorf("%s, IPv6 %v: %d certain, want %d; %d possible, want %d; of %d findings", name, v6, certain, test.certain, possible, test.possible, len(found))
				for _, f := range found {
					t.Log(f)
				}
			}
		}
	}
}
