// SPDX-License-Identifier: MIT

package trial

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// partials are the mistakes in a partial checksum.
func partials() []Fault {
	var list []Fault
	for _, f := range []struct {
		name, cause string
		value       func(s *spot) uint16
	}{
		{"never filled in", "never filled in", func(s *spot) uint16 { return 0 }},
		{"complete", "a complete checksum where the partial one belongs", func(s *spot) uint16 { return ^sum(s.pseudo(), s.body()) }},
		{"complemented", "the pseudo-header sum was complemented", func(s *spot) uint16 { return ^sum(s.pseudo()) }},
		{"bytes swapped", "its bytes are swapped", func(s *spot) uint16 { return swapped(sum(s.pseudo())) }},
		{"without the length", "without the length", func(s *spot) uint16 { return sum(s.addresses(), word(int(s.Proto))) }},
		{"without the protocol", "without the protocol", func(s *spot) uint16 { return sum(s.addresses(), word(s.length())) }},
		{"without the addresses", "without the addresses", func(s *spot) uint16 { return sum(word(int(s.Proto)), word(s.length())) }},
		{"length of the whole packet", "the length of the whole packet", func(s *spot) uint16 { return sum(s.addresses(), word(int(s.Proto)), word(s.end)) }},
		{"length of the payload", "the length of the payload", func(s *spot) uint16 {
			return sum(s.addresses(), word(int(s.Proto)), word(len(s.payload())))
		}},
		{"length of the first segment", "the length of the first segment", func(s *spot) uint16 {
			return sum(s.addresses(), word(int(s.Proto)), word(s.PayloadOff-s.L4Off+int(s.hdr.GSOSize)))
		}},
		{"length in the wrong byte order", "the length in the pseudo-header had its bytes swapped", func(s *spot) uint16 {
			return sum(s.addresses(), word(int(s.Proto)), word(int(swapped(uint16(s.length())))))
		}},
		{"a carry lost", "one too small", func(s *spot) uint16 { return sum(s.pseudo()) - 1 }},
		{"a carry too many", "one too large", func(s *spot) uint16 { return sum(s.pseudo()) + 1 }},
	} {
		list = append(list, Fault{Name: "partial checksum: " + f.name, Cause: f.cause, Plant: func(r *rand.Rand, t *Traffic) []Want {
			s := find(r, t, func(s *spot) bool {
				return s.vnet && s.hdr.Flags&1 != 0 && (s.hdr.GSOType != 0 || f.cause != "the length of the first segment") && s.PayloadOff > 0 && int(s.hdr.CsumStart) == s.L4Off && f.value(s) != s.u16(s.sumAt())
			})
			if s == nil {
				return nil
			}
			s.put(s.sumAt(), f.value(s))
			return s.want(s.l4("checksum"), check.NotPartial)
		}})
	}
	return append(list, Fault{Name: "partial checksum: not completed, or completed twice", Cause: "not completed, or it was completed twice", Plant: func(r *rand.Rand, t *Traffic) []Want {
		s := find(r, t, func(s *spot) bool { return t.Config.Wire && complete(s) && wrongOr(sum(s.pseudo()), s.u16(s.sumAt())) })
		if s == nil {
			return nil
		}
		s.put(s.sumAt(), sum(s.pseudo()))
		return s.want(s.l4("checksum"), check.L4Partial)
	}})
}

// wrongOr reports whether a partial checksum can be told from the right complete one, and
// from none.
func wrongOr(partial, right uint16) bool {
	return partial != right && partial != 0 && partial != 0xFFFF
}

// header returns the IPv4 header, with the checksum field zero.
func (s *spot) header() []byte {
	b := slices.Clone(s.b[:4*int(s.b[0]&15)])
	b[10], b[11] = 0, 0
	return b
}

// asHeader returns the checksum of an IPv4 header in which a field had other bytes.
func (s *spot) asHeader(at int, v ...byte) uint16 {
	b := s.header()
	copy(b[at:], v)
	return ^sum(b)
}

