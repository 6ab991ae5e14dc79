// SPDX-License-Identifier: MIT

// Package draw generates random scenarios with rapid. They are biased towards the edges of
// the rules.
package draw

import (
	"encoding/binary"
	"slices"

	"pgregory.net/rapid"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Batches returns a generator of scenarios with one or two batches. The packets of a flow
// mostly follow each other. Some of them are changed, damaged, lost, doubled or moved.
func Batches() *rapid.Generator[scenario.Scenario] {
	return rapid.Custom(func(t *rapid.T) scenario.Scenario {
		s := scenario.Scenario{Config: configs().Draw(t, "config")}
		flows := rapid.SliceOfN(flows(), 1, 3).Draw(t, "flows")
		for range rapid.IntRange(1, 2).Draw(t, "batches") {
			steps := rapid.SliceOfN(steps(len(flows)), 1, 12).Draw(t, "steps")
			s.Batches = append(s.Batches, walk(flows, steps))
		}
		return s
	})
}

// configs returns a generator of configurations. Limits are mostly the defaults; others are
// so small that batches reach them.
func configs() *rapid.Generator[pkts.Config] {
	return rapid.Custom(func(t *rapid.T) pkts.Config {
		c := pkts.Config{
			Reorder:         rapid.IntRange(0, 2).Draw(t, "reorder") == 1,
			AtomicIDs:       rapid.IntRange(0, 2).Draw(t, "atomic") == 1,
			AbsentChecksums: rapid.IntRange(0, 2).Draw(t, "absent") == 1,
		}
		switch rapid.IntRange(0, 9).Draw(t, "config") {
		case 1, 2:
			c.MaxSegments = rapid.IntRange(1, 4).Draw(t, "max segments")
			c.MaxUDPSegments = rapid.IntRange(1, 4).Draw(t, "max udp segments")
		case 3, 4:
			c.MaxOpen = rapid.IntRange(1, 4).Draw(t, "max open")
			c.MaxPerFlow = rapid.IntRange(1, 3).Draw(t, "max per flow")
		case 5:
			c.DisableTCPv4 = rapid.Bool().Draw(t, "tcp4 off")
			c.DisableTCPv6 = rapid.Bool().Draw(t, "tcp6 off")
			c.DisableUDP = rapid.Bool().Draw(t, "udp off")
		}
		return c
	})
}

// flows returns a generator of the first packet of a flow.
func flows() *rapid.Generator[scenario.Packet] {
	return rapid.Custom(func(t *rapid.T) scenario.Packet {
		p := scenario.TCP4(rapid.SampledFrom([]int{100, 8, 9, 20, 64, 100, 7, 536, 1448, 21800, 32734, 1}).Draw(t, "size"))
		p.V6 = rapid.Bool().Draw(t, "v6")
		p.UDP = rapid.IntRange(0, 2).Draw(t, "udp") == 1
		p.Src = rapid.SampledFrom([]byte{1, 3}).Draw(t, "src")
		switch rapid.IntRange(0, 9).Draw(t, "address") {
		case 1:
			p.Dst = 4
		case 2:
			p.SrcNet = 1
		case 3:
			p.DstNet = 1
		}
		p.NoCsum = p.UDP && rapid.IntRange(0, 2).Draw(t, "no checksum") == 1
		p.SrcPort += rapid.Uint16Range(0, 1).Draw(t, "port")
		p.ID = rapid.SampledFrom([]uint16{1000, 0, 0xFFFE, 0xFFFF, 255}).Draw(t, "id")
		p.Seq = rapid.SampledFrom([]uint32{1, 0, 0xFFFFFF80, 0xFFFF, 0x7FFFFFFF}).Draw(t, "seq")
		p.Frag = rapid.SampledFrom([]uint16{0x4000, 0}).Draw(t, "frag")
		p.Label = rapid.SampledFrom([]uint32{0, 0xFFFFF, 0x12345}).Draw(t, "label")
		p.Flags |= rapid.SampledFrom([]byte{0, 0, scenario.ECE}).Draw(t, "flags")
		if rapid.Bool().Draw(t, "timestamps") {
			p.Options = scenario.Timestamps
		}
		return p
	})
}

// step adds the next packet of a flow to a batch, or several.
type step struct {
	flow   int  // index of the flow
	size   int  // 0 for the flow's size, else an index of sizes in walk, from 1
	change int  // 0 for none, else an index of changes, from 1
	damage int  // 0 for none, else an index of damages, from 1
	keep   bool // the change stays for the flow's later packets
	place  int  // where the packet goes, see place
	burst  int  // the number of packets
	// fill is 0, or:
	// 1, 2: full packets and a last one that make 65,535 bytes in all, or one byte more;
	// 3, 4: the same, with the first packet moved to the end;
	// 5, 6: one packet, with the longest payload that its length field allows, or 40 bytes less.
	fill int
}

// steps returns a generator of steps in nFlows flows. Most steps change nothing or one thing.
func steps(nFlows int) *rapid.Generator[step] {
	return rapid.Custom(func(t *rapid.T) step {
		s := step{flow: rapid.IntRange(0, nFlows-1).Draw(t, "flow"), burst: 1}
		switch rapid.IntRange(0, 10).Draw(t, "kind") {
		case 0, 1, 2, 3:
		case 10:
			s.fill = rapid.IntRange(1, 6).Draw(t, "fill")
		case 4:
			s.burst = rapid.SampledFrom([]int{2, 3, 5, 2, 3, 5, 66}).Draw(t, "burst")
		case 5:
			s.size = rapid.IntRange(1, 6).Draw(t, "size")
		case 6:
			s.change = rapid.IntRange(1, len(changes)).Draw(t, "change")
			s.keep = rapid.Bool().Draw(t, "keep")
		case 7:
			s.damage = rapid.IntRange(1, len(damages)).Draw(t, "damage")
		case 8:
			s.place = rapid.IntRange(1, 5).Draw(t, "place")
		case 9:
			s.size = rapid.IntRange(0, 6).Draw(t, "size")
			s.change = rapid.IntRange(0, len(changes)).Draw(t, "change")
			s.damage = rapid.IntRange(0, len(damages)).Draw(t, "damage")
			s.place = rapid.IntRange(0, 5).Draw(t, "place")
		}
		return s
	})
}

// changes are made to the description of a packet: its lengths and checksums stay right.
var changes = []func(p *scenario.Packet){
	func(p *scenario.Packet) { p.Flags |= scenario.PSH },
	func(p *scenario.Packet) { p.Flags |= scenario.FIN },
	func(p *scenario.Packet) { p.Flags |= scenario.FIN | scenario.PSH },
	func(p *scenario.Packet) { p.Flags ^= scenario.ECE },
	func(p *scenario.Packet) { p.Flags |= scenario.CWR },
	func(p *scenario.Packet) { p.Flags |= scenario.SYN },
	func(p *scenario.Packet) { p.Flags |= scenario.RST },
	func(p *scenario.Packet) { p.Flags |= scenario.URG },
	func(p *scenario.Packet) { p.Flags &^= scenario.ACK },
	func(p *scenario.Packet) { p.Offset ^= 1 },
	func(p *scenario.Packet) { p.Offset ^= 8 },
	func(p *scenario.Packet) { p.Ack++ },
	func(p *scenario.Packet) { p.Window ^= 0x100 },
	func(p *scenario.Packet) { p.Urg++ },
	func(p *scenario.Packet) { p.Seq++ },
	func(p *scenario.Packet) { p.Seq-- },
	func(p *scenario.Packet) { p.ID++ },
	func(p *scenario.Packet) { p.ID-- },
	func(p *scenario.Packet) { p.ID = 0 },
	func(p *scenario.Packet) { p.TTL-- },
	func(p *scenario.Packet) { p.TOS ^= 2 },
	func(p *scenario.Packet) { p.TOS ^= 0x80 },
	func(p *scenario.Packet) { p.Label ^= 1 },
	func(p *scenario.Packet) { p.Label ^= 0x10000 },
	func(p *scenario.Packet) { p.Frag ^= 0x4000 },
	func(p *scenario.Packet) { p.Frag ^= 0x8000 },
	func(p *scenario.Packet) { p.Frag ^= 0x2000 },
	func(p *scenario.Packet) { p.Frag ^= 1 },
	func(p *scenario.Packet) { p.IPOptions = []byte{1, 1, 1, 0} },
	func(p *scenario.Packet) { p.Extensions, p.ExtType = []byte{6, 0, 1, 4, 0, 0, 0, 0}, 60 },
	func(p *scenario.Packet) { p.Options = append([]byte{1, 1, 1, 1}, p.Options...) },
	func(p *scenario.Packet) { p.Options = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 3} },
	func(p *scenario.Packet) { p.Payload = scenario.Fill(len(p.Payload), 0x55) },
	func(p *scenario.Packet) { p.Src ^= 4 },
	func(p *scenario.Packet) { p.Dst ^= 4 },
	func(p *scenario.Packet) { p.SrcNet ^= 4 },
	func(p *scenario.Packet) { p.DstNet ^= 4 },
	func(p *scenario.Packet) { p.SrcPort ^= 4 },
	func(p *scenario.Packet) { p.DstPort ^= 1 },
	func(p *scenario.Packet) { p.UDP = !p.UDP },
	func(p *scenario.Packet) { p.NoCsum = !p.NoCsum },
	func(p *scenario.Packet) { *p = scenario.ZeroSum(*p) },
}

