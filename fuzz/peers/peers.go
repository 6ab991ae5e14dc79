// Package peers makes other implementations of packet offload callable side by
// side with tunproof's, in one process and on the same packets. An adapter says
// what an implementation does, in its own way of holding packets; it repairs and
// hides nothing.
package peers

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"tunproof/offload"
)

// Impl is one implementation. What it does not do is nil.
type Impl struct {
	Name   string // in tables
	Module string // of which it is; "" is tunproof

	// Sum is the folded one's-complement sum of b and initial, not complemented.
	Sum func(b []byte, initial uint16) uint16

	NewCoalescer func() Coalescer
	NewSegmenter func() Segmenter

	NoECN bool // its device does not ask for TUN_F_TSO_ECN
	Stack bool // it joins for a network stack of its own, not for a TUN
}

// Coalescer joins one batch at a time.
type Coalescer interface {
	// Load copies a batch to where the implementation works on it, which may
	// destroy it. It is what comes before (decryption), and not measured.
	Load(batch [][]byte)
	// Coalesce joins the batch that was loaded, once, and hands each packet to
	// write as it would go to writev(2): the VnetHdr, then IP packet, in pieces
	// that are valid during the call.
	Coalesce(write func(pieces [][]byte)) error
}

// Segmenter cuts one superpacket at a time.
type Segmenter interface {
	// Load copies what was read from a TUN, VnetHdr and packet, as Coalescer.Load.
	Load(frame []byte)
	// Segment cuts what was loaded, once, and hands each segment to yield, valid
	// during the call.
	Segment(yield func(segment []byte)) error
}

// All returns tunproof and the others.
func All() []Impl {
	return []Impl{Tunproof(), TunproofCopying(), Nebula(), Tailscale(), WireGuard(), GVisor()}
}

// Version is the version of the implementation's module in this program.
func (i Impl) Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || i.Module == "" {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == i.Module {
			if m.Replace != nil {
				m = m.Replace
			}
			return m.Version
		}
	}
	return ""
}

// buffers is a batch copied to memory of its own, with room around each packet.
type buffers struct {
	head, size int // bytes before each packet, and from one buffer to the next
	most       int // bytes of each buffer, 0 for size
	mem        []byte
	bufs       [][]byte
}

func (b *buffers) load(batch [][]byte) {
	if need := len(batch) * b.size; len(b.mem) < need {
		b.mem = make([]byte, need)
	}
	b.bufs = b.bufs[:0]
	for i, pkt := range batch {
		most := cmp.Or(b.most, b.size)
		buf := b.mem[i*b.size:][:most:most]
		if b.head+len(pkt) > most {
			panic(fmt.Sprintf("peers: packet of %d bytes for a buffer of %d", len(pkt), most))
		}
		copy(buf[b.head:], pkt)
		b.bufs = append(b.bufs, buf[:b.head+len(pkt)])
	}
}

// Tunproof is package offload, segmenting in place.
func Tunproof() Impl {
	return Impl{
		Name:         "tunproof",
		Sum:          offload.Sum,
		NewCoalescer: func() Coalescer { return newOurs() },
		NewSegmenter: func() Segmenter { return &oursInPlace{} },
	}
}

// TunproofCopying is package offload, segmenting to another buffer.
func TunproofCopying() Impl {
	return Impl{Name: "tunproof-next", NewSegmenter: func() Segmenter { return &oursNext{out: make([]byte, 65535)} }}
}

type ours struct {
	co   *offload.Coalescer
	bufs buffers
	pkts [][]byte
	iov  [][]byte
}

func newOurs() *ours {
	co, err := offload.NewCoalescer(offload.Config{})
	if err != nil {
		panic(err) // the zero Config is right
	}
	return &ours{co: co, bufs: buffers{size: slot}}
}

// slot is the size of a packet's buffer where nothing is appended in it: room for
// 9,000 bytes, and an odd number of cache lines, so that the headers of a batch do
// not share a few sets of the cache.
const slot = 9280

func (o *ours) Load(batch [][]byte) {
	o.bufs.load(batch)
	o.pkts = append(o.pkts[:0], o.bufs.bufs...)
}

func (o *ours) Coalesce(write func([][]byte)) error {
	supers := o.co.Coalesce(o.pkts)
	for i := range supers {
		o.iov = supers[i].Buffers(o.iov[:0])
		write(o.iov)
	}
	return nil
}

type oursInPlace struct {
	s     offload.Segmenter
	frame []byte
}

func (o *oursInPlace) Load(frame []byte) { o.frame = append(o.frame[:0], frame...) }

func (o *oursInPlace) reset() error {
	h, err := offload.ParseVnetHdr(o.frame)
	if err != nil {
		return err
	}
	return o.s.Reset(h, o.frame[offload.VnetHdrLen:])
}

func (o *oursInPlace) Segment(yield func([]byte)) error {
	if err := o.reset(); err != nil {
		return err
	}
	for seg := range o.s.InPlace() {
		yield(seg)
	}
	return nil
}

type oursNext struct {
	oursInPlace
	out []byte
}

func (o *oursNext) Segment(yield func([]byte)) error {
	if err := o.reset(); err != nil {
		return err
	}
	// To buffers one behind another, as others are given them.
	at := 0
	for o.s.Len() > 0 {
		if len(o.out) < at+o.s.NextLen() {
			o.out = make([]byte, 2*len(o.out)+o.s.NextLen())
			at = 0
		}
		n, err := o.s.Next(o.out[at:])
		if err != nil {
			return err
		}
		yield(o.out[at : at+n])
		at += n
	}
	return nil
}
