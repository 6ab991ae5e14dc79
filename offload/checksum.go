// SPDX-License-Identifier: MIT

package offload

import "encoding/binary"

// Sum returns the one's-complement sum (RFC 1071) of initial and of the big-endian
// 16-bit words of b. An odd last byte is padded with a zero byte. The sum is folded
// to 16 bits and not complemented.
//
// Sum is zero only if initial and all bytes of b are zero; any other folded sum is in
// 1..0xFFFF. Sums of consecutive pieces can be chained if every piece but the last
// has an even length:
// Sum(append(a, b...), 0) == Sum(b, Sum(a, 0)) when len(a) is even.
// Sum only reads b.
func Sum(b []byte, initial uint16) uint16 {
	return sum(b, initial)
}

// Checksum returns the Internet checksum (RFC 1071) of b, the complement of Sum(b,
// initial). It is 0 if b contains its right checksum.
func Checksum(b []byte, initial uint16) uint16 {
	return ^Sum(b, initial)
}

// PseudoHeaderSum returns the folded sum, not complemented, of the pseudo-header of
// RFC 793 section 3.1 (IPv4) or RFC 8200 section 8.1 (IPv6). The kernel keeps this
// sum in the checksum field of a packet with NEEDS_CSUM. src and dst are the
// addresses as in the header, 4 or 16 bytes each. l4Len is the length in bytes of the
// L4 header and its payload, 0 to 2^32-1. The result is in 1..0xFFFF if proto is not
// zero.
func PseudoHeaderSum(proto uint8, src, dst []byte, l4Len int) uint16 {
	sum := uint32(Sum(src, 0)) + uint32(Sum(dst, 0)) + uint32(proto)
	sum += uint32(l4Len)>>16 + uint32(l4Len)&0xFFFF
	return fold(sum)
}

// fold adds the carries of a sum of 16-bit words back into it. It keeps the value
// modulo 0xFFFF and returns 0 only for 0.
func fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xFFFF
	return uint16(sum>>16 + sum&0xFFFF)
}

// fold64 is fold for a sum of words of 16, 32 or 64 bits.
func fold64(sum uint64) uint16 {
	sum = sum>>32 + sum&0xFFFFFFFF
	sum = sum>>32 + sum&0xFFFFFFFF
	return fold(uint32(sum))
}

// halves returns the sum of the two halves of w. 2^31 such sums can be added in 64
// bits.
func halves(w uint64) uint64 { return w>>32 + w&0xFFFFFFFF }

// sumIPv4 returns the Sum of an IPv4 header without options.
func sumIPv4(pkt []byte) uint16 {
	h := pkt[:ipv4HdrLen]
	return fold64(halves(binary.BigEndian.Uint64(h)) + halves(binary.BigEndian.Uint64(h[8:])) + uint64(be32(h[16:])))
}

// neg returns the word that subtracts w when it is added in one's complement.
func neg(w uint16) uint32 { return uint32(^w) }

func be16(b []byte) uint16       { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32       { return binary.BigEndian.Uint32(b) }
func putBE16(b []byte, v uint16) { binary.BigEndian.PutUint16(b, v) }
func putBE32(b []byte, v uint32) { binary.BigEndian.PutUint32(b, v) }
