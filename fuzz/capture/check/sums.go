// SPDX-License-Identifier: MIT

package check

import (
	"strings"

	"tunproof/fuzz/packet"
)

// headerChecksum judges the checksum of the IPv4 header.
func (p *judged) headerChecksum(f *flow) {
	got, want, right := p.headerSum()
	if right {
		f.headed = true
		return
	}
	kind := IPChecksum
	if got == 0 && p.sender() {
		kind = IPChecksumZero // a network card may fill it in
	}
	cause, ecn := p.headerCauses(f, got)
	if !ecn && kind == IPChecksum {
		kind.Like = "" // which is about the ECN bits
	}
	p.found(kind, "ip.checksum", hex16(got), hex16(want), "%s", off(minus(got, want), cause))
}

// headerSum returns the checksum of the IPv4 header and the right value. Both forms of zero
// are right.
func (p *judged) headerSum() (got, want uint16, right bool) {
	got, want = p.u16(10), ^sumOf(p.b[:10], p.b[12:4*int(p.b[0]&15)])
	return got, want, got == want || got == 0xFFFF && want == 0
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
		p.check.Seen.Absent++
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
	kind := L4Checksum
	cause := p.l4Causes(f, c)
	switch {
	case p.sender() && strings.Contains(cause, lro):
		kind = L4ChecksumPrefix
	case p.sender() && strings.Contains(cause, withoutLength):
		kind = L4PartialSender
	}
	p.found(kind, field, hex16(got), hex16(want), "%s", off(minus(got, want), cause))
}

// absent judges a UDP checksum of 0.
func (p *judged) absent(f *flow, field string, want uint16) {
	tunnel := tunnelPort(p.u16(p.L4Off), p.u16(p.L4Off+2)) // which may do without (RFC 6935)
	switch {
	case (p.Version == 4 || tunnel) && want == 0 && f.checksummed:
		p.found(UDPZeroComputed, field, "0000", "ffff", "the checksum computes to 0, and other datagrams of the flow have one")
	case p.Version == 4 || tunnel:
	case want == 0:
		p.found(UDPZero, field, "0000", "ffff", "the checksum computes to 0, which must be written as ffff")
	default:
		p.found(UDPAbsent, field, "0000", hex16(want), "the datagram has no checksum")
	}
}

// partial reports whether the VnetHdr says that the TCP or UDP checksum is partial: with
// NEEDS_CSUM and csum_start at this header. Of a tunnel csum_start is further in, and the
// outer checksum is partial if the VnetHdr says that there is one.
func (p *judged) partial() bool {
	if p.hasVnet && p.hdr.GSOType&packet.GSOTunnels != 0 && p.hdr.Flags&packet.UDPTunnelCsum != 0 {
		return true
	}
	return p.hasVnet && p.hdr.Flags&packet.NeedsCsum != 0 && int(p.hdr.CsumStart) == p.L4Off
}

// partialChecksum judges a field that must hold the pseudo-header sum, of the whole
// packet: what completes it adds the rest.
func (p *judged) partialChecksum(f *flow, c packet.Sum, field string) {
	p.csum = packet.Partial
	if rightPartial(c) {
		p.check.Seen.Partial++
		if p.check.cfg.Wire {
			kind := L4Partial
			kind.Like = "the capture was taken before an offload completed the checksum"
			p.found(kind, field, hex16(c.Got), hex16(c.Want), "it is only the pseudo-header's sum, as the VnetHdr says: an offload still has to complete it")
		}
		return
	}
	kind := NotPartial
	const completed, cleared = "a program that sets NEEDS_CSUM after it completed the checksum", "a program that sets NEEDS_CSUM and clears the field"
	switch {
	case c.Got == 0 && c.Want == 0:
		kind.Like = either(completed, cleared)
	case c.Got == 0:
		kind.Like = cleared
	case c.Got == c.Want:
		kind.Like = completed
	}
	p.found(kind, field, hex16(c.Got), hex16(c.Partial), "%s", off(minus(c.Got, c.Partial), p.partialCauses(f, c)))
}

// rightPartial reports whether a field holds the pseudo-header sum. Both forms of zero are
// right.
func rightPartial(c packet.Sum) bool {
	return c.Got == c.Partial || c.Partial == 0xFFFF && c.Got == 0
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
