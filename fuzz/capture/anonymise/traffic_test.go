// SPDX-License-Identifier: MIT

package anonymise

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"pgregory.net/rapid"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// bits draws n random bytes. Unlike rapid's own, they have no preference for small values,
// so eight of them are nowhere else, and those of two names differ.
func bits(t *rapid.T, n int, name string) []byte {
	seed := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(name), rapid.Uint64().Draw(t, name)))
	r := rand.NewChaCha8(seed)
	b := make([]byte, n)
	r.Read(b)
	return b
}

// host draws an address that identifies a host.
func host(t *rapid.T, v6 bool, name string) netip.Addr {
	if v6 {
		b := [16]byte(bits(t, 16, name))
		b[0] = rapid.SampledFrom([]byte{0x20, 0x2a, 0xfd, 0xfe}).Draw(t, "net")
		if b[0] == 0xfe {
			b[1] = 0x80
		}
		return netip.AddrFrom16(b)
	}
	b := [4]byte(bits(t, 4, name))
	b[0] = rapid.SampledFrom([]byte{192, 10, 172, 8, 100, 198}).Draw(t, "net")
	return netip.AddrFrom4(b)
}

// path is two hosts, of IPv4 and IPv6.
type path struct{ src, dst [2]netip.Addr }

func paths(t *rapid.T) path {
	p := path{[2]netip.Addr{host(t, false, "src"), host(t, true, "src")}, [2]netip.Addr{host(t, false, "dst"), host(t, true, "dst")}}
	for i, dst := range p.dst {
		if dst == p.src[i] {
			p.dst[i] = dst.Next()
		}
	}
	return p
}

// on puts the addresses of the path into b and mends the checksums.
func (p path) on(b []byte) []byte {
	if b[0]>>4 == 4 {
		copy(b[12:], p.src[0].AsSlice())
		copy(b[16:], p.dst[0].AsSlice())
	} else {
		copy(b[8:], p.src[1].AsSlice())
		copy(b[24:], p.dst[1].AsSlice())
	}
	packet.Fix(b, packet.FixL4Csum|packet.FixIPCsum)
	return b
}

// ip returns a packet of any protocol.
func (p path) ip(v6 bool, proto byte, body []byte) []byte {
	b := scenario.TCP4(0).Bytes()[:20]
	if v6 {
		b = scenario.TCP6(0).Bytes()[:40]
		b[6] = proto
	} else {
		b[9] = proto
	}
	b = append(b, body...)
	packet.Fix(b, packet.FixIPLen)
	b = p.on(b)
	if proto == 1 || proto == 58 {
		fixICMP(b)
	}
	return b
}

