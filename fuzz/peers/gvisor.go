// SPDX-License-Identifier: MIT

package peers

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/stack/gro"

	"tunproof/offload"
)

// GVisor returns the GRO and the checksum of gVisor's network stack. It joins TCP for its
// own stack, not for a TUN: there is no VnetHdr, and the checksum field is that of the
// first packet. The adapter puts an empty VnetHdr before each packet.
func GVisor() Impl {
	return Impl{
		Name:         "gvisor",
		Module:       "gvisor.dev/gvisor",
		Sum:          checksum.Checksum,
		NewCoalescer: func() Coalescer { return newGVisor() },
		Stack:        true,
	}
}

type gvisor struct {
	gro     gro.GRO
	packets []*stack.PacketBuffer
	write   func([][]byte)
	iov     [][]byte
}

func newGVisor() *gvisor {
	g := &gvisor{}
	g.gro.Init(true)
	g.gro.Dispatcher = g
	return g
}

func (g *gvisor) Load(batch [][]byte) {
	g.packets = g.packets[:0]
	for _, pkt := range batch {
		p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(pkt)})
		p.NetworkProtocolNumber = header.IPv4ProtocolNumber
		if len(pkt) > 0 && pkt[0]>>4 == 6 {
			p.NetworkProtocolNumber = header.IPv6ProtocolNumber
		}
		g.packets = append(g.packets, p)
	}
}

func (g *gvisor) Coalesce(write func([][]byte)) error {
	g.write = write
	for _, p := range g.packets {
		g.gro.Enqueue(p)
		p.DecRef()
	}
	g.gro.Flush()
	return nil
}

var emptyVnetHdr [offload.VnetHdrLen]byte

// DeliverNetworkPacket writes a packet. GRO calls it for each joined packet.
func (g *gvisor) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, p *stack.PacketBuffer) {
	g.iov = append(g.iov[:0], emptyVnetHdr[:])
	g.iov = append(g.iov, p.AsSlices()...)
	g.write(g.iov)
}

// DeliverLinkPacket does nothing. GRO does not call it.
func (g *gvisor) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {}
