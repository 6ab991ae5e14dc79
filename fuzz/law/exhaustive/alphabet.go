// SPDX-License-Identifier: MIT

// Package exhaustive is P10: it checks every input of a small scope, not a sample.
//
// The scopes of Coalesce are all batches, up to a size, of an alphabet of chosen packets
// (Batches), or of two flows with limits of 1 and 2 (Limits), all changes of one header bit, of a bit in two words, or of the length
// (Flips), and all values of one 16-bit word (Words). The scopes of Segment are all
// superpackets up to a payload, gso_size and length of options (Sizes), and all pairs of
// header fields at the edges of their values (Pairs).
package exhaustive

import (
	"encoding/binary"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Letter is one of the packets that batches are enumerated from, with a name for messages.
type Letter struct {
	Name   string
	Packet []byte
}

// The sizes of alphabets. A smaller alphabet is the beginning of a larger one.
const (
	Small  = 31
	Medium = 40
	Large  = 103
)

// size is the payload of a full packet. No TCP packet may join one with less payload than
// that (C2.small_first).
const size = 8

// Alphabet returns the first n letters; n is at most Large. The first 31 change the state
// of a flow: packets that follow each other, and packets that end, hide or delay a
// superpacket. The next 30 have unusual headers and values at their edges. Each of the
// others differs from its flow in one header field.
func Alphabet(n int) []Letter { return all()[:n] }

// all returns the whole alphabet.
func all() []Letter { return slices.Concat(states(), edges(), fields()) }

// after returns the packet that follows k packets of full size, the first of them p.
func after(p scenario.Packet, k int) scenario.Packet {
	for range k {
		p = p.Next(size)
	}
	return p
}

// with returns the bytes of p after change; lengths and checksums are right.
func with(p scenario.Packet, change func(p *scenario.Packet)) []byte {
	change(&p)
	return p.Bytes()
}

// damaged returns the bytes of p after damage to them; nothing is put right afterwards.
func damaged(p scenario.Packet, damage func(b []byte)) []byte {
	b := p.Bytes()
	damage(b)
	return b
}

// add adds v to the 16-bit word at an offset.
func add(b []byte, at int, v uint16) {
	binary.BigEndian.PutUint16(b[at:], binary.BigEndian.Uint16(b[at:])+v)
}

// states returns the letters that change the state of a flow.
func states() []Letter {
	tcp, udp, tcp6, udp6 := scenario.TCP4(size), scenario.UDP4(size), scenario.TCP6(size), scenario.UDP6(size)
	udp.Frag = 0 // without DF, so that IDs matter with AtomicIDs too
	b1 := after(tcp, 1)
	u1 := after(udp, 1)
	short := tcp.Next(size - 1)
	other := tcp
	other.SrcPort++
	return []Letter{
		{"tcp 0", tcp.Bytes()},
		{"tcp 1", b1.Bytes()},
		{"tcp 2", after(tcp, 2).Bytes()},
		{"tcp 3", after(tcp, 3).Bytes()},
		{"tcp 0 with PSH", with(tcp, func(p *scenario.Packet) { p.Flags |= scenario.PSH })},
		{"tcp 1 with PSH", with(b1, func(p *scenario.Packet) { p.Flags |= scenario.PSH })},
		{"tcp 1 with FIN", with(b1, func(p *scenario.Packet) { p.Flags |= scenario.FIN })},
		{"tcp 1 short", short.Bytes()},
		{"tcp after the short", after(short, 1).Bytes()},
		{"tcp 1 long", tcp.Next(size + 1).Bytes()},
		{"tcp 0 under 8", scenario.TCP4(7).Bytes()},
		{"tcp 1 with another window", with(b1, func(p *scenario.Packet) { p.Window++ })},
		{"tcp 1 with a later ID", with(b1, func(p *scenario.Packet) { p.ID++ })},
		{"tcp 1 with a wrong checksum", damaged(b1, func(b []byte) { add(b, 36, 1) })},
		{"tcp 1 with RST", with(b1, func(p *scenario.Packet) { p.Flags |= scenario.RST })},
		{"tcp pure ACK", with(b1, func(p *scenario.Packet) { p.Payload = nil })},
		{"tcp 1 with options", with(b1, func(p *scenario.Packet) { p.Options = scenario.Timestamps })},
		{"tcp 0 of another port", other.Bytes()},
		{"tcp 1 of another port", after(other, 1).Bytes()},
		{"tcp 1 as a first fragment", with(b1, func(p *scenario.Packet) { p.Frag = 0x2000 })},
		{"icmp of the same hosts", damaged(tcp, func(b []byte) { b[9] = 1 })},
		{"tcp 1 with IP options", with(b1, func(p *scenario.Packet) { p.IPOptions = []byte{1, 1, 1, 0} })},
		{"udp 0", udp.Bytes()},
		{"udp 1", u1.Bytes()},
		{"udp 2", after(udp, 2).Bytes()},
		{"udp 1 short", udp.Next(1).Bytes()},
		{"udp 1 empty", udp.Next(0).Bytes()},
		{"tcp6 0", tcp6.Bytes()},
		{"tcp6 1", after(tcp6, 1).Bytes()},
		{"udp6 0", udp6.Bytes()},
		{"udp6 1", after(udp6, 1).Bytes()},
	}
}

// edges returns the letters with unusual headers and with values at their edges.
func edges() []Letter {
	tcp, udp, tcp6, udp6 := scenario.TCP4(size), scenario.UDP4(size), scenario.TCP6(size), scenario.UDP6(size)
	udp.Frag = 0
	b1, u1 := after(tcp, 1), after(udp, 1)
	zero := udp
	zero.Frag, zero.ID = 0x4000, 0
	wrap := tcp
	wrap.ID, wrap.Seq = 0xFFFF, 0xFFFFFFF8
	hidden := udp6
	hidden.Extensions, hidden.ExtType = []byte{17, 0, 1, 4, 0, 0, 0, 0}, 60
	return []Letter{
		{"tcp6 2", after(tcp6, 2).Bytes()},
		{"udp 0 with DF and ID 0", zero.Bytes()},
		{"udp 1 with DF and ID 0", with(zero, func(p *scenario.Packet) { p.Payload = scenario.Fill(size, size) })},
		{"tcp6 1 with another flow label", with(after(tcp6, 1), func(p *scenario.Packet) { p.Label ^= 0x10000 })},
		{"udp6 after an extension header", hidden.Bytes()},
		{"udp 1 without a checksum", damaged(u1, func(b []byte) { b[26], b[27] = 0, 0 })},
		{"tcp 1 with a wrong header checksum", damaged(b1, func(b []byte) { add(b, 10, 1) })},
		{"empty", nil},
		{"no IP", []byte{0x10, 1, 2, 3}},
		{"tcp before wrapping", wrap.Bytes()},
		{"tcp after wrapping", after(wrap, 1).Bytes()},
		{"tcp 1 a byte too long", append(b1.Bytes(), 0)},
		{"tcp 1 cut in the header", b1.Bytes()[:36]},
		{"tcp 1 cut in the ports", b1.Bytes()[:23]},
		{"tcp 1 cut after the ports", b1.Bytes()[:24]},
		{"tcp 1 cut in the IP header", b1.Bytes()[:19]},
		{"tcp6 cut in the IP header", tcp6.Bytes()[:39]},
		{"udp 1 cut in the header", u1.Bytes()[:27]},
		{"udp 1 with a surplus", damaged(u1, func(b []byte) { add(b, 24, 0xFFFF); packet.Fix(b, packet.FixL4Csum) })},
		{"udp 1 with a length past the end", damaged(u1, func(b []byte) { add(b, 24, 1); packet.Fix(b, packet.FixL4Csum) })},
		{"udp6 1 with sum 0, without a checksum", damaged(scenario.ZeroSum(after(udp6, 1)), func(b []byte) { b[46], b[47] = 0, 0 })},
		{"udp 1 with checksum 0xFFFF", scenario.ZeroSum(u1).Bytes()},
		{"tcp 1 with checksum 0", scenario.ZeroSum(b1).Bytes()},
		{"tcp 1 with checksum 0xFFFF", damaged(scenario.ZeroSum(b1), func(b []byte) { b[36], b[37] = 0xFF, 0xFF })},
		{"tcp 1 with doff 4", damaged(b1, func(b []byte) { b[32] = 0x40 })},
		{"tcp 1 with doff past the end", damaged(b1, func(b []byte) { b[32] = 0xF0 })},
		{"tcp 1 as a later fragment", with(b1, func(p *scenario.Packet) { p.Frag = 1 })},
		{"tcp 1 with the evil bit", with(b1, func(p *scenario.Packet) { p.Frag |= 0x8000 })},
		{"tcp6 after a Fragment header", with(after(tcp6, 1), func(p *scenario.Packet) {
			p.Extensions, p.ExtType = []byte{6, 0, 0, 0, 0, 0, 0, 1}, 44
		})},
		{"icmp6 of the same hosts", damaged(tcp6, func(b []byte) { b[6] = 58 })},
	}
}

// fields returns letters that follow "tcp 0", "udp 0", "tcp6 0" or "udp6 0", except that
// one header field differs.
func fields() []Letter {
	tcp, udp, tcp6, udp6 := after(scenario.TCP4(size), 1), scenario.UDP4(size), after(scenario.TCP6(size), 1), after(scenario.UDP6(size), 1)
	udp.Frag = 0
	udp = after(udp, 1)
	var list []Letter
	for _, c := range []struct {
		name   string
		change func(p *scenario.Packet)
		of     string // "4", "6", "t", "u": only for IPv4, IPv6, TCP, UDP; "": for all
	}{
		{"traffic class", func(p *scenario.Packet) { p.TOS ^= 3 }, ""},
		{"TTL", func(p *scenario.Packet) { p.TTL-- }, ""},
		{"source", func(p *scenario.Packet) { p.Src ^= 4 }, ""},
		{"destination", func(p *scenario.Packet) { p.DstNet ^= 4 }, ""},
		{"destination port", func(p *scenario.Packet) { p.DstPort ^= 0x100 }, ""},
		{"DF", func(p *scenario.Packet) { p.Frag ^= 0x4000 }, "4"},
		{"ID before", func(p *scenario.Packet) { p.ID-- }, "4"},
		{"sequence number later", func(p *scenario.Packet) { p.Seq++ }, "t"},
		{"acknowledgment", func(p *scenario.Packet) { p.Ack++ }, "t"},
		{"reserved bits", func(p *scenario.Packet) { p.Offset ^= 8 }, "t"},
		{"ECE", func(p *scenario.Packet) { p.Flags ^= scenario.ECE }, "t"},
		{"CWR", func(p *scenario.Packet) { p.Flags ^= scenario.CWR }, "t"},
		{"SYN", func(p *scenario.Packet) { p.Flags ^= scenario.SYN }, "t"},
		{"URG", func(p *scenario.Packet) { p.Flags ^= scenario.URG }, "t"},
		{"no ACK", func(p *scenario.Packet) { p.Flags ^= scenario.ACK }, "t"},
		{"urgent pointer", func(p *scenario.Packet) { p.Urg++ }, "t"},
	} {
		for _, base := range []struct {
			name string
			p    scenario.Packet
			is   string
		}{{"tcp", tcp, "t4"}, {"udp", udp, "u4"}, {"tcp6", tcp6, "t6"}, {"udp6", udp6, "u6"}} {
			if c.of == "" || c.of[0] == base.is[0] || c.of[0] == base.is[1] {
				list = append(list, Letter{base.name + " 1, other " + c.name, with(base.p, c.change)})
			}
		}
	}
	return list
}
