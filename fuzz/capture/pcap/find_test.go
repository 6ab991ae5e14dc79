// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"
)

// frames returns an IP packet in each kind of frame that Find knows, by the frame's name.
func frames(packet []byte) map[string][]byte {
	etherType := []byte{0x08, 0x00}
	if packet[0]>>4 == 6 {
		etherType = []byte{0x86, 0xDD}
	}
	macs := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	return map[string][]byte{
		"":                    packet,
		"Ethernet":            join(macs, etherType, packet),
		"Linux cooked (SLL)":  join([]byte{0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0}, etherType, packet),
		"Linux cooked (SLL2)": join(etherType, []byte{0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 2, 0, 0}, packet),
		"BSD loopback (NULL)": join([]byte{map[byte]byte{4: 2, 6: 30}[packet[0]>>4], 0, 0, 0}, packet),
	}
}

func TestFind(t *testing.T) {
	tcp, udp := scenario.TCP4(100).Bytes(), scenario.UDP6(10).Bytes()
	short := scenario.TCP4(0).Bytes()
	eth := frames(tcp)["Ethernet"]
	vlan := join(eth[:12], []byte{0x81, 0, 0, 5, 0x88, 0xa8, 0, 6}, eth[12:])
	padded := join(frames(short)["Ethernet"], make([]byte, 6))
	withSum := binary.LittleEndian.AppendUint32(bytes.Clone(padded), crc32.ChecksumIEEE(padded))
	big4, big6 := append(bytes.Clone(tcp), make([]byte, 70_000)...), append(bytes.Clone(udp), make([]byte, 70_000)...)
	copy(big4[2:4], "\x00\x00")
	copy(big6[4:6], "\x00\x00")

	// An IP packet from 8.0.69.0 to 0.126.0.0, with 140 bytes, is also an Ethernet frame with an IP
	// packet of 126 bytes.
	both := append(bytes.Clone(tcp[:12]), 8, 0, 0x45, 0, 0, 126, 0, 0)
	both = append(both, tcp[20:]...)
	neither := ErrNoIP.Error()
	for _, test := range []struct {
		name  string
		b     []byte
		want  Found
		fails string
	}{
		{"VLAN tags", vlan, Found{Data: tcp, Link: "Ethernet"}, ""},
		{"Ethernet with padding", padded, Found{Data: short, Link: "Ethernet", After: 6}, ""},
		{"Ethernet with padding and a checksum", withSum, Found{Data: short, Link: "Ethernet", After: 10}, ""},
		{"a tag of a sender, and padding", join(padded[:12], []byte{0x81, 0, 0, 5}, padded[12:56]), Found{Data: short, Link: "Ethernet", After: 2}, ""},
		{"a tag of a switch, and padding", join(padded[:12], []byte{0x81, 0, 0, 5}, padded[12:]), Found{Data: short, Link: "Ethernet", After: 6}, ""},
		{"too little padding", padded[:59], Found{}, "it looks like a frame of Ethernet, but there are 45 bytes of IP and the IP header states 40"},
		{"padding without the Ethernet header", padded[14:], Found{Data: short, After: 6}, ""},
		{"BIG TCP", big4, Found{Data: big4}, ""},
		{"BIG TCP in IPv6", big6, Found{Data: big6}, ""},
		{"BIG TCP, cut", big4[:60_000], Found{}, "it looks like an IP packet, but there are 60000 bytes of IP and the IP header states 0"},

		{"other bytes without the Ethernet header", join(padded[14:54], []byte{0, 0, 0, 0, 0, 1}), Found{}, "it looks like an IP packet, but there are 46 bytes of IP and the IP header states 40"},
		{"nothing", nil, Found{}, neither},
		{"19 bytes", tcp[:19], Found{}, neither},
		{"text", []byte("GET / HTTP/1.1\r\nHost: example.com\r\n"), Found{}, neither},
		{"an unusual protocol", join(tcp[:9], []byte{200}, tcp[10:]), Found{}, neither},
		{"an unusual protocol in a frame", join(eth[:23], []byte{200}, eth[24:]), Found{Data: join(tcp[:9], []byte{200}, tcp[10:]), Link: "Ethernet"}, ""},
		{"IPv6, a header of no bytes", join(udp[:4], []byte{0, 0}, udp[6:40]), Found{}, "it looks like an IP packet, but there are 40 bytes of IP and the IP header states 0"},
		{"IPv6, no next header", join(udp[:4], []byte{0, 0, 59}, udp[7:40]), Found{Data: join(udp[:4], []byte{0, 0, 59}, udp[7:40])}, ""},
		{"ARP", join(eth[:12], []byte{8, 6}, tcp), Found{}, neither},
		{"cut", tcp[:100], Found{}, "it looks like an IP packet, but there are 100 bytes of IP and the IP header states 140"},
		{"frame, cut", eth[:100], Found{}, "it looks like a frame of Ethernet, but there are 86 bytes of IP and the IP header states 140"},
		{"a byte too many", join(tcp, []byte{0}), Found{}, "it looks like an IP packet, but there are 141 bytes of IP and the IP header states 140"},
		{"both", both, Found{}, "it may be an IP packet or a frame of Ethernet"},
		{"SLL with packet type 5", join([]byte{0, 5}, frames(tcp)["Linux cooked (SLL)"][2:]), Found{}, neither},
		{"SLL2 with a reserved bit", join([]byte{8, 0, 1}, frames(tcp)["Linux cooked (SLL2)"][3:]), Found{}, neither},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Find(test.b)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if test.fails != "" && (err == nil || err.Error() != test.fails) || test.fails == "" && err != nil {
				t.Errorf("got  %v\nwant %s", err, test.fails)
			}
		})
	}
}

// TestFindDrawn finds drawn packets of any kind in each kind of frame. What is returned is
// the packet or an error, never other bytes. Nothing is found in a frame that is cut.
func TestFindDrawn(t *testing.T) {
	source, r := draw.NewSource(draw.Kinds{Batches: true}, 1), rand.New(rand.NewPCG(1, 2))
	found := map[string]int{}
	for i := range 200 {
		for _, packet := range slices.Concat(source.Draw(i).Batches...) {
			if _, length := stated(packet); length == 0 || length != len(packet) {
				continue
			}
			for name, b := range frames(packet) {
				got, err := Find(b)
				if err == nil && (!bytes.Equal(got.Data, packet) || got.Link != name || got.After != 0) {
					t.Fatalf("%q: found %+v\nin %x", name, got, b)
				}
				if err == nil {
					found[name]++
				}
				if n := r.IntN(len(b)); n > 0 {
					if got, err := Find(b[:n]); err == nil {
						t.Fatalf("%q cut to %d bytes: found %+v\nin %x", name, n, got, b)
					}
				}
			}
		}
	}
	for name := range frames(ip4) {
		if found[name] < found[""] || found[name] == 0 {
			t.Errorf("%q: %d packets found, want %d", name, found[name], found[""])
		}
	}
}
