// SPDX-License-Identifier: MIT

// Package scenario has the input of the properties: a Scenario is batches of packets, or
// superpackets. It converts scenarios to and from bytes that a fuzzing engine mutates
// (Encode, Decode) and cases of the corpus (Cases, FromCase), minimises them, and builds
// packets from a description (Packet).
package scenario

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// The TCP flags.
const (
	FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
)

// Timestamps are the TCP options that Linux puts on every segment: two NOPs, and a
// timestamp option with values 1 and 2.
var Timestamps = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}

// Packet describes a TCP or UDP packet. Its lengths and checksums are not part of the
// description: Bytes computes right ones.
type Packet struct {
	V6, UDP          bool
	Src, Dst         byte // last byte of the address
	SrcNet, DstNet   byte // the address's eighth byte (IPv6), or the third XOR 2 (IPv4)
	SrcPort, DstPort uint16

	TOS        byte   // IPv4 TOS or IPv6 traffic class
	ID, Frag   uint16 // IPv4; Frag is the word with DF, MF and offset
	TTL        byte   // IPv4 TTL or IPv6 hop limit
	NoCsum     bool   // the UDP checksum is 0: there is none
	Label      uint32 // IPv6 flow label
	IPOptions  []byte // IPv4; a multiple of 4 bytes
	Extensions []byte // IPv6 extension headers; Bytes sets the last one's next header
	ExtType    byte   // the first extension header's type

	Seq, Ack    uint32
	Flags       byte
	Offset      byte // the low nibble of TCP's byte 12: reserved bits and AE
	Window, Urg uint16
	Options     []byte // TCP; a multiple of 4 bytes

	Payload []byte
}

// TCP4 returns a TCP packet over IPv4 with n bytes of payload, which may be coalesced with
// its Next.
func TCP4(n int) Packet {
	return Packet{Src: 1, Dst: 2, SrcPort: 1500, DstPort: 8000, ID: 1000, Frag: 0x4000, TTL: 64,
		Seq: 1, Ack: 1, Flags: ACK, Window: 512, Payload: Fill(n, 0)}
}

// TCP6 returns TCP4's packet over IPv6.
func TCP6(n int) Packet {
	p := TCP4(n)
	p.V6, p.Label = true, 0x12345
	return p
}

// UDP4 returns a UDP packet over IPv4 with n bytes of payload, which may be coalesced with
// its Next.
func UDP4(n int) Packet {
	p := TCP4(n)
	p.UDP = true
	return p
}

// UDP6 returns UDP4's packet over IPv6.
func UDP6(n int) Packet {
	p := TCP6(n)
	p.UDP = true
	return p
}

// Fill returns n bytes that count up from start, modulo 256.
func Fill(n int, start byte) []byte { return appendFill(make([]byte, 0, n), n, start) }

// appendFill appends n bytes that count up from start.
func appendFill(b []byte, n int, start byte) []byte {
	at := len(b)
	b = slices.Grow(b, n)[:at+n]
	fill := b[at:]
	for i := range min(n, 256) {
		fill[i] = start + byte(i)
	}
	for done := 256; done < n; done *= 2 { // the bytes repeat after 256
		copy(fill[done:], fill[:done])
	}
	return b
}

// Next returns the packet that follows p in its flow. Its n bytes of payload count up from
// the last byte of p's.
func (p Packet) Next(n int) Packet {
	p.ID++
	p.Seq += uint32(len(p.Payload))
	p.Flags &^= PSH | FIN | CWR
	start := byte(0)
	if len(p.Payload) > 0 {
		start = p.Payload[len(p.Payload)-1] + 1
	}
	p.Payload = Fill(n, start)
	return p
}

// L4Off returns the offset of the TCP or UDP header.
func (p Packet) L4Off() int {
	if p.V6 {
		return 40 + len(p.Extensions)
	}
	return 20 + len(p.IPOptions)
}

