// SPDX-License-Identifier: MIT

package check

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/model"
)

// A wrong checksum is explained by the error that makes it. Each cause computes the value
// that a program with this error writes. A cause fits if that is the value in the packet.
// The simplest cause comes first. A second one is named if it fits as well, because the
// bytes do not tell the two apart.

// explainer collects the causes of one wrong field.
type explainer struct {
	got  uint16
	fits []string
	all  *[]Cause // takes every cause; nil if nobody asks
}

// value adds a cause that writes v.
func (e *explainer) value(v uint16, text string) {
	if e.all != nil {
		*e.all = append(*e.all, Cause{text, v})
	}
	if v == e.got {
		e.fits = append(e.fits, text)
	}
}

// sum adds a cause that writes the complement of s, a sum, which may be negative.
func (e *explainer) sum(s int, text string) {
	if s < 0 {
		s = s%0xFFFF + 0xFFFF
	}
	e.value(^fold(s), text)
}

// mostCauses is how many causes of one value are named.
const mostCauses = 3

// text returns the causes in words, the simplest first.
func (e *explainer) text() string {
	return strings.Join(e.fits[:min(len(e.fits), mostCauses)], ", or ")
}

// fold returns a sum of 16-bit words in 16 bits.
func fold(s int) uint16 {
	for s > 0xFFFF {
		s = s>>16 + s&0xFFFF
	}
	return uint16(s)
}

func swap(v uint16) uint16 { return v<<8 | v>>8 }

// words returns the sum of all 16-bit words without folding, the carries in the upper
// bits. An odd last byte is the upper half of its word.
func words(parts ...[]byte) (s int) {
	for _, b := range parts {
		for i := 0; i+1 < len(b); i += 2 {
			s += int(binary.BigEndian.Uint16(b[i:]))
		}
		if len(b)%2 == 1 {
			s += int(b[len(b)-1]) << 8
		}
	}
	return s
}

// headerCauses explains a wrong IPv4 header checksum. ecn reports whether the cause is a
// change of the ECN bits, as a known bug made it.
func (p *judged) headerCauses(f *flow, got uint16) (cause string, ecn bool) {
	hdrLen := 4 * int(p.b[0]&15)
	all := words(p.b[:10], p.b[12:hdrLen])
	sum, want := fold(all), ^fold(all)
	e := explainer{got: got, all: p.causes}
	e.value(0, "it was never filled in, or summed over itself")
	if hdrLen > 20 {
		e.sum(words(p.b[:10], p.b[12:20]), fmt.Sprintf("it covers 20 of the %d bytes of the header: the options were left out", hdrLen))
	}
	e.value(sum, "the sum was not complemented")
	e.value(swap(want), "its bytes are swapped")
	carries(&e, all)
	e.sum(all+1<<8, "the TTL was lowered by 1 without updating the checksum")
	e.sum(all+2<<8, "the TTL was lowered by 1, and the checksum was updated in the wrong direction")
	e.sum(all-int(p.u16(2)), "the total length was 0 when it was computed")
	e.sum(all-int(p.u16(4)), "the ID was 0 when it was computed")
	e.sum(all-int(p.u16(4))+int(swap(p.u16(4))), "the bytes of the ID were swapped when it was computed")
	e.sum(all-int(p.u16(2))+int(swap(p.u16(2))), "the bytes of the total length were swapped when it was computed")
	for bits := range 4 {
		if now := int(p.b[1] & 3); bits != now {
			before := len(e.fits)
			e.sum(all-now+bits, fmt.Sprintf("the ECN bits were %02b when it was computed", bits))
			ecn = ecn || before == 0 && len(e.fits) > 0
		}
	}
	if p.u16(6)&0x4000 != 0 {
		e.sum(all-0x4000, "DF was not set when it was computed")
	}
	if l := f.last; l.number > 0 {
		e.sum(all-int(p.u16(4))+int(l.id), fmt.Sprintf("the ID was packet %d's when it was computed", l.number))
		e.sum(all-int(p.u16(2))+l.ipLen&0xFFFF, fmt.Sprintf("the total length was packet %d's when it was computed", l.number))
		if len(e.fits) == 0 {
			e.value(l.ipSum, fmt.Sprintf("it is packet %d's checksum", l.number))
		}
	}
	e.sum(all+words(p.b[hdrLen:]), "it covers the whole packet")
	offByOne(&e, want)
	p.addressCauses(&e, all)
	p.sameError(&e, &f.off[0], all, minus(^got, sum), f.headed)
	return e.text(), ecn
}

