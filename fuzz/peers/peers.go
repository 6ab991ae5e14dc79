// SPDX-License-Identifier: MIT

// Package peers has adapters for other implementations of packet offload, so that they can
// be called in one process with tunproof's, on the same packets. An adapter hands packets
// over in the way that the implementation keeps them. It repairs and hides nothing.
package peers

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"tunproof/offload"
)

// Impl is one implementation. A function that it does not have is nil.
type Impl struct {
	Name   string // as in tables
	Module string // Go module that has it; "" is tunproof

	// Sum returns the folded one's-complement sum of b and initial, not complemented.
	Sum func(b []byte, initial uint16) uint16

	NewCoalescer func() Coalescer
	NewSegmenter func() Segmenter

	NoECN bool // its device does not ask for TUN_F_TSO_ECN
	Stack bool // it joins for a network stack of its own, not for a TUN
}

// Coalescer joins one batch at a time.
type Coalescer interface {
	// Load copies a batch to the implementation's memory, which Coalesce may
	// overwrite. It stands for the work before (decryption) and is not measured.
	Load(batch [][]byte)
	// Coalesce joins the loaded batch. It can be called once after each Load. It
	// calls write for each packet with the pieces that writev(2) would get: the
	// VnetHdr, then the IP packet. They are valid during the call.
	Coalesce(write func(pieces [][]byte)) error
}

// Opener is a Coalescer whose packets are opened first, as in a VPN.
type Opener interface {
	Coalescer
	// CoalesceOpened is Coalesce for a loaded batch of sealed packets. open opens
	// packet i in place and returns what was sealed. It is called in the order of the
	// batch, for each packet where the implementation wants it.
	CoalesceOpened(open func(i int, sealed []byte) []byte, write func(pieces [][]byte)) error
}

// Segmenter cuts one superpacket at a time.
type Segmenter interface {
	// Load copies a frame that was read from a TUN, VnetHdr and packet. See
	// Coalescer.Load.
	Load(frame []byte)
	// Segment cuts the loaded frame. It can be called once after each Load. It calls
	// yield with each segment, which is valid during the call.
	Segment(yield func(segment []byte)) error
}

// All returns tunproof and the other implementations.
func All() []Impl {
	return []Impl{Tunproof(), TunproofCopying(), Nebula(), Tailscale(), WireGuard(), GVisor()}
}

// Version returns the version of the implementation's module in this program.
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

// buffers is a copy of a batch, with room around each packet.
type buffers struct {
	head, size int // room before each packet, and distance between buffers, in bytes
	most       int // length of each buffer in bytes; 0 for size
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

// Tunproof returns package offload, which segments in place.
func Tunproof() Impl {
	return Impl{
		Name:         "tunproof",
		Sum:          offload.Sum,
		NewCoalescer: func() Coalescer { return newOurs() },
		NewSegmenter: func() Segmenter { return &oursInPlace{} },
	}
}

// TunproofCopying returns package offload, which segments to another buffer.
func TunproofCopying() Impl {
	return Impl{Name: "tunproof-next", NewSegmenter: func() Segmenter { return &oursNext{out: make([]byte, 65535)} }}
}

// TunproofAdding returns package offload, which joins each packet as soon as it is opened.
func TunproofAdding() Impl {
	return Impl{Name: "tunproof-add", NewCoalescer: func() Coalescer { return &oursAdding{*newOurs()} }}
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
	return &ours{co: co, bufs: buffers{size: Slot}}
}

// Slot is the size of a packet's buffer if nothing is appended to the packet. It has room
// for 9,000 bytes. It is an odd number of cache lines, so that the headers of a batch are
// spread over all sets of the cache.
const Slot = 9280

func (o *ours) Load(batch [][]byte) {
	o.bufs.load(batch)
	o.pkts = append(o.pkts[:0], o.bufs.bufs...)
}

func (o *ours) Coalesce(write func([][]byte)) error {
	o.write(o.co.Coalesce(o.pkts), write)
	return nil
}

func (o *ours) write(supers []offload.Superpacket, write func([][]byte)) {
	for i := range supers {
		o.iov = supers[i].Buffers(o.iov[:0])
		write(o.iov)
	}
}

func (o *ours) CoalesceOpened(open func(int, []byte) []byte, write func([][]byte)) error {
	for i, buf := range o.bufs.bufs {
		o.pkts[i] = open(i, buf)
	}
	return o.Coalesce(write)
}

type oursAdding struct{ ours }

func (o *oursAdding) Coalesce(write func([][]byte)) error {
	return o.CoalesceOpened(func(_ int, pkt []byte) []byte { return pkt }, write)
}

func (o *oursAdding) CoalesceOpened(open func(int, []byte) []byte, write func([][]byte)) error {
	for i, buf := range o.bufs.bufs {
		o.co.Add(open(i, buf))
	}
	o.write(o.co.Flush(), write)
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
	// Adjacent buffers, as the other implementations get them.
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
