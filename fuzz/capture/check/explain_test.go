// SPDX-License-Identifier: MIT

package check

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestExplain checks that Explain judges checksums as Packet does, and that the causes that
// it names are among all causes, with the packet's value.
func TestExplain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var found []Finding
	c := New(Config{}, func(f Finding) { found = append(found, f) })
	wrong := 0
	p := [4]scenario.Packet{scenario.TCP4(0), scenario.UDP4(0), scenario.TCP6(0), scenario.UDP6(0)}
	for i := range 4000 {
		q := &p[r.IntN(4)]
		*q = q.Next(r.IntN(40))
		h, b := q.Super(11)
		if r.IntN(2) == 0 {
			packet.Fix(b, packet.FixL4Csum)
		}
		in := pcap.Packet{Number: i + 1, Data: b}
		if r.IntN(2) == 0 {
			in.Comment = pcap.VnetComment(h)
		}
		for _, at := range []int{10, int(h.CsumStart + h.CsumOffset)} {
			switch v := binary.BigEndian.Uint16(b[at:]); r.IntN(8) {
			case 0:
				binary.BigEndian.PutUint16(b[at:], 0)
			case 1:
				binary.BigEndian.PutUint16(b[at:], ^v)
			case 2:
				binary.BigEndian.PutUint16(b[at:], v<<8|v>>8)
			case 3:
				binary.BigEndian.PutUint16(b[at:], v+uint16(r.IntN(8)))
			}
		}
		header, l4 := c.Explain(in)
		found = nil
		if err := c.Packet(in); err != nil {
			t.Fatal(err)
		}
		for name, e := range map[string]Explanation{"ip.checksum": header, "tcp.checksum": l4, "udp.checksum": l4} {
			f := slices.IndexFunc(found, func(f Finding) bool { return f.Field == name && strings.HasPrefix(f.Text, "off by") })
			if other := map[string]byte{"tcp.checksum": 17, "udp.checksum": 6}[name]; other == packet.Parse(b).Proto {
				continue
			}
			if e.Wrong != (f >= 0) {
				t.Fatalf("packet %d: %s is wrong: %v; found: %v", i+1, name, e.Wrong, found)
			}
			if f < 0 {
				continue
			}
			wrong++
			if _, text, _ := strings.Cut(found[f].Text, ": "); text != e.Text || found[f].Want != hex16(e.Want) {
				t.Fatalf("packet %d: %+v, want %v", i+1, e, found[f])
			}
			named := func(c Cause) bool { return strings.HasPrefix(e.Text, c.Text) && hex16(c.Value) == found[f].Got }
			if e.Text != "" && !slices.ContainsFunc(e.Causes, named) {
				t.Fatal(fmt.Sprint("packet ", i+1, ": no cause is ", e.Text))
			}
		}
	}
	if wrong < 1000 {
		t.Errorf("only %d checksums were wrong", wrong)
	}
}

// TestFewCauses checks that the causes that are tried do not grow with what follows a packet:
// they were as many as its bytes, each summed.
func TestFewCauses(t *testing.T) {
	b := scenario.TCP4(20).Bytes()
	b[36] ^= 0x5a
	few, most := 0, 0
	for _, n := range []int{100, 60_000} {
		long := append(bytes.Clone(b), bytes.Repeat([]byte{0xA7}, n)...)
		_, l4 := New(Config{}, func(Finding) {}).Explain(pcap.Packet{Number: 1, Data: long})
		if few == 0 {
			few = len(l4.Causes)
		}
		most = len(l4.Causes)
	}
	if few == 0 || most > 2*few {
		t.Errorf("%d causes with 100 bytes after the packet, %d with 60,000", few, most)
	}
}
