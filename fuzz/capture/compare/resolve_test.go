// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"slices"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// otherwise returns two captures of superpackets, with batches of a and of b packets.
// No usual MTU gives the sizes of the packets.
func otherwise(t *testing.T, p scenario.Packet, a, b int) (before, after []pcap.Packet, n int) {
	t.Helper()
	packets := run(p, 96, 777)
	for size := range 2 { // the later ones are of another size
		p = p.Next(0)
		p.ID += 200
		p.Seq += 1 << 20
		p.TTL--
		packets = append(packets, run(p.Next(333+size), 84, 333+size)...)
	}
	list := numbered(packets)
	return joined(t, list, a), joined(t, list, b), len(packets)
}

// TestOtherwise compares superpackets with superpackets of other boundaries. The
// boundaries show how long a segment is, so changes and losses are found.
func TestOtherwise(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(777), scenario.TCP6(777), scenario.UDP4(777), scenario.UDP6(777)} {
		for _, by := range [][2]int{{40, 7}, {7, 40}, {12, 11}} {
			before, after, n := otherwise(t, p, by[0], by[1])
			if found, s := compared(t, Config{}, before, after); len(found) > 0 || s.Segments != n || s.Unresolved+s.Outside[0]+s.Outside[1] > 0 {
				t.Errorf("%+v, %v: %+v, want %d segments\n%v", p.UDP, by, s, n, found)
			}
			altered := slices.Clone(after)
			b := bytes.Clone(after[1].Data)
			b[len(b)-1]++
			altered[1].Data = b
			found, s := compared(t, Config{}, before, altered)
			if len(found) != 1 || found[0].What != Changed || found[0].Packets[After] != 2 || found[0].Fields[len(found[0].Fields)-1].Field != "payload" || s.Segments != n-1 {
				t.Errorf("an altered byte: %v, %v: %+v\n%v", p.UDP, by, s, found)
			}
			found, s = compared(t, Config{}, before, slices.Delete(slices.Clone(after), 1, 2))
			if len(found) == 0 || s.Segments+2*by[1] < n || s.Unresolved+s.Outside[0]+s.Outside[1] > 0 || slices.ContainsFunc(found, func(f Finding) bool { return f.What != Lost }) {
				t.Errorf("a lost superpacket: %v, %v: %+v\n%v", p.UDP, by, s, found)
			}
		}
	}
}

// TestOtherwiseUnclear joins packets whose IDs do not count up: nothing shows how long
// they are, and nothing is found.
func TestOtherwiseUnclear(t *testing.T) {
	before, after, _ := otherwise(t, scenario.UDP4(777), 40, 7)
	for _, list := range [][]pcap.Packet{before, after} {
		for _, x := range list {
			x.Data[4], x.Data[5] = 0, 0
			packet.Fix(x.Data, packet.FixIPCsum)
		}
	}
	if found, s := compared(t, Config{}, before, after); len(found) > 0 || s.Unresolved+s.Segments < len(after) {
		t.Errorf("%+v %v", s, found)
	}
}
