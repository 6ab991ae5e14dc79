// SPDX-License-Identifier: MIT

package packet_test

import (
	"bytes"
	"fmt"
	"testing"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// pseudo returns the sum of the pseudo-header of n bytes of TCP or UDP.
func pseudo(p scenario.Packet, n int) uint16 {
	b, proto := p.Bytes(), byte(6)
	if p.UDP {
		proto = 17
	}
	if p.V6 {
		return uint16(model.Sum(b[8:40], []byte{0, 0, byte(n >> 8), byte(n), 0, 0, 0, proto}))
	}
	return uint16(model.Sum(b[12:20], []byte{0, proto, byte(n >> 8), byte(n)}))
}

// kinds are packets of every kind, with a payload whose length takes two bytes.
func kinds() []scenario.Packet {
	list := []scenario.Packet{scenario.TCP4(301), scenario.TCP6(301), scenario.UDP4(301), scenario.UDP6(301)}
	for i := range list {
		p := list[i]
		if p.V6 {
			p.ExtType, p.Extensions = 60, make([]byte, 16)
		} else {
			p.IPOptions = []byte{7, 3, 4, 0}
		}
		if !p.UDP {
			p.Options = scenario.Timestamps
		}
		list = append(list, p)
	}
	return list
}

// csumAt returns the offset of p's TCP or UDP checksum.
func csumAt(p scenario.Packet) int {
	if p.UDP {
		return p.L4Off() + 6
	}
	return p.L4Off() + 16
}

// TestFix damages one field at a time: exactly the flag of that field puts it right.
func TestFix(t *testing.T) {
	for _, p := range kinds() {
		right := p.Bytes()
		fields := map[int]int{packet.FixIPLen: 2, packet.FixIPCsum: 10, packet.FixL4Csum: csumAt(p), packet.FixUDPLen: p.L4Off() + 4}
		if p.V6 {
			fields[packet.FixIPLen] = 4
			delete(fields, packet.FixIPCsum)
		}
		if !p.UDP {
			delete(fields, packet.FixUDPLen)
		}
		for flag, at := range fields {
			for what := range packet.FixPartial {
				b := bytes.Clone(right)
				b[at], b[at+1] = ^b[at], ^b[at+1]
				packet.Fix(b, what)
				if fixed := bytes.Equal(b[at:at+2], right[at:at+2]); fixed != (what&flag != 0) {
					t.Errorf("%s: with %#x the field at %d is put right: %v", packet.Line(right), what, at, fixed)
				}
				if what&flag != 0 && !bytes.Equal(b, right) {
					t.Errorf("%s: %#x changes %v", packet.Line(right), what, packet.Diff(right, b))
				}
			}
		}
		for _, what := range []int{packet.FixPartial, packet.FixPartial | packet.FixL4Csum} {
			b := bytes.Clone(right)
			packet.Fix(b, what)
			at := csumAt(p)
			if got, want := word(b, at), pseudo(p, len(b)-p.L4Off()); got != want {
				t.Errorf("%s: the partial checksum is %#04x, want %#04x", packet.Line(right), got, want)
			}
			if d := packet.Diff(right, b); len(d) != 1 {
				t.Errorf("%v", d)
			}
		}
		zero := scenario.ZeroSum(p).Bytes()
		zero[csumAt(p)] = 1
		packet.Fix(zero, packet.FixAll)
		if got := word(zero, csumAt(p)); p.UDP && got != 0xFFFF || !p.UDP && got != 0 {
			t.Errorf("%s: a checksum of zero is %#04x", packet.Line(zero), got)
		}
	}
}

// TestFixOdd checks what Fix makes of headers that are cut or say too little.
func TestFixOdd(t *testing.T) {
	for _, c := range []struct{ name, was, want string }{
		{"19 bytes of IPv4", "45000000 00000000 00000000 00000000 000000", "45000000 00000000 00000000 00000000 000000"},
		{"20 bytes of IPv4", "45000000 00000000 00000000 00000000 00000000", "45000014 00000000 0000baeb 00000000 00000000"},
		{"IHL 6 of 20 bytes", "46000000 00000000 00000000 00000000 00000000", "46000014 00000000 0000b9eb 00000000 00000000"},
		{"IHL 3", "43000000 00000000 00000000 00000000 00000000 11111111", "43000018 00000000 0000bce7 00000000 00000000 11111111"},
		{"IHL 6", "46000000 00000000 00000000 00000000 00000000 11111111 2222", "4600001a 00000000 000097c3 00000000 00000000 11111111 2222"},
		{"version 5", "55000000 00000000 00000000 00000000 00000000", "55000000 00000000 00000000 00000000 00000000"},
		{"20 bytes of IPv6", "65000000 00000000 00000000 00000000 00000000", "65000000 00000000 00000000 00000000 00000000"},
		{"39 bytes of IPv6", "60000000 11113b00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 000000", "60000000 11113b00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 000000"},
		{"40 bytes of IPv6", "60000000 11113b00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000", "60000000 00003b00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000"},
		{"41 bytes of IPv6", "60000000 11113b00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00", "60000000 00013b00 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00"},
	} {
		b := unhex(c.was)
		if packet.Fix(b, packet.FixAll); !bytes.Equal(b, unhex(c.want)) {
			t.Errorf("%s: %x, want %s", c.name, b, c.want)
		}
	}
}

// TestSumOf checks all values of a verdict, for packets of every kind and several checksums.
func TestSumOf(t *testing.T) {
	for _, p := range kinds() {
		b := p.Bytes()
		h, at := packet.Parse(b), csumAt(p)
		want := word(b, at)
		partial := pseudo(p, len(b)-p.L4Off())
		zero := map[bool]packet.Class{false: packet.Wrong, true: packet.Absent}[p.UDP]
		for value, class := range map[uint16]packet.Class{want: packet.Right, partial: packet.Partial, want ^ 1: packet.Wrong, ^want: packet.Wrong, 0: zero, 0xFFFF: packet.Wrong} {
			b[at], b[at+1] = byte(value>>8), byte(value)
			got := h.SumOf(b, len(b))
			if w := (packet.Sum{At: at, End: len(b), Class: class, Got: value, Want: want, Partial: partial, Sum: ^want}); got != w {
				t.Errorf("%s, checksum %#04x:\ngot  %+v\nwant %+v", packet.Line(b), value, got, w)
			}
			if got := packet.Checksum(b); got != class {
				t.Errorf("%s, checksum %#04x: %v, want %v", packet.Line(b), value, got, class)
			}
			if gotAt, complete, part := packet.RightSum(b); gotAt != at || complete != want || part != partial {
				t.Errorf("%s: at %d %#04x and %#04x, want at %d %#04x and %#04x", packet.Line(b), gotAt, complete, part, at, want, partial)
			}
		}
		if gotPartial, sum := h.Sums(b, at, len(b)); gotPartial != partial || sum != ^want {
			t.Errorf("%s: sums %#04x and %#04x, want %#04x and %#04x", packet.Line(b), gotPartial, sum, partial, ^want)
		}
		z := scenario.ZeroSum(p).Bytes() // the checksum is 0 or 0xFFFF
		for value, class := range map[uint16]packet.Class{0: packet.Right, 0xFFFF: packet.Right} {
			if p.UDP && value == 0 {
				class = packet.Absent
			}
			z[at], z[at+1] = byte(value>>8), byte(value)
			if got := packet.Checksum(z); got != class {
				t.Errorf("%s, a sum of zero as %#04x: %v, want %v", packet.Line(z), value, got, class)
			}
		}
		complete := map[bool]uint16{true: 0xFFFF}[p.UDP]
		if _, got, _ := packet.RightSum(z); got != complete {
			t.Errorf("%s: the right sum of zero is %#04x, want %#04x", packet.Line(z), got, complete)
		}
	}
	for c, want := range map[packet.Class]string{packet.NoSum: "", packet.Right: "right", packet.Partial: "partial", packet.Wrong: "wrong", packet.Absent: "absent"} {
		if c.String() != want {
			t.Errorf("%d is %q, want %q", c, c.String(), want)
		}
	}
	if got := packet.Pseudo(17, 0x01020304); !bytes.Equal(got, []byte{0, 17, 1, 2, 3, 4}) {
		t.Errorf("the pseudo-header is %x", got)
	}
	if h := (packet.Header{Version: 4}); !bytes.Equal(h.Addresses(scenario.Fill(60, 0)), scenario.Fill(8, 12)) {
		t.Error("the addresses of IPv4 are others")
	}
	if h := (packet.Header{Version: 6}); !bytes.Equal(h.Addresses(scenario.Fill(60, 0)), scenario.Fill(32, 8)) {
		t.Error("the addresses of IPv6 are others")
	}
}

// TestUDPLength checks what a UDP checksum covers if the length field is not that of the
// packet: the bytes up to it, or all of them if it cannot be right. A checksum is also right if it was
// made before the length field became wrong.
func TestUDPLength(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.UDP4(20), scenario.UDP6(20)} {
		l4 := p.L4Off()
		for _, c := range []struct {
			udpLen, end int // the length field, and what the checksum covers, after the IP header
		}{{28, 28}, {27, 27}, {9, 9}, {8, 8}, {7, 28}, {0, 28}, {29, 28}, {65535, 28}} {
			b := p.Bytes()
			b[l4+4], b[l4+5] = byte(c.udpLen>>8), byte(c.udpLen)
			b[l4+6], b[l4+7] = 0, 0
			h := packet.Parse(b)
			sum := func(b []byte) uint16 {
				return ^uint16(model.Sum([]byte{byte(pseudo(p, c.end) >> 8), byte(pseudo(p, c.end))}, b[l4:l4+c.end]))
			}
			sent := bytes.Clone(b)
			sent[l4+4], sent[l4+5] = byte(c.end>>8), byte(c.end)
			right, asSent := sum(b), sum(sent)
			for value, class := range map[uint16]packet.Class{right: packet.Right, right ^ 0x100: packet.Wrong, asSent: packet.Right} {
				b[l4+6], b[l4+7] = byte(value>>8), byte(value)
				s := h.SumOf(b, len(b))
				want := packet.Sum{At: l4 + 6, End: l4 + c.end, Class: class, Got: value, Want: right, Partial: pseudo(p, c.end), Sum: ^right}
				if value == asSent {
					want.Want, want.Sum = asSent, ^asSent
				}
				if s != want {
					t.Errorf("UDP length %d, checksum %#04x:\ngot  %+v\nwant %+v", c.udpLen, value, s, want)
				}
			}
		}
	}
}

