//go:build !purego

package offload

import "testing"

func implementations(*testing.T) []string { return []string{"generic", "neon"} }

// use makes one of them the one that is used.
func use(t *testing.T, name string) {
	t.Cleanup(func() { hasNEON = true })
	hasNEON = name == "neon"
}
