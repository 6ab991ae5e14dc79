// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestNATCopies translates the source address of packets without updating the checksum of TCP
// or UDP, and sends none or all of them twice, at once or later. Each packet is found once, a
// copy too, and each finding names the cause.
func TestNATCopies(t *testing.T) {
	const packets = 6
	for name, first := range map[string]scenario.Packet{"tcp4": scenario.TCP4(100), "tcp6": scenario.TCP6(100), "udp4": scenario.UDP4(100), "udp6": scenario.UDP6(100)} {
		for _, copies := range []string{"none", "at once", "later"} {
			p := first
			var before, after, late []pcap.Packet
			for i := range packets {
				p.Ack++
				b := p.Bytes()
				b[len(b)-1] = byte(i) // a payload of its own
				packet.Fix(b, packet.FixAll)
				translated := bytes.Clone(b)
				at := 15
				if b[0]>>4 == 6 {
					at = 23
				}
				translated[at], translated[at-1] = 77, 9
				packet.Fix(translated, packet.FixIPCsum)
				now := time.Unix(1_700_000_000+int64(i), 0)
				before = append(before, pcap.Packet{Time: now, Data: b})
				after = append(after, pcap.Packet{Time: now, Data: translated})
				switch copies {
				case "at once":
					after = append(after, after[len(after)-1])
				case "later":
					late = append(late, pcap.Packet{Time: now.Add(packets * time.Second), Data: translated})
				}
				p = p.Next(len(p.Payload))
			}
			after = append(after, late...)
			got := judged(t, Config{}, renumbered(before), renumbered(after))
			what := map[string]int{}
			for _, f := range got.found {
				what[f.What]++
				if !strings.Contains(f.Text, "the checksum was not updated for the new source address") {
					t.Errorf("%s, copies %s: %v", name, copies, f)
				}
			}
			want := map[string]int{Changed: packets, Duplicated: len(after) - packets}
			if what[Changed] != want[Changed] || what[Duplicated] != want[Duplicated] || len(got.found) != len(after) {
				t.Errorf("%s, copies %s: %v, want %v: %s", name, copies, what, want, fmt.Sprint(got.found))
			}
		}
	}
}
