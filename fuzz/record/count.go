// SPDX-License-Identifier: MIT

package record

import "fmt"

// Count returns a number with its noun, which gets an s unless n is 1.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
