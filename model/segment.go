// SPDX-License-Identifier: MIT

package model

import "slices"

// Refusal is the error class of a superpacket that Segment refuses: the first that
// applies (V4).
type Refusal string

func (r Refusal) Error() string { return "model: refused: " + string(r) }

// Segment returns the packets that (h, b) stands for, or a Refusal. It changes
// nothing, and the result shares no memory with b.
func Segment(h VnetHdr, b []byte) ([][]byte, error) {
	outer, p, why := check(h, b)
	switch {
	case why != "":
		return nil, why
	case h.GSOType == gsoNone || len(p.payload) <= int(h.GSOSize):
		return one(h, b), nil
	}
	pseudo := p.pseudoSum(0)
	if h.Flags&needsCsum != 0 {
		oldLen := p.l4Len()
		if p.proto == udp {
			oldLen = get16(p.l4, 4)
		}
		pseudo = get16(p.l4, p.csumAt) + complement(oldLen)
	}
	segments := split(p, slices.Collect(slices.Chunk(p.payload, int(h.GSOSize))), pseudo)
	if !isTunnel(h) {
		return segments, nil
	}
	between := b[len(outer.ip)+len(outer.l4) : h.InnerNHOffset]
	for i, s := range segments {
		segments[i] = slices.Concat(between, s)
	}
	pseudo = absent
	if h.Flags&tunnelCsum != 0 {
		pseudo = get16(outer.l4, outer.csumAt) + complement(outer.l4Len())
	}
	return split(outer, segments, pseudo), nil
}

func isTunnel(h VnetHdr) bool { return h.GSOType&(gsoTunnel4|gsoTunnel6) != 0 }

// check applies V4. It returns a packet with a GSO type dissected. If that is in a
// tunnel, outer is the packet around it.
func check(h VnetHdr, b []byte) (outer, p packet, why Refusal) {
	partial, isUDP := h.Flags&needsCsum != 0, h.GSOType&^(gsoTunnel4|gsoTunnel6) == gsoUDPL4
	base := h.GSOType &^ (gsoECN | gsoTunnel4 | gsoTunnel6)
	switch {
	case h.Flags&rscInfo != 0:
		return outer, p, "RSCInfo"
	case h.GSOType == gsoNone && partial && (h.CsumStart < 20 || int(h.CsumStart)+int(h.CsumOffset)+2 > len(b)):
		return outer, p, "CsumRange"
	case h.GSOType == gsoNone:
		return outer, p, ""
	case !isUDP && base != gsoTCPv4 && base != gsoTCPv6, h.GSOType&gsoTunnel4 != 0 && h.GSOType&gsoTunnel6 != 0:
		return outer, p, "GSOType"
	case h.GSOSize == 0 || h.GSOSize == 0xFFFF:
		return outer, p, "GSOSize"
	case (isUDP || isTunnel(h)) && !partial:
		return outer, p, "NoCsum"
	case len(b) > 65535:
		return outer, p, "TooLong"
	}
	inner, version := 0, 4
	if isTunnel(h) {
		inner = int(h.InnerNHOffset)
		if h.GSOType&gsoTunnel6 != 0 {
			version = 6
		}
		outer, why = dissect(b, gsoUDPL4, version)
		if why == "" && (int(h.OuterTHOffset) != len(outer.ip) || inner < len(outer.ip)+len(outer.l4) || inner%2 != 0) {
			why = "Tunnel"
		}
		if why != "" {
			return outer, p, why
		}
	}
	p, why = dissect(b[min(inner, len(b)):], base, 0)
	switch {
	case why != "":
		return outer, p, why
	case partial && int(h.CsumStart) != inner+len(p.ip):
		return outer, p, "CsumStart"
	case partial && int(h.CsumOffset) != p.csumAt:
		return outer, p, "CsumOffset"
	case isUDP && len(p.payload) > 128*int(h.GSOSize):
		return outer, p, "Segments"
	}
	return outer, p, ""
}

// dissect parses b, which must be a packet for a GSO type and of an IP version, 0 for
// any.
func dissect(b []byte, gsoType uint8, version int) (packet, Refusal) {
	p, why := parse(b)
	if why != "IPHeader" && why != "Fragment" && (p.gsoType != gsoType || version != 0 && p.version != version) {
		why = "Protocol"
	}
	return p, why
}

// one returns a packet that is not split, with its checksum completed for NEEDS_CSUM
// (S6).
func one(h VnetHdr, b []byte) [][]byte {
	b = slices.Clone(b)
	if h.Flags&needsCsum != 0 {
		c := complement(Sum(b[h.CsumStart:]))
		if c == 0 {
			c = 0xFFFF
		}
		put16(b, int(h.CsumStart)+int(h.CsumOffset), c)
	}
	return [][]byte{b}
}

// absent is the pseudo-header sum of packets that get no checksum.
const absent = -1

// split returns a segment of p for each payload: p's headers and that payload (S2 to
// S6). pseudo is the sum of the pseudo-header, without the length.
func split(p packet, payloads [][]byte, pseudo int) [][]byte {
	var segments [][]byte
	at := 0
	for i, payload := range payloads {
		s, b := p.with(payload)
		if s.version == 4 {
			put16(s.ip, 4, get16(p.ip, 4)+i)
		}
		s.setLengths()
		if s.proto == tcp {
			put32(s.l4, 4, get32(p.l4, 4)+at)
			if i > 0 {
				s.l4[13] &^= cwr
			}
			if i < len(payloads)-1 {
				s.l4[13] &^= fin | psh
			}
		}
		if pseudo != absent {
			put16(s.l4, s.csumAt, s.finished(fold(pseudo+s.l4Len())))
		}
		segments = append(segments, b)
		at += len(payload)
	}
	return segments
}