// TestEnd checks both sides of each reason for a packet to end before its bytes do.
func TestEnd(t *testing.T) {
	ext := scenario.UDP6(20)
	ext.ExtType, ext.Extensions = 60, make([]byte, 8)
	tcp := scenario.TCP4(20)
	tcp.Options = scenario.Timestamps
	for _, c := range []struct {
		name   string
		p      scenario.Packet
		pad    int
		change func(b []byte)
		end    int // relative to the end of the packet without padding
	}{
		{"no padding", scenario.TCP4(20), 0, nil, 0},
		{"a byte of padding", scenario.TCP4(20), 1, nil, 0},
		{"padding over IPv6", scenario.UDP6(20), 9, nil, 0},
		{"a length after the end", scenario.TCP4(20), 1, func(b []byte) { b[3] += 5 }, 1},
		{"a length at the payload", scenario.TCP4(20), 0, func(b []byte) { b[3] -= 20 }, -20},
		{"a length within the TCP header", scenario.TCP4(20), 0, func(b []byte) { b[3] -= 21 }, 0},
		{"a length at the payload after options", tcp, 0, func(b []byte) { b[3] -= 20 }, -20},
		{"a length within the TCP options", tcp, 0, func(b []byte) { b[3] -= 21 }, 0},
		{"a length of a UDP header", scenario.UDP4(20), 0, func(b []byte) { b[3] -= 20 }, -20},
		{"a length within the UDP header", scenario.UDP4(20), 0, func(b []byte) { b[3] -= 21 }, 0},
		{"too short by the extensions", ext, 0, func(b []byte) { b[5] -= 8 }, 0},
		{"too short by less", ext, 0, func(b []byte) { b[5] -= 7 }, -7},
		{"too short by more", ext, 0, func(b []byte) { b[5] -= 9 }, -9},
		{"a cut TCP header", scenario.TCP4(20), 0, func(b []byte) { b[3], b[32] = 59, 0xF0 }, -1},
		{"a cut TCP header, shorter", scenario.TCP4(20), 0, func(b []byte) { b[3], b[32] = 28, 0xF0 }, -32},
		{"a cut TCP header, too short", scenario.TCP4(20), 0, func(b []byte) { b[3], b[32] = 27, 0xF0 }, 0},
		{"another protocol", scenario.UDP4(20), 1, func(b []byte) { b[9] = 1 }, 1},
		{"more bytes than a length can say", scenario.TCP4(0), 65496, nil, 65496},
		{"as many bytes as a length can say", scenario.TCP4(0), 65495, nil, 0},
	} {
		b := c.p.Bytes()
		want := len(b) + c.end
		b = append(b, make([]byte, c.pad)...)
		if c.change != nil {
			c.change(b)
		}
		if got := packet.Parse(b).End(b); got != want {
			t.Errorf("%s: the end is at %d, want %d", c.name, got, want)
		}
	}
}

