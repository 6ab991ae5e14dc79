//go:build linux

package tun_test

import (
	"errors"
	"os"
	"strings"
	"testing"

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
		must(t, w.SetUp(link, queueLen))
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

// TestOpenLeaksNothing checks that a failed attach leaves no descriptor open.
func TestOpenLeaksNothing(t *testing.T) {
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(list)
	}
	const tries = 50
	before := open()
	for range tries {
		if d, err := tun.Open(tun.Config{Name: "lo"}); err == nil {
			d.Close()
			t.Fatal("the loopback is taken for a TUN")
		}
	}
	if after := open(); after >= before+tries {
		t.Errorf("%d descriptors are open, before %d tries that failed there were %d", after, tries, before)
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
	if n != 0 || err != unix.EINVAL {
		t.Errorf("written with a header of 12 bytes: %d, %v", n, err)
	}
	if s := r.stats(); s.Read.Invalid != 1 || len(bad) != 1 || bad[0] == nil || s.Write.Refused != 10 || s.Write.Superpackets != 0 || s.Refused != 0 {
		t.Errorf("%+v, %v", s, bad)
	}

	size(10)
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
