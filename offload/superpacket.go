package offload

// maxHdrLen is the most bytes that a candidate's headers take: IPv6, and TCP with
// options.
const maxHdrLen = ipv6HdrLen + 60

// Superpacket is a result of Coalesce: a VnetHdr and one IP packet that stands for
// one or more packets of the batch. It borrows memory of the batch and of the
// Coalescer, and is valid until the Coalescer's next call.
type Superpacket struct {
	hdr     VnetHdr
	front   []byte // hdr as written to the descriptor, then the rebuilt headers if any
	skip    int    // bytes of each member that front replaces
	length  int
	members []int
	pkts    [][]byte
}

// VnetHdr returns the header to write before the packet. It is all zero for a single
// packet of the batch, which passes unchanged (C3).
func (p *Superpacket) VnetHdr() VnetHdr { return p.hdr }

// Len returns the length in bytes of the IP packet, without the VnetHdr.
func (p *Superpacket) Len() int { return p.length }

// Packets returns the members as indices into the batch, in their order in the
// superpacket. The slice belongs to the Coalescer and must not be changed.
func (p *Superpacket) Packets() []int { return p.members }

// Buffers appends the pieces of VnetHdr and packet for writev(2) to iov, at most one
// more than there are members. The first piece, with VnetHdr and rebuilt headers, is
// the Coalescer's memory; the others are slices of the borrowed packets. None of them
// may be changed.
func (p *Superpacket) Buffers(iov [][]byte) [][]byte {
	iov = append(iov, p.front)
	for _, m := range p.members {
		iov = append(iov, p.pkts[m][p.skip:])
	}
	return iov
}

// AppendTo appends the same bytes to dst in one piece, VnetHdrLen + Len() bytes. dst
// must not overlap the batch.
func (p *Superpacket) AppendTo(dst []byte) []byte {
	dst = append(dst, p.front...)
	for _, m := range p.members {
		dst = append(dst, p.pkts[m][p.skip:]...)
	}
	return dst
}

// zeroVnetHdr is the VnetHdr of every packet that passes unchanged.
const zeroVnetHdr = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// finish turns the finished runs into superpackets.
func (c *Coalescer) finish() []Superpacket {
	last := len(c.supers)
	c.supers = resize(c.supers, len(c.runs))
	if len(c.supers) < last {
		clear(c.supers[len(c.supers):last]) // they refer to packets of the last batch
	}
	c.members = resize(c.members, len(c.pkts))[:0]
	room := VnetHdrLen
	for i := range c.runs {
		if c.runs[i].n > 1 {
			room += VnetHdrLen + maxHdrLen
		}
	}
	c.hdrs = append(resize(c.hdrs, room)[:0], zeroVnetHdr...)
	for i := range c.runs {
		r := &c.runs[i]
		start := len(c.members)
		for m := r.head; m != none; m = c.next[m] {
			c.members = append(c.members, int(m))
		}
		p := &c.supers[i]
		*p = Superpacket{front: c.hdrs[:VnetHdrLen:VnetHdrLen], members: c.members[start:len(c.members):len(c.members)], pkts: c.pkts}
		if r.n == 1 {
			p.length = len(c.pkts[r.head])
			continue
		}
		p.skip = r.hdrLen
		p.length = r.hdrLen + r.payload
		p.hdr = VnetHdr{
			Flags:      NeedsCsum,
			GSOType:    r.gsoType(),
			HdrLen:     uint16(r.hdrLen),
			GSOSize:    uint16(r.size),
			CsumStart:  uint16(r.l4Off),
			CsumOffset: tcpCsumOffset,
		}
		if r.proto == protoUDP {
			p.hdr.CsumOffset = udpCsumOffset
		}
		at := len(c.hdrs)
		c.hdrs = p.hdr.AppendTo(c.hdrs)
		c.hdrs = append(c.hdrs, c.pkts[r.head][:r.hdrLen]...)
		p.front = c.hdrs[at:len(c.hdrs):len(c.hdrs)]
		rebuild(p.front[VnetHdrLen:], r, p.length, c.pkts[r.tail])
	}
	return c.supers
}

// rebuild turns hdr, a copy of the first packet's headers, into the headers of the
// superpacket: it sets the lengths, a right IPv4 header checksum, FIN and PSH of the
// last packet, and the pseudo-header sum for NEEDS_CSUM.
func rebuild(hdr []byte, r *run, length int, last []byte) {
	l4 := hdr[r.l4Off:]
	l4Len := length - r.l4Off
	if r.version == 4 {
		putBE16(hdr[2:], uint16(length))
		putBE16(hdr[10:], 0)
		putBE16(hdr[10:], Checksum(hdr[:ipv4HdrLen], 0))
	} else {
		putBE16(hdr[4:], uint16(l4Len))
	}
	src, dst := addrs(hdr, r.version)
	partial := PseudoHeaderSum(r.proto, src, dst, l4Len)
	if r.proto == protoUDP {
		putBE16(l4[4:], uint16(l4Len))
		putBE16(l4[6:], partial)
		return
	}
	l4[13] |= last[r.l4Off+13] & (tcpFIN | tcpPSH) // none of the others has them
	putBE16(l4[16:], partial)
}
