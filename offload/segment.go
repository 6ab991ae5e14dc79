package offload

import (
	"io"
	"iter"
)

// Segmenter cuts a superpacket into the segments it stands for, byte for byte
// as Linux does (tcp_gso_segment, __udp_gso_segment, skb_checksum_help; Linux
// 6.12). The zero value is ready; Reset starts it on a superpacket, and it can
// be reused for any number of them. It is not safe for concurrent use.
type Segmenter struct {
	pkt    []byte // the superpacket, borrowed
	hdr    []byte // an inner segment's headers, ours; ID, sequence number and checksums are zero
	layout        // of the superpacket, and of its segments
	size   int    // payload bytes of every segment but the last
	n, i   int    // segments in all, and produced

	// If not split, pkt is the one segment and its checksum is completed over
	// pkt[csumStart:] into pkt[csumAt:], unless csumAt is zero.
	split             bool
	csumStart, csumAt int

	// What every inner segment's sums share: all but ID, sequence number, payload.
	ipSum    uint32
	l4Sum    uint16
	id       uint16
	seq      uint32
	tcpFlags uint8
}

// Reset validates the superpacket (h, pkt) and makes its segments the next to
// be produced. All validation is here: it returns one of the package's Err
// values, the first in V4's order, and then the Segmenter is empty; with
// nil no segment can fail but for a caller's short buffer.
//
// pkt starts with the IP header, its length is the slice's: IP and UDP length
// fields are not read (S1), nor is HdrLen (V3). pkt is borrowed until the last
// segment is produced or Reset is called again. Reset only reads it.
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
	l, err := checkGSO(h, pkt)
	if err != nil {
		return err
	}
	s.pkt, s.layout = pkt, l
	payload := len(pkt) - s.hdrLen
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
	s.hdr = append(hdr, pkt[:s.hdrLen]...)
	s.prepare(h.Flags&NeedsCsum != 0)
	return nil
}

// checkGSO applies V4 to a superpacket with a GSO type.
func checkGSO(h VnetHdr, pkt []byte) (layout, error) {
	var version int
	proto, csumOffset := uint8(protoTCP), uint16(tcpCsumOffset)
	switch h.GSOType {
	case GSOTCPv4, GSOTCPv4 | GSOECN:
		version = 4
	case GSOTCPv6, GSOTCPv6 | GSOECN:
		version = 6
	case GSOUDPL4:
		proto, csumOffset = protoUDP, udpCsumOffset
	default:
		return layout{}, ErrGSOType
	}
	if h.GSOSize == 0 || h.GSOSize == gsoByFrags {
		return layout{}, ErrGSOSize
	}
	partial := h.Flags&NeedsCsum != 0
	if proto == protoUDP && !partial {
		return layout{}, ErrNoCsum
	}
	if len(pkt) > maxPacketLen {
		return layout{}, ErrTooLong
	}
	l, err := parseIP(pkt)
	if err != nil {
		return layout{}, err
	}
	if l.version == 0 || version != 0 && l.version != version || l.proto != proto {
		return layout{}, ErrProtocol
	}
	l4 := pkt[l.l4Off:]
	n, ok := l4HdrLen(l4, proto)
	if !ok {
		return layout{}, ErrL4Header
	}
	if partial && int(h.CsumStart) != l.l4Off {
		return layout{}, ErrCsumStart
	}
	if partial && h.CsumOffset != csumOffset {
		return layout{}, ErrCsumOffset
	}
	if proto == protoUDP && len(l4)-n > maxUDPSegments*int(h.GSOSize) {
		return layout{}, ErrSegments
	}
	l.hdrLen = l.l4Off + n
	return l, nil
}

