// SPDX-License-Identifier: MIT

package scenario

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
)

// Fuzzing engines mutate the byte form of a scenario. Decode is total: it reads any bytes
// as a scenario. Encode is its inverse. The form is made so that small changes of the
// bytes keep packets meaningful. A packet is written as the successor of an earlier
// packet, a few changed bytes (patches), and a set of lengths and checksums to put right
// after the changes (see packet.Fix).
//
//	scenario  version, flags, [limits: switches, 4 x u16], item...
//	item      op, [for a superpacket: VnetHdr or gso_size], [flags of Fix to leave out], then by form:
//	          successor  which: 0 is the packet before
//	          template   kind
//	          copy       which
//	          literal    the constant "literal", length, bytes
//	          batch      nothing; the items after it are in a new batch
//	          then, except for copy and batch, a payload: length, bytes or the first byte of a fill;
//	          then, if "which" or "kind" has its top bit set, patches: count, (offset, value)...
//	length    one byte, or lenWide and three bytes. The length of a payload may also be 0
//	          for the length of the referenced packet's payload, or lenZero for none.
//
// Most bytes, and all zeros, decode to packets that follow each other and have right
// lengths and checksums. An engine that inserts or removes a byte, and so shifts all
// later items, still gets batches that merge.
const (
	codecVersion = 1

	flagSegment, flagReorder, flagAtomic, flagLimits, flagAbsent, flagLong = 1, 2, 4, 8, 16, 128

	offTCP4, offTCP6, offUDP = 1, 2, 4 // bits of the switches, the first byte of the limits

	// op has the form of the packet in its lower half. If the upper half is all ones, the
	// next byte has the flags of Fix to leave out.
	opForm                      = 0x0F
	formSuccessor, formTemplate = 0, 1 // other values are successors, too
	formCopy, formBatch         = 5, 6 // batch only if op is exactly that
	formLiteral                 = 7
	formBytes                   = 8 // added to successor, template or literal: the payload is bytes, not a fill
	opOdd                       = 0xF0

	// The byte after op (and the flags of Fix) is "which" or "kind".
	literal    = 0x4C // required after formLiteral, which is a successor otherwise
	patched    = 0x80 // in other forms: patches follow
	maxPatches = 15
	lenZero    = 0xFE
	lenWide    = 0xFF

	// The byte before a superpacket. If all the bits of vnetOwn are set a VnetHdr follows,
	// else gso_size, and the rest is derived from the packet. If vnetTunnel is set too, the
	// VnetHdr has the offsets of a tunnel.
	vnetOwn, vnetTunnel = 7, 8

	// Without flagLong a scenario ends after shortItems, so that most inputs of an engine
	// run quickly.
	shortItems, maxItems = 8, 4096

	maxFill    = 1 << 18 // bytes of all fills and copies together
	maxHeaders = 256     // bytes that the offset of a patch can reach

	templatePayload = 100
)

// reader reads the bytes of an input, and zeros after its end.
type reader struct{ b []byte }

