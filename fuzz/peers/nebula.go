// SPDX-License-Identifier: MIT

package peers

import (
	"errors"
	"io"
	"log/slog"

	"github.com/slackhq/nebula/firewall"
	"github.com/slackhq/nebula/overlay/batch"
	"github.com/slackhq/nebula/overlay/checksum"
	"github.com/slackhq/nebula/overlay/tio"
	"github.com/slackhq/nebula/overlay/tio/virtio"

	"tunproof/offload"
)

// Nebula returns the offload of nebula: overlay/batch, overlay/tio/virtio and
// overlay/checksum. Its firewall parses packets before the coalescer gets them, so parsing
// is part of Load. Its coalescer verifies no checksum.
func Nebula() Impl {
	return Impl{
		Name:         "nebula",
		Module:       "github.com/slackhq/nebula",
		Sum:          checksum.Checksum,
		NewCoalescer: func() Coalescer { return newNebula() },
		NewSegmenter: func() Segmenter { return &nebulaSegmenter{} },
	}
}

type nebula struct {
	co     *batch.MultiCoalescer
	bufs   buffers
	parsed []firewall.ParsedPacket

	write func([][]byte)
	hdr   [offload.VnetHdrLen]byte
	iov   [][]byte
}

func newNebula() *nebula {
	n := &nebula{bufs: buffers{size: Slot}}
	n.co = batch.NewMultiCoalescer(n, slog.New(slog.DiscardHandler))
	return n
}

func (n *nebula) Load(list [][]byte) {
	n.bufs.load(list)
	n.parsed = n.parsed[:0]
	for _, pkt := range list {
		n.parsed = append(n.parsed, parseForNebula(pkt))
	}
}

// parseForNebula returns the fields that its firewall parses and its coalescer reads.
func parseForNebula(pkt []byte) (p firewall.ParsedPacket) {
	switch {
	case len(pkt) >= 20 && pkt[0]>>4 == 4:
		p.Protocol = pkt[9]
		p.IPHdrLen = 4 * int(pkt[0]&15)
		p.FragAny = pkt[6]&0x3F != 0 || pkt[7] != 0
	case len(pkt) >= 40 && pkt[0]>>4 == 6:
		next, off := pkt[6], 40
		for (next == 0 || next == 43 || next == 60) && off+8 <= len(pkt) {
			next, off = pkt[off], off+8+8*int(pkt[off+1])
		}
		p.Protocol, p.IPHdrLen, p.FragAny = next, off, next == 44
	}
	return p
}

func (n *nebula) Coalesce(write func([][]byte)) error {
	n.write = write
	for i, pkt := range n.bufs.bufs {
		if err := n.co.Commit(pkt, batch.SortKey{Counter: uint64(i)}, &n.parsed[i]); err != nil {
			return err
		}
	}
	return n.co.Flush()
}

// CoalesceOpened also parses each packet, as nebula's firewall does once it is opened.
func (n *nebula) CoalesceOpened(open func(int, []byte) []byte, write func([][]byte)) error {
	n.write = write
	for i, buf := range n.bufs.bufs {
		pkt := open(i, buf)
		n.parsed[i] = parseForNebula(pkt)
		if err := n.co.Commit(pkt, batch.SortKey{Counter: uint64(i)}, &n.parsed[i]); err != nil {
			return err
		}
	}
	return n.co.Flush()
}

// Capabilities reports TSO and USO. With Write and WriteGSO it is the queue that the
// coalescer writes to.
func (n *nebula) Capabilities() tio.Capabilities { return tio.Capabilities{TSO: true, USO: true} }

// Write passes one packet to the function given to Coalesce. Before it stands the VnetHdr
// that nebula's overlay/tio would write.
func (n *nebula) Write(pkt []byte) (int, error) {
	n.hdr = [offload.VnetHdrLen]byte{byte(offload.DataValid)}
	n.iov = append(n.iov[:0], n.hdr[:], pkt)
	n.write(n.iov)
	return len(pkt), nil
}

// WriteGSO passes a superpacket to the function given to Coalesce, in pieces and without
// copying. Before it stands the VnetHdr that nebula's overlay/tio would write. With one
// payload the packet gets no GSO type.
func (n *nebula) WriteGSO(ip, l4 []byte, payloads [][]byte, proto tio.GSOProto) error {
	if len(payloads) == 0 {
		return errors.New("peers: nebula writes a superpacket without payload")
	}
	gso, csumOffset := offload.GSOUDPL4, uint16(6)
	if proto == tio.GSOProtoTCP {
		gso, csumOffset = offload.GSOTCPv4, 16
		if ip[0]>>4 == 6 {
			gso = offload.GSOTCPv6
		}
	}
	size := uint16(len(payloads[0]))
	if len(payloads) == 1 {
		gso, size = offload.GSONone, 0
	}
	virtio.EncodeHeader(n.hdr[:], byte(offload.NeedsCsum), byte(gso), uint16(len(ip)+len(l4)), size, uint16(len(ip)), csumOffset)
	n.iov = append(n.iov[:0], n.hdr[:], ip, l4)
	n.iov = append(n.iov, payloads...)
	n.write(n.iov)
	return nil
}

var _ interface {
	io.Writer
	tio.GSOWriter
} = (*nebula)(nil)

type nebulaSegmenter struct{ frame []byte }

func (n *nebulaSegmenter) Load(frame []byte) { n.frame = append(n.frame[:0], frame...) }

func (n *nebulaSegmenter) Segment(yield func([]byte)) error {
	var h virtio.Hdr
	if len(n.frame) < virtio.Size {
		return io.ErrShortBuffer
	}
	h.Decode(n.frame)
	pkt := n.frame[virtio.Size:]
	if err := virtio.CheckValid(pkt, h); err != nil {
		return err
	}
	if h.GSOType() == byte(offload.GSONone) {
		if h.Flags&byte(offload.NeedsCsum) != 0 {
			if err := virtio.FinishChecksum(pkt, h); err != nil {
				return err
			}
		}
		yield(pkt)
		return nil
	}
	if err := virtio.CorrectHdrLen(pkt, &h); err != nil {
		return err
	}
	each := func(seg []byte) error { yield(seg); return nil }
	if h.GSOType() == byte(offload.GSOUDPL4) {
		return virtio.SegmentUDP(pkt, h.HdrLen, h.CsumStart, h.GSOSize, each)
	}
	return virtio.SegmentTCP(pkt, h.HdrLen, h.CsumStart, h.GSOSize, each)
}
