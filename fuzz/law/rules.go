// Package rules is the list of rules that offload keeps, in the project's own
// words, each with where it comes from, and with the cases of the corpus that
// lie on either side of it.
package law

// Rule is one rule. A case names it with a side: "+" lies where the condition
// holds, "-" where it does not.
type Rule struct {
	ID     string
	Text   string
	Source string // kernel function (Linux 6.12 where no version is named), RFC, or our decision and why
	Model  string // the function of package model that says it
}

// Section is a group of rules.
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
)

// Sections are all rules, in the order of docs/rules.md.
var Sections = []Section{
	{"V: the virtio_net_hdr", "What Segmenter.Reset takes. Refusals are looked for in this order; the first names the error. " +
		"V1 (10 bytes, native order on the descriptor only, encode then decode is the identity) and V5 (no field makes an index leave the packet) are properties: P1.",
		[]Rule{
			{"V4.rsc_info", "RSC_INFO is clear; with it the csum fields describe no checksum: ErrRSCInfo", "virtio 1.2 section 5.1.6.4; the kernel ignores the flag on write, we refuse", "check"},
			{"V4.type", "the type is NONE, TCPV4, TCPV6 or UDP_L4; UFO (3) and the rest: ErrGSOType", toSkb, "check"},
			{"V4.ecn", "the ECN bit comes with a TCP type only: ErrGSOType", toSkb, "check"},
			{"V4.gso_size", "with a GSO type gso_size is neither 0 nor 65,535 (GSO_BY_FRAGS): ErrGSOSize", toSkb, "check"},
			{"V4.needs_csum", "UDP_L4 has NEEDS_CSUM: ErrNoCsum. TCP may come without", toSkb, "check"},
			{"V4.total", "with a GSO type the packet has at most 65,535 bytes: ErrTooLong", "IP's length field; the kernel takes more from a TUN, we refuse", "check"},
			{"V4.ip_header", "the IP header is whole, IHL at least 5: ErrIPHeader", inetGSO + ", " + ipv6GSO, "parse"},
			{"V4.fragment", "with a GSO type the packet is no fragment (MF, offset, Fragment header): ErrFragment", "CVE-2026-80590: such a packet can stop an unfixed kernel", "parse"},
			{"V4.protocol", "IP version and protocol are the type's, behind extension headers too: ErrProtocol", toSkb + ", " + inetGSO + ", " + ipv6GSO, "check"},
			{"V4.l4_header", "the TCP or UDP header is whole, doff at least 5: ErrL4Header", tcpGSO + ", " + udpGSO, "parse"},
			{"V4.csum_start", "with NEEDS_CSUM csum_start is where the L4 header is: ErrCsumStart. GSO without NEEDS_CSUM ignores it", tcpGSO + ", " + udpGSO, "check"},
			{"V4.csum_offset", "with NEEDS_CSUM csum_offset is 16 (TCP) or 6 (UDP): ErrCsumOffset", toSkb, "check"},
			{"V4.segments", "UDP_L4 stands for at most 128 segments: ErrSegments", toSkb + ": UDP_MAX_SEGMENTS", "check"},
			{"V4.csum_range", "NONE with NEEDS_CSUM: csum_start >= 20 and the checksum field in the packet: ErrCsumRange. No header is parsed: csum_start may lie past the outer L4 header", toSkb + ", skb_partial_csum_set", "check"},
			{"V4.none", "NONE without NEEDS_CSUM passes whatever the bytes are (+); so does what would be refused with a GSO type (-)", toSkb, "check"},
			{"V3.hdr_len", "hdr_len is true (+) or not (-): it is never used", "tun_put_user hands out skb_headlen", "check"},
		}},
	{"S: segmentation", "What is written of the segments. S7 (in byte order, the count known before the first) and S8 (refused: nothing written; accepted: nothing fails) are properties: P1, P7.",
		[]Rule{
			{"S1.split", "a payload over gso_size is cut into ceil(payload / gso_size) segments (+); else it is one packet, whose checksum is completed as for NONE, and S2 to S5 do not apply (-)", "skb_segment; " + toSkb, "Segment"},
			{"S1.lengths", "payload is counted from the slice; the IP and UDP length fields are right (+) or wrong (-) and not read", inetGSO + ", " + ipv6GSO, "split"},
			{"S2.id", "IPv4 ID counts up modulo 2^16, with DF too: without (+) and with a wrap (-)", inetGSO, "split"},
			{"S2.header", "TOS, TTL, DF, the reserved bit and options are copied; the header checksum is computed, also where it was wrong (-)", inetGSO, "split"},
			{"S3.extension", "hop-by-hop, routing and destination options are walked, copied, and counted in the payload length (+); an unknown one is refused (-)", ipv6GSO, "parse"},
			{"S4.seq", "TCP sequence numbers count on modulo 2^32: without (+) and with a wrap (-)", tcpGSO, "split"},
			{"S4.last", "FIN and PSH, if set (+), are on the last segment only", tcpGSO, "split"},
			{"S4.cwr", "CWR, if set (+), is on the first segment only, with the ECN bit and without", tcpGSO, "split"},
			{"S4.copied", "every other flag, reserved bit, window, urgent pointer and option is copied", tcpGSO, "split"},
			{"S5.length", "UDP length is each segment's", udpGSO, "setLengths"},
			{"S6.partial", "with NEEDS_CSUM the partial sum is carried over by the difference of lengths: a right one (+) gives right checksums, a wrong one (-) checksums wrong by as much. UDP's old length is the field, right (+) or wrong (-)", tcpGSO + ", " + udpGSO, "split"},
			{"S6.computed", "TCP without NEEDS_CSUM (+) gets right checksums from a pseudo-header sum computed here", "tcp4_gso_segment, tcp6_gso_segment", "split"},
			{"S6.none", "NEEDS_CSUM without a split: the sum from csum_start to the slice's end (+); without NEEDS_CSUM nothing changes (-)", help, "one"},
			{"S6.zero", "a checksum of zero is written 0x0000 in a TCP segment of a split (+), 0xFFFF in UDP and in all that is completed without a split (-)", tcpGSO + ", " + udpGSO + ", " + help, "finished, one"},
			{"S9.small", "gso_size below the length of the headers (+), down to 1", "skb_segment", "split"},
			{"S9.large", "superpackets up to 65,535 bytes (+); over that V4.total (-)", "skb_segment", "split"},
		}},
	{"E: the equation", "Packets join if, and only if, cutting what they join to gives back exactly them. " +
		"Each of these is a consequence of what Segment writes; the model has no such list.",
		[]Rule{
			{"E.size", "all payloads have the first's size, but for the last, which may be shorter", "S1", "verdict"},
			{"E.id", "IPv4 IDs count up by 1, with DF too", "S2", "verdict"},
			{"E.tos", "TOS, or traffic class, is equal", "S2, S3", "verdict"},
			{"E.ttl", "TTL, or hop limit, is equal", "S2, S3", "verdict"},
			{"E.df", "DF is equal", "S2", "verdict"},
			{"E.label", "the IPv6 flow label is equal", "S3", "verdict"},
			{"E.seq", "sequence numbers are contiguous", "S4", "verdict"},
			{"E.ack", "the ACK number is equal", "S4", "verdict"},
			{"E.window", "the window is equal", "S4", "verdict"},
			{"E.flags", "every flag but FIN and PSH is equal", "S4", "verdict"},
			{"E.reserved", "the reserved bits, AE among them, are equal", "S4", "verdict"},
			{"E.urgent", "the urgent pointer is equal, URG or not", "S4", "verdict"},
			{"E.options", "options are equal to the byte", "S4", "verdict"},
			{"E.last", "FIN and PSH are on the last packet only", "S4", "verdict"},
		}},
	{"C: coalescing", "What may be a member of a superpacket, what bounds one, and in which order they leave.",
		[]Rule{
			{"C1.flow", "a candidate is IPv4 without options or IPv6 without extension headers, TCP or UDP (Reason Header, NoAddresses)", "policy: equal options would come back too", "admission"},
			{"C1.fragment", "no fragment: MF and offset are zero (Fragment)", "an offset has no L4 header", "admission"},
			{"C1.evil", "the reserved bit is clear (Fragment)", "inet_gro_receive: flush", "admission"},
			{"C1.truncated", "the L4 header fits, doff at least 5 (Truncated)", "tcp_gro_receive", "admission"},
			{"C1.length", "the IP length field is the slice's length (Length)", "S2, S3 would repair it", "admission"},
			{"C1.udp_length", "the UDP length field is the IP payload's (Length): no surplus area (RFC 9868)", "S5 would repair it", "admission"},
			{"C1.flags", "ACK is set; SYN, RST, URG and CWR are not (Flags)", "tcp_gro_receive; CWR: S4", "admission"},
			{"C1.empty", "there is payload (Empty)", "S1", "admission"},
			{"C1.ip_checksum", "the IPv4 header checksum is the one that Segment writes, never 0xFFFF (IPChecksum)", "S2", "admission"},
			{"C1.l4_checksum", "the L4 checksum is right (L4Checksum)", "S6", "admission"},
			{"C1.zero", "a checksum that computes to zero is in the form that Segment writes: TCP 0x0000, UDP 0xFFFF (L4Checksum)", "S6", "admission"},
			{"C1.absent", "UDP's checksum is not absent (L4Checksum)", "RFC 768; S6 would invent one", "admission"},
			{"C2.total", "a superpacket has at most 65,535 bytes (Limit)", "IP's length field", "verdict"},
			{"C2.tcp_segments", "at most MaxSegments TCP packets (Limit)", "a TUN queues 500 packets by default; writev(2) takes 1,024 pieces", "verdict"},
			{"C2.udp_segments", "at most MaxUDPSegments UDP packets (Limit)", "UDP_MAX_SEGMENTS: 64 before Linux 6.9, 128 since", "verdict"},
			{"C2.small_first", "nothing joins behind a TCP payload under 8 bytes (Limit)", "TCP_MIN_GSO_SIZE: newer kernels raise gso_size to 8 (CVE-2026-90063)", "verdict"},
			{"C3.header", "a superpacket of two or more has NEEDS_CSUM, its type, true hdr_len, gso_size of the first payload, csum_start, csum_offset, right lengths and pseudo-header sum", toSkb, "join"},
			{"C3.lone", "one packet passes as it is, its VnetHdr zero", "a GSO type with one segment is refused or dropped by some kernels", "Coalesce"},
			{"C4.conflict", "a packet joins only the superpacket of the latest packet it conflicts with (+); what lies between and does not conflict does not matter (-)", "order; docs/design.md", "Coalesce"},
			{"C4.pair", "a packet with addresses but no flow conflicts with all of its address pair (+), and with no other (-)", "a fragment may be of any flow of the pair", "Conflicts"},
			{"C4.direction", "the two directions of a connection do not conflict", "order matters per direction", "Conflicts"},
			{"C4.max_open", "a superpacket is open while fewer than MaxOpen candidates opened one after it (+), then closed (-)", "bounds the work", "Coalesce"},
			{"C5.behind", "Reorder: a packet joins behind any of its flow's last superpackets (+), unless none fits (-)", "our Order; wireguard-go merges so", "Coalesce"},
			{"C5.front", "Reorder: or in front of it (+); not with PSH or FIN, or a size or ID that does not fit (-)", "as above", "Coalesce"},
			{"C5.max_per_flow", "Reorder: the last MaxPerFlow superpackets of the flow are tried (+), no older one (-)", "bounds the work", "newest"},
			{"C5.udp", "Reorder: UDP stays in order (-); TCP does not (+)", "UDP has nobody to put it in order again", "Coalesce"},
			{"C6.atomic", "AtomicIDs: with DF the ID is not compared (+); without DF it is (-)", "RFC 6864 section 4.1", "same"},
			{"C6.checksum", "AtomicIDs: the header checksum must still be right", "C1", "admission"},
			{"C8.order", "of several reasons the first in the list counts", "our decision", "admission"},
			{"C9.batches", "no state crosses a batch: what follows in the next (-) does not join what it would have in the same (+)", "our decision", "Coalesce"},
			{"C10.tcp4", "TCPv4 can be switched off (-)", "kernels and drivers that mishandle one type", "admission"},
			{"C10.tcp6", "TCPv6 can be switched off (-)", "as above", "admission"},
			{"C10.udp", "UDP can be switched off (-)", "as above", "admission"},
		}},
	{"P8: the checksum", "",
		[]Rule{
			{"P8.sum", "the one's-complement sum of bytes of even (+) and odd (-) number", "RFC 1071", "Sum"},
			{"P8.zero", "the sum is 0 only if everything is zero (-), else in 1..0xFFFF (+)", "RFC 1071 section 2", "Sum"},
		}},
}

