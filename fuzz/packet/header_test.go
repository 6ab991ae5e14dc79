// SPDX-License-Identifier: MIT

package packet_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// layout is a packet with the places of its parts, as it was built.
type layout struct {
	name  string
	b     []byte
	v6    bool
	type0 byte  // type of the first IPv6 extension header
	exts  []int // ends of the extension headers
	l4    int   // offset of the TCP or UDP header
	hdr   int   // its length
	proto byte
}

// layouts returns packets of every kind: with IP options and extension headers of several
// lengths, and with TCP options.
func layouts() (list []layout) {
	for _, udp := range []bool{false, true} {
		for _, options := range []int{0, 4, 40} {
			if udp && options > 0 {
				continue
			}
			p := scenario.TCP4(11)
			p.UDP, p.Options = udp, scenario.Fill(options, 1)
			l := layout{proto: 6, hdr: 20 + options}
			if udp {
				l.proto, l.hdr = 17, 8
			}
			for _, n := range []int{0, 4, 40} {
				p.IPOptions = scenario.Fill(n, 1)
				l.name, l.b, l.l4 = fmt.Sprintf("IPv4 with %d bytes of options, protocol %d with %d", n, l.proto, options), p.Bytes(), 20+n
				list = append(list, l)
			}
			p.IPOptions, p.V6 = nil, true
			for _, lengths := range [][]int{nil, {8}, {16}, {8, 24}, {2048, 8, 8}} {
				l.v6, l.exts, l.type0, l.l4, p.Extensions, p.ExtType = true, nil, 43, 40, nil, 43
				for i, n := range lengths {
					ext := append([]byte{[]byte{0, 60, 43}[i], byte(n/8 - 1)}, make([]byte, n-2)...)
					p.Extensions = append(p.Extensions, ext...)
					l.l4 += n
					l.exts = append(l.exts, l.l4)
				}
				l.name, l.b = fmt.Sprintf("IPv6 with extensions of %d bytes, protocol %d with %d", lengths, l.proto, options), p.Bytes()
				list = append(list, l)
			}
		}
	}
	return list
}

// want returns the Header of the first n bytes.
func (l layout) want(n int) packet.Header {
	h := packet.Header{Version: 4, Proto: l.proto, IPLen: len(l.b), L4Off: l.l4}
	if l.v6 {
		h.Version, h.Extensions = 6, l.l4-40
	}
	switch {
	case l.v6 && n < 40, !l.v6 && n < l.l4:
		return packet.Header{}
	case n < l.l4:
		h.Proto, h.L4Off, h.Extensions = l.type0, 0, 0
		for i, end := range l.exts {
			if n < end {
				h.Proto = []byte{l.type0, 0, 60}[i]
				break
			}
		}
	case n >= l.l4+l.hdr:
		h.PayloadOff = l.l4 + l.hdr
	}
	return h
}

// TestParse cuts packets of every kind at every byte, and compares with how they were built:
// the Header, and what Locate and HeaderLen make of it.
func TestParse(t *testing.T) {
	for _, l := range layouts() {
		for n := range len(l.b) + 1 {
			b := bytes.Clone(l.b[:n])
			if got, want := packet.Parse(b), l.want(n); got != want {
				t.Errorf("%s, %d bytes:\ngot  %+v\nwant %+v", l.name, n, got, want)
			}
			off, proto, hdr := 0, byte(0), min(40, n)
			if l.proto == 6 && n >= l.l4+18 || l.proto == 17 && n >= l.l4+8 {
				off, proto, hdr = l.l4, l.proto, min(l.l4+l.hdr, n)
			}
			if gotOff, gotProto := packet.Locate(b); gotOff != off || gotProto != proto {
				t.Errorf("%s, %d bytes: %d at %d, want %d at %d", l.name, n, gotProto, gotOff, proto, off)
			}
			if got := packet.HeaderLen(b); got != hdr {
				t.Errorf("%s, %d bytes: a header of %d, want %d", l.name, n, got, hdr)
			}
		}
	}
}

// patched returns p's bytes with some replaced.
func patched(p scenario.Packet, at int, to ...byte) []byte {
	b := p.Bytes()
	copy(b[at:], to)
	return b
}

