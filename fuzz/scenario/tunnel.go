// SPDX-License-Identifier: MIT

package scenario

import (
	"bytes"
	"encoding/binary"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// Tunnel describes the headers around a packet in a VXLAN or Geneve tunnel, or in one
// without a header of its own.
type Tunnel struct {
	Outer   Packet // a UDP packet; its payload and its destination port are not used
	Geneve  bool
	Bare    bool   // the inner packet is right after the UDP header, as with FOU
	Options []byte // of Geneve; a multiple of 4 bytes
	Csum    bool   // the outer UDP header has a checksum
}

// VXLAN returns a tunnel over IPv4 whose outer UDP header has no checksum.
func VXLAN() Tunnel {
	p := UDP4(0)
	p.Src, p.Dst, p.ID, p.Frag = 201, 202, 7000, 0
	return Tunnel{Outer: p}
}

// These are the UDP ports of the tunnels (RFC 7348, RFC 8926).
const (
	portVXLAN  = 4789
	portGeneve = 6081
)

// between returns the tunnel's header and the Ethernet header before an inner packet.
func (t Tunnel) between(inner []byte) []byte {
	if t.Bare {
		return nil
	}
	etherType := uint16(0x0800)
	if len(inner) > 0 && inner[0]>>4 == 6 {
		etherType = 0x86DD
	}
	b := []byte{0x08, 0, 0, 0, 0, 0, 42, 0} // a VXLAN network identifier
	if t.Geneve {
		b = append([]byte{byte(len(t.Options) / 4), 0, 0x65, 0x58, 0, 0, 42, 0}, t.Options...)
	}
	b = append(b, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1)
	return binary.BigEndian.AppendUint16(b, etherType)
}

// Wrap returns a superpacket (h, inner) as one in the tunnel. Offsets that h has are moved
// by the length of the outer headers. The outer lengths are right, and so is the outer
// partial checksum, if there is one.
func (t Tunnel) Wrap(h pkts.VnetHdr, inner []byte) (pkts.VnetHdr, []byte) {
	outer := t.Outer
	outer.UDP, outer.DstPort = true, portVXLAN
	if t.Geneve {
		outer.DstPort = portGeneve
	}
	between := t.between(inner)
	outer.Payload = append(between, inner...)
	b := outer.Bytes()
	packet.Fix(b, packet.FixPartial)
	udpOff := outer.L4Off()
	if t.Csum {
		h.Flags |= packet.UDPTunnelCsum
	} else {
		copy(b[udpOff+6:], []byte{0, 0})
	}
	h.GSOType |= packet.GSOTunnel4
	if outer.V6 {
		h.GSOType ^= packet.GSOTunnels
	}
	h.OuterTHOffset, h.InnerNHOffset = uint16(udpOff), uint16(len(b)-len(inner))
	h.HdrLen += h.InnerNHOffset
	h.CsumStart += h.InnerNHOffset
	return h, b
}

// ZeroSum returns t with a source port for which the outer UDP checksum of the first segment
// of (h, inner) computes to zero. It returns t unchanged if there is no such checksum.
func (t Tunnel) ZeroSum(h pkts.VnetHdr, inner []byte) Tunnel {
	h, b := t.Wrap(h, inner)
	segments, err := model.Segment(model.VnetHdr(h), b)
	if err != nil || !t.Csum {
		return t
	}
	at := int(h.OuterTHOffset)
	t.Outer.SrcPort = uint16(model.Sum(segments[0][at:at+2], segments[0][at+6:at+8]))
	return t
}

// Unwrap returns the packet in a superpacket's tunnel, as a superpacket without a tunnel. It
// returns false if the superpacket is in none, or if its offsets are not in this order:
// outer UDP header, inner IP header, csum_start.
func Unwrap(p Super) (inner Super, ok bool) {
	h := p.Hdr
	at := int(h.InnerNHOffset)
	if h.GSOType&packet.GSOTunnels == 0 || at < int(h.OuterTHOffset)+8 || at > len(p.Data) || int(h.CsumStart) < at {
		return Super{}, false
	}
	h.GSOType &^= packet.GSOTunnels
	h.Flags &^= packet.UDPTunnelCsum
	h.HdrLen -= min(h.HdrLen, h.InnerNHOffset)
	h.CsumStart -= h.InnerNHOffset
	h.OuterTHOffset, h.InnerNHOffset = 0, 0
	return Super{Hdr: h, Data: bytes.Clone(p.Data[at:])}, true
}