// DeviceRule is a rule of offload/tun, which no case of packets can show, with the
// tests that do, on a real kernel.
type DeviceRule struct{ ID, Text, Source, Tests string }

// Device are the rules of package offload/tun.
var Device = []DeviceRule{
	{"T1", "Open and Adopt take a TUN without packet information, with IFF_VNET_HDR, of 10 bytes in native order, or refuse it; TUNSETOFFLOAD is always set, the same on every queue, from the most the kernel has down; without USO no UDP is joined",
		"tun_chr_ioctl, set_offload", "TestAdopt, TestOpenExisting, TestMask, TestAddQueue"},
	{"T2", "ReadBatch waits for one packet and drains what is ready; what the kernel cut off, and what cannot be cut, is counted and dropped; Close, a deadline and the interface's end wake who waits",
		"tun_do_read", "TestRead, TestDrain, TestLeft, TestShort, TestLong, TestWoken"},
	{"T3", "WriteBatch joins and writes each superpacket by one writev of the packets' own memory", "tun_get_user", "TestWrite, TestEndToEnd, TestConcurrent"},
	{"T4", "a superpacket that gets EINVAL is at once, in its place, sent again as its packets, and its protocol switched off; one packet's error drops no other; every packet is counted",
		toSkb + " in tun_get_user", "TestRefused, TestRefusedLongUDP, TestGuard, TestJunk, TestLinkDown, TestFullQueue, TestCounts"},
	{"T5", "protocols are switched at run time; several queues; deadlines", "our decision", "TestSwitches, TestQueues, TestFullQueue"},
	{"T6", "wireguard-go runs on it: offload/tun/wgtun, a nested module", "our decision", "TestTunnel"},
}

