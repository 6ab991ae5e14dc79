// SPDX-License-Identifier: MIT

package compare

import (
	"math/rand/v2"
	"testing"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/offload"
)

// timed returns a capture of packets, one each millisecond.
func timed(list [][]byte) []pcap.Packet {
	packets := numbered(list)
	for i := range packets {
		packets[i].Time = time.Unix(1_700_000_000, 0).Add(time.Duration(i) * time.Millisecond)
	}
	return packets
}

// TestEqual compares captures of equal packets between those of another flow. One capture
// starts later or ends earlier, and the other has superpackets: nothing is found, and no more
// is left out than what one capture missed.
func TestEqual(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	ack, datagram := scenario.TCP4(0), scenario.UDP4(100)
	ack.SrcPort, ack.ID, ack.Frag = 4000, 0, 0x4000
	for name, equal := range map[string]func() scenario.Packet{
		"acknowledgements": func() scenario.Packet { return ack },
		"datagrams":        func() scenario.Packet { return datagram },
		"datagrams with any ID": func() scenario.Packet {
			datagram := datagram
			datagram.ID, datagram.Frag = uint16(r.Uint32()), 0x4000
			return datagram
		},
		"datagrams with the ID 0": func() scenario.Packet {
			datagram := datagram
			datagram.ID, datagram.Frag = 0, 0x4000
			return datagram
		},
	} {
		var list [][]byte
		for _, b := range run(scenario.TCP6(300), 100, 300) {
			list = append(list, b)
			for range len(list) % 3 {
				list = append(list, equal().Bytes())
			}
		}
		x := timed(list)
		for _, part := range [][2]int{{0, len(x)}, {50, len(x)}, {0, len(x) - 50}, {37, len(x) - 41}} {
			super, _ := coalesced(t, x, offload.Config{AtomicIDs: true}, 16, false)
			before, after := x[part[0]:part[1]], super
			for range 2 {
				if got := judged(t, Config{}, before, after); len(got.found) > 0 || got.Segments != part[1]-part[0] {
					t.Errorf("%s, packets %d to %d: %+v, want %d segments\n%v", name, part[0], part[1], got.Summary, part[1]-part[0], got.found)
				}
				before, after = after, before
			}
		}
	}
}

// TestEdge compares captures, of which one starts or ends within a superpacket of the other:
// nothing is found, and all packets of that one came through.
func TestEdge(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(300), scenario.TCP6(300), scenario.UDP4(300), scenario.UDP6(300)} {
		x := timed(append(run(scenario.TCP6(1000), 40, 1000), append(run(p, 4, 300), run(scenario.UDP6(1000), 40, 1000)...)...))
		super, _ := coalesced(t, x, offload.Config{}, 4, false)
		for i := range super { // as receive offload does
			if packet.Parse(super[i].Data).Proto == 6 {
				packet.Fix(super[i].Data, packet.FixL4Csum)
			}
		}
		for at := 40; at <= 44; at++ {
			for _, part := range [][]pcap.Packet{x[at:], x[:at]} {
				before, after := part, super
				for side := range 2 {
					if got := judged(t, Config{}, before, after); len(got.found) > 0 || got.Segments+got.Recut[side] != len(part) {
						t.Errorf("%s, at %d: %+v, want %d\n%v", packet.Line(p.Bytes()), at, got.Summary, len(part), got.found)
					}
					before, after = after, before
				}
			}
		}
	}
}

// TestLastByte compares a superpacket with a datagram of one byte that is its last, and that
// is too short for the flags of TCP.
func TestLastByte(t *testing.T) {
	long, short := scenario.UDP4(84), scenario.UDP4(1)
	long.Payload[83], short.Payload[0] = 0xEE, 0xEE
	super := long.Bytes()
	packet.Fix(super, packet.FixPartial)
	other := run(scenario.TCP6(100), 9, 100)
	before := timed(append(append([][]byte{}, other[:5]...), append([][]byte{super}, other[5:]...)...))
	after := timed(append(append([][]byte{}, other[:5]...), append([][]byte{short.Bytes()}, other[5:]...)...))
	before[5].Comment = "vnet flags=1 gso_type=5 hdr_len=28 gso_size=50 csum_start=20 csum_offset=6"
	if got := judged(t, Config{}, before, after); len(got.found) == 0 {
		t.Errorf("%+v", got.Summary)
	}
}

// TestOneDatagram splits a datagram, or glues it to the next one, in flows that also have
// superpackets of unknown length in both captures. It has a complete checksum, or a VnetHdr
// without a GSO type, so it is no superpacket: the change is found.
func TestOneDatagram(t *testing.T) {
	for _, first := range []scenario.Packet{scenario.UDP4(100), scenario.UDP6(100)} {
		for _, glued := range []bool{false, true} {
			for _, partial := range []bool{false, true} {
				var before, after [][]byte
				p := first
				for i := range 8 {
					p = p.Next(100)
					p.Payload = noise(rand.New(rand.NewPCG(uint64(i), 2)), 100)
					before, after = append(before, p.Bytes()), append(after, p.Bytes())
				}
				_, super := p.Next(250).Super(100)
				before, after = append(before, super), append(after, super)
				h := packet.Parse(before[3])
				if glued {
					after[3] = append(after[3], after[4][h.PayloadOff:]...)
					after = append(after[:4:4], after[5:]...)
				} else {
					rest := append(append([]byte{}, after[3][:h.PayloadOff]...), after[3][h.PayloadOff+40:]...)
					packet.Fix(rest, packet.FixAll)
					after[3] = after[3][:h.PayloadOff+40]
					after = append(after[:4:4], append([][]byte{rest}, after[4:]...)...)
				}
				packet.Fix(after[3], packet.FixAll)
				captures := [2][]pcap.Packet{timed(before), timed(after)}
				if partial {
					for side, list := range captures {
						for i := range list[:len(list)-1] {
							if side == Before && i >= 3 && i <= 4 {
								packet.Fix(list[i].Data, packet.FixPartial)
								list[i].Comment = pcap.VnetComment(pkts.VnetHdr{Flags: packet.NeedsCsum, CsumStart: uint16(h.L4Off), CsumOffset: 6})
							}
						}
					}
				}
				got := judged(t, Config{}, captures[Before], captures[After])
				if len(got.found) != 1 || got.found[0].What != Changed || got.found[0].Packets != [2]int{4, 4} {
					t.Errorf("IPv6 %v, glued %v, partial %v: %v", p.V6, glued, partial, got.found)
				}
			}
		}
	}
}
