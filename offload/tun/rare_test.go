// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/corpus/pkts"
	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// These tests cover combinations of two rare events.

// TestDeadlineAmidRefused lets the deadline pass while the packets of a refused
// superpacket are sent one by one, after a packet was refused alone. The caller gets
// the deadline's error. The next batch, which is refused too, starts at its first
// packet.
func TestDeadlineAmidRefused(t *testing.T) {
	r := writing(t, tun.Config{}, tun.Faults{Front: noSize})
	other, err := tunlive.OpenTUN()
	must(t, err)
	defer other.Close()
	must(t, r.w.SetUp(other.Name(), queueLen))
	must(t, r.w.Redirect(other.Name(), r.far.Name()))
	must(t, r.w.Throttle(r.far.Name(), 1, 2000)) // holds back all but the first
	raw, err := r.q.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.IoctlSetPointerInt(int(fd), unix.TUNSETSNDBUF, 1<<16) }))
	must(t, err)

	first := slices.Concat([][]byte{{}}, batch(200, 300, allFlows[0]))
	sent, err := r.writeShort(first)
	if !errors.Is(err, os.ErrDeadlineExceeded) || sent == 0 || sent >= 200 {
		t.Fatalf("without room: %d, %v", sent, err)
	}
	if s := r.stats(); s.Refused != tun.TCPv4 || s.Write.Refused != 1 || s.Write.Resent != uint64(sent) {
		t.Errorf("%+v", s)
	}

	must(t, r.w.Throttle(r.far.Name(), 4e9, 200<<20))
	must(t, other.Write(tunlive.VnetHdr{}, flow{v6: true, port: 99}.packet(0, 10))) // held-back packets leave with it
	r.dev.SetDisabled(tun.TCPv4, false)
	again := batch(100, 300, flow{port: 2})
	r.write(again) // room wakes the writer
	var got [][]byte
	for ; len(got) < len(again); runtime.Gosched() {
		got = append(got, slices.DeleteFunc(r.arrived(), func(b []byte) bool { return b[0]>>4 != 4 || b[21] != 2 })...)
	}
	equal(t, got, again)
}

// TestObservedBeforeCut checks that an observer sees the packet as it was read, even
// if the buffers are too short for it.
func TestObservedBeforeCut(t *testing.T) {
	var seen [][]byte
	r := reading(t, tun.Config{Observer: tun.Observer{Read: func(h offload.VnetHdr, b []byte, err error) { seen = append(seen, bytes.Clone(b)) }}})
	whole := flow{port: 9}.super(3, 1000)
	must(t, r.far.Write(tunlive.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 1000, CsumStart: 20, CsumOffset: 16}, whole))
	last := flow{port: 9}.packet(3, 10)
	must(t, r.far.Write(tunlive.VnetHdr{}, last))
	bufs, sizes := buffers(2, 0, 500)
	if n, err := r.q.ReadBatch(bufs, sizes, 0); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	equal(t, seen, [][]byte{whole, last})
}

// TestRefusalIsKept checks that a Refusal stays unchanged when the memory of the
// packet is reused.
func TestRefusalIsKept(t *testing.T) {
	var kept []*tun.Refusal
	r := writing(t, tun.Config{Observer: tun.Observer{Refused: func(r *tun.Refusal) { kept = append(kept, r) }}})
	junk := []byte{0x55, 1, 2, 3}
	if n, err := r.q.WriteBatch([][]byte{junk}); n != 0 || cause(err) != unix.EINVAL {
		t.Fatal(n, err)
	}
	clear(junk)
	if len(kept) != 1 || !bytes.Equal(kept[0].Header, []byte{0x55, 1, 2, 3}) {
		t.Errorf("%v", kept)
	}
}

// TestCloseBehindClosed checks that a device closes all queues, even if one was
// closed before.
func TestCloseBehindClosed(t *testing.T) {
	r := reading(t, tun.Config{Queues: 3})
	must(t, r.q.Close())
	done := make(chan error, 1)
	go func() {
		bufs, sizes := buffers(1, 0, 1500)
		_, err := r.dev.Queue(2).ReadBatch(bufs, sizes, 0)
		done <- err
	}()
	blocked("ReadBatch")
	must(t, r.dev.Close())
	if err := <-done; cause(err) != os.ErrClosed {
		t.Errorf("the reader was woken by %v", err)
	}
}

// writer is a function that is called for each Write.
type writer func()

func (w writer) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

// TestDumpUsesDevice checks that the destination of a dump may use the device.
func TestDumpUsesDevice(t *testing.T) {
	r := writing(t, tun.Config{Record: tun.Record{Packets: 10}})
	r.write(batch(3, 100, allFlows[0]))
	if err := r.dev.DumpWritten(writer(func() { r.write(batch(3, 100, allFlows[0])) }), ""); err != nil {
		t.Error(err)
	}
}

