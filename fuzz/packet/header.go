// SPDX-License-Identifier: MIT

package packet

import (
	"encoding/binary"
	"net/netip"
)

// Header has the offsets of the parts of an IP packet, and the values of some fields.
type Header struct {
	Version    int   // 4 or 6; 0 without a complete IP header
	Proto      uint8 // the protocol after the IP header and its extensions
	IPLen      int   // length of the packet by the IP header's length field
	Extensions int   // bytes of IPv6 extension headers
	Fragment   bool  // MF, an offset, or a Fragment header
	L4Off      int   // offset of the TCP or UDP header; 0 if there is none
	PayloadOff int   // offset of its payload; 0 if that header is not complete
}

// Flow is one direction of a TCP or UDP connection. If Proto is 0 it has no ports, and is
// all packets from one address to another.
type Flow struct {
	Version, Proto   uint8
	Src, Dst         [16]byte
	SrcPort, DstPort uint16
}

// Pair returns the flow of all packets between f's addresses, in f's direction.
func (f Flow) Pair() Flow { return Flow{Version: f.Version, Src: f.Src, Dst: f.Dst} }

// Reverse returns the other direction of f.
func (f Flow) Reverse() Flow {
	f.Src, f.Dst, f.SrcPort, f.DstPort = f.Dst, f.Src, f.DstPort, f.SrcPort
	return f
}

// start returns the IP version, the protocol after the IP header and its extensions, and the
// offset of that protocol's header. The version is 0 without a complete IP header, the
// offset 0 if b ends within an extension header.
func start(b []byte) (version int, proto uint8, off int) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		n := 4 * int(b[0]&15)
		if n < 20 || n > len(b) {
			return 0, 0, 0
		}
		return 4, b[9], n
	case len(b) >= 40 && b[0]>>4 == 6:
		n := 40
		proto = b[6]
		for proto == 0 || proto == 43 || proto == 60 {
			if len(b) < n+8 || len(b) < n+8+8*int(b[n+1]) {
				return 6, proto, 0
			}
			proto, n = b[n], n+8+8*int(b[n+1])
		}
		return 6, proto, n
	}
	return 0, 0, 0
}

// Parse returns the Header of b, which may be any bytes.
func Parse(b []byte) Header {
	var h Header
	h.Version, h.Proto, h.L4Off = start(b)
	switch h.Version {
	case 4:
		h.IPLen = int(binary.BigEndian.Uint16(b[2:]))
		frag := binary.BigEndian.Uint16(b[6:])
		h.Fragment = frag&0x3FFF != 0
		if frag&0x1FFF != 0 {
			h.L4Off = 0
		}
	case 6:
		h.IPLen = 40 + int(binary.BigEndian.Uint16(b[4:]))
		if h.L4Off == 0 {
			return h // b ends within an extension header
		}
		h.Extensions = h.L4Off - 40
		h.Fragment = h.Proto == 44
	default:
		return h
	}
	l4Len := 8
	switch {
	case h.Proto != 6 && h.Proto != 17:
		h.L4Off = 0
		return h
	case h.L4Off == 0:
		return h
	case h.Proto == 6 && len(b) < h.L4Off+20:
		return h
	case h.Proto == 6:
		l4Len = 4 * int(b[h.L4Off+12]>>4)
		if l4Len < 20 {
			return h
		}
	}
	if h.L4Off+l4Len <= len(b) {
		h.PayloadOff = h.L4Off + l4Len
	}
	return h
}

// Flow returns the flow of b, whose Header is h. Fragments and packets without ports belong
// to the flow of their pair of addresses. Without addresses the flow is zero.
func (h Header) Flow(b []byte) Flow {
	f := Flow{Version: uint8(h.Version)}
	switch h.Version {
	case 4:
		copy(f.Src[:], b[12:16])
		copy(f.Dst[:], b[16:20])
	case 6:
		copy(f.Src[:], b[8:24])
		copy(f.Dst[:], b[24:40])
	}
	if h.PayloadOff > 0 && !h.Fragment {
		f.Proto = h.Proto
		f.SrcPort = binary.BigEndian.Uint16(b[h.L4Off:])
		f.DstPort = binary.BigEndian.Uint16(b[h.L4Off+2:])
	}
	return f
}

// HasPorts reports whether f has ports, and is not only a pair of addresses.
func (f Flow) HasPorts() bool { return f.Proto != 0 }

// String returns f as text: "TCP 192.0.2.1:1500 > 192.0.2.2:8000".
func (f Flow) String() string {
	end := func(a [16]byte, port uint16) string {
		addr := netip.AddrFrom16(a)
		if f.Version == 4 {
			addr = netip.AddrFrom4([4]byte(a[:4]))
		}
		if f.HasPorts() {
			return netip.AddrPortFrom(addr, port).String()
		}
		return addr.String()
	}
	s := end(f.Src, f.SrcPort) + " > " + end(f.Dst, f.DstPort)
	switch f.Proto {
	case 6:
		return "TCP " + s
	case 17:
		return "UDP " + s
	}
	return s
}