// Refusal is the error class that a case on a rule's "-" side must show.
var Refusal = map[string]string{
	"V4.rsc_info": "RSCInfo", "V4.type": "GSOType", "V4.ecn": "GSOType", "V4.gso_size": "GSOSize", "V4.needs_csum": "NoCsum",
	"V4.total": "TooLong", "V4.ip_header": "IPHeader", "V4.fragment": "Fragment", "V4.protocol": "Protocol",
	"V4.l4_header": "L4Header", "V4.csum_start": "CsumStart", "V4.csum_offset": "CsumOffset", "V4.segments": "Segments",
	"V4.csum_range": "CsumRange",
}

// Reason is the Reason that a case on a rule's "-" side must show.
var Reason = map[string]string{
	"C1.fragment": "Fragment", "C1.evil": "Fragment", "C1.truncated": "Truncated", "C1.length": "Length", "C1.udp_length": "Length",
	"C1.flags": "Flags", "C1.empty": "Empty", "C1.ip_checksum": "IPChecksum", "C1.l4_checksum": "L4Checksum", "C1.zero": "L4Checksum",
	"C1.absent": "L4Checksum", "C2.total": "Limit", "C2.tcp_segments": "Limit", "C2.udp_segments": "Limit", "C2.small_first": "Limit",
	"C4.max_open": "Closed", "C10.tcp4": "Disabled", "C10.tcp6": "Disabled", "C10.udp": "Disabled",
	"E.size": "Mismatch", "E.id": "Mismatch", "E.tos": "Mismatch", "E.ttl": "Mismatch", "E.df": "Mismatch", "E.label": "Mismatch",
	"E.seq": "Mismatch", "E.ack": "Mismatch", "E.window": "Mismatch", "E.flags": "Mismatch", "E.reserved": "Mismatch",
	"E.urgent": "Mismatch", "E.options": "Mismatch", "E.last": "Mismatch",
}
