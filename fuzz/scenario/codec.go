package scenario

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/corpus/pkts"
)

// The byte form of a scenario is what fuzzing engines mutate. Decode is total:
// any bytes are a scenario. It is made so that small changes of the bytes keep
// packets meaningful: a packet is written as the successor of one before it, a
// few changed bytes, and which lengths and checksums are to be put right after
// the change. Encode is Decode's inverse.
//
//	scenario  version, flags, [limits: 4 x u16], item...
//	item      op, then for a superpacket its VnetHdr, then by base:
//	          literal    0, length, bytes
//	          template   kind
//	          successor  which (0 is the packet before)
//	          copy       which
//	          batch      nothing: what follows is in a new batch
//	          then but for copy and batch a payload: length, bytes or the first of a fill;
//	          then, if the byte behind op has its top bit set, count, (offset, value)...
//	length    one byte; lenWide is followed by three
const (
	codecVersion = 1

	// flags
	flagSegment, flagReorder, flagAtomic, flagNoTCP4 = 1, 2, 4, 8
	flagNoTCP6, flagNoUDP, flagLimits                = 16, 32, 64

	// op: base, payload, and what Fix does at the end
	opBase                                             = 7
	baseLiteral, baseTemplate, baseSuccessor, baseCopy = 0, 1, 2, 3
	baseBatch                                          = 4 // 5 to 7 are successors
	opPayloadBytes                                     = 8 // else a fill
	opFixShift                                         = 4 // FixIPLen to FixIPCsum

	patched    = 0x80 // in the byte behind op: patches follow
	maxPatches = 15
	lenWide    = 0xFF

	vnetDerived = 1

	maxItems = 4096
	maxFill  = 1 << 18 // bytes of all fills
)

// reader gives the bytes of the input, then zeros.
type reader struct{ b []byte }

