// SPDX-License-Identifier: MIT

//go:build purego || !amd64

package offload

// stampSum copies hdr to the front of seg and returns the Sum of the rest.
func stampSum(seg, hdr []byte, initial uint16) uint16 {
	copy(seg, hdr)
	return sum(seg[len(hdr):], initial)
}