// damages are made to the bytes of a packet with complete headers.
var damages = []func(b []byte) []byte{
	func(b []byte) []byte { return addWord(b, 10, 1) },        // IPv4 header checksum
	func(b []byte) []byte { return setWord(b, 10, 0xFFFF) },   // its other zero
	func(b []byte) []byte { return addWord(b, csumAt(b), 1) }, // L4 checksum
	func(b []byte) []byte { return addWord(b, csumAt(b), 0x100) },
	func(b []byte) []byte { return setWord(b, csumAt(b), 0) },
	func(b []byte) []byte { return setWord(b, csumAt(b), 0xFFFF) },
	func(b []byte) []byte { b = addWord(b, ipLenAt(b), 1); packet.Fix(b, packet.FixIPCsum); return b },
	func(b []byte) []byte {
		b = addWord(b, ipLenAt(b), 0xFFFF)
		packet.Fix(b, packet.FixIPCsum)
		return b
	},
	func(b []byte) []byte { return append(b, 0) }, // a byte after the IP packet
	func(b []byte) []byte {
		b = append(b, 0, 0)
		packet.Fix(b, packet.FixIPLen|packet.FixIPCsum)
		return b
	},
	func(b []byte) []byte { b = addWord(b, udpLenAt(b), 1); packet.Fix(b, packet.FixL4Csum); return b },
	func(b []byte) []byte {
		b = addWord(b, udpLenAt(b), 0xFFFE)
		packet.Fix(b, packet.FixL4Csum)
		return b
	},
	func(b []byte) []byte { return b[:len(b)-1] },
	func(b []byte) []byte { return b[:min(len(b), 43)] },
	func(b []byte) []byte { return b[:min(len(b), 23)] },
	func(b []byte) []byte { return b[:min(len(b), 19)] },
	func(b []byte) []byte { return b[:0] },
	func(b []byte) []byte { return setByte(b, 0, b[0]^0x10) },      // version
	func(b []byte) []byte { return setByte(b, 0, b[0]^0x01) },      // IHL, or the traffic class
	func(b []byte) []byte { return setByte(b, csumAt(b)-4, 0x40) }, // doff 4
	func(b []byte) []byte { return setByte(b, csumAt(b)-4, 0xF0) }, // doff 15
	func(b []byte) []byte { return setByte(b, 9, 1) },              // ICMP
	func(b []byte) []byte { return setByte(b, 6, 58) },             // ICMPv6
	func(b []byte) []byte { return setByte(b, len(b)-1, b[len(b)-1]^1) },
}

