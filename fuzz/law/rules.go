// SPDX-License-Identifier: MIT

package law

// Rule is one rule that offload keeps. The corpus has cases on both sides of every rule:
// a case names the rule with "+" if the rule's condition holds in the case, with "-" if
// it does not.
type Rule struct {
	ID     string
	Text   string
	Source string // kernel function (Linux 6.12 where no version is named), RFC, or our decision and why
	Model  string // the function of package model that implements it
}

// Section is a group of rules, a chapter of docs/rules.md.
type Section struct {
	Title, Intro string
	Rules        []Rule
}

const (
	toSkb   = "__virtio_net_hdr_to_skb"
	tcpGSO  = "tcp_gso_segment"
	udpGSO  = "__udp_gso_segment"
	inetGSO = "inet_gso_segment"
	ipv6GSO = "ipv6_gso_segment, ipv6_gso_pull_exthdrs"
	help    = "skb_checksum_help"
	tnlSkb  = "virtio_net_hdr_tnl_to_skb (6.18)"
	tnlGSO  = "__skb_udp_tunnel_segment"
)

// Sections are all rules that cases of packets can show, in the order of docs/rules.md.
var Sections = []Section{
	{"V: the virtio_net_hdr", "These rules say what Segmenter.Reset accepts. They are checked in this order. If rules are broken, Reset returns the error of the first of them; its name is in the rule. " +
		"Two more are part of property P1: V1 (the header has 10 bytes, in native order only on the descriptor, and decodes to what was encoded) and V5 (no field causes an access outside the packet).",
		[]Rule{
			{"V4.rsc_info", "RSC_INFO is clear: ErrRSCInfo. If it is set, the csum fields describe no checksum", "virtio 1.2 section 5.1.6.4; the kernel ignores the flag on write, we refuse it", "check"},
			{"V4.type", "the type is NONE, TCPV4, TCPV6 or UDP_L4, or one of the last three in a UDP tunnel over IPv4 or IPv6 (0x20, 0x40), not over both: ErrGSOType for UFO (3) and all others", toSkb + ", " + tnlSkb, "check"},
			{"V4.ecn", "the ECN bit is set only with a TCP type: ErrGSOType", toSkb, "check"},
			{"V4.gso_size", "with a GSO type gso_size is neither 0 nor 65,535 (GSO_BY_FRAGS): ErrGSOSize", toSkb, "check"},
			{"V4.needs_csum", "UDP_L4 has NEEDS_CSUM, and so has every type in a tunnel: ErrNoCsum. Other TCP may come without it", toSkb + ", " + tnlSkb, "check"},
			{"V4.total", "with a GSO type the packet has at most 65,535 bytes: ErrTooLong", "IP's length field; the kernel takes longer ones from a TUN, we refuse them", "check"},
			{"V4.ip_header", "the IP header is complete and IHL is at least 5: ErrIPHeader", inetGSO + ", " + ipv6GSO, "parse"},
			{"V4.fragment", "with a GSO type the packet is no fragment (MF, offset, Fragment header): ErrFragment", "CVE-2026-80590: such a packet can stop an unfixed kernel", "parse"},
			{"V4.protocol", "IP version and protocol match the type, also after extension headers: ErrProtocol", toSkb + ", " + inetGSO + ", " + ipv6GSO, "check"},
			{"V4.l4_header", "the TCP or UDP header is complete and doff is at least 5: ErrL4Header", tcpGSO + ", " + udpGSO, "parse"},
			{"V4.tunnel", "in a tunnel outer_th_offset is where the outer UDP header is, and inner_nh_offset is after it, at an even offset: ErrTunnel. Before this the four rules above are checked for the outer headers, and after it for the inner packet", tnlSkb + ", but without the Ethernet header's 14 bytes that it adds also for a TUN; a wrong outer_th_offset and an odd inner_nh_offset we refuse", "check"},
			{"V4.csum_start", "with NEEDS_CSUM csum_start is where the L4 header is: ErrCsumStart. GSO without NEEDS_CSUM ignores it", tcpGSO + ", " + udpGSO, "check"},
			{"V4.csum_offset", "with NEEDS_CSUM csum_offset is 16 (TCP) or 6 (UDP): ErrCsumOffset", toSkb, "check"},
			{"V4.segments", "UDP_L4 stands for at most 128 segments: ErrSegments", toSkb + ": UDP_MAX_SEGMENTS", "check"},
			{"V4.csum_range", "NONE with NEEDS_CSUM has csum_start >= 20 and its checksum field inside the packet: ErrCsumRange. No header is parsed, so csum_start may lie past the outer L4 header", toSkb + ", skb_partial_csum_set", "check"},
			{"V4.none", "NONE without NEEDS_CSUM is accepted whatever the bytes are (+), even bytes that would be refused with a GSO type (-)", toSkb, "check"},
			{"V3.hdr_len", "hdr_len is never used, whether it is right (+) or wrong (-)", "tun_put_user hands out skb_headlen", "check"},
		}},
	{"S: segmentation", "These rules say what the segments contain. Two more are part of properties P1 and P7: S7 (segments come in byte order, and their number is known before the first) and S8 (a refused superpacket causes no write; an accepted one is cut without an error).",
		[]Rule{
			{"S1.split", "a payload longer than gso_size is cut into ceil(payload / gso_size) segments (+). Otherwise there is one packet, its checksum is completed as for NONE, and S2 to S5 do not apply (-)", "skb_segment; " + toSkb, "Segment"},
			{"S1.lengths", "payload length comes from the slice; the IP and UDP length fields are not read, whether right (+) or wrong (-)", inetGSO + ", " + ipv6GSO, "split"},
			{"S2.id", "the IPv4 ID counts up modulo 2^16, also with DF; it does not wrap in the case (+), or it does (-)", inetGSO, "split"},
			{"S2.header", "TOS, TTL, DF, the reserved bit and options are copied; the header checksum is computed, also if it was wrong (-)", inetGSO, "split"},
			{"S3.extension", "hop-by-hop, routing and destination options are parsed, copied, and counted in the payload length (+); an unknown extension header is refused (-)", ipv6GSO, "parse"},
			{"S4.seq", "TCP sequence numbers continue modulo 2^32; they do not wrap in the case (+), or they do (-)", tcpGSO, "split"},
			{"S4.last", "FIN and PSH, if set (+), are on the last segment only", tcpGSO, "split"},
			{"S4.cwr", "CWR, if set (+), is on the first segment only, with or without the ECN bit", tcpGSO, "split"},
			{"S4.copied", "every other flag, reserved bit, window, urgent pointer and option is copied", tcpGSO, "split"},
			{"S5.length", "the UDP length is that of each segment", udpGSO, "setLengths"},
			{"S6.partial", "with NEEDS_CSUM the partial sum is adjusted by the difference of lengths. A right one (+) gives right checksums; a wrong one (-) gives checksums wrong by the same amount. UDP's old length is the length field, right (+) or wrong (-)", tcpGSO + ", " + udpGSO, "split"},
			{"S6.computed", "TCP without NEEDS_CSUM (+) gets right checksums from a pseudo-header sum computed here", "tcp4_gso_segment, tcp6_gso_segment", "split"},
			{"S6.none", "if there is no split, NEEDS_CSUM completes the sum from csum_start to the end of the slice (+); without NEEDS_CSUM nothing changes (-)", help, "one"},
			{"S6.zero", "a checksum of zero is written as 0x0000 in a TCP segment of a split (+), and as 0xFFFF in UDP and wherever it is completed without a split (-)", tcpGSO + ", " + udpGSO + ", " + help, "finished, one"},
			{"S10.copied", "the inner packet is cut by the rules above. Each segment gets the outer headers: TOS, TTL, DF, options, extension headers, ports and the tunnel's own header are copied, and nothing between the headers is read (+). Without a split nothing is copied (-)", tnlGSO, "Segment"},
			{"S10.lengths", "the outer IP and UDP lengths are those of each segment, and the outer IPv4 header checksum is computed; the superpacket's are not read, whether right (+) or wrong (-)", tnlGSO + ", " + inetGSO, "split"},
			{"S10.id", "the outer IPv4 ID counts up like the inner one; it does not wrap in the case (+), or it does (-)", inetGSO, "split"},
			{"S10.partial", "with UDP_TUNNEL_CSUM the outer UDP checksum is computed from its partial sum, right (+) or wrong (-), adjusted by the difference of real lengths; a zero is written as 0xFFFF", tnlGSO + ", gso_make_checksum", "Segment"},
			{"S10.absent", "without UDP_TUNNEL_CSUM the outer UDP checksum is copied: mostly it is 0, which means that there is none (+), but any other value stays as well (-)", tnlGSO, "Segment"},
			{"S10.one", "if there is no split, only the inner checksum is completed, and the outer headers do not change (-); otherwise they do (+)", help, "one"},
			{"S9.small", "gso_size may be less than the length of the headers (+), down to 1", "skb_segment", "split"},
			{"S9.large", "superpackets may have up to 65,535 bytes (+); longer ones break V4.total (-)", "skb_segment", "split"},
		}},
	{"E: the equation", "Packets join if, and only if, cutting what they join to gives back exactly these packets. " +
		"Each rule here follows from what Segment writes; the model has no such list.",
		[]Rule{
			{"E.size", "all payloads have the size of the first, except the last, which may be shorter", "S1", "verdict"},
			{"E.id", "IPv4 IDs count up by 1, also with DF", "S2", "verdict"},
			{"E.tos", "TOS, or traffic class, is equal", "S2, S3", "verdict"},
			{"E.ttl", "TTL, or hop limit, is equal", "S2, S3", "verdict"},
			{"E.df", "DF is equal", "S2", "verdict"},
			{"E.label", "the IPv6 flow label is equal", "S3", "verdict"},
			{"E.seq", "sequence numbers are contiguous", "S4", "verdict"},
			{"E.ack", "the ACK number is equal", "S4", "verdict"},
			{"E.window", "the window is equal", "S4", "verdict"},
			{"E.flags", "every flag except FIN and PSH is equal", "S4", "verdict"},
			{"E.reserved", "the reserved bits, AE among them, are equal", "S4", "verdict"},
			{"E.urgent", "the urgent pointer is equal, whether URG is set or not", "S4", "verdict"},
			{"E.options", "options are equal, byte for byte", "S4", "verdict"},
			{"E.last", "FIN and PSH are on the last packet only", "S4", "verdict"},
		}},
	{"C: coalescing", "These rules say which packets may be members of a superpacket, what limits a superpacket, and in which order superpackets leave. The name in brackets is the Reason of a packet that breaks the rule.",
		[]Rule{
			{"C1.flow", "a candidate is IPv4 without options or IPv6 without extension headers, TCP or UDP (Reason Header, NoAddresses)", "policy: equal options would come back too", "admission"},
			{"C1.fragment", "a candidate is no fragment: MF and offset are zero (Fragment)", "a packet with an offset has no L4 header", "admission"},
			{"C1.evil", "the reserved bit is clear (Fragment)", "inet_gro_receive: flush", "admission"},
			{"C1.truncated", "the L4 header fits, and doff is at least 5 (Truncated)", "tcp_gro_receive", "admission"},
			{"C1.length", "the IP length field equals the slice's length (Length)", "S2, S3 would repair it", "admission"},
			{"C1.udp_length", "the UDP length field equals the IP payload's length (Length): there is no surplus area (RFC 9868)", "S5 would repair it", "admission"},
			{"C1.flags", "ACK is set; SYN, RST, URG and CWR are not (Flags)", "tcp_gro_receive; CWR: S4", "admission"},
			{"C1.empty", "there is payload (Empty)", "S1", "admission"},
			{"C1.ip_checksum", "the IPv4 header checksum is the one that Segment would write, which is never 0xFFFF (IPChecksum)", "S2", "admission"},
			{"C1.l4_checksum", "the L4 checksum is right (L4Checksum)", "S6", "admission"},
			{"C1.zero", "a checksum that computes to zero has the form that Segment writes: TCP 0x0000, UDP 0xFFFF (L4Checksum)", "S6", "admission"},
			{"C1.absent", "UDP has a checksum (L4Checksum); see C11", "RFC 768; S6 would invent one", "admission"},
			{"C2.total", "a superpacket has at most 65,535 bytes (Limit)", "IP's length field", "verdict"},
			{"C2.tcp_segments", "a superpacket has at most MaxSegments TCP packets (Limit)", "policy: a TUN queues 500 packets by default; writev(2) takes 1,024 pieces", "verdict"},
			{"C2.udp_segments", "a superpacket has at most MaxUDPSegments UDP packets (Limit)", "UDP_MAX_SEGMENTS: 64 before Linux 6.9, 128 since", "verdict"},
			{"C2.small_first", "no packet joins after a TCP payload under 8 bytes (Limit)", "TCP_MIN_GSO_SIZE: newer kernels raise gso_size to 8 (CVE-2026-90063)", "verdict"},
			{"C3.header", "a superpacket of two or more packets has NEEDS_CSUM, its GSO type, the true hdr_len, csum_start and csum_offset, gso_size equal to the first payload, and right lengths and pseudo-header sum", toSkb, "join"},
			{"C3.lone", "a single packet passes unchanged, with a zero VnetHdr", "some kernels refuse or drop a GSO type with one segment", "Coalesce"},
			{"C4.conflict", "a packet joins only the superpacket of the latest packet it conflicts with (+); packets between that do not conflict do not matter (-)", "order; docs/design.md", "Coalesce"},
			{"C4.pair", "a packet with addresses but no flow conflicts with all packets of its address pair (+), and with no others (-)", "a fragment may belong to any flow of the pair", "Conflicts"},
			{"C4.direction", "the two directions of a connection do not conflict", "only the order within one direction matters", "Conflicts"},
			{"C4.max_open", "a superpacket is open while fewer than MaxOpen candidates opened one after it (+), then closed (-)", "bounds the work", "Coalesce"},
			{"C5.behind", "with Reorder a packet may join any of its flow's last superpackets, at the end (+); it joins none if it fits none (-)", "policy: our option Order; wireguard-go does the same", "Coalesce"},
			{"C5.front", "with Reorder it may also join in front (+), but not with PSH or FIN, or with a size or ID that does not fit (-)", "as above", "Coalesce"},
			{"C5.max_per_flow", "with Reorder the last MaxPerFlow superpackets of the flow are tried (+), and no older one (-)", "bounds the work", "newest"},
			{"C5.udp", "with Reorder UDP stays in order (-); TCP need not (+)", "no receiver puts UDP in order again", "Coalesce"},
			{"C6.atomic", "with AtomicIDs the ID of packets with DF is not compared (+); without DF it is (-)", "RFC 6864 section 4.1", "same"},
			{"C6.checksum", "with AtomicIDs the header checksum must still be right", "C1", "admission"},
			{"C8.order", "if several Reasons apply, the first counts, in the order of offload.Reason", "our decision", "admission"},
			{"C9.batches", "no state is kept between batches: a packet joins in the same batch (+), but not across two (-)", "our decision", "Coalesce"},
			{"C10.tcp4", "TCPv4 can be switched off (-)", "kernels and drivers that mishandle one type", "admission"},
			{"C10.tcp6", "TCPv6 can be switched off (-)", "as above", "admission"},
			{"C10.udp", "UDP can be switched off (-)", "as above", "admission"},
			{"C11.absent", "with AbsentChecksums an IPv4 datagram without a checksum joins as one with the right checksum, and comes back with that (+); over IPv6 it does not join, and a wrong checksum is still wrong (-)", "RFC 768; RFC 8200 section 8.1", "filled"},
		}},
	{"P8: the checksum", "",
		[]Rule{
			{"P8.sum", "the sum is the one's-complement sum, for an even (+) and an odd (-) number of bytes", "RFC 1071", "Sum"},
			{"P8.zero", "the sum is 0 only if all bytes are zero (-), and otherwise in 1..0xFFFF (+)", "RFC 1071 section 2", "Sum"},
		}},
}