func (r *reader) u8() byte {
	if len(r.b) == 0 {
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) u16() int { return int(r.u8()) | int(r.u8())<<8 }

func (r *reader) length() int {
	if n := r.u8(); n != lenWide {
		return int(n)
	}
	return r.u16() | int(r.u8())<<16
}

func (r *reader) take(n int) []byte {
	n = min(n, len(r.b))
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func appendLength(b []byte, n int) []byte {
	if n < lenWide {
		return append(b, byte(n))
	}
	return append(b, lenWide, byte(n), byte(n>>8), byte(n>>16))
}

// Decode reads a scenario. Bytes that do not start with the version are an
// empty one.
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
	fill := maxFill
	for items := 0; len(r.b) > 0 && items < maxItems; items++ {
		op := r.u8()
		if flags&flagSegment != 0 {
			p := Super{}
			derived := r.u8()&vnetDerived != 0
			size := 0
			if derived {
				size = r.u16()
			} else {
				p.Hdr = decodeVnet(r)
			}
			var before [][]byte
			for _, q := range s.Supers[max(0, len(s.Supers)-256):] {
				before = append(before, q.Data)
			}
			p.Data = decodePacket(op, r, before, &fill, derived || p.Hdr.Flags&1 != 0)
			if derived {
				p.Hdr = DeriveVnet(p.Data, uint16(size))
			}
			s.Supers = append(s.Supers, p)
			continue
		}
		if op&opBase == baseBatch || len(s.Batches) == 0 {
			s.Batches = append(s.Batches, nil)
		}
		if op&opBase != baseBatch {
			batch := &s.Batches[len(s.Batches)-1]
			*batch = append(*batch, decodePacket(op, r, *batch, &fill, false))
		}
	}
	return s
}

func decodeConfig(flags byte, r *reader) pkts.Config {
	c := pkts.Config{
		Reorder: flags&flagReorder != 0, AtomicIDs: flags&flagAtomic != 0,
		DisableTCPv4: flags&flagNoTCP4 != 0, DisableTCPv6: flags&flagNoTCP6 != 0, DisableUDP: flags&flagNoUDP != 0,
	}
	if flags&flagLimits != 0 {
		c.MaxSegments, c.MaxUDPSegments = r.u16()%1023, r.u16()%129
		c.MaxOpen, c.MaxPerFlow = r.u16(), r.u16()%65
	}
	return c
}

func decodeVnet(r *reader) pkts.VnetHdr {
	return pkts.VnetHdr{Flags: r.u8(), GSOType: r.u8(), HdrLen: uint16(r.u16()), GSOSize: uint16(r.u16()),
		CsumStart: uint16(r.u16()), CsumOffset: uint16(r.u16())}
}

// decodePacket reads what is behind op (and the VnetHdr). before are the packets
// that it can refer to; partial says that a checksum put right is partial.
func decodePacket(op byte, r *reader, before [][]byte, fill *int, partial bool) []byte {
	base := op & opBase
	which := int(r.u8())
	hasPatches := which&patched != 0
	which &^= patched
	if base != baseLiteral && base != baseTemplate && len(before) == 0 {
		base = baseTemplate
	}
	var b []byte
	switch base {
	case baseLiteral:
		b = bytes.Clone(r.take(r.length()))
	case baseTemplate:
		b = template(which)
	case baseCopy:
		b = bytes.Clone(before[len(before)-1-which%len(before)])
	default:
		b = successor(before[len(before)-1-which%len(before)])
	}
	if base != baseCopy {
		n := r.length()
		if op&opPayloadBytes != 0 {
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
	Fix(b, fixes(op, partial))
	return b
}

// fixes is what op asks Fix for.
func fixes(op byte, partial bool) int {
	what := int(op >> opFixShift)
	if partial && what&FixL4Csum != 0 {
		what = what&^FixL4Csum | FixPartial
	}
	return what
}

// template returns the headers of the first packet of a flow.
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

// headerLen returns the length of all headers, as far as b has them.
func headerLen(b []byte) int {
	l4Off, proto := Locate(b)
	n := 40
	switch proto {
	case 6:
		n = l4Off + max(20, 4*int(b[l4Off+12]>>4))
	case 17:
		n = l4Off + 8
	}
	return min(n, len(b))
}

// successor returns the headers of the packet that follows b in its flow.
func successor(b []byte) []byte {
	n := headerLen(b)
	h := bytes.Clone(b[:n])
	l4Off, proto := Locate(b)
	if len(h) >= 20 && h[0]>>4 == 4 {
		binary.BigEndian.PutUint16(h[4:], binary.BigEndian.Uint16(h[4:])+1)
	}
	if proto == 6 && l4Off+20 <= n {
		binary.BigEndian.PutUint32(h[l4Off+4:], binary.BigEndian.Uint32(h[l4Off+4:])+uint32(len(b)-n))
		h[l4Off+13] &^= FIN | PSH | CWR
	}
	return h
}

// Encode writes a scenario that Decode reads: batches or superpackets, at most
// maxItems in all, of less than 2^24 bytes each. It prefers the forms that bear
// mutation.
func Encode(s Scenario) []byte {
	w := []byte{codecVersion, 0}
	if len(s.Supers) > 0 {
		w[1] = flagSegment
		w = encodeSupers(w, s.Supers)
		return w
	}
	c := s.Config
	for _, f := range []struct {
		on   bool
		flag byte
	}{{c.Reorder, flagReorder}, {c.AtomicIDs, flagAtomic}, {c.DisableTCPv4, flagNoTCP4},
		{c.DisableTCPv6, flagNoTCP6}, {c.DisableUDP, flagNoUDP},
		{c.MaxSegments+c.MaxUDPSegments+c.MaxOpen+c.MaxPerFlow > 0, flagLimits}} {
		if f.on {
			w[1] |= f.flag
		}
	}
	if w[1]&flagLimits != 0 {
		for _, v := range []int{c.MaxSegments, c.MaxUDPSegments, c.MaxOpen, c.MaxPerFlow} {
			w = binary.LittleEndian.AppendUint16(w, uint16(v))
		}
	}
	fill := maxFill
	for _, batch := range s.Batches {
		w = append(w, baseBatch)
		for i, p := range batch {
			op, rest := encodePacket(p, batch[:i], &fill, false)
			w = append(append(w, op), rest...)
		}
	}
	return w
}

func encodeSupers(w []byte, supers []Super) []byte {
	fill := maxFill
	for i, p := range supers {
		var before [][]byte
		for _, q := range supers[max(0, i-256):i] {
			before = append(before, q.Data)
		}
		derived := p.Hdr == DeriveVnet(p.Data, p.Hdr.GSOSize)
		op, rest := encodePacket(p.Data, before, &fill, derived || p.Hdr.Flags&1 != 0)
		if w = append(w, op); derived {
			w = append(w, vnetDerived)
			w = binary.LittleEndian.AppendUint16(w, p.Hdr.GSOSize)
		} else {
			w = append(w, 0, p.Hdr.Flags, p.Hdr.GSOType)
			for _, v := range []uint16{p.Hdr.HdrLen, p.Hdr.GSOSize, p.Hdr.CsumStart, p.Hdr.CsumOffset} {
				w = binary.LittleEndian.AppendUint16(w, v)
			}
		}
		w = append(w, rest...)
	}
	return w
}

// encodePacket returns the op and what follows it. Of the forms that Decode
// reads as p it takes the first: successor of one of the last packets, literal
// headers, with as many fixes as leave p as it is.
func encodePacket(p []byte, before [][]byte, fill *int, partial bool) (byte, []byte) {
	var op byte
	for what := byte(FixIPLen); what <= FixIPCsum; what <<= 1 {
		fixed := bytes.Clone(p)
		Fix(fixed, fixes(what<<opFixShift, partial))
		if bytes.Equal(fixed, p) {
			op |= what << opFixShift
		}
	}
	n := headerLen(p)
	payload := appendLength(nil, len(p)-n)
	spent := 0
	if n < len(p) && len(p)-n <= *fill && isFill(p[n:]) {
		payload = append(payload, p[n])
		spent = len(p) - n
	} else {
		op |= opPayloadBytes
		payload = append(payload, p[n:]...)
	}
	for which := 0; which < min(8, len(before)); which++ {
		h := successor(before[len(before)-1-which])
		if len(h) != n || n > 256 {
			continue
		}
		guess := append(bytes.Clone(h), p[n:]...)
		fixed := bytes.Clone(p)
		Fix(guess, fixes(op, partial))
		var patches []byte
		for i := range n {
			if guess[i] != fixed[i] {
				patches = append(patches, byte(i), p[i])
			}
		}
		first := byte(which)
		tail := payload
		if len(patches) > 0 {
			if len(patches) > 2*maxPatches {
				continue
			}
			first |= patched
			tail = append(append(slices.Clone(payload), byte(len(patches)/2)), patches...)
		}
		rest := append([]byte{first}, tail...)
		if readsAs(p, op|baseSuccessor, rest, before, *fill, partial) {
			*fill -= spent
			return op | baseSuccessor, rest
		}
	}
	rest := append([]byte{0}, appendLength(nil, n)...)
	rest = append(append(rest, p[:n]...), payload...)
	*fill -= spent
	return op | baseLiteral, rest
}

func readsAs(p []byte, op byte, rest []byte, before [][]byte, fill int, partial bool) bool {
	return bytes.Equal(p, decodePacket(op, &reader{rest}, before, &fill, partial))
}

// isFill says whether the bytes count up from the first.
func isFill(p []byte) bool {
	for i := range p {
		if p[i] != p[0]+byte(i) {
			return false
		}
	}
	return true
}
