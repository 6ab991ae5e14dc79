package offload

import "errors"

// What Segmenter.Reset refuses, in the order in which it looks: the first that
// holds is returned, bare, and nothing has been written. The kernel's own tests
// are __virtio_net_hdr_to_skb (include/linux/virtio_net.h) when the packet is
// written and {inet,ipv6,tcp4,tcp6,__udp}_gso_segment when it is cut (Linux 6.12).
var (
	ErrRSCInfo    = errors.New("offload: RSC_INFO set: the csum fields do not describe a checksum")
	ErrGSOType    = errors.New("offload: gso_type unknown, or ECN bit without a TCP type")
	ErrGSOSize    = errors.New("offload: gso_size 0 or 65535 with a GSO type")
	ErrNoCsum     = errors.New("offload: UDP_L4 without NEEDS_CSUM")
	ErrTooLong    = errors.New("offload: superpacket over 65535 bytes")
	ErrIPHeader   = errors.New("offload: IP header truncated or malformed")
	ErrFragment   = errors.New("offload: IP fragment with a GSO type")
	ErrProtocol   = errors.New("offload: IP version or protocol is not the gso_type's")
	ErrL4Header   = errors.New("offload: TCP or UDP header truncated or malformed")
	ErrCsumStart  = errors.New("offload: csum_start is not where the L4 header starts")
	ErrCsumOffset = errors.New("offload: csum_offset is not the checksum field's")
	ErrSegments   = errors.New("offload: UDP_L4 of more than 128 segments")

	// ErrCsumRange: the bounds of a packet without GSO that NEEDS_CSUM.
	ErrCsumRange = errors.New("offload: checksum field outside the packet, or csum_start under 20")

	// ErrVnetHdr is ParseVnetHdr's.
	ErrVnetHdr = errors.New("offload: fewer than 10 bytes for a virtio_net_hdr")
)