// TestParseOdd checks Headers of packets with odd values in their headers.
func TestParseOdd(t *testing.T) {
	tcp, udp, tcp6 := scenario.TCP4(9), scenario.UDP4(9), scenario.TCP6(9)
	whole := packet.Header{Version: 4, Proto: 6, IPLen: 49, L4Off: 20, PayloadOff: 40}
	change := func(f func(h *packet.Header)) packet.Header {
		h := whole
		f(&h)
		return h
	}
	for _, c := range []struct {
		name string
		b    []byte
		want packet.Header
	}{
		{"version 5", patched(tcp, 0, 0x55), packet.Header{}},
		{"version 6 in few bytes", patched(scenario.UDP4(4), 0, 0x65), packet.Header{}},
		{"version 4 in many bytes of IPv6", patched(tcp6, 0, 0x40), packet.Header{}},
		{"IHL 4", patched(tcp, 0, 0x44), packet.Header{}},
		{"IHL 12 of 49 bytes", patched(tcp, 0, 0x4C), change(func(h *packet.Header) { h.L4Off, h.PayloadOff = 48, 0 })},
		{"IHL 13 of 49 bytes", patched(tcp, 0, 0x4D), packet.Header{}},
		{"another total length", patched(tcp, 2, 0x12, 0x34), change(func(h *packet.Header) { h.IPLen = 0x1234 })},
		{"another payload length", patched(tcp6, 4, 0x12, 0x34), packet.Header{Version: 6, Proto: 6, IPLen: 0x1234 + 40, L4Off: 40, PayloadOff: 60}},
		{"DF and the evil bit", patched(tcp, 6, 0xC0, 0), whole},
		{"MF", patched(tcp, 6, 0x20, 0), change(func(h *packet.Header) { h.Fragment = true })},
		{"an offset of 1", patched(tcp, 6, 0, 1), change(func(h *packet.Header) { h.Fragment, h.L4Off, h.PayloadOff = true, 0, 0 })},
		{"the highest bit of an offset", patched(tcp, 6, 0x10, 0), change(func(h *packet.Header) { h.Fragment, h.L4Off, h.PayloadOff = true, 0, 0 })},
		{"a data offset of 4", patched(tcp, 32, 0x4F), change(func(h *packet.Header) { h.PayloadOff = 0 })},
		{"a data offset of 5", patched(tcp, 32, 0x5F), whole},
		{"a data offset of 7", patched(tcp, 32, 0x7F), change(func(h *packet.Header) { h.PayloadOff = 48 })},
		{"a data offset after the end", patched(tcp, 32, 0x80), change(func(h *packet.Header) { h.PayloadOff = 0 })},
		{"UDP", udp.Bytes(), packet.Header{Version: 4, Proto: 17, IPLen: 37, L4Off: 20, PayloadOff: 28}},
	} {
		if got := packet.Parse(c.b); got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
	for off := range 16 {
		if got, want := packet.HeaderLen(patched(tcp, 32, byte(off)<<4)), min(20+max(20, 4*off), 49); got != want {
			t.Errorf("data offset %d: a header of %d, want %d", off, got, want)
		}
	}
}

// TestProtocols checks every protocol number: which are extension headers, and which have a
// TCP or UDP header.
func TestProtocols(t *testing.T) {
	for n := range 256 {
		b := append(scenario.UDP6(0).Bytes()[:40], 17, 0, 0, 0, 0, 0, 0, 0)
		b = append(b, scenario.UDP6(40).Bytes()[40:]...)
		b[5] = byte(len(b) - 40)
		b[6] = byte(n)
		b[52] = 0x50 // for TCP
		want := packet.Header{Version: 6, Proto: byte(n), IPLen: 96, Fragment: n == 44}
		off, proto := 0, byte(0)
		switch n {
		case 0, 43, 60:
			want.Proto, want.Extensions, want.L4Off, want.PayloadOff = 17, 8, 48, 56
			off, proto = 48, 17
		case 6:
			want.L4Off, want.PayloadOff = 40, 60
			off, proto = 40, 6
		case 17:
			want.L4Off, want.PayloadOff = 40, 48
			off, proto = 40, 17
		}
		if got := packet.Parse(b); got != want {
			t.Errorf("next header %d: %+v, want %+v", n, got, want)
		}
		if gotOff, gotProto := packet.Locate(b); gotOff != off || gotProto != proto {
			t.Errorf("next header %d: Locate gives %d, %d", n, gotOff, gotProto)
		}
		four := patched(scenario.TCP4(9), 9, byte(n))
		want = packet.Header{Version: 4, Proto: byte(n), IPLen: 49}
		switch n {
		case 6:
			want.L4Off, want.PayloadOff = 20, 40
		case 17:
			want.L4Off, want.PayloadOff = 20, 28
		}
		if got := packet.Parse(four); got != want {
			t.Errorf("protocol %d: %+v, want %+v", n, got, want)
		}
		if gotOff, _ := packet.Locate(four); gotOff != want.L4Off {
			t.Errorf("protocol %d: Locate gives %d", n, gotOff)
		}
	}
}

// TestFlow checks the flow of packets, as text and turned round.
func TestFlow(t *testing.T) {
	fragment, icmp, ext := scenario.TCP4(9), patched(scenario.TCP4(9), 9, 1), scenario.UDP6(9)
	fragment.Frag = 0x2000
	ext.ExtType, ext.Extensions, ext.SrcNet = 60, make([]byte, 8), 7
	for _, c := range []struct {
		b          []byte
		want, back string
		ports      bool
	}{
		{scenario.TCP4(9).Bytes(), "TCP 192.0.2.1:1500 > 192.0.2.2:8000", "TCP 192.0.2.2:8000 > 192.0.2.1:1500", true},
		{scenario.UDP4(9).Bytes(), "UDP 192.0.2.1:1500 > 192.0.2.2:8000", "UDP 192.0.2.2:8000 > 192.0.2.1:1500", true},
		{scenario.TCP6(0).Bytes(), "TCP [2001:db8::1]:1500 > [2001:db8::2]:8000", "TCP [2001:db8::2]:8000 > [2001:db8::1]:1500", true},
		{ext.Bytes(), "UDP [2001:db8:0:7::1]:1500 > [2001:db8::2]:8000", "UDP [2001:db8::2]:8000 > [2001:db8:0:7::1]:1500", true},
		{scenario.TCP4(9).Bytes()[:39], "192.0.2.1 > 192.0.2.2", "192.0.2.2 > 192.0.2.1", false},
		{fragment.Bytes(), "192.0.2.1 > 192.0.2.2", "192.0.2.2 > 192.0.2.1", false},
		{icmp, "192.0.2.1 > 192.0.2.2", "192.0.2.2 > 192.0.2.1", false},
		{scenario.TCP6(9).Bytes()[:40], "2001:db8::1 > 2001:db8::2", "2001:db8::2 > 2001:db8::1", false},
	} {
		h := packet.Parse(c.b)
		f := h.Flow(c.b)
		if f.String() != c.want || f.Reverse().String() != c.back || f.Reverse().Reverse() != f || f.HasPorts() != c.ports || f.Version != c.b[0]>>4 {
			t.Errorf("%v, back %v, ports %v; want %s, %s, %v", f, f.Reverse(), f.HasPorts(), c.want, c.back, c.ports)
		}
		pair := packet.Flow{Version: f.Version, Src: f.Src, Dst: f.Dst}
		if f.Pair() != pair || f.Pair().HasPorts() {
			t.Errorf("the pair of %v is %v", f, f.Pair())
		}
		if c.ports && (f.SrcPort != 1500 || f.DstPort != 8000 || f.Proto != h.Proto) {
			t.Errorf("%+v", f)
		}
	}
	if f := packet.Parse(nil).Flow(nil); f != (packet.Flow{}) {
		t.Errorf("no packet has the flow %+v", f)
	}
}

// names returns fields as text: name, offset and length of each.
func names(fields []packet.Field) string {
	var list []string
	for _, f := range fields {
		list = append(list, fmt.Sprintf("%s %d+%d", f.Name, f.Off, f.Len))
	}
	return strings.Join(list, ", ")
}

const (
	fields4 = "ip.version_ihl 0+1, ip.tos 1+1, ip.total_length 2+2, ip.id 4+2, ip.frag 6+2, ip.ttl 8+1, ip.protocol 9+1, ip.checksum 10+2, ip.src 12+4, ip.dst 16+4"
	fields6 = "ip.version_tc_label 0+4, ip.payload_length 4+2, ip.next_header 6+1, ip.hop_limit 7+1, ip.src 8+16, ip.dst 24+16"
)

// TestFields compares the fields of packets with what the formats say.
func TestFields(t *testing.T) {
	options := scenario.TCP4(3)
	options.IPOptions, options.Options = make([]byte, 8), scenario.Timestamps
	ext := scenario.UDP6(3)
	ext.ExtType, ext.Extensions = 43, append(append([]byte{60}, make([]byte, 7)...), append([]byte{0, 1}, make([]byte, 14)...)...)
	for _, first := range []byte{0, 60} { // every kind of extension header is walked over
		ext.ExtType = first
		if got := packet.Fields(ext.Bytes()); names(got[6:8]) != "ip.extension 40+8, ip.extension 48+16" {
			t.Errorf("extensions from %d: %s", first, names(got))
		}
	}
	ext.ExtType = 43
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"TCP", scenario.TCP4(1).Bytes(), fields4 + ", tcp.sport 20+2, tcp.dport 22+2, tcp.seq 24+4, tcp.ack 28+4, tcp.doff 32+1, tcp.flags 33+1, tcp.window 34+2, tcp.checksum 36+2, tcp.urgent_pointer 38+2, payload 40+1"},
		{"options", options.Bytes(), fields4 + ", ip.options 20+8, tcp.sport 28+2, tcp.dport 30+2, tcp.seq 32+4, tcp.ack 36+4, tcp.doff 40+1, tcp.flags 41+1, tcp.window 42+2, tcp.checksum 44+2, tcp.urgent_pointer 46+2, tcp.options 48+12, payload 60+3"},
		{"extensions", ext.Bytes(), fields6 + ", ip.extension 40+8, ip.extension 48+16, udp.sport 64+2, udp.dport 66+2, udp.length 68+2, udp.checksum 70+2, payload 72+3"},
		{"no payload", scenario.UDP4(0).Bytes(), fields4 + ", udp.sport 20+2, udp.dport 22+2, udp.length 24+2, udp.checksum 26+2"},
		{"the first fragment", patched(scenario.UDP4(2), 6, 0x20, 0), fields4 + ", udp.sport 20+2, udp.dport 22+2, udp.length 24+2, udp.checksum 26+2, payload 28+2"},
		{"another fragment", patched(scenario.UDP4(2), 6, 0, 1), fields4 + ", payload 20+10"},
		{"a fragment far on", patched(scenario.UDP4(2), 6, 0x10, 0), fields4 + ", payload 20+10"},
		{"another protocol", patched(scenario.UDP4(2), 9, 1), fields4 + ", payload 20+10"},
		{"another next header", patched(scenario.UDP6(2), 6, 58), fields6 + ", payload 40+10"},
		{"version 5", patched(scenario.UDP4(2), 0, 0x55), "payload 0+30"},
		{"a cut IPv4 header", scenario.UDP4(2).Bytes()[:19], strings.TrimSuffix(fields4, ", ip.dst 16+4") + ", payload 16+3"},
		{"a cut IPv6 header", scenario.UDP6(2).Bytes()[:39], strings.TrimSuffix(fields6, ", ip.dst 24+16") + ", payload 24+15"},
		{"a cut UDP header", scenario.UDP4(2).Bytes()[:27], fields4 + ", udp.sport 20+2, udp.dport 22+2, udp.length 24+2, payload 26+1"},
		{"cut IP options", options.Bytes()[:27], fields4 + ", ip.options 20+7"},
		{"cut TCP options", options.Bytes()[:59], fields4 + ", ip.options 20+8, tcp.sport 28+2, tcp.dport 30+2, tcp.seq 32+4, tcp.ack 36+4, tcp.doff 40+1, tcp.flags 41+1, tcp.window 42+2, tcp.checksum 44+2, tcp.urgent_pointer 46+2, tcp.options 48+11"},
		{"an extension that begins", ext.Bytes()[:47], fields6 + ", payload 40+7"},
		{"one extension", ext.Bytes()[:48], fields6 + ", ip.extension 40+8"},
		{"a cut extension", ext.Bytes()[:57], fields6 + ", ip.extension 40+8, ip.extension 48+9"},
		{"IHL under 5", patched(scenario.UDP4(0), 0, 0x43), fields4 + ", udp.sport 20+2, udp.dport 22+2, udp.length 24+2, udp.checksum 26+2"},
		{"nothing", nil, ""},
	} {
		if got := names(packet.Fields(c.b)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
	want := "ip.version_ihl ip.tos ip.total_length ip.id ip.frag ip.ttl ip.protocol ip.checksum ip.src ip.dst ip.version_tc_label ip.payload_length ip.next_header ip.hop_limit " +
		"ip.options ip.extension tcp.sport tcp.dport tcp.seq tcp.ack tcp.doff tcp.flags tcp.window tcp.checksum tcp.urgent_pointer tcp.options udp.sport udp.dport udp.length udp.checksum payload"
	if got := strings.Join(packet.Names(), " "); got != want {
		t.Errorf("the names are %s\nwant %s", got, want)
	}
}

// TestFieldsCut cuts packets of every kind at every byte: what fits of their fields stays, and
// the rest is payload.
func TestFieldsCut(t *testing.T) {
	for _, l := range layouts() {
		whole := packet.Fields(l.b)
		for n := range len(l.b) {
			var want []packet.Field
			at := 0
			for _, f := range whole {
				least := f.Len // of which it is a field
				switch f.Name {
				case "ip.options", "tcp.options", "payload":
					least = 1
				case "ip.extension":
					least = 8
				}
				if f.Off+least > n {
					break
				}
				f.Len = min(f.Len, n-f.Off)
				want = append(want, f)
				at = f.Off + f.Len
			}
			if at < n {
				want = append(want, packet.Field{Name: "payload", Off: at, Len: n - at})
			}
			if got := packet.Fields(l.b[:n]); !slices.Equal(got, want) {
				t.Errorf("%s, %d bytes:\ngot  %s\nwant %s", l.name, n, names(got), names(want))
			}
		}
	}
}

// TestDifferences checks differences as text, with the bytes of a payload that are shown.
func TestDifferences(t *testing.T) {
	was := scenario.TCP4(30).Bytes()
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		want   string
	}{
		{"flags", func(b []byte) []byte { b[33] = 0xE1; return b }, "tcp.flags (offset 33): got FIN|URG|ECE|CWR, want ACK"},
		{"no flags", func(b []byte) []byte { b[33] = 0; return b }, "tcp.flags (offset 33): got no flags, want ACK"},
		{"two fields", func(b []byte) []byte { b[5], b[8] = 0, 63; return b }, "ip.id (offset 4): got 0300, want 03e8; ip.ttl (offset 8): got 3f, want 40"},
		{"one byte of payload", func(b []byte) []byte { b[43] = 0xFF; return b }, "payload (offset 43): got ff, want 03"},
		{"the first byte of payload", func(b []byte) []byte { b[40] = 0xFF; return b }, "payload (offset 40): got ff, want 00"},
		{"the last byte of payload", func(b []byte) []byte { b[69] = 0xFF; return b }, "payload (offset 69): got ff, want 1d"},
		{"bytes near each other", func(b []byte) []byte { b[43], b[45] = 0xFF, 0xFE; return b }, "payload (offset 43): got ff04fe, want 030405"},
		{"8 bytes", func(b []byte) []byte { b[43], b[50] = 0xFF, 0xFE; return b }, "payload (offset 43): got ff040506070809fe, want 030405060708090a"},
		{"9 bytes", func(b []byte) []byte { b[43], b[51] = 0xFF, 0xFE; return b }, "payload (offset 43): got ff, want 03"},
		{"a byte less", func(b []byte) []byte { return b[:69] }, "length (offset 69): got 69 bytes, want 70 bytes"},
		{"a byte more", func(b []byte) []byte { return append(b, 0) }, "length (offset 70): got 71 bytes, want 70 bytes"},
		{"less and others", func(b []byte) []byte { b[8], b[60] = 0, 0; return b[:61] }, "length (offset 61): got 61 bytes, want 70 bytes; ip.ttl (offset 8): got 00, want 40; payload (offset 60): got 00, want 14"},
		{"a part of a field", func(b []byte) []byte { b[16] = 1; return b[:18] }, "length (offset 18): got 18 bytes, want 70 bytes; ip.dst (offset 16): got 0100, want c000"},
		{"no bytes", func(b []byte) []byte { return nil }, "length (offset 0): got 0 bytes, want 70 bytes"},
	} {
		var got []string
		for _, d := range packet.Diff(was, c.change(bytes.Clone(was))) {
			got = append(got, d.String())
			if d.Field != "length" && (len(d.Want) == 0 || !bytes.Equal(d.Want, was[d.Off:d.Off+len(d.Want)]) || len(d.Got) != len(d.Want)) {
				t.Errorf("%s: %x and %x at %d", c.name, d.Want, d.Got, d.Off)
			}
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, strings.Join(got, "; "), c.want)
		}
	}
	cut := patched(scenario.TCP4(0), 33, 0)[:33] // ends before the flags
	if d := packet.Diff(was, cut); len(d) != 3 || d[1].Field != "ip.total_length" || d[2].Field != "ip.checksum" {
		t.Errorf("%v", d)
	}
}

