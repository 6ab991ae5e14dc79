// SPDX-License-Identifier: MIT

package peers

import (
	"unsafe"

	_ "golang.zx2c4.com/wireguard/tun" // its functions are linked by name

	"tunproof/offload"
)

// WireGuard returns the offload of wireguard-go (golang.zx2c4.com/wireguard/tun). Its
// functions are not exported, so they are linked by name.
func WireGuard() Impl {
	return Impl{
		Name:         "wireguard-go",
		Module:       "golang.zx2c4.com/wireguard",
		NoECN:        true,
		Sum:          func(b []byte, initial uint16) uint16 { return wgChecksum(b, uint64(initial)) },
		NewCoalescer: func() Coalescer { return newWireGuard() },
		NewSegmenter: func() Segmenter { return newWireGuardSegmenter() },
	}
}

// wgChecksum returns the folded one's-complement sum of b and initial, not complemented.
//
//go:linkname wgChecksum golang.zx2c4.com/wireguard/tun.checksum
func wgChecksum(b []byte, initial uint64) uint16

//go:linkname wgNewTCPTable golang.zx2c4.com/wireguard/tun.newTCPGROTable
func wgNewTCPTable() unsafe.Pointer

//go:linkname wgNewUDPTable golang.zx2c4.com/wireguard/tun.newUDPGROTable
func wgNewUDPTable() unsafe.Pointer

//go:linkname wgResetTCPTable golang.zx2c4.com/wireguard/tun.(*tcpGROTable).reset
func wgResetTCPTable(t unsafe.Pointer)

//go:linkname wgResetUDPTable golang.zx2c4.com/wireguard/tun.(*udpGROTable).reset
func wgResetUDPTable(t unsafe.Pointer)

//go:linkname wgHandleGRO golang.zx2c4.com/wireguard/tun.handleGRO
func wgHandleGRO(bufs [][]byte, offset int, tcp, udp unsafe.Pointer, canUDP bool, toWrite *[]int) error

//go:linkname wgHandleVirtioRead golang.zx2c4.com/wireguard/tun.handleVirtioRead
func wgHandleVirtioRead(in []byte, bufs [][]byte, sizes []int, offset int) (int, error)

// wgOffset is the room that device.Device leaves before each packet, for the header of a
// transport message.
const wgOffset = 16

// wgBuffer is the size of the device's buffers; joining appends up to their end. wgSlot is
// the distance between them, an odd number of cache lines as in Slot.
const (
	wgBuffer = 65535
	wgSlot   = 65600
)

type wireGuard struct {
	tcp, udp unsafe.Pointer
	bufs     buffers
	work     [][]byte
	toWrite  []int
	iov      [1][]byte
}

func newWireGuard() *wireGuard {
	return &wireGuard{tcp: wgNewTCPTable(), udp: wgNewUDPTable(), bufs: buffers{head: wgOffset, size: wgSlot, most: wgBuffer}}
}

func (w *wireGuard) Load(batch [][]byte) {
	w.bufs.load(batch)
	w.work = append(w.work[:0], w.bufs.bufs...)
}

// Coalesce does what NativeTun.Write does, except for the write itself.
func (w *wireGuard) Coalesce(write func([][]byte)) error {
	w.toWrite = w.toWrite[:0]
	err := wgHandleGRO(w.work, wgOffset, w.tcp, w.udp, true, &w.toWrite)
	if err == nil {
		for _, i := range w.toWrite {
			w.iov[0] = w.work[i][wgOffset-offload.VnetHdrLen:]
			write(w.iov[:])
		}
	}
	wgResetTCPTable(w.tcp)
	wgResetUDPTable(w.udp)
	return err
}

func (w *wireGuard) CoalesceOpened(open func(int, []byte) []byte, write func([][]byte)) error {
	for i, buf := range w.work {
		w.work[i] = buf[:wgOffset+len(open(i, buf[wgOffset:]))]
	}
	return w.Coalesce(write)
}

// Outputs is the number of buffers that a copying segmenter gets.
const Outputs = 4096

// outputs holds a superpacket, and the buffers that a copying segmenter writes to.
type outputs struct {
	frame []byte // the superpacket, with its VnetHdr
	bufs  [][]byte
	sizes []int // of the segments in bufs, in bytes
}

func newOutputs() outputs {
	o := outputs{bufs: make([][]byte, Outputs), sizes: make([]int, Outputs)}
	mem := make([]byte, len(o.bufs)*Slot)
	for i := range o.bufs {
		o.bufs[i] = mem[i*Slot : (i+1)*Slot]
	}
	return o
}

func (o *outputs) Load(frame []byte) { o.frame = append(o.frame[:0], frame...) }

func (o *outputs) each(n int, yield func([]byte)) {
	for i := range n {
		yield(o.bufs[i][:o.sizes[i]])
	}
}

type wireGuardSegmenter struct{ outputs }

func newWireGuardSegmenter() *wireGuardSegmenter { return &wireGuardSegmenter{newOutputs()} }

func (w *wireGuardSegmenter) Segment(yield func([]byte)) error {
	n, err := wgHandleVirtioRead(w.frame, w.bufs, w.sizes, 0)
	if err != nil {
		return err
	}
	w.each(n, yield)
	return nil
}