// DeviceRule is a rule of package offload/tun. Cases of packets cannot show it: Tests
// names the Go tests that check it on a real kernel.
type DeviceRule struct{ ID, Text, Source, Tests string }

// Device are the rules of package offload/tun.
var Device = []DeviceRule{
	{"T1", "Open and Adopt accept only a TUN without packet information and with an IFF_VNET_HDR header of 10 or 24 bytes in native order. TUNSETOFFLOAD is always set, the same on every queue, starting with the most that the kernel has; without USO no UDP is joined. Superpackets in tunnels are asked for only with 24 bytes, and Open gives these only to an interface that it makes",
		"tun_chr_ioctl, set_offload", "TestAdopt, TestOpenExisting, TestMask, TestAddQueue, TestEitherHeader, TestTunnelsLive"},
	{"T2", "ReadBatch waits for one packet and then takes what is ready. Packets that the kernel truncated, and packets that cannot be cut, are counted and dropped. Close, a deadline and the interface's end wake waiting calls",
		"tun_do_read", "TestRead, TestDrain, TestLeft, TestShort, TestLong, TestWoken"},
	{"T3", "WriteBatch joins packets and writes each superpacket with one writev from the packets' own memory", "tun_get_user", "TestWrite, TestEndToEnd, TestConcurrent"},
	{"T4", "after EINVAL the packets of a superpacket are sent at once, one by one, in its place, and its protocol is switched off. An error for one packet drops no other. Every packet is counted",
		toSkb + " in tun_get_user", "TestRefused, TestRefusedLongUDP, TestGuard, TestJunk, TestLinkDown, TestFullQueue, TestCounts"},
	{"T5", "protocols can be switched at run time; a device can have several queues; calls have deadlines", "our decision", "TestSwitches, TestQueues, TestFullQueue"},
	{"T6", "wireguard-go runs on it: offload/tun/wgtun, a nested module", "our decision", "TestTunnel"},
}

