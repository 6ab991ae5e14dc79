// SPDX-License-Identifier: MIT

package law

import (
	"iter"

	"tunproof/corpus/pkts"
	"tunproof/offload"
)

// Subject is an implementation of Coalesce and Segment to check. Production is the real
// one; tests use faulty ones, to show that each law detects its fault.
type Subject struct {
	NewCoalescer func(pkts.Config) Coalescer
	NewSegmenter func() Segmenter
}

// Coalescer is the API of *offload.Coalescer. The result of Coalesce is valid until its
// next call.
type Coalescer interface {
	Coalesce(batch [][]byte) []Superpacket
	Reason(i int) offload.Reason
}

// Superpacket is the API of *offload.Superpacket.
type Superpacket interface {
	VnetHdr() offload.VnetHdr
	Len() int
	Packets() []int
	Buffers(iov [][]byte) [][]byte
	AppendTo(dst []byte) []byte
}

// Segmenter is the API of *offload.Segmenter.
type Segmenter interface {
	Reset(h offload.VnetHdr, pkt []byte) error
	Len() int
	NextLen() int
	Next(dst []byte) (int, error)
	InPlace() iter.Seq[[]byte]
}

// Production is package offload, the implementation that the project ships.
var Production = Subject{
	NewCoalescer: func(c pkts.Config) Coalescer { return NewCoalescer(c) },
	NewSegmenter: func() Segmenter { return new(offload.Segmenter) },
}

// production is an offload.Coalescer that returns its superpackets as interfaces.
type production struct {
	*offload.Coalescer
	list []Superpacket
}

// Coalesce returns the superpackets of the batch.
func (p *production) Coalesce(batch [][]byte) []Superpacket {
	out := p.Coalescer.Coalesce(batch)
	p.list = p.list[:0]
	for i := range out {
		p.list = append(p.list, &out[i])
	}
	return p.list
}

// NewCoalescer returns a Coalescer of package offload. It panics if the configuration is
// not valid; those of scenarios are.
func NewCoalescer(c pkts.Config) Coalescer { return &production{Coalescer: Offload(c)} }

// Offload returns an offload.Coalescer with a scenario's configuration. It panics if
// that is not valid.
func Offload(c pkts.Config) *offload.Coalescer {
	co, err := offload.NewCoalescer(OffloadConfig(c))
	if err != nil {
		panic(err)
	}
	return co
}
