// SPDX-License-Identifier: MIT

package scenario

import (
	"bytes"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// TestTunnel checks that the model cuts superpackets in every kind of tunnel, and that
// Unwrap undoes Wrap.
func TestTunnel(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, options := range []int{0, 4, 40} {
			for _, csum := range []bool{false, true} {
				tunnel := VXLAN()
				tunnel.Outer.V6, tunnel.Geneve, tunnel.Options, tunnel.Csum = v6, options > 0, Fill(options, 1), csum
				for _, p := range []Packet{TCP4(250), TCP6(250), UDP4(250), UDP6(250)} {
					h, b := p.Super(100)
					outerHdr, outer := tunnel.Wrap(h, b)
					if segments, err := model.Segment(model.VnetHdr(outerHdr), outer); err != nil || len(segments) != 3 {
						t.Errorf("%v: %d segments, %v", outerHdr, len(segments), err)
					}
					zero, bytes0 := tunnel.ZeroSum(h, b).Wrap(h, b)
					if segments, err := model.Segment(model.VnetHdr(zero), bytes0); err != nil || csum && string(segments[0][zero.OuterTHOffset+6:][:2]) != "\xFF\xFF" {
						t.Errorf("%v: the outer checksum is not zero, %v", zero, err)
					}
					back, ok := Unwrap(Super{outerHdr, outer})
					if !ok || back.Hdr != h || !bytes.Equal(back.Data, b) {
						t.Errorf("%v comes back as %v, %v", h, back.Hdr, ok)
					}
					if _, ok := Unwrap(Super{h, b}); ok {
						t.Errorf("%v is in a tunnel", h)
					}
				}
			}
		}
	}
}

// TestWrap compares superpackets in tunnels with their outer headers, which are written by
// hand, and with the VnetHdr that belongs to them.
func TestWrap(t *testing.T) {
	const v6 = "20010db8 00000000 00000000 000000c9 20010db8 00000000 00000000 000000ca 05dc"
	geneve := VXLAN()
	geneve.Outer.V6, geneve.Geneve, geneve.Options, geneve.Csum = true, true, []byte{1, 2, 3, 4, 5, 6, 7, 8}, true
	plainer := VXLAN()
	plainer.Outer.V6 = true
	bare := VXLAN()
	bare.Bare, bare.Csum = true, true
	options := VXLAN()
	options.Outer.IPOptions = []byte{1, 1, 1, 0}
	for _, c := range []struct {
		name   string
		tunnel Tunnel
		inner  Packet
		outer  string // before the inner packet
		want   pkts.VnetHdr
	}{
		{"VXLAN", VXLAN(), TCP4(250), "45000154 1b580000 4011d8ad c00002c9 c00002ca 05dc12b5 01400000 08000000 00002a00 020000000002020000000001 0800",
			pkts.VnetHdr{Flags: 1, GSOType: 0x21, HdrLen: 90, GSOSize: 100, CsumStart: 70, CsumOffset: 16, OuterTHOffset: 20, InnerNHOffset: 50}},
		{"VXLAN with IP options", options, TCP4(250), "46000158 1b580000 4011d5a8 c00002c9 c00002ca 01010100 05dc12b5 01400000 08000000 00002a00 020000000002020000000001 0800",
			pkts.VnetHdr{Flags: 1, GSOType: 0x21, HdrLen: 94, GSOSize: 100, CsumStart: 74, CsumOffset: 16, OuterTHOffset: 24, InnerNHOffset: 54}},
		{"VXLAN over IPv6", plainer, UDP6(250), "60000000 01481140 " + v6 + "12b5 01480000 08000000 00002a00 020000000002020000000001 86dd",
			pkts.VnetHdr{Flags: 1, GSOType: 0x45, HdrLen: 118, GSOSize: 100, CsumStart: 110, CsumOffset: 6, OuterTHOffset: 40, InnerNHOffset: 70}},
		{"Geneve over IPv6", geneve, TCP6(250), "60000000 015c1140 " + v6 + "17c1 015c 5e72 02006558 00002a00 01020304 05060708 020000000002020000000001 86dd",
			pkts.VnetHdr{Flags: 9, GSOType: 0x44, HdrLen: 138, GSOSize: 100, CsumStart: 118, CsumOffset: 16, OuterTHOffset: 40, InnerNHOffset: 78}},
		{"without a header", bare, UDP4(250), "45000132 1b580000 4011d8cf c00002c9 c00002ca 05dc12b5 011e 86c3",
			pkts.VnetHdr{Flags: 9, GSOType: 0x25, HdrLen: 56, GSOSize: 100, CsumStart: 48, CsumOffset: 6, OuterTHOffset: 20, InnerNHOffset: 28}},
	} {
		h, b := c.inner.Super(100)
		got, out := c.tunnel.Wrap(h, b)
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if want := append(unhex(c.outer), b...); !bytes.Equal(out, want) {
			t.Errorf("%s: %v\ngot  %x\nwant %x", c.name, packet.Diff(want, out), out[:min(len(out), len(unhex(c.outer)))], unhex(c.outer))
		}
	}
	if _, b := VXLAN().Wrap(pkts.VnetHdr{}, nil); len(b) != 50 || b[48] != 8 || b[49] != 0 {
		t.Errorf("around nothing: %x", b)
	}
}

