// SPDX-License-Identifier: MIT

package scenario

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
)

// raw returns the bytes of packets.
func raw(list ...Packet) (batch [][]byte) {
	for _, p := range list {
		batch = append(batch, p.Bytes())
	}
	return batch
}

// one returns a scenario of one batch.
func one(batch ...[]byte) Scenario { return Scenario{Batches: [][][]byte{batch}} }

// chain returns n packets that follow each other, with 100 bytes of payload each.
func chain(p Packet, n int) []Packet {
	list := []Packet{p}
	for len(list) < n {
		list = append(list, list[len(list)-1].Next(100))
	}
	return list
}

// put returns b with the bytes from at on replaced.
func put(b []byte, at int, to ...byte) []byte {
	copy(b[at:], to)
	return b
}

// right returns b with right lengths and checksums.
func right(b []byte) []byte {
	packet.Fix(b, packet.FixAll)
	return b
}

// plain returns p without a flow label, which no template has.
func plain(p Packet) Packet {
	p.Label = 0
	return p
}

// altered returns p as change leaves it.
func altered(p Packet, change func(p *Packet)) Packet {
	change(&p)
	return p
}

// ping returns an IPv4 packet without payload, of a protocol that is not TCP or UDP.
func ping(id byte) []byte {
	return right(put(unhex("45000000 0000 4000 4001 0000 c0000201 c0000202"), 5, id))
}

// extended returns a UDP packet over IPv6 with n bytes of extension headers.
func extended(n int) Packet {
	p := UDP6(20)
	p.ExtType, p.Extensions = 60, append([]byte{0, byte(n/8 - 1)}, make([]byte, n-2)...)
	return p
}

// super returns a superpacket: p with NEEDS_CSUM.
func super(p Packet, size int) Super {
	h, b := p.Super(size)
	return Super{h, b}
}

// supers returns a scenario of superpackets.
func supers(list ...Super) Scenario { return Scenario{Supers: list} }

// fifteen are 15 bytes of a packet that no Fix restores: addresses, sequence number, and
// three bytes of the acknowledgement number.
func fifteen() []byte {
	b := put(TCP4(100).Bytes(), 12, 0x11, 0x12, 0x13, 0x14, 0x21, 0x22, 0x23, 0x24)
	return right(put(b, 24, 0x31, 0x32, 0x33, 0x34, 0x41, 0x42, 0x43))
}

