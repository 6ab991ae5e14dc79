// SPDX-License-Identifier: MIT

package mutants

import "testing"

// TestCarry checks the argument "carry" for every word of 8 bits: if an addition gives a
// carry, its sum is not all ones. So a carry that is added at the end gives no other.
func TestCarry(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			for carry := range 2 {
				if carry == 1 && a == 255 {
					continue // by induction: an addition that gave a carry left less
				}
				if sum := a + b + carry; sum > 255 && sum&255 == 255 {
					t.Errorf("%d + %d + %d leaves all ones and a carry", a, b, carry)
				}
			}
		}
	}
}

// TestHeaderLengths checks the part of the argument "decided" about short IPv4 headers: a
// packet under 20 bytes is always refused, because its IHL is under 5 or past its end.
func TestHeaderLengths(t *testing.T) {
	for length := range 80 {
		for ihl := range 16 {
			refused := ihl*4 < 20 || ihl*4 > length
			if length < 20 && !refused {
				t.Errorf("%d bytes with IHL %d", length, ihl)
			}
		}
	}
}
