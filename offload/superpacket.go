// SPDX-License-Identifier: MIT

package offload

// Superpacket is a result of Coalesce: a VnetHdr and one IP packet that stands for
// one or more packets of the batch. It borrows memory of the batch and of the
// Coalescer, and is valid until the next call of Coalesce, Add or Flush.
type Superpacket struct {
	c  *Coalescer
	at int32 // the packet, if there is only one; otherwise the complement of an index in c.wholes
}

// whole is a superpacket of two or more packets.
type whole struct {
	hdr     VnetHdr
	front   []byte // hdr as written to the descriptor, then the rebuilt headers
	skip    int    // bytes of each member that front replaces
	length  int
	members []int
}

// VnetHdr returns the header to write before the packet. It is all zero for a single
// packet of the batch, which passes unchanged (C3).
func (p *Superpacket) VnetHdr() VnetHdr {
	if p.at >= 0 {
		return VnetHdr{}
	}
	return p.c.wholes[^p.at].hdr
}

// Len returns the length in bytes of the IP packet, without the VnetHdr.
func (p *Superpacket) Len() int {
	if p.at >= 0 {
		return len(p.c.pkts[p.at])
	}
	return p.c.wholes[^p.at].length
}

// Packets returns the members as indices into the batch, in their order in the
// superpacket. The slice belongs to the Coalescer and must not be changed.
func (p *Superpacket) Packets() []int {
	if p.at >= 0 {
		return p.c.numbers[p.at : p.at+1 : p.at+1]
	}
	return p.c.wholes[^p.at].members
}

// Buffers appends the pieces of VnetHdr and packet for writev(2) to iov, at most one
// more than there are members. The first piece, with VnetHdr and rebuilt headers, is
// the Coalescer's memory; the others are slices of the borrowed packets. None of them
// may be changed.
func (p *Superpacket) Buffers(iov [][]byte) [][]byte {
	if p.at >= 0 {
		return append(iov, p.c.empty[:], p.c.pkts[p.at])
	}
	w := &p.c.wholes[^p.at]
	iov = append(iov, w.front)
	for _, m := range w.members {
		iov = append(iov, p.c.pkts[m][w.skip:])
	}
	return iov
}

// AppendTo appends the VnetHdr and the packet to dst in one piece, VnetHdrLen + Len() bytes. dst
// must not overlap the batch.
func (p *Superpacket) AppendTo(dst []byte) []byte {
	if p.at >= 0 {
		dst = append(dst, p.c.empty[:]...)
		return append(dst, p.c.pkts[p.at]...)
	}
	w := &p.c.wholes[^p.at]
	dst = append(dst, w.front...)
	for _, m := range w.members {
		dst = append(dst, p.c.pkts[m][w.skip:]...)
	}
	return dst
}

// finish turns the finished runs into superpackets.
func (c *Coalescer) finish() []Superpacket {
	c.wholes, c.members, c.hdrs = c.wholes[:0], c.members[:0], c.hdrs[:0]
	if len(c.runs) == 0 {
		return c.supers
	}
	for i := range c.supers {
		p := &c.supers[i]
		if p.at >= 0 {
			continue
		}
		r := &c.runs[^p.at]
		if r.n == 1 {
			p.at = r.head
			continue
		}
		n := len(c.wholes)
		p.at = ^int32(n)
		if n == cap(c.wholes) {
			c.wholes = append(c.wholes, whole{})
		}
		c.wholes = c.wholes[:n+1]
		c.build(&c.wholes[n], r)
	}
	return c.supers
}

// build sets w to the superpacket of a run of two or more packets.
func (c *Coalescer) build(w *whole, r *run) {
	start := len(c.members)
	for m := r.head; ; m = c.next[m] {
		c.members = append(c.members, int(m))
		if m == r.tail {
			break
		}
	}
	w.members = c.members[start:len(c.members):len(c.members)]
	w.skip = r.hdrLen
	w.length = r.hdrLen + r.payload
	w.hdr = VnetHdr{
		Flags:      NeedsCsum,
		GSOType:    r.gsoType(),
		HdrLen:     uint16(r.hdrLen),
		GSOSize:    uint16(r.size),
		CsumStart:  uint16(r.l4Off),
		CsumOffset: tcpCsumOffset,
	}
	if r.proto == protoUDP {
		w.hdr.CsumOffset = udpCsumOffset
	}
	at := len(c.hdrs)
	c.hdrs = w.hdr.AppendTo(c.hdrs)
	c.hdrs = append(c.hdrs, c.pkts[r.head][:r.hdrLen]...)
	w.front = c.hdrs[at:len(c.hdrs):len(c.hdrs)]
	rebuild(w.front[VnetHdrLen:], r, w.length, c.pkts[r.tail])
}

// rebuild turns hdr, a copy of the first packet's headers, into the headers of the
// superpacket: it sets the lengths, a right IPv4 header checksum, FIN and PSH of the
// last packet, and the pseudo-header sum for NEEDS_CSUM. The sums of the rest are
// those that extends compares with.
func rebuild(hdr []byte, r *run, length int, last []byte) {
	l4 := hdr[r.l4Off:]
	l4Len := length - r.l4Off
	if r.version == 4 {
		putBE16(hdr[2:], uint16(length))
		putBE16(hdr[10:], ^fold(r.ipSum+uint32(length)+uint32(r.id)))
	} else {
		putBE16(hdr[4:], uint16(l4Len))
	}
	partial := fold(r.l4Sum + uint32(l4Len))
	if r.proto == protoUDP {
		putBE16(l4[4:], uint16(l4Len))
		putBE16(l4[6:], partial)
		return
	}
	l4[13] |= last[r.l4Off+13] & (tcpFIN | tcpPSH) // none of the others has them
	putBE16(l4[16:], partial)
}
