// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunproof/corpus/pkts"
	"tunproof/model"
	"tunproof/offload"
	"tunproof/tunlive/guard"
)

const allMask = tso | unix.TUN_F_TSO_ECN | usoMask

// TestTunnelsNegotiated checks what is asked for on kernels that have superpackets in
// tunnels, and on those that lack a part of it: then the header has 10 bytes again, and the
// mask is the one without tunnels.
func TestTunnelsNegotiated(t *testing.T) {
	for _, off := range []bool{false, true} {
		for _, noHdrLen := range []int{0, 24} {
			for _, without := range []int{0, 0x80, 0x100, 0x180, unix.TUN_F_USO4, unix.TUN_F_USO6, usoMask, unix.TUN_F_TSO_ECN, unix.TUN_F_TSO4, unix.TUN_F_CSUM} {
				for _, queues := range []int{1, 3} {
					what := fmt.Sprintf("NoTunnels %v, no size %d, no offloads %#x, %d queues", off, noHdrLen, without, queues)
					s := newSim(t)
					s.noHdrLen, s.noOffload = noHdrLen, without
					d, err := open(Config{NoTunnels: off, Queues: queues, MultiQueue: true}, s)
					if err != nil {
						t.Fatal(what, err)
					}
					l := s.find(d.Name(), s.ns)
					tunnels := !off && noHdrLen == 0 && without == 0
					mask, hdrLen := allMask, 10
					switch {
					case without == unix.TUN_F_CSUM:
						mask = 0
					case without == unix.TUN_F_TSO4:
						mask = unix.TUN_F_CSUM | usoMask
					case without&usoMask != 0:
						mask &^= usoMask
					case tunnels:
						mask, hdrLen = mask|tunnelMask, 24
					default:
						mask &^= without
					}
					if _, err := d.AddQueue(); err != nil {
						t.Error(what, err)
					}
					if l.mask != mask || l.hdrLen != hdrLen || d.VnetHdrLen() != hdrLen || d.Features().Tunnels != tunnels || d.Features().USO != (mask&usoMask == usoMask) {
						t.Errorf("%s: the mask is %#x, the header has %d bytes, %+v; want %#x, %d", what, l.mask, l.hdrLen, d.Features(), mask, hdrLen)
					}
					last := l.masks[len(l.masks)-queues-1:] // of each queue, and of the one that was added
					if slices.ContainsFunc(last, func(m int) bool { return m != mask }) || tunnels && len(last) != len(l.masks) {
						t.Errorf("%s: the masks are %#x", what, l.masks)
					}
					d.Close()
				}
			}
		}
	}
}

// TestTunnelsShared checks whose header is changed: that of an interface that this device
// has made, or that nobody else can have open, and no other.
func TestTunnelsShared(t *testing.T) {
	for _, c := range []struct {
		how        string
		size, lack int // the interface's header, and the offloads that the kernel lacks
		off        bool
		multi      bool
		want       int
		tunnels    bool
	}{
		{"adopt", 10, 0, false, true, 10, false},
		{"adopt", 24, 0, false, true, 24, true},
		{"adopt", 24, 0, true, true, 24, false},
		{"adopt", 24, tunnelMask, false, true, 24, false},
		{"open", 10, 0, false, true, 10, false},
		{"open", 24, 0, false, true, 24, true},
		{"open", 24, 0, true, true, 24, false},
		{"open", 24, tunnelMask, false, true, 24, false},
		{"open", 10, 0, false, false, 10, false},
		{"open", 12, 0, false, false, 10, false},
		{"open", 24, 0, false, false, 24, true},
		{"open", 24, 0, true, false, 10, false},
		{"open", 24, tunnelMask, false, false, 10, false},
	} {
		s := newSim(t)
		fds := s.foreign(2)
		l := s.links[1]
		l.hdrLen, s.noOffload, l.mask = c.size, c.lack, allMask
		if l.multi = c.multi; !c.multi {
			l.persist = true
			closeAll(s, fds)
		}
		cfg := Config{Name: "tun7", NoTunnels: c.off, MultiQueue: c.multi}
		var d *Device
		var err error
		if c.how == "adopt" {
			d, err = adopt(cfg, s, fds...)
		} else {
			d, err = open(cfg, s)
		}
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if l.hdrLen != c.want || d.VnetHdrLen() != c.want || d.Features().Tunnels != c.tunnels || l.takesTunnels() != c.tunnels || l.mask&^tunnelMask != allMask {
			t.Errorf("%+v: the header has %d bytes, the mask is %#x, %+v", c, l.hdrLen, l.mask, d.Features())
		}
		if c.tunnels && len(slices.Compact(slices.Clone(l.masks))) != 1 {
			t.Errorf("%+v: the masks are %#x; with a lesser one others lose packets", c, l.masks)
		}
		d.Close()
	}
	s := newSim(t)
	fds := s.foreign(1)
	s.links[1].hdrLen = 20
	_, err := adopt(Config{}, s, fds...)
	isError(t, "20 bytes", err, "tun7 has a virtio_net_hdr of 20 bytes, want 10 or 24", nil)

	// The size was changed by somebody else.
	w := newWorld(newSim(t), Config{MultiQueue: true}, false)
	w.link.hdrLen = 10
	_, err = w.dev.AddQueue()
	isError(t, "changed", err, "add queue tun0: tun0: tun0 has a virtio_net_hdr of 10 bytes, and had 24", nil)
}

