// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/model"
	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// kernelHasTunnels asks the kernel for superpackets in UDP tunnels.
func kernelHasTunnels(t *testing.T) bool {
	t.Helper()
	must(t, cannot)
	fd, _, err := tunlive.OpenFD("", unix.IFF_TUN, 24)
	must(t, err)
	defer unix.Close(fd)
	const all = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN | unix.TUN_F_USO4 | unix.TUN_F_USO6 | 0x80 | 0x100
	return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, all) == nil
}

// hdrLen asks the kernel for the size of a queue's VnetHdr.
func hdrLen(t *testing.T, q *tun.Queue) (n int) {
	t.Helper()
	raw, err := q.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		var size uint32
		size, err = unix.IoctlGetUint32(int(fd), unix.TUNGETVNETHDRSZ)
		n = int(size)
	}))
	must(t, err)
	return n
}

// seen is what an observer of reads saw.
type seen struct {
	hdr    offload.VnetHdr
	packet []byte
}

// TestTunnelsLive sends superpackets through the kernel's own VXLAN and Geneve devices, over
// a TUN of this package. Every packet must be the one that the kernel cuts for a TUN
// without the offload, and that the model cuts. With the offload a superpacket is one read,
// and without it each of its packets is one.
func TestTunnelsLive(t *testing.T) {
	if !kernelHasTunnels(t) {
		t.Skip("this kernel has no superpackets in UDP tunnels, which came with Linux 6.17")
	}
	for _, off := range []bool{false, true} {
		var dev *tun.Device
		var whole []seen
		cfg := tun.Config{NoTunnels: off, Queues: 2, Node: os.Getenv("TUNLIVE_DEVICE"), Record: tun.Record{Packets: 1000, Payload: true}}
		cfg.Observer.Read = func(h offload.VnetHdr, b []byte, err error) {
			if err == nil && isUDP(b) {
				whole = append(whole, seen{h, bytes.Clone(b)})
			}
		}
		tunnels, err := tunlive.TunnelsOver(func() (name string, err error) {
			if dev, err = tun.Open(cfg); err != nil {
				return "", err
			}
			return dev.Name(), nil
		})
		var missing *tunlive.Missing
		if errors.As(err, &missing) && errors.Is(err, tunlive.ErrKernel) {
			dev.Close()
			t.Skip(err)
		}
		must(t, err)
		defer tunnels.Close()
		defer dev.Close()
		if dev.Features().Tunnels == off || dev.VnetHdrLen() != map[bool]int{false: 24, true: 10}[off] || hdrLen(t, dev.Queue(1)) != dev.VnetHdrLen() {
			t.Fatalf("NoTunnels %v: %+v, a VnetHdr of %d bytes", off, dev.Features(), dev.VnetHdrLen())
		}
		sent, packets := 0, 0
		for kind, name := range tunnels.Kinds() {
			for _, f := range allFlows {
				for _, size := range []int{100, 1400} {
					whole = nil
					h, super := f.vnet(20, size)
					_, want, err := tunnels.Send(kind, h, super)
					must(t, err)
					var got, cut [][]byte
					for _, p := range want {
						cut = append(cut, p.Data)
					}
					for _, p := range readAll(t, dev) {
						if isUDP(p) {
							got = append(got, p)
						}
					}
					if len(cut) != 20 {
						t.Fatalf("%s, %v: the kernel cuts %d packets", name, f, len(cut))
					}
					equal(t, got, cut)
					sent++
					packets += len(got)
					if off {
						if len(whole) != 20 {
							t.Fatalf("%s, %v: %d reads, want 20", name, f, len(whole))
						}
						continue
					}
					if len(whole) != 1 || whole[0].hdr.GSOType&(offload.GSOUDPTunnelIPv4|offload.GSOUDPTunnelIPv6) == 0 {
						t.Fatalf("%s, %v: %d reads, %+v, want one in a tunnel", name, f, len(whole), whole[0].hdr)
					}
					w := whole[0].hdr
					segments, err := model.Segment(model.VnetHdr{Flags: uint8(w.Flags), GSOType: uint8(w.GSOType), HdrLen: w.HdrLen, GSOSize: w.GSOSize,
						CsumStart: w.CsumStart, CsumOffset: w.CsumOffset, OuterTHOffset: w.OuterTHOffset, InnerNHOffset: w.InnerNHOffset}, whole[0].packet)
					must(t, err)
					equal(t, got, segments)
				}
			}
		}
		s := dev.Stats().Read
		want := uint64(sent)
		if off {
			want = 0
		}
		if s.Tunnelled != want || s.Invalid+s.Failed+s.Truncated+s.Short != 0 {
			t.Errorf("NoTunnels %v: %+v", off, s)
		}
		var dump strings.Builder
		must(t, dev.DumpRead(&dump, ""))
		if strings.Contains(dump.String(), " inner_nh_offset=") == off {
			t.Errorf("NoTunnels %v: what was recorded is\n%.200s", off, dump.String())
		}
		t.Logf("NoTunnels %v: %v: %d superpackets, %d packets, %d reads", off, tunnels.Kinds(), sent, packets, s.Reads)
	}
}

