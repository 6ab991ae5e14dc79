// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// TestOpenExisting checks that an existing interface, with the header size and
// offloads that others left it, works like a new one. If others may have it open, it
// is refused.
func TestOpenExisting(t *testing.T) {
	for _, multi := range []bool{false, true} {
		w, far := wiring(t)
		flags := uint16(unix.IFF_TUN)
		if multi {
			flags |= unix.IFF_MULTI_QUEUE
		}
		fd, link, err := tunlive.OpenFD("", flags, 12)
		must(t, err)
		must(t, unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1))
		t.Cleanup(func() { w.Delete(link) })
		cfg := tun.Config{Name: link, MultiQueue: multi, Node: os.Getenv("TUNLIVE_DEVICE")}
		if !multi {
			if _, err := tun.Open(cfg); !errors.Is(err, unix.EBUSY) {
				t.Errorf("while it is open elsewhere: %v", err)
			}
		}
		must(t, unix.Close(fd))
		dev, err := tun.Open(cfg)
		if multi {
			if err == nil || !strings.Contains(err.Error(), "of 12 bytes") {
				t.Errorf("of many queues: %v", err)
			}
			continue
		}
		must(t, err)
		defer dev.Close()
		must(t, w.SetUp(link, ownQueueLen))
		must(t, w.Redirect(link, far.Name()))
		r := &rig{t: t, w: w, far: far, name: link, dev: dev, q: dev.Queue(0)}
		if f := dev.Features(); !f.Csum || !f.TSO || !f.TSOECN {
			t.Errorf("%+v", f)
		}
		want := batch(30, 1000, allFlows[1])
		r.write(want)
		equal(t, r.arrived(), want)
		if mtu, err := dev.MTU(); mtu != 1500 || err != nil || dev.Name() != link {
			t.Errorf("MTU %d, %v, name %s", mtu, err, dev.Name())
		}
	}
}

