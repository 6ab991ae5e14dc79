// SPDX-License-Identifier: MIT

package offload

import (
	"io"
	"iter"
)

// Segmenter cuts a superpacket into the segments that it stands for, byte for byte as
// Linux does (tcp_gso_segment, __udp_gso_segment, skb_checksum_help, Linux 6.12; in a
// tunnel __skb_udp_tunnel_segment, Linux 6.18). The zero value is ready to use. Reset
// starts a Segmenter on a superpacket, any number of times. It is not safe for
// concurrent use.
type Segmenter struct {
	pkt    []byte // the superpacket, borrowed
	hdr    []byte // headers of a middle segment, own memory; ID, sequence number and checksums are zero
	layout        // of the superpacket and its segments; in a tunnel, of the inner packet
	size   int    // payload bytes of every segment but the last
	n, i   int    // number of segments, and of those produced
	edges  int    // number of segments, from the first, that edge makes; it makes the last too

	// If the packet is not split, pkt is its only segment. Its checksum is then
	// computed over pkt[csumStart:] and stored at pkt[csumAt:], unless csumAt is
	// zero.
	split             bool
	csumStart, csumAt int

	// These are common to the middle segments, which are all but the first and the last:
	// the sums are of everything but ID, sequence number and payload.
	ipSum    uint32
	l4Sum    uint16
	id       uint16
	seq      uint32
	tcpFlags uint8

	tunnel tunnel
}

// Reset validates the superpacket (h, pkt) and prepares to produce its segments. It
// does all validation. On error it returns one of the package's Err values, the first
// in the order of rule V4 in docs/rules.md, and the Segmenter is empty. After nil,
// producing a segment can fail only if the caller's buffer is too short.
//
// pkt starts with the IP header, and its length is that of the slice: the IP and UDP
// length fields are not read (S1), nor is HdrLen (V3). A superpacket in a UDP tunnel
// starts with the outer IP header, and its h comes from ParseTunnelVnetHdr: a header of
// VnetHdrLen bytes has no offsets, and gives ErrTunnel. Without a GSO type there is one
// segment, pkt, of any length. pkt is borrowed until the last segment has been produced or
// Reset is called again. Reset only reads it.
func (s *Segmenter) Reset(h VnetHdr, pkt []byte) error {
	hdr := s.hdr[:0]
	*s = Segmenter{hdr: hdr}
	if h.Flags&RSCInfo != 0 {
		return ErrRSCInfo
	}
	if h.GSOType == GSONone {
		if h.Flags&NeedsCsum != 0 {
			at := int(h.CsumStart) + int(h.CsumOffset)
			if h.CsumStart < minNeedsCsumStart || at+2 > len(pkt) {
				return ErrCsumRange
			}
			s.csumStart, s.csumAt = int(h.CsumStart), at
		}
		s.pkt, s.n = pkt, 1
		return nil
	}
	if err := s.checkGSO(h, pkt); err != nil {
		return err
	}
	s.pkt = pkt
	hdrLen := s.tunnel.len + s.hdrLen
	payload := len(pkt) - hdrLen
	if payload <= int(h.GSOSize) {
		s.n = 1
		if h.Flags&NeedsCsum != 0 {
			s.csumStart, s.csumAt = int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)
		}
		return nil
	}
	s.split = true
	s.size = int(h.GSOSize)
	s.n = (payload + s.size - 1) / s.size
	s.edges = 1
	if s.tunnel.len > 0 {
		s.edges = s.n
	}
	s.hdr = append(hdr, pkt[:hdrLen]...)
	s.prepare(h.Flags&NeedsCsum != 0)
	return nil
}

// checkGSO applies V4 to a superpacket with a GSO type, and sets its tunnel and layout.
func (s *Segmenter) checkGSO(h VnetHdr, pkt []byte) error {
	var version, outer int
	proto, csumOffset := uint8(protoTCP), uint16(tcpCsumOffset)
	switch h.GSOType & gsoTunnels {
	case GSOUDPTunnelIPv4:
		outer = 4
	case GSOUDPTunnelIPv6:
		outer = 6
	case gsoTunnels:
		return ErrGSOType
	}
	switch h.GSOType &^ gsoTunnels {
	case GSOTCPv4, GSOTCPv4 | GSOECN:
		version = 4
	case GSOTCPv6, GSOTCPv6 | GSOECN:
		version = 6
	case GSOUDPL4:
		proto, csumOffset = protoUDP, udpCsumOffset
	default:
		return ErrGSOType
	}
	if h.GSOSize == 0 || h.GSOSize == gsoByFrags {
		return ErrGSOSize
	}
	partial := h.Flags&NeedsCsum != 0
	if (proto == protoUDP || outer != 0) && !partial {
		return ErrNoCsum
	}
	if len(pkt) > maxPacketLen {
		return ErrTooLong
	}
	if outer != 0 {
		if err := s.tunnel.parse(h, pkt, outer); err != nil {
			return err
		}
		pkt = pkt[min(s.tunnel.len, len(pkt)):]
	}
	l, err := parseIP(pkt)
	if err != nil {
		return err
	}
	if l.version == 0 || version != 0 && l.version != version || l.proto != proto {
		return ErrProtocol
	}
	l4 := pkt[l.l4Off:]
	n, ok := l4HdrLen(l4, proto)
	if !ok {
		return ErrL4Header
	}
	if partial && int(h.CsumStart) != s.tunnel.len+l.l4Off {
		return ErrCsumStart
	}
	if partial && h.CsumOffset != csumOffset {
		return ErrCsumOffset
	}
	if proto == protoUDP && len(l4)-n > maxUDPSegments*int(h.GSOSize) {
		return ErrSegments
	}
	l.hdrLen = l.l4Off + n
	s.layout = l
	return nil
}