// csumAt returns the offset of the TCP or UDP checksum, or len(b).
func csumAt(b []byte) int {
	l4Off, proto := packet.Locate(b)
	switch proto {
	case 6:
		return l4Off + 16
	case 17:
		return l4Off + 6
	}
	return len(b)
}

// udpLenAt returns the offset of the UDP length, or len(b).
func udpLenAt(b []byte) int {
	if l4Off, proto := packet.Locate(b); proto == 17 {
		return l4Off + 4
	}
	return len(b)
}

// ipLenAt returns the offset of the IP length.
func ipLenAt(b []byte) int {
	if b[0]>>4 == 6 {
		return 4
	}
	return 2
}

// addWord adds v to the word at an offset, if it is within b.
func addWord(b []byte, at, v int) []byte {
	if at+2 <= len(b) {
		v += int(binary.BigEndian.Uint16(b[at:]))
	}
	return setWord(b, at, v)
}

// setWord sets the word at an offset, if it is within b.
func setWord(b []byte, at, v int) []byte {
	if at+2 <= len(b) {
		binary.BigEndian.PutUint16(b[at:], uint16(v))
	}
	return b
}

// setByte sets the byte at an offset, if it is within b.
func setByte(b []byte, at int, v byte) []byte {
	if at < len(b) {
		b[at] = v
	}
	return b
}