// headers are the mistakes in the checksum of the IPv4 header.
func headers() []Fault {
	var list []Fault
	always := func(s *spot) bool { return true }
	after4 := func(s *spot) bool { return s.prev != nil }
	for _, f := range []struct {
		name, cause string
		fits        func(s *spot) bool
		value       func(s *spot) uint16
	}{
		{"never filled in", "never filled in", func(s *spot) bool { return s.vnet || s.t.Config.Wire }, func(s *spot) uint16 { return 0 }},
		{"options left out", "the options were left out", func(s *spot) bool { return s.b[0] > 0x45 }, func(s *spot) uint16 { return ^sum(s.header()[:20]) }},
		{"not complemented", "not complemented", always, func(s *spot) uint16 { return sum(s.header()) }},
		{"bytes swapped", "its bytes are swapped", always, func(s *spot) uint16 { return swapped(^sum(s.header())) }},
		{"carries not added", "the carries were not added", always, func(s *spot) uint16 {
			n := uint16(0)
			for b := s.header(); len(b) > 1; b = b[2:] {
				n += binary.BigEndian.Uint16(b)
			}
			return ^n
		}},
		{"TTL lowered without an update", "the TTL was lowered by 1 without updating", always, func(s *spot) uint16 { return s.asHeader(8, s.b[8]+1) }},
		{"TTL lowered, updated the wrong way", "the TTL was lowered by 1, and the checksum was updated in the wrong direction", always, func(s *spot) uint16 { return s.asHeader(8, s.b[8]+2) }},
		{"a carry lost in an update", "off by one", always, func(s *spot) uint16 { return s.u16(10) - 1 }},
		{"computed before the total length", "the total length was 0", always, func(s *spot) uint16 { return s.asHeader(2, 0, 0) }},
		{"computed before the ID", "the ID was 0", func(s *spot) bool { return s.u16(4) != 0 }, func(s *spot) uint16 { return s.asHeader(4, 0, 0) }},
		{"ID in the wrong byte order", "the bytes of the ID were swapped", func(s *spot) bool { return s.b[4] != s.b[5] }, func(s *spot) uint16 { return s.asHeader(4, s.b[5], s.b[4]) }},
		{"total length in the wrong byte order", "the bytes of the total length were swapped", func(s *spot) bool { return s.b[2] != s.b[3] }, func(s *spot) uint16 { return s.asHeader(2, s.b[3], s.b[2]) }},
		{"ECN bits changed afterwards", "the ECN bits were", always, func(s *spot) uint16 { return s.asHeader(1, s.b[1]^3) }},
		{"DF set afterwards", "DF was not set", func(s *spot) bool { return s.b[6]&0x40 != 0 }, func(s *spot) uint16 { return s.asHeader(6, s.b[6]&^0x40) }},
		{"computed with the last packet's ID", "the ID was packet", func(s *spot) bool { return after4(s) && s.prev.u16(4) != 0 && s.prev.u16(4) != s.u16(4) }, func(s *spot) uint16 {
			return s.asHeader(4, s.prev.b[4:6]...)
		}},
		{"computed with the last packet's total length", "the total length was packet", after4, func(s *spot) uint16 { return s.asHeader(2, s.prev.b[2:4]...) }},
		{"computed for an earlier destination (NAT)", "had another address", func(s *spot) bool { return otherAddress(s) != nil }, func(s *spot) uint16 {
			return s.asHeader(16, otherAddress(s)...)
		}},
		{"over the whole packet", "it covers the whole packet", func(s *spot) bool { return s.end > len(s.header()) }, func(s *spot) uint16 {
			return ^sum(s.header(), s.b[len(s.header()):])
		}},
	} {
		list = append(list, Fault{Name: "IPv4 header checksum: " + f.name, Cause: f.cause, Plant: func(r *rand.Rand, t *Traffic) []Want {
			var v uint16
			s := find(r, t, func(s *spot) bool {
				if s.Version != 4 || !packet.HeaderRight(s.b) || !f.fits(s) {
					return false
				}
				v = f.value(s)
				return v != s.u16(10) && !(s.u16(10) == 0 && v == 0xFFFF) && (v != 0 || s.vnet || t.Config.Wire)
			})
			if s == nil {
				return nil
			}
			s.put(10, v)
			return s.want("ip.checksum", check.IPChecksum)
		}})
	}
	return append(list, Fault{Name: "a byte of the IPv4 header changed", Why: "the sum shows by how much it changed, not where", Plant: func(r *rand.Rand, t *Traffic) []Want {
		s := find(r, t, func(s *spot) bool { return s.Version == 4 && packet.HeaderRight(s.b) && s.u16(10) != 0 })
		if s == nil {
			return nil
		}
		s.b[[]int{1, 8}[r.IntN(2)]] ^= 1 << (2 + r.IntN(6))
		return s.want("ip.checksum", check.IPChecksum)
	}})
}