// TestDumpIsWhole checks that a dump during traffic is of one time: all bytes of the payloads
// of a batch are the same.
func TestDumpIsWhole(t *testing.T) {
	r := writing(t, tun.Config{Record: tun.Record{Packets: 63, Payload: true}})
	in := batch(40, 40, flow{udp: true, port: 1})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 3000 {
			for _, p := range in {
				for k := range p[28:] {
					p[28+k] = byte(i)
				}
			}
			r.write(in)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		var b bytes.Buffer
		if r.dev.DumpWritten(&b, "") != nil {
			continue // nothing is written yet
		}
		c, err := pkts.Parse("dump", b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range c.Batches {
			for _, in := range x.In {
				if p := in.Data; len(p) != 68 || bytes.Count(p[28:], x.In[0].Data[28:29]) != 40 {
					t.Fatalf("a packet of %d bytes: %x", len(p), p)
				}
			}
		}
	}
	<-done
}

// TestAdoptClosesAll checks that Adopt also closes the descriptors after one that
// cannot become a queue.
func TestAdoptClosesAll(t *testing.T) {
	must(t, cannot)
	const flags = unix.IFF_TUN | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE
	a, name, err := tunlive.OpenFD("", flags, 10)
	must(t, err)
	b, _, err := tunlive.OpenFD(name, flags, 10)
	must(t, err)
	if _, err := tun.Adopt(tun.Config{}, a, a, b); err == nil {
		t.Error("a descriptor is adopted twice")
	}
	for _, fd := range []int{a, b} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("descriptor %d is still open: %v", fd, err)
		}
	}
}

// TestSwitchAmidBatch checks that a switch during a batch takes effect in the next
// batch (T5).
func TestSwitchAmidBatch(t *testing.T) {
	var r *rig
	r = writing(t, tun.Config{Observer: tun.Observer{Write: func(offload.VnetHdr, int, [][]byte, error) { r.dev.SetDisabled(tun.TCPv4, true) }}})
	var want [][]byte
	for port := range uint16(3) {
		want = append(want, batch(10, 100, flow{port: port + 1})...)
	}
	for _, writes := range []uint64{3, 3 + 30} {
		r.write(want)
		equal(t, r.arrived(), want)
		if n := r.stats().Write.Writes; n != writes {
			t.Errorf("%d writes, want %d", n, writes)
		}
	}
}

// TestFirstError checks that of two errors of a batch the first is returned.
func TestFirstError(t *testing.T) {
	var r *rig
	r = writing(t, tun.Config{Observer: tun.Observer{Refused: func(*tun.Refusal) { must(t, r.w.SetDown(r.name)) }}})
	if n, err := r.q.WriteBatch([][]byte{{0x55, 1, 2, 3}, allFlows[0].packet(0, 10), allFlows[1].packet(0, 10)}); n != 0 || cause(err) != unix.EINVAL {
		t.Errorf("%d, %v, want the first packet's EINVAL", n, err)
	}
	if s := r.stats().Write; s.Refused != 1 || s.Down != 2 {
		t.Errorf("%+v", s)
	}
}

// TestSameMask checks that every queue, also an added one, gets the negotiated mask:
// it belongs to the interface (T1).
func TestSameMask(t *testing.T) {
	var masks []int
	r := writing(t, tun.Config{Queues: 3}, tun.Faults{Offload: func(mask int, set func(int) error) error {
		masks = append(masks, mask)
		return set(mask)
	}})
	want := masks[len(masks)-1]
	if n := len(masks); n < 3 || masks[n-2] != want || !slices.Contains(masks[:n-2], want) {
		t.Errorf("masks %#x", masks)
	}
	if !r.dev.Features().USO {
		t.Skip("this kernel has no USO")
	}
	_, err := r.dev.AddQueue()
	must(t, err)
	if got := masks[len(masks)-1]; got != want {
		t.Errorf("an added queue has mask %#x, the others %#x", got, want)
	}
}

// TestAdoptTwo checks that descriptors of two interfaces do not become a device.
func TestAdoptTwo(t *testing.T) {
	must(t, cannot)
	const flags = unix.IFF_TUN | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE
	a, _, err := tunlive.OpenFD("", flags, 10)
	must(t, err)
	b, _, err := tunlive.OpenFD("", flags, 10)
	must(t, err)
	if dev, err := tun.Adopt(tun.Config{}, a, b); err == nil {
		dev.Close()
		t.Error("descriptors of two interfaces are adopted as one device")
	}
}

