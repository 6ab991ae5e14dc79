// SPDX-License-Identifier: MIT

package exhaustive

import (
	"fmt"

	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Flips are changes to batches of three packets that follow each other. There is a batch
// for TCP and UDP over IPv4 and IPv6, and one for TCP with options. The changes are:
//
//   - each bit of the headers flipped, in the first, the second, the third or all of the
//     packets, with the checksums left as they are or put right;
//   - the same bit flipped in each pair of words of the second packet's headers, with the
//     checksums put right;
//   - one of the packets cut to each length, or extended by up to 8 bytes, with lengths
//     and checksums left as they are or put right.
type Flips struct {
	Modes []law.Mode
	Word  int // bytes in a word of the pairs: 2 or 4
}

// bases returns the first packet of each batch.
func (Flips) bases() []scenario.Packet {
	options := scenario.TCP4(size)
	options.Options = scenario.Fill(40, 1)
	return []scenario.Packet{scenario.TCP4(size), scenario.TCP6(size), scenario.UDP4(size), scenario.UDP6(size), options}
}

// flipped are the sets of packets in which a bit is flipped, as masks. repairs are the
// flags of packet.Fix afterwards.
var (
	flipped = []int{1, 2, 4, 7}
	repairs = []int{0, packet.FixL4Csum | packet.FixIPCsum}
)

// longer is the largest number of bytes by which a packet is extended.
const longer = 8

// Shards returns the number of parts that Shard checks: one for each of the five batches.
func (f Flips) Shards() int { return len(f.bases()) }

// Count returns the number of changed batches.
func (f Flips) Count() int {
	n := 0
	for _, p := range f.bases() {
		n += 8 * headers(p) * len(flipped) * len(repairs)
		words := headers(p) / f.Word
		n += 8 * f.Word * words * (words - 1) / 2
		n += (len(p.Bytes()) + longer + 1) * batch * 2
	}
	return n
}

// batch is the number of packets in a batch.
const batch = 3

// headers returns the length of a packet's headers in bytes.
func headers(p scenario.Packet) int { return len(p.Bytes()) - len(p.Payload) }

// NewChecker returns a Checker for one goroutine.
func (f Flips) NewChecker() *Checker { return Batches{Modes: f.Modes}.NewChecker() }

// Shard checks part i and returns the number of batches checked.
func (f Flips) Shard(c *Checker, i int) (int, error) {
	p := f.bases()[i]
	n := 0
	check := func(change func(k int, b []byte) []byte, format string, args ...any) error {
		c.batch = c.batch[:0]
		for k := range batch {
			c.batch = append(c.batch, change(k, after(p, k).Bytes()))
		}
		if err := c.check(); err != nil {
			return fmt.Errorf("%d bytes of headers, %s: %w", headers(p), fmt.Sprintf(format, args...), err)
		}
		n++
		return nil
	}
	for bit := range 8 * headers(p) {
		for _, in := range flipped {
			for _, repair := range repairs {
				err := check(func(k int, b []byte) []byte {
					if in>>k&1 != 0 {
						b[bit/8] ^= 1 << (bit % 8)
						packet.Fix(b, repair)
					}
					return b
				}, "bit %d of byte %d in packets %03b", bit%8, bit/8, in)
				if err != nil {
					return n, err
				}
			}
		}
	}
	for bit := range 8 * f.Word {
		for first := range headers(p) / f.Word {
			for second := range first {
				err := check(func(k int, b []byte) []byte {
					if k == 1 {
						b[first*f.Word+bit/8] ^= 1 << (bit % 8)
						b[second*f.Word+bit/8] ^= 1 << (bit % 8)
						packet.Fix(b, repairs[1])
					}
					return b
				}, "bit %d of words %d and %d of %d bytes", bit, second, first, f.Word)
				if err != nil {
					return n, err
				}
			}
		}
	}
	for length := range len(p.Bytes()) + longer + 1 {
		for in := range batch {
			for _, repair := range []int{0, packet.FixAll} {
				err := check(func(k int, b []byte) []byte {
					if k == in {
						b = append(b, make([]byte, longer)...)[:length]
						packet.Fix(b, repair)
					}
					return b
				}, "packet %d of %d bytes", in, length)
				if err != nil {
					return n, err
				}
			}
		}
	}
	return n, nil
}
