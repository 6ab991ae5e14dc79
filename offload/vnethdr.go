// SPDX-License-Identifier: MIT

package offload

import "encoding/binary"

// VnetHdrLen is the size in bytes of the header before every packet on a TUN opened
// with IFF_VNET_HDR (struct virtio_net_hdr, include/uapi/linux/virtio_net.h).
const VnetHdrLen = 10

// TunnelVnetHdrLen is the size in bytes of the header on a device that hands out
// superpackets in UDP tunnels, which VXLAN and Geneve make (struct
// virtio_net_hdr_v1_hash_tunnel, include/uapi/linux/virtio_net.h, Linux 6.17).
// TUNSETVNETHDRSZ sets it.
const TunnelVnetHdrLen = 24

// Flags is the flags byte of a VnetHdr.
type Flags uint8

const (
	NeedsCsum Flags = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum is partial
	DataValid Flags = 2 // VIRTIO_NET_HDR_F_DATA_VALID: the checksum was verified
	RSCInfo   Flags = 4 // VIRTIO_NET_HDR_F_RSC_INFO: the csum fields have another meaning

	// UDPTunnelCsum is VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM: the tunnel's UDP header has a
	// checksum, which is partial too. It has a meaning only with a tunnel's GSO type.
	UDPTunnelCsum Flags = 8
)

// GSOType is the gso_type byte of a VnetHdr, including the bits for ECN and tunnels.
type GSOType uint8

const (
	GSONone  GSOType = 0    // VIRTIO_NET_HDR_GSO_NONE
	GSOTCPv4 GSOType = 1    // VIRTIO_NET_HDR_GSO_TCPV4
	GSOUDP   GSOType = 3    // VIRTIO_NET_HDR_GSO_UDP (UFO), always refused
	GSOTCPv6 GSOType = 4    // VIRTIO_NET_HDR_GSO_TCPV6
	GSOUDPL4 GSOType = 5    // VIRTIO_NET_HDR_GSO_UDP_L4 (USO)
	GSOECN   GSOType = 0x80 // VIRTIO_NET_HDR_GSO_ECN, or-ed to a TCP type

	// These are or-ed to the type of a superpacket that is in a UDP tunnel over IPv4 or
	// IPv6: VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 and _IPV6.
	GSOUDPTunnelIPv4 GSOType = 0x20
	GSOUDPTunnelIPv6 GSOType = 0x40

	gsoTunnels = GSOUDPTunnelIPv4 | GSOUDPTunnelIPv6
)

// VnetHdr is a virtio_net_hdr: it describes a packet that the kernel hands out, or
// one that is written to the kernel.
type VnetHdr struct {
	Flags      Flags
	GSOType    GSOType
	HdrLen     uint16 // length of all headers; a hint, never used on input (V3)
	GSOSize    uint16 // payload bytes of every segment but the last
	CsumStart  uint16 // offset from the packet's first byte of the data that the checksum covers: a TCP or UDP header
	CsumOffset uint16 // offset of the checksum field from CsumStart

	// These are offsets in bytes from the packet's first byte. They have a meaning only
	// with a tunnel's GSO type, and only a header of TunnelVnetHdrLen bytes has them.
	OuterTHOffset uint16 // the tunnel's UDP header
	InnerNHOffset uint16 // the IP header of the packet in the tunnel
}

// ParseVnetHdr decodes the VnetHdr at the start of b, in the machine's byte order, as
// the kernel writes it (V1). Bytes after VnetHdrLen are ignored. If b is too short,
// the error is ErrVnetHdr.
func ParseVnetHdr(b []byte) (VnetHdr, error) {
	if len(b) < VnetHdrLen {
		return VnetHdr{}, ErrVnetHdr
	}
	return VnetHdr{
		Flags:      Flags(b[0]),
		GSOType:    GSOType(b[1]),
		HdrLen:     binary.NativeEndian.Uint16(b[2:]),
		GSOSize:    binary.NativeEndian.Uint16(b[4:]),
		CsumStart:  binary.NativeEndian.Uint16(b[6:]),
		CsumOffset: binary.NativeEndian.Uint16(b[8:]),
	}, nil
}

// AppendTo appends the VnetHdrLen bytes of h to b, in the machine's byte order.
func (h VnetHdr) AppendTo(b []byte) []byte {
	b = append(b, byte(h.Flags), byte(h.GSOType))
	b = binary.NativeEndian.AppendUint16(b, h.HdrLen)
	b = binary.NativeEndian.AppendUint16(b, h.GSOSize)
	b = binary.NativeEndian.AppendUint16(b, h.CsumStart)
	return binary.NativeEndian.AppendUint16(b, h.CsumOffset)
}

// ParseTunnelVnetHdr decodes the VnetHdr of TunnelVnetHdrLen bytes at the start of b. The
// fields of VnetHdrLen bytes are in the machine's byte order. With a tunnel's GSO type
// they are little-endian, as the last two fields always are (virtio_net_hdr_tnl_from_skb,
// include/linux/virtio_net.h, Linux 6.18). num_buffers and the hash, between them, are
// not read, nor are bytes after TunnelVnetHdrLen. If b is too short, the error is
// ErrVnetHdr.
func ParseTunnelVnetHdr(b []byte) (VnetHdr, error) {
	if len(b) < TunnelVnetHdrLen {
		return VnetHdr{}, ErrVnetHdr
	}
	h, err := ParseVnetHdr(b)
	le := binary.LittleEndian
	if h.GSOType&gsoTunnels != 0 {
		h.HdrLen, h.GSOSize = le.Uint16(b[2:]), le.Uint16(b[4:])
		h.CsumStart, h.CsumOffset = le.Uint16(b[6:]), le.Uint16(b[8:])
	}
	h.OuterTHOffset, h.InnerNHOffset = le.Uint16(b[20:]), le.Uint16(b[22:])
	return h, err
}

// AppendTunnelTo appends the TunnelVnetHdrLen bytes of h to b, in the byte order that
// ParseTunnelVnetHdr reads. num_buffers and the hash are zero.
func (h VnetHdr) AppendTunnelTo(b []byte) []byte {
	at := len(b)
	b = append(h.AppendTo(b), make([]byte, TunnelVnetHdrLen-VnetHdrLen)...)
	le, w := binary.LittleEndian, b[at:]
	if h.GSOType&gsoTunnels != 0 {
		le.PutUint16(w[2:], h.HdrLen)
		le.PutUint16(w[4:], h.GSOSize)
		le.PutUint16(w[6:], h.CsumStart)
		le.PutUint16(w[8:], h.CsumOffset)
	}
	le.PutUint16(w[20:], h.OuterTHOffset)
	le.PutUint16(w[22:], h.InnerNHOffset)
	return b
}
