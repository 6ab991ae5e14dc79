package anonymise

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// checksums is what a packet's were.
type checksums struct {
	header uint16       // by how much IPv4's was wrong, in one's complement
	class  packet.Class // of TCP's or UDP's
	l4     uint16       // by how much that was wrong, or
	form4  int          // in which form of formsOf, from 1; and so
	formIP int          // the header's
	zero   bool         // it computes to zero, and
	form   uint16       // is written so
}

// headerOf is the right IPv4 header checksum.
func headerOf(b []byte) uint16 {
	return ^uint16(model.Sum(b[:10], b[12:4*int(b[0]&15)]))
}

// sums reads what the checksums of b are.
func sums(h packet.Header, b []byte) checksums {
	var s checksums
	if h.Version == 4 {
		got, right := binary.BigEndian.Uint16(b[10:]), headerOf(b)
		s.header = minus(got, right)
		s.formIP = formOf(got, right, headerForms(right))
	}
	s.class = packet.Checksum(b)
	if s.class == packet.NoSum && h.PayloadOff > 0 && !h.Fragment {
		s.class = packet.Wrong // of a packet that is routed, by the address of now
	}
	if s.class != packet.NoSum {
		at, right, _ := packet.RightSum(b)
		s.form = binary.BigEndian.Uint16(b[at:])
		s.l4, s.zero = minus(s.form, right), right == 0 || right == 0xFFFF
		s.form4 = formOf(s.form, right, l4Forms(h, b, right))
	}
	return s
}

// headerForms and l4Forms are what is written by mistake for a checksum: none, its
// complement, its bytes swapped; the pseudo-header's sum without a length.
func headerForms(right uint16) []uint16 { return []uint16{0, ^right, right<<8 | right>>8} }

func l4Forms(h packet.Header, b []byte, right uint16) []uint16 {
	at, n := 12, 8
	if h.Version == 6 {
		at, n = 8, 32
	}
	addresses := b[at : at+n]
	return append(headerForms(right), uint16(model.Sum(addresses, []byte{0, h.Proto})))
}

// formOf is the place of got among the forms, from 1; 0 if it is right, or none.
func formOf(got, right uint16, forms []uint16) int {
	if minus(got, right) == 0 {
		return 0
	}
	return slices.Index(forms, got) + 1
}

// restore makes the checksums of b, whose payload starts at off, what they were. A
// form that would be right now, or partial, gives way to the difference. What is
// wrong by as much as it was may by chance, one in 65,536, be partial now.
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
		v = 0xFFFF // 0 would say that there is none
	}
	binary.BigEndian.PutUint16(b[at:], v)
}

// toZero changes the first word of the payload so that the checksum computes to
// zero, if there is one that the checksum is over.
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

// plus and minus are those of one's complement; of a sum of zero the result is
// the first operand.
func plus(a, b uint16) uint16 {
	if b == 0 || b == 0xFFFF {
		return a
	}
	return uint16(model.Sum([]byte{byte(a >> 8), byte(a)}, []byte{byte(b >> 8), byte(b)}))
}

func minus(a, b uint16) uint16 {
	if a == b {
		return 0
	}
	return plus(a, ^b)
}
