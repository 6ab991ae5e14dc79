// SPDX-License-Identifier: MIT

package offload

import (
	"encoding/binary"
	"math/bits"
)

// sumGeneric implements Sum on every architecture.
//
// It adds the words in the machine's byte order, eight bytes at a time, and feeds the
// carry into the next addition. A one's-complement sum does not depend on the order
// of the bytes within a word (RFC 1071 section 2 (B)), so one swap at the end is
// enough.
func sumGeneric(b []byte, initial uint16) uint16 {
	sum := uint64(native(initial))
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
	tail := uint64(0) // of up to 7 bytes: less than 2^33
	if len(b) >= 4 {
		tail = uint64(binary.NativeEndian.Uint32(b))
		b = b[4:]
	}
	if len(b) >= 2 {
		tail += uint64(binary.NativeEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		tail += uint64(native(uint16(b[0]) << 8))
	}
	sum, carry = bits.Add64(sum, tail, 0)
	sum += carry
	return native(fold64(sum))
}

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// native converts a big-endian word to this machine's byte order, and back.
func native(w uint16) uint16 {
	if bigEndian {
		return w
	}
	return bits.ReverseBytes16(w)
}