// TestMeantEnd checks when the UDP length or the checksum shows that the IP length is wrong.
func TestMeantEnd(t *testing.T) {
	resum := func(b []byte, end int) { // a checksum that is right up to end
		packet.Fix(b[:end], packet.FixL4Csum)
	}
	pad := func(b []byte) { // 6 bytes, whose sum with 6 more of length is zero
		copy(b[len(b)-6:], []byte{0xFF, 0xF9, 0, 0, 0, 0})
	}
	for _, c := range []struct {
		name   string
		p      scenario.Packet
		change func(b []byte)
		end    int // relative to the end of the bytes
	}{
		{"right", scenario.TCP4(20), nil, 0},
		{"too short", scenario.TCP4(20), func(b []byte) { b[3] -= 5 }, 0},
		{"too short over IPv6", scenario.TCP6(20), func(b []byte) { b[5] -= 5 }, 0},
		{"too short, with the UDP length right", scenario.UDP4(20), func(b []byte) { b[3] -= 5 }, 0},
		{"padding", scenario.TCP4(20), func(b []byte) { b[3] -= 5; resum(b, len(b)-5) }, -5},
		{"padding that the checksum does not notice", scenario.TCP4(20), func(b []byte) {
			b[3] -= 6
			pad(b)
			resum(b, 54)
		}, -6},
		{"the same, with a sequence number like a UDP length", scenario.TCP4(20), func(b []byte) {
			b[3], b[24], b[25] = b[3]-6, 0, 40
			pad(b)
			resum(b, 54)
		}, -6},
		{"the same, with a UDP length that is too large", scenario.UDP4(20), func(b []byte) {
			b[3], b[25] = b[3]-6, 100
			pad(b)
			resum(b, 42)
		}, -6},
		{"the same, with the UDP length of all", scenario.UDP4(20), func(b []byte) {
			b[3] -= 6
			pad(b)
			resum(b, 42)
		}, 0},
		{"a partial checksum of all", scenario.TCP4(20), func(b []byte) { b[3] -= 5; packet.Fix(b, packet.FixPartial) }, 0},
		{"a wrong checksum", scenario.TCP4(20), func(b []byte) { b[3] -= 5; b[36] ^= 1 }, -5},
		{"no UDP checksum", scenario.UDP4(20), func(b []byte) { b[3] -= 5; b[26], b[27] = 0, 0 }, -5},
		{"padding, with the UDP length", scenario.UDP4(20), func(b []byte) { b[3] -= 5; b[25] -= 5; resum(b[:43], 43) }, -5},
		{"a UDP length of another end", scenario.UDP4(20), func(b []byte) { b[3] -= 5; b[25] -= 4; packet.Fix(b[:44], packet.FixL4Csum) }, -5},
		{"a fragment", scenario.TCP4(20), func(b []byte) { b[3] -= 5; b[6] = 0x20 }, -5},
		{"46 bytes", scenario.TCP4(6), func(b []byte) { b[3]-- }, -1},
		{"47 bytes", scenario.TCP4(7), func(b []byte) { b[3]-- }, 0},
		{"a TCP header that is cut", scenario.TCP4(20), func(b []byte) { b[3] -= 5; b[32] = 0xF0; packet.Fix(b, packet.FixL4Csum) }, -5},
	} {
		b := c.p.Bytes()
		if c.change != nil {
			c.change(b)
		}
		if got, want := packet.Parse(b).MeantEnd(b), len(b)+c.end; got != want {
			t.Errorf("%s: the end is at %d, want %d", c.name, got, want)
		}
	}
	if packet.ShortestFrame != 46 {
		t.Error(packet.ShortestFrame)
	}
}

