// SPDX-License-Identifier: MIT

// Package tunlive asks a real kernel how it cuts superpackets, which packets its GRO
// joins, and whether sockets at both ends of a wire get what was sent. Everything
// happens in network namespaces that the harness makes with system calls and netlink
// alone. It runs no programs, and neither reads nor writes the host's network. An
// ordinary user can do nearly all of it.
//
// The package shares no code and no constants with packages offload and model. Its
// questions are bytes, and its answers are what the kernel did.
package tunlive

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// VnetHdr is a virtio_net_hdr as the kernel reads and writes it: 10 bytes in native
// byte order. A device with headers of 24 bytes also has the last two fields, in
// little-endian order (struct virtio_net_hdr_v1_hash_tunnel).
type VnetHdr struct {
	Flags, GSOType                         uint8
	HdrLen, GSOSize, CsumStart, CsumOffset uint16
	OuterTHOffset, InnerNHOffset           uint16
}

const (
	vnetHdrLen       = 10
	tunnelVnetHdrLen = 24
	tunnelTypes      = 0x60 // VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 and _IPV6
)

func (h VnetHdr) append(b []byte) []byte {
	b = append(b, h.Flags, h.GSOType)
	for _, v := range [...]uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset} {
		b = binary.NativeEndian.AppendUint16(b, v)
	}
	return b
}

func parseVnetHdr(b []byte) VnetHdr {
	u16 := binary.NativeEndian.Uint16
	return VnetHdr{b[0], b[1], u16(b[2:]), u16(b[4:]), u16(b[6:]), u16(b[8:]), 0, 0}
}

// appendTunnel appends the 24 bytes of h. The kernel reads the header of a superpacket
// in a tunnel in little-endian order, and every other in the machine's
// (virtio_net_hdr_tnl_to_skb, include/linux/virtio_net.h, Linux 6.18).
func (h VnetHdr) appendTunnel(b []byte) []byte {
	if h.GSOType&tunnelTypes == 0 {
		b = h.append(b)
	} else {
		b = append(b, h.Flags, h.GSOType)
		for _, v := range [...]uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset} {
			b = binary.LittleEndian.AppendUint16(b, v)
		}
	}
	b = append(b, make([]byte, 10)...) // num_buffers and the hash
	b = binary.LittleEndian.AppendUint16(b, h.OuterTHOffset)
	return binary.LittleEndian.AppendUint16(b, h.InnerNHOffset)
}

func parseTunnelVnetHdr(b []byte) VnetHdr {
	le := binary.LittleEndian.Uint16
	h := parseVnetHdr(b)
	if h.GSOType&tunnelTypes != 0 {
		h = VnetHdr{b[0], b[1], le(b[2:]), le(b[4:]), le(b[6:]), le(b[8:]), 0, 0}
	}
	h.OuterTHOffset, h.InnerNHOffset = le(b[20:]), le(b[22:])
	return h
}

// Packet is a packet that the kernel handed out, from its IP header on.
type Packet struct {
	Hdr  VnetHdr
	Data []byte
}

// Class is the outcome of a packet that was written to a TUN, as shown by the errno
// and the device's counters.
type Class uint8

const (
	_          Class = iota // not known
	Delivered               // accepted, and packets came out
	Refused                 // EINVAL before anything was counted
	FrameError              // EINVAL, rx_frame_errors: the virtio_net_hdr does not match the packet
	RxDropped               // EINVAL, rx_dropped: not IP
	Dropped                 // accepted, then dropped during segmentation, tx_dropped
	Lost                    // accepted, but nothing came out and nothing was counted
)

var classNames = [...]string{"unknown", "delivered", "refused", "frame-error", "rx-dropped", "dropped", "lost"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return classNames[0]
}

// Answer is the kernel's result for one superpacket. Segments are valid until the
// oracle's next call.
type Answer struct {
	Class    Class
	Errno    error // of the write, nil if the packet was accepted
	Segments []Packet
}

// Segmenter is an oracle that cuts superpackets.
type Segmenter interface {
	// Segment writes a superpacket and returns what came out. It returns an error if
	// guard.Check refuses the packet, which is not written then, or if the harness
	// fails.
	Segment(h VnetHdr, packet []byte) (Answer, error)
	Close() error
}

// GRO is an oracle that joins packets.
type GRO interface {
	// Coalesce gives a batch of IPv4 and IPv6 packets, at most MaxBatch, to the
	// kernel's GRO in one poll. It returns the packets that come out, in order, valid
	// until the next call. The error is ErrPacket if a packet cannot be sent, and
	// ErrSlow if the machine is too slow.
	Coalesce(batch [][]byte) ([]Packet, error)
	Close() error
}

// MaxBatch is the number of packets for one poll of a NAPI: its weight of 64, less
// the packets of the harness itself.
const MaxBatch = 62

// ErrPacket is returned for a packet that an oracle cannot send: too short, too long,
// of no IP version, or larger than an ordinary user's sockets have room for.
var ErrPacket = errors.New("not a packet that can be sent this way")

// ErrSlow is returned for a batch for which the machine is too slow: the clock ticks
// during the batch in every attempt.
var ErrSlow = errors.New("the clock ticks during the batch")

// ErrKernel is wrapped by a Missing if the kernel is too old.
var ErrKernel = errors.New("this kernel has none")

// Missing is something an oracle needs and the machine lacks.
type Missing struct {
	What string // "a TUN device"
	How  string // how to get it
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
