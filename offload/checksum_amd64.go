//go:build !purego

package offload

import "golang.org/x/sys/cpu"

// sum is Sum. It takes up to 64 KiB in assembly, any number of fewer than 32 bytes
// without vectors, and leaves what is longer, or a processor without AVX2, to
// sumOther.
//
//go:noescape
func sum(b []byte, initial uint16) uint16

// copySum copies src to dst, which is as long and does not overlap it, and returns
// Sum(src, initial), in one pass.
//
//go:noescape
func copySum(dst, src []byte, initial uint16) uint16

// stampSum copies hdr, of 16 bytes or more, to the front of seg and returns the Sum
// of the rest.
func stampSum(seg, hdr []byte, initial uint16) uint16 {
	return stamp(&seg[0], len(seg), &hdr[0], initial, uint16(len(hdr)))
}

//go:noescape
func stamp(seg *byte, n int, hdr *byte, initial, hdrLen uint16) uint16

// What this processor has. GODEBUG=cpu.avx512vnni=off,cpu.avx2=off takes it away.
var (
	hasVNNI = cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512BW && cpu.X86.HasBMI2
	hasAVX2 = cpu.X86.HasAVX2
)

// maxVector is how many bytes are summed at once: the sum of their words, as
// signed ones, fits 32 bits.
const maxVector = 1 << 16

var _, _ = sumOther, copySumOther // called by assembly

func sumOther(b []byte, initial uint16) uint16 {
	if !hasAVX2 {
		return sumGeneric(b, initial)
	}
	for len(b) > maxVector {
		initial = sum(b[:maxVector], initial)
		b = b[maxVector:]
	}
	return sum(b, initial)
}

func copySumOther(dst, src []byte, initial uint16) uint16 {
	copy(dst, src)
	return sum(src, initial)
}
