// SPDX-License-Identifier: MIT

package offload

import "encoding/binary"

// masks has bit masks in words of eight bytes: for IPv4 and IPv6 headers without
// options, and for the first 16 bytes of a TCP header.
type masks struct{ ip4, ip6, tcp [2]uint64 }

// fixed has a one for each bit of a candidate's headers that Segment copies from the
// first packet to all segments, and a zero for each bit that it sets.
var fixed = newMasks()

func newMasks() masks {
	tcp := allBut(4, 5, 6, 7)   // sequence number
	tcp[13] &^= tcpFIN | tcpPSH // of the flags
	return masks{
		ip4: words(allBut(2, 3, 4, 5, 10, 11)), // total length, ID, checksum
		ip6: words(allBut(4, 5)),               // payload length
		tcp: words(tcp),
	}
}

// allBut returns 16 bytes of ones, with zeros at the given offsets.
func allBut(set ...int) (b [16]byte) {
	for i := range b {
		b[i] = 0xFF
	}
	for _, i := range set {
		b[i] = 0
	}
	return b
}

func words(b [16]byte) [2]uint64 { return [2]uint64{word(b[:]), word(b[8:])} }

func word(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// sameHeaders reports whether the headers of a and b are equal in all that Segment
// copies: versions and header lengths, TOS or traffic class and flow label, the word
// with DF, TTL, protocol, addresses and ports, ACK number, all flags but FIN and PSH,
// window, urgent pointer, options. Both packets have the layout l.
func sameHeaders(a, b []byte, l *layout) bool {
	a, b = a[:l.hdrLen], b[:l.hdrLen]
	var diff uint64
	if l.version == 4 {
		x, y := (*[ipv4HdrLen]byte)(a), (*[ipv4HdrLen]byte)(b)
		diff = (word(x[0:])^word(y[0:]))&fixed.ip4[0] |
			(word(x[8:])^word(y[8:]))&fixed.ip4[1] |
			uint64(be32(x[16:])^be32(y[16:]))
		a, b = a[ipv4HdrLen:], b[ipv4HdrLen:]
	} else {
		x, y := (*[ipv6HdrLen]byte)(a), (*[ipv6HdrLen]byte)(b)
		diff = (word(x[0:])^word(y[0:]))&fixed.ip6[0] |
			(word(x[8:]) ^ word(y[8:])) | (word(x[16:]) ^ word(y[16:])) |
			(word(x[24:]) ^ word(y[24:])) | (word(x[32:]) ^ word(y[32:]))
		a, b = a[ipv6HdrLen:], b[ipv6HdrLen:]
	}
	if l.proto == protoUDP {
		return diff|uint64(be32(a)^be32(b)) == 0 // ports
	}
	x, y := (*[tcpHdrLen]byte)(a), (*[tcpHdrLen]byte)(b)
	diff |= (word(x[0:])^word(y[0:]))&fixed.tcp[0] |
		(word(x[8:])^word(y[8:]))&fixed.tcp[1] |
		uint64(be16(x[18:])^be16(y[18:]))
	for i := tcpHdrLen; i+4 <= len(a) && i+4 <= len(b); i += 4 {
		diff |= uint64(be32(a[i:]) ^ be32(b[i:]))
	}
	return diff == 0
}