// vnet returns n packets as a superpacket, and its VnetHdr.
func (f flow) vnet(n, size int) (tunlive.VnetHdr, []byte) {
	h := tunlive.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: uint16(size), CsumStart: 20, CsumOffset: 16}
	if f.v6 {
		h.GSOType, h.HdrLen, h.CsumStart = 4, 60, 40
	}
	if !f.udp {
		return h, f.super(n, size)
	}
	h.GSOType, h.CsumOffset = 5, 6
	h.HdrLen -= 12
	b := f.packet(0, n*size)
	at := int(h.CsumStart)
	src, dst := b[12:16], b[16:20]
	if f.v6 {
		src, dst = b[8:24], b[24:40]
	}
	binary.BigEndian.PutUint16(b[at+6:], offload.PseudoHeaderSum(unix.IPPROTO_UDP, src, dst, len(b)-at))
	return h, b
}

// isUDP reports whether a packet is one of a tunnel, and not of the IPv6 stack.
func isUDP(b []byte) bool {
	return len(b) > 40 && (b[0]>>4 == 4 && b[9] == unix.IPPROTO_UDP || b[0]>>4 == 6 && b[6] == unix.IPPROTO_UDP)
}

// readAll returns what is ready in all queues of a device.
func readAll(t *testing.T, dev *tun.Device) (got [][]byte) {
	t.Helper()
	for i := range dev.Queues() {
		for {
			s, err := dev.Queue(i).NextSuper()
			must(t, err)
			if s == nil {
				break
			}
			for b := range s.InPlace() {
				got = append(got, bytes.Clone(b))
			}
		}
	}
	return got
}

// TestEitherHeader writes and reads with a VnetHdr of each size, on interfaces that are made,
// that exist, and that are adopted. Only the maker gives an interface 24 bytes.
func TestEitherHeader(t *testing.T) {
	has := kernelHasTunnels(t)
	const multi = unix.IFF_TUN | unix.IFF_MULTI_QUEUE
	for _, c := range []struct {
		name   string
		flags  uint16 // of an interface that exists; 0 to make one
		size   int    // that it has
		adopt  bool
		many   bool
		off    bool
		want   int // 0: as the kernel can
		refuse string
	}{
		{name: "made"},
		{name: "made, off", off: true, want: 10},
		{name: "made, many queues", many: true},
		{name: "exists", flags: unix.IFF_TUN, size: 10, want: 10},
		{name: "exists with 12", flags: unix.IFF_TUN, size: 12, want: 10},
		{name: "exists with 24", flags: unix.IFF_TUN, size: 24},
		{name: "exists with 24, off", flags: unix.IFF_TUN, size: 24, off: true, want: 10},
		{name: "shared", flags: multi, size: 10, want: 10},
		{name: "shared with 24", flags: multi, size: 24, want: 24},
		{name: "shared with 24, off", flags: multi, size: 24, off: true, want: 24},
		{name: "shared with 20", flags: multi, size: 20, refuse: "of 20 bytes, want 10 or 24"},
		{name: "adopted", flags: unix.IFF_TUN, size: 10, adopt: true, want: 10},
		{name: "adopted with 24", flags: unix.IFF_TUN, size: 24, adopt: true, want: 24},
		{name: "adopted with 24, off", flags: unix.IFF_TUN, size: 24, adopt: true, off: true, want: 24},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, far := wiring(t)
			if c.want == 0 {
				c.want = map[bool]int{false: 10, true: 24}[has]
			}
			cfg := tun.Config{NoTunnels: c.off, MultiQueue: c.many || c.flags&unix.IFF_MULTI_QUEUE != 0, Node: os.Getenv("TUNLIVE_DEVICE")}
			var dev *tun.Device
			var err error
			if c.flags != 0 {
				var fd int
				fd, cfg.Name, err = tunlive.OpenFD("", c.flags, c.size)
				must(t, err)
				if !c.adopt {
					must(t, unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1))
					name := cfg.Name
					t.Cleanup(func() { w.Delete(name) })
					must(t, unix.Close(fd))
				} else {
					dev, err = tun.Adopt(cfg, fd)
				}
			}
			if !c.adopt {
				dev, err = tun.Open(cfg)
			}
			if c.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), c.refuse) {
					t.Errorf("%v, want %q", err, c.refuse)
				}
				return
			}
			must(t, err)
			t.Cleanup(func() { dev.Close() })
			if n := dev.VnetHdrLen(); n != c.want || hdrLen(t, dev.Queue(0)) != n || dev.Features().Tunnels != (n == 24 && has && !c.off) {
				t.Fatalf("a VnetHdr of %d bytes, the kernel's %d, want %d; %+v", n, hdrLen(t, dev.Queue(0)), c.want, dev.Features())
			}
			must(t, w.SetUp(dev.Name(), ownQueueLen))
			must(t, w.Redirect(dev.Name(), far.Name()))
			r := &rig{t: t, w: w, far: far, name: dev.Name(), dev: dev, q: dev.Queue(0)}
			want := append(batch(100, 500, allFlows[1]), []byte{0x45}, flow{port: 7}.packet(0, 10)) // one is written alone
			want[100] = flow{udp: true, port: 8}.packet(0, 1)
			r.write(want)
			equal(t, r.arrived(), want)
			must(t, w.Redirect(far.Name(), dev.Name()))
			h, super := flow{port: 9}.vnet(30, 1000)
			must(t, far.Write(h, super))
			must(t, dev.Queue(0).SetReadDeadline(time.Now().Add(10*time.Second)))
			equal(t, readAll(t, dev), batch(30, 1000, flow{port: 9}))
			if cfg.MultiQueue {
				q, err := dev.AddQueue()
				must(t, err)
				if hdrLen(t, q) != c.want || hdrLen(t, dev.Queue(0)) != c.want {
					t.Errorf("after AddQueue a VnetHdr has %d bytes, want %d", hdrLen(t, q), c.want)
				}
			}
		})
	}
}
