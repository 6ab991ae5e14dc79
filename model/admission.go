// SPDX-License-Identifier: MIT

package model

import "slices"

// Identity is the part of a packet that decides conflicts, read from its bytes alone
// (C4).
type Identity struct {
	version, proto int
	length         int    // by the IP header
	addresses      string // version, source, destination
	flow           string // addresses, protocol and ports
}

// Identify returns the Identity of a packet.
func Identify(b []byte) Identity {
	var id Identity
	n, plain := 40, true
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		id = Identity{4, int(b[9]), get16(b, 2), "4" + string(b[12:20]), ""}
		n, plain = 20, b[0] == 0x45 && !isFragment(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		id = Identity{6, int(b[6]), get16(b, 4) + 40, "6" + string(b[8:40]), ""}
	}
	if plain && (id.proto == tcp || id.proto == udp) && len(b) >= n+4 {
		id.flow = id.addresses + string(rune(id.proto)) + string(b[n:n+4])
	}
	return id
}

// Conflicts reports whether two packets must keep their order (C4).
func (p Identity) Conflicts(q Identity) bool {
	if p.flow != "" && q.flow != "" {
		return p.flow == q.flow
	}
	return p.addresses != "" && p.addresses == q.addresses
}

// admission returns the reason (C1) why a packet is not a candidate, or "".
func admission(cfg Config, b []byte) string {
	id := Identify(b)
	switch {
	case id.addresses == "":
		return "NoAddresses"
	case id.version == 4 && b[0] != 0x45, id.proto != tcp && id.proto != udp:
		return "Header"
	case id.version == 4 && (isFragment(b) || evilBit(b)):
		return "Fragment"
	}
	if _, why := parse(b); why != "" {
		return "Truncated"
	}
	p, _ := parse(cfg.filled(b))
	s, _ := p.with(p.payload) // as Segment would write it
	s.setLengths()
	put16(s.l4, s.csumAt, p.finished(p.pseudoSum(p.l4Len())))
	switch {
	case id.length != len(b), p.proto == udp && get16(p.l4, 4) != p.l4Len():
		return "Length"
	case p.proto == tcp && p.l4[13]&(ack|syn|rst|urg|cwr) != ack:
		return "Flags"
	case len(p.payload) == 0:
		return "Empty"
	case string(p.ip) != string(s.ip):
		return "IPChecksum"
	case string(p.l4) != string(s.l4):
		return "L4Checksum"
	case slices.Contains(cfg.Disabled, p.gsoType):
		return "Disabled"
	}
	return ""
}
