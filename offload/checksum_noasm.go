// SPDX-License-Identifier: MIT

//go:build purego || !(amd64 || arm64)

package offload

func sum(b []byte, initial uint16) uint16 { return sumGeneric(b, initial) }

func copySum(dst, src []byte, initial uint16) uint16 {
	copy(dst, src)
	return sumGeneric(src, initial)
}
