package model

import "slices"

// Refusal is the error class of a superpacket that Segment refuses: the first that
// applies (V4).
type Refusal string

func (r Refusal) Error() string { return "model: refused: " + string(r) }

// Segment returns the packets that (h, b) stands for, or a Refusal. It changes
// nothing, and the result shares no memory with b.
func Segment(h VnetHdr, b []byte) ([][]byte, error) {
	p, why := check(h, b)
	switch {
	case why != "":
		return nil, why
	case h.GSOType == gsoNone || len(p.payload) <= int(h.GSOSize):
		return one(h, b), nil
	}
	return split(p, int(h.GSOSize), h.Flags&needsCsum != 0), nil
}

// check applies V4. It returns a packet with a GSO type dissected.
func check(h VnetHdr, b []byte) (packet, Refusal) {
	partial, isUDP := h.Flags&needsCsum != 0, h.GSOType == gsoUDPL4
	base := h.GSOType &^ gsoECN
	switch {
	case h.Flags&rscInfo != 0:
		return packet{}, "RSCInfo"
	case h.GSOType == gsoNone && partial && (h.CsumStart < 20 || int(h.CsumStart)+int(h.CsumOffset)+2 > len(b)):
		return packet{}, "CsumRange"
	case h.GSOType == gsoNone:
		return packet{}, ""
	case !isUDP && base != gsoTCPv4 && base != gsoTCPv6:
		return packet{}, "GSOType"
	case h.GSOSize == 0 || h.GSOSize == 0xFFFF:
		return packet{}, "GSOSize"
	case isUDP && !partial:
		return packet{}, "NoCsum"
	case len(b) > 65535:
		return packet{}, "TooLong"
	}
	p, why := parse(b)
	switch {
	case why == "IPHeader" || why == "Fragment":
		return p, why
	case p.gsoType != base:
		return p, "Protocol"
	case why != "":
		return p, why
	case partial && int(h.CsumStart) != len(p.ip):
		return p, "CsumStart"
	case partial && int(h.CsumOffset) != p.csumAt:
		return p, "CsumOffset"
	case isUDP && len(p.payload) > 128*int(h.GSOSize):
		return p, "Segments"
	}
	return p, ""
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

// split cuts p into segments of size payload bytes (S1 to S6).
func split(p packet, size int, partial bool) [][]byte {
	pseudo := p.pseudoSum(0)
	if partial {
		oldLen := p.l4Len()
		if p.proto == udp {
			oldLen = get16(p.l4, 4)
		}
		pseudo = get16(p.l4, p.csumAt) + complement(oldLen)
	}
	var segments [][]byte
	for at := 0; at < len(p.payload); at += size {
		end := min(at+size, len(p.payload))
		s, b := p.with(p.payload[at:end])
		if s.version == 4 {
			put16(s.ip, 4, get16(p.ip, 4)+at/size)
		}
		s.setLengths()
		if s.proto == tcp {
			put32(s.l4, 4, get32(p.l4, 4)+at)
			if at > 0 {
				s.l4[13] &^= cwr
			}
			if end < len(p.payload) {
				s.l4[13] &^= fin | psh
			}
		}
		put16(s.l4, s.csumAt, s.finished(fold(pseudo+s.l4Len())))
		segments = append(segments, b)
	}
	return segments
}
