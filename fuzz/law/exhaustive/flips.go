package exhaustive

import (
	"fmt"

	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Flips are batches of three packets that follow each other, of each protocol, of TCP
// with options too: with every bit of the headers flipped, in the first, the second,
// the third, or all of them, as it is or with the checksums put right after it; with
// the same bit of every two words of the second's headers flipped, and the checksums put
// right; and with one of them cut to every length, or up to 8 bytes longer, as it is or
// with all put right.
type Flips struct {
	Modes []law.Mode
	Word  int // of which two are changed alike, in bytes: 2 or 4
}

func (Flips) bases() []scenario.Packet {
	options := scenario.TCP4(size)
	options.Options = scenario.Fill(40, 1)
	return []scenario.Packet{scenario.TCP4(size), scenario.TCP6(size), scenario.UDP4(size), scenario.UDP6(size), options}
}

// flipped are the packets in which a bit is flipped, as a mask, and repairs what is
// put right afterwards.
var (
	flipped = []int{1, 2, 4, 7}
	repairs = []int{0, packet.FixL4Csum | packet.FixIPCsum}
)

// longer is how many bytes a packet gets at most.
const longer = 8

// Shards returns in how many parts they come: by protocol.
func (f Flips) Shards() int { return len(f.bases()) }

// Count returns how many batches there are.
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

// batch is how many packets a batch has.
const batch = 3

// headers is how many bytes of a packet are headers.
func headers(p scenario.Packet) int { return len(p.Bytes()) - len(p.Payload) }

// NewChecker returns a Checker of its own for each goroutine.
func (f Flips) NewChecker() *Checker { return Batches{Modes: f.Modes}.NewChecker() }

// Shard checks part i and returns how many batches that were.
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
