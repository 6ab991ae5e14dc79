package exhaustive

import (
	"bytes"
	"fmt"

	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
)

// Flips are batches of three packets that follow each other, of each protocol with
// and without options, with every bit of the headers flipped: in the first, the
// second, the third, or all of them; as it is, and with lengths and checksums put
// right after it.
type Flips struct{ Modes []target.Mode }

func (Flips) bases() []scenario.Packet {
	options := scenario.TCP4(size)
	options.Options = scenario.Fill(40, 1)
	return []scenario.Packet{scenario.TCP4(size), scenario.TCP6(size), scenario.UDP4(size), scenario.UDP6(size), options}
}

// flipped are the packets in which a bit is flipped, as a mask, and repairs what is
// put right afterwards.
var (
	flipped = []int{1, 2, 4, 7}
	repairs = []int{0, scenario.FixL4Csum | scenario.FixIPCsum}
)

// Shards returns in how many parts they come: by protocol.
func (f Flips) Shards() int { return len(f.bases()) }

// Count returns how many batches there are.
func (f Flips) Count() int {
	n := 0
	for _, p := range f.bases() {
		n += 8 * headers(p) * len(flipped) * len(repairs)
	}
	return n
}

// headers is how many bytes of a packet are headers.
func headers(p scenario.Packet) int { return len(p.Bytes()) - len(p.Payload) }

// NewChecker returns a Checker of its own for each goroutine.
func (f Flips) NewChecker() *Checker { return Batches{Modes: f.Modes}.NewChecker() }

// Shard checks part i and returns how many batches that were.
func (f Flips) Shard(c *Checker, i int) (int, error) {
	p := f.bases()[i]
	n := 0
	for bit := range 8 * headers(p) {
		for _, in := range flipped {
			for _, repair := range repairs {
				c.batch = c.batch[:0]
				for k := range 3 {
					b := after(p, k).Bytes()
					if in>>k&1 != 0 {
						b[bit/8] ^= 1 << (bit % 8)
						scenario.Fix(b, repair)
					}
					c.batch = append(c.batch, bytes.Clone(b))
				}
				if err := c.check(); err != nil {
					return n, fmt.Errorf("bit %d of byte %d in packets %03b of %d bytes of headers: %w", bit%8, bit/8, in, headers(p), err)
				}
				n++
			}
		}
	}
	return n, nil
}
