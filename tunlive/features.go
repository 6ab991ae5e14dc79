package tunlive

// Features are the features of a kernel, by their names in FeatureTable. They are
// found by trying, never by the kernel's version. A feature that could not be tried
// is not in the map.
type Features map[string]bool

// FeatureTable describes each feature.
var FeatureTable = []struct{ Name, About string }{
	{"root", "root asks, outside of user namespaces"},
	{"uso", "TUNSETOFFLOAD takes USO4 and USO6 (6.2)"},
	{"tunnel-gso", "TUNSETOFFLOAD takes UDP_TUNNEL_GSO (6.17)"},
	{"small-gso", "a TCP gso_size below 8 is used as it is, not raised to 8 (until the fix for CVE-2026-90063)"},
	{"uso-128", "128 UDP segments are taken, not 64 (6.9)"},
	{"csum-offset-check", "a TCP superpacket whose csum_offset is not that of TCP is refused (6.1.107, 6.6.46, 6.10.5)"},
	{"csum-start-check", "NEEDS_CSUM with csum_start before the end of the IP header is refused (6.12)"},
	{"one-without-csum", "one TCP packet with a GSO type and without NEEDS_CSUM is passed on, not taken for two and dropped (6.12)"},
	{"dissects", "GSO without NEEDS_CSUM is refused if its type is not the packet's (7.2.11)"},
	{"fixed-ids", "GRO joins TCP packets of equal IPv4 IDs without DF (6.18)"},
	{"held-cwr", "GRO joins TCP packets without CWR to one with it (up to 6.12)"},
	{"equal-cwr", "GRO joins TCP packets that all have CWR (7.0)"},
	{"hop-by-hop", "GRO joins packets with equal hop-by-hop options"},
	{"hop-limit-flow", "GRO takes IPv6 packets of another hop limit for another flow (5.10, not 6.1)"},
}