// encodings has scenarios and the bytes that Encode writes of them and that Decode reads. The
// bytes are written by hand: files that were kept must keep their meaning.
func encodings() []coded {
	tcp, udp := TCP4(100), UDP4(100)
	tcp6, udp6 := plain(TCP6(100)), plain(UDP6(100))
	sixteen := right(put(fifteen(), 31, 0x44))
	noHeader := append(unhex("600000000004 3b 40"), append(make([]byte, 32), 1, 2, 3, 4)...)
	half := TCP4(0).Bytes()[:39]
	long, longer := raw(extended(208), extended(208).Next(20)), raw(extended(216), extended(216).Next(20))
	return []coded{
		{"nothing", "0100", Scenario{}},
		{"an empty batch", "0100 06", one()},
		{"two empty batches", "0100 06 06", Scenario{Batches: [][][]byte{{}, {}}}},
		{"a template", "0100 06 01000000", one(raw(tcp)...)},
		{"a successor", "0100 06 01000000 00000064", one(raw(chain(tcp, 2)...)...)},
		{"a successor of PSH, FIN and CWR", "0100 06 01800000012199 00000064", one(raw(chain(altered(tcp, func(p *Packet) { p.Flags = ACK | PSH | FIN | CWR }), 2)...)...)},
		{"a successor of all flags", "0100 06 018000000321ff22ff23ff 00000064", one(raw(chain(altered(tcp, func(p *Packet) { p.Flags, p.Window = 0xFF, 0xFFFF }), 2)...)...)},
		{"another start of a fill", "0100 06 01000000 00000065", one(raw(tcp, altered(tcp.Next(100), func(p *Packet) { p.Payload = Fill(100, 101) }))...)},
		{"two flows", "0100 06 01000000 01020000 00010064 00010064", one(raw(tcp, udp, tcp.Next(100), udp.Next(100))...)},
		{"two flows of IPv6", "0100 06 01010000 01030000 00010064 00010064", one(raw(tcp6, udp6, tcp6.Next(100), udp6.Next(100))...)},
		{"two batches", "0100 06 01000000 06 01000000", Scenario{Batches: [][][]byte{raw(tcp), raw(tcp)}}},
		{"another length", "0100 06 01000700 00000907", one(raw(TCP4(7), TCP4(7).Next(9))...)},
		{"no payload", "0100 06 0900fe 080000", one(raw(TCP4(0), TCP4(0).Next(0))...)},
		{"no payload, then some", "0100 06 0900fe 00000100", one(raw(TCP4(0), TCP4(0).Next(1))...)},
		{"an empty datagram", "0100 06 0902fe 080000", one(raw(UDP4(0), UDP4(0).Next(0))...)},
		{"no fill", "0100 06 090003 000103", one(raw(altered(TCP4(3), func(p *Packet) { p.Payload = []byte{0, 1, 3} }))...)},
		{"253 bytes", "0100 06 0100fd00", one(raw(TCP4(253))...)},
		{"254 bytes", "0100 06 0100fffe000000", one(raw(TCP4(254))...)},
		{"255 bytes", "0100 06 0100ffff000000", one(raw(TCP4(255))...)},
		{"256 bytes", "0100 06 0100ff00010000", one(raw(TCP4(256))...)},
		{"65,536 bytes", "0100 06 0100ff00000100", one(raw(TCP4(65536))...)},
		{"as many bytes as fills may have, and one", "0100 06 0100ff00000400 09010100", one(raw(TCP4(1<<18), plain(TCP6(1)))...)},
		{"as many bytes as fills may have, in two", "0100 06 0100ffffff0300 01010100", one(raw(TCP4(1<<18-1), plain(TCP6(1)))...)},
		{"another TTL", "0100 06 0180000001083f", one(raw(altered(tcp, func(p *Packet) { p.TTL = 63 }))...)},
		{"another TOS", "0100 06 018000000101b9", one(raw(altered(tcp, func(p *Packet) { p.TOS = 0xB9 }))...)},
		{"the last byte of a header", "0100 06 018000000127ff", one(raw(altered(tcp, func(p *Packet) { p.Urg = 255 }))...)},
		{"15 bytes that differ", "0100 06 018000000f 0c11 0d12 0e13 0f14 1021 1122 1223 1324 1831 1932 1a33 1b34 1c41 1d42 1e43", one(fifteen())},
		{"15 bytes that differ and the port", "0100 06 018400000f 0c11 0d12 0e13 0f14 1021 1122 1223 1324 1831 1932 1a33 1b34 1c41 1d42 1e43", one(right(put(fifteen(), 21, 0xDD)))},
		{"16 bytes that differ", "0100 06 074c28" + hex.EncodeToString(sixteen[:40]) + "6400", one(sixteen)},
		{"a packet again", "0100 06 01000000 0080000002 05e8 1b01", one(raw(tcp, tcp)...)},
		{"a wrong total length", "0100 06 f1098000000 3038d 0ab2 0b80", one(put(tcp.Bytes(), 3, 0x8D))},
		{"a wrong checksum", "0100 06 f10480000002 2412 2534", one(put(tcp.Bytes(), 36, 0x12, 0x34))},
		{"a wrong UDP length", "0100 06 f10682000003 1963 1a11 1b11", one(put(udp.Bytes(), 24, 0, 0x63, 0x11, 0x11))},
		{"a wrong header checksum", "0100 06 f10880000002 0a55 0b66", one(put(tcp.Bytes(), 10, 0x55, 0x66))},
		{"all wrong", "0100 06 f10f82000007 0212 0334 0a55 0b66 1963 1a11 1b11", one(put(put(put(udp.Bytes(), 2, 0x12, 0x34), 10, 0x55, 0x66), 24, 0, 0x63, 0x11, 0x11))},
		{"no total length and no header checksum", "0100 06 f109000000", one(put(put(tcp.Bytes(), 2, 0, 0), 10, 0, 0))},
		{"no payload length", "0100 06 f101010000", one(put(tcp6.Bytes(), 4, 0, 0))},
		{"no TCP checksum", "0100 06 f104000000", one(put(tcp.Bytes(), 36, 0, 0))},
		{"no UDP length and no checksum", "0100 06 f106020000", one(put(udp.Bytes(), 24, 0, 0, 0, 0))},
		{"no IP packet", "0100 06 0f4c02aabb00 080000", one([]byte{0xAA, 0xBB}, []byte{0xAA, 0xBB})},
		{"no IP packet, with a fill", "0100 06 074c28" + strings.Repeat("aa", 40) + "02 f0", one(append(bytes.Repeat([]byte{0xAA}, 40), 0xF0, 0xF1))},
		{"a cut IP header", "0100 06 0f4c0345aabb00 080000", one([]byte{0x45, 0xAA, 0xBB}, []byte{0x45, 0xAA, 0xBB})},
		{"another protocol", "0100 06 0f4c14" + hex.EncodeToString(ping(7)) + "00 080000", one(ping(7), ping(8))},
		{"another protocol of IPv6", "0100 06 074c28" + hex.EncodeToString(noHeader[:40]) + "0401 00000001", one(noHeader, noHeader)},
		{"a cut TCP header", "0100 06 0f4c27" + hex.EncodeToString(right(half)) + "00 080000", one(half, right(put(bytes.Clone(half), 4, 3, 0xE9)))},
		{"an empty packet", "0100 06 0f4c0000 080000", one(nil, nil)},
		{"a header of 256 bytes", "0100 06 074cff000100" + hex.EncodeToString(long[0][:256]) + "1400 00000014", one(long...)},
		{"a header of 264 bytes", "0100 06 074cff080100" + hex.EncodeToString(longer[0][:264]) + "1400 074cff080100" + hex.EncodeToString(longer[1][:264]) + "1414", one(longer...)},
		{"the eighth packet before", "0180 06 01000000 01010000 00000064 000000c8 0000002c 00000090 000000f4 00000058 00070064", one(append(raw(append([]Packet{tcp}, chain(tcp6, 7)...)...), tcp.Next(100).Bytes())...)},
		{"the ninth packet before", "0180 06 01000000 01010000 00000064 000000c8 0000002c 00000090 000000f4 00000058 000000bc 0180006402 05e9 1b65", one(append(raw(append([]Packet{tcp}, chain(tcp6, 8)...)...), tcp.Next(100).Bytes())...)},
		{"8 items", "0100 06 0f4c0000" + strings.Repeat("080000", 6), one(make([][]byte, 7)...)},
		{"9 items", "0180 06 0f4c0000" + strings.Repeat("080000", 7), one(make([][]byte, 8)...)},
		{"9 items in two batches", "0180 06 0f4c0000" + strings.Repeat("080000", 5) + "06 0f4c0000", Scenario{Batches: [][][]byte{make([][]byte, 6), make([][]byte, 1)}}},
		{"Reorder", "0102", Scenario{Config: pkts.Config{Reorder: true}}},
		{"AtomicIDs", "0104", Scenario{Config: pkts.Config{AtomicIDs: true}}},
		{"DisableTCPv4", "0108 01 0000 0000 0000 0000", Scenario{Config: pkts.Config{DisableTCPv4: true}}},
		{"DisableTCPv6", "0108 02 0000 0000 0000 0000", Scenario{Config: pkts.Config{DisableTCPv6: true}}},
		{"DisableUDP", "0108 04 0000 0000 0000 0000", Scenario{Config: pkts.Config{DisableUDP: true}}},
		{"MaxSegments", "0108 00 0100 0000 0000 0000", Scenario{Config: pkts.Config{MaxSegments: 1}}},
		{"all settings", "010e 07 fe03 8000 ffff 4000 06 01000000", Scenario{Config: pkts.Config{Reorder: true, AtomicIDs: true, MaxSegments: 1022, MaxUDPSegments: 128, MaxOpen: 65535, MaxPerFlow: 64,
			DisableTCPv4: true, DisableTCPv6: true, DisableUDP: true}, Batches: [][][]byte{raw(tcp)}}},
		{"a superpacket", "0101 0100 6400 00fa00", supers(super(TCP4(250), 100))},
		{"superpackets", "0101 0100 6400 00fa00 0100 6500 02fa00 0000 0102 0100fa", supers(super(TCP4(250), 100), super(UDP4(250), 101), super(TCP4(250).Next(250), 513))},
		{"a VnetHdr of zeros", "0101 0107 00 00 0000 0000 0000 0000 000000", supers(Super{Data: tcp.Bytes()})},
		{"a VnetHdr of its own", "0101 0107 01 81 2902 6403 1404 1005 00fa00", supers(Super{pkts.VnetHdr{Flags: 1, GSOType: 0x81, HdrLen: 0x229, GSOSize: 0x364, CsumStart: 0x414, CsumOffset: 0x510}, super(TCP4(250), 1).Data})},
		{"a gso_size of 0", "0101 0107 01 01 2800 0000 1400 1000 00fa00", supers(Super{pkts.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, CsumStart: 20, CsumOffset: 16}, super(TCP4(250), 1).Data})},
		{"a VnetHdr without NEEDS_CSUM", "0101 0107 02 01 2800 6400 1400 1000 00fa00", supers(Super{pkts.VnetHdr{Flags: 2, GSOType: 1, HdrLen: 40, GSOSize: 100, CsumStart: 20, CsumOffset: 16}, TCP4(250).Bytes()})},
		{"a tunnel", "0101 010f 09 21 5a00 6400 4600 1000 1401 3202 00fa00", supers(Super{pkts.VnetHdr{Flags: 9, GSOType: 0x21, HdrLen: 90, GSOSize: 100, CsumStart: 70, CsumOffset: 16, OuterTHOffset: 0x114, InnerNHOffset: 0x232}, super(TCP4(250), 1).Data})},
		{"an outer offset only", "0101 010f 00 00 0000 0000 0000 0000 1400 0000 000000", supers(Super{pkts.VnetHdr{OuterTHOffset: 20}, tcp.Bytes()})},
		{"an inner offset only", "0101 010f 00 00 0000 0000 0000 0000 0000 1400 000000", supers(Super{pkts.VnetHdr{InnerNHOffset: 20}, tcp.Bytes()})},
		{"a wrong partial checksum", "0101 f100 6400 04 80fa0002 2412 2534", supers(Super{super(TCP4(250), 100).Hdr, put(TCP4(250).Bytes(), 36, 0x12, 0x34)})},
		{"8 superpackets", "0101 0f00 0500 4c0000" + strings.Repeat("0800 0500 0000", 7), supers(repeated(8)...)},
		{"9 superpackets", "0181 0f00 0500 4c0000" + strings.Repeat("0800 0500 0000", 8), supers(repeated(9)...)},
	}
}

