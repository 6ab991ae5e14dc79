// SPDX-License-Identifier: MIT

package check

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// inCorpus reports whether the corpus has a case.
func inCorpus(name string) bool {
	_, err := os.Stat("../../../corpus/" + name + ".pkts")
	return err == nil
}

// TestCases asks for the case of each kind for TCP and UDP over IPv4 and IPv6: the corpus has
// it. It is of the protocol and the version, if there is such a case, and else of the protocol,
// unless the kind has cases of another protocol only.
func TestCases(t *testing.T) {
	for _, k := range Kinds() {
		if k.Case == "" || !inCorpus(k.Case) {
			t.Errorf("%s: the corpus does not have %q", k.Name, k.Case)
		}
		for _, h := range []packet.Header{{}, {Version: 4, Proto: 1}, {Version: 6, Proto: 58}, {Proto: 17}} {
			if got := k.caseOf(h); got != k.Case {
				t.Errorf("%s: of %+v it is %q", k.Name, h, got)
			}
		}
		n := len(k.Case) - 4
		if s := k.Case[n:]; s != "tcp4" && s != "tcp6" && s != "udp4" && s != "udp6" {
			if got := k.caseOf(packet.Header{Version: 4, Proto: 17}); got != k.Case {
				t.Errorf("%s: %q, want %q", k.Name, got, k.Case)
			}
			continue
		}
		for proto, number := range map[string]uint8{"tcp": 6, "udp": 17} {
			for version, digit := range map[int]string{4: "4", 6: "6"} {
				onlyTCP := strings.HasPrefix(k.Name, "tcp-") || strings.HasPrefix(k.Name, "seq-") || k.Name == "id-descending"
				onlyUDP := strings.HasPrefix(k.Name, "udp-") || k.Name == "vnet-ecn" || k.Name == "vnet-needs-csum" || k.Name == "vnet-segments"
				if proto == "udp" && onlyTCP || proto == "tcp" && onlyUDP {
					continue // no packet of this protocol gets it
				}
				got := k.caseOf(packet.Header{Version: version, Proto: number})
				if !inCorpus(got) {
					t.Errorf("%s of %s%s: the corpus does not have %q", k.Name, proto, digit, got)
				}
				stem := k.Case[:n]
				if proto == "udp" && udpCases[stem] != "" {
					stem = udpCases[stem]
				}
				of := func(suffix string) bool { return inCorpus(stem + suffix) }
				switch {
				case of(proto + digit):
					if got != stem+proto+digit {
						t.Errorf("%s of %s%s: %q, and the corpus has %s", k.Name, proto, digit, got, stem+proto+digit)
					}
				case of(proto + "4"), of(proto + "6"):
					if !strings.HasPrefix(got, stem+proto) {
						t.Errorf("%s of %s%s: %q is of another protocol", k.Name, proto, digit, got)
					}
				case got != k.Case:
					t.Errorf("%s of %s%s: %q, want %q", k.Name, proto, digit, got, k.Case)
				}
			}
		}
	}
}

// TestCaseOfFinding checks that findings have cases of their packet's protocol and version.
func TestCaseOfFinding(t *testing.T) {
	for name, p := range map[string]scenario.Packet{"tcp4": scenario.TCP4(40), "tcp6": scenario.TCP6(40), "udp4": scenario.UDP4(40), "udp6": scenario.UDP6(40)} {
		b := p.Bytes()
		b[len(b)-1]++
		for _, f := range findings(t, Config{}, b, b[:len(b)-1]) {
			if !strings.HasSuffix(f.Case, name) || !inCorpus(f.Case) {
				t.Errorf("%s: %v has %q", name, f, f.Case)
			}
		}
	}
}

