// SPDX-License-Identifier: MIT

package law

// Sums checks P8 for every length up to most, every alignment up to 63, and seeds at
// the edges of their range. byteAt gives the bytes to sum. Sums returns the number of
// sums compared, and nil or a *Violation.
func Sums(most int, byteAt func(i int) byte) (int, error) {
	data := make([]byte, most)
	for i := range data {
		data[i] = byteAt(i)
	}
	n := 0
	for length := range most + 1 {
		for _, seed := range []uint16{0, 1, 0xFFFF, uint16(length * 40503)} {
			if err := produced.check(data[:length], length*7%64, seed); err != nil {
				return n, err
			}
			n++
		}
	}
	for align := range 64 {
		for _, length := range []int{0, 1, 7, 8, 20, 63, 64, 65, 127, 129, most} {
			if err := produced.check(data[:min(length, most)], align, 0xFFFF); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
