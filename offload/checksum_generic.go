package offload

import (
	"encoding/binary"
	"math/bits"
)

// sumGeneric is Sum on every architecture.
//
// The words are added in the machine's own byte order, eight bytes at a time
// with the carry fed into the next addition: a one's-complement sum does not
// depend on the order of the bytes within a word (RFC 1071 section 2 (B)), so
// one swap at the end puts it right.
func sumGeneric(b []byte, initial uint16) uint16 {
	var word [2]byte
	putBE16(word[:], initial)
	sum := uint64(binary.NativeEndian.Uint16(word[:]))
	var carry uint64
	for len(b) >= 64 {
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[0:8]), 0)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[8:16]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[16:24]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[24:32]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[32:40]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[40:48]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[48:56]), carry)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b[56:64]), carry)
		sum, carry = bits.Add64(sum, 0, carry)
		sum += carry
		b = b[64:]
	}
	for len(b) >= 8 {
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(b), 0)
		sum += carry // at most 2^64-2 + 1: no second carry
		b = b[8:]
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		sum, carry = bits.Add64(sum, binary.NativeEndian.Uint64(tail[:]), 0)
		sum += carry
	}
	sum = sum>>32 + sum&0xFFFFFFFF
	sum = sum>>32 + sum&0xFFFFFFFF
	binary.NativeEndian.PutUint16(word[:], fold(uint32(sum)))
	return be16(word[:])
}
