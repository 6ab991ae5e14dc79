// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestRecurringPlaces changes some datagrams and loses others, in traffic whose IPv4 IDs recur:
// all equal, after a few packets, or where the ID wraps. Random payloads show which datagram is
// which, so each finding must name it, and the byte that changed.
func TestRecurringPlaces(t *testing.T) {
	t.Parallel()
	for _, period := range []int{1, 2, 3, 5, 16, 31, 100} {
		for seed := range uint64(20) {
			t.Run(fmt.Sprint(period, seed), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, uint64(period)))
				const n = 120
				p := scenario.UDP4(4 + 40 + r.IntN(300))
				p.Frag = 0
				first, size := r.IntN(1<<16), len(p.Payload)
				lost, changed := map[int]bool{}, map[int]bool{}
				whole := -1 // a datagram of which all is changed; one with its ID is lost
				if period > 30 {
					whole = 12 + period + r.IntN(n-14-period)
					lost[whole-period], changed[whole] = true, true
				}
				for len(lost) < 1+r.IntN(3) {
					if i := 12 + r.IntN(n-14); !changed[i] {
						lost[i] = true
					}
				}
				for len(changed) < 1+r.IntN(3) {
					if i := 12 + r.IntN(n-14); !lost[i] {
						changed[i] = true
					}
				}
				var before, after []pcap.Packet
				var want, got []string
				at := time.Unix(1_700_000_000, 0)
				delay := time.Duration(r.IntN(20)) * time.Millisecond / 4
				late := r.IntN(3) * 5 // packets of before that came before the other capture started
				for i := range n {
					p.ID = uint16(first + i%period)
					p.Payload = make([]byte, size)
					for k := range p.Payload {
						p.Payload[k] = byte(r.Uint32())
					}
					x := pcap.Packet{Number: i + 1, Time: at.Add(time.Duration(i) * time.Millisecond), Data: p.Bytes()}
					before = append(before, x)
					if i < late {
						continue
					}
					if lost[i] {
						want = append(want, fmt.Sprintf("lost %d", i+1))
						continue
					}
					x.Number, x.Time, x.Data = len(after)+1, x.Time.Add(delay), bytes.Clone(x.Data)
					if changed[i] {
						k := 28 + r.IntN(size)
						x.Data[k] ^= 0x40
						if i == whole { // nothing but the place shows which one it was
							for k = 28; k < len(x.Data); k++ {
								x.Data[k] = ^x.Data[k]
							}
							k = 28
						}
						if r.IntN(2) == 0 {
							packet.Fix(x.Data, packet.FixL4Csum)
						}
						want = append(want, fmt.Sprintf("changed %d to %d at %d", i+1, x.Number, k))
					}
					after = append(after, x)
				}
				for _, f := range judged(t, Config{}, before, after).found {
					switch f.What {
					case Lost:
						got = append(got, fmt.Sprintf("lost %d", f.Packets[Before]))
					case Changed:
						k := slices.IndexFunc(f.Fields, func(d packet.Difference) bool { return d.Field == "payload" })
						if k < 0 {
							t.Fatalf("%+v", f)
						}
						got = append(got, fmt.Sprintf("changed %d to %d at %d", f.Packets[Before], f.Packets[After], f.Fields[k].Off))
					default:
						got = append(got, f.String())
					}
				}
				slices.Sort(want)
				slices.Sort(got)
				same(t, "findings", want, got)
			})
		}
	}
}
