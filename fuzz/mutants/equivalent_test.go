package mutants

import "testing"

// TestCarry is the argument "carry" for every word of 8 bits: if an addition with the
// carry of the one before gives one, it leaves less than all ones; so a carry that is
// added at the end gives no other.
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

// TestHeaderLengths is the part of "covered" that is about short IPv4 headers: that the
// header is there follows from its length being 20 at least and the packet's at most.
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
