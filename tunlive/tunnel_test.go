// SPDX-License-Identifier: MIT

//go:build linux

package tunlive

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// old skips a test if the kernel is too old for it, or was built without what it needs.
func old(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, ErrKernel) {
		t.Skip(err)
	}
}

// TestTunnels sends superpackets of every kind to every tunnel device. They must come out
// whole, in the tunnel of the device, and as segments.
func TestTunnels(t *testing.T) {
	must(t, cannot)
	tunnels, err := NewTunnels()
	old(t, err)
	must(t, err)
	t.Cleanup(func() { _ = tunnels.Close() })
	const vxlanHdr, ethernet = 8, 14
	for kind, name := range tunnels.Kinds() {
		for _, c := range []struct {
			inner  string
			h      VnetHdr
			packet []byte
		}{
			{"UDP", VnetHdr{1, 5, 28, 100, 20, 6, 0, 0}, probeUDP(250)},
			{"TCP", VnetHdr{1, 1, 40, 100, 20, 16, 0, 0}, probeTCP(1, 0, 0, 250)},
			{"TCP over IPv6", VnetHdr{1, 4, 60, 100, 40, 16, 0, 0}, probeIPv6(64, 0, 0, 250)},
		} {
			whole, cut, err := tunnels.Send(kind, c.h, c.packet)
			if err != nil {
				t.Fatalf("%s, %s: %v", name, c.inner, err)
			}
			if len(whole) != 1 || len(cut) != 3 {
				t.Fatalf("%s, %s: %d packets whole, %d cut, want 1 and 3", name, c.inner, len(whole), len(cut))
			}
			h := whole[0].Hdr
			want := VnetHdr{Flags: 1, GSOType: c.h.GSOType | 0x20, GSOSize: 100, OuterTHOffset: 20, CsumOffset: c.h.CsumOffset}
			if strings.Contains(name, "IPv6") {
				want.GSOType, want.OuterTHOffset = c.h.GSOType|0x40, 40
			}
			if strings.HasSuffix(name, "checksum") {
				want.Flags |= 8
			}
			want.InnerNHOffset = want.OuterTHOffset + 8 + vxlanHdr + ethernet
			want.CsumStart = want.InnerNHOffset + c.h.CsumStart
			want.HdrLen = h.HdrLen // skb_headlen
			if h != want {
				t.Errorf("%s, %s: %+v, want %+v", name, c.inner, h, want)
			}
			if !bytes.Equal(whole[0].Data[h.CsumStart+h.CsumOffset+2:], c.packet[c.h.CsumStart+c.h.CsumOffset+2:]) {
				t.Errorf("%s, %s: another packet comes out", name, c.inner)
			}
		}
	}
}

// TestTunnelsToTUN checks the finding about writing: a TAP takes a superpacket in a tunnel. A
// TUN takes it only if the outer headers are 14 bytes longer than they need be, unless the
// kernel has the feature tunnel-write.
func TestTunnelsToTUN(t *testing.T) {
	must(t, cannot)
	tap, err := NewTAPSegmenter()
	old(t, err)
	must(t, err)
	defer tap.Close()
	features, err := Probe()
	must(t, err)
	tun, err := newPairSegmenter(func() (*tun, error) {
		t, err := openTUN(0, noOffloads)
		if err == nil {
			err = t.takeTunnels(noOffloads)
		}
		return t, err
	})
	must(t, err)
	defer tun.Close()
	for _, options := range []int{0, 12, 16} {
		h, packet := probeTunnel(options)
		a, err := tap.Segment(h, packet)
		if err != nil || len(a.Segments) != 2 {
			t.Errorf("%d bytes of options: a TAP gives %v, %v, want 2 segments", options, a, err)
		}
		b, err := tun.Segment(h, packet)
		if err != nil {
			t.Fatal(err)
		}
		if takes := options >= 14 || features["tunnel-write"]; takes != (len(b.Segments) == 2) || !takes && b.Errno != unix.EINVAL {
			t.Errorf("%d bytes of options: a TUN gives %v, want it taken %v", options, b, takes)
		}
	}
}

// TestOnePacketInTunnel checks that the harness never writes a superpacket in a tunnel that
// stands for one packet: the kernel would warn.
func TestOnePacketInTunnel(t *testing.T) {
	s := &tapSegmenter{} // no device: a write would panic
	for _, gsoType := range []uint8{0x21, 0x24, 0x25, 0x41, 0x44, 0x45, 0xA1} {
		l4 := 20
		if gsoType&5 == 5 {
			l4 = 8
		}
		h := VnetHdr{Flags: 1, GSOType: gsoType, GSOSize: 100, CsumStart: 70}
		for _, payload := range []int{0, 1, 99, 100} {
			if _, err := s.Segment(h, make([]byte, 70+l4+payload)); err != ErrPacket {
				t.Errorf("GSO type %#x, %d bytes of payload: %v", gsoType, payload, err)
			}
		}
	}
	h := VnetHdr{Flags: 1, GSOType: 0x21, GSOSize: 1, CsumStart: 70} // newer kernels raise gso_size to 8
	if _, err := s.Segment(h, make([]byte, 70+20+8)); err != ErrPacket {
		t.Errorf("gso_size 1, 8 bytes of payload: %v", err)
	}
}