// prepare turns the header copy into the headers of a middle segment, with ID,
// sequence number and checksums zero, and sums it once for all segments.
//
// L4 checksum (S6): the kernel does not recompute the pseudo-header. It subtracts the
// old length from the partial sum and adds the segment's (tcp_gso_segment: delta;
// __udp_gso_segment: csum16_sub). So a wrong partial sum gives segments that are
// wrong by the same amount. Sums are kept modulo 0xFFFF. TCP's data offset and UDP's
// length make every whole sum non-zero, so its folded value is unique and the order
// of the additions does not matter.
func (s *Segmenter) prepare(partial bool) {
	hdr, l4Off := s.hdr[s.tunnel.len:], s.l4Off
	l4 := hdr[l4Off:]
	var seed uint32
	segLen := len(hdr) + s.size
	l4Len := segLen - l4Off
	if s.version == 4 {
		s.id = be16(hdr[4:])
		putBE16(hdr[2:], uint16(segLen))
		putBE16(hdr[4:], 0)
		putBE16(hdr[10:], 0)
		s.ipSum = uint32(Sum(hdr[:l4Off], 0))
	} else {
		putBE16(hdr[4:], uint16(segLen-ipv6HdrLen))
	}
	if s.proto == protoUDP {
		seed = uint32(be16(l4[6:])) + neg(be16(l4[4:]))
		putBE16(l4[4:], uint16(l4Len))
		putBE16(l4[6:], 0)
	} else {
		if partial {
			seed = uint32(be16(l4[16:])) + neg(uint16(len(s.pkt)-s.tunnel.len-l4Off))
		} else {
			src, dst := addrs(hdr, s.version)
			seed = uint32(PseudoHeaderSum(s.proto, src, dst, 0))
		}
		s.seq, s.tcpFlags = be32(l4[4:]), l4[13]
		putBE32(l4[4:], 0)
		l4[13] &^= tcpCWR | tcpFIN | tcpPSH
		putBE16(l4[16:], 0)
	}
	pseudo := fold(seed + uint32(l4Len))
	s.l4Sum = Sum(l4, pseudo)
	if s.tunnel.len > 0 {
		inner := neg(pseudo)
		if s.version == 6 {
			inner += uint32(Sum(hdr[:l4Off], 0))
		}
		s.tunnel.prepare(s.hdr, len(s.hdr)+s.size, len(s.pkt), inner)
	}
}

// Len returns the number of segments left. It is known before the first is produced
// (S7).
func (s *Segmenter) Len() int { return s.n - s.i }

// NextLen returns the size in bytes of the next segment, 0 if there is none. No
// segment is longer than the first.
func (s *Segmenter) NextLen() int {
	switch {
	case s.i == s.n:
		return 0
	case s.i < s.n-1:
		return len(s.hdr) + s.size
	}
	return len(s.pkt) - s.i*s.size // all of pkt if it is not split
}

// Next copies the next segment to dst and returns its length. After the last segment
// it returns io.EOF. If dst is shorter than the segment it returns io.ErrShortBuffer,
// and neither writes nor consumes anything. dst must not overlap the superpacket,
// which is only read.
func (s *Segmenter) Next(dst []byte) (int, error) {
	n := s.NextLen()
	switch {
	case s.i == s.n:
		return 0, io.EOF
	case len(dst) < n:
		return 0, io.ErrShortBuffer
	}
	dst = dst[:n]
	if !s.split {
		copy(dst, s.pkt)
		s.complete(dst)
		return n, nil
	}
	off := len(s.hdr) + s.i*s.size
	end := s.i*s.size + n
	copy(dst, s.hdr)
	l4Sum := uint32(copySum(dst[len(s.hdr):], s.pkt[off:end], s.l4Sum))
	if s.i < s.edges || end == len(s.pkt) {
		s.edge(dst, l4Sum)
	} else {
		s.fill(dst, s.ipSum, l4Sum)
	}
	return n, nil
}