// TestMissingNode checks the errors for things that cannot be opened.
func TestMissingNode(t *testing.T) {
	if _, err := tun.Open(tun.Config{Node: "/nowhere/tun"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := tun.Adopt(tun.Config{}); err == nil {
		t.Error("no descriptor is adopted")
	}
	fd, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(t, err)
	if _, err := tun.Adopt(tun.Config{Queues: -1}, fd); err == nil {
		t.Error("a Config that is wrong is taken")
	}
}

// TestOpenLeaksNothing checks that a failed attach leaves no descriptor open, and says
// what is wrong.
func TestOpenLeaksNothing(t *testing.T) {
	must(t, cannot)
	before := openFDs(t)
	for range 50 {
		d, err := tun.Open(tun.Config{Name: "lo", Node: os.Getenv("TUNLIVE_DEVICE")})
		if err == nil {
			d.Close()
			t.Fatal("the loopback is taken for a TUN")
		}
		if !strings.Contains(err.Error(), "TUNSETIFF lo: invalid argument (it is not a TUN)") {
			t.Fatal(err)
		}
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, before there were %d", after, before)
	}
}

// openFDs returns the number of descriptors that a device has: of TUNs and sockets.
func openFDs(t *testing.T) (n int) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, fd := range list {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(to, "tun") || strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// TestCloseLeaksNothing closes devices while queues are added, and others read and write.
// All calls end, and no descriptor stays open.
func TestCloseLeaksNothing(t *testing.T) {
	must(t, cannot)
	before := openFDs(t)
	for range 30 {
		d, err := tun.Open(tun.Config{MultiQueue: true, Node: os.Getenv("TUNLIVE_DEVICE")})
		must(t, err)
		var all sync.WaitGroup
		for _, f := range []func() error{
			func() error { return d.Close() },
			func() error { _, err := d.AddQueue(); return err },
			func() error { _, err := d.AddQueue(); return err },
			func() error {
				bufs, sizes := buffers(1, 0, 1500)
				_, err := d.Queue(0).ReadBatch(bufs, sizes, 0)
				return err
			},
			func() error { _, err := d.Queue(0).WriteBatch(batch(3, 10, allFlows[0])); return err },
		} {
			all.Go(func() {
				if err := f(); err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, unix.EIO) { // the interface is down
					t.Error(err)
				}
			})
		}
		all.Wait()
		must(t, d.Close())
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, before there were %d", after, before)
	}
}

// TestSwitches checks that a protocol is not joined while it is off, in Config and at
// run time (T5).
func TestSwitches(t *testing.T) {
	r := writing(t, tun.Config{Coalesce: offload.Config{DisableTCPv6: true}})
	want := map[tun.Protocols]int{tun.TCPv4: 0, tun.TCPv6: 1, tun.UDP: 2}
	if !r.dev.Features().USO {
		t.Skip("this kernel has no USO")
	}
	for p := range want {
		if off := r.dev.Disabled() == p; off != (p == tun.TCPv6) {
			t.Errorf("%v is off: %v", p, off)
		}
		r.dev.SetDisabled(tun.TCPv4|tun.TCPv6|tun.UDP, false)
		r.dev.SetDisabled(p, true)
		before := r.stats().Write
		for i, f := range allFlows {
			in := batch(10, 100, f)
			r.write(in)
			equal(t, r.arrived(), in)
			writes := uint64(1)
			if min(i, 2) == want[p] {
				writes = 10
			}
			after := r.stats().Write
			if n := after.Writes - before.Writes; n != writes {
				t.Errorf("%v off, %v: %d writes, want %d", p, f, n, writes)
			}
			before = after
		}
		r.dev.SetDisabled(p, false)
		r.dev.SetDisabled(tun.TCPv6, true)
	}
	if got := (tun.TCPv4 | tun.UDP).String() + " " + tun.Protocols(0).String(); got != "TCPv4|UDP none" {
		t.Error(got)
	}
}

// TestHeaderSizeChanged changes the header size of an open device, so that all reads
// and writes are misplaced. Every packet is counted, none is mistaken for another,
// and the device works again when the size is corrected.
func TestHeaderSizeChanged(t *testing.T) {
	var bad []error
	r := reading(t, tun.Config{Observer: tun.Observer{Read: func(_ offload.VnetHdr, _ []byte, err error) { bad = append(bad, err) }}})
	raw, err := r.q.SyscallConn()
	must(t, err)
	size := func(n int) {
		t.Helper()
		must(t, raw.Control(func(fd uintptr) { err = unix.IoctlSetPointerInt(int(fd), unix.TUNSETVNETHDRSZ, n) }))
		must(t, err)
	}
	h := tunlive.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 100, CsumStart: 20, CsumOffset: 16}
	super, want := flow{port: 1}.super(10, 100), batch(10, 100, flow{port: 1})

	size(12)
	must(t, r.far.Write(h, super))
	if s, err := r.q.NextSuper(); s != nil || err != nil {
		t.Errorf("read with a header of 12 bytes: %v, %v", s, err)
	}
	r.dev.SetDisabled(tun.TCPv4, true) // with a GSO type the guard and the kernel would judge different bytes (K6)
	n, err := r.q.WriteBatch(want)
	if n != 0 || cause(err) != unix.EINVAL {
		t.Errorf("written with a header of 12 bytes: %d, %v", n, err)
	}
	invalid, failed := 1, 0
	if r.dev.Features().Tunnels { // then the kernel refuses to write so short a header
		invalid, failed = 0, 1
	}
	if s := r.stats(); int(s.Read.Invalid) != invalid || int(s.Read.Failed) != failed || len(bad) != invalid || invalid > 0 && bad[0] == nil || s.Write.Refused != 10 || s.Write.Superpackets != 0 || s.Refused != 0 {
		t.Errorf("%+v, %v", s, bad)
	}

	size(r.dev.VnetHdrLen())
	must(t, r.far.Write(h, super))
	bufs, sizes := buffers(64, 0, 1500)
	if n, err := r.q.ReadBatch(bufs, sizes, 0); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	for i := range want {
		bufs[i] = bufs[i][:sizes[i]]
	}
	equal(t, bufs[:10], want)
}

// TestSettings checks the settings on a real interface: those of Config, those that are
// changed, and that without CAP_NET_ADMIN only those can be set that it has already.
func TestSettings(t *testing.T) {
	must(t, cannot)
	cfg := tun.Config{MTU: 1280, TxQueueLen: 50, Node: os.Getenv("TUNLIVE_DEVICE")}
	d, err := tun.Open(cfg)
	must(t, err)
	defer d.Close()
	check := func(mtu, length int) {
		t.Helper()
		gotMTU, err1 := d.MTU()
		gotLen, err2 := d.TxQueueLen()
		if err := errors.Join(err1, err2); gotMTU != mtu || gotLen != length || err != nil {
			t.Errorf("MTU %d, TxQueueLen %d, %v; want %d, %d", gotMTU, gotLen, err, mtu, length)
		}
	}
	check(1280, 50)
	must(t, errors.Join(d.SetMTU(65535), d.SetTxQueueLen(1)))
	check(65535, 1)
	must(t, d.SetMTU(68))
	check(68, 1)
	must(t, errors.Join(d.SetMTU(1420), d.SetTxQueueLen(500)))
	check(1420, 500)
	unprivileged(t, func() {
		if err := errors.Join(d.SetMTU(1420), d.SetTxQueueLen(500)); err != nil {
			t.Error(err)
		}
		for _, err := range []error{d.SetMTU(1400), d.SetTxQueueLen(400)} {
			if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "operation not permitted (needs CAP_NET_ADMIN; the interface has ") {
				t.Error(err)
			}
		}
	})
	check(1420, 500)
}

