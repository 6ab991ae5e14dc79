// SPDX-License-Identifier: MIT

package packet

// The flags and GSO types of a VnetHdr (include/uapi/linux/virtio_net.h).
const (
	NeedsCsum, DataValid, RSCInfo, UDPTunnelCsum = 1, 2, 4, 8

	GSONone, GSOTCPv4, GSOUFO  = 0, 1, 3
	GSOTCPv6, GSOUDPL4, GSOECN = 4, 5, 0x80

	GSOTunnel4, GSOTunnel6 = 0x20, 0x40 // in a UDP tunnel over IPv4, IPv6
	GSOTunnels             = GSOTunnel4 | GSOTunnel6
)