// TestRouted checks which packets still have routers to pass.
func TestRouted(t *testing.T) {
	for _, c := range []struct {
		options string // of IPv4, or "6" and the types and bytes of IPv6's extension headers
		want    bool
	}{
		{"", false}, {"83070400 000000 00", true}, {"89070400 000000 00", true}, {"83070700 000000 00", true}, {"83070800 000000 00", false},
		{"82070400 000000 00", false}, {"07070400 000000 00", false}, {"01010101 83070400 000000 00", true}, {"01830704 00000000", true}, {"00830704 00000000", false},
		{"07048301 83030300", true}, {"07048301 83030400", false}, {"0702 8303 0300 0000", true}, {"0701 8303 0300 0000", false}, {"0700 8303 0300 0000", false},
		{"01018303", false}, {"01830300", true}, {"01010183", false}, {"07048304 01010183", false}, {"0703 00 8303 03 0000", true}, {"0708 0000 0000 0000", false}, {"07ff 0000", false}, {"01010102 8303 0300", false},
	} {
		p := scenario.UDP4(5)
		p.IPOptions = unhex(c.options)
		b := p.Bytes()
		if got := packet.Parse(b).Routed(b); got != c.want {
			t.Errorf("options %s: %v", c.options, got)
		}
		if got := packet.Checksum(b) == packet.NoSum; got != c.want {
			t.Errorf("options %s: no checksum to judge: %v", c.options, got)
		}
	}
	for _, c := range []struct {
		first byte
		exts  string
		want  bool
	}{
		{17, "", false}, {43, "00000001 00000000", true}, {43, "000000ff 00000000", true}, {43, "00000000 00000000", false}, {43, "00000100 01000000", false}, {60, "00000001 00000000", false},
		{60, "2b000000 00000000 00000001 00000000", true}, {0, "2b010000 00000000 00000000 00000000 00000001 00000000", true}, {0, "2b010000 00000000 00000001 00000000 00000000 00000000", false},
		{43, "3c000000 00000000 2b000001 00000000 00000000 00000000", false}, {43, "3c000000 00000000 2b000001 00000000 00000001 00000000", true},
	} {
		p := scenario.UDP6(5)
		p.ExtType, p.Extensions = c.first, unhex(c.exts)
		b := p.Bytes()
		if got := packet.Parse(b).Routed(b); got != c.want {
			t.Errorf("extensions from %d, %s: %v", c.first, c.exts, got)
		}
	}
	b := append(scenario.UDP6(0).Bytes(), 0, 0, 0, 1) // no extension, so nothing that looks like one counts
	b[40], b[43] = 43, 1
	if packet.Parse(b).Routed(b) {
		t.Error("a UDP header is taken for a routing header")
	}
}