// TestLines checks descriptions, field by field.
func TestLines(t *testing.T) {
	frag := func(v uint16) []byte {
		p := scenario.UDP4(8)
		p.Frag = v
		return p.Bytes()
	}
	all := scenario.TCP6(1)
	all.Seq, all.Ack, all.Window, all.Flags, all.TTL, all.Label, all.TOS = 4000000001, 3000000002, 65535, 0xFF, 9, 0xFEDCB, 0xFF
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{all.Bytes(), "IPv6 2001:db8::1 > 2001:db8::2 hop limit 9 label 0xfedcb TCP 1500 > 8000 seq 4000000001 ack 3000000002 win 65535 FIN|SYN|RST|PSH|ACK|URG|ECE|CWR, 1 byte"},
		{frag(0), "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 UDP 1500 > 8000, 8 bytes"},
		{frag(0x8000), "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 evil UDP 1500 > 8000, 8 bytes"},
		{frag(0x4000), "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 DF UDP 1500 > 8000, 8 bytes"},
		{frag(0x2000), "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 MF UDP 1500 > 8000, 8 bytes"},
		{frag(0x1FFF), "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 offset 65528 protocol 17, 16 bytes"},
		{patched(scenario.UDP4(0), 9, 1), "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 DF protocol 1, 8 bytes"},
		{patched(scenario.UDP6(0), 6, 58), "IPv6 2001:db8::1 > 2001:db8::2 hop limit 64 label 0x12345 next header 58, 8 bytes"},
		{scenario.UDP4(0).Bytes()[:20], "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 DF protocol 17, 0 bytes (IP says 28 of 20 bytes)"},
		{scenario.TCP4(0).Bytes()[:39], "IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 DF protocol 6, 1 byte (IP says 40 of 39 bytes)"},
		{scenario.UDP6(0).Bytes()[:40], "IPv6 2001:db8::1 > 2001:db8::2 hop limit 64 label 0x12345 next header 17, 0 bytes (IP says 48 of 40 bytes)"},
		{patched(scenario.UDP6(0), 4, 1, 0), "IPv6 2001:db8::1 > 2001:db8::2 hop limit 64 label 0x12345 UDP 1500 > 8000, 0 bytes (IP says 296 of 48 bytes)"},
		{scenario.UDP6(0).Bytes()[:39], "39 bytes, no IP header"},
	} {
		if got := packet.Line(c.b); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestDeriveVnet compares VnetHdrs with what is stated.
func TestDeriveVnet(t *testing.T) {
	options, ext := scenario.TCP4(9), scenario.UDP6(9)
	options.Options, options.IPOptions = scenario.Timestamps, make([]byte, 8)
	ext.ExtType, ext.Extensions = 60, make([]byte, 8)
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{scenario.TCP4(9).Bytes(), "flags=1 gso_type=1 hdr_len=40 gso_size=7 csum_start=20 csum_offset=16"},
		{options.Bytes(), "flags=1 gso_type=1 hdr_len=60 gso_size=7 csum_start=28 csum_offset=16"},
		{scenario.TCP6(9).Bytes(), "flags=1 gso_type=4 hdr_len=60 gso_size=7 csum_start=40 csum_offset=16"},
		{scenario.UDP4(9).Bytes(), "flags=1 gso_type=5 hdr_len=28 gso_size=7 csum_start=20 csum_offset=6"},
		{ext.Bytes(), "flags=1 gso_type=5 hdr_len=56 gso_size=7 csum_start=48 csum_offset=6"},
		{patched(scenario.TCP4(9), 9, 1), "flags=0 gso_type=0 hdr_len=0 gso_size=7 csum_start=0 csum_offset=0"},
		{nil, "flags=0 gso_type=0 hdr_len=0 gso_size=7 csum_start=0 csum_offset=0"},
	} {
		want, err := pkts.ParseVnet(c.want)
		if got := packet.DeriveVnet(c.b, 7); got != want || err != nil {
			t.Errorf("%s: %v, want %v, %v", packet.Line(c.b), got, want, err)
		}
	}
}

// unhex returns the bytes of hexadecimal digits, between which there may be blanks.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// word returns the word at an offset.
func word(b []byte, at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
