// SPDX-License-Identifier: MIT

// Package model is the reference for package offload: the rules of docs/rules.md,
// written as plainly as possible and without regard for speed. It shares no code,
// constant or table with offload.
//
// Segment does what the kernel does to a superpacket. Coalesce is its inverse by
// definition: it joins packets, cuts the result and compares whole packets. It does
// not know which fields must be equal.
package model

import "slices"

// VnetHdr is a virtio_net_hdr. The last two fields are for superpackets in tunnels.
type VnetHdr struct {
	Flags, GSOType                         uint8
	HdrLen, GSOSize, CsumStart, CsumOffset uint16
	OuterTHOffset, InnerNHOffset           uint16
}

const (
	needsCsum, rscInfo, tunnelCsum                 = 1, 4, 8
	gsoNone, gsoTCPv4, gsoTCPv6, gsoUDPL4, gsoECN  = 0, 1, 4, 5, 0x80
	gsoTunnel4, gsoTunnel6                         = 0x20, 0x40
	hopByHop, tcp, udp, routing, fragment, dstOpts = 0, 6, 17, 43, 44, 60
	fin, syn, rst, psh, ack, urg, cwr              = 1, 2, 4, 8, 16, 32, 128
)

// packet is a dissected IP packet.
type packet struct {
	version, proto int
	gsoType        uint8  // type of a superpacket of such packets
	ip             []byte // the IP header with its options or extension headers
	l4             []byte // the TCP or UDP header with its options
	csumAt         int    // offset of the checksum in l4
	payload        []byte
}

// parse dissects b, or returns the reason why it cannot. Version and protocol are set
// whenever the IP header is complete, even if the rest is not.
func parse(b []byte) (packet, Refusal) {
	var p packet
	if len(b) > 0 {
		p.version = int(b[0] >> 4)
	}
	n := 0
	switch {
	case len(b) == 0, p.version == 4 && len(b) < 20, p.version == 6 && len(b) < 40:
		return p, "IPHeader"
	case p.version == 4:
		p.proto, p.gsoType, n = int(b[9]), gsoTCPv4, 4*int(b[0]&15)
		if n < 20 || n > len(b) {
			return p, "IPHeader"
		}
	case p.version == 6:
		p.proto, p.gsoType, n = int(b[6]), gsoTCPv6, 40
		for p.proto == hopByHop || p.proto == routing || p.proto == dstOpts {
			if len(b) < n+8 || len(b) < n+8+8*int(b[n+1]) {
				return p, "IPHeader"
			}
			p.proto, n = int(b[n]), n+8+8*int(b[n+1])
		}
	}
	l4Len := 8
	p.ip, p.payload, p.csumAt = b[:n], b[n:], 16
	if p.proto == udp {
		p.csumAt, p.gsoType = 6, gsoUDPL4
	}
	switch {
	case p.version == 4 && isFragment(b), p.version == 6 && p.proto == fragment:
		return p, "Fragment"
	case p.proto == tcp && len(p.payload) < 20:
		return p, "L4Header"
	case p.proto == tcp:
		l4Len = 4 * int(p.payload[12]>>4)
	case p.proto != udp:
		return p, "Protocol"
	}
	if len(p.payload) < l4Len || p.proto == tcp && l4Len < 20 {
		return p, "L4Header"
	}
	p.l4, p.payload = p.payload[:l4Len], p.payload[l4Len:]
	return p, ""
}

// with returns a copy of p with another payload: dissected, and as bytes. The two
// share memory.
func (p packet) with(payload []byte) (packet, []byte) {
	b := slices.Concat(p.ip, p.l4, payload)
	l4Off, hdrLen := len(p.ip), len(p.ip)+len(p.l4)
	p.ip, p.l4, p.payload = b[:l4Off], b[l4Off:hdrLen], b[hdrLen:]
	return p, b
}

func (p packet) l4Len() int { return len(p.l4) + len(p.payload) }

// setLengths sets the IP and UDP length fields and IPv4's header checksum.
func (p packet) setLengths() {
	if p.version == 4 {
		put16(p.ip, 2, len(p.ip)+p.l4Len())
		put16(p.ip, 10, 0)
		put16(p.ip, 10, complement(Sum(p.ip)))
	} else {
		put16(p.ip, 4, len(p.ip)-40+p.l4Len())
	}
	if p.proto == udp {
		put16(p.l4, 4, p.l4Len())
	}
}

// These read an IPv4 header: more fragments or an offset, don't fragment, the evil
// bit.
func isFragment(b []byte) bool   { return get16(b, 6)&0x3FFF != 0 }
func dontFragment(b []byte) bool { return b[6]&0x40 != 0 }
func evilBit(b []byte) bool      { return b[6]&0x80 != 0 }

func get16(b []byte, at int) int    { return int(b[at])<<8 | int(b[at+1]) }
func put16(b []byte, at int, v int) { b[at], b[at+1] = byte(v>>8), byte(v) }
func get32(b []byte, at int) int    { return get16(b, at)<<16 | get16(b, at+2) }
func put32(b []byte, at int, v int) { put16(b, at, v>>16); put16(b, at+2, v) }
