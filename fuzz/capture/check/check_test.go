// SPDX-License-Identifier: MIT

package check

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// findings checks packets, numbered from 1.
func findings(t *testing.T, cfg Config, list ...[]byte) []Finding {
	t.Helper()
	var found []Finding
	c := New(cfg, func(f Finding) { found = append(found, f) })
	for i, b := range list {
		if err := c.Packet(pcap.Packet{Number: i + 1, Data: b}); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestGuesses makes checksums wrong in the ways that real code does: check names
// each.
func TestGuesses(t *testing.T) {
	tcp, udp := scenario.TCP4(101), scenario.UDP6(100)
	ext := scenario.TCP6(100)
	ext.ExtType, ext.Extensions = 0, []byte{0, 0, 5, 2, 0, 0, 1, 0}
	before := tcp
	before.ID, before.Seq = tcp.ID-1, tcp.Seq-101
	put := func(at int, v int) func(b []byte) {
		return func(b []byte) { binary.BigEndian.PutUint16(b[at:], uint16(v)) }
	}
	sum := func(b []byte, at int) int { return 0xFFFF - int(binary.BigEndian.Uint16(b[at:])) }
	flag := func(bit byte) func(b []byte) {
		return func(b []byte) { b[33] ^= bit; packet.Fix(b, packet.FixL4Csum); b[33] ^= bit }
	}
	for _, test := range []struct {
		packet scenario.Packet
		spoil  func(b []byte)
		want   string
	}{
		{tcp, func(b []byte) { put(36, sum(b, 36))(b) }, "not complemented"},
		{udp, func(b []byte) { b[46], b[47] = b[47], b[46] }, "its bytes are swapped"},
		{tcp, func(b []byte) { put(36, model.Sum(b[12:20], []byte{0, 6}))(b) }, "it is only the pseudo-header's sum, and without the length"},
		{tcp, func(b []byte) { put(36, 0)(b); put(36, 0xFFFF-model.Sum(b[20:]))(b) }, "the pseudo-header was not summed"},
		{udp, func(b []byte) { put(46, model.Sum(b[46:48], []byte{0, 108}))(b) }, "the pseudo-header was summed without the length"},
		{ext, func(b []byte) { put(64, model.Sum(b[64:66], []byte{0xFF, 0xFF - 8}))(b) }, "the pseudo-header's length included the extension headers"},
		{tcp, func(b []byte) {
			last := b[140]
			put(36, model.Sum(b[36:38], []byte{last, 0}, []byte{0xFF, 0xFF - last}))(b)
		}, "the odd last byte was summed as the low half of its word"},
		{tcp, flag(scenario.PSH), "PSH was set when it was computed"},
		{tcp, flag(scenario.CWR), "CWR was set when it was computed"},
		{tcp, func(b []byte) {
			binary.BigEndian.PutUint32(b[24:], before.Seq)
			packet.Fix(b, packet.FixL4Csum)
			binary.BigEndian.PutUint32(b[24:], tcp.Seq)
		}, "the sequence number was packet 1's when it was computed"},
		{tcp, func(b []byte) { copy(b[36:38], before.Bytes()[36:38]) }, "the sequence number was packet 1's when it was computed"},
		{tcp, func(b []byte) { b[10], b[11] = 0, 0 }, "never filled in"},
		{tcp, func(b []byte) { b[1] |= 3 }, "the ECN bits were 00 when it was computed"},
		{tcp, func(b []byte) { b[8]-- }, "the TTL was lowered by 1 without updating the checksum"},
		{tcp, func(b []byte) { b[5]--; packet.Fix(b, packet.FixIPCsum); b[5]++ }, "the ID was packet 1's when it was computed"},
		{tcp, func(b []byte) { b[60] ^= 0x40 }, "off by "},
	} {
		b := test.packet.Bytes()
		test.spoil(b)
		found := findings(t, Config{}, before.Bytes(), b)
		if len(found) != 1 || !strings.Contains(found[0].Text, test.want) || found[0].Packet != 2 {
			t.Errorf("want %q, have %v", test.want, found)
		}
	}
}

// TestNATCopies translates an address of all packets of a flow without updating the checksum of
// TCP or UDP. Each packet is there once or several times in a row. The cause is named from the
// second one on, also in copies.
func TestNATCopies(t *testing.T) {
	for _, first := range []scenario.Packet{scenario.TCP4(100), scenario.UDP4(100), scenario.TCP6(100), scenario.UDP6(100)} {
		for copies := 1; copies <= 3; copies++ {
			p := first
			var list [][]byte
			for range 4 {
				b := p.Bytes()
				at := 15
				if p.V6 {
					at = 23
				}
				b[at], b[at-1] = 77, 9
				packet.Fix(b, packet.FixIPCsum)
				for range copies {
					list = append(list, b)
				}
				p = p.Next(100)
				p.Payload[0] = byte(len(list))
			}
			found := findings(t, Config{}, list...)
			if len(found) != len(list) {
				t.Fatalf("%v", found)
			}
			for i, f := range found {
				if named := strings.Contains(f.Text, "(NAT)"); named != (i >= copies) {
					t.Errorf("%d copies of each: %v", copies, f)
				}
			}
		}
	}
}

// TestChecksumClass checks the class of the checksum for every kind of packet.
func TestChecksumClass(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(33), scenario.TCP6(33), scenario.UDP4(33), scenario.UDP6(33)} {
		for want, what := range map[string]int{"right": packet.FixL4Csum, "partial": packet.FixPartial} {
			b := p.Bytes()
			packet.Fix(b, what)
			if got := packet.Checksum(b).String(); got != want {
				t.Errorf("%s: %s, want %s", packet.Line(b), got, want)
			}
			if at, complete, partial := packet.RightSum(b); binary.BigEndian.Uint16(b[at:]) != map[string]uint16{"right": complete, "partial": partial}[want] {
				t.Errorf("%s: Right is %04x, %04x", packet.Line(b), complete, partial)
			}
			b[len(b)-1]++
			if got := packet.Checksum(b).String(); want == "right" && got != "wrong" {
				t.Errorf("%s: %s, want wrong", packet.Line(b), got)
			}
		}
		b := p.Bytes()
		at, _, _ := packet.RightSum(b)
		b[at], b[at+1] = 0, 0
		if got := packet.Checksum(b).String(); p.UDP && got != "absent" || !p.UDP && got != "wrong" {
			t.Errorf("%s: without a checksum: %s", packet.Line(b), got)
		}
		p.Frag = 0x2000
		if got := packet.Checksum(p.Bytes()); !p.V6 && got != packet.NoSum {
			t.Errorf("%s: a fragment's: %s", packet.Line(b), got)
		}
	}
}

// TestRightSenders checks packets that correct senders send rarely: nothing is found.
func TestRightSenders(t *testing.T) {
	seg := func(p scenario.Packet, change func(*scenario.Packet)) []byte {
		change(&p)
		return p.Bytes()
	}
	p := scenario.TCP4(1448)
	vxlan := scenario.UDP6(100)
	vxlan.DstPort = 4789
	zero := vxlan.Bytes()
	zero[46], zero[47] = 0, 0
	accECN := p
	accECN.Offset, accECN.Flags = 1, scenario.ACK|scenario.CWR
	fixedID, noDF := p, p
	noDF.Frag = 0
	route := scenario.UDP4(20)
	route.IPOptions = []byte{131, 7, 4, 192, 0, 2, 9, 0}
	sourceRoute := route.Bytes()
	sourceRoute[19] ^= 77 // the checksum is over the last address
	packet.Fix(sourceRoute, packet.FixIPCsum)
	header := scenario.UDP6(20)
	header.ExtType, header.Extensions = 43, append([]byte{0, 2, 4, 1, 0, 0, 0, 0}, make([]byte, 16)...)
	routing := header.Bytes()
	routing[39] ^= 77
	big := scenario.TCP4(80_000)
	big4 := big.Bytes()
	big4[2], big4[3] = 0, 0
	packet.Fix(big4, packet.FixIPCsum)
	big.V6, big.ExtType, big.Extensions = true, 0, []byte{0, 0, 0xC2, 4, 0, 1, 0x39, 0}
	big6 := big.Bytes()
	big6[4], big6[5] = 0, 0
	for name, list := range map[string][][]byte{
		"a retransmission":      {p.Bytes(), p.Next(1448).Bytes(), seg(p, func(p *scenario.Packet) { p.ID += 2 }), p.Next(1448).Next(1448).Bytes()},
		"a keepalive":           {p.Bytes(), seg(p, func(p *scenario.Packet) { p.ID++; p.Seq += 1447; p.Payload = []byte{0} })},
		"loss before":           {p.Bytes(), p.Next(1448).Next(1448).Bytes()},
		"two CWR far apart":     {seg(p, func(p *scenario.Packet) { p.Flags |= scenario.CWR }), p.Next(1448).Bytes(), seg(p.Next(1448).Next(1448), func(p *scenario.Packet) { p.Flags |= scenario.CWR })},
		"accurate ECN":          {accECN.Bytes(), seg(accECN.Next(1448), func(p *scenario.Packet) { p.Flags |= scenario.CWR })},
		"no checksum in VXLAN":  {zero},
		"small writes with PSH": {seg(p, push(100, 0)), seg(p, push(100, 1)), seg(p, push(100, 2)), seg(p, push(100, 3))},
		"one ID with DF":        {fixedID.Bytes(), seg(fixedID.Next(1448), func(p *scenario.Packet) { p.ID-- })},
		"a copy by the network": {p.Bytes(), p.Bytes()},
		"copies that are late":  {noDF.Bytes(), noDF.Next(1448).Bytes(), noDF.Next(1448).Next(1448).Bytes(), noDF.Bytes(), noDF.Next(1448).Bytes()},
		"a source route":        {sourceRoute, routing},
	} {
		if found := findings(t, Config{Wire: true}, list...); len(found) > 0 {
			t.Errorf("%s: %v", name, found)
		}
	}
	for name, test := range map[string]struct {
		cfg  Config
		want string
	}{
		"on a TUN":              {Config{}, ""},
		"on a wire":             {Config{Wire: true}, "length is 80040 bytes, want at most 65535: the packet was not cut into segments: no link carries so many bytes [S1.split]"},
		"with an MTU":           {Config{MTU: 1500}, "length is 80040 bytes, want at most 1500: the packet was not cut into segments [S1.split]"},
		"on a wire with an MTU": {Config{Wire: true, MTU: 1500}, "length is 80040 bytes, want at most 1500: the packet was not cut into segments [S1.split]"},
		"below the MTU":         {Config{Wire: true, MTU: 100_000}, ""},
	} {
		for _, b := range [][]byte{big4, big6} {
			want := strings.Replace(test.want, "80040", fmt.Sprint(len(b)), 1)
			if found := findings(t, test.cfg, b); len(found) > 1 || len(found) == 1 && (found[0].about() != want || found[0].Suspect) || len(found) == 0 && want != "" {
				t.Errorf("BIG TCP %s: %v, want %q", name, found, want)
			}
		}
	}
}

// push is the nth small write of n bytes.
func push(n, i int) func(*scenario.Packet) {
	return func(p *scenario.Packet) {
		p.Payload = scenario.Fill(n, byte(i))
		p.Seq += uint32(n * i)
		p.ID += uint16(i)
		p.Flags |= scenario.PSH
	}
}

// TestManyFlows checks that memory is bounded, and that a flow that continues is
// not forgotten.
func TestManyFlows(t *testing.T) {
	c := New(Config{}, func(f Finding) { t.Error(f) })
	p := scenario.UDP4(10)
	for i := range 3 * maxFlows {
		p.SrcPort, p.SrcNet = uint16(i), byte(i>>16)
		if err := c.Packet(pcap.Packet{Number: i, Data: p.Bytes()}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for range c.flows.Values() {
		n++
	}
	if n > 2*maxFlows {
		t.Errorf("%d flows are remembered", n)
	}
}

// TestAnything judges random bytes, and packets with changed bytes: nothing panics.
func TestAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	c := New(Config{Wire: true, MTU: 100}, func(Finding) {})
	bases := [][]byte{scenario.TCP4(40).Bytes(), scenario.UDP6(3).Bytes(), {0x45}, nil, bytes.Repeat([]byte{0x60}, 70)}
	for i := range 200_000 {
		b := bytes.Clone(bases[r.IntN(len(bases))])
		for range r.IntN(4) {
			if len(b) > 0 {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
		}
		if err := c.Packet(pcap.Packet{Number: i + 1, Data: b[:len(b)-r.IntN(len(b)+1)]}); err != nil {
			t.Fatal(err)
		}
	}
	if c.Seen.Packets != 200_000 || c.Seen.Findings == 0 {
		t.Errorf("%+v", c.Seen)
	}
}