// TestTunnelZeroSum checks that only tunnels with a checksum get another source port, and only
// around what can be cut.
func TestTunnelZeroSum(t *testing.T) {
	h, b := TCP4(250).Super(100)
	tunnel := VXLAN()
	if z := tunnel.ZeroSum(h, b); z.Outer.SrcPort != 1500 {
		t.Errorf("without a checksum: port %d", z.Outer.SrcPort)
	}
	tunnel.Csum = true
	if z := tunnel.ZeroSum(h, b); z.Outer.SrcPort == 1500 {
		t.Error("with a checksum: the same port")
	}
	h.CsumOffset++
	if z := tunnel.ZeroSum(h, b); z.Outer.SrcPort != 1500 {
		t.Errorf("around what is refused: port %d", z.Outer.SrcPort)
	}
}

// TestUnwrap checks both sides of each limit of the offsets.
func TestUnwrap(t *testing.T) {
	good := Super{pkts.VnetHdr{Flags: 9, GSOType: 0x21, HdrLen: 90, GSOSize: 100, CsumStart: 70, CsumOffset: 16, OuterTHOffset: 20, InnerNHOffset: 50}, Fill(60, 0)}
	inner := pkts.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 100, CsumStart: 20, CsumOffset: 16}
	headless := inner
	headless.HdrLen = 0
	for _, c := range []struct {
		name   string
		change func(p *Super)
		want   pkts.VnetHdr
		at     int // 0 if it is in no tunnel
	}{
		{"as it is", func(p *Super) {}, inner, 50},
		{"over IPv6", func(p *Super) { p.Hdr.GSOType = 0x41 }, inner, 50},
		{"no tunnel", func(p *Super) { p.Hdr.GSOType = 1 }, inner, 0},
		{"right after the UDP header", func(p *Super) { p.Hdr.OuterTHOffset = 42 }, inner, 50},
		{"in the UDP header", func(p *Super) { p.Hdr.OuterTHOffset = 43 }, inner, 0},
		{"at the end", func(p *Super) { p.Data = p.Data[:50] }, inner, 50},
		{"after the end", func(p *Super) { p.Data = p.Data[:49] }, inner, 0},
		{"csum_start at the inner header", func(p *Super) { p.Hdr.CsumStart = 50 }, pkts.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 100, CsumOffset: 16}, 50},
		{"csum_start before the inner header", func(p *Super) { p.Hdr.CsumStart = 49 }, inner, 0},
		{"hdr_len of the outer headers", func(p *Super) { p.Hdr.HdrLen = 50 }, headless, 50},
		{"hdr_len less than that", func(p *Super) { p.Hdr.HdrLen = 20 }, headless, 50},
	} {
		p := good
		c.change(&p)
		got, ok := Unwrap(p)
		if ok != (c.at > 0) || ok && (got.Hdr != c.want || !bytes.Equal(got.Data, p.Data[c.at:])) {
			t.Errorf("%s: %v %v %x, want %v", c.name, ok, got.Hdr, got.Data, c.want)
		}
	}
}
