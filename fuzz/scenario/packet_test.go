// SPDX-License-Identifier: MIT

package scenario

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// unhex returns the bytes of hexadecimal digits, between which there may be blanks.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// TestBytes compares packets with their bytes, which are written by hand. Each field of a
// description has a value of its own in one of them.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		name  string
		p     Packet
		l4Off int
		want  string
	}{
		{"TCP over IPv4", func() Packet { p := TCP4(2); p.Payload = []byte{1, 2}; return p }(), 20,
			"4500002a 03e84000 4006b2e2 c0000201 c0000202 05dc1f40 00000001 00000001 50100200 03af0000 0102"},
		{"all fields of TCP over IPv4", Packet{Src: 9, Dst: 7, SrcNet: 7, DstNet: 0x17, SrcPort: 0x1122, DstPort: 0x3344, TOS: 0xB9, ID: 0xABCD, Frag: 0xE002, TTL: 9,
			IPOptions: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Seq: 0xA1A2A3A4, Ack: 0xB1B2B3B4, Flags: 0xC5, Offset: 0x3F, Window: 0xC1C2, Urg: 0xD1D2, Options: Timestamps, Payload: []byte{0x21, 0x22}}, 28,
			"47b9003e abcde002 0906790c c0000509 c0001507 01020304 05060708 11223344 a1a2a3a4 b1b2b3b4 8fc5c1c2 2926d1d2 0101080a 00000001 00000002 2122"},
		{"TCP over IPv6", TCP6(1), 40,
			"60012345 00150640 20010db8 00000000 00000000 00000001 20010db8 00000000 00000000 00000002 05dc1f40 00000001 00000001 50100200 2d410000 00"},
		{"extensions of IPv6", Packet{V6: true, UDP: true, Src: 9, Dst: 7, SrcNet: 7, DstNet: 0x17, SrcPort: 1500, DstPort: 8000, TOS: 0xB9, TTL: 9, Label: 0xABCFEDCB,
			ExtType: 43, Extensions: unhex("3c00010203040506 9901000000000000 0000000000000000"), Payload: []byte{0xFF}}, 64,
			"6b9fedcb 00212b09 20010db8 00000007 00000000 00000009 20010db8 00000017 00000000 00000007 3c000102 03040506 11010000 00000000 00000000 00000000 05dc1f40 0009801f ff"},
		{"UDP over IPv4", UDP4(0), 20, "4500001c 03e84000 4011b2e5 c0000201 c0000202 05dc1f40 000856be"},
	} {
		got := c.p.Bytes()
		if want := unhex(c.want); !bytes.Equal(got, want) {
			t.Errorf("%s: %v\ngot  %x\nwant %x", c.name, packet.Diff(want, got), got, want)
		}
		if off := c.p.L4Off(); off != c.l4Off {
			t.Errorf("%s: the TCP or UDP header is at %d, want %d", c.name, off, c.l4Off)
		}
	}
	tcp, udp := TCP6(9), UDP6(9)
	if !tcp.V6 || tcp.UDP || !udp.V6 || !udp.UDP || udp.Label != tcp.Label {
		t.Errorf("%+v, %+v", tcp, udp)
	}
}

// TestFill compares fills with bytes that are counted up one by one.
func TestFill(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 511, 512, 513, 1000, 1024, 5000} {
		for _, start := range []byte{0, 1, 255} {
			var want []byte
			for i := range n {
				want = append(want, start+byte(i))
			}
			if got := Fill(n, start); !bytes.Equal(got, want) {
				t.Errorf("%d bytes from %d", n, start)
			}
			head := []byte{7, 8}
			if got := appendFill(slices.Clip(head), n, start); !bytes.Equal(got, append([]byte{7, 8}, want...)) {
				t.Errorf("%d bytes from %d after others", n, start)
			}
			if !isFill(want) {
				t.Errorf("%d bytes from %d are no fill", n, start)
			}
			for _, at := range []int{1, n / 2, n - 1} {
				if n > 1 {
					other := bytes.Clone(want)
					if other[at]++; at > 0 && isFill(other) {
						t.Errorf("%d bytes from %d with another at %d are a fill", n, start, at)
					}
				}
			}
		}
	}
}

