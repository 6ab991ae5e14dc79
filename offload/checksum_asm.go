//go:build !purego && (amd64 || arm64)

package offload

import "math/bits"

// foldLE folds a sum of little-endian words to one big-endian word.
func foldLE(sum uint64) uint16 {
	return bits.ReverseBytes16(fold64(sum))
}