// Bytes returns the packet with right lengths and checksums. A UDP checksum that computes
// to zero is 0xFFFF, unless NoCsum is set.
func (p Packet) Bytes() []byte {
	b := p.header()
	what := packet.FixAll
	if p.UDP && p.NoCsum {
		what &^= packet.FixL4Csum
	}
	packet.Fix(b, what)
	return b
}

// header returns the packet with its lengths and checksums zero.
func (p Packet) header() []byte {
	proto := byte(6)
	if p.UDP {
		proto = 17
	}
	var b []byte
	if p.V6 {
		b = binary.BigEndian.AppendUint32(b, 6<<28|uint32(p.TOS)<<20|p.Label&0xFFFFF)
		b = append(b, 0, 0, proto, p.TTL)
		b = append(b, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, p.SrcNet, 0, 0, 0, 0, 0, 0, 0, p.Src)
		b = append(b, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, p.DstNet, 0, 0, 0, 0, 0, 0, 0, p.Dst)
		if len(p.Extensions) > 0 {
			b[6] = p.ExtType
			b = append(b, p.Extensions...)
			at := 40
			for at+8+8*int(b[at+1]) < len(b) {
				at += 8 + 8*int(b[at+1])
			}
			b[at] = proto
		}
	} else {
		b = append(b, 0x45+byte(len(p.IPOptions)/4), p.TOS, 0, 0)
		b = binary.BigEndian.AppendUint16(b, p.ID)
		b = binary.BigEndian.AppendUint16(b, p.Frag)
		b = append(b, p.TTL, proto, 0, 0, 192, 0, 2^p.SrcNet, p.Src, 192, 0, 2^p.DstNet, p.Dst)
		b = append(b, p.IPOptions...)
	}
	b = binary.BigEndian.AppendUint16(b, p.SrcPort)
	b = binary.BigEndian.AppendUint16(b, p.DstPort)
	if p.UDP {
		b = append(b, 0, 0, 0, 0)
	} else {
		b = binary.BigEndian.AppendUint32(b, p.Seq)
		b = binary.BigEndian.AppendUint32(b, p.Ack)
		b = append(b, byte(5+len(p.Options)/4)<<4|p.Offset&15, p.Flags)
		b = binary.BigEndian.AppendUint16(b, p.Window)
		b = append(b, 0, 0)
		b = binary.BigEndian.AppendUint16(b, p.Urg)
		b = append(b, p.Options...)
	}
	return append(b, p.Payload...)
}

// ZeroSum returns p with the first two bytes of its payload set so that the TCP or UDP
// checksum computes to zero. It returns p unchanged if the payload is shorter.
func ZeroSum(p Packet) Packet {
	if len(p.Payload) < 2 {
		return p
	}
	p.Payload = bytes.Clone(p.Payload)
	p.Payload[0], p.Payload[1] = 0, 0
	b := p.Bytes()
	l4Off := p.L4Off()
	if p.UDP {
		b[l4Off+6], b[l4Off+7] = 0, 0
	} else {
		b[l4Off+16], b[l4Off+17] = 0, 0
	}
	pseudo := p.pseudoHeader(len(b) - l4Off)
	binary.BigEndian.PutUint16(p.Payload, uint16(0xFFFF-model.Sum(pseudo, b[l4Off:])))
	return p
}

// pseudoHeader returns the bytes of the pseudo-header for l4Len bytes of TCP or UDP.
func (p Packet) pseudoHeader(l4Len int) []byte {
	b := p.header()
	addresses, proto := b[12:20], byte(6)
	if p.V6 {
		addresses = b[8:40]
	}
	if p.UDP {
		proto = 17
	}
	return append(bytes.Clone(addresses), 0, proto, byte(l4Len>>8), byte(l4Len))
}

// Super returns p as a superpacket with NEEDS_CSUM that stands for segments with size
// bytes of payload each.
func (p Packet) Super(size int) (pkts.VnetHdr, []byte) {
	b := p.Bytes()
	packet.Fix(b, packet.FixPartial)
	return packet.DeriveVnet(b, uint16(size)), b
}
