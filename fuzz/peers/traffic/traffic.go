// SPDX-License-Identifier: MIT

// Package traffic makes the packets for measuring implementations.
package traffic

import (
	"bytes"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/offload"
)

// Kind is a kind of flow.
type Kind struct {
	Name    string // as in tables
	V6, UDP bool
}

// Kinds has the kinds of flows that all implementations join and cut.
var Kinds = []Kind{{Name: "tcp4"}, {Name: "tcp6", V6: true}, {Name: "udp4", UDP: true}, {Name: "udp6", V6: true, UDP: true}}

// packet returns the first packet of a flow, with size bytes of payload. TCP has the
// timestamps that Linux sends.
func (k Kind) packet(flow, size int) scenario.Packet {
	p := scenario.TCP4(size)
	if k.V6 {
		p = scenario.TCP6(size)
	}
	p.UDP = k.UDP
	if !k.UDP {
		p.Options = scenario.Timestamps
	}
	p.SrcPort += uint16(flow)
	return p
}

// HdrLen returns the length of all headers of a packet.
func (k Kind) HdrLen() int { return len(k.packet(0, 0).Bytes()) }

// Batch returns n packets with size bytes of payload each. The flows take turns, and the
// packets of each flow are in sequence.
func (k Kind) Batch(n, flows, size int) [][]byte {
	var batch [][]byte
	next := make([]scenario.Packet, flows)
	for i := range next {
		next[i] = k.packet(i, size)
	}
	for i := range n {
		p := &next[i%flows]
		batch = append(batch, p.Bytes())
		*p = p.Next(size)
	}
	return batch
}

// Frame returns a VnetHdr and a superpacket of n segments with size bytes of payload each,
// or of fewer if n do not fit.
func (k Kind) Frame(n, size int) []byte {
	n = min(n, (65535-k.HdrLen())/size)
	h, pkt := k.packet(0, n*size).Super(size)
	frame := offload.VnetHdr{
		Flags: offload.Flags(h.Flags), GSOType: offload.GSOType(h.GSOType), HdrLen: h.HdrLen,
		GSOSize: h.GSOSize, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset,
	}.AppendTo(nil)
	return append(frame, pkt...)
}

// PureACKs returns n ACKs without payload, each with a different ACK number. The flows
// take turns.
func PureACKs(n, flows int) [][]byte {
	var batch [][]byte
	for i := range n {
		p := Kind{}.packet(i%flows, 0)
		p.Ack += uint32(i) * 2896
		p.ID += uint16(i)
		batch = append(batch, p.Bytes())
	}
	return batch
}

// ESP returns n packets of a protocol that no implementation joins, with size bytes after
// the IP header.
func ESP(n, size int) [][]byte {
	var batch [][]byte
	for i := range n {
		p := Kind{UDP: true}.packet(0, size-8)
		p.ID += uint16(i)
		b := bytes.Clone(p.Bytes())
		b[9] = 50
		packet.Fix(b, packet.FixIPCsum)
		batch = append(batch, b)
	}
	return batch
}