// InPlace yields the remaining segments without copying payload. Each is a slice of
// the superpacket, which is overwritten from the front: headers are written over
// payload that was yielded before. The caller may change a yielded segment, until the
// next is produced. Its capacity ends with it, so appending cannot reach the payload
// of the next segment. After an early stop, a later InPlace or Next produces the
// rest.
func (s *Segmenter) InPlace() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { s.inPlace(yield) } // a literal, to be inlined: nothing is allocated
}

func (s *Segmenter) inPlace(yield func([]byte) bool) {
	for s.i < s.n {
		if !s.split {
			s.complete(s.pkt)
			yield(s.pkt[:len(s.pkt):len(s.pkt)])
			return
		}
		// The payload of segment i is at len(hdr) + i*size, its headers just before
		// it.
		off := s.i * s.size
		end := min(off+len(s.hdr)+s.size, len(s.pkt))
		seg := s.pkt[off:end:end]
		l4Sum := uint32(stampSum(seg, s.hdr, s.l4Sum))
		if s.i < s.edges || end == len(s.pkt) {
			s.edge(seg, l4Sum)
		} else {
			s.fill(seg, s.ipSum, l4Sum)
		}
		if !yield(seg) {
			return
		}
	}
}

// complete makes seg, a copy of an unsplit packet or the packet itself, its only
// segment: it fills in the checksum and advances.
func (s *Segmenter) complete(seg []byte) {
	s.i++
	if s.csumAt == 0 {
		return
	}
	c := Checksum(seg[s.csumStart:], 0)
	if c == 0 {
		c = 0xFFFF // skb_checksum_help: CSUM_MANGLED_0, TCP too
	}
	putBE16(seg[s.csumAt:], c)
}

// outer sets the outer headers of seg, which is hdr and the payload of segment i in a
// tunnel. It returns the inner packet, a slice of seg.
func (s *Segmenter) outer(seg []byte) []byte {
	var longer, innerLens uint32
	if s.i == s.n-1 {
		longer = uint32(len(seg)) + neg(uint16(len(s.hdr)+s.size))
	}
	if s.version == 6 {
		innerLens = 1
	}
	s.tunnel.wrap(seg, s.i, longer, innerLens)
	return seg[s.tunnel.len:]
}

// edge turns seg into the first or last segment, as fill does for a middle one. Its
// lengths and flags differ from those of middle segments. In a tunnel edge makes all
// segments.
func (s *Segmenter) edge(seg []byte, l4Sum uint32) {
	if s.tunnel.len > 0 {
		seg = s.outer(seg)
	}
	ipSum := s.ipSum
	longer := uint32(len(seg)) + neg(uint16(len(s.hdr)-s.tunnel.len+s.size))
	l4 := seg[s.l4Off:]
	if s.version == 4 {
		putBE16(seg[2:], uint16(len(seg)))
		ipSum += longer
	} else {
		putBE16(seg[4:], uint16(len(seg)-ipv6HdrLen))
	}
	l4Sum += longer
	if s.proto == protoUDP {
		putBE16(l4[4:], uint16(len(l4)))
		l4Sum += longer // the UDP header has the length too
	} else {
		flags := uint8(0)
		switch s.i {
		case 0:
			flags = s.tcpFlags & tcpCWR
		case s.n - 1:
			flags = s.tcpFlags & (tcpFIN | tcpPSH)
		}
		l4[13] |= flags
		l4Sum += uint32(flags)
	}
	s.fill(seg, ipSum, l4Sum)
}

// fill turns seg, which is hdr and the payload of segment i, into that segment, and
// advances. It sets ID, sequence number and checksums. ipSum and l4Sum are the sums
// of everything else.
func (s *Segmenter) fill(seg []byte, ipSum, l4Sum uint32) {
	i := s.i
	s.i++
	if s.version == 4 {
		id := s.id + uint16(i)
		ip := (*[ipv4HdrLen]byte)(seg)
		putBE16(ip[4:], id)
		putBE16(ip[10:], ^fold(ipSum+uint32(id)))
	}
	l4 := seg[s.l4Off:]
	if s.proto == protoUDP {
		c := ^fold(l4Sum)
		if c == 0 {
			c = 0xFFFF // 0 would say that there is none (RFC 768)
		}
		putBE16(l4[6:], c)
		return
	}
	seq := s.seq + uint32(i*s.size)
	tcp := (*[tcpHdrLen]byte)(l4)
	putBE32(tcp[4:], seq)
	putBE16(tcp[16:], ^fold(l4Sum+seq>>16+seq&0xFFFF))
}