// carries adds the errors of folding. all is a sum with its carries.
func carries(e *explainer, all int) {
	if all > 0xFFFF {
		e.value(^uint16(all), "the carries were not added")
		if once := all>>16 + all&0xFFFF; once > 0xFFFF {
			e.value(^uint16(once), "the carry of the carry was not added")
		}
	}
}

// l4Causes explains a wrong checksum of TCP or UDP that should be complete.
func (p *judged) l4Causes(f *flow, c packet.Sum) string {
	e := explainer{got: c.Got, all: p.causes}
	b, at, end := p.b, c.At, c.End
	addresses, proto, n := words(p.Addresses(b)), int(p.Proto), end-p.L4Off
	rest := words(b[p.L4Off:at], b[at+2:end])
	pseudo := addresses + proto + n>>16 + n&0xFFFF
	all := pseudo + rest
	p.translatedPartial(&e, f, proto+n)
	if p.Proto == 6 || p.Version == 6 {
		e.value(0, "it was never filled in, or summed over itself")
	}
	e.value(^c.Partial, "it is the complement of the pseudo-header sum: the payload is not in it")
	e.value(fold(addresses+proto), withoutLength)
	if p.gso || len(b) > 1500 {
		e.value(fold(pseudo+1), "it is only the pseudo-header's sum, one too large")
		e.value(fold(pseudo+0xFFFE), "it is only the pseudo-header's sum, one too small")
	}
	e.sum(rest, "the pseudo-header was not summed")
	e.sum(all+pseudo, "the pseudo-header was summed twice, or the field held the partial checksum while it was summed")
	e.value(fold(all), "the sum was not complemented")
	e.value(swap(c.Want), "its bytes are swapped")
	carries(&e, all)
	e.sum(all-n, "the pseudo-header was summed without the length")
	e.sum(all-proto, "the pseudo-header was summed without the protocol")
	e.sum(all-addresses, "the pseudo-header was summed without the addresses")
	e.sum(all-proto+23-proto, "the pseudo-header had the other protocol, TCP's or UDP's")
	half := len(p.Addresses(b)) / 2
	e.sum(all-words(p.Addresses(b)[half:]), "the pseudo-header was summed without the destination")
	e.sum(all-words(p.Addresses(b)[:half]), "the pseudo-header was summed without the source")
	e.sum(all-n+p.IPLen, "the pseudo-header had the length of the whole packet")
	e.sum(all-n+end-p.PayloadOff, "the pseudo-header had the length of the payload")
	e.sum(all-n+int(swap(uint16(n))), "the length in the pseudo-header had its bytes swapped")
	if p.Extensions > 0 {
		e.sum(all+p.Extensions, "the pseudo-header's length included the extension headers")
		e.sum(all-p.Extensions, "the pseudo-header's length lacked the extension headers")
		e.sum(all-proto+int(b[6]), "the pseudo-header had the type of the first extension header")
	}
	p.spanCauses(&e, c, all)
	p.fieldCauses(&e, f, c, all)
	offByOne(&e, c.Want)
	p.runCauses(&e, &f.run, all)
	p.aheadCauses(&e, f, all)
	p.addressCauses(&e, all)
	p.superpacketCauses(&e, f, n, minus(^c.Got, c.Sum))
	p.sameError(&e, &f.off[1], all, minus(^c.Got, c.Sum), f.checksummed)
	p.portCauses(&e, all)
	return e.text()
}

// leastMerged is the smallest payload of a segment that a network card is expected to merge.
const leastMerged = 256

// withoutLength is the cause that a partial checksum lacks the length, as some network cards
// want it.
const withoutLength = "it is only the pseudo-header's sum, and without the length: the partial checksum was wrong, and was not completed"

