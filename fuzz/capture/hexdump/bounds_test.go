// SPDX-License-Identifier: MIT

package hexdump

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestSkbVnet tries the fields of an skb from which a VnetHdr is made: where its checksum may
// start, each GSO type, and what is left out.
func TestSkbVnet(t *testing.T) {
	h, b := scenario.TCP4(3000).Super(1000)
	base := skb{summed: checksumPartial, start: 120, net: 100, offset: 16, gsoSize: 1000, gsoType: skbTCPv4}
	for start := -1; start <= len(b)+1; start++ {
		s := base
		s.start = s.net + start
		comment := s.vnet(b)
		v, has, err := pcap.Vnet(comment)
		if ok := start >= 0 && start <= len(b); err != nil || has != ok || ok != (s.left == "") || ok && int(v.CsumStart) != start {
			t.Fatalf("start %d: %q, left out %q", start, comment, s.left)
		}
	}
	for kind, want := range map[int]uint8{
		skbTCPv4: packet.GSOTCPv4, skbTCPv6: packet.GSOTCPv6, skbUDPL4: packet.GSOUDPL4,
		skbTCPv4 | skbDodgy: packet.GSOTCPv4, skbTCPv4 | skbFixedID: packet.GSOTCPv4, skbTCPv4 | skbECN: packet.GSOTCPv4 | packet.GSOECN,
		skbTCPv6 | skbECN | skbDodgy: packet.GSOTCPv6 | packet.GSOECN, 0: 0, skbECN: 0, skbDodgy: 0, skbTCPv4 | skbUDPL4: 0, 1 << 9: 0,
	} {
		s := base
		s.gsoType = kind
		v, has, err := pcap.Vnet(s.vnet(b))
		if err != nil || has != (want != 0) || v.GSOType != want || (s.left == "") != (want != 0) {
			t.Errorf("GSO type %#x: %+v, left out %q, want %d", kind, v, s.left, want)
		}
		if want == packet.GSOTCPv4 && v != h {
			t.Errorf("GSO type %#x: %+v, want %+v", kind, v, h)
		}
	}
	for name, c := range map[string]struct {
		change func(s *skb)
		has    bool
		left   string
	}{
		"no checksum to complete, no GSO":   {func(s *skb) { s.summed, s.gsoSize = 0, 0 }, false, ""},
		"no checksum to complete, with GSO": {func(s *skb) { s.summed = 1 }, false, "it has a gso size of 1000 and no partial checksum (ip_summed=1)"},
		"no GSO":                            {func(s *skb) { s.gsoSize, s.gsoType = 0, 0 }, true, ""},
		"a gso size of 1":                   {func(s *skb) { s.gsoSize = 1 }, true, ""},
		"left out already":                  {func(s *skb) { s.left = "before" }, false, "before"},
		"a start that is too early":         {func(s *skb) { s.start = 99 }, false, "its partial checksum starts outside its IP packet: start=99, net=100"},
	} {
		s := base
		c.change(&s)
		comment := s.vnet(b)
		if (comment != "") != c.has || !strings.HasPrefix(s.left, c.left) || (s.left == "") != (c.left == "") {
			t.Errorf("%s: %q, left out %q", name, comment, s.left)
		}
	}
}

// TestUnhex takes the digits of a packet for the packet, and leaves all other text.
func TestUnhex(t *testing.T) {
	b := scenario.TCP4(5).Bytes()
	digits := hex.EncodeToString(b)
	for text, want := range map[string]string{
		digits: string(b), strings.ToUpper(digits): string(b), digits[:20] + " \n\t" + digits[20:]: string(b),
		digits + "0": digits + "0", digits + "zz": digits + "zz", digits[:len(digits)-1] + "x": digits[:len(digits)-1] + "x",
		"": "", "45": "45", string(b): string(b), "616263": "616263",
	} {
		if got := unhex([]byte(text)); string(got) != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestRefusalErrors reads lines of a log that are no refusals, or wrong ones.
func TestRefusalErrors(t *testing.T) {
	line := func(length, list string) string {
		return "vpn0: write of 5 packets in " + length + " bytes: x: vnet flags=1 gso_type=1 hdr_len=40 gso_size=1 csum_start=20 csum_offset=16 []byte{" + list + "}"
	}
	for text, want := range map[string]string{
		line("99999999", "0x45, 0x00"):             "a packet of 99999999 bytes",
		line("99999999999999999999", "0x45, 0x00"): "a packet of 99999999999999999999 bytes",
		line("60", "0x45, 0x100"):                  `"0x100" is not a byte`,
		line("60", "0x45, "):                       `"" is not a byte`,
		line("60", "0x45,0x46"):                    `"0x45,0x46" is not a byte`,
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	b := scenario.TCP4(20).Bytes()
	var list []string
	for _, v := range b {
		list = append(list, fmt.Sprintf("%#x", v))
	}
	for _, n := range []int{len(b) - 1, len(b), len(b) + 1} { // more bytes than the length stay, and missing ones are zeros
		got, err := Parse([]byte(line(fmt.Sprint(n), strings.Join(list, ", "))))
		if err != nil || len(got) != 1 || (got[0].Left == "") != (n <= len(b)) || n <= len(b) && string(got[0].Data) != string(b) {
			t.Errorf("%d bytes: %v, %v", n, got, err)
		}
	}
}

// TestNumbers reads numbers that a regular expression has found.
func TestNumbers(t *testing.T) {
	for text, want := range map[string][2]int{"": {0, 0}, "0": {0, 0}, "10": {10, 16}, "2147483647": {1<<31 - 1, 1<<31 - 1}, "99999999999": {1<<31 - 1, 1<<31 - 1}, "7fffffff": {0, 1<<31 - 1}, "ff": {0, 255}} {
		if got := [2]int{atoi([]byte(text)), atox([]byte(text))}; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
