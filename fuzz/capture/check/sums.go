package check

import (
	"tunproof/fuzz/packet"
)

// headerChecksum judges the checksum of the IPv4 header.
func (p *judged) headerChecksum(f *flow) {
	hdrLen := 4 * int(p.b[0]&15)
	sum := sumOf(p.b[:10], p.b[12:hdrLen])
	got, want := p.u16(10), ^sum
	if got == want || got == 0xFFFF && want == 0 {
		return
	}
	kind := IPChecksum
	if got == 0 && !p.hasVnet && !p.check.cfg.Wire {
		kind = IPChecksumZero // a network card may fill it in
	}
	cause, ecn := p.headerCauses(f, got)
	if !ecn && kind == IPChecksum {
		kind.Like = "" // which is about the ECN bits
	}
	p.found(kind, "ip.checksum", hex16(got), hex16(want), "%s", off(minus(^got, sum), cause))
}

// l4Checksum judges the checksum of TCP or UDP.
func (p *judged) l4Checksum(f *flow, name string) {
	c := p.SumOf(p.b, p.end)
	p.csum = c.Class
	p.rightSum = c.Want
	field := name + ".checksum"
	if p.partial() {
		p.partialChecksum(f, c, field)
		return
	}
	got, want := c.Got, c.Want
	switch c.Class {
	case packet.Absent:
		p.absent(f, field, want)
		return
	case packet.Right:
		f.checksummed = true
		return
	case packet.Partial:
		p.check.Seen.Partial++
		if p.check.cfg.Wire {
			p.found(L4Partial, field, hex16(got), hex16(want), "it is only the pseudo-header's sum: the partial checksum was not completed, or it was completed twice")
		}
		return
	}
	p.found(L4Checksum, field, hex16(got), hex16(want), "%s", off(minus(^got, c.Sum), p.l4Causes(f, c)))
}

// absent judges a UDP checksum of 0.
func (p *judged) absent(f *flow, field string, want uint16) {
	switch {
	case p.Version == 4 && want == 0 && f.checksummed:
		p.found(UDPZeroComputed, field, "0000", "ffff", "the checksum computes to 0, and other datagrams of the flow have one")
	case p.Version == 6 && want == 0:
		p.found(UDPZero, field, "0000", "ffff", "the checksum computes to 0, which must be written as ffff")
	case p.Version == 6 && tunnelPort(p.u16(p.L4Off), p.u16(p.L4Off+2)):
		// RFC 6935
	case p.Version == 6:
		p.found(UDPAbsent, field, "0000", hex16(want), "the datagram has no checksum")
	}
}

// partial reports whether the VnetHdr says that the TCP or UDP checksum is partial: with
// NEEDS_CSUM and csum_start at this header. Of a tunnel csum_start is further in.
func (p *judged) partial() bool {
	return p.hasVnet && p.hdr.Flags&packet.NeedsCsum != 0 && int(p.hdr.CsumStart) == p.L4Off
}

// partialChecksum judges a field that must hold the pseudo-header sum, of the whole
// packet: what completes it adds the rest.
func (p *judged) partialChecksum(f *flow, c packet.Sum, field string) {
	p.csum = packet.Partial
	if c.Got == c.Partial || c.Partial == 0xFFFF && c.Got == 0 {
		p.check.Seen.Partial++
		return
	}
	p.found(NotPartial, field, hex16(c.Got), hex16(c.Partial), "%s", off(minus(c.Got, c.Partial), p.partialCauses(f, c)))
}

// tunnelPort reports whether a port is that of VXLAN, Geneve or GTP.
func tunnelPort(ports ...uint16) bool {
	for _, port := range ports {
		if port == 4789 || port == 8472 || port == 6081 || port == 2152 {
			return true
		}
	}
	return false
}
