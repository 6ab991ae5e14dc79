package exhaustive

import (
	"encoding/binary"
	"fmt"
	"slices"

	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Words are batches of three packets that follow each other, with every value of one
// word of 16 bits, so that each checksum that is computed takes every value: of the
// first packet's IPv4 ID, from which the others count on, and of the first word of
// payload of the first, and of the second packet.
type Words struct {
	Modes []law.Mode
	// Edges takes of all values only those that make a checksum 0, 1 or 0xFFFF, or
	// nearly so.
	Edges bool
}

// sweep sets a word of one packet.
type sweep struct {
	name string
	p    scenario.Packet
	set  func(p *scenario.Packet, k int, v uint16)
}

func (Words) sweeps() (list []sweep) {
	payload := func(of int) func(*scenario.Packet, int, uint16) {
		return func(p *scenario.Packet, k int, v uint16) {
			if k == of {
				binary.BigEndian.PutUint16(p.Payload, v)
			}
		}
	}
	for _, b := range []struct {
		name string
		p    scenario.Packet
	}{{"tcp", scenario.TCP4(size)}, {"udp", scenario.UDP4(size)}, {"tcp6", scenario.TCP6(size)}, {"udp6", scenario.UDP6(size)}} {
		if !b.p.V6 {
			list = append(list, sweep{b.name + ", ID", b.p, func(p *scenario.Packet, k int, v uint16) { p.ID = v + uint16(k) }})
		}
		list = append(list, sweep{b.name + ", payload of the first", b.p, payload(0)}, sweep{b.name + ", payload of the second", b.p, payload(1)})
	}
	return list
}

// Shards returns in how many parts they come: by word and, of all values, its upper byte.
func (w Words) Shards() int { return len(w.sweeps()) * len(w.upper()) }

func (w Words) upper() []int {
	if w.Edges {
		return []int{0}
	}
	return make([]int, 256)
}

// Count returns how many batches there are, without Edges.
func (w Words) Count() int { return len(w.sweeps()) << 16 }

// NewChecker returns a Checker of its own for each goroutine.
func (w Words) NewChecker() *Checker { return Batches{Modes: w.Modes}.NewChecker() }

// Shard checks part i and returns how many batches that were.
func (w Words) Shard(c *Checker, i int) (int, error) {
	s := w.sweeps()[i/len(w.upper())]
	build := func(v uint16) {
		c.batch = c.batch[:0]
		for k := range batch {
			p := after(s.p, k)
			s.set(&p, k, v)
			c.batch = append(c.batch, p.Bytes())
		}
	}
	var values []uint16
	if w.Edges {
		build(0)
		values = edgesOf(c.batch)
	} else {
		for v := range 256 {
			values = append(values, uint16(i%256<<8|v))
		}
	}
	for n, v := range values {
		build(v)
		if err := c.check(); err != nil {
			return n, fmt.Errorf("%s %#04x: %w", s.name, v, err)
		}
	}
	return len(values), nil
}

// edgesOf returns the values of a word that is 0 in this batch with which one of the
// checksums, of a packet or of the superpacket, is at an edge: a checksum falls by what
// the word is.
func edgesOf(packets [][]byte) (values []uint16) {
	supers, _ := law.CoalesceModel(law.Modes[0].Config, packets)
	var sums []uint16
	for _, p := range supers {
		packets = append(slices.Clip(packets), p.Data)
	}
	for _, b := range packets {
		l4, proto := packet.Locate(b)
		if b[0]>>4 == 4 {
			sums = append(sums, binary.BigEndian.Uint16(b[10:]))
		}
		if proto == 17 {
			sums = append(sums, binary.BigEndian.Uint16(b[l4+6:]))
		} else {
			sums = append(sums, binary.BigEndian.Uint16(b[l4+16:]))
		}
	}
	for _, s := range sums {
		for d := -3; d <= 3; d++ { // and by what the ID has counted on
			values = append(values, s+uint16(d))
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}
