//go:build !purego

package offload

import (
	"math/bits"

	"golang.org/x/sys/cpu"
)

// The sums of n bytes taken as little-endian words, not folded. Those of AVX2 take
// an even n of at least 32. copySum copies them, too.

//go:noescape
func sumAVX2(p *byte, n int) uint64

//go:noescape
func copySumAVX2(dst, src *byte, n int) uint64

//go:noescape
func sumVNNI(p *byte, n int) uint64

//go:noescape
func copySumVNNI(dst, src *byte, n int) uint64

// What this processor has. GODEBUG=cpu.avx512vnni=off,cpu.avx2=off takes it away.
var (
	hasVNNI = cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512BW && cpu.X86.HasBMI2
	hasAVX2 = cpu.X86.HasAVX2
)

const (
	leastVector = 32      // bytes for which a call is worth it
	maxVector   = 1 << 18 // bytes of one; lanes of 32 bits hold the sums of 1<<20
)

func sum(b []byte, initial uint16) uint16 {
	switch {
	case len(b) < leastVector || !hasAVX2:
		return sumGeneric(b, initial)
	case hasVNNI && len(b) <= maxVector:
		return foldLE(uint64(bits.ReverseBytes16(initial)) + sumVNNI(&b[0], len(b)))
	}
	total := uint64(bits.ReverseBytes16(initial))
	for len(b) > maxVector {
		total += vectorSum(b[:maxVector])
		b = b[maxVector:]
	}
	if len(b) > 0 {
		total += vectorSum(b)
	}
	return foldLE(total)
}

func vectorSum(b []byte) uint64 {
	if hasVNNI {
		return sumVNNI(&b[0], len(b))
	}
	if len(b) < 32 {
		return uint64(bits.ReverseBytes16(sumGeneric(b, 0)))
	}
	odd := uint64(0)
	if n := len(b) - 1; n&1 == 0 {
		odd = uint64(b[n]) // the low byte of its word
		b = b[:n]
	}
	return odd + sumAVX2(&b[0], len(b))
}

// copySum copies src to dst, which is as long and does not overlap it, and returns
// Sum(src, initial), in one pass.
func copySum(dst, src []byte, initial uint16) uint16 {
	n := len(src)
	if n < leastVector || n > maxVector || !hasAVX2 {
		copy(dst, src)
		return sum(src, initial)
	}
	dst = dst[:n]
	total := uint64(bits.ReverseBytes16(initial))
	if hasVNNI {
		return foldLE(total + copySumVNNI(&dst[0], &src[0], n))
	}
	if n&1 == 1 {
		n--
		dst[n] = src[n]
		total += uint64(src[n])
	}
	return foldLE(total + copySumAVX2(&dst[0], &src[0], n))
}
