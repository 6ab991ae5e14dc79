// Package scenario is the input of a property, as packets, as bytes that an
// engine mutates, and as cases; and packets by description.
package scenario

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/model"
)

// TCP flags.
const (
	FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
)

// Timestamps is the option that Linux puts on every segment, values 1 and 2.
var Timestamps = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}

// Packet describes a TCP or UDP packet. Bytes gives it right lengths and
// checksums; what is to be wrong is changed afterwards.
type Packet struct {
	V6, UDP          bool
	Src, Dst         byte // last byte of the address
	SrcNet, DstNet   byte // its third (IPv4) or eighth byte (IPv6)
	SrcPort, DstPort uint16

	TOS        byte   // IPv4 TOS or IPv6 traffic class
	ID, Frag   uint16 // IPv4; Frag is the word with DF, MF and offset
	TTL        byte   // or hop limit
	Label      uint32 // IPv6
	IPOptions  []byte // IPv4: padded to 4 bytes by the caller
	Extensions []byte // IPv6: whole headers but for the first's type and the last's next header
	ExtType    byte   // the first extension header's type

	Seq, Ack    uint32
	Flags       byte
	Offset      byte // TCP's low nibble of byte 12: reserved bits and AE
	Window, Urg uint16
	Options     []byte // TCP: padded to 4 bytes by the caller

	Payload []byte
}

// TCP4, TCP6, UDP4 and UDP6 return packets that coalesce with their Next.
func TCP4(n int) Packet {
	return Packet{Src: 1, Dst: 2, SrcPort: 1500, DstPort: 8000, ID: 1000, Frag: 0x4000, TTL: 64,
		Seq: 1, Ack: 1, Flags: ACK, Window: 512, Payload: Fill(n, 0)}
}

func TCP6(n int) Packet {
	p := TCP4(n)
	p.V6, p.Label = true, 0x12345
	return p
}

func UDP4(n int) Packet {
	p := TCP4(n)
	p.UDP = true
	return p
}

func UDP6(n int) Packet {
	p := TCP6(n)
	p.UDP = true
	return p
}

// Fill returns n bytes that count up from start.
func Fill(n int, start byte) []byte { return appendFill(make([]byte, 0, n), n, start) }

func appendFill(b []byte, n int, start byte) []byte {
	at := len(b)
	b = slices.Grow(b, n)[:at+n]
	fill := b[at:]
	for i := range min(n, 256) {
		fill[i] = start + byte(i)
	}
	for done := 256; done < n; done *= 2 { // it repeats every 256 bytes
		copy(fill[done:], fill[:done])
	}
	return b
}

// Next returns the packet that follows p, with n payload bytes that go on as
// p's.
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

// L4Off is where the TCP or UDP header starts.
func (p Packet) L4Off() int {
	if p.V6 {
		return 40 + len(p.Extensions)
	}
	return 20 + len(p.IPOptions)
}

// Bytes returns the packet with right lengths and checksums, in the form that
// segmentation writes.
func (p Packet) Bytes() []byte {
	b := p.header()
	Fix(b, FixAll)
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

// ZeroSum returns p with its first payload word such that the L4 checksum
// computes to zero; p itself if its payload is shorter.
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

// Super returns p as a superpacket with NEEDS_CSUM that stands for segments of
// size payload bytes.
func (p Packet) Super(size int) (pkts.VnetHdr, []byte) {
	b := p.Bytes()
	Fix(b, FixPartial)
	return DeriveVnet(b, uint16(size)), b
}

// What Fix puts right.
const (
	FixIPLen   = 1 << iota // IP total or payload length
	FixUDPLen              // UDP length
	FixL4Csum              // TCP or UDP checksum
	FixIPCsum              // IPv4 header checksum
	FixPartial             // instead of the TCP or UDP checksum the pseudo-header's sum
	FixAll     = FixIPLen | FixUDPLen | FixL4Csum | FixIPCsum
)

// Locate finds the L4 header as far as b goes: 0 if there is none.
func Locate(b []byte) (l4Off int, proto byte) {
	if len(b) >= 20 && b[0]>>4 == 4 {
		l4Off, proto = 4*int(b[0]&15), b[9]
	} else if len(b) >= 40 && b[0]>>4 == 6 {
		l4Off, proto = 40, b[6]
		for (proto == 0 || proto == 43 || proto == 60) && l4Off+8 <= len(b) {
			proto, l4Off = b[l4Off], l4Off+8+8*int(b[l4Off+1])
		}
	}
	if l4Off < 20 || proto == 6 && l4Off+18 > len(b) || proto == 17 && l4Off+8 > len(b) || proto != 6 && proto != 17 {
		return 0, 0
	}
	return l4Off, proto
}

// Fix puts right in b what is asked for, as far as b has it.
func Fix(b []byte, what int) {
	l4Off, proto := Locate(b)
	if what&FixIPLen != 0 && len(b) >= 20 && b[0]>>4 == 4 {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	} else if what&FixIPLen != 0 && len(b) >= 40 && b[0]>>4 == 6 {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	}
	if what&FixUDPLen != 0 && proto == 17 {
		binary.BigEndian.PutUint16(b[l4Off+4:], uint16(len(b)-l4Off))
	}
	if what&(FixL4Csum|FixPartial) != 0 && proto != 0 {
		at := l4Off + 16
		if proto == 17 {
			at = l4Off + 6
		}
		addresses := b[12:20]
		if b[0]>>4 == 6 {
			addresses = b[8:40]
		}
		n := len(b) - l4Off
		pseudo := []byte{0, proto, byte(n >> 8), byte(n)}
		binary.BigEndian.PutUint16(b[at:], 0)
		sum := model.Sum(addresses, pseudo)
		if what&FixPartial == 0 {
			sum = 0xFFFF - model.Sum(addresses, pseudo, b[l4Off:])
			if sum == 0 && proto == 17 {
				sum = 0xFFFF
			}
		}
		binary.BigEndian.PutUint16(b[at:], uint16(sum))
	}
	if what&FixIPCsum != 0 && len(b) >= 20 && b[0]>>4 == 4 {
		hdrLen := min(max(20, 4*int(b[0]&15)), len(b))
		binary.BigEndian.PutUint16(b[10:], 0)
		binary.BigEndian.PutUint16(b[10:], uint16(0xFFFF-model.Sum(b[:hdrLen])))
	}
}

// DeriveVnet returns the header that a superpacket b needs, as far as its
// headers say; zero but for size where they do not.
func DeriveVnet(b []byte, size uint16) pkts.VnetHdr {
	l4Off, proto := Locate(b)
	h := pkts.VnetHdr{GSOSize: size}
	switch {
	case proto == 17:
		h.GSOType, h.CsumOffset, h.HdrLen = 5, 6, uint16(l4Off+8)
	case proto == 6:
		h.GSOType, h.CsumOffset, h.HdrLen = 1, 16, uint16(l4Off+4*int(b[l4Off+12]>>4))
		if b[0]>>4 == 6 {
			h.GSOType = 4
		}
	default:
		return h
	}
	h.Flags, h.CsumStart = 1, uint16(l4Off)
	return h
}
