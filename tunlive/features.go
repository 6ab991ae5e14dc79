// SPDX-License-Identifier: MIT

package tunlive

// Features are the features of a kernel, by their names in FeatureTable. They are
// found by trying, never by the kernel's version. A feature that could not be tried
// is not in the map.
type Features map[string]bool

// FeatureTable describes each feature.
var FeatureTable = []struct{ Name, About string }{
	{"root", "the process is root, outside user namespaces"},
	{"uso", "TUNSETOFFLOAD accepts USO4 and USO6 (6.2)"},
	{"tunnel-gso", "TUNSETOFFLOAD accepts UDP_TUNNEL_GSO (6.17)"},
	{"tunnel-write", "a TUN takes a superpacket in a UDP tunnel over IPv4 as it hands one out; Linux 6.18 counts 14 bytes of an Ethernet header too many and refuses it"},
	{"backpressure", "a TUN with IFF_BACKPRESSURE stops when its queue is full, and loses nothing (7.3)"},
	{"small-gso", "a TCP gso_size below 8 is used unchanged; the fix for CVE-2026-90063 raises it to 8"},
	{"uso-128", "a UDP superpacket may have 128 segments instead of 64 (6.9)"},
	{"csum-offset-check", "a TCP superpacket with a csum_offset other than TCP's is refused (6.1.107, 6.6.46, 6.10.5)"},
	{"csum-start-check", "NEEDS_CSUM with csum_start before the end of the IP header is refused (6.12)"},
	{"one-without-csum", "a single TCP packet with a GSO type and without NEEDS_CSUM is delivered; older kernels count two segments and drop it (6.12)"},
	{"dissects", "a superpacket without NEEDS_CSUM is refused if its GSO type does not match the packet (7.2.11)"},
	{"fixed-ids", "GRO joins TCP packets with equal IPv4 IDs and without DF (6.18)"},
	{"held-cwr", "GRO joins a TCP packet without CWR to a held packet with CWR (up to 6.12)"},
	{"equal-cwr", "GRO joins TCP packets that all have CWR (7.0)"},
	{"hop-by-hop", "GRO joins packets with equal hop-by-hop options"},
	{"hop-limit-flow", "GRO treats IPv6 packets with different hop limits as different flows (5.10, not 6.1)"},
}
