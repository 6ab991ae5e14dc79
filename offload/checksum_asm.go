//go:build !purego && (amd64 || arm64)

package offload

import "math/bits"

// foldLE folds a sum of little-endian words to one big-endian word.
func foldLE(sum uint64) uint16 {
	sum = sum>>32 + sum&0xFFFFFFFF
	sum = sum>>32 + sum&0xFFFFFFFF
	return bits.ReverseBytes16(fold(uint32(sum)))
}
