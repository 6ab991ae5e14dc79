// SPDX-License-Identifier: MIT

package trial

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// Pair is two right captures of the same traffic, before and after an offload.
type Pair struct {
	Before, After []pcap.Packet
	from          []place // what each packet after was before
}

// place is a packet of a capture, and a segment in it, from 1; 0 if it was not cut.
type place struct{ packet, segment int }

// DrawPair returns right traffic, and what an offload makes of it: superpackets with a VnetHdr
// are cut, and partial checksums completed. All else comes through as it is, a little later.
func DrawPair(r *rand.Rand) (*Pair, error) {
	p := &Pair{Before: Draw(r).Packets}
	for _, q := range p.Before {
		h, has, err := pcap.Vnet(q.Comment)
		if err != nil {
			return nil, err
		}
		list := [][]byte{q.Data}
		if has && h.Flags&packet.NeedsCsum != 0 {
			if list, err = model.Segment(model.VnetHdr(h), q.Data); err != nil {
				return nil, err
			}
		}
		for i, b := range list {
			segment := i + 1
			if len(list) == 1 {
				segment = 0
			}
			p.add(len(p.After), pcap.Packet{Time: q.Time.Add(1000), Data: b}, place{q.Number, segment})
		}
	}
	return p, nil
}

// add puts a packet into the capture after, at an index.
func (p *Pair) add(at int, q pcap.Packet, from place) {
	p.After = slices.Insert(p.After, at, q)
	p.from = slices.Insert(p.from, at, from)
	p.number()
}

// remove removes a packet from the capture after.
func (p *Pair) remove(at int) {
	p.After = slices.Delete(slices.Clone(p.After), at, at+1)
	p.from = slices.Delete(slices.Clone(p.from), at, at+1)
	p.number()
}

func (p *Pair) number() {
	for i := range p.After {
		p.After[i].Number = i + 1
	}
}

// JudgePair returns what compare finds in a pair. It reads the captures in the order of time.
func JudgePair(p *Pair) (list []compare.Finding, err error) {
	m := compare.New(compare.Config{}, func(f compare.Finding) { list = append(list, f) })
	left := [2][]pcap.Packet{p.Before, p.After}
	for len(left[0])+len(left[1]) > 0 {
		side := 0
		if len(left[0]) == 0 || len(left[1]) > 0 && left[1][0].Time.Before(left[0][0].Time) {
			side = 1
		}
		if err := m.Add(side, left[side][0]); err != nil {
			return nil, err
		}
		left[side] = left[side][1:]
	}
	return list, m.Finish(context.Background())
}

// after is a packet of the capture after, in which a fault is planted.
type after struct {
	*spot
	p    *Pair
	from place // what it was before
}

// leastKnown is the payload that a packet must have to be recognised if something else of it
// is changed.
const leastKnown = 33

// pick returns a random packet of the capture after for which fits reports true, or nil. It has
// bytes of its own. It can be recognised by its payload, which no other packet has, and other
// packets of its flow that came through are before and after it.
func (p *Pair) pick(r *rand.Rand, fits func(s *after) bool) *after {
	flows := map[packet.Flow][]int{}
	for i, q := range p.After {
		flows[packetFlow(q)] = append(flows[packetFlow(q)], i)
	}
	t := &Traffic{Packets: p.After}
	for _, at := range r.Perm(len(p.After)) {
		s := &after{spotOf(t, at), p, p.from[at]}
		of := flows[packetFlow(p.After[at])]
		i := slices.Index(of, at)
		if s.Version == 0 || s.PayloadOff == 0 || s.Fragment || s.end != len(s.b) || len(s.payload()) < leastKnown || len(s.b) > 1500 || i < 2 || i+2 >= len(of) {
			continue
		}
		if c := packet.Checksum(s.b); c != packet.Right && c != packet.Absent || p.known(at) > 1 {
			continue
		}
		near := true // those around it are such packets too
		for _, k := range []int{of[i-2], of[i-1], of[i+1], of[i+2]} {
			o := packet.Parse(p.After[k].Data)
			near = near && len(p.After[k].Data)-o.PayloadOff >= leastKnown && p.known(k) == 1 && packet.Checksum(p.After[k].Data) != packet.Partial
		}
		if !near {
			continue
		}
		s.prev = spotOf(t, of[i-1])
		s.b = bytes.Clone(s.b)
		if fits(s) {
			p.After[at].Data = s.b
			return s
		}
	}
	return nil
}

// known returns how many packets have the payload of a packet of the capture after, or a part
// of its stream.
func (p *Pair) known(at int) (n int) {
	h := packet.Parse(p.After[at].Data)
	own, of := p.After[at].Data[h.PayloadOff:], packetFlow(p.After[at])
	for _, q := range p.After {
		g := packet.Parse(q.Data)
		if bytes.Contains(q.Data, own) {
			n++
			continue
		}
		if h.Proto != 6 || packetFlow(q) != of {
			continue
		}
		from := int32(binary.BigEndian.Uint32(q.Data[g.L4Off+4:]) - binary.BigEndian.Uint32(p.After[at].Data[h.L4Off+4:]))
		if to := int(from) + len(q.Data) - g.PayloadOff; len(q.Data) > g.PayloadOff && int(from) < len(own) && to > 0 {
			n++
		}
	}
	return n
}

// put makes b the bytes of the packet.
func (s *after) set(b []byte) { s.p.After[s.at].Data = b }

// fix completes the lengths and checksums of the packet. A UDP checksum that is absent stays so.
func (s *after) fix(what int) []byte {
	b := s.p.After[s.at].Data
	if packet.Checksum(b) == packet.Absent {
		what &^= packet.FixL4Csum
	}
	packet.Fix(b, what)
	return b
}

// changed returns that the packet must be found changed in a field.
func (s *after) changed(field string) []Change {
	return []Change{{compare.Changed, s.from, s.at + 1, field}}
}
