//go:build purego

package offload

// purego says that the standard library is without assembly too: its hash/maphash
// then allocates.
const purego = true