// TestNext checks each field of a packet's successor.
func TestNext(t *testing.T) {
	p := TCP4(5)
	p.ID, p.Seq, p.Flags, p.Ack = 0xFFFF, 0xFFFFFFFE, 0xFF, 9
	got := p.Next(3)
	if got.ID != 0 || got.Seq != 3 || got.Flags != SYN|RST|ACK|URG|ECE || got.Ack != 9 || !bytes.Equal(got.Payload, []byte{5, 6, 7}) || got.SrcPort != p.SrcPort {
		t.Errorf("%+v", got)
	}
	if one := TCP4(1).Next(1).Next(1); !bytes.Equal(one.Payload, []byte{2}) || one.Seq != 3 {
		t.Errorf("after one byte: %+v", one)
	}
	if empty := TCP4(0).Next(2); !bytes.Equal(empty.Payload, []byte{0, 1}) || empty.Seq != 1 {
		t.Errorf("after no payload: %+v", empty)
	}
}

// TestZeroSum checks that the checksum computes to zero, and that only the first two bytes of
// the payload change.
func TestZeroSum(t *testing.T) {
	for _, p := range []Packet{TCP4(9), TCP6(9), UDP4(9), UDP6(9), UDP4(2), TCP6(2)} {
		was := bytes.Clone(p.Payload)
		z := ZeroSum(p)
		b, at := z.Bytes(), z.L4Off()+16
		want := []byte{0, 0}
		if p.UDP {
			at, want = z.L4Off()+6, []byte{0xFF, 0xFF}
		}
		if !bytes.Equal(b[at:at+2], want) || packet.Checksum(b) != packet.Right {
			t.Errorf("%+v: the checksum is %x, %v", p, b[at:at+2], packet.Checksum(b))
		}
		if !bytes.Equal(p.Payload, was) || !bytes.Equal(z.Payload[2:], was[2:]) {
			t.Errorf("%x became %x, want only two bytes of the copy changed", was, z.Payload)
		}
		p.Payload[0] ^= 0x55 // whatever was there
		if again := ZeroSum(p); !bytes.Equal(again.Payload, z.Payload) {
			t.Errorf("%x and %x", again.Payload, z.Payload)
		}
	}
	for n := range 2 {
		if p := TCP4(n); !bytes.Equal(ZeroSum(p).Bytes(), p.Bytes()) {
			t.Errorf("%d bytes of payload are changed", n)
		}
	}
}

// TestSuper compares superpackets with what is stated, and their checksum with the sum of the
// pseudo-header.
func TestSuper(t *testing.T) {
	for _, c := range []struct {
		p    Packet
		want pkts.VnetHdr
		at   int
	}{
		{TCP4(250), pkts.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 99, CsumStart: 20, CsumOffset: 16}, 36},
		{TCP6(250), pkts.VnetHdr{Flags: 1, GSOType: 4, HdrLen: 60, GSOSize: 99, CsumStart: 40, CsumOffset: 16}, 56},
		{UDP4(250), pkts.VnetHdr{Flags: 1, GSOType: 5, HdrLen: 28, GSOSize: 99, CsumStart: 20, CsumOffset: 6}, 26},
		{UDP6(250), pkts.VnetHdr{Flags: 1, GSOType: 5, HdrLen: 48, GSOSize: 99, CsumStart: 40, CsumOffset: 6}, 46},
	} {
		h, b := c.p.Super(99)
		sum := uint16(model.Sum(c.p.pseudoHeader(len(b) - c.p.L4Off())))
		if h != c.want || uint16(b[c.at])<<8|uint16(b[c.at+1]) != sum {
			t.Errorf("%v, want %v; the checksum is %x, want %04x", h, c.want, b[c.at:c.at+2], sum)
		}
		d := packet.Diff(c.p.Bytes(), b)
		if len(d) != 1 || d[0].Off != c.at {
			t.Errorf("also changed: %v", d)
		}
	}
}