// TestNoSum checks which packets have no checksum to judge, and which ends the judged have.
func TestNoSum(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want packet.Class
	}{
		{"nothing", nil, packet.NoSum},
		{"a fragment", patched(scenario.TCP4(9), 6, 0x20, 0), packet.NoSum},
		{"another protocol", patched(scenario.TCP4(9), 9, 1), packet.NoSum},
		{"a cut header", scenario.TCP4(9).Bytes()[:39], packet.NoSum},
		{"a whole header", scenario.TCP4(9).Bytes()[:40], packet.Wrong},
		{"padding", append(scenario.TCP4(9).Bytes(), 1, 2), packet.Right},
	} {
		if got := packet.Checksum(c.b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	padded := append(scenario.TCP4(9).Bytes(), 1, 2)
	if _, got, _ := packet.RightSum(padded); got != word(padded, 36) {
		t.Errorf("the right sum of a padded packet is %#04x, want %#04x", got, word(padded, 36))
	}
}

// TestWellFormed checks packets with one field wrong.
func TestWellFormed(t *testing.T) {
	options := scenario.TCP4(9)
	options.IPOptions = []byte{1, 1, 1, 0}
	resummed := func(b []byte) []byte { packet.Fix(b, packet.FixIPCsum); return b }
	for i, c := range []struct {
		b             []byte
		header, whole bool
	}{
		{scenario.TCP4(9).Bytes(), true, true},
		{scenario.UDP6(9).Bytes(), true, true},
		{options.Bytes(), true, true},
		{options.Bytes()[:24], true, false},
		{options.Bytes()[:23], false, false},
		{patched(options, 23, 1), false, false},
		{patched(options, 24, 1), true, true},
		{patched(scenario.TCP4(9), 10, 0x11), false, false},
		{patched(scenario.TCP4(9), 8, 63), false, false},
		{resummed(patched(scenario.TCP4(9), 3, 48)), true, false},
		{resummed(patched(scenario.TCP4(9), 0, 0x44)), false, false},
		{scenario.TCP4(9).Bytes()[:20], true, false},
		{patched(scenario.TCP4(9), 8, 63)[:20], false, false},
		{scenario.TCP4(9).Bytes()[:19], true, false},
		{patched(scenario.UDP6(9), 5, 16), true, false},
		{patched(scenario.UDP6(9), 0, 0x50), true, false},
		{nil, true, false},
	} {
		if header, whole := packet.HeaderRight(c.b), packet.WellFormed(c.b); header != c.header || whole != c.whole {
			t.Errorf("packet %d, %s: %v and %v, want %v and %v", i, packet.Line(c.b), header, whole, c.header, c.whole)
		}
	}
}

// TestNumbers compares the numbers of a VnetHdr with include/uapi/linux/virtio_net.h.
func TestNumbers(t *testing.T) {
	got := fmt.Sprint(packet.NeedsCsum, packet.DataValid, packet.RSCInfo, packet.UDPTunnelCsum, packet.GSONone, packet.GSOTCPv4, packet.GSOUFO, packet.GSOTCPv6, packet.GSOUDPL4, packet.GSOECN,
		packet.GSOTunnel4, packet.GSOTunnel6, packet.GSOTunnels, packet.FixIPLen, packet.FixUDPLen, packet.FixL4Csum, packet.FixIPCsum, packet.FixPartial, packet.FixAll)
	if want := "1 2 4 8 0 1 3 4 5 128 32 64 96 1 2 4 8 16 15"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
