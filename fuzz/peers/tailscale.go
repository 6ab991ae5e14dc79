// SPDX-License-Identifier: MIT

package peers

import (
	"unsafe"

	"github.com/tailscale/wireguard-go/tun"

	"tunproof/offload"
)

// Tailscale returns the offload of Tailscale's fork of wireguard-go. Checksum and GSOSplit
// are exported. The functions that Write of a GRODevice calls are linked by name.
func Tailscale() Impl {
	return Impl{
		Name:         "tailscale",
		Module:       "github.com/tailscale/wireguard-go",
		NoECN:        true,
		Sum:          tun.Checksum,
		NewCoalescer: func() Coalescer { return newTailscale() },
		NewSegmenter: func() Segmenter { return newTailscaleSegmenter() },
	}
}

// tsToWrite has the fields of groToWrite.
type tsToWrite struct {
	iovs      [][][]byte
	allocated int
}

//go:linkname tsNewToWrite github.com/tailscale/wireguard-go/tun.newGROToWrite
func tsNewToWrite() tsToWrite

//go:linkname tsResetToWrite github.com/tailscale/wireguard-go/tun.(*groToWrite).reset
func tsResetToWrite(w *tsToWrite)

//go:linkname tsNewTCPTable github.com/tailscale/wireguard-go/tun.newTCPGROTable
func tsNewTCPTable() unsafe.Pointer

//go:linkname tsNewUDPTable github.com/tailscale/wireguard-go/tun.newUDPGROTable
func tsNewUDPTable() unsafe.Pointer

//go:linkname tsResetTCPTable github.com/tailscale/wireguard-go/tun.(*tcpGROTable).reset
func tsResetTCPTable(t unsafe.Pointer)

//go:linkname tsResetUDPTable github.com/tailscale/wireguard-go/tun.(*udpGROTable).reset
func tsResetUDPTable(t unsafe.Pointer)

//go:linkname tsHandleGRO github.com/tailscale/wireguard-go/tun.handleGRO
func tsHandleGRO(bufs [][]byte, offset int, tcp, udp unsafe.Pointer, disabled int, w *tsToWrite) error

type tailscale struct {
	tcp, udp unsafe.Pointer
	out      tsToWrite
	bufs     buffers
}

func newTailscale() *tailscale {
	return &tailscale{tcp: tsNewTCPTable(), udp: tsNewUDPTable(), out: tsNewToWrite(), bufs: buffers{head: wgOffset, size: Slot}}
}

func (t *tailscale) Load(batch [][]byte) { t.bufs.load(batch) }

// Coalesce does what NativeTun.Write does, except for the write itself.
func (t *tailscale) Coalesce(write func([][]byte)) error {
	err := tsHandleGRO(t.bufs.bufs, wgOffset, t.tcp, t.udp, 0, &t.out)
	if err == nil {
		for _, iov := range t.out.iovs {
			write(iov)
		}
	}
	tsResetTCPTable(t.tcp)
	tsResetUDPTable(t.udp)
	tsResetToWrite(&t.out)
	return err
}

func (t *tailscale) CoalesceOpened(open func(int, []byte) []byte, write func([][]byte)) error {
	for i, buf := range t.bufs.bufs {
		t.bufs.bufs[i] = buf[:wgOffset+len(open(i, buf[wgOffset:]))]
	}
	return t.Coalesce(write)
}

// tsSlab is the size of the buffer that its device reads into, and cuts in.
const tsSlab = 2 * 65535

// TailscaleHolds reports whether that buffer has room for this number of segments, of this
// length in bytes.
func TailscaleHolds(segments, length int) bool {
	return segments <= Outputs && segments*(length+tun.ReadPacketSpacing)+tun.ReadPacketSpacing <= tsSlab
}

// tailscaleSegmenter has the frame in the slab, as after its Read: the packet begins after
// tun.ReadPacketSpacing bytes, and the segments take its place.
type tailscaleSegmenter struct {
	slab    []byte
	frame   []byte
	packets []tun.ReadPacket
}

func newTailscaleSegmenter() *tailscaleSegmenter {
	return &tailscaleSegmenter{slab: make([]byte, tsSlab), packets: make([]tun.ReadPacket, Outputs)}
}

func (t *tailscaleSegmenter) Load(frame []byte) {
	start := tun.ReadPacketSpacing - offload.VnetHdrLen
	t.frame = t.slab[start : start+copy(t.slab[start:], frame)]
}

func (t *tailscaleSegmenter) Segment(yield func([]byte)) error {
	h, err := offload.ParseVnetHdr(t.frame)
	if err != nil {
		return err
	}
	pkt := t.frame[offload.VnetHdrLen:]
	o := tun.GSOOptions{HdrLen: h.HdrLen, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset, GSOSize: h.GSOSize, NeedsCsum: h.Flags&offload.NeedsCsum != 0}
	switch h.GSOType {
	case offload.GSOTCPv4:
		o.GSOType = tun.GSOTCPv4
	case offload.GSOTCPv6:
		o.GSOType = tun.GSOTCPv6
	case offload.GSOUDPL4:
		o.GSOType = tun.GSOUDPL4
	}
	// As in its read path, which does not trust HdrLen.
	if o.GSOType == tun.GSOUDPL4 {
		o.HdrLen = o.CsumStart + 8
	} else if at := int(h.CsumStart) + 12; o.GSOType != tun.GSONone && at < len(pkt) {
		o.HdrLen = o.CsumStart + uint16(pkt[at]>>4*4)
	}
	n, err := tun.GSOSplit(pkt, o, t.slab, t.packets, tun.ReadPacketSpacing)
	if err != nil {
		return err
	}
	for _, p := range t.packets[:n] {
		yield(t.slab[p.Offset : p.Offset+p.Size])
	}
	return nil
}
