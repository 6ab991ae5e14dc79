// SPDX-License-Identifier: MIT

package law

import (
	"testing"

	"tunproof/offload"
)

// TestFaultySums checks that P8 detects a fault in each of the functions, and none in those
// of offload.
func TestFaultySums(t *testing.T) {
	long := make([]byte, 1000)
	for i := range long {
		long[i] = byte(i * 7)
	}
	odd := func(b []byte, seed uint16) uint16 { return offload.Sum(b[:len(b)&^1], seed) }
	for name, f := range map[string]sums{
		"an odd last byte is left out": {odd, offload.Checksum, offload.PseudoHeaderSum},
		"the seed is left out":         {func(b []byte, _ uint16) uint16 { return offload.Sum(b, 0) }, offload.Checksum, offload.PseudoHeaderSum},
		"not complemented":             {offload.Sum, offload.Sum, offload.PseudoHeaderSum},
		"the length of 16 bits": {offload.Sum, offload.Checksum, func(proto uint8, src, dst []byte, n int) uint16 {
			return offload.PseudoHeaderSum(proto, src, dst, n&0xFFFF)
		}},
		"the protocol is left out": {offload.Sum, offload.Checksum, func(_ uint8, src, dst []byte, n int) uint16 {
			return offload.PseudoHeaderSum(0, src, dst, n)
		}},
	} {
		found := false
		for n := range len(long) {
			found = found || f.check(long[:n], n%64, uint16(n*40503)) != nil
		}
		if !found {
			t.Errorf("%s: P8 finds nothing", name)
		}
	}
	if err := produced.check(long, 3, 1); err != nil {
		t.Error(err)
	}
}