// translatedPartial adds the cause that the checksum is the pseudo-header's sum of other
// addresses: from packet to packet it changes only with the length. rest is the sum of the
// pseudo-header's protocol and length.
func (p *judged) translatedPartial(e *explainer, f *flow, rest int) {
	base := minus(e.got, fold(rest))
	if f.baseAt > 0 && f.baseRest != rest {
		e.value(fold(int(f.base)+rest), fmt.Sprintf("like packet %d's it changes only with the length: it is the pseudo-header's sum of other addresses, translated or edited after the capture", f.baseAt))
	}
	f.base, f.baseAt, f.baseRest = base, p.n, rest
}

// lro ends the cause that a network card merged packets.
const lro = "the length was raised without updating the checksum (LRO)"

// offByOne adds the mistake of an update as in RFC 1624 that loses a carry, or adds one
// too many.
func offByOne(e *explainer, want uint16) {
	e.value(fold(int(want)+1), "it is off by one, too large: a carry was lost when it was updated")
	e.value(fold(int(want)+0xFFFE), "it is off by one, too small: a carry was added twice when it was updated")
}

// addressCauses adds an address that was translated without an update of the checksum, or
// with a wrong one, if nothing else fits. Earlier packets show the address.
func (p *judged) addressCauses(e *explainer, all int) {
	if len(e.fits) > 0 {
		return
	}
	half := len(p.Addresses(p.b)) / 2
	for i, name := range [2]string{"source", "destination"} {
		now := p.Addresses(p.b)[i*half : (i+1)*half]
		for _, old := range p.check.seen.addresses {
			if len(old.b) != half || bytes.Equal(old.b, now) {
				continue
			}
			e.sum(all-words(now)+words(old.b), fmt.Sprintf("the %s had another address when it was computed, one of packet %d's (NAT)", name, old.packet))
			e.sum(all-2*words(now)+2*words(old.b), fmt.Sprintf("the %s had another address, one of packet %d's, and the checksum was updated in the wrong direction (NAT)", name, old.packet))
		}
	}
}

// sameError adds an address or a port that was translated without an update, if nothing else
// fits: earlier packets of the flow, of which the latest is last, are off by as much. If one
// was right, no address or port of the flow was translated so.
func (p *judged) sameError(e *explainer, last *offBy, all int, by uint16, right bool) {
	// Of packets with the same sum, such as copies, an equal error shows nothing. Then that of
	// the packet before them does.
	now := offBy{by: by, packet: p.n, sum: fold(all), l4Len: p.end - p.L4Off, otherBy: last.by, otherPacket: last.packet}
	if last.packet > 0 && last.sum == now.sum {
		now.otherBy, now.otherPacket = last.otherBy, last.otherPacket
	}
	if now.otherPacket > 0 && len(e.fits) == 0 && !right {
		e.sum(all+int(now.otherBy), fmt.Sprintf("as much as packet %d's: it looks as if an address or a port had been translated without an update (NAT)", now.otherPacket))
	}
	*last = now
}

// portCauses adds a port that was translated without an update of the checksum, if nothing
// else fits. Earlier packets show the port.
func (p *judged) portCauses(e *explainer, all int) {
	if len(e.fits) > 0 {
		return
	}
	for i, name := range [2]string{"source", "destination"} {
		now := p.b[p.L4Off+2*i : p.L4Off+2*i+2]
		for _, old := range p.check.seen.ports {
			if !bytes.Equal(old.b, now) {
				e.sum(all-words(now)+words(old.b), fmt.Sprintf("the %s had another port when it was computed: %d, as in packet %d (NAT)", name, words(old.b), old.packet))
			}
		}
	}
}

// seen holds the latest different addresses and ports of a capture.
type seen struct{ addresses, ports []sighting }

// sighting is an address or a port, and the first packet that it was seen in.
type sighting struct {
	b      []byte
	packet int
}

// mostSeen bounds how many addresses and ports are remembered. With more, a wrong checksum
// would fit one of them by chance.
const mostSeen = 16

