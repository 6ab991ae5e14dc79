// SPDX-License-Identifier: MIT

package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// Kind is a kind of finding.
type Kind struct {
	Name    string `json:"kind"`
	Rule    string `json:"rule"`              // its ID in docs/rules.md
	Suspect bool   `json:"suspect,omitempty"` // correct senders may do it too
	Like    string `json:"like,omitempty"`    // programs and bugs that cause it; of a finding only what fits
	Case    string `json:"case,omitempty"`    // the case in corpus/ that shows what is right; of a finding, one of its protocol
}

// The kinds of findings, in the order of the packet's bytes.
var (
	RefusedECN         = Kind{"vnet-ecn", "V4.ecn", false, "nebula accepted UDP_L4 with the ECN bit", "segment/refuse-ecn-bit-udp4"}
	HdrLen             = Kind{"hdr-len", "V3.hdr_len", true, "early nebula and early wireguard-go relied on it", "segment/hdr-len-whole-packet-tcp4"}
	IPHeader           = Kind{"ip-header", "V4.ip_header", false, "wireguard-go and tailscale leave an IHL of 0 or 15 in the segments", "segment/refuse-ihl-4-tcp4"}
	IPLength           = Kind{"ip-length", "C1.length", false, "a length that was not updated", "coalesce/ip-length-short-tcp4"}
	IPLengthWrapped    = Kind{"ip-length-wrapped", "V4.total", false, "wireguard-go joins 66 packets of 1,000 bytes; the kernel loses all", "coalesce/total-66x1000-tcp4"}
	IPLengthExtensions = Kind{"ip-length-extensions", "S3.extension", false, "wireguard-go, tailscale, and tun-rs before e9a699d, count the length from the L4 header", "segment/extension-hop-by-hop-tcp6"}
	Overlong           = Kind{"overlong", "S1.split", false, either("early nebula, which relied on hdr_len", "tun-rs, which read from a device that another program had set up"), "segment/hdr-len-whole-packet-tcp4"}
	IPChecksum         = Kind{"ip-checksum", "S2.header", false, "nebula before 705a8f60 changed the ECN bits after the checksum was computed", "coalesce/ip-header-checksum-wrong-tcp4"}
	IPChecksumZero     = Kind{"ip-checksum-zero", "S2.header", true, "a network card that fills it in, in a capture on the sender's side", "coalesce/ip-header-checksum-wrong-tcp4"}
	IDConstant         = Kind{"id-constant", "S2.id", false, "nebula before 72098ce8 gave all segments the ID of the first", "segment/id-wraps-tcp4"}
	IDDescending       = Kind{"id-descending", "C5.front", true, "wireguard-go and tailscale join a packet in front of earlier ones, which swaps IDs", "coalesce/reorder-front-tcp4"}
	IDRepeated         = Kind{"id-repeated", "S2.id", false, "", "segment/id-wraps-tcp4"}
	IDSwapped          = Kind{"id-swapped", "S2.id", true, "senders that count in the byte order of their processor", "segment/id-wraps-tcp4"}
	L4Header           = Kind{"l4-header", "V4.l4_header", false, "", "segment/refuse-doff-past-the-end-tcp4"}
	SeqConstant        = Kind{"seq-constant", "S4.seq", false, "", "segment/seq-wraps-tcp4"}
	SeqOverlap         = Kind{"seq-overlap", "S4.seq", true, "a segment's sequence number was counted wrongly when a superpacket was cut, or the one before it has bytes too many; a sender that sends other bytes again does the same", "segment/seq-wraps-tcp4"}
	SeqGap             = Kind{"seq-gap", "S4.seq", false, "segments were lost before IDs were assigned, by a program that counts an ID for each packet", "segment/seq-wraps-tcp4"}
	SeqLost            = Kind{"seq-lost", "S4.seq", true, "wireguard-go loses the last good segment of a superpacket with more than it has buffers (PR 151); a network may lose them too", "segment/seq-wraps-tcp4"}
	TCPCWR             = Kind{"tcp-cwr", "S4.cwr", false, "wireguard-go and tailscale leave it on every segment", "segment/cwr-tcp4"}
	TCPCWRSuspect      = Kind{"tcp-cwr-suspect", "S4.cwr", true, "wireguard-go and tailscale leave it on every segment; so do AccECN and a sender with a window of one segment", "segment/cwr-tcp4"}
	TCPFIN             = Kind{"tcp-fin", "S4.last", false, "FIN was copied to every segment", "segment/psh-fin-tcp4"}
	TCPPSH             = Kind{"tcp-psh", "S4.last", true, "PSH was copied to every segment; senders that write pieces of exactly this size set it too", "segment/psh-fin-tcp4"}
	UDPLength          = Kind{"udp-length", "S5.length", false, "", "coalesce/udp-length-long-udp4"}
	UDPSurplus         = Kind{"udp-surplus", "C1.udp_length", true, "wireguard-go and tailscale count the options as payload", "coalesce/udp-surplus-udp4"}
	L4Checksum         = Kind{"l4-checksum", "C1.l4_checksum", false, "", "coalesce/tcp-checksum-wrong-tcp4"}
	L4ChecksumPrefix   = Kind{"l4-checksum-prefix", "C1.l4_checksum", true, "a network card that merges packets on receipt (LRO), in a capture on the receiver's side", "coalesce/tcp-checksum-wrong-tcp4"}
	NotPartial         = Kind{"not-partial", "S6.partial", false, "", "segment/none-needs-csum-tcp4"}
	L4Partial          = Kind{"l4-partial", "S6.none", false, either("NEEDS_CSUM was ignored", "the capture was taken before a network card completed the checksum"), "segment/none-needs-csum-tcp4"}
	L4PartialSender    = Kind{"l4-partial-sender", "S6.none", true, "a network card that adds the length and completes it (Windows, FreeBSD), in a capture on the sender's side", "segment/none-needs-csum-tcp4"}
	IPLengthSender     = Kind{"ip-length-sender", "C1.length", true, "a network card that cuts the packet and fills in the length (Windows), in a capture on the sender's side", "coalesce/ip-length-short-tcp4"}
	UDPZero            = Kind{"udp-zero", "S6.zero", false, "wireguard-go and tailscale write 0 where the checksum computes to it", "segment/none-needs-csum-zero-udp6"}
	UDPZeroComputed    = Kind{"udp-zero-computed", "S6.zero", true, "wireguard-go and tailscale write 0 where the checksum computes to it", "segment/none-needs-csum-zero-udp6"}
	UDPAbsent          = Kind{"udp-absent", "C1.absent", true, "RFC 6935 allows it for tunnels only", "coalesce/udp-checksum-absent-udp6"}
)