// Refusal is, by rule ID, the error class that a case on the rule's "-" side must show.
var Refusal = map[string]string{
	"V4.rsc_info": "RSCInfo", "V4.type": "GSOType", "V4.ecn": "GSOType", "V4.gso_size": "GSOSize", "V4.needs_csum": "NoCsum",
	"V4.total": "TooLong", "V4.ip_header": "IPHeader", "V4.fragment": "Fragment", "V4.protocol": "Protocol",
	"V4.l4_header": "L4Header", "V4.tunnel": "Tunnel", "V4.csum_start": "CsumStart", "V4.csum_offset": "CsumOffset", "V4.segments": "Segments",
	"V4.csum_range": "CsumRange",
}

// Reason is, by rule ID, the Reason that a case on the rule's "-" side must show.
var Reason = map[string]string{
	"C1.fragment": "Fragment", "C1.evil": "Fragment", "C1.truncated": "Truncated", "C1.length": "Length", "C1.udp_length": "Length",
	"C1.flags": "Flags", "C1.empty": "Empty", "C1.ip_checksum": "IPChecksum", "C1.l4_checksum": "L4Checksum", "C1.zero": "L4Checksum",
	"C1.absent": "L4Checksum", "C2.total": "Limit", "C2.tcp_segments": "Limit", "C2.udp_segments": "Limit", "C2.small_first": "Limit",
	"C4.max_open": "Closed", "C10.tcp4": "Disabled", "C10.tcp6": "Disabled", "C10.udp": "Disabled", "C11.absent": "L4Checksum",
	"E.size": "Mismatch", "E.id": "Mismatch", "E.tos": "Mismatch", "E.ttl": "Mismatch", "E.df": "Mismatch", "E.label": "Mismatch",
	"E.seq": "Mismatch", "E.ack": "Mismatch", "E.window": "Mismatch", "E.flags": "Mismatch", "E.reserved": "Mismatch",
	"E.urgent": "Mismatch", "E.options": "Mismatch", "E.last": "Mismatch",
}