// remember takes the addresses and ports of a packet.
func (s *seen) remember(p *judged) {
	if p.Version == 0 {
		return
	}
	both := p.Addresses(p.b)
	s.addresses = sight(s.addresses, p.n, both[:len(both)/2])
	s.addresses = sight(s.addresses, p.n, both[len(both)/2:])
	if p.PayloadOff > 0 && !p.Fragment {
		s.ports = sight(s.ports, p.n, p.b[p.L4Off:p.L4Off+2])
		s.ports = sight(s.ports, p.n, p.b[p.L4Off+2:p.L4Off+4])
	}
}

// sight adds an address or a port that is new to a list.
func sight(list []sighting, packet int, b []byte) []sighting {
	if slices.ContainsFunc(list, func(s sighting) bool { return bytes.Equal(s.b, b) }) {
		return list
	}
	return append(list[max(0, len(list)-mostSeen+1):], sighting{bytes.Clone(b), packet})
}

// spanCauses adds errors of the bytes that are summed.
func (p *judged) spanCauses(e *explainer, c packet.Sum, all int) {
	b, at, end := p.b, c.At, c.End
	p.past(e, c, all, slices.Concat(b[end:], p.trailer))
	if (end-p.L4Off)%2 == 1 {
		last := int(b[end-1])
		e.sum(all-last<<8, "the odd last byte was not summed")
		e.sum(all-last<<8+last, "the odd last byte was summed as the low half of its word")
	}
	if off := p.PayloadOff; off < end && (end-off) > 1 {
		payload := words(b[off:end])
		e.sum(all-payload+int(swap(fold(payload))), "the payload was summed at an odd offset")
		e.sum(all-payload, "the payload was not summed")
	}
	if p.Proto == 6 && p.PayloadOff > p.L4Off+20 {
		e.sum(all-words(b[p.L4Off+20:p.PayloadOff]), "the TCP options were not summed")
	}
	for _, size := range p.sizes {
		if cut := p.PayloadOff + size; cut < end && size >= leastMerged {
			n := cut - p.L4Off
			e.sum(words(p.Addresses(b))+int(p.Proto)+n+words(b[p.L4Off:at], b[at+2:cut]), fmt.Sprintf("it is right for a packet that ends after the first %d bytes of payload: %s", size, lro))
		}
	}
}

// mostPast is how many first bytes after a packet may be in its checksum: the padding of an
// Ethernet frame and its check sequence are fewer.
const mostPast = 64

// past adds the cause that the checksum covers bytes after the packet's end as well: all of
// rest, or its first bytes.
func (p *judged) past(e *explainer, c packet.Sum, all int, rest []byte) {
	before := len(e.fits)
	for n := len(rest); n > 0 && len(e.fits) == before; n = min(n-1, mostPast) {
		sum := words(rest[:n])
		if (c.End-p.L4Off)%2 == 1 { // the first of them is the second byte of its word
			sum = int(rest[0]) + words(rest[1:n])
		}
		text := fmt.Sprintf("it covers %s past the end of the packet", record.Count(n, "byte"))
		e.sum(all+sum, text)
		e.sum(all+sum+n, text+", and the pseudo-header's length too")
	}
}

// fieldCauses adds fields that had another value when the checksum was computed.
func (p *judged) fieldCauses(e *explainer, f *flow, c packet.Sum, all int) {
	l := f.last
	if p.Proto == 6 {
		now := int(p.b[p.L4Off+13])
		for _, bit := range []struct {
			mask int
			name string
		}{{fin, "FIN"}, {psh, "PSH"}, {ece, "ECE"}, {cwr, "CWR"}} {
			is := "was set"
			if now&bit.mask != 0 {
				is = "was not set"
			}
			e.sum(all-now+(now^bit.mask), bit.name+" "+is+" when it was computed")
		}
		if l.number > 0 {
			e.sum(all-words(p.b[p.L4Off+4:p.L4Off+8])+words(l.seqBytes[:]), fmt.Sprintf("the sequence number was packet %d's when it was computed", l.number))
		}
	}
	if l.number == 0 {
		return
	}
	n := c.End - p.L4Off
	e.sum(all-n+l.l4Len, fmt.Sprintf("the pseudo-header had packet %d's length", l.number))
	if p.Proto == 17 {
		e.sum(all-2*n+2*l.l4Len, fmt.Sprintf("the lengths were packet %d's when it was computed", l.number))
	}
	if l.l4Right != c.Want && l.l4Sum != 0 {
		e.value(l.l4Sum, fmt.Sprintf("it is packet %d's checksum", l.number))
	}
}

