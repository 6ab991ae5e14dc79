// SPDX-License-Identifier: MIT

package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// eachImplementation runs a test with each implementation of Sum that this machine
// can run.
func eachImplementation(t *testing.T, f func(t *testing.T)) {
	for _, name := range implementations(t) {
		t.Run(name, func(t *testing.T) {
			use(t, name)
			f(t)
		})
	}
}

// plainSum computes RFC 1071 word by word.
func plainSum(b []byte, initial uint16) uint16 {
	sum := uint64(initial)
	for i, x := range b {
		sum += uint64(x) << (8 * (1 - i%2))
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	return uint16(sum)
}

// TestImplementations compares every implementation with the plain sum: all lengths
// up to 700 at changing alignments, lengths around the largest of one call, and data
// whose words have extreme values.
func TestImplementations(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 71))
	memory := make([]byte, 4*(1<<18)+200)
	fills := map[string]func(i int) byte{
		"random": func(int) byte { return byte(r.Uint32()) }, "ones": func(int) byte { return 0xFF }, "zeros": func(int) byte { return 0 },
		"0x8000": func(i int) byte { return byte(0x80 * (i & 1)) }, "0x7fff": func(i int) byte { return byte(0xFF - 0x80*(i&1)) },
		"almost zeros": func(i int) byte { return byte(max(0, 3-i%(1<<17-11))) }, // so that a lane that overflows is not hidden by its neighbours
	}
	eachImplementation(t, func(t *testing.T) {
		for name, fill := range fills {
			for i := range memory {
				memory[i] = fill(i)
			}
			check := func(align, n int, initial uint16) {
				t.Helper()
				b := memory[align : align+n : align+n]
				want := plainSum(b, initial)
				if got := Sum(b, initial); got != want {
					t.Errorf("%s, %d bytes at %d, initial %#x: %#04x, want %#04x", name, n, align, initial, got, want)
				}
				at := (align*5 + n) % 65 // an alignment of its own
				dst := bytes.Repeat([]byte{0xA5}, at+n+64)
				got := copySum(dst[at:at+n], b, initial)
				if got != want || !bytes.Equal(dst[at:at+n], b) || bytes.Count(dst[:at], dst[:1]) != at || bytes.Count(dst[at+n:], []byte{0xA5}) != 64 {
					t.Errorf("%s, copy of %d bytes at %d to %d, initial %#x: %#04x, want %#04x, or bytes are wrong", name, n, align, at, initial, got, want)
				}
			}
			for n := range 700 {
				check(n*7%65, n, []uint16{0, 1, 0xFFFF, uint16(n * 40503)}[n%4])
			}
			for align := range 65 {
				for _, n := range []int{255, 256, 257, 320, 447, 1448} {
					check(align, n, 0)
				}
			}
			for _, n := range []int{1449, 9000, 65535, 1 << 16, 1<<16 + 1, 1<<16 + 33, 1 << 17, 1<<18 - 1, 3<<18 + 31, 4 << 18, 1<<17 - 31, 1<<17 - 17, 1<<17 - 3, 1<<16 - 31, 1<<16 - 1} {
				check(n%63, n, 0xFFFF)
				for align := range 8 {
					check(4*align+1, n, 0)
				}
			}
		}
	})
}

// TestPseudoHeaderSum checks every length of 16 bits, and longer ones, with addresses
// that bring the sum to every extreme.
func TestPseudoHeaderSum(t *testing.T) {
	for _, n := range []int{4, 16} {
		for _, last := range []uint16{0, 1, 0x7FFF, 0xFFEE, 0xFFFE, 0xFFFF} {
			for _, proto := range []uint8{0, 6, 17, 255} {
				src, dst := bytes.Repeat([]byte{0xFF}, n), make([]byte, n)
				putBE16(dst[n-2:], last)
				for _, l4Len := range append(seq(1<<16), 1<<16, 1<<17-1, 1<<31-1) {
					want := plainSum([]byte{0, proto, byte(l4Len >> 24), byte(l4Len >> 16), byte(l4Len >> 8), byte(l4Len)}, plainSum(dst, plainSum(src, 0)))
					if got := PseudoHeaderSum(proto, src, dst, l4Len); got != want {
						t.Fatalf("%x to %x, protocol %d, length %d: %#04x, want %#04x", src, dst, proto, l4Len, got, want)
					}
				}
			}
		}
	}
}

