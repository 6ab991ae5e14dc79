// SPDX-License-Identifier: MIT

package scenario

import (
	"bytes"
	"fmt"
	"slices"

	"tunproof/corpus/pkts"
)

// Scenario is the input of a property: batches of packets to coalesce with Config, or
// superpackets to segment.
type Scenario struct {
	Config  pkts.Config
	Batches [][][]byte
	Supers  []Super
}

// Super is a superpacket as a TUN hands it out: a VnetHdr and an IP packet.
type Super struct {
	Hdr  pkts.VnetHdr
	Data []byte
}

// GoString returns a summary in one line, which rapid prints for each value that it draws.
func (s Scenario) GoString() string {
	return fmt.Sprintf("scenario(%v; %d batches, %d superpackets)", s.Config, len(s.Batches), len(s.Supers))
}

// Equal reports whether two scenarios are equal. Nil and empty slices are equal.
func (s Scenario) Equal(t Scenario) bool {
	return s.Config == t.Config &&
		slices.EqualFunc(s.Batches, t.Batches, func(a, b [][]byte) bool {
			return slices.EqualFunc(a, b, bytes.Equal)
		}) &&
		slices.EqualFunc(s.Supers, t.Supers, func(a, b Super) bool {
			return a.Hdr == b.Hdr && bytes.Equal(a.Data, b.Data)
		})
}

// FromCase returns the input of a case. That of a case of op checksum is empty.
func FromCase(c *pkts.Case) Scenario {
	s := Scenario{Config: c.Config}
	for _, b := range c.Batches {
		var batch [][]byte
		for _, in := range b.In {
			if c.Op == pkts.OpSegment {
				s.Supers = append(s.Supers, Super{in.Vnet, in.Data})
			} else {
				batch = append(batch, in.Data)
			}
		}
		if c.Op == pkts.OpCoalesce {
			s.Batches = append(s.Batches, batch)
		}
	}
	return s
}

// WithPlant is in the source of a case that was found with a planted bug, before its name.
const WithPlant = ", with the planted bug "

// OfAnother is in the source of a case that shows a violation of another implementation, before
// its name.
const OfAnother = "tunproof conformance of "

// Cases returns the scenario as cases without expectations: one case for its batches and
// one for its superpackets, if it has any.
func (s Scenario) Cases(why, source string) []*pkts.Case {
	var list []*pkts.Case
	if len(s.Batches) > 0 {
		c := &pkts.Case{Op: pkts.OpCoalesce, Why: why, Source: source, Config: s.Config}
		for _, batch := range s.Batches {
			var b pkts.Batch
			for _, p := range batch {
				b.In = append(b.In, pkts.In{Data: p})
			}
			c.Batches = append(c.Batches, b)
		}
		list = append(list, c)
	}
	if len(s.Supers) > 0 {
		var b pkts.Batch
		for _, p := range s.Supers {
			b.In = append(b.In, pkts.In{Vnet: p.Hdr, Data: p.Data})
		}
		list = append(list, &pkts.Case{Op: pkts.OpSegment, Why: why, Source: source, Batches: []pkts.Batch{b}})
	}
	return list
}
