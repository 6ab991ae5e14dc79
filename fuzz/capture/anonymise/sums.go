package anonymise

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// checksums describes the checksums that a packet had.
type checksums struct {
	header uint16       // by how much the IPv4 header checksum was wrong, in one's complement
	formIP int          // the form of headerForms that it had, from 1; 0 for none
	class  packet.Class // of the checksum of TCP or UDP
	l4     uint16       // by how much that was wrong
	form4  int          // the form of l4Forms that it had, from 1; 0 for none
	zero   bool         // it computes to zero
	form   uint16       // the value that was written
}

// headerOf returns the right checksum of the IPv4 header.
func headerOf(b []byte) uint16 {
	return ^uint16(model.Sum(b[:10], b[12:4*int(b[0]&15)]))
}

// sums returns the description of the checksums of b.
func sums(h packet.Header, b []byte) checksums {
	var s checksums
	if h.Version == 4 {
		got, right := binary.BigEndian.Uint16(b[10:]), headerOf(b)
		s.header = minus(got, right)
		s.formIP = formOf(got, right, headerForms(right))
	}
	s.class = packet.Checksum(b)
	if s.class == packet.NoSum && h.PayloadOff > 0 && !h.Fragment {
		s.class = packet.Wrong // routed: the checksum is for the final destination
	}
	if s.class != packet.NoSum {
		at, right, _ := packet.RightSum(b)
		s.form = binary.BigEndian.Uint16(b[at:])
		s.l4, s.zero = minus(s.form, right), right == 0 || right == 0xFFFF
		s.form4 = formOf(s.form, right, l4Forms(h, b, right))
	}
	return s
}

// headerForms returns the values that are written by mistake for a checksum: 0, its
// complement, its bytes swapped.
func headerForms(right uint16) []uint16 { return []uint16{0, ^right, right<<8 | right>>8} }

// l4Forms returns headerForms and the sum of the pseudo-header without a length.
func l4Forms(h packet.Header, b []byte, right uint16) []uint16 {
	at, n := 12, 8
	if h.Version == 6 {
		at, n = 8, 32
	}
	addresses := b[at : at+n]
	return append(headerForms(right), uint16(model.Sum(addresses, []byte{0, h.Proto})))
}

// formOf returns the index of got among the forms, from 1. It returns 0 if got is right,
// or none of them.
func formOf(got, right uint16, forms []uint16) int {
	if minus(got, right) == 0 {
		return 0
	}
	return slices.Index(forms, got) + 1
}

// restore gives b checksums like those described by s. The payload of b starts at off.
// If a form would now be right or partial, the checksum is made wrong by the old
// difference instead. By chance, one time in 65,536, that is a partial checksum.
func (s checksums) restore(h packet.Header, b []byte, off int) {
	if h.Version == 4 {
		right := headerOf(b)
		v := plus(right, s.header)
		if s.formIP > 0 {
			if form := headerForms(right)[s.formIP-1]; minus(form, right) != 0 {
				v = form
			}
		}
		binary.BigEndian.PutUint16(b[10:], v)
	}
	if s.class == packet.NoSum {
		return
	}
	if s.zero && s.class != packet.Partial {
		toZero(h, b, off)
	}
	at, right, partial := packet.RightSum(b)
	v := plus(right, s.l4)
	if s.class == packet.Wrong && s.form4 > 0 {
		if form := l4Forms(h, b, right)[s.form4-1]; minus(form, right) != 0 && form != partial {
			v = form
		}
	}
	switch {
	case s.class == packet.Partial:
		v = partial
	case s.class == packet.Absent:
		v = 0
	case s.class == packet.Right && (right == 0 || right == 0xFFFF) && s.zero:
		v = s.form
	case v == 0 && h.Proto == 17:
		v = 0xFFFF // 0 would mean that there is none
	}
	binary.BigEndian.PutUint16(b[at:], v)
}

// toZero changes the first word of the payload so that the checksum computes to zero,
// if the payload has a word that the checksum covers.
func toZero(h packet.Header, b []byte, off int) {
	if off+2 > len(b) {
		return
	}
	was := bytes.Clone(b[off : off+2])
	b[off], b[off+1] = 0, 0
	_, right, _ := packet.RightSum(b)
	binary.BigEndian.PutUint16(b[off:], right)
	if _, right, _ = packet.RightSum(b); right != 0 && right != 0xFFFF {
		copy(b[off:], was)
	}
}

// plus returns a + b in one's complement. If b is a zero of either form, it returns a
// as it is.
func plus(a, b uint16) uint16 {
	if b == 0 || b == 0xFFFF {
		return a
	}
	return uint16(model.Sum([]byte{byte(a >> 8), byte(a)}, []byte{byte(b >> 8), byte(b)}))
}

// minus returns a - b in one's complement.
func minus(a, b uint16) uint16 {
	if a == b {
		return 0
	}
	return plus(a, ^b)
}