// udpCases are the cases about UDP where those of a kind are about TCP, without the protocol
// and the IP version at the end of the name.
var udpCases = map[string]string{
	"coalesce/tcp-checksum-wrong-":      "coalesce/udp-checksum-wrong-",
	"segment/refuse-doff-past-the-end-": "coalesce/truncated-header-",
	"segment/refuse-other-version-":     "segment/refuse-tcp-type-",
	"segment/refuse-more-fragments-":    "segment/refuse-fragment-offset-",
}

// fewCases are the protocols and IP versions of cases that do not exist for all.
var fewCases = map[string][]string{
	"coalesce/total-66x1000-":               {"tcp4", "udp6"},
	"coalesce/ip-header-checksum-wrong-":    {"tcp4", "udp4"},
	"segment/id-wraps-":                     {"tcp4", "udp4"},
	"segment/extension-hop-by-hop-":         {"tcp6", "udp6"},
	"segment/refuse-ihl-4-":                 {"tcp4"},
	"segment/refuse-more-fragments-":        {"tcp4"},
	"segment/refuse-fragment-offset-":       {"udp4"},
	"segment/refuse-tunnel-outer-offset-0-": {"tcp4"},
}

// caseOf returns the case for a packet: that of its protocol and IP version, if the corpus has
// it, and otherwise one of its protocol. Without TCP or UDP it is the kind's.
func (k Kind) caseOf(h packet.Header) string {
	n := len(k.Case) - len("tcp4")
	if h.Version == 0 || h.Proto != 6 && h.Proto != 17 || n < 0 || !slices.Contains([]string{"tcp4", "tcp6", "udp4", "udp6"}, k.Case[n:]) {
		return k.Case
	}
	stem, proto := k.Case[:n], "tcp"
	if h.Proto == 17 {
		stem, proto = cmp.Or(udpCases[stem], stem), "udp"
	}
	exact := fmt.Sprint(proto, h.Version)
	few := fewCases[stem]
	if few == nil || slices.Contains(few, exact) {
		return stem + exact
	}
	if i := slices.IndexFunc(few, func(s string) bool { return strings.HasPrefix(s, proto) }); i >= 0 {
		return stem + few[i]
	}
	return k.Case
}

