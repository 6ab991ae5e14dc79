// SPDX-License-Identifier: MIT

//go:build !purego

package offload

import "golang.org/x/sys/cpu"

// sum implements Sum. The assembly handles up to 64 KiB, and fewer than 32 bytes
// without vectors. It calls sumOther for longer input and on processors without AVX2.
//
//go:noescape
func sum(b []byte, initial uint16) uint16

// copySum copies src to dst and returns Sum(src, initial), in one pass. dst has the
// length of src and does not overlap it.
//
//go:noescape
func copySum(dst, src []byte, initial uint16) uint16

// stampSum copies hdr, 16 bytes or more, to the front of seg and returns the Sum of
// the rest of seg.
func stampSum(seg, hdr []byte, initial uint16) uint16 {
	return stamp(&seg[0], len(seg), &hdr[0], initial, uint16(len(hdr)))
}

//go:noescape
func stamp(seg *byte, n int, hdr *byte, initial, hdrLen uint16) uint16

// The vector extensions of this processor. GODEBUG=cpu.avx512vnni=off,cpu.avx2=off
// hides them.
var (
	hasVNNI = cpu.X86.HasAVX512VNNI && cpu.X86.HasAVX512BW && cpu.X86.HasBMI2
	hasAVX2 = cpu.X86.HasAVX2
)

// maxVector is the number of bytes summed in one go: the sum of their words, taken as
// signed, fits in 32 bits.
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
