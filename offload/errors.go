// SPDX-License-Identifier: MIT

package offload

import "errors"

// Errors of Segmenter.Reset, in the order in which it checks. It returns the first
// that applies, not wrapped, and has written nothing then. The kernel's own checks
// are in __virtio_net_hdr_to_skb (include/linux/virtio_net.h), when the packet is
// written, and in {inet,ipv6,tcp4,tcp6,__udp}_gso_segment, when it is cut (Linux
// 6.12); those of tunnels in virtio_net_hdr_tnl_to_skb (Linux 6.18).
//
// In a tunnel, ErrIPHeader, ErrFragment, ErrProtocol and ErrL4Header are checked for
// the outer headers, then ErrTunnel, then all of them again for the inner packet.
var (
	ErrRSCInfo    = errors.New("offload: RSC_INFO set: the csum fields do not describe a checksum")
	ErrGSOType    = errors.New("offload: gso_type unknown, ECN bit without a TCP type, or two tunnels")
	ErrGSOSize    = errors.New("offload: gso_size 0 or 65535 with a GSO type")
	ErrNoCsum     = errors.New("offload: UDP_L4 or a tunnel without NEEDS_CSUM")
	ErrTooLong    = errors.New("offload: superpacket over 65535 bytes")
	ErrIPHeader   = errors.New("offload: IP header truncated or malformed")
	ErrFragment   = errors.New("offload: IP fragment with a GSO type")
	ErrProtocol   = errors.New("offload: IP version or protocol does not match gso_type")
	ErrL4Header   = errors.New("offload: TCP or UDP header truncated or malformed")
	ErrTunnel     = errors.New("offload: outer_th_offset or inner_nh_offset does not fit the tunnel's headers")
	ErrCsumStart  = errors.New("offload: csum_start is not where the L4 header starts")
	ErrCsumOffset = errors.New("offload: csum_offset does not point to the checksum field")
	ErrSegments   = errors.New("offload: UDP_L4 with more than 128 segments")

	// ErrCsumRange is for a packet without GSO and with NEEDS_CSUM.
	ErrCsumRange = errors.New("offload: checksum field outside the packet, or csum_start under 20")

	// ErrVnetHdr is the error of ParseVnetHdr and of ParseTunnelVnetHdr.
	ErrVnetHdr = errors.New("offload: too few bytes for a virtio_net_hdr")
)
