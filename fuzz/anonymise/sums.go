package anonymise

import (
	"bytes"
	"encoding/binary"

	"tunproof/fuzz/check"
	"tunproof/fuzz/compare"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// checksums is what a packet's were.
type checksums struct {
	header uint16 // by how much IPv4's was wrong, in one's complement
	class  string // of TCP's or UDP's
	l4     uint16 // by how much that was wrong
	zero   bool   // it computes to zero, and
	form   uint16 // is written so
}

// headerOf is the right IPv4 header checksum.
func headerOf(b []byte) uint16 {
	c := bytes.Clone(b)
	scenario.Fix(c, scenario.FixIPCsum)
	return binary.BigEndian.Uint16(c[10:])
}

// sums reads what the checksums of b are.
func sums(h compare.Header, b []byte) checksums {
	var s checksums
	if h.Version == 4 {
		s.header = minus(binary.BigEndian.Uint16(b[10:]), headerOf(b))
	}
	if s.class = check.Checksum(b); s.class != "" {
		at, right, _ := check.Right(b)
		s.form = binary.BigEndian.Uint16(b[at:])
		s.l4, s.zero = minus(s.form, right), right == 0 || right == 0xFFFF
	}
	return s
}

// restore makes the checksums of b, whose payload starts at off, what they were.
func (s checksums) restore(h compare.Header, b []byte, off int) {
	if h.Version == 4 {
		binary.BigEndian.PutUint16(b[10:], plus(headerOf(b), s.header))
	}
	if s.class == "" {
		return
	}
	if s.zero && s.class != "partial" {
		toZero(h, b, off)
	}
	at, right, partial := check.Right(b)
	v := plus(right, s.l4)
	switch {
	case s.class == "partial":
		v = partial
	case s.class == "absent":
		v = 0
	case s.class == "right" && (right == 0 || right == 0xFFFF) && s.zero:
		v = s.form
	case v == 0 && h.Proto == 17:
		v = 0xFFFF // 0 would say that there is none
	}
	binary.BigEndian.PutUint16(b[at:], v)
}

// toZero changes the first word of the payload so that the checksum computes to
// zero, if there is one that the checksum is over.
func toZero(h compare.Header, b []byte, off int) {
	if off+2 > len(b) {
		return
	}
	was := bytes.Clone(b[off : off+2])
	b[off], b[off+1] = 0, 0
	_, right, _ := check.Right(b)
	binary.BigEndian.PutUint16(b[off:], right)
	if _, right, _ = check.Right(b); right != 0 && right != 0xFFFF {
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
