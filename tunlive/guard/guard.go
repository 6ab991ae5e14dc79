// SPDX-License-Identifier: MIT

// Package guard keeps a test from crashing the machine it runs on. If an IP fragment
// with a GSO type is reassembled, kernels without the fix for CVE-2026-80590 panic
// (fixed in 6.1.186, 6.6.155, 6.12.107, 6.18.48, 7.1.12 and 7.2.2). Every write to a
// TUN, TAP or packet socket calls Check first, or CheckTunnel if the virtio_net_hdr has
// 24 bytes.
//
// The package imports nothing, shares no code with what is tested, and is exempt from
// planted bugs.
package guard

type fragment struct{}

func (fragment) Error() string {
	return "refused by the harness: fragment bits together with a GSO type can crash the kernel (CVE-2026-80590)"
}

// ErrFragment is the error of Check.
var ErrFragment error = fragment{}

// Check refuses a packet with a GSO type, any value but VIRTIO_NET_HDR_GSO_NONE, if
// it shows any sign of a fragment: MF or an offset in IPv4, or a Fragment header in
// IPv6, also in an encapsulated packet. packet starts with the IP header and may end
// after the headers. A version that is neither 4 nor 6 is treated as IPv4. Check only
// reads, and in doubt it refuses.
//
// Check does not look into UDP. On a device with headers of 24 bytes CheckTunnel must
// be called instead.
func Check(gsoType uint8, packet []byte) error {
	if gsoType == 0 {
		return nil
	}
	if fragmented(packet, 0) {
		return ErrFragment
	}
	return nil
}

// CheckTunnel is Check for a device whose virtio_net_hdr has 24 bytes: the packet may
// be in a UDP tunnel, and innerNH is its inner_nh_offset. CheckTunnel refuses what
// Check refuses. If gsoType has a tunnel bit, it also refuses a sign of a fragment in
// the inner packet. The kernel takes the inner version from gsoType, or from the
// packet: both are tried.
func CheckTunnel(gsoType uint8, innerNH int, packet []byte) error {
	const tunnels, tcp4, tcp6 = 0x60, 1, 4
	if err := Check(gsoType, packet); err != nil || gsoType&tunnels == 0 {
		return err
	}
	inner := packet[min(max(innerNH, 0), len(packet)):]
	version := byte(0)
	switch gsoType & 0x0F {
	case tcp4:
		version = 4
	case tcp6:
		version = 6
	}
	if fragmented(inner, 0) || fragmented(inner, version) {
		return ErrFragment
	}
	return nil
}

// fragmented reports whether a packet shows any sign of a fragment. version is that of
// its first header; 0 takes it from the packet.
func fragmented(packet []byte, version byte) bool {
	for len(packet) > 0 {
		if version == 0 {
			version = packet[0] >> 4
		}
		var next byte
		if version == 6 {
			next, packet = behindIPv6(packet)
		} else {
			if len(packet) > 6 && packet[6]&0x3F != 0 || len(packet) > 7 && packet[7] != 0 {
				return true
			}
			next, packet = behindIPv4(packet)
		}
		switch next {
		case protoFragment:
			return true
		case protoIPIP, protoIPv6: // encapsulated
			version = 0
		default:
			return false
		}
	}
	return false
}

const (
	protoHopByHop = 0
	protoIPIP     = 4
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoAH       = 51
	protoNone     = 59
	protoDstOpts  = 60
	protoMobility = 135
	protoHIP      = 139
	protoShim6    = 140
)

func behindIPv4(b []byte) (next byte, rest []byte) {
	n := int(b[0]&15) * 4
	if len(b) < 20 || n < 20 || len(b) < n {
		return protoNone, nil
	}
	return b[9], b[n:]
}

// behindIPv6 walks all extension headers that RFC 8200 and IANA define, whether or
// not a kernel does.
func behindIPv6(b []byte) (next byte, rest []byte) {
	if len(b) < 40 {
		return protoNone, nil
	}
	next, rest = b[6], b[40:]
	for {
		n := 0
		switch next {
		case protoHopByHop, protoRouting, protoDstOpts, protoMobility, protoHIP, protoShim6:
			if len(rest) > 1 {
				n = 8 + 8*int(rest[1])
			}
		case protoAH:
			if len(rest) > 1 {
				n = 8 + 4*int(rest[1])
			}
		default:
			return next, rest
		}
		if n == 0 || n > len(rest) {
			return protoNone, nil
		}
		next, rest = rest[0], rest[n:]
	}
}