// TestLike checks what findings are said to be like: one cause if the packet shows which, both
// if it does not, and nothing if what is known is about other values.
func TestLike(t *testing.T) {
	tcp, udp := scenario.TCP4(3000), scenario.UDP6(3000)
	bytesOf := func(p scenario.Packet, change func(b []byte) []byte) func() ([]byte, string) {
		return func() ([]byte, string) { return change(p.Bytes()), "" }
	}
	super := func(p scenario.Packet, change func(h *pkts.VnetHdr, b []byte) []byte) func() ([]byte, string) {
		return func() ([]byte, string) {
			h, b := p.Super(1000)
			b = change(&h, b)
			return b, pcap.VnetComment(h)
		}
	}
	sum := func(b []byte, v uint16) []byte {
		at, _, _ := packet.RightSum(b)
		binary.BigEndian.PutUint16(b[at:], v)
		return b
	}
	const both = "two causes fit: "
	for _, c := range []struct {
		name   string
		packet func() ([]byte, string)
		cfg    Config
		kind   string
		like   string // the start of it
		not    string // what it does not say
	}{
		{"an IHL of 15", bytesOf(tcp, func(b []byte) []byte { b[0] = 0x4F; return b[:40] }), Config{}, "ip-header", "wireguard-go and tailscale leave an IHL", ""},
		{"an IHL of 0", bytesOf(tcp, func(b []byte) []byte { b[0] = 0x40; return b }), Config{}, "ip-header", "wireguard-go and tailscale leave an IHL", ""},
		{"an IHL of 1", bytesOf(tcp, func(b []byte) []byte { b[0] = 0x41; return b }), Config{}, "ip-header", "", "IHL"},
		{"no byte", bytesOf(tcp, func(b []byte) []byte { return nil }), Config{}, "ip-header", "", "IHL"},
		{"a length not filled in", bytesOf(udp, func(b []byte) []byte { b[4], b[5] = 0, 0; return b }), Config{}, "ip-length", "", "updated"},
		{"a length too small", bytesOf(udp, func(b []byte) []byte { b[5] -= 9; return b }), Config{}, "ip-length", "a length that was not updated", ""},
		{"a superpacket", bytesOf(tcp, func(b []byte) []byte { return b }), Config{MTU: 1500}, "overlong", both + "early nebula", ""},
		{"partial on the wire", bytesOf(tcp, func(b []byte) []byte { packet.Fix(b, packet.FixPartial); return b }), Config{Wire: true}, "l4-partial", both + "NEEDS_CSUM", ""},
		{"partial, as the VnetHdr says", super(tcp, func(_ *pkts.VnetHdr, b []byte) []byte { return b }), Config{Wire: true}, "l4-partial", "the capture was taken before", "ignored"},
		{"complete", super(tcp, func(_ *pkts.VnetHdr, b []byte) []byte { packet.Fix(b, packet.FixL4Csum); return b }), Config{}, "not-partial", "a program that sets NEEDS_CSUM after", "clears"},
		{"cleared", super(tcp, func(_ *pkts.VnetHdr, b []byte) []byte { return sum(b, 0) }), Config{}, "not-partial", "a program that sets NEEDS_CSUM and clears", "after"},
		{"any other sum", super(tcp, func(_ *pkts.VnetHdr, b []byte) []byte { return sum(b, 77) }), Config{}, "not-partial", "", "NEEDS_CSUM"},
		{"gso_size 0", super(tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOSize = 0; return b }), Config{}, "vnet-gso-size", "nebula before 637497b9 wrote 0", ""},
		{"gso_size 65535", super(tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOSize = 0xFFFF; return b }), Config{}, "vnet-gso-size", "", "nebula"},
		{"the other version", super(tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType = 4; return b }), Config{}, "vnet-protocol", "", "kernels"},
		{"the same without NEEDS_CSUM", super(tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType, h.Flags = 4, 0; return b }), Config{}, "vnet-protocol", "kernels before 7.2.11", ""},
		{"a field past the end", super(tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType, h.CsumStart = 0, 5000; return b }), Config{}, "vnet-csum-range", "wireguard-go panics", ""},
		{"a field in the IP header", super(tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType, h.CsumStart = 0, 19; return b }), Config{}, "vnet-csum-range", "", "panics"},
		{"an incomplete IP header", super(tcp, func(_ *pkts.VnetHdr, b []byte) []byte { return b[:10] }), Config{}, "vnet-ip-header", "wireguard-go panics", "IHL"},
		{"an incomplete IPv6 header", super(scenario.TCP6(3000), func(_ *pkts.VnetHdr, b []byte) []byte { return b[:30] }), Config{}, "vnet-ip-header", "wireguard-go panics", "IHL"},
		{"a superpacket's IHL of 0", super(tcp, func(_ *pkts.VnetHdr, b []byte) []byte { b[0] = 0x40; return b }), Config{}, "vnet-ip-header", "wireguard-go and tailscale leave", "panics"},
		{"a superpacket's IHL of 4", super(tcp, func(_ *pkts.VnetHdr, b []byte) []byte { b[0] = 0x44; return b }), Config{}, "vnet-ip-header", "", "IHL"},
		{"csum_start of UDP", super(scenario.UDP4(3000), func(h *pkts.VnetHdr, b []byte) []byte { h.CsumStart += 2; return b }), Config{}, "vnet-csum-start", "tailscale panics", "garbage"},
		{"csum_start of TCP", super(tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.CsumStart += 2; return b }), Config{}, "vnet-csum-start", "", "panics"},
		{"csum_start in the IPv6 header", super(scenario.TCP6(3000), func(h *pkts.VnetHdr, b []byte) []byte { h.CsumStart = 38; return b }), Config{}, "vnet-csum-start", "wireguard-go, tailscale and nebula write garbage", "panics"},
		{"the same of UDP", super(udp, func(h *pkts.VnetHdr, b []byte) []byte { h.CsumStart = 20; return b }), Config{}, "vnet-csum-start", "tailscale panics if it is not the offset of the UDP header, and wireguard-go", ""},
	} {
		b, comment := c.packet()
		var got []Finding
		k := New(c.cfg, func(f Finding) {
			if f.Name == c.kind {
				got = append(got, f)
			}
		})
		if err := k.Packet(pcap.Packet{Number: 1, Data: b, Comment: comment}); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1 || !strings.HasPrefix(got[0].Like, c.like) || c.like == "" && got[0].Like != "" || c.not != "" && strings.Contains(got[0].Like, c.not) {
			t.Errorf("%s: %+v, want %q, not %q", c.name, got, c.like, c.not)
		}
	}
}
