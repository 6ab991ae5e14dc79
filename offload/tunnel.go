// SPDX-License-Identifier: MIT

package offload

// tunnel is the outer headers of a superpacket in a UDP tunnel: an IP header, a UDP
// header, and the tunnel's own, such as VXLAN's or Geneve's with an Ethernet header.
// The inner packet comes after them.
type tunnel struct {
	len     int // bytes of the outer headers; 0 if there is no tunnel
	version int // of the outer IP header
	udpOff  int
	csum    bool // the outer UDP header has a checksum

	// The sums are of everything in the headers of a segment that is not the last, but
	// for the outer ID.
	ipSum, udpSum uint32
	id            uint16
}

// parse applies V4 to the outer headers of a superpacket, which are of a version.
func (t *tunnel) parse(h VnetHdr, pkt []byte, version int) error {
	l, err := parseIP(pkt)
	if err != nil {
		return err
	}
	if l.version != version || l.proto != protoUDP {
		return ErrProtocol
	}
	n, ok := l4HdrLen(pkt[l.l4Off:], protoUDP)
	if !ok {
		return ErrL4Header
	}
	between := int(h.InnerNHOffset) - l.l4Off - n
	if int(h.OuterTHOffset) != l.l4Off || between < 0 || between%2 != 0 {
		return ErrTunnel
	}
	*t = tunnel{len: int(h.InnerNHOffset), version: version, udpOff: l.l4Off, csum: h.Flags&UDPTunnelCsum != 0}
	return nil
}

// prepare turns hdr, the headers of the superpacket, into those of a segment that is not
// the last, of segLen bytes, with the outer ID and header checksum zero. oldLen is the
// length of the superpacket. inner is the sum of the inner packet with its checksums.
//
// Outer UDP checksum (S10): as for the inner one, the old length is subtracted from the
// partial sum, and the segment's is added (__skb_udp_tunnel_segment, gso_make_checksum).
// The old length is the superpacket's and not that in the UDP header. TCP or UDP with
// its checksum adds the complement of its pseudo-header's sum, and an IPv4 header adds
// zero, whatever they contain. So all segments of the same length have the same outer
// checksum.
func (t *tunnel) prepare(hdr []byte, segLen, oldLen int, inner uint32) {
	udp := hdr[t.udpOff:]
	putBE16(udp[4:], uint16(segLen-t.udpOff))
	if t.csum {
		t.udpSum = uint32(be16(udp[6:])) + neg(uint16(oldLen-t.udpOff)) + uint32(segLen-t.udpOff) + inner
		putBE16(udp[6:], 0)
		t.udpSum = uint32(Sum(udp[:t.len-t.udpOff], fold(t.udpSum)))
		putBE16(udp[6:], udpChecksum(t.udpSum))
	}
	if t.version == 4 {
		t.id = be16(hdr[4:])
		putBE16(hdr[2:], uint16(segLen))
		putBE16(hdr[4:], 0)
		putBE16(hdr[10:], 0)
		t.ipSum = uint32(Sum(hdr[:t.udpOff], 0))
	} else {
		putBE16(hdr[4:], uint16(segLen-ipv6HdrLen))
	}
}

// wrap sets the outer headers of segment i, which has the headers that prepare made.
// longer is the number of bytes by which the segment is longer than those, in one's
// complement, and 0 for any segment but the last. innerLens is the number of inner IP
// headers that count their length in the outer checksum: 0 or 1.
func (t *tunnel) wrap(seg []byte, i int, longer, innerLens uint32) {
	if longer != 0 {
		udp := seg[t.udpOff:]
		putBE16(udp[4:], uint16(len(udp)))
		if t.csum {
			putBE16(udp[6:], udpChecksum(t.udpSum+longer+longer*innerLens))
		}
		if t.version == 4 {
			putBE16(seg[2:], uint16(len(seg)))
		} else {
			putBE16(seg[4:], uint16(len(seg)-ipv6HdrLen))
		}
	}
	if t.version == 4 {
		id := t.id + uint16(i)
		putBE16(seg[4:], id)
		putBE16(seg[10:], ^fold(t.ipSum+longer+uint32(id)))
	}
}

// udpChecksum returns the checksum that a UDP header has for a sum.
func udpChecksum(sum uint32) uint16 {
	if c := ^fold(sum); c != 0 {
		return c
	}
	return 0xFFFF // 0 would mean that there is none (RFC 768)
}
