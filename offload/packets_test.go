// SPDX-License-Identifier: MIT

package offload

import "encoding/binary"

// flow describes packets for the tests of this package. The properties, with packets
// of every kind, are in fuzz.
type flow struct {
	v6, udp bool
	port    uint16
}

// packet returns packet i of the flow, with n payload bytes with values from n*i to
// n*(i+1).
func (f flow) packet(i, n int) []byte {
	var b []byte
	proto := byte(protoTCP)
	if f.udp {
		proto = protoUDP
	}
	if f.v6 {
		b = append([]byte{0x60, 0, 0, 0, 0, 0, proto, 64}, make([]byte, 32)...)
		b[23], b[39] = 1, 2
	} else {
		b = []byte{0x45, 0, 0, 0, 0, byte(i), 0x40, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
	}
	l4Off := len(b)
	b = binary.BigEndian.AppendUint16(b, f.port)
	b = binary.BigEndian.AppendUint16(b, 443)
	if f.udp {
		b = append(b, 0, 0, 0, 0)
	} else {
		b = binary.BigEndian.AppendUint32(b, uint32(i*n))
		b = append(b, 0, 0, 0, 1, 0x50, tcpACK, 2, 0, 0, 0, 0, 0)
	}
	for k := range n {
		b = append(b, byte(n*i+k))
	}
	seal(b, l4Off, proto)
	return b
}

// seal sets lengths and checksums to the right values.
func seal(b []byte, l4Off int, proto byte) {
	version := int(b[0] >> 4)
	if version == 4 {
		putBE16(b[2:], uint16(len(b)))
		putBE16(b[10:], 0)
		putBE16(b[10:], Checksum(b[:20], 0))
	} else {
		putBE16(b[4:], uint16(len(b)-40))
	}
	at := l4Off + tcpCsumOffset
	if proto == protoUDP {
		putBE16(b[l4Off+4:], uint16(len(b)-l4Off))
		at = l4Off + udpCsumOffset
	}
	putBE16(b[at:], 0)
	src, dst := addrs(b, version)
	putBE16(b[at:], Checksum(b[l4Off:], PseudoHeaderSum(proto, src, dst, len(b)-l4Off)))
}

// batch returns n packets, of the flows in turn.
func batch(n, size int, flows ...flow) [][]byte {
	var pkts [][]byte
	for i := range n {
		pkts = append(pkts, flows[i%len(flows)].packet(i/len(flows), size))
	}
	return pkts
}

// inVXLAN returns a superpacket in a VXLAN tunnel over IPv4 whose UDP header has a checksum.
func inVXLAN(h VnetHdr, pkt []byte) (VnetHdr, []byte) {
	outer := append(flow{udp: true, port: 4789}.packet(0, 0), make([]byte, 8+14)...) // VXLAN, Ethernet
	h.Flags |= UDPTunnelCsum
	h.GSOType |= GSOUDPTunnelIPv4
	h.OuterTHOffset, h.InnerNHOffset = 20, uint16(len(outer))
	h.CsumStart += h.InnerNHOffset
	return h, append(outer, pkt...)
}
