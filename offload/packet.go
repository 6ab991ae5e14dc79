// SPDX-License-Identifier: MIT

package offload

// Protocol numbers and header constants (RFC 791, 8200, 9293, 768).
const (
	protoHopOpts  = 0
	protoTCP      = 6
	protoUDP      = 17
	protoRouting  = 43
	protoFragment = 44
	protoDstOpts  = 60

	ipv4HdrLen = 20 // without options
	ipv6HdrLen = 40 // without extension headers
	tcpHdrLen  = 20 // without options
	udpHdrLen  = 8

	ipv4MF, ipv4DF, ipv4Evil = 0x2000, 0x4000, 0x8000 // in the word at offset 6
	ipv4OffsetMask           = 0x1FFF

	tcpFIN, tcpSYN, tcpRST, tcpPSH, tcpACK, tcpURG, tcpCWR = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x80

	tcpCsumOffset = 16
	udpCsumOffset = 6

	maxPacketLen      = 65535
	maxUDPSegments    = 128    // UDP_MAX_SEGMENTS, include/linux/udp.h, Linux 6.9
	gsoByFrags        = 0xFFFF // GSO_BY_FRAGS, include/linux/skbuff.h
	minTCPGSOSize     = 8      // TCP_MIN_GSO_SIZE; newer kernels raise a smaller gso_size to it
	minNeedsCsumStart = 20     // nh_min_len, include/linux/virtio_net.h
)

// layout is the positions of the headers in an IP packet.
type layout struct {
	version int // 4 or 6; 0 for anything else
	proto   uint8
	l4Off   int
	hdrLen  int // length of all headers; 0 until the L4 header is known to be complete
}

// gsoType returns the GSOType of a superpacket that has this layout. The protocol is
// TCP or UDP.
func (l *layout) gsoType() GSOType {
	switch {
	case l.proto == protoUDP:
		return GSOUDPL4
	case l.version == 4:
		return GSOTCPv4
	}
	return GSOTCPv6
}

// parseIP finds the L4 header after IPv4 options or IPv6 extension headers, as
// inet_gso_segment and ipv6_gso_pull_exthdrs do (net/ipv4/af_inet.c,
// net/ipv6/ip6_offload.c, Linux 6.12). The first other protocol is the layout's, of
// whatever kind it is. The error is ErrIPHeader for a header that is truncated or
// malformed, and ErrFragment for a fragment. A version that is neither 4 nor 6 is not
// an error here: it fits no GSO type.
func parseIP(pkt []byte) (layout, error) {
	if len(pkt) == 0 {
		return layout{}, ErrIPHeader
	}
	switch pkt[0] >> 4 {
	case 4:
		if len(pkt) < ipv4HdrLen {
			return layout{}, ErrIPHeader
		}
		hdrLen := int(pkt[0]&15) * 4
		if hdrLen < ipv4HdrLen || hdrLen > len(pkt) {
			return layout{}, ErrIPHeader
		}
		if be16(pkt[6:])&(ipv4MF|ipv4OffsetMask) != 0 {
			return layout{}, ErrFragment
		}
		return layout{version: 4, proto: pkt[9], l4Off: hdrLen}, nil
	case 6:
		if len(pkt) < ipv6HdrLen {
			return layout{}, ErrIPHeader
		}
		return walkIPv6(pkt)
	}
	return layout{}, nil
}

// walkIPv6 follows the extension headers after which the kernel can segment. Each of
// them takes at least 8 bytes, so the walk ends.
func walkIPv6(pkt []byte) (layout, error) {
	next, off := pkt[6], ipv6HdrLen
	for {
		switch next {
		case protoHopOpts, protoRouting, protoDstOpts:
			if len(pkt) < off+8 {
				return layout{}, ErrIPHeader
			}
			extLen := 8 * (int(pkt[off+1]) + 1)
			if len(pkt) < off+extLen {
				return layout{}, ErrIPHeader
			}
			next, off = pkt[off], off+extLen
		case protoFragment:
			return layout{}, ErrFragment
		default:
			return layout{version: 6, proto: next, l4Off: off}, nil
		}
	}
}

// l4HdrLen returns the length of the TCP or UDP header at the start of l4. It also
// reports whether the header is complete and a TCP header's data offset is at least 5
// words.
func l4HdrLen(l4 []byte, proto uint8) (n int, ok bool) {
	if proto == protoUDP {
		return udpHdrLen, len(l4) >= udpHdrLen
	}
	if len(l4) < tcpHdrLen {
		return n, false
	}
	n = int(l4[12]>>4) * 4
	return n, n >= tcpHdrLen && n <= len(l4)
}

// addrs returns the source and destination addresses of a packet of the given
// version, whose fixed header must be complete.
func addrs(pkt []byte, version int) (src, dst []byte) {
	if version == 4 {
		return pkt[12:16], pkt[16:20]
	}
	return pkt[8:24], pkt[24:40]
}