// runCauses adds the sequence numbers of earlier segments, if nothing else fits: a superpacket
// was cut, and the checksum computed before the sequence number was written. If the segment
// itself was not captured, the length of the others shows where it began.
func (p *judged) runCauses(e *explainer, r *run, all int) {
	if len(e.fits) > 0 || p.Proto != 6 || !r.follows(p) {
		return
	}
	seq := p.u32(p.L4Off + 4)
	with := func(earlier uint32, text string) {
		old := binary.BigEndian.AppendUint32(nil, earlier)
		e.sum(all-words(p.b[p.L4Off+4:p.L4Off+8])+words(old), text)
	}
	for i := range r.numbers {
		back := len(r.numbers) - i
		with(seq-uint32(back*r.size), fmt.Sprintf("the sequence number was packet %d's when it was computed", r.numbers[i]))
	}
	if r.size < fullSize || len(e.fits) > 0 {
		return
	}
	for back := len(r.numbers) + 1; back <= mostRun; back++ {
		with(seq-uint32(back*r.size), fmt.Sprintf("the sequence number was %d segments of %d bytes lower when it was computed", back, r.size))
	}
}

// aheadCauses adds a sequence number that did not advance, or not far enough, while the
// checksum is right for the one that the segment should have, if nothing else fits.
func (p *judged) aheadCauses(e *explainer, f *flow, all int) {
	l, payload := &f.last, p.end-p.PayloadOff
	if len(e.fits) > 0 || p.Proto != 6 || payload == 0 || payload > l.payload || l.payload < leastMerged {
		return
	}
	seq, size := p.u32(p.L4Off+4), l.payload
	if seq != l.seq && (seq != l.seq+uint32(size) || f.behind != l.number) {
		return
	}
	for k := 1; k <= mostRun && len(e.fits) == 0; k++ {
		should := binary.BigEndian.AppendUint32(nil, seq+uint32(k*size))
		e.sum(all-words(p.b[p.L4Off+4:p.L4Off+8])+words(should), fmt.Sprintf("it is right for a sequence number that is higher by one or more segments of %d bytes: tcp.seq is wrong, as it did not advance", size))
	}
	if len(e.fits) > 0 {
		f.behind = p.n
	}
}

// superpacketCauses adds the pseudo-header's length of a superpacket, which was not changed
// when that was cut, if nothing else fits: by shows the length. Then it is that of several
// segments like this one, or the segment before has the same, or others of the flow had such
// lengths.
func (p *judged) superpacketCauses(e *explainer, f *flow, n int, by uint16) {
	payload, last := p.end-p.PayloadOff, &f.off[1]
	if len(e.fits) > 0 || payload == 0 {
		return
	}
	sizes := []int{payload}
	if f.run.follows(p) && f.run.size > payload {
		sizes = append(sizes, f.run.size) // the last segment may be shorter
	}
	for _, ip := range []int{0, p.L4Off} {
		length := (n + int(by)) % 0xFFFF // of the L4 header and the payload
		more := length - ip - n
		same := last.packet > 0 && last.packet == f.last.number && (last.l4Len+int(last.by))%0xFFFF == length
		whole := slices.ContainsFunc(sizes, func(size int) bool { return f.checksummed && size >= leastMerged && more%size == 0 })
		with := ""
		if ip > 0 {
			with = " with its IP header"
		}
		switch {
		case more < payload:
		case whole, same && last.l4Len != n, f.uncut:
			f.uncut = true
			e.value(e.got, fmt.Sprintf("the pseudo-header had the length %d, as of a superpacket%s: it was not changed when that was cut", length, with))
			return
		case same && f.checksummed: // any mistake in what they have in common gives that too
			e.value(e.got, fmt.Sprintf("as much as packet %d's: the pseudo-header had the length %d of a superpacket, or something else that they share was summed wrongly", last.packet, length))
			return
		}
	}
}

