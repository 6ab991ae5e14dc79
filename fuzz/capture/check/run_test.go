// SPDX-License-Identifier: MIT

package check

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestEarlierSequence computes the checksums of segments with the sequence number of an
// earlier one of their superpacket. check names that one, or, if the capture lacks it, how
// far before it began, and never an address translation.
func TestEarlierSequence(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(1388), scenario.TCP6(1388), scenario.TCP4(600)} {
		for _, first := range []int{3, 7, 11} { // the segment whose number was used
			for _, wrong := range [][]int{{5}, {4, 6, 9}, {3, 4, 5, 8}} { // segments after it
				for _, lost := range []bool{false, true} {
					size := len(p.Payload)
					q := p
					var list []pcap.Packet
					for i := range 24 {
						b := q.Bytes()
						h := packet.Parse(b)
						for _, k := range wrong {
							if i == first+k-1 {
								was := binary.BigEndian.Uint32(b[h.L4Off+4:])
								binary.BigEndian.PutUint32(b[h.L4Off+4:], was-uint32(k*size))
								packet.Fix(b, packet.FixL4Csum)
								binary.BigEndian.PutUint32(b[h.L4Off+4:], was)
							}
						}
						if !lost || i >= first {
							list = append(list, pcap.Packet{Number: i + 1, Data: b})
						}
						q = q.Next(size)
					}
					var found []Finding
					c := New(Config{}, func(f Finding) { found = append(found, f) })
					for _, p := range list {
						if err := c.Packet(p); err != nil {
							t.Fatal(err)
						}
					}
					c.Finish()
					if len(found) != len(wrong) {
						t.Errorf("%d bytes, %v after %d: %v", size, wrong, first, found)
					}
					for i, f := range found {
						want := fmt.Sprintf("the sequence number was packet %d's when it was computed", first)
						if lost {
							want = fmt.Sprintf("the sequence number was %d segments of %d bytes lower when it was computed", wrong[i], size)
						}
						if !strings.Contains(f.Text, want) || strings.Contains(f.Text, "NAT") {
							t.Errorf("%d bytes, %v after %d, lost %v: %v, want %q", size, wrong, first, lost, f, want)
						}
					}
				}
			}
		}
	}
}
