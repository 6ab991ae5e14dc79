// SPDX-License-Identifier: MIT

package law

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Field is a field of packets that Coalesce only compares, or counts from. Alter adds a value
// to it or flips its bits, in the way that keeps equal values equal and counting values
// counting. It leaves a packet that does not have all of the field as it is.
type Field struct {
	Name  string
	bits  int // of the values that make a difference: 8, 16 or 32
	alter func(b []byte, v uint32)
}

// Fields are all such fields. DF, the lengths, the protocol, the flags that refuse or end a
// superpacket, and the payload are not among them: they decide what joins.
var Fields = []Field{
	{"TOS or traffic class", 8, func(b []byte, v uint32) {
		switch version(b) {
		case 4:
			b[1] ^= byte(v)
		case 6:
			b[0], b[1] = b[0]^byte(v)>>4, b[1]^byte(v)<<4
		}
	}},
	{"TTL or hop limit", 8, func(b []byte, v uint32) {
		switch version(b) {
		case 4:
			b[8] ^= byte(v)
		case 6:
			b[7] ^= byte(v)
		}
	}},
	{"ID or flow label", 32, func(b []byte, v uint32) {
		switch version(b) {
		case 4:
			add16(b[4:], v)
		case 6:
			flip32(b, v&0xFFFFF)
		}
	}},
	{"addresses", 32, func(b []byte, v uint32) {
		at, n := 12, 2
		switch version(b) {
		case 0:
			return
		case 6:
			at, n = 8, 8
		}
		for i := range n {
			flip32(b[at+4*i:], v)
		}
	}},
	{"ports", 32, func(b []byte, v uint32) {
		if l4 := l4Of(b, false); len(l4) >= 4 {
			flip32(l4, v)
		}
	}},
	{"sequence number", 32, tcp(8, func(l4 []byte, v uint32) { binary.BigEndian.PutUint32(l4[4:], binary.BigEndian.Uint32(l4[4:])+v) })},
	{"acknowledgment", 32, tcp(12, func(l4 []byte, v uint32) { flip32(l4[8:], v) })},
	{"window", 16, tcp(16, func(l4 []byte, v uint32) { flip16(l4[14:], v) })},
	{"urgent pointer", 16, tcp(20, func(l4 []byte, v uint32) { flip16(l4[18:], v) })},
	{"reserved bits", 8, tcp(13, func(l4 []byte, v uint32) { l4[12] ^= byte(v) & 0x0F })},
	{"ECE", 8, tcp(14, func(l4 []byte, v uint32) { l4[13] ^= byte(v) & 0x40 })},
	{"TCP options", 8, tcp(13, func(l4 []byte, v uint32) {
		for i := 20; i < min(4*int(l4[12]>>4), len(l4)); i++ {
			l4[i] ^= byte(v)
		}
	})},
}

// version returns the version of a packet with addresses, or 0.
func version(b []byte) int {
	if id := identify(b); id.pair != "" {
		return int(id.pair[0] - '0')
	}
	return 0
}

// l4Of returns the bytes of a packet with a flow from its TCP or UDP header on, or nil. With
// onlyTCP, UDP has none.
func l4Of(b []byte, onlyTCP bool) []byte {
	id := identify(b)
	switch {
	case id.flow == "" || onlyTCP && id.flow[0] != 6:
		return nil
	case id.pair[0] == '6':
		return b[40:]
	}
	return b[20:]
}

// tcp returns an alteration of TCP packets that have the first n bytes of the header.
func tcp(n int, alter func(l4 []byte, v uint32)) func(b []byte, v uint32) {
	return func(b []byte, v uint32) {
		if l4 := l4Of(b, true); len(l4) >= n {
			alter(l4, v)
		}
	}
}

func flip16(b []byte, v uint32) {
	binary.BigEndian.PutUint16(b, binary.BigEndian.Uint16(b)^uint16(v))
}
func flip32(b []byte, v uint32) { binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)^v) }
func add16(b []byte, v uint32) {
	binary.BigEndian.PutUint16(b, binary.BigEndian.Uint16(b)+uint16(v))
}

// Alter returns packets with one field altered in the same way in all of them. Right checksums
// stay right, and wrong ones wrong.
func (f Field) Alter(batch [][]byte, v uint32) [][]byte {
	list := make([][]byte, len(batch))
	for i, was := range batch {
		b := bytes.Clone(was)
		f.alter(b, v)
		for _, sum := range []int{packet.FixL4Csum, packet.FixIPCsum} {
			old, fixed := bytes.Clone(was), bytes.Clone(b)
			packet.Fix(old, sum)
			packet.Fix(fixed, sum)
			switch right := bytes.Equal(old, was); {
			case right:
				b = fixed
			case bytes.Equal(fixed, b): // right by chance
				b[sumOffset(b, sum)] ^= 1
			}
		}
		list[i] = b
	}
	return list
}

// sumOffset returns the offset of the checksum that packet.Fix puts right.
func sumOffset(b []byte, sum int) int {
	l4, proto := packet.Locate(b)
	switch {
	case sum == packet.FixIPCsum:
		return 10
	case proto == 6:
		return l4 + 16
	}
	return l4 + 6
}

// alike is P12: a field that is only compared, altered in the same way in all packets of a
// batch, changes neither the superpackets nor the Reasons.
func alike(u Subject, s *scenario.Scenario, t *Tally) error {
	for i, batch := range s.Batches {
		sum := fnv.New64a()
		for _, b := range batch {
			sum.Write(b)
		}
		r := rand.New(rand.NewPCG(sum.Sum64(), uint64(i)))
		supers, reasons := Coalesce(u.NewCoalescer(s.Config), batch)
		t.batch(len(batch), len(supers), reasons)
		for range 2 {
			if err := Fields[r.IntN(len(Fields))].alike(u, s.Config, batch, r.Uint32(), supers, reasons); err != nil {
				return err
			}
		}
	}
	return nil
}

// alike checks P12 for one field and one value. supers and reasons are the results of the
// batch as it is.
func (f Field) alike(u Subject, c pkts.Config, batch [][]byte, v uint32, supers []Super, reasons []string) error {
	altered, now := Coalesce(u.NewCoalescer(c), f.Alter(batch, v))
	want, got := groups(supers, nil), groups(altered, nil)
	if !slices.EqualFunc(want, got, slices.Equal) {
		return Violatedf("P12", "with %s altered by %#x in all packets, the superpackets are %v, want %v", f.Name, v, got, want)
	}
	if !slices.Equal(reasons, now) {
		return Violatedf("P12", "with %s altered by %#x in all packets, the Reasons are %v, want %v", f.Name, v, now, reasons)
	}
	return nil
}

// Values returns every value of a field of up to 8 bits, and each step-th of one of 16 bits. Of
// one of 32 bits it returns such values of the upper and of the lower half.
func (f Field) Values(step int) (list []uint32) {
	if f.bits == 8 {
		step = 1
	}
	for v := 0; v < 1<<min(f.bits, 16); v += step {
		list = append(list, uint32(v))
		if f.bits == 32 {
			list = append(list, uint32(v)<<16)
		}
	}
	return list
}

// Whole checks P12 on a batch with the Values of each field. It returns the number of altered
// batches.
func Whole(u Subject, c pkts.Config, batch [][]byte, step int) (n int, err error) {
	supers, reasons := Coalesce(u.NewCoalescer(c), batch)
	for _, f := range Fields {
		for _, v := range f.Values(step) {
			if n++; v != 0 {
				if err := f.alike(u, c, batch, v, supers, reasons); err != nil {
					return n, err
				}
			}
		}
	}
	return n, nil
}
