// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tunproof/fuzz/scenario"
)

// The packets of the texts below: a datagram with the payload "abc", and a superpacket.
var (
	udp4  = func() string { p := scenario.UDP4(0); p.Payload = []byte("abc"); return string(p.Bytes()) }()
	super = func() string { _, b := scenario.TCP4(10).Super(5); return string(b) }()
)

// TestPasted reads texts as people paste them, each with the packets that it must give.
func TestPasted(t *testing.T) {
	const ethernet, sll = "Ethernet", "Linux cooked (SLL)"
	vnet := func(gsoType, hdrLen, gsoSize, start, offset int) string {
		return fmt.Sprintf("vnet flags=1 gso_type=%d hdr_len=%d gso_size=%d csum_start=%d csum_offset=%d", gsoType, hdrLen, gsoSize, start, offset)
	}
	u4 := Packet{Data: []byte(udp4)}
	in := func(link string, after int, data string) Packet {
		return Packet{Data: []byte(data), Link: link, After: after}
	}
	left := func(why string) Packet { return Packet{Left: why} }
	with := func(comment, data string) Packet { return Packet{Data: []byte(data), Comment: comment} }
	for _, test := range []struct {
		name, text string
		want       []Packet
	}{
		{"tcpdump -x", `10:00:00.000000 IP 192.0.2.1.1500 > 192.0.2.2.8000: UDP, length 3
	0x0000:  4500 001f 03e8 4000 4011 b2e2 c000 0201
	0x0010:  c000 0202 05dc 1f40 000b 9255 6162 63
1 packet captured
1 packet received by filter
0 packets dropped by kernel
`, []Packet{u4}},
		{"Go after a word that ends in b and an apostrophe", "From GitHub's mirror, and Bob's lab's notes:\n[]byte{" + elements("0x%02x", []byte(udp4)) + "}\n", []Packet{u4}},
		{"tcpdump -x, of Ethernet with padding", `10:00:00.000000 IP 192.0.2.1.1500 > 192.0.2.2.8000: UDP, length 3
	0x0000:  4500 001f 03e8 4000 4011 b2e2 c000 0201
	0x0010:  c000 0202 05dc 1f40 000b 9255 6162 6300
	0x0020:  0000 0000 0000 0000 0000 0000 0000
`, []Packet{in("", 15, udp4)}},
		{"tcpdump -X", `10:00:00.000000 IP (tos 0x0, ttl 64, id 1000, offset 0, flags [DF], proto UDP (17), length 31)
    192.0.2.1.1500 > 192.0.2.2.8000: [udp sum ok] UDP, length 3
	0x0000:  4500 001f 03e8 4000 4011 b2e2 c000 0201  E.....@.@.......
	0x0010:  c000 0202 05dc 1f40 000b 9255 6162 63    .......@...Uabc
`, []Packet{u4}},
		{"tcpdump -xx", `10:00:00.000000 02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype IPv4 (0x0800), length 60: 192.0.2.1.1500 > 192.0.2.2.8000: UDP, length 3
	0x0000:  0200 0000 0001 0200 0000 0002 0800 4500
	0x0010:  001f 03e8 4000 4011 b2e2 c000 0201 c000
	0x0020:  0202 05dc 1f40 000b 9255 6162 6300 0000
	0x0030:  0000 0000 0000 0000 0000 0000
`, []Packet{in(ethernet, 15, udp4)}},
		{"tcpdump -XX -i any", `10:00:00.000000 eth0  Out IP 192.0.2.1.1500 > 192.0.2.2.8000: UDP, length 3
	0x0000:  0004 0001 0006 0200 0000 0002 0000 0800  ................
	0x0010:  4500 001f 03e8 4000 4011 b2e2 c000 0201  E.....@.@.......
	0x0020:  c000 0202 05dc 1f40 000b 9255 6162 63    .......@...Uabc
`, []Packet{in(sll, 0, udp4)}},
		{"tcpdump with a short snap length", `10:00:00.000000 IP 192.0.2.1.1500 > 192.0.2.2.8000: UDP, length 1472
	0x0000:  4500 05dc 03e8 4000 4011 ad25 c000 0201
	0x0010:  c000 0202 05dc 1f40 05c8 0000 6162
`, []Packet{left("it looks like an IP packet, but there are 30 bytes of IP and the IP header states 1500")}},
		{"an ARP frame among others", `0000  ff ff ff ff ff ff 02 00 00 00 00 02 08 06 00 01   ................
0010  08 00 06 04 00 01 02 00 00 00 00 02 c0 00 02 01   ................
0020  00 00 00 00 00 00 c0 00 02 02                     ..........

0000  45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01   E.....@.@.......
0010  c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63      .......@...Uabc
`, []Packet{left("neither an IP packet nor a frame of Ethernet, Linux cooked or BSD loopback with one"), u4}},
		{"Wireshark, an exported packet that was cut", `No.     Time           Source                Destination           Protocol Length Info
      1 0.000000       192.0.2.1             192.0.2.2             UDP      1500   x

Frame 1: 1500 bytes on wire (12000 bits), 31 bytes captured (248 bits)
Raw packet data

0000  45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01   E.....@.@.......
0010  c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63      .......@...Uabc
`, []Packet{left("cut by the capture to 31 of 1500 bytes")}},
		{"tshark -x, with bytes that were reassembled", `Frame (31 bytes):
0000  45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01   E.....@.@.......
0010  c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63      .......@...Uabc
Reassembled TCP (18 bytes):
0000  45 00 00 12 20 61 20 64 75 6d 70 20 6f 66 20 74   E... a dump of t
0010  65 78                                             ex

0000  45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01   E.....@.@.......
0010  c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63      .......@...Uabc
`, []Packet{u4, u4}},
		{"Wireshark's hex stream, a packet a line", `4500001f03e840004011b2e2c0000201c000020205dc1f40000b9255616263
0200000000010200000000020800` + `4500001f03e840004011b2e2c0000201c000020205dc1f40000b9255616263
`, []Packet{u4, in(ethernet, 0, udp4)}},
		{"hex streams, one of them of ARP", `ffffffffffff020000000002080600010800060400010200000000` + `02c00002010000000000000000c0000202
4500001f03e840004011b2e2c0000201c000020205dc1f40000b9255616263
`, []Packet{left("neither an IP packet nor a frame of Ethernet, Linux cooked or BSD loopback with one"), u4}},
		{"a hex stream over two lines", `4500001f03e840004011b2e2c0000201c000020205dc1f40000b92556162
63
`, []Packet{u4}},
		{"hex, cut at the right margin", `4500001f03e840004011b2e2c00002
4500001f03e840004011b2e2c00002
61
`, []Packet{left("it is not certain whether lines 1 to 3 are one packet or several: put each packet on one line")}},
		{"words of an Ethernet address that look like an offset", `0000 5e00 0101 0200 0000 0002 0800 4500
001f 03e8 4000 4011 b2e2 c000 0201 c000
0202 05dc 1f40 000b 9255 6162 63
`, []Packet{in(ethernet, 0, udp4)}},
		{"Wireshark's escaped string", `"\x45\x00\x00\x1f\x03\xe8\x40\x00\x40\x11\xb2\xe2\xc0\x00\x02\x01" \
"\xc0\x00\x02\x02\x05\xdc\x1f\x40\x00\x0b\x92\x55\x61\x62\x63"
"\x45\x00\x00\x1f\x03\xe8\x40\x00\x40\x11\xb2\xe2\xc0\x00\x02\x01" \
"\xc0\x00\x02\x02\x05\xdc\x1f\x40\x00\x0b\x92\x55\x61\x62\x63"
`, []Packet{u4, u4}},
		{"escapes for printf", `\x45\x00\x00\x1f\x03\xe8\x40\x00\x40\x11\xb2\xe2\xc0\x00\x02\x01\xc0\x00\x02\x02\x05\xdc\x1f\x40\x00\x0b\x92\x55\x61\x62\x63
`, []Packet{u4}},
		{"C arrays", `/* Frame (31 bytes) */
static const unsigned char pkt1[31] = {
0x45, 0x00, 0x00, 0x1f, 0x03, 0xe8, 0x40, 0x00, /* E.....@. */
0x40, 0x11, 0xb2, 0xe2, 0xc0, 0x00, 0x02, 0x01, /* @....... */
0xc0, 0x00, 0x02, 0x02, 0x05, 0xdc, 0x1f, 0x40, /* .......@ */
0x00, 0x0b, 0x92, 0x55, 0x61, 0x62, 0x63  /* ...Uabc */
};

char peer0_0[] = { /* Packet 1 */
0x45, 0x00, 0x00, 0x1f, 0x03, 0xe8, 0x40, 0x00, 0x40, 0x11, 0xb2, 0xe2, 0xc0, 0x00, 0x02, 0x01,
0xc0, 0x00, 0x02, 0x02, 0x05, 0xdc, 0x1f, 0x40, 0x00, 0x0b, 0x92, 0x55, 0x61, 0x62, 0x63 };
char x[] = "\x45\x00\x00\x1f";
`, []Packet{u4, u4}},
		{"strings of C", "char x[] =\n  \"\\x45\\x00\\x00\\x1f\\x03\\xe8\\x40\\x00\\x40\\x11\\xb2\"\n  \"\\xe2\\xc0\\x00\\x02\\x01\\xc0\\x00\\x02\\x02\\x05\\xdc\\x1f\\x40\\x00\\x0b\\x92\\x55\\141\\x62\\x63\";\n", []Packet{u4}},
		{"Go", `pkt := []byte{0x45, 0x0, 0x0, 0x1f, 0x3, 0xe8, 0x40, 0x0, 0x40, 0x11, 0xb2, 0xe2, 0xc0, 0x0, 0x2, 0x1, 0xc0, 0x0, 0x2, 0x2, 0x5, 0xdc, 0x1f, 0x40, 0x0, 0xb, 0x92, 0x55, 0x61, 0x62, 0x63}
`, []Packet{u4}},
		{"Go's spew", `([]uint8) (len=31 cap=31) {
 00000000  45 00 00 1f 03 e8 40 00  40 11 b2 e2 c0 00 02 01  |E.....@.@.......|
 00000010  c0 00 02 02 05 dc 1f 40  00 0b 92 55 61 62 63     |.......@...Uabc|
}
`, []Packet{u4}},
		{"a bytes literal of Python", `>>> bytes(pkt)
b'E\x00\x00\x1f\x03\xe8@\x00@\x11\xb2\xe2\xc0\x00\x02\x01\xc0\x00\x02\x02\x05\xdc\x1f@\x00\x0b\x92Uabc'
`, []Packet{u4}},
		{"a bytes literal over several lines", `raw = (b'E\x00\x00\x1f\x03\xe8@\x00@\x11'  # it's the header
       b"\xb2\xe2\xc0\x00\x02\x01\xc0\x00\x02\x02"
       b'\x05\xdc\x1f@\x00\x0b\x92Uabc')
again = b'E\x00\x00\x1f\x03\xe8@\x00@\x11\xb2\xe2\xc0\x00\x02\x01' \
        b'\xc0\x00\x02\x02\x05\xdc\x1f@\x00\v\x92Uabc'
`, []Packet{u4, u4}},
		{"Python's fromhex", `IP(bytes.fromhex("4500001f03e840004011b2e2c0000201 c000020205dc1f40000b9255616263"))
`, []Packet{u4}},
		{"scapy's hexdump", `0000  45 00 00 1F 03 E8 40 00 40 11 B2 E2 C0 00 02 01  E.....@.@.......
0010  C0 00 02 02 05 DC 1F 40 00 0B 92 55 61 62 63     .......@...Uabc
`, []Packet{u4}},
		{"scapy's hexdump of a list", `0000 10:00:00.000000 IP / UDP 192.0.2.1:1500 > 192.0.2.2:8000 / Raw
0000  45 00 00 1F 03 E8 40 00 40 11 B2 E2 C0 00 02 01  E.....@.@.......
0010  C0 00 02 02 05 DC 1F 40 00 0B 92 55 61 62 63     .......@...Uabc
0001 10:00:00.000001 IP / UDP 192.0.2.1:1500 > 192.0.2.2:8000 / Raw
0000  45 00 00 1F 03 E8 40 00 40 11 B2 E2 C0 00 02 01  E.....@.@.......
0010  C0 00 02 02 05 DC 1F 40 00 0B 92 55 61 62 63     .......@...Uabc
`, []Packet{u4, u4}},
		{"text2pcap, with directions and times", `I
2024-05-27 19:23:14.000000
000000 45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01
000010 c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63 ...
O 10:15:14.5476 000000 45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01
000010 c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63
`, []Packet{u4, u4}},
		{"mail", `> > 0000 45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01
> > 0010 c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63
`, []Packet{u4}},
		{"Markdown", "```\n0000 45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01\n0010 c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63\n```\n", []Packet{u4}},
		{"Markdown of Go", "```go\n[]byte(\"E\\x00\\x00\\x1f\\x03\\xe8@\\x00@\\x11\\xb2\\xe2\\xc0\\x00\\x02\\x01\\xc0\\x00\\x02\\x02\\x05\\xdc\\x1f@\\x00\\v\\x92Uabc\")\n```\n", []Packet{u4}},
		{"print_hex_dump", `[  123.456789] mydriver: rx: 00000000: 45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01  E.....@.@.......
[  123.456790] mydriver: rx: 00000010: c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63     .......@...Uabc
`, []Packet{u4}},
		{"a VnetHdr for a frame", `# vnet flags=1 gso_type=0 hdr_len=0 gso_size=0 csum_start=20 csum_offset=6
0200000000010200000000020800` + `4500001f03e840004011b2e2c0000201c000020205dc1f40000b9255616263
`, []Packet{{Left: "it is a frame of Ethernet, and only an IP packet has a VnetHdr", Comment: vnet(0, 0, 0, 20, 6)}}},
		{"text after two spaces that may be bytes", `0000  61 62  63 64
0000  45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01
0010  c0 00 02 02 05 dc 1f 40 00 0b 92 55 61  62 63
`, []Packet{left("line 1 can be read in two ways: what follows two spaces may be bytes or text"), u4}},

		{"skb_dump", `[   12.345678] skb len=31 headroom=100 headlen=31 tailroom=61
[   12.345678] mac=(-1,-1) net=(100,20) trans=120
[   12.345678] shinfo(txflags=0 nr_frags=0 gso(size=0 type=0 segs=0))
[   12.345678] csum(0x0 ip_summed=0 complete_sw=0 valid=0 level=0)
[   12.345678] hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=0
[   12.345679] dev name=tun0 feat=0x0000000000000000
[   12.345680] skb headroom: 00000000: ff ff
[   12.345681] skb linear:   00000000: 45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01
[   12.345682] skb linear:   00000010: c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63
[   12.345683] skb tailroom: 00000000: ff ff
`, []Packet{u4}},
		{"skb_dump of a superpacket, older kernels", `Nov 27 10:00:00 host kernel: skb len=64 headroom=4 headlen=54 tailroom=0
Nov 27 10:00:00 host kernel: mac=(4,14) net=(18,20) trans=38
Nov 27 10:00:00 host kernel: shinfo(txflags=0 nr_frags=2 gso(size=5 type=3 segs=2))
Nov 27 10:00:00 host kernel: csum(0x100026 ip_summed=3 complete_sw=0 valid=0 level=0)
Nov 27 10:00:00 host kernel: hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=0
Nov 27 10:00:00 host kernel: skb linear:   00000000: 02 00 00 00 00 01 02 00 00 00 00 02 08 00 45 00
Nov 27 10:00:00 host kernel: skb linear:   00000010: 00 32 03 e8 40 00 40 06 b2 da c0 00 02 01 c0 00
Nov 27 10:00:00 host kernel: skb linear:   00000020: 02 02 05 dc 1f 40 00 00 00 01 00 00 00 01 50 10
Nov 27 10:00:00 host sshd[7]: Connection closed
Nov 27 10:00:00 host kernel: skb linear:   00000030: 02 00 84 28 00 00
Nov 27 10:00:00 host kernel: skb frag:     00000000: 00 01 02 03 04 05 06
Nov 27 10:00:00 host kernel: skb frag:     00000000: 07 08 09
`, []Packet{with(vnet(1, 40, 5, 20, 16), super)}},
		{"skb_dump of a superpacket, newer kernels", `2024-11-27T10:00:00.123456+01:00 host kernel: skb len=50 data_len=10 headroom=0 headlen=40 tailroom=0
                                              end-tail=24 mac=(0,0) mac_len=0 net=(0,20) trans=20
                                              shinfo(txflags=0 nr_frags=1 gso(size=5 type=5 segs=2))
                                              csum(0x100014 start=20 offset=16 ip_summed=3 complete_sw=0 valid=0 level=0)
                                              hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=0
                                              priority=0x0 mark=0x0 alloc_cpu=1 vlan_all=0x0
                                              encapsulation=0 inner(proto=0x0000, mac=0, net=0, trans=0)
2024-11-27T10:00:00.123457+01:00 host kernel: skb linear:   00000000: 45 00 00 32 03 e8 40 00 40 06 b2 da c0 00 02 01
2024-11-27T10:00:00.123457+01:00 host kernel: skb linear:   00000010: c0 00 02 02 05 dc 1f 40 00 00 00 01 00 00 00 01
2024-11-27T10:00:00.123457+01:00 host kernel: skb linear:   00000020: 50 10 02 00 84 28 00 00
2024-11-27T10:00:00.123457+01:00 host kernel: skb fraglist:
2024-11-27T10:00:00.123458+01:00 host kernel: skb len=10 data_len=0 headroom=0 headlen=10 tailroom=0
                                              end-tail=0 mac=(-1,-1) mac_len=0 net=(0,-1) trans=-1
                                              shinfo(txflags=0 nr_frags=0 gso(size=0 type=0 segs=0))
                                              csum(0x0 start=0 offset=0 ip_summed=0 complete_sw=0 valid=0 level=0)
2024-11-27T10:00:00.123459+01:00 host kernel: skb linear:   00000000: 00 01 02 03 04 05 06 07 08 09
`, []Packet{with(vnet(0x81, 40, 5, 20, 16), super)}},
		{"skb_dump of a big-endian machine", strings.Replace(skbText(50, 3, 5, 1), "0x100014", "0x140010", 1), []Packet{with(vnet(1, 40, 5, 20, 16), super)}},
		{"skb_dump with a checksum that starts before the packet", strings.Replace(skbText(50, 3, 0, 0), "csum(0x100014", "csum(0x0 start=10 offset=16", 1) + strings.Replace(skbText(50, 3, 0, 0), "headroom=0", "headroom=20", 1),
			[]Packet{with(vnet(0, 0, 0, 10, 16), super), left("its IP header is not in its data: net=0, headroom=20")}},
		{"skb_dump with a checksum outside the packet", strings.Replace(skbText(50, 3, 0, 0), "csum(0x100014", "csum(0x0 start=65535 offset=16", 1), []Packet{left("its partial checksum starts outside its IP packet: start=65535, net=0")}},
		{"skb_dump with a doubled fragment and a list", strings.Replace(skbText(54, 0, 0, 0), "00000030: 08 09\n", "00000030: 08 09\n[1.1] skb frag:     00000000: 01 02\n[1.2] skb frag:     00000000: 01 02\nskb fraglist:\nskb len=2 headroom=0 headlen=2 tailroom=0\nskb linear:   00000000: 03 04\n", 1),
			[]Packet{left("its list comes after all of its bytes"), left("the lines with its mac, shinfo and csum are not all in the log")}},
		{"skb_dump with a line that is doubled", skbText(52, 0, 0, 0) + "skb frag:     00000000: 08\nskb frag:     00000000: 08\n", []Packet{left("line 10 of it is the same as the line before")}},
		{"skb_dump of headers only", strings.Replace(skbText(50, 3, 5, 1), "skb linear:   00000030: 08 09\n", "", 1), []Packet{left("the log has 48 of its 50 bytes")}},
		{"skb_dump with a line missing", strings.Replace(skbText(50, 3, 5, 1), "skb linear:   00000010: c0", "c0", 1), []Packet{left("lines of it are missing before line 7")}},
		{"skb_dump with a part that was not readable", skbText(50, 3, 5, 1) + "skb frag 0: not readable\n", []Packet{left("line 9 of it is damaged, or has no bytes")}},
		{"skb_dump without its state", strings.Replace(skbText(50, 3, 5, 1), "shinfo(", "(", 1), []Packet{left("the lines with its mac, shinfo and csum are not all in the log")}},
		{"skb_dump of UFO", skbText(50, 3, 5, 1<<16), []Packet{left("there is no VnetHdr for its gso type 0x10000")}},
		{"skb_dump of a tunnel", skbText(50, 3, 5, 1|1<<10), []Packet{left("there is no VnetHdr for its gso type 0x401")}},
		{"skb_dump of LRO", skbText(50, 1, 5, 1), []Packet{left("it has a gso size of 5 and no partial checksum (ip_summed=1): there is no VnetHdr for that")}},
		{"skb_dump without an IP header", strings.Replace(skbText(50, 0, 0, 0), "headroom=0", "headroom=20", 1), []Packet{left("its IP header is not in its data: net=0, headroom=20")}},
		{"skb_dump, only the bytes", "skb linear:   00000000: 45 00 00 1f 03 e8 40 00 40 11 b2 e2 c0 00 02 01\nskb linear:   00000010: c0 00 02 02 05 dc 1f 40 00 0b 92 55 61 62 63\n", []Packet{u4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Parse([]byte(test.text))
			for i := range got {
				got[i].Line = 0
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// skbText returns the log of the superpacket, with a state.
func skbText(length, summed, gsoSize, gsoType int) string {
	return fmt.Sprintf(`skb len=%d headroom=0 headlen=%d tailroom=0
mac=(-1,-1) net=(0,20) trans=20
shinfo(txflags=0 nr_frags=0 gso(size=%d type=%d segs=2))
csum(0x100014 ip_summed=%d complete_sw=0 valid=0 level=0)
skb linear:   00000000: 45 00 00 32 03 e8 40 00 40 06 b2 da c0 00 02 01
skb linear:   00000010: c0 00 02 02 05 dc 1f 40 00 00 00 01 00 00 00 01
skb linear:   00000020: 50 10 02 00 84 28 00 00 00 01 02 03 04 05 06 07
skb linear:   00000030: 08 09
`, length, length, gsoSize, gsoType, summed)
}

// TestFound reads damaged texts that were once read as other packets. Each must leave the
// damaged packet out, or be refused.
func TestFound(t *testing.T) {
	udp := func(n int) []byte { return scenario.UDP4(n).Bytes() }
	lines := func(b []byte, n int) []string {
		return strings.SplitAfter(strings.TrimSuffix(rows(b, n, func(_ int, b []byte) string { return spaced(b, 1) + "\n" }), "\n"), "\n")
	}
	join := func(parts ...string) string { return strings.Join(parts, "") }
	vlan := links[2].frame(udp(32)) // 78 bytes
	tall := lines(udp(60), 30)      // 88 bytes: 30, 30 and 28
	options := scenario.UDP4(8)     // with IP options, 40 bytes
	options.IPOptions = []byte{1, 1, 1, 0}
	cooked := lines(links[3].frame(udp(20)), 16)
	odd := udp(6)
	copy(odd[32:], "ab")
	xxd := formats[slices.IndexFunc(formats, func(f format) bool { return f.name == "xxd" })].print([][]byte{odd})
	for _, test := range []struct{ name, text string }{
		{"three frames, cut to a third", join(lines(vlan, 26)[0], lines(vlan, 26)[0], lines(vlan, 26)[0])},
		{"three frames, cut to a usual length", strings.Repeat(lines(links[2].frame(udp(14)), 20)[0], 3)},
		{"four packets, cut to a quarter", strings.Repeat(lines(options.Bytes(), 10)[0], 4)},
		{"a header line in the place of another line", join(cooked[0], cooked[1], cooked[3], "\n", join(cooked...))},
		{"the next packet in the place of the last line", join(tall[0], tall[1], spaced(udp(0), 1), "\n")},
		{"the next packet in the place of the last line, and more", join(tall[0], tall[1], spaced(udp(0), 1), "\n", spaced(udp(5), 1), "\n")},
		{"a packet that may be the last line", join(lines(udp(1000), 40)[0], spaced(udp(12), 1), "\n")},
		{"the text column in the place of a byte", strings.Replace(xxd, "6162 ", "62 ", 1)},
		{"the first bytes are missing, and the rest looks like IPv6", spaced(links[2].frame(udp(2))[6:], 1)},
		{"escapes without their x", "\"" + strings.Replace(escaped(udp(0)), `\x00`, `\00`, 1) + "\""},
		{"a number in two", strings.Replace("["+elements("%d", udp(0))+"]", "31,", "3 1,", 1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := Parse([]byte(test.text))
			for _, p := range list {
				if p.Left == "" {
					t.Errorf("reads %x, %v from\n%s", p.Data, err, test.text)
				}
			}
		})
	}
	padded := links[1].frame(udp(6))
	text := join(lines(padded, 16)...) + "\n" + join(lines(padded, 16)...) // whole without the last line too
	if list, err := Parse([]byte(text)); err != nil || len(list) != 2 || !bytes.Equal(list[1].Data, udp(6)) {
		t.Errorf("padded frames: %v %+v", err, list)
	}
}

// TestNoPacket reads texts in which nothing is a packet. Each is an error.
func TestNoPacket(t *testing.T) {
	for _, text := range []string{"[1, 2, 3]\n", "000102030405060708090a0b0c0d0e0f101112131415\n", "x = b'abc'\n",
		"0000  ff ff ff ff ff ff 02 00 00 00 00 02 08 06 00 01\n0010  08 00 06 04 00 01\n"} {
		list, err := Parse([]byte(text))
		if want := "line 1: no packet in the text: neither an IP packet nor a frame of Ethernet, Linux cooked or BSD loopback with one"; list != nil || err == nil || err.Error() != want {
			t.Errorf("%q: %+v, %v\nwant %s", text, list, err, want)
		}
	}
}