// TestKeySum checks the pseudo-header's sum of a flow's key, with words at every carry of 16
// and of 32 bits.
func TestKeySum(t *testing.T) {
	words := []uint32{0, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF}
	n := len(words)
	for code := range n * n * n * n {
		a, b, c, d := words[code%n], words[code/n%n], words[code/n/n%n], words[code/n/n/n]
		k := flowKey{srcHi: uint64(a)<<32 | uint64(b), srcLo: uint64(c)<<32 | uint64(d), dstHi: uint64(b)<<32 | uint64(d)}
		for _, near := range []uint32{0, 1, 0xFFFFFFFA, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF} { // the whole sum is a little below or above a multiple of 2^32
			for _, proto := range []uint8{protoTCP, protoUDP} {
				for _, l4Len := range []int{20, 1400, 65535} {
					k.dstLo = uint64(-(a + b + c + d + b + d) + near - uint32(proto) - uint32(l4Len))
					var bytes []byte
					for _, w := range []uint64{k.srcHi, k.srcLo, k.dstHi, k.dstLo} {
						bytes = binary.BigEndian.AppendUint64(bytes, w)
					}
					want := plainSum([]byte{0, proto, byte(l4Len >> 8), byte(l4Len)}, plainSum(bytes, 0))
					if got := k.pseudoHeaderSum(proto, l4Len); got != want {
						t.Fatalf("%x, protocol %d, length %d: %#04x, want %#04x", bytes, proto, l4Len, got, want)
					}
				}
			}
		}
	}
}

func seq(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// TestFold checks folding at every carry.
func TestFold(t *testing.T) {
	for hi := range uint32(1 << 16) {
		for _, lo := range []uint32{0, 1, 0xFFFE - hi&0xFFFF, 0xFFFF - hi, 0x10000 - hi, 0xFFFE, 0xFFFF} {
			sum := hi<<16 | lo&0xFFFF
			want := plainSum([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}, 0)
			if got := fold(sum); got != want {
				t.Fatalf("fold(%#x) is %#x, want %#x", sum, got, want)
			}
			for _, upper := range []uint64{0, 1, uint64(^sum), uint64(^sum) + 1, 0xFFFFFFFE, 0xFFFFFFFF} {
				w := upper<<32 | uint64(sum)
				var b [8]byte
				binary.BigEndian.PutUint64(b[:], w)
				if got, want := fold64(w), plainSum(b[:], 0); got != want {
					t.Fatalf("fold64(%#x) is %#x, want %#x", w, got, want)
				}
			}
		}
	}
}

// TestStampSum checks that headers of all possible lengths are copied, and that the
// rest is summed and unchanged.
func TestStampSum(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 71))
	memory := make([]byte, 70000)
	for i := range memory {
		memory[i] = byte(r.Uint32())
	}
	eachImplementation(t, func(t *testing.T) {
		for hdrLen := 28; hdrLen <= 380; hdrLen += 4 {
			for _, n := range []int{0, 1, 31, 32, 100, 300, 1448, 65535 - hdrLen} {
				hdr, work := memory[1:1+hdrLen], bytes.Clone(memory)
				seg := work[hdrLen/4 : hdrLen/4+hdrLen+n]
				got, want := stampSum(seg, hdr, 7), plainSum(seg[hdrLen:], 7)
				if got != want || !bytes.Equal(seg[:hdrLen], hdr) || !bytes.Equal(seg[hdrLen:], memory[hdrLen/4+hdrLen:][:n]) ||
					!bytes.Equal(work[:hdrLen/4], memory[:hdrLen/4]) || !bytes.Equal(work[hdrLen/4+hdrLen+n:], memory[hdrLen/4+hdrLen+n:]) {
					t.Errorf("header of %d, %d bytes after it: %#04x, want %#04x, or bytes are wrong", hdrLen, n, got, want)
				}
			}
		}
	})
}