// u8 reads a byte.
func (r *reader) u8() byte {
	if len(r.b) == 0 {
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// u16 reads a little-endian word.
func (r *reader) u16() int { return int(r.u8()) | int(r.u8())<<8 }

// length reads a length.
func (r *reader) length() int { return r.lengthAfter(r.u8()) }

// lengthAfter reads the rest of a length after its first byte.
func (r *reader) lengthAfter(first byte) int {
	if first != lenWide {
		return int(first)
	}
	return r.u16() | int(r.u8())<<16
}

// payloadLength reads the length of a payload; a first byte of 0 stands for same.
func (r *reader) payloadLength(same int) int {
	switch first := r.u8(); first {
	case 0:
		return same
	case lenZero:
		return 0
	default:
		return r.lengthAfter(first)
	}
}

// take reads n bytes, or fewer at the end of the input.
func (r *reader) take(n int) []byte {
	n = min(n, len(r.b))
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// appendLength appends a length as length reads it.
func appendLength(b []byte, n int) []byte {
	if n < lenZero {
		return append(b, byte(n))
	}
	return append(b, lenWide, byte(n), byte(n>>8), byte(n>>16))
}

// appendPayloadLength appends a length as payloadLength reads it.
func appendPayloadLength(b []byte, n, same int) []byte {
	switch n {
	case same:
		return append(b, 0)
	case 0:
		return append(b, lenZero)
	}
	return appendLength(b, n)
}

// Decode returns the scenario that b encodes. Bytes that do not start with the version
// encode an empty scenario.
func Decode(b []byte) Scenario {
	var s Scenario
	r := &reader{b}
	if r.u8() != codecVersion {
		return s
	}
	flags := r.u8()
	if flags&flagSegment == 0 {
		s.Config = decodeConfig(flags, r)
	}
	fill, most := maxFill, shortItems
	if flags&flagLong != 0 {
		most = maxItems
	}
	for items := 0; len(r.b) > 0 && items < most; items++ {
		op := r.u8()
		if flags&flagSegment != 0 {
			p := Super{}
			form := r.u8()
			derived := form&vnetOwn != vnetOwn
			size := 0
			if derived {
				if size = r.u16(); size == 0 {
					size = templatePayload
				}
			} else {
				p.Hdr = decodeVnet(r)
				if form&vnetTunnel != 0 {
					p.Hdr.OuterTHOffset, p.Hdr.InnerNHOffset = uint16(r.u16()), uint16(r.u16())
				}
			}
			p.Data = decodePacket(op, r, recent(s.Supers), &fill, derived || p.Hdr.Flags&packet.NeedsCsum != 0)
			if derived {
				p.Hdr = packet.DeriveVnet(p.Data, uint16(size))
			}
			s.Supers = append(s.Supers, p)
			continue
		}
		if op == formBatch || len(s.Batches) == 0 {
			s.Batches = append(s.Batches, nil)
		}
		if op != formBatch {
			batch := &s.Batches[len(s.Batches)-1]
			*batch = append(*batch, decodePacket(op, r, *batch, &fill, false))
		}
	}
	return s
}

// decodeConfig reads the configuration.
func decodeConfig(flags byte, r *reader) pkts.Config {
	c := pkts.Config{Reorder: flags&flagReorder != 0, AtomicIDs: flags&flagAtomic != 0, AbsentChecksums: flags&flagAbsent != 0}
	if flags&flagLimits != 0 {
		off := r.u8()
		c.DisableTCPv4, c.DisableTCPv6, c.DisableUDP = off&offTCP4 != 0, off&offTCP6 != 0, off&offUDP != 0
		c.MaxSegments, c.MaxUDPSegments = r.u16()%1023, r.u16()%129
		c.MaxOpen, c.MaxPerFlow = r.u16(), r.u16()%65
	}
	return c
}

// recent returns the packets of the last 256 superpackets: the next one can refer to them.
func recent(supers []Super) [][]byte {
	var packets [][]byte
	for _, p := range supers[max(0, len(supers)-256):] {
		packets = append(packets, p.Data)
	}
	return packets
}

// decodeVnet reads a VnetHdr.
func decodeVnet(r *reader) pkts.VnetHdr {
	return pkts.VnetHdr{Flags: r.u8(), GSOType: r.u8(), HdrLen: uint16(r.u16()), GSOSize: uint16(r.u16()),
		CsumStart: uint16(r.u16()), CsumOffset: uint16(r.u16())}
}

// decodePacket reads the rest of an item, after op and the VnetHdr. before are the packets
// that it can refer to. fill is the number of bytes left for fills and copies. partial
// reports whether Fix writes a partial checksum.
func decodePacket(op byte, r *reader, before [][]byte, fill *int, partial bool) []byte {
	leave := byte(0)
	if op&opOdd == opOdd {
		leave = r.u8()
	}
	form := op & opForm
	which := int(r.u8())
	if form&^formBytes == formLiteral && which != literal {
		form = formSuccessor
	}
	hasPatches := which&patched != 0
	which &^= patched
	isTemplate := form&^formBytes == formTemplate
	if form&^formBytes != formLiteral && len(before) == 0 {
		isTemplate = true
	}
	var b []byte
	same := 0
	switch {
	case isTemplate:
		b, same = template(which), templatePayload
	case form&^formBytes == formLiteral:
		b = bytes.Clone(r.take(r.length()))
	case form == formCopy:
		b = bytes.Clone(before[len(before)-1-which%len(before)])
		b = b[:min(len(b), *fill)]
		*fill -= len(b)
	default:
		b, same = successor(before[len(before)-1-which%len(before)])
	}
	if form != formCopy || isTemplate {
		n := r.payloadLength(same)
		if form == formBytes+formSuccessor || form == formBytes+formTemplate || form == formBytes+formLiteral {
			b = append(b, r.take(n)...)
		} else {
			n = min(n, *fill)
			*fill -= n
			b = appendFill(b, n, r.u8())
		}
	}
	if hasPatches {
		for range r.u8() % (maxPatches + 1) {
			off, v := int(r.u8()), r.u8()
			if off < len(b) {
				b[off] = v
			}
		}
	}
	packet.Fix(b, fixes(leave, partial))
	return b
}

// fixes returns the flags for Fix: all except those in leave, with a partial checksum
// instead of a complete one if partial is set.
func fixes(leave byte, partial bool) int {
	what := packet.FixAll &^ int(leave)
	if partial && what&packet.FixL4Csum != 0 {
		what = what&^packet.FixL4Csum | packet.FixPartial
	}
	return what
}

// template returns the headers of the first packet of a flow; kind selects among 64.
func template(kind int) []byte {
	p := TCP4(0)
	p.V6, p.UDP = kind&1 != 0, kind&2 != 0
	p.SrcPort += uint16(kind >> 2 & 3)
	if kind&16 != 0 {
		p.Options = Timestamps
	}
	p.Src += byte(kind >> 5 & 1)
	return p.header()
}

// successor returns the headers of the packet that follows b in its flow, and the length
// of b's payload. Lengths and checksums are still those of b.
func successor(b []byte) ([]byte, int) {
	n := min(packet.HeaderLen(b), maxHeaders)
	h := bytes.Clone(b[:n])
	l4Off, proto := packet.Locate(b)
	if len(h) >= 20 && h[0]>>4 == 4 {
		binary.BigEndian.PutUint16(h[4:], binary.BigEndian.Uint16(h[4:])+1)
	}
	if proto == 6 && l4Off+20 <= n {
		binary.BigEndian.PutUint32(h[l4Off+4:], binary.BigEndian.Uint32(h[l4Off+4:])+uint32(len(b)-n))
		h[l4Off+13] &^= FIN | PSH | CWR
	}
	return h, len(b) - n
}

// Encode returns bytes that Decode decodes to s. s must have batches or superpackets, not
// both. It must have at most maxItems packets and batches in all, and each packet must be
// shorter than 2^24 bytes; Encode does not check this. If a packet has several forms,
// Encode takes the one that stays meaningful when it is mutated.
func Encode(s Scenario) []byte {
	w := []byte{codecVersion, 0}
	if len(s.Supers) > 0 {
		w[1] = flagSegment
		if len(s.Supers) > shortItems {
			w[1] |= flagLong
		}
		return encodeSupers(w, s.Supers)
	}
	items := len(s.Batches)
	for _, batch := range s.Batches {
		items += len(batch)
	}
	c := s.Config
	off := bits(c.DisableTCPv4, offTCP4) | bits(c.DisableTCPv6, offTCP6) | bits(c.DisableUDP, offUDP)
	limits := []int{c.MaxSegments, c.MaxUDPSegments, c.MaxOpen, c.MaxPerFlow}
	hasLimits := off != 0 || slices.Max(limits) > 0
	w[1] = bits(c.Reorder, flagReorder) | bits(c.AtomicIDs, flagAtomic) | bits(c.AbsentChecksums, flagAbsent) | bits(hasLimits, flagLimits) | bits(items > shortItems, flagLong)
	if hasLimits {
		w = append(w, off)
		for _, v := range limits {
			w = binary.LittleEndian.AppendUint16(w, uint16(v))
		}
	}
	fill := maxFill
	for _, batch := range s.Batches {
		w = append(w, formBatch)
		for i, p := range batch {
			op, rest := encodePacket(p, batch[:i], &fill, false)
			w = append(append(w, op), rest...)
		}
	}
	return w
}

// bits returns b if on is set, else 0.
func bits(on bool, b byte) byte {
	if on {
		return b
	}
	return 0
}

// encodeSupers appends the items of superpackets.
func encodeSupers(w []byte, supers []Super) []byte {
	fill := maxFill
	for i, p := range supers {
		derived := p.Hdr.GSOSize != 0 && p.Hdr == packet.DeriveVnet(p.Data, p.Hdr.GSOSize)
		op, rest := encodePacket(p.Data, recent(supers[:i]), &fill, derived || p.Hdr.Flags&packet.NeedsCsum != 0)
		if w = append(w, op); derived {
			w = append(w, 0)
			w = binary.LittleEndian.AppendUint16(w, p.Hdr.GSOSize)
		} else {
			fields := []uint16{p.Hdr.HdrLen, p.Hdr.GSOSize, p.Hdr.CsumStart, p.Hdr.CsumOffset}
			form := byte(vnetOwn)
			if p.Hdr.OuterTHOffset != 0 || p.Hdr.InnerNHOffset != 0 {
				form |= vnetTunnel
				fields = append(fields, p.Hdr.OuterTHOffset, p.Hdr.InnerNHOffset)
			}
			w = append(w, form, p.Hdr.Flags, p.Hdr.GSOType)
			for _, v := range fields {
				w = binary.LittleEndian.AppendUint16(w, v)
			}
		}
		w = append(w, rest...)
	}
	return w
}

// encodePacket returns the op of p's item, and the bytes of the item after op and VnetHdr.
// It takes the first form that decodes to p: successor of one of the last 8 packets,
// template, literal headers. It leaves out exactly those flags of Fix that would change p.
// before, fill and partial are as in decodePacket.
func encodePacket(p []byte, before [][]byte, fill *int, partial bool) (byte, []byte) {
	var op, leave byte
	for what := byte(packet.FixIPLen); what <= packet.FixIPCsum; what <<= 1 {
		fixed := bytes.Clone(p)
		packet.Fix(fixed, fixes(^what, partial))
		if !bytes.Equal(fixed, p) {
			op, leave = opOdd, leave|what
		}
	}
	var odd []byte
	if op == opOdd {
		odd = []byte{leave}
	}
	n := packet.HeaderLen(p)
	payload := []byte{}
	if n < len(p) && len(p)-n <= *fill && isFill(p[n:]) {
		payload = append(payload, p[n])
		defer func() { *fill -= len(p) - n }()
	} else {
		op |= formBytes
		payload = append(payload, p[n:]...)
	}
	covered := fixed(p, fixes(leave, partial))
	try := func(form, which byte, h []byte, same int) []byte {
		if len(h) != n || n > maxHeaders {
			return nil
		}
		var patches []byte
		for i := range n {
			if h[i] != p[i] && !covered[i] {
				patches = append(patches, byte(i), p[i])
			}
		}
		if len(patches) > 0 {
			which |= patched
		}
		rest := append(appendPayloadLength(append(bytes.Clone(odd), which), len(p)-n, same), payload...)
		if len(patches) > 0 {
			rest = append(append(rest, byte(len(patches)/2)), patches...)
		}
		again := *fill
		if len(patches) > 2*maxPatches || !bytes.Equal(p, decodePacket(op|form, &reader{rest}, before, &again, partial)) {
			return nil
		}
		return rest
	}
	for which := range min(8, len(before)) {
		h, same := successor(before[len(before)-1-which])
		if rest := try(formSuccessor, byte(which), h, same); rest != nil {
			return op | formSuccessor, rest
		}
	}
	for kind := range 64 {
		if rest := try(formTemplate, byte(kind), template(kind), templatePayload); rest != nil {
			return op | formTemplate, rest
		}
	}
	rest := append(appendLength(append(odd, literal), n), p[:n]...)
	return op | formLiteral, append(appendPayloadLength(rest, len(p)-n, 0), payload...)
}

// fixed returns the offsets of the bytes that Fix would restore if they were changed.
func fixed(p []byte, what int) map[int]bool {
	covered := map[int]bool{}
	l4Off, _ := packet.Locate(p)
	for _, i := range []int{2, 4, 10, l4Off + 4, l4Off + 6, l4Off + 16} {
		if i+2 > len(p) {
			continue
		}
		q := bytes.Clone(p)
		q[i], q[i+1] = ^q[i], ^q[i+1]
		if packet.Fix(q, what); bytes.Equal(p, q) {
			covered[i], covered[i+1] = true, true
		}
	}
	return covered
}

// isFill reports whether the bytes count up from the first.
func isFill(p []byte) bool {
	for i := range p {
		if p[i] != p[0]+byte(i) {
			return false
		}
	}
	return true
}
