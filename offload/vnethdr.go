package offload

import "encoding/binary"

// VnetHdrLen is the size in bytes of the header before every packet on a TUN opened
// with IFF_VNET_HDR (struct virtio_net_hdr, include/uapi/linux/virtio_net.h).
const VnetHdrLen = 10

// Flags is the flags byte of a VnetHdr.
type Flags uint8

const (
	NeedsCsum Flags = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum is partial
	DataValid Flags = 2 // VIRTIO_NET_HDR_F_DATA_VALID: the checksum was verified
	RSCInfo   Flags = 4 // VIRTIO_NET_HDR_F_RSC_INFO: the csum fields have another meaning
)

// GSOType is the gso_type byte of a VnetHdr, including the ECN bit.
type GSOType uint8

const (
	GSONone  GSOType = 0    // VIRTIO_NET_HDR_GSO_NONE
	GSOTCPv4 GSOType = 1    // VIRTIO_NET_HDR_GSO_TCPV4
	GSOUDP   GSOType = 3    // VIRTIO_NET_HDR_GSO_UDP (UFO), always refused
	GSOTCPv6 GSOType = 4    // VIRTIO_NET_HDR_GSO_TCPV6
	GSOUDPL4 GSOType = 5    // VIRTIO_NET_HDR_GSO_UDP_L4 (USO)
	GSOECN   GSOType = 0x80 // VIRTIO_NET_HDR_GSO_ECN, or-ed to a TCP type
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