// walk returns the batch that the steps make. first has the first packet of each flow.
func walk(first []scenario.Packet, steps []step) [][]byte {
	next := append([]scenario.Packet(nil), first...)
	var batch [][]byte
	total := 0
	for _, s := range steps {
		size := len(first[s.flow].Payload)
		full, rest := fillUp(first[s.flow])
		if s.fill > 0 && s.fill < 5 && full <= 3 { // only of large packets
			s.burst = full + 1
		}
		start := len(batch)
		for k := range s.burst {
			size := size
			p := next[s.flow]
			if s.fill > 4 {
				size = longest(p) - (s.fill-5)*40
			} else if s.fill > 0 && k == full {
				size = rest + (s.fill-1)%2
			} else if s.size > 0 {
				size = []int{0, 1, size - 1, size + 1, size / 2, 2 * size}[s.size-1]
			}
			if total += size; total > 100_000 {
				return batch
			}
			p.Payload = scenario.Fill(size, byte(p.Seq))
			changed := p
			if s.change > 0 {
				changes[s.change-1](&changed)
			}
			b := changed.Bytes()
			if s.damage > 0 {
				b = damages[s.damage-1](b)
			}
			if s.keep {
				p = changed
			}
			next[s.flow] = p.Next(0)
			batch = place(batch, b, s.place)
		}
		if burst := batch[min(start, len(batch)):]; s.fill > 2 && len(burst) > 1 {
			copy(burst, append(slices.Clone(burst[1:]), burst[0]))
		}
	}
	return batch
}

// longest returns the greatest payload of p that its IP length field can hold.
func longest(p scenario.Packet) int {
	payload := len(p.Payload)
	if p.V6 {
		payload += 40 // IPv6's length field does not count its header
	}
	return 65535 - (len(p.Bytes()) - payload)
}

// fillUp returns the packets of p's size, and the bytes of payload after them, that fill a
// superpacket of 65,535 bytes.
func fillUp(p scenario.Packet) (full, rest int) {
	size := len(p.Payload)
	payload := 65535 - (len(p.Bytes()) - size)
	return payload / size, payload % size
}

// place puts a packet at the end of the batch; or, by how, drops, doubles or moves it.
func place(batch [][]byte, b []byte, how int) [][]byte {
	switch {
	case how == 1: // lost
		return batch
	case how == 2: // twice
		return append(batch, b, append([]byte(nil), b...))
	case how >= 3 && len(batch) >= how-2: // one to three packets too early
		at := len(batch) - (how - 2)
		return append(batch[:at:at], append([][]byte{b}, batch[at:]...)...)
	}
	return append(batch, b)
}

// Supers returns a generator of scenarios with superpackets. Some are valid; others have a
// field of the VnetHdr or of the packet at the edge of its range or past it.
func Supers() *rapid.Generator[scenario.Scenario] {
	return rapid.Custom(func(t *rapid.T) scenario.Scenario {
		return scenario.Scenario{Supers: rapid.SliceOfN(supers(false), 1, 3).Draw(t, "supers")}
	})
}