// either returns what a finding is like if two causes fit and the packet does not show which.
func either(one, other string) string { return "two causes fit: " + one + ", or " + other }

// Kinds returns all kinds of findings.
func Kinds() []Kind {
	list := []Kind{RefusedECN, HdrLen, IPHeader, IPLength, IPLengthWrapped, IPLengthExtensions, IPLengthSender, Overlong, IPChecksum, IPChecksumZero, IDConstant, IDDescending, IDRepeated, IDSwapped,
		L4Header, SeqConstant, SeqOverlap, SeqGap, SeqLost, TCPCWR, TCPCWRSuspect, TCPFIN, TCPPSH, UDPLength, UDPSurplus, L4Checksum, L4ChecksumPrefix, NotPartial, L4Partial, L4PartialSender, UDPZero, UDPZeroComputed, UDPAbsent}
	for _, why := range slices.Sorted(maps.Keys(refusals)) {
		list = append(list, refusals[why])
	}
	return list
}

// refusals holds the kinds for a superpacket that no kernel cuts, by the model's reason.
var refusals = map[model.Refusal]Kind{
	"RSCInfo":    {"vnet-rsc-info", "V4.rsc_info", false, "", "segment/refuse-rsc-info-tcp4"},
	"GSOType":    {"vnet-type", "V4.type", false, "wireguard-go's read returns an error, which ends the tunnel", "segment/refuse-type-2"},
	"GSOSize":    {"vnet-gso-size", "V4.gso_size", false, "nebula before 637497b9 wrote 0, which wireguard-go and tailscale cut into 127 packets of headers only", "segment/refuse-gso-size-zero-tcp4"},
	"NoCsum":     {"vnet-needs-csum", "V4.needs_csum", false, "", "segment/refuse-no-needs-csum-udp4"},
	"TooLong":    {"vnet-total", "V4.total", false, "wireguard-go joins 66 packets of 1,000 bytes; the kernel loses all", "segment/refuse-total-65536-tcp4"},
	"IPHeader":   {"vnet-ip-header", "V4.ip_header", false, "wireguard-go panics if the header is incomplete", "segment/refuse-crash-type-1-empty"},
	"Fragment":   {"vnet-fragment", "V4.fragment", false, "kernels without the fix for CVE-2026-80590 can crash", "segment/refuse-more-fragments-tcp4"},
	"Protocol":   {"vnet-protocol", "V4.protocol", false, "kernels before 7.2.11 accept it without NEEDS_CSUM, then drop the packet", "segment/refuse-other-version-tcp4"},
	"L4Header":   {"vnet-l4-header", "V4.l4_header", false, "", "segment/refuse-doff-past-the-end-tcp4"},
	"Tunnel":     {"vnet-tunnel", "V4.tunnel", false, "", "segment/refuse-tunnel-outer-offset-0-tcp4"},
	"CsumStart":  {"vnet-csum-start", "V4.csum_start", false, "", "segment/refuse-csum-start-tcp4"},
	"CsumOffset": {"vnet-csum-offset", "V4.csum_offset", false, "wireguard-go and tailscale use it unchecked: at 6, a TCP checksum overwrites half of tcp.seq", "segment/refuse-csum-offset-tcp4"},
	"Segments":   {"vnet-segments", "V4.segments", false, "wireguard-go and tailscale join 129 datagrams of a batch; the kernel loses all", "segment/refuse-segments-129-udp4"},
	"CsumRange":  {"vnet-csum-range", "V4.csum_range", false, "wireguard-go panics if the checksum field is past the end", "segment/refuse-none-csum-start-1000"},
}