// TestDeadlinesApart checks that the deadline of one direction does not apply to the
// other.
func TestDeadlinesApart(t *testing.T) {
	past := time.Now().Add(-time.Second)
	w := writing(t, tun.Config{})
	must(t, w.q.SetReadDeadline(past))
	w.write(batch(3, 10, allFlows[0]))
	r := reading(t, tun.Config{})
	must(t, r.q.SetWriteDeadline(past))
	must(t, r.far.Write(tunlive.VnetHdr{}, allFlows[0].packet(0, 10)))
	bufs, sizes := buffers(1, 0, 1500)
	if n, err := r.q.ReadBatch(bufs, sizes, 0); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := r.q.WriteBatch(batch(1, 10, allFlows[0])); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write after its deadline: %v", err)
	}
}

// TestFewFiles checks that a device that is refused repeatedly leaves at most eight
// files.
func TestFewFiles(t *testing.T) {
	dir := t.TempDir()
	r := writing(t, tun.Config{Name: "recorded", Record: tun.Record{Packets: 10, Dir: dir}}, tun.Faults{Front: noSize})
	for range 12 {
		r.write(batch(3, 10, allFlows[0]))
		r.dev.SetDisabled(tun.TCPv4, false)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 8 || r.stats().Write.Resent != 36 {
		t.Errorf("%d files, %v, %+v", len(files), err, r.stats().Write)
	}
	// A later device of the same name, as after a restart, overwrites none of them.
	must(t, r.dev.Close())
	again := writing(t, tun.Config{Name: "recorded", Record: tun.Record{Packets: 10, Dir: dir}}, tun.Faults{Front: noSize})
	again.write(batch(3, 10, allFlows[0]))
	if files, err := os.ReadDir(dir); err != nil || len(files) != 9 {
		t.Errorf("after a restart: %d files, want 9; %v", len(files), err)
	}
}

// TestSwitchedTogether checks that protocols that are switched at the same time by several
// goroutines do not undo each other.
func TestSwitchedTogether(t *testing.T) {
	r := writing(t, tun.Config{})
	var all sync.WaitGroup
	var running atomic.Int32
	for _, p := range []tun.Protocols{tun.TCPv4, tun.TCPv6} { // not UDP, which is always off on kernels before 6.2
		all.Go(func() {
			running.Add(1)
			for running.Load() < 2 {
				runtime.Gosched()
			}
			for i := range 300_000 {
				off := i%2 == 0
				r.dev.SetDisabled(p, off)
				if got := r.dev.Disabled()&p != 0; got != off {
					t.Errorf("%v is switched off: %v, want %v", p, got, off)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestManyQueuesInTime checks that closed queues count for no limit, although their counters
// are kept.
func TestManyQueuesInTime(t *testing.T) {
	r := writing(t, tun.Config{MultiQueue: true})
	for i := range 300 { // an interface has 256 at most
		q, err := r.dev.AddQueue()
		if err != nil {
			t.Fatalf("queue %d: %v", i, err)
		}
		must(t, q.Close())
	}
}

// TestNotInherited checks that a program that this one starts gets no descriptor of the
// device: it would keep the interface after Close.
func TestNotInherited(t *testing.T) {
	r := writing(t, tun.Config{MultiQueue: true})
	added, err := r.dev.AddQueue()
	must(t, err)
	for _, q := range []*tun.Queue{r.q, added} {
		conn, err := q.SyscallConn()
		must(t, err)
		must(t, conn.Control(func(fd uintptr) {
			if flags, err := unix.FcntlInt(fd, unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("flags %#x, %v", flags, err)
			}
		}))
	}
}

// TestThreadInNamespace adopts a TUN on a thread that is in another network namespace than
// the process: the interface is in the caller's, so its settings can be made.
func TestThreadInNamespace(t *testing.T) {
	must(t, cannot)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			fd, _, err := tunlive.OpenFD("", unix.IFF_TUN|unix.IFF_VNET_HDR|unix.IFF_MULTI_QUEUE, 10)
			if err != nil {
				return err
			}
			dev, err := tun.Adopt(tun.Config{Node: os.Getenv("TUNLIVE_DEVICE")}, fd)
			if err != nil {
				return err
			}
			defer dev.Close()
			if err := dev.SetMTU(1400); err != nil {
				return err
			}
			_, err = dev.AddQueue()
			return err
		}()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestAnotherOfTheName checks that no queue is added to another interface that has
// the device's name.
func TestAnotherOfTheName(t *testing.T) {
	r := writing(t, tun.Config{MultiQueue: true})
	must(t, r.w.Delete(r.name))
	other, err := tun.Open(tun.Config{Node: os.Getenv("TUNLIVE_DEVICE"), Name: r.name, MultiQueue: true})
	must(t, err)
	defer other.Close()
	if _, err := r.dev.AddQueue(); !errors.Is(err, tun.ErrGone) {
		t.Errorf("%v, want ErrGone", err)
	}
}