// unprivileged runs f on a thread without CAP_NET_ADMIN, which ends with f.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var caps [2]unix.CapUserData
		err := unix.Capget(&head, &caps[0])
		caps[0].Effective &^= 1 << unix.CAP_NET_ADMIN
		if err = errors.Join(err, unix.Capset(&head, &caps[0])); err == nil {
			f()
		}
		done <- err
	}()
	must(t, <-done)
}

// TestUnprivilegedStart opens an interface that was made for the user, with settings that
// it has already, without CAP_NET_ADMIN.
func TestUnprivilegedStart(t *testing.T) {
	w, _ := wiring(t)
	node := os.Getenv("TUNLIVE_DEVICE")
	fd, link, err := tunlive.OpenFD("", unix.IFF_TUN, 10)
	must(t, err)
	must(t, errors.Join(unix.IoctlSetInt(fd, unix.TUNSETOWNER, os.Geteuid()), unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1), unix.Close(fd)))
	t.Cleanup(func() { w.Delete(link) })
	unprivileged(t, func() {
		d, err := tun.Open(tun.Config{Name: link, MTU: 1500, TxQueueLen: 500, Node: node})
		if err != nil {
			t.Error(err)
			return
		}
		if f := d.Features(); !f.Csum || !f.TSO {
			t.Errorf("%+v", f)
		}
		d.Close()
		_, err = tun.Open(tun.Config{Name: link, MTU: 1420, Node: node})
		if want := "tun: " + link + ": Config.MTU is 1420: operation not permitted (needs CAP_NET_ADMIN; the interface has 1500)"; err == nil || err.Error() != want || !errors.Is(err, unix.EPERM) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, err = tun.Open(tun.Config{Node: node}); !errors.Is(err, unix.EPERM) {
			t.Errorf("a new interface: %v", err)
		}
	})
}

// TestRing checks TxQueueLen: each queue keeps that many packets, and drops the rest.
func TestRing(t *testing.T) {
	for _, n := range []int{1, 16, 500} {
		r := reading(t, tun.Config{})
		must(t, r.dev.SetTxQueueLen(n))
		for i := range n + 10 {
			must(t, r.far.Write(tunlive.VnetHdr{}, flow{port: 1}.packet(i, 10)))
		}
		bufs, sizes := buffers(128, 0, 1500)
		got := 0
		for got < n {
			k, err := r.q.ReadBatch(bufs, sizes, 0)
			must(t, err)
			got += k
		}
		if s, err := r.q.NextSuper(); got != n || s != nil || err != nil {
			t.Errorf("TxQueueLen %d: %d packets, then %v, %v", n, got, s, err)
		}
	}
}

// TestBackpressureLive checks that a queue with IFF_BACKPRESSURE loses nothing: packets
// wait in the queueing discipline instead.
func TestBackpressureLive(t *testing.T) {
	r := reading(t, tun.Config{Backpressure: true, TxQueueLen: 16})
	if !r.dev.Features().Backpressure {
		t.Skip("this kernel has no IFF_BACKPRESSURE, which came with Linux 7.3")
	}
	const n = 200
	must(t, r.dev.SetTxQueueLen(16))
	must(t, r.w.Throttle(r.name, 1<<31, 1<<20)) // a queueing discipline with much room, which does not limit
	for i := range n {
		must(t, r.far.Write(tunlive.VnetHdr{}, flow{port: 1}.packet(i, 10)))
	}
	bufs, sizes := buffers(128, 0, 1500)
	for got := 0; got < n; {
		must(t, r.q.SetReadDeadline(time.Now().Add(10*time.Second)))
		k, err := r.q.ReadBatch(bufs, sizes, 0)
		if err != nil {
			t.Fatalf("%d packets of %d, then %v", got, n, err)
		}
		got += k
	}
}