// rightICMP returns the offset of an ICMP checksum and its right value.
func rightICMP(b []byte) (at int, right uint16) {
	at = 20
	var pseudo []byte
	if b[0]>>4 == 6 {
		at = 40
		pseudo = append(slices.Clone(b[8:40]), 0, 0, byte((len(b)-40)>>8), byte(len(b)-40), 0, 58)
	}
	data := append(pseudo, b[at:]...)
	data[len(pseudo)+2], data[len(pseudo)+3] = 0, 0
	sum := 0
	for i, v := range data {
		sum += int(v) << (8 * (1 - i%2))
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	return at + 2, ^uint16(sum)
}

func fixICMP(b []byte) {
	at, right := rightICMP(b)
	binary.BigEndian.PutUint16(b[at:], right)
}

// fragments cuts a packet into fragments.
func fragments(b []byte, size int) [][]byte {
	var list [][]byte
	head := 20
	if b[0]>>4 == 6 {
		head = 40
	}
	for at := head; at < len(b); at += size {
		end := min(at+size, len(b))
		more := 0
		if end < len(b) {
			more = 1
		}
		f := slices.Clone(b[:head])
		if head == 20 {
			binary.BigEndian.PutUint16(f[6:], uint16(more<<13|(at-head)/8))
		} else {
			f[6] = 44
			f = append(f, b[6], 0, byte((at-head)>>8), byte(at-head)|byte(more), 1, 2, 3, 4)
		}
		f = append(f, b[at:end]...)
		packet.Fix(f, packet.FixIPLen|packet.FixIPCsum)
		list = append(list, f)
	}
	return list
}

// secret is a packet and the bytes in it that no copy may have.
type secret struct {
	pcap.Packet
	parts [][]byte
}

// of returns a packet with its secrets: its addresses, and other parts.
func (p path) of(b []byte, parts ...[]byte) secret {
	if len(b) >= 20 && b[0]>>4 == 4 {
		parts = append(parts, b[12:16], b[16:20])
	} else if len(b) >= 40 && b[0]>>4 == 6 {
		parts = append(parts, b[8:24], b[24:40])
	}
	return secret{pcap.Packet{Time: time.Unix(1_700_000_000, 123_456), Data: b}, parts}
}

// secrets draws a packet of any kind, or some fragments.
func (p path) secrets(t *rapid.T) []secret {
	v6 := rapid.Bool().Draw(t, "v6")
	n := rapid.IntRange(8, 80).Draw(t, "payload")
	payload := bits(t, n, "payload")
	q := scenario.TCP4(0)
	q.V6, q.UDP, q.Payload = v6, rapid.Bool().Draw(t, "udp"), payload
	numbers := bits(t, 8, "numbers")
	q.Seq, q.Ack = binary.BigEndian.Uint32(numbers), binary.BigEndian.Uint32(numbers[4:])
	one := func(b []byte, parts ...[]byte) []secret { return []secret{p.of(b, append(parts, payload)...)} }
	icmp := byte(1)
	if v6 {
		icmp = 58
	}
	switch rapid.IntRange(0, 16).Draw(t, "kind") {
	case 0: // IPv4 options: record route, source route, timestamps; or extension headers
		data := bits(t, 16, "option")
		q.IPOptions = slices.Concat([]byte{rapid.SampledFrom([]byte{7, 131, 137, 68, 148}).Draw(t, "option"), 19, rapid.SampledFrom([]byte{4, 8, 20}).Draw(t, "pointer"), 1}, data[:15], []byte{0})
		q.ExtType = rapid.SampledFrom([]byte{0, 43, 60}).Draw(t, "extension")
		q.Extensions = append([]byte{6, 2, 0xC9, 20, 0, 0, 0, 0}, data...)
		if q.ExtType == 43 {
			q.Extensions[2], q.Extensions[3] = 4, rapid.SampledFrom([]byte{0, 1}).Draw(t, "segments left")
		}
		return one(p.on(q.Bytes()), data[:15])
	case 1: // TCP options: MD5, AO, MPTCP, TFO, experiments
		q.UDP = false
		data := bits(t, 16, "option")
		q.Options = slices.Concat([]byte{rapid.SampledFrom([]byte{19, 29, 30, 34, 253, 9}).Draw(t, "option"), 18}, data, []byte{1, 1})
		return one(p.on(q.Bytes()), data)
	case 2: // an ICMP error about a packet of another path
		inner := paths(t).on(q.Bytes())
		return one(p.ip(v6, icmp, slices.Concat([]byte{3, 4, 0, 0, 0, 0, 5, 0}, inner)), p.of(inner).parts...)
	case 3: // an echo request
		return one(p.ip(v6, icmp, slices.Concat([]byte{8, 0, 0, 0, 0, 1, 0, 1}, payload)))
	case 4, 5: // VXLAN, Geneve
		inner := paths(t).on(q.Bytes())
		ethernet := bits(t, 12, "MAC")
		outer := scenario.UDP4(0)
		outer.V6, outer.DstPort = rapid.Bool().Draw(t, "outer v6"), rapid.SampledFrom([]uint16{4789, 6081}).Draw(t, "tunnel")
		outer.Payload = slices.Concat([]byte{8, 0, 0x65, 0x58}, bits(t, 4, "VNI"), ethernet, []byte{8, 0}, inner)
		b := p.on(outer.Bytes())
		return one(b, append(p.of(inner).parts, ethernet)...)
	case 6: // a packet in a packet
		inner := paths(t).on(q.Bytes())
		proto := byte(4)
		if v6 {
			proto = 41
		}
		return one(p.ip(rapid.Bool().Draw(t, "outer v6"), proto, inner), p.of(inner).parts...)
	case 7: // other protocols
		return one(p.ip(v6, rapid.SampledFrom([]byte{2, 47, 50, 51, 88, 103, 112, 132, 136}).Draw(t, "protocol"), payload))
	case 8: // padding
		b := p.on(q.Bytes())
		rest := bits(t, rapid.SampledFrom([]int{4, 9, 20}).Draw(t, "rest"), "rest")
		return one(append(b, rest...), rest)
	case 9, 10: // fragments
		q.Payload = slices.Concat(payload, payload, payload)
		var list []secret
		for _, f := range fragments(p.on(q.Bytes()), rapid.SampledFrom([]int{8, 24, 48}).Draw(t, "size")) {
			list = append(list, p.of(f, payload))
		}
		return list
	case 11: // the header is cut or broken
		b := p.on(q.Bytes())
		switch rapid.IntRange(0, 3).Draw(t, "broken") {
		case 0:
			b = b[:rapid.IntRange(0, q.L4Off()+20).Draw(t, "cut")]
		case 1:
			b[0] = rapid.SampledFrom([]byte{0, 0x41, 0x44, 0x50, 0xFF}).Draw(t, "version")
		case 2:
			b[min(q.L4Off()+12, len(b)-1)] = rapid.SampledFrom([]byte{0, 0x40}).Draw(t, "doff")
		case 3:
			b[6] = rapid.SampledFrom([]byte{0, 43, 44, 60, 58, 99}).Draw(t, "next header, or flags")
		}
		return one(b)
	case 12: // a superpacket, with or without a VnetHdr
		q.Payload = slices.Concat(payload, payload, payload)
		h, b := q.Super(n)
		b = p.on(b)
		packet.Fix(b, packet.FixPartial)
		s := p.of(b, payload)
		name := bits(t, 8, "name")
		if s.Comment = string(name); rapid.Bool().Draw(t, "vnet") {
			s.Comment += "\n" + pcap.VnetComment(h)
		}
		s.parts = append(s.parts, name)
		return []secret{s}
	}
	return one(p.on(q.Bytes()))
}

// window is the length of the pieces that no copy may have.
const window = 8

// leaks returns the parts of a secret that are in a copy: whole addresses, and pieces of
// other parts.
func (s secret) leaks(copies []byte) [][]byte {
	var list [][]byte
	for _, part := range s.parts {
		n := min(len(part), window)
		for at := 0; at+n <= len(part); at++ {
			if bytes.Contains(copies, part[at:at+n]) {
				list = append(list, part[at:at+n])
			}
		}
	}
	return list
}