// partialCauses explains a wrong partial checksum: a field that should hold the
// pseudo-header sum.
func (p *judged) partialCauses(f *flow, c packet.Sum) string {
	e := explainer{got: c.Got, all: p.causes}
	n := c.End - p.L4Off
	addresses, proto := words(p.Addresses(p.b)), int(p.Proto)
	pseudo := addresses + proto + n>>16 + n&0xFFFF
	e.value(0, "it was never filled in")
	e.value(c.Want, "it is a complete checksum where the partial one belongs")
	if c.Want == 0 {
		e.value(0xFFFF, "it is a complete checksum where the partial one belongs")
	}
	e.value(^c.Partial, "the pseudo-header sum was complemented")
	e.value(swap(c.Partial), "its bytes are swapped")
	e.value(fold(addresses+proto), "the pseudo-header was summed without the length")
	if pseudo > 0xFFFF {
		e.value(uint16(pseudo), "the carries were not added")
	}
	e.value(fold(addresses+proto+int(swap(uint16(n)))), "the length in the pseudo-header had its bytes swapped")
	e.value(fold(proto+n), "the pseudo-header was summed without the addresses")
	e.value(fold(addresses+n), "the pseudo-header was summed without the protocol")
	e.value(fold(addresses+proto+p.IPLen), "the pseudo-header had the length of the whole packet")
	e.value(fold(addresses+proto+n-(p.PayloadOff-p.L4Off)), "the pseudo-header had the length of the payload")
	if p.hdr.GSOSize > 0 {
		e.value(fold(addresses+proto+p.PayloadOff-p.L4Off+int(p.hdr.GSOSize)), "the pseudo-header had the length of the first segment")
	}
	e.value(fold(pseudo+1), "it is one too large")
	e.value(fold(pseudo+0xFFFE), "it is one too small")
	if p.Extensions > 0 {
		e.value(fold(pseudo+p.Extensions), "the pseudo-header's length included the extension headers")
	}
	if l := f.last; l.number > 0 {
		e.value(fold(addresses+proto+l.l4Len), fmt.Sprintf("the pseudo-header had packet %d's length", l.number))
		e.value(l.l4Sum, fmt.Sprintf("it is packet %d's checksum", l.number))
	}
	return e.text()
}

// off returns by how much a wrong checksum is off, and its cause if one fits.
func off(by uint16, cause string) string {
	s := fmt.Sprintf("off by %04x", by)
	if cause != "" {
		s += ": " + cause
	}
	return s
}

// minus returns a - b in one's complement, from 0 to 0xFFFE.
func minus(a, b uint16) uint16 { return uint16((int(a) - int(b) + 2*0xFFFF) % 0xFFFF) }

// sumOf returns the sum of bytes in 16 bits, as package model has it.
func sumOf(parts ...[]byte) uint16 { return uint16(model.Sum(parts...)) }

// lengthCause explains a wrong length field of the IP header.
func (p *judged) lengthCause(f *flow, got uint16, want int) string {
	e := explainer{got: got}
	e.value(0, "it was never filled in")
	e.value(swap(uint16(want)), "its bytes are swapped")
	if p.Version == 4 {
		e.value(uint16(want-4*int(p.b[0]&15)), "the header is not counted")
	} else {
		e.value(uint16(want+40), "the header is counted")
	}
	if p.PayloadOff > 0 {
		e.value(uint16(len(p.b)-p.PayloadOff), "only the payload is counted")
	}
	if l := f.last; l.number > 0 { // of the same IP version, as the flow is
		of := l.ipLen
		if p.Version == 6 {
			of -= 40
		}
		e.value(uint16(of), fmt.Sprintf("it is packet %d's", l.number))
	}
	return e.text()
}

// udpLengthCause explains a wrong length field of UDP.
func (p *judged) udpLengthCause(f *flow, got uint16, want int) string {
	e := explainer{got: got}
	e.value(0, "it was never filled in")
	e.value(swap(uint16(want)), "its bytes are swapped")
	e.value(uint16(want-8), "the header is not counted")
	e.value(uint16(p.end), "the whole packet is counted")
	if l := f.last; l.number > 0 {
		e.value(uint16(l.l4Len), fmt.Sprintf("it is packet %d's", l.number))
	}
	return e.text()
}