// prepare makes of the header copy that of an inner segment, but for ID, sequence
// number and checksums, which are zero, and sums it, once for all segments.
//
// L4 checksum (S6): the kernel does not recompute the pseudo-header, it takes
// the old length out of the partial sum and puts the segment's in
// (tcp_gso_segment: delta; __udp_gso_segment: csum16_sub), so that a wrong
// partial sum gives segments wrong by the same amount. Sums are kept modulo
// 0xFFFF; TCP's data offset and UDP's length make every whole sum non-zero, and
// then its folded value is unique, so the order of additions does not matter.
func (s *Segmenter) prepare(partial bool) {
	hdr, l4Off := s.hdr, s.l4Off
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
			seed = uint32(be16(l4[16:])) + neg(uint16(len(s.pkt)-l4Off))
		} else {
			src, dst := addrs(hdr, s.version)
			seed = uint32(PseudoHeaderSum(s.proto, src, dst, 0))
		}
		s.seq, s.tcpFlags = be32(l4[4:]), l4[13]
		putBE32(l4[4:], 0)
		l4[13] &^= tcpCWR | tcpFIN | tcpPSH
		putBE16(l4[16:], 0)
	}
	s.l4Sum = Sum(l4, fold(seed+uint32(l4Len)))
}

// Len returns how many segments are left. It is known before the first (S7).
func (s *Segmenter) Len() int { return s.n - s.i }

// NextLen returns the size in bytes of the next segment, 0 if there is none.
// The first segment is the longest.
func (s *Segmenter) NextLen() int {
	switch {
	case s.i == s.n:
		return 0
	case s.i < s.n-1:
		return len(s.hdr) + s.size
	}
	return len(s.pkt) - s.i*s.size // all of it if it is not split
}

// Next copies the next segment to dst and returns its length. After the last it
// returns io.EOF. A dst shorter than the segment gives io.ErrShortBuffer, and
// nothing is written or consumed. dst must not overlap the superpacket, which
// is only read.
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
	if s.i == 0 || end == len(s.pkt) {
		s.outer(dst, l4Sum)
	} else {
		s.fill(dst, s.ipSum, l4Sum)
	}
	return n, nil
}

// InPlace yields the segments that are left without copying payload: each is a
// slice of the superpacket, whose bytes it overwrites from the front, headers
// written over payload that was yielded before. A yielded segment is the
// caller's, to change as well, until the next is produced; its capacity ends
// with it, so that appending cannot reach the next segment's payload. Stopping
// early leaves the rest to a later InPlace or Next.
func (s *Segmenter) InPlace() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { s.inPlace(yield) } // a literal: inlined, nothing is allocated
}

func (s *Segmenter) inPlace(yield func([]byte) bool) {
	for s.i < s.n {
		if !s.split {
			s.complete(s.pkt)
			yield(s.pkt[:len(s.pkt):len(s.pkt)])
			return
		}
		// Segment i's payload is at len(hdr) + i*size, its header just before.
		off := s.i * s.size
		end := min(off+len(s.hdr)+s.size, len(s.pkt))
		seg := s.pkt[off:end:end]
		l4Sum := uint32(stampSum(seg, s.hdr, s.l4Sum))
		if s.i == 0 || end == len(s.pkt) {
			s.outer(seg, l4Sum)
		} else {
			s.fill(seg, s.ipSum, l4Sum)
		}
		if !yield(seg) {
			return
		}
	}
}

// complete makes seg, the packet, the one segment of what is not split, and counts
// it.
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

// outer makes the first or last segment of seg, as fill does an inner one: it has
// other lengths and flags.
func (s *Segmenter) outer(seg []byte, l4Sum uint32) {
	ipSum := s.ipSum
	longer := uint32(len(seg)) + neg(uint16(len(s.hdr)+s.size))
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
		l4Sum += longer // it is in the header, too
	} else {
		flags := s.tcpFlags & tcpCWR
		if s.i > 0 {
			flags = s.tcpFlags & (tcpFIN | tcpPSH)
		}
		l4[13] |= flags
		l4Sum += uint32(flags)
	}
	s.fill(seg, ipSum, l4Sum)
}

// fill makes seg, which is hdr and the payload of segment i, that segment, and
// counts it: it puts in ID, sequence number and checksums. ipSum and l4Sum are those
// of all the rest.
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