// lengths are mistakes in length fields. What depends on them is computed as the program
// with the mistake does.
func lengths() []Fault {
	var list []Fault
	for _, f := range []struct {
		name, cause string
		fits        func(s *spot) bool
		value       func(s *spot) int
	}{
		{"never filled in", "never filled in", nil, func(s *spot) int { return 0 }},
		{"bytes swapped", "its bytes are swapped", nil, func(s *spot) int { return int(swapped(uint16(s.lengthField()))) }},
		{"without the header", "the header is not counted", func(s *spot) bool { return s.Version == 4 }, func(s *spot) int { return s.end - 4*int(s.b[0]&15) }},
		{"with the header", "the header is counted", func(s *spot) bool { return s.Version == 6 }, func(s *spot) int { return s.end }},
		{"without the extension headers", "the extension headers are not counted", extended, func(s *spot) int { return s.length() }},
		{"the last packet's", "it is packet", func(s *spot) bool { return s.prev != nil && s.prev.Version == s.Version }, func(s *spot) int { return s.prev.lengthField() }},
		{"only the payload of TCP or UDP", "only the payload is counted", nil, func(s *spot) int { return len(s.payload()) }},
		{"too long by one segment", "shorter than this field says", nil, func(s *spot) int { return s.lengthField() + 1448 }},
	} {
		list = append(list, Fault{Name: "IP length: " + f.name, Cause: f.cause, Plant: func(r *rand.Rand, t *Traffic) []Want {
			s := find(r, t, func(s *spot) bool {
				return s.PayloadOff > 0 && s.end == len(s.b) && len(s.b) > 46 && !s.vnet && complete(s) && (f.fits == nil || f.fits(s)) && f.value(s) != s.lengthField() && f.value(s) < 0x10000
			})
			if s == nil {
				return nil
			}
			field, at := "ip.total_length", 2
			if s.Version == 6 {
				field, at = "ip.payload_length", 4
			}
			s.put(at, uint16(f.value(s)))
			packet.Fix(s.b, packet.FixIPCsum)
			kind := check.IPLength
			if s.Version == 4 && s.Proto == 6 && f.value(s) == 0 {
				kind = s.kind(check.IPLengthSender)
			}
			if extended(s) && f.value(s) == s.length() {
				kind = check.IPLengthExtensions
			}
			return s.want(field, kind)
		}})
	}
	for _, f := range []struct {
		name, cause string
		kind        check.Kind
		value       func(s *spot) int
	}{
		{"never filled in", "never filled in", check.UDPLength, func(s *spot) int { return 0 }},
		{"bytes swapped", "its bytes are swapped", check.UDPLength, func(s *spot) int { return int(swapped(uint16(s.length()))) }},
		{"only the payload", "the header is not counted", check.UDPLength, func(s *spot) int { return s.length() - 8 }},
		{"the whole packet", "the whole packet is counted", check.UDPLength, func(s *spot) int { return s.end }},
		{"the last datagram's", "it is packet", check.UDPLength, func(s *spot) int {
			if s.prev == nil {
				return s.length()
			}
			return s.prev.length()
		}},
	} {
		list = append(list, Fault{Name: "UDP length: " + f.name, Cause: f.cause, Plant: func(r *rand.Rand, t *Traffic) []Want {
			var v int
			s := find(r, t, func(s *spot) bool {
				v = f.value(s)
				return s.Proto == 17 && s.PayloadOff > 0 && !s.vnet && complete(s) && v != s.length() && v < 0x10000
			})
			if s == nil {
				return nil
			}
			s.put(s.L4Off+4, uint16(v))
			b := s.body()
			right := ^sum(s.pseudo(), b)
			if right == 0 {
				right = 0xFFFF
			}
			s.put(s.sumAt(), right)
			return s.want("udp.length", f.kind)
		}})
	}
	return list
}

