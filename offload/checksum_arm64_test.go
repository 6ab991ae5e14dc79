// SPDX-License-Identifier: MIT

//go:build !purego

package offload

import "testing"

func implementations(*testing.T) []string { return []string{"generic", "neon"} }

// use selects one implementation until the test ends.
func use(t *testing.T, name string) {
	t.Cleanup(func() { hasNEON = true })
	hasNEON = name == "neon"
}
