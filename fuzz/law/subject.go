package law

import (
	"iter"

	"tunproof/corpus/pkts"
	"tunproof/offload"
)

// Subject is an implementation that laws are checked of. Tests check laws of
// faulty ones, to see that each law finds its fault.
type Subject struct {
	NewCoalescer func(pkts.Config) Coalescer
	NewSegmenter func() Segmenter
}

// Coalescer is the API of offload.Coalescer. What Coalesce returns is valid until
// its next call.
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

// Production is package offload.
var Production = Subject{
	NewCoalescer: func(c pkts.Config) Coalescer { return NewCoalescer(c) },
	NewSegmenter: func() Segmenter { return new(offload.Segmenter) },
}

// production is an offload.Coalescer whose superpackets are interfaces.
type production struct {
	*offload.Coalescer
	list []Superpacket
}

func (p *production) Coalesce(batch [][]byte) []Superpacket {
	out := p.Coalescer.Coalesce(batch)
	p.list = p.list[:0]
	for i := range out {
		p.list = append(p.list, &out[i])
	}
	return p.list
}

// NewCoalescer returns production's Coalescer. Scenarios hold valid
// configurations only.
func NewCoalescer(c pkts.Config) Coalescer { return &production{Coalescer: Offload(c)} }

// Offload returns an offload.Coalescer of a scenario's configuration, which must
// be valid.
func Offload(c pkts.Config) *offload.Coalescer {
	co, err := offload.NewCoalescer(OffloadConfig(c))
	if err != nil {
		panic(err)
	}
	return co
}
