// Package tunlive asks a real kernel: how it cuts superpackets, which packets
// its GRO joins, and whether sockets at both ends of a wire get what was sent.
// Everything happens in network namespaces of the harness's own, made by system
// calls and netlink alone; no program is run, nothing of the host's network is
// read or written. An ordinary user can do nearly all of it.
//
// It knows nothing of packages offload and model: no code, no constant. What is
// asked of it is bytes, what it answers is what the kernel did.
package tunlive

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// VnetHdr is a virtio_net_hdr as the kernel reads and writes it, 10 bytes in
// native byte order.
type VnetHdr struct {
	Flags, GSOType                         uint8
	HdrLen, GSOSize, CsumStart, CsumOffset uint16
}

const vnetHdrLen = 10

func (h VnetHdr) append(b []byte) []byte {
	b = append(b, h.Flags, h.GSOType)
	for _, v := range [...]uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset} {
		b = binary.NativeEndian.AppendUint16(b, v)
	}
	return b
}

func parseVnetHdr(b []byte) VnetHdr {
	u16 := binary.NativeEndian.Uint16
	return VnetHdr{b[0], b[1], u16(b[2:]), u16(b[4:]), u16(b[6:]), u16(b[8:])}
}

// Packet is what the kernel handed out: a packet from its IP header on.
type Packet struct {
	Hdr  VnetHdr
	Data []byte
}

// Class is what the kernel did with a packet that was written to a TUN, as
// errno and the device's counters tell.
type Class uint8

const (
	_          Class = iota // not known
	Delivered               // taken, and something came out
	Refused                 // EINVAL before anything was counted
	FrameError              // EINVAL, rx_frame_errors: the virtio_net_hdr does not fit the packet
	RxDropped               // EINVAL, rx_dropped: not IP
	Dropped                 // taken, then dropped while it was cut, tx_dropped
	Lost                    // taken, nothing came out, nothing was counted
)

var classNames = [...]string{"unknown", "delivered", "refused", "frame-error", "rx-dropped", "dropped", "lost"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return classNames[0]
}

// Answer is what the kernel made of one superpacket. Segments are valid until
// the oracle's next call.
type Answer struct {
	Class    Class
	Errno    error // of the write, nil if it was taken
	Segments []Packet
}

// Segmenter is an oracle that cuts superpackets.
type Segmenter interface {
	// Segment writes a superpacket and returns what came out. It refuses to write
	// what guard.Check refuses; then and when the harness fails there is an error.
	Segment(h VnetHdr, packet []byte) (Answer, error)
	Close() error
}

// GRO is an oracle that joins packets.
type GRO interface {
	// Coalesce gives the kernel's GRO a batch of packets of IPv4 and IPv6, at most
	// MaxBatch of them, in one poll, and returns what comes out, in the order in
	// which it does, valid until the next call. What it cannot send is ErrPacket,
	// what the machine is too slow for ErrSlow.
	Coalesce(batch [][]byte) ([]Packet, error)
	Close() error
}

// MaxBatch is how many packets one poll of a NAPI takes, its weight of 64, less
// what the harness itself sends.
const MaxBatch = 62

// ErrPacket is a packet that an oracle cannot send: too short, too long, of no IP
// version, or more than an ordinary user's sockets have room for.
var ErrPacket = errors.New("not a packet that can be sent this way")

// ErrSlow is a batch that an oracle cannot ask about on a machine as slow as this one:
// the clock ticks during it, however often it is tried.
var ErrSlow = errors.New("the clock ticks during the batch")

// ErrKernel is what a Missing wraps whose reason is the kernel's version.
var ErrKernel = errors.New("this kernel has none")

// Missing is something that an oracle needs and the machine has not.
type Missing struct {
	What string // "a TUN device"
	How  string // to get it
	Err  error
}

func (m *Missing) Error() string {
	s := "needs " + m.What
	if m.Err != nil {
		s += fmt.Sprintf(" (%v)", m.Err)
	}
	if m.How != "" {
		s += ": " + m.How
	}
	return s
}

func (m *Missing) Unwrap() error { return m.Err }