// coded is a scenario with its bytes in hexadecimal. Blanks separate items.
type coded struct {
	name, text string
	s          Scenario
}

// repeated returns n empty superpackets.
func repeated(n int) (list []Super) {
	for range n {
		list = append(list, Super{Hdr: pkts.VnetHdr{GSOSize: 5}})
	}
	return list
}

// TestEncode checks that Encode writes exactly the bytes that are stated, and that Decode reads
// them.
func TestEncode(t *testing.T) {
	for _, c := range encodings() {
		if got, want := Encode(c.s), unhex(c.text); !bytes.Equal(got, want) {
			t.Errorf("%s:\ngot  %x\nwant %x", c.name, got, want)
		}
		if got := Decode(unhex(c.text)); !got.Equal(c.s) {
			t.Errorf("%s: %s decodes to another scenario: %x", c.name, c.text, got)
		}
	}
}

// TestDecode checks what Decode reads of bytes that Encode would not write.
func TestDecode(t *testing.T) {
	tcp, udp, next := TCP4(100), UDP4(100), TCP4(100).Next(100)
	ported := altered(tcp, func(p *Packet) { p.SrcPort++ })
	longer := extended(216).Bytes()
	short := put(tcp.Bytes(), 2, 0, 1)
	packet.Fix(short, packet.FixIPCsum)
	tests := []coded{
		{"no bytes", "", Scenario{}},
		{"no flags", "01", Scenario{}},
		{"no version", "00 06 01000000", Scenario{}},
		{"another version", "0200 06 01000000", Scenario{}},
		{"no batch", "0100 01000000", one(raw(tcp)...)},
		{"no batch, then one", "0100 01000000 06 01000000", Scenario{Batches: [][][]byte{raw(tcp), raw(tcp)}}},
		{"the end of the bytes", "0100 00", one(raw(tcp)...)},
		{"fewer bytes than stated", "0100 09006405", one(raw(altered(tcp, func(p *Packet) { p.Payload = []byte{5} }))...)},
		{"fewer bytes of a literal than stated", "0100 074c05aabb", one([]byte{0xAA, 0xBB})},
		{"modulo the number of packets", "0100 01000000 01020000 00030064 000300c8", one(raw(tcp, udp, tcp.Next(100), tcp.Next(100).Next(100))...)},
		{"a copy", "0100 01000000 01020000 0501 0500", one(raw(tcp, udp, tcp, tcp)...)},
		{"a copy with a patch", "0100 01000000 058001083f", one(raw(tcp, altered(tcp, func(p *Packet) { p.TTL = 63 }))...)},
		{"a copy of nothing", "0100 05000501 0500", one(raw(altered(TCP4(5), func(p *Packet) { p.Payload = Fill(5, 1) }), altered(TCP4(5), func(p *Packet) { p.Payload = Fill(5, 1) }))...)},
		{"a copy and bytes are a successor", "0100 01000000 0d000064", one(raw(tcp, next)...)},
		{"a copy after all fills", "0100 0100ff00000400 0500", one(TCP4(1<<18).Bytes(), nil)},
		{"a copy of a part", "0100 0100fff6ff0300 0500 01040100", one(TCP4(1<<18-10).Bytes(), TCP4(1<<18 - 10).Bytes()[:10], altered(TCP4(0), func(p *Packet) { p.SrcPort++ }).Bytes())},
		{"a copy that takes of the fills", "0100 01000000 0500 0100ff00000400", one(tcp.Bytes(), tcp.Bytes(), TCP4(1<<18-100-140).Bytes())},
		{"a fill after all fills", "0100 0100ff00000400 01040500", one(raw(TCP4(1<<18), altered(TCP4(0), func(p *Packet) { p.SrcPort++ }))...)},
		{"a fill of a part", "0100 0100fffeff0300 01040500", one(raw(TCP4(1<<18-2), altered(TCP4(2), func(p *Packet) { p.SrcPort++ }))...)},
		{"no payload, whatever it begins with", "0100 0100fe77 01040000", one(raw(TCP4(0), ported)...)},
		{"16 patches are none", "0100 0180000010 01040000", one(raw(tcp, ported)...)},
		{"patches after the end", "0100 0180fe0002 28ff 083f", one(raw(altered(TCP4(0), func(p *Packet) { p.TTL = 63 }))...)},
		{"a patch of what is put right", "0100 0180000002 0a55 24aa", one(raw(tcp)...)},
		{"a patch of a length that is left out", "0100 f10180000001 0301", one(short)},
		{"the length before", "0100 01010000 f001000964", one(plain(TCP6(100)).Bytes(), put(plain(TCP6(100)).Next(9).Bytes(), 4, 0, 0x78))},
		{"a successor of a long header", "0100 074cff080100" + hex.EncodeToString(longer[:264]) + "1400 00000000", one(longer, right(append(bytes.Clone(longer[:256]), Fill(28, 0)...)))},
		{"limits beyond the most", "0108 f8 ff03 8100 0000 4100 06", Scenario{Batches: [][][]byte{nil}}},
		{"limits far beyond the most", "0108 00 0004 8200 0080 4200 06", Scenario{Config: pkts.Config{MaxSegments: 1, MaxUDPSegments: 1, MaxOpen: 0x8000, MaxPerFlow: 1}, Batches: [][][]byte{nil}}},
		{"settings of superpackets", "010f 0100 6400 00fa00", supers(super(TCP4(250), 100))},
		{"a gso_size of 0 is 100", "0101 0100 0000 00fa00", supers(super(TCP4(250), 100))},
		{"not all bits of a VnetHdr", "0101 0106 6400 00fa00 010e 6400 00fa00", supers(super(TCP4(250), 100), super(TCP4(250), 100))},
		{"no batches among superpackets", "0101 0600 6400 00fa00", supers(super(TCP4(250), 100))},
		{"a copy of a superpacket", "0101 0100 6400 00fa00 0500 6500 00", supers(super(TCP4(250), 100), super(TCP4(250), 101))},
		{"8 items", "0100" + strings.Repeat("0f4c0000", 9), one(make([][]byte, 8)...)},
		{"7 items and a batch", "0100 06" + strings.Repeat("0f4c0000", 9), one(make([][]byte, 7)...)},
		{"more items", "0180" + strings.Repeat("0f4c0000", 9), one(make([][]byte, 9)...)},
		{"4,096 items", "0180" + strings.Repeat("0f4c0000", 5000), one(make([][]byte, 4096)...)},
	}
	kind := 0
	for src := range byte(2) {
		for _, options := range [][]byte{nil, Timestamps} {
			for port := range uint16(4) {
				for _, p := range []Packet{tcp, plain(TCP6(100)), udp, plain(UDP6(100))} {
					p.Src, p.SrcPort, p.Options = 1+src, 1500+port, options
					tests = append(tests, coded{"template " + hex.EncodeToString([]byte{byte(kind)}), "0100 06 01" + hex.EncodeToString([]byte{byte(kind)}) + "0000", one(p.Bytes())})
					kind++
				}
			}
		}
	}
	for op := range 256 {
		item := []byte{byte(op)}
		if op >= 0xF0 {
			item = append(item, 0) // nothing is left out
		}
		c := coded{name: "op " + hex.EncodeToString(item), s: one(raw(tcp, next)...)}
		tail := []byte{0, 0, 0x64}
		switch op & 15 {
		case 1:
			c.s = one(raw(tcp, altered(tcp, func(p *Packet) { p.Payload = next.Payload }))...)
		case 5:
			c.s, tail = one(raw(tcp, tcp)...), []byte{0}
		case 6:
			if op == 6 {
				c.s, tail = Scenario{Batches: [][][]byte{raw(tcp), nil}}, nil
			}
		case 8:
			c.s = one(raw(tcp, altered(next, func(p *Packet) { p.Payload = []byte{100} }))...)
		case 9:
			c.s = one(raw(tcp, altered(tcp, func(p *Packet) { p.Payload = []byte{100} }))...)
		}
		c.text = "0100 06 01000000" + hex.EncodeToString(append(item, tail...))
		tests = append(tests, c)
	}
	for _, c := range tests {
		if got := Decode(unhex(c.text)); !got.Equal(c.s) {
			t.Errorf("%s: %.200s decodes to %.1000x\nwant %.1000x", c.name, c.text, got, c.s)
		}
	}
}

// TestCodecTotal checks on any bytes that what they decode to is encoded so that it decodes to
// the same.
func TestCodecTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "bytes")
		b = append([]byte{1, rapid.SampledFrom([]byte{0, 1, 2, 8, 128, 129}).Draw(t, "flags")}, b...)
		s := Decode(b)
		if again := Decode(Encode(s)); !again.Equal(s) {
			t.Fatalf("%x: %x, then %x", b, s, again)
		}
	})
}
