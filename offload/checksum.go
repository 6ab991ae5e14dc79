package offload

import "encoding/binary"

// Sum returns the one's-complement sum (RFC 1071) of initial and of b taken as
// big-endian 16-bit words, an odd last byte padded with a zero byte, folded to
// 16 bits and not complemented.
//
// It is zero only if initial and all of b are zero: a folded sum of anything
// else lies in 1..0xFFFF. Sums chain over pieces of even length:
// Sum(append(a, b...), 0) == Sum(b, Sum(a, 0)) when len(a) is even.
// b is only read.
func Sum(b []byte, initial uint16) uint16 {
	return sum(b, initial)
}

// Checksum returns the Internet checksum (RFC 1071) of b: the complement of
// Sum(b, initial). Over data that holds a right checksum it returns 0.
func Checksum(b []byte, initial uint16) uint16 {
	return ^Sum(b, initial)
}

// PseudoHeaderSum returns the folded, uncomplemented sum of the pseudo-header
// of RFC 793 section 3.1 (IPv4) or RFC 8200 section 8.1 (IPv6), which is what
// the kernel keeps in the checksum field of a packet with NEEDS_CSUM. src and
// dst are the addresses as they stand in the header, of 4 or 16 bytes; l4Len is
// the length of the L4 header and its payload in bytes, 0 to 2^32-1. It is in
// 1..0xFFFF if proto is not zero.
func PseudoHeaderSum(proto uint8, src, dst []byte, l4Len int) uint16 {
	sum := uint32(Sum(src, 0)) + uint32(Sum(dst, 0)) + uint32(proto)
	sum += uint32(l4Len)>>16 + uint32(l4Len)&0xFFFF
	return fold(sum)
}

// fold adds the carries of a sum of 16-bit words back into it. It keeps the
// value modulo 0xFFFF and gives 0 only for 0.
func fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xFFFF
	return uint16(sum>>16 + sum&0xFFFF)
}

// fold64 is fold of a sum of words of 16, 32 or 64 bits.
func fold64(sum uint64) uint16 {
	sum = sum>>32 + sum&0xFFFFFFFF
	sum = sum>>32 + sum&0xFFFFFFFF
	return fold(uint32(sum))
}

// halves is what a word of 64 bits adds to a sum, with room for 2^31 more.
func halves(w uint64) uint64 { return w>>32 + w&0xFFFFFFFF }

// sumIPv4 is the sum of an IPv4 header without options.
func sumIPv4(pkt []byte) uint16 {
	h := pkt[:ipv4HdrLen]
	return fold64(halves(binary.BigEndian.Uint64(h)) + halves(binary.BigEndian.Uint64(h[8:])) + uint64(be32(h[16:])))
}

// neg returns the word that, added in one's complement, takes w away.
func neg(w uint16) uint32 { return uint32(^w) }

func be16(b []byte) uint16       { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32       { return binary.BigEndian.Uint32(b) }
func putBE16(b []byte, v uint16) { binary.BigEndian.PutUint16(b, v) }
func putBE32(b []byte, v uint32) { binary.BigEndian.PutUint32(b, v) }