// lengthField returns the length field of the IP header.
func (s *spot) lengthField() int {
	if s.Version == 6 {
		return s.IPLen - 40
	}
	return s.IPLen
}

// vnets are mistakes in VnetHdrs.
func vnets() []Fault {
	var list []Fault
	for _, f := range []struct {
		name, field, kind string
		fits              func(s *spot) bool
		change            func(s *spot)
	}{
		{"without NEEDS_CSUM", "vnet.flags", "vnet-needs-csum", func(s *spot) bool { return s.Proto == 17 }, func(s *spot) { s.hdr.Flags = 0 }},
		{"with RSC_INFO", "vnet.flags", "vnet-rsc-info", nil, func(s *spot) { s.hdr.Flags |= 4 }},
		{"unknown gso_type", "vnet.gso_type", "vnet-type", nil, func(s *spot) { s.hdr.GSOType = 9 }},
		{"gso_type of the other IP version", "vnet.gso_type", "vnet-protocol", func(s *spot) bool { return s.Proto == 6 }, func(s *spot) { s.hdr.GSOType ^= 5 }},
		{"UDP with the ECN bit", "vnet.gso_type", "vnet-ecn", func(s *spot) bool { return s.Proto == 17 }, func(s *spot) { s.hdr.GSOType |= 0x80 }},
		{"gso_size 0", "vnet.gso_size", "vnet-gso-size", nil, func(s *spot) { s.hdr.GSOSize = 0 }},
		{"csum_start too small", "vnet.csum_start", "vnet-csum-start", nil, func(s *spot) { s.hdr.CsumStart -= 2 }},
		{"csum_start as of Ethernet", "vnet.csum_start", "vnet-csum-start", nil, func(s *spot) { s.hdr.CsumStart += 14 }},
		{"csum_offset of the other protocol", "vnet.csum_offset", "vnet-csum-offset", nil, func(s *spot) { s.hdr.CsumOffset = 22 - s.hdr.CsumOffset }},
		{"hdr_len of the whole packet", "vnet.hdr_len", "hdr-len", nil, func(s *spot) { s.hdr.HdrLen = uint16(len(s.b)) }},
		{"hdr_len 0", "vnet.hdr_len", "hdr-len", nil, func(s *spot) { s.hdr.HdrLen = 0 }},
	} {
		list = append(list, Fault{Name: "VnetHdr: " + f.name, Why: "the field says it", Plant: func(r *rand.Rand, t *Traffic) []Want {
			s := find(r, t, func(s *spot) bool { return s.vnet && s.hdr.GSOType != 0 && (f.fits == nil || f.fits(s)) })
			if s == nil {
				return nil
			}
			f.change(s)
			t.Packets[s.at].Comment = pcap.VnetComment(s.hdr)
			kind := slices.IndexFunc(check.Kinds(), func(k check.Kind) bool { return k.Name == f.kind })
			return s.want(f.field, check.Kinds()[kind])
		}})
	}
	return list
}
