//go:build !purego

package offload

const purego = false