// Tunnels returns a generator of scenarios with superpackets like those of Supers. All are
// in tunnels, but for those whose GSO type was changed.
func Tunnels() *rapid.Generator[scenario.Scenario] {
	return rapid.Custom(func(t *rapid.T) scenario.Scenario {
		return scenario.Scenario{Supers: rapid.SliceOfN(supers(true), 1, 3).Draw(t, "supers")}
	})
}

// supers returns a generator of one superpacket. If tunnel is set it is in a tunnel.
func supers(tunnel bool) *rapid.Generator[scenario.Super] {
	return rapid.Custom(func(t *rapid.T) scenario.Super {
		p := flows().Draw(t, "flow")
		size := rapid.SampledFrom([]int{100, 1, 2, 7, 8, 13, 536, 1448, 40000}).Draw(t, "gso size")
		n := rapid.SampledFrom([]int{3, 0, 1, 2, 4, 45, 127, 128, 129}).Draw(t, "segments")
		payload := max(0, min(n*size+rapid.SampledFrom([]int{0, 1, -1}).Draw(t, "rest"), 65400))
		p.Payload = scenario.Fill(payload, byte(p.Seq))
		p.Flags |= rapid.SampledFrom([]byte{0, scenario.PSH | scenario.FIN, scenario.CWR, 0xFF, scenario.SYN | scenario.URG, scenario.PSH}).Draw(t, "flags")
		p.Offset = rapid.SampledFrom([]byte{0, 1, 15}).Draw(t, "offset")
		switch rapid.IntRange(0, 4).Draw(t, "headers") {
		case 1:
			p.IPOptions = scenario.Fill(rapid.SampledFrom([]int{4, 40}).Draw(t, "ip options"), 1)
		case 2:
			p.ExtType = rapid.SampledFrom([]byte{0, 43, 60, 44}).Draw(t, "extension")
			p.Extensions = []byte{0, 0, 1, 4, 0, 0, 0, 0}
			for range rapid.IntRange(0, 4).Draw(t, "more extensions") {
				p.Extensions = append([]byte{60, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, p.Extensions...)
			}
			if rapid.IntRange(0, 3).Draw(t, "long extension") == 1 {
				p.Extensions = append(append([]byte{60, 255}, make([]byte, 2046)...), p.Extensions...)
			}
		case 3:
			p.Options = scenario.Fill(rapid.SampledFrom([]int{4, 40}).Draw(t, "tcp options"), 1)
		}
		h, b := p.Super(size)
		if !p.UDP && rapid.IntRange(0, 5).Draw(t, "csum") == 1 {
			h.Flags = 0
		}
		if tunnel || rapid.IntRange(0, 2).Draw(t, "tunnel") == 1 {
			if rapid.IntRange(0, 7).Draw(t, "odd inner packet") == 1 {
				b = oddPacket(t, b)
			}
			tunnel := tunnels().Draw(t, "tunnel headers")
			if rapid.IntRange(0, 7).Draw(t, "zero outer checksum") == 1 {
				tunnel = tunnel.ZeroSum(h, b)
			}
			h, b = tunnel.Wrap(h, b)
			if rapid.IntRange(0, 7).Draw(t, "odd outer partial sum") == 1 {
				b = setWord(b, int(h.OuterTHOffset)+6, rapid.SampledFrom([]int{0, 0xFFFF, 1}).Draw(t, "outer partial sum"))
			}
		}
		for range []int{0, 0, 0, 1, 2, 5}[rapid.IntRange(0, 5).Draw(t, "odd fields")] {
			h = oddVnet(t, h, b)
		}
		if rapid.IntRange(0, 3).Draw(t, "odd packet") == 1 {
			b = oddPacket(t, b)
		}
		return scenario.Super{Hdr: h, Data: b}
	})
}

// tunnels returns a generator of the headers of a tunnel.
func tunnels() *rapid.Generator[scenario.Tunnel] {
	return rapid.Custom(func(t *rapid.T) scenario.Tunnel {
		tunnel := scenario.VXLAN()
		tunnel.Outer.V6 = rapid.Bool().Draw(t, "v6")
		tunnel.Outer.ID = rapid.SampledFrom([]uint16{7000, 0, 0xFFFE, 0xFFFF}).Draw(t, "id")
		tunnel.Outer.Frag = rapid.SampledFrom([]uint16{0, 0x4000}).Draw(t, "frag")
		tunnel.Outer.SrcPort = rapid.SampledFrom([]uint16{49152, 0, 0xFFFF}).Draw(t, "port")
		tunnel.Geneve = rapid.Bool().Draw(t, "geneve")
		tunnel.Bare = rapid.IntRange(0, 7).Draw(t, "bare") == 1
		tunnel.Options = scenario.Fill(rapid.SampledFrom([]int{0, 4, 40}).Draw(t, "options"), 1)
		tunnel.Csum = rapid.Bool().Draw(t, "csum")
		switch rapid.IntRange(0, 7).Draw(t, "headers") {
		case 1:
			tunnel.Outer.IPOptions = scenario.Fill(rapid.SampledFrom([]int{4, 16, 40}).Draw(t, "ip options"), 1)
		case 2:
			tunnel.Outer.ExtType = rapid.SampledFrom([]byte{0, 43, 60, 44}).Draw(t, "extension")
			tunnel.Outer.Extensions = []byte{0, 0, 1, 4, 0, 0, 0, 0}
		}
		return tunnel
	})
}

// oddVnet returns h with one field changed.
func oddVnet(t *rapid.T, h pkts.VnetHdr, b []byte) pkts.VnetHdr {
	around := func(name string, v int) uint16 {
		return uint16(rapid.SampledFrom([]int{v, v - 1, v + 1, 0, 19, 20, 0xFFFF, len(b) - 2, len(b) - 1, len(b)}).Draw(t, name))
	}
	switch rapid.IntRange(0, 8).Draw(t, "field") {
	case 0:
		h.Flags = rapid.SampledFrom([]uint8{0, 1, 2, 4, 5, 8, 9, 0xFB, 0xFF}).Draw(t, "flags")
	case 1:
		h.GSOType = rapid.SampledFrom([]uint8{0, 1, 2, 3, 4, 5, 6, 0x80, 0x81, 0x83, 0x84, 0x85,
			0x20, 0x21, 0x24, 0x25, 0x41, 0x44, 0x45, 0x61, 0x65, 0xA1, 0xA5, 0xC4, 0x23, 0x11}).Draw(t, "type")
	case 2:
		h.HdrLen = rapid.Uint16().Draw(t, "hdr_len")
	case 3:
		h.GSOSize = around("gso_size", int(h.GSOSize))
	case 4:
		h.CsumStart = around("csum_start", int(h.CsumStart))
	case 5:
		h.CsumOffset = around("csum_offset", int(h.CsumOffset))
	case 6: // no GSO type: only the checksum is to be completed
		h.GSOType, h.GSOSize = 0, 0
		h.CsumStart = around("csum_start", int(h.CsumStart))
		h.CsumOffset = around("csum_offset", int(h.CsumOffset))
	case 7:
		h.OuterTHOffset = around("outer_th_offset", int(h.OuterTHOffset))
	case 8:
		h.InnerNHOffset = around("inner_nh_offset", int(h.InnerNHOffset))
	}
	return h
}

// oddPacket returns b damaged, cut, extended, or with a field changed.
func oddPacket(t *rapid.T, b []byte) []byte {
	switch rapid.IntRange(0, 6).Draw(t, "odd") {
	case 0:
		return damages[rapid.IntRange(0, len(damages)-1).Draw(t, "damage")](b)
	case 1:
		return b[:rapid.IntRange(0, min(len(b), 130)).Draw(t, "cut")]
	case 2:
		return setWord(b, 6, rapid.SampledFrom([]int{0x2000, 1, 0x8000, 0xE000}).Draw(t, "frag"))
	case 3:
		return setWord(b, csumAt(b), int(rapid.Uint16().Draw(t, "partial")))
	case 4:
		return setWord(b, udpLenAt(b), int(rapid.Uint16().Draw(t, "udp length")))
	case 5:
		return setByte(b, 0, rapid.Byte().Draw(t, "version"))
	}
	return append(b, make([]byte, 66_000)...)
}