// TestTunnelsRead reads superpackets in each tunnel, whole and cut by the kernel, with all
// ways to read, and writes between the reads. Those whose header says something else are
// counted, and the next packet is read.
func TestTunnelsRead(t *testing.T) {
	for _, off := range []bool{false, true} {
		w := newWorld(newSim(t), Config{NoTunnels: off, Record: Record{Packets: 100, Payload: true}}, true)
		x := w.queues[0]
		for kind := range 4 {
			for flow := range w.flows {
				for _, ways := range []int{0, 1, 2} {
					p := w.tunnelled(kind, flow, 5, 100)
					want, err := p.cut()
					if err != nil || len(want) != 5 {
						t.Fatal(err)
					}
					x.d.send(p)
					var got [][]byte
					for len(got) < 5 {
						var more [][]byte
						switch ways {
						case 0:
							more, err = x.readBatch(patterned(64, 4, 300), 4)
						case 1:
							more, err = x.readBatch(patterned(2, 0, 300), 0)
						case 2:
							more, err = x.readSuper(true, 3)
						}
						if err != nil {
							t.Fatal(err)
						}
						got = append(got, more...)
					}
					if !slices.EqualFunc(got, want, bytes.Equal) {
						t.Fatalf("tunnel %d, flow %d, way %d: other packets are read", kind, flow, ways)
					}
					if err := x.writeBatch(w.batchOf(3, 2)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		reads := uint64(4 * len(w.flows) * 3)
		s := w.dev.Stats().Read
		if off && (s.Tunnelled != 0 || s.Reads != 5*reads) || !off && (s.Tunnelled != reads || s.Superpackets != reads || s.Reads != reads) {
			t.Errorf("NoTunnels %v: %+v", off, s)
		}
		junk := []func(h *model.VnetHdr){
			func(h *model.VnetHdr) { h.OuterTHOffset = 0 },
			func(h *model.VnetHdr) { h.OuterTHOffset++ },
			func(h *model.VnetHdr) { h.InnerNHOffset = 0 },
			func(h *model.VnetHdr) { h.InnerNHOffset = 0xFFFF },
			func(h *model.VnetHdr) { h.InnerNHOffset += 2 },
			func(h *model.VnetHdr) { h.CsumStart = 20 },
			func(h *model.VnetHdr) { h.GSOType |= 0x60 },
			func(h *model.VnetHdr) { h.GSOType ^= 0x60 },
			func(h *model.VnetHdr) { h.GSOType &= 0x60 },
			func(h *model.VnetHdr) { h.GSOType = 0xFF },
			func(h *model.VnetHdr) { h.Flags = 0 },
		}
		for i, spoil := range junk {
			p := w.tunnelled(0, 0, 5, 100)
			p.honest = false
			spoil(&p.hdr)
			x.d.send(p)
			w.readOne(fmt.Sprintf("junk %d", i), 64)
		}
		if got := w.dev.Stats().Read; got.Invalid != s.Invalid+uint64(len(junk)) {
			t.Errorf("NoTunnels %v: of %d headers that say something else, %d are counted", off, len(junk), got.Invalid-s.Invalid)
		}
		w.check()
		w.finish()
	}
}

// TestGuarded checks that what is written is judged at the right place, for headers of each
// length: outside and inside of tunnels. There is no descriptor, so nothing is written.
func TestGuarded(t *testing.T) {
	w := newWorld(newSim(t), Config{}, false)
	mf := func(at int) func(b []byte) { return func(b []byte) { b[at+6] |= 0x20 } }
	for _, c := range []struct {
		what  string
		p     superpacket
		spoil func(b []byte) // of the headers
		want  error
	}{
		{"a superpacket", w.super(0, 3, 100), nil, unix.EBADF},
		{"MF", w.super(0, 3, 100), mf(0), guard.ErrFragment},
		{"an offset", w.super(0, 3, 100), func(b []byte) { b[7] = 1 }, guard.ErrFragment},
		{"a Fragment header", w.super(1, 3, 100), func(b []byte) { b[6] = 44 }, guard.ErrFragment},
		{"a tunnel", w.tunnelled(0, 0, 3, 100), nil, unix.EBADF},
		{"a tunnel, MF", w.tunnelled(0, 0, 3, 100), mf(0), guard.ErrFragment},
		{"a tunnel, MF inside", w.tunnelled(0, 0, 3, 100), mf(50), guard.ErrFragment},
		{"a tunnel over IPv6, MF inside", w.tunnelled(1, 0, 3, 100), mf(70), guard.ErrFragment},
		{"a tunnel, a Fragment header inside", w.tunnelled(0, 1, 3, 100), func(b []byte) { b[56] = 44 }, guard.ErrFragment},
		{"a part of the headers", superpacket{hdr: model.VnetHdr{GSOType: 1}, data: make([]byte, 27)}, nil, guard.ErrFragment},
		{"MF alone", superpacket{data: w.packet(0, 100)}, mf(0), unix.EBADF},
	} {
		for _, hdrLen := range []int{10, 24} {
			if hdrLen == 10 && c.p.hdr.GSOType&tunnels != 0 {
				continue // it cannot say so
			}
			b := c.p.bytes(hdrLen)
			if c.spoil != nil {
				c.spoil(b[hdrLen:])
			}
			v := unix.Iovec{Base: &b[0]}
			v.SetLen(len(b))
			if _, err := (kernel{}).writev(-1, hdrLen, []unix.Iovec{v}); err != c.want {
				t.Errorf("%s, a VnetHdr of %d bytes: %v, want %v", c.what, hdrLen, err, c.want)
			}
		}
	}
}

// TestVnetHdrLen checks how headers of each length are read. Only one in a tunnel has
// offsets, and only then the rest is little-endian.
func TestVnetHdrLen(t *testing.T) {
	plain := []byte{1, 1}
	for _, v := range []uint16{40, 100, 20, 16} {
		plain = binary.NativeEndian.AppendUint16(plain, v)
	}
	want := offload.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 100, CsumStart: 20, CsumOffset: 16}
	for _, b := range [][]byte{plain, append(slices.Clone(plain), "left over, as it"[:14]...)} {
		if h, err := parseVnetHdr(b); h != want || err != nil {
			t.Errorf("%x: %+v, %v", b, h, err)
		}
	}
	tunnel := []byte{9, 0x21, 90, 0, 100, 0, 70, 0, 16, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 20, 0, 50, 0}
	want = offload.VnetHdr{Flags: 9, GSOType: 0x21, HdrLen: 90, GSOSize: 100, CsumStart: 70, CsumOffset: 16, OuterTHOffset: 20, InnerNHOffset: 50}
	if h, err := parseVnetHdr(tunnel); h != want || err != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestTunnelsRecorded checks the record of superpackets in tunnels, with payload and
// without: all headers are in it, and it is cut into as many packets.
func TestTunnelsRecorded(t *testing.T) {
	for _, payload := range []bool{false, true} {
		w := newWorld(newSim(t), Config{Record: Record{Packets: 100, Payload: payload}}, false)
		x := w.queues[0]
		var sent []superpacket
		for kind := range 4 {
			for flow := range w.flows {
				p := w.tunnelled(kind, flow, 5, 100)
				sent = append(sent, superpacket{hdr: p.hdr, data: bytes.Clone(p.data)})
				x.d.send(p)
			}
		}
		for len(x.d.in) > 0 {
			if _, err := x.readBatch(patterned(64, 0, 300), 0); err != nil {
				t.Fatal(err)
			}
		}
		var text strings.Builder
		if err := w.dev.DumpRead(&text, "a test"); err != nil {
			t.Fatal(err)
		}
		c, err := pkts.Parse("record", []byte(text.String()))
		if err != nil || len(c.Batches[0].In) != len(sent) {
			t.Fatalf("%v:\n%.300s", err, text.String())
		}
		for i, in := range c.Batches[0].In {
			p := sent[i]
			hdrLen := int(p.hdr.HdrLen)
			got, err := model.Segment(model.VnetHdr(in.Vnet), in.Data)
			want, _ := p.cut()
			if model.VnetHdr(in.Vnet) != p.hdr || err != nil || len(got) != len(want) || !bytes.Equal(in.Data[:hdrLen], p.data[:hdrLen]) || bytes.Equal(in.Data, p.data) != payload {
				t.Errorf("payload %v: recorded as %v, %v\n%x\nwant %v\n%x", payload, in.Vnet, err, in.Data[:hdrLen+10], pkts.VnetHdr(p.hdr), p.data[:hdrLen+10])
			}
		}
		w.finish()
	}
}
