// SPDX-License-Identifier: MIT

package offload

import "encoding/binary"

// parsed is the result of parsing one packet's headers.
type parsed struct {
	hasAddr bool // key has the addresses
	hasFlow bool // key has the protocol and ports too
	key     flowKey
	layout
}

// parse fills in p, which must be zero. It applies those admission tests (C1) that
// need only the positions of the headers, in the order of the Reasons (C8); verify
// applies the others. It only reads pkt.
func (p *parsed) parse(pkt []byte) Reason {
	if len(pkt) == 0 {
		return NoAddresses
	}
	switch pkt[0] >> 4 {
	case 4:
		if len(pkt) < ipv4HdrLen {
			return NoAddresses
		}
		p.hasAddr = true
		p.key.srcHi = binary.BigEndian.Uint64(pkt[12:])
		p.version, p.proto, p.l4Off = 4, pkt[9], ipv4HdrLen
		if pkt[0] != 0x45 || p.proto != protoTCP && p.proto != protoUDP {
			return Header
		}
		frag := be16(pkt[6:])
		if frag&(ipv4MF|ipv4OffsetMask) != 0 {
			return Fragment
		}
		p.setFlow(pkt)
		if frag&ipv4Evil != 0 {
			return Fragment
		}
	case 6:
		if len(pkt) < ipv6HdrLen {
			return NoAddresses
		}
		p.hasAddr = true
		p.key.srcHi, p.key.srcLo = binary.BigEndian.Uint64(pkt[8:]), binary.BigEndian.Uint64(pkt[16:])
		p.key.dstHi, p.key.dstLo = binary.BigEndian.Uint64(pkt[24:]), binary.BigEndian.Uint64(pkt[32:])
		p.key.ports = ipv6Ports
		p.version, p.proto, p.l4Off = 6, pkt[6], ipv6HdrLen
		if p.proto != protoTCP && p.proto != protoUDP {
			return Header
		}
		p.setFlow(pkt)
	default:
		return NoAddresses
	}
	l4 := pkt[p.l4Off:]
	n, ok := l4HdrLen(l4, p.proto)
	if !ok {
		return Truncated
	}
	p.hdrLen = p.l4Off + n
	return Joined
}

// setFlow completes the key if the packet reaches to the ports.
func (p *parsed) setFlow(pkt []byte) {
	if len(pkt) >= p.l4Off+4 {
		p.hasFlow = true
		p.key.ports |= uint64(p.proto)<<32 | uint64(be32(pkt[p.l4Off:]))
	}
}

// verify applies the rest of C1 to a packet whose headers are complete.
//
// Checksums must be as Segment writes them. The folded sum of data that is not all
// zero is never 0. So Segment never writes 0xFFFF as an IPv4 header checksum, nor as
// the TCP checksum of a segment that it cut; in UDP it writes 0xFFFF instead of 0. A
// right checksum has two forms, and only that one comes back from Segment.
func (c *Coalescer) verify(pkt []byte, p *parsed) Reason {
	l4 := pkt[p.l4Off:]
	v4, udp := p.version == 4, p.proto == protoUDP
	ipLen := int(be16(pkt[4:])) + ipv6HdrLen
	if v4 {
		ipLen = int(be16(pkt[2:]))
	}
	switch {
	case ipLen != len(pkt), udp && int(be16(l4[4:])) != len(l4):
		return Length
	case !udp && l4[13]&(tcpACK|tcpSYN|tcpRST|tcpURG|tcpCWR) != tcpACK:
		return FlagBits
	case len(pkt) == p.hdrLen:
		return Empty
	case v4 && (be16(pkt[10:]) == 0xFFFF || sumIPv4(pkt) != 0xFFFF):
		return IPChecksum
	case !c.l4SumFits(l4, p):
		return L4Checksum
	case c.cfg.disabled(p.gsoType()):
		return Disabled
	}
	return Joined
}

// l4SumFits reports whether the L4 checksum is right and in the form that Segment
// writes, or may be absent.
func (c *Coalescer) l4SumFits(l4 []byte, p *parsed) bool {
	switch {
	case p.proto == protoUDP && be16(l4[6:]) == 0:
		return c.mayBeAbsent(&p.layout)
	case p.proto == protoTCP && be16(l4[16:]) == 0xFFFF:
		return false
	}
	c.summed.add(len(l4))
	return Sum(l4, p.key.pseudoHeaderSum(p.proto, len(l4))) == 0xFFFF
}

// mayBeAbsent reports whether a datagram without a checksum is a candidate (C11).
func (c *Coalescer) mayBeAbsent(l *layout) bool {
	return c.cfg.AbsentChecksums && l.version == 4
}
