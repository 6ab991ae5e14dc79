// SPDX-License-Identifier: MIT

package packet_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestFieldsCover checks that the fields of any bytes follow each other from the first byte
// to the last.
func TestFieldsCover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "bytes")
		if len(b) > 0 && rapid.Bool().Draw(t, "ip") {
			b[0] = rapid.SampledFrom([]byte{0x45, 0x46, 0x4F, 0x60}).Draw(t, "version")
		}
		if len(b) > 9 {
			b[6], b[9] = rapid.SampledFrom([]byte{6, 17, 0, 60}).Draw(t, "next"), rapid.SampledFrom([]byte{6, 17}).Draw(t, "protocol")
		}
		at := 0
		for _, f := range packet.Fields(b) {
			if f.Off != at || f.Len < 1 {
				t.Fatalf("field %+v at %d", f, at)
			}
			at += f.Len
		}
		if at != len(b) {
			t.Fatalf("fields end at %d of %d", at, len(b))
		}
		packet.Line(b)
	})
}

// TestDiff changes each byte of packets of every kind: exactly the field with that byte
// differs.
func TestDiff(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(9), scenario.TCP6(9), scenario.UDP4(9), scenario.UDP6(9)} {
		want := p.Bytes()
		for _, f := range packet.Fields(want) {
			for i := f.Off; i < f.Off+f.Len; i++ {
				got := bytes.Clone(want)
				got[i] ^= 0x10
				d := packet.Diff(want, got)
				if len(d) != 1 || d[0].Field != f.Name || d[0].Off > i || f.Name == "payload" && d[0].Off != i {
					t.Errorf("byte %d of %s: %v", i, f.Name, d)
				}
			}
		}
		if d := packet.Diff(want, want[:len(want)-1]); len(d) != 1 || d[0].Field != "length" {
			t.Errorf("a byte short: %v", d)
		}
		if d := packet.Diff(want, append(bytes.Clone(want), 0)); len(d) != 1 || d[0].Field != "length" {
			t.Errorf("a byte more: %v", d)
		}
		if d := packet.Diff(want, want); d != nil {
			t.Errorf("equal: %v", d)
		}
	}
}

// TestLine checks descriptions of packets, of fragments and of bytes that are no packet.
func TestLine(t *testing.T) {
	p := scenario.TCP4(5)
	p.Flags |= scenario.PSH
	fragment := scenario.UDP4(9)
	fragment.Frag = 0xA001
	label := scenario.UDP6(3)
	for _, test := range []struct {
		b    []byte
		want string
	}{
		{p.Bytes(), "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 DF TCP 1500 > 8000 seq 1 ack 1 win 512 PSH|ACK, 5 bytes"},
		{fragment.Bytes(), "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 evil MF offset 8 protocol 17, 17 bytes"},
		{label.Bytes(), "IPv6 2001:db8::1 > 2001:db8::2 hop limit 64 label 0x12345 UDP 1500 > 8000, 3 bytes"},
		{append(p.Bytes(), 0), "(IP says 45 of 46 bytes)"},
		{nil, "0 bytes, no IP header"},
		{[]byte{0x45, 0}, "2 bytes, no IP header"},
	} {
		if got := packet.Line(test.b); !strings.HasSuffix(got, test.want) {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
	p.Flags = 0
	if got := packet.Line(p.Bytes()); !strings.Contains(got, "no flags") {
		t.Error(got)
	}
}
