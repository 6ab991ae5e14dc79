// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"tunproof/fuzz/scenario"

	"github.com/google/go-cmp/cmp"
)

func TestLinks(t *testing.T) {
	be16 := func(v ...uint16) (b []byte) {
		for _, v := range v {
			b = binary.BigEndian.AppendUint16(b, v)
		}
		return b
	}
	macs := make([]byte, 12)
	eth := func(etherType ...uint16) []byte { return join(macs, be16(etherType...)) }
	sll := func(device, etherType uint16) []byte { return join(be16(0, device, 6, 0, 0, 0, 0, etherType)) }
	sll2 := func(device, etherType uint16) []byte { return be16(etherType, 0, 0, 7, device, 6, 0, 0, 0, 0) }
	zeros := func(n int) []byte { return make([]byte, n) }
	le := func(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
	be := func(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
	const fcs4 = 2<<28 | 1<<26
	tags := func(n int) (list []uint16) {
		for range n {
			list = append(list, 0x8100, 5)
		}
		return append(list, 0x0800)
	}
	for _, test := range []struct {
		name  string
		link  uint32
		frame []byte
		want  []byte // or
		why   string
	}{
		{"RAW", linkRaw, ip4, ip4, ""},
		{"RAW 12", linkRawBSD, ip6, ip6, ""},
		{"RAW 14", linkRawOpen, ip4, ip4, ""},
		{"RAW, no byte", linkRaw, nil, []byte{}, ""},
		{"IPV4", linkIPv4, ip4, ip4, ""},
		{"IPV6", linkIPv6, ip6, ip6, ""},

		{"NULL little-endian", linkNull, join(le(2), ip4), ip4, ""},
		{"NULL big-endian", linkNull, join(be(2), ip4), ip4, ""},
		{"NULL, NetBSD IPv6", linkNull, join(le(24), ip6), ip6, ""},
		{"NULL, FreeBSD IPv6", linkNull, join(be(28), ip6), ip6, ""},
		{"NULL, Darwin IPv6", linkNull, join(le(30), ip6), ip6, ""},
		{"NULL, Linux IPv6", linkNull, join(le(10), ip6), ip6, ""},
		{"NULL, AppleTalk", linkNull, join(be(16), ip4), nil, "address family 16 is not IP"},
		{"NULL, short", linkNull, zeros(3), nil, "shorter than the link header: 3 of 4 bytes"},
		{"LOOP", linkLoop, join(be(2), ip4), ip4, ""},
		{"LOOP IPv6", linkLoop, join(be(24), ip6), ip6, ""},
		{"LOOP in the wrong order", linkLoop, join(le(2), ip4), nil, "address family 33554432 is not IP"},

		{"Ethernet", linkEthernet, join(eth(0x0800), ip4), ip4, ""},
		{"Ethernet with padding", linkEthernet, join(eth(0x0800), ip4, zeros(22)), ip4, ""},
		{"Ethernet IPv6 with padding", linkEthernet, join(eth(0x86DD), ip6, zeros(4)), ip6, ""},
		{"Ethernet, a byte longer than padded: the rest stays", linkEthernet, join(eth(0x0800), ip4, zeros(23)), join(ip4, zeros(23)), ""},
		{"Ethernet, total length below a header's", linkEthernet, join(eth(0x0800), zeros(30)), zeros(30), ""},
		{"Ethernet ARP", linkEthernet, join(eth(0x0806), ip4), nil, "EtherType 0x0806 is not IP, or the IP header is incomplete"},
		{"Ethernet, IPv4 of 19 bytes", linkEthernet, join(eth(0x0800), ip4[:19]), nil, "EtherType 0x0800 is not IP, or the IP header is incomplete"},
		{"Ethernet, IPv6 of 39 bytes", linkEthernet, join(eth(0x86DD), ip6[:39]), nil, "EtherType 0x86dd is not IP, or the IP header is incomplete"},
		{"Ethernet, short", linkEthernet, macs, nil, "shorter than the link header: 12 of 14 bytes"},

		{"VLAN", linkEthernet, join(eth(0x8100, 5, 0x0800), ip4), ip4, ""},
		{"VLAN 0x88a8 and 0x9100", linkEthernet, join(eth(0x88a8, 5, 0x9100, 6, 0x86DD), ip6), ip6, ""},
		{"VLAN, tagged by the sender: 60 bytes", linkEthernet, join(eth(0x8100, 5, 0x0800), ip4, zeros(18)), ip4, ""},
		{"VLAN, tagged by a switch: 64 bytes", linkEthernet, join(eth(0x8100, 5, 0x0800), ip4, zeros(22)), ip4, ""},
		{"VLAN, 65 bytes: no padding", linkEthernet, join(eth(0x8100, 5, 0x0800), ip4, zeros(23)), join(ip4, zeros(23)), ""},
		{"8 VLAN tags", linkEthernet, join(eth(tags(8)...), ip4), ip4, ""},
		{"9 VLAN tags", linkEthernet, join(eth(tags(9)...), ip4), nil, "more than 8 VLAN tags"},
		{"VLAN tag cut", linkEthernet, join(eth(0x8100), zeros(3)), nil, "the frame ends in a VLAN tag"},

		{"Ethernet with checksum", linkEthernet | fcs4, join(eth(0x0800), ip4, zeros(22), []byte{1, 2, 3, 4}), ip4, ""},
		{"Ethernet with checksum, no padding", linkEthernet | fcs4, join(eth(0x0800), ip4, zeros(23), []byte{1, 2, 3, 4}), join(ip4, zeros(23)), ""},
		{"Ethernet with checksum, short", linkEthernet | fcs4, zeros(17), nil, "shorter than the link header: 13 of 14 bytes"},
		{"Ethernet with checksum, shorter than that", linkEthernet | fcs4, zeros(2), nil, "shorter than the link header: 0 of 14 bytes"},
		{"a length of the checksum that is not valid", linkEthernet | 2<<28, join(eth(0x0800), ip4, zeros(26)), join(ip4, zeros(26)), ""},
		{"RAW has no checksum", linkRaw | fcs4, ip4, ip4, ""},

		{"SLL", linkSLL, join(sll(772, 0x0800), ip4), ip4, ""},
		{"SLL of Ethernet with padding", linkSLL, join(sll(1, 0x0800), ip4, zeros(22)), ip4, ""},
		{"SLL of another device: the rest stays", linkSLL, join(sll(772, 0x0800), ip4, zeros(22)), join(ip4, zeros(22)), ""},
		{"SLL with VLAN", linkSLL, join(sll(1, 0x8100), be16(5, 0x86DD), ip6), ip6, ""},
		{"SLL ARP", linkSLL, join(sll(1, 0x0806), ip4), nil, "EtherType 0x0806 is not IP, or the IP header is incomplete"},
		{"SLL, short", linkSLL, zeros(15), nil, "shorter than the link header: 15 of 16 bytes"},
		{"SLL2", linkSLL2, join(sll2(772, 0x86DD), ip6), ip6, ""},
		{"SLL2 of Ethernet with padding", linkSLL2, join(sll2(1, 0x86DD), ip6, zeros(4)), ip6, ""},
		{"SLL2, short", linkSLL2, zeros(19), nil, "shorter than the link header: 19 of 20 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			packets, skipped := read(t, classicFile(binary.BigEndian, magicNano, test.link, test.frame))
			if test.why != "" {
				if diff := cmp.Diff([]Skipped{{1, test.why}}, skipped); diff != "" || packets != nil {
					t.Errorf("%v (-want +got):\n%s", packets, diff)
				}
				return
			}
			if diff := cmp.Diff([][]byte{test.want}, data(packets)); diff != "" || skipped != nil {
				t.Errorf("%v (-want +got):\n%s", skipped, diff)
			}
		})
	}
}

// Every name of a reason's format has a number.
func TestReason(t *testing.T) {
	for want, r := range map[string]reason{"a": {"a", 1, 2}, "1 of 2": {"%d of %d", 1, 2}, "0x0001": {"%#04x", 1, 2}} {
		if got := r.String(); got != want || strings.Contains(got, "%!") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if l := (link{kind: 195}); l.supported() || !bytes.Contains([]byte(linkNames), []byte("276")) {
		t.Errorf("%v", l)
	}
}

// TestFCS checks that the frame check sequence of an Ethernet frame is cut off where the
// file does not announce it, and that other bytes after the packet stay.
func TestFCS(t *testing.T) {
	packet := scenario.TCP4(100).Bytes()
	frame := append([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00}, packet...)
	l := link{kind: linkEthernet}
	with := binary.LittleEndian.AppendUint32(bytes.Clone(frame), crc32.ChecksumIEEE(frame))
	if got, _ := l.ip(with); !bytes.Equal(got, packet) {
		t.Errorf("%d bytes with the FCS, want %d", len(got), len(packet))
	}
	with[len(with)-1] ^= 1
	if got, _ := l.ip(with); len(got) != len(packet)+4 {
		t.Errorf("%d bytes with 4 that are no FCS, want %d", len(got), len(packet)+4)
	}
	// A wrong IP length must not hide the FCS, which would be taken for data.
	for _, wrong := range []int{-60, -1, 1, 100} { // with 4 too much the FCS may be data
		bad := bytes.Clone(frame)
		binary.BigEndian.PutUint16(bad[16:], uint16(len(packet)+wrong))
		want := max(0, len(packet)+min(wrong, 0))
		got, _ := l.ip(binary.LittleEndian.AppendUint32(bytes.Clone(bad), crc32.ChecksumIEEE(bad)))
		if len(got) > len(packet) || len(got) < want {
			t.Errorf("an IP length that is wrong by %d: %d bytes of %d", wrong, len(got), len(packet))
		}
	}
}
