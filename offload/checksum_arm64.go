// SPDX-License-Identifier: MIT

//go:build !purego

package offload

import "math/bits"

// sumNEON and copySumNEON return the sum, not folded, of n bytes taken as
// little-endian words. n is a multiple of 16 and at least 16. Every arm64 processor
// has NEON.

//go:noescape
func sumNEON(p *byte, n int) uint64

//go:noescape
func copySumNEON(dst, src *byte, n int) uint64

const (
	leastVector = 64      // bytes from which a call is worth its cost
	maxVector   = 1 << 18 // bytes of one call; 32-bit lanes have room for the sums of 1<<19
)

var hasNEON = true // false only in tests

func sum(b []byte, initial uint16) uint16 {
	for hasNEON && len(b) >= leastVector {
		n := min(len(b), maxVector) &^ 15
		initial = foldLE(uint64(bits.ReverseBytes16(initial)) + sumNEON(&b[0], n))
		b = b[n:]
	}
	return sumGeneric(b, initial)
}

// copySum copies src to dst and returns Sum(src, initial), in one pass. dst has the
// length of src and does not overlap it.
func copySum(dst, src []byte, initial uint16) uint16 {
	dst = dst[:len(src)]
	for hasNEON && len(src) >= leastVector {
		n := min(len(src), maxVector) &^ 15
		initial = foldLE(uint64(bits.ReverseBytes16(initial)) + copySumNEON(&dst[0], &src[0], n))
		dst, src = dst[n:], src[n:]
	}
	copy(dst, src)
	return sumGeneric(src, initial)
}

// foldLE folds a sum of little-endian words to one big-endian word.
func foldLE(sum uint64) uint16 { return bits.ReverseBytes16(fold64(sum)) }
