// SPDX-License-Identifier: MIT

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
// 16-bit word. The word is the first packet's IPv4 ID, from which the other packets
// count up, or the first word of payload of the first or the second packet. Thereby
// every checksum that is computed takes every value.
type Words struct {
	Modes []law.Mode
	// Edges limits the values to those with which a checksum is within 3 of zero.
	Edges bool
}

// sweep is a word that takes all values. set sets it to v in packet k of a batch; p is
// the first packet.
type sweep struct {
	name string
	p    scenario.Packet
	set  func(p *scenario.Packet, k int, v uint16)
}

// sweeps returns the words of all protocols.
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

// Shards returns the number of parts that Shard checks: one for each word and upper byte of
// its value, or with Edges one for each word.
func (w Words) Shards() int { return len(w.sweeps()) * len(w.upper()) }

// upper returns a slice with one element for each upper byte that a part stands for.
func (w Words) upper() []int {
	if w.Edges {
		return []int{0}
	}
	return make([]int, 256)
}

// Count returns the number of batches without Edges.
func (w Words) Count() int { return len(w.sweeps()) << 16 }

// NewChecker returns a Checker for one goroutine.
func (w Words) NewChecker() *Checker { return Batches{Modes: w.Modes}.NewChecker() }

// Shard checks part i and returns the number of batches checked.
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
			return n, fmt.Errorf("%s = %#04x: %w", s.name, v, err)
		}
	}
	return len(values), nil
}

// edgesOf returns the values of a word with which a checksum of a packet or of the
// superpacket is near zero. packets is the batch in which the word is 0. A checksum falls
// by as much as the word rises, so these values are near the checksums of that batch.
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
		for d := -3; d <= 3; d++ { // IDs count up within the batch
			values = append(values, s+uint16(d))
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}
