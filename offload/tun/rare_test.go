//go:build linux

package tun_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// The tests here are of what happens when two rare things meet.

// within fails the test if f takes longer than any machine needs for it.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal(what)
	}
}

// TestDeadlineAmidRefused lets the deadline pass while the packets of a refused
// superpacket are sent one by one, behind a packet that was refused alone: the deadline
// is what the caller is told, and the next batch, refused too, starts at its first
// packet.
func TestDeadlineAmidRefused(t *testing.T) {
	r := writing(t, tun.Config{}, tun.Faults{Front: csumOffset})
	other, err := tunlive.OpenTUN()
	must(t, err)
	defer other.Close()
	must(t, r.w.SetUp(other.Name(), queueLen))
	must(t, r.w.Redirect(other.Name(), r.far.Name()))
	must(t, r.w.Throttle(r.far.Name(), 1, 2000)) // keeps all but the first
	raw, err := r.q.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.IoctlSetPointerInt(int(fd), unix.TUNSETSNDBUF, 1<<16) }))
	must(t, err)

	first := slices.Concat([][]byte{{}}, batch(200, 300, allFlows[0]))
	must(t, r.q.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
	sent, err := r.q.WriteBatch(first)
	if !errors.Is(err, os.ErrDeadlineExceeded) || sent == 0 || sent >= 200 {
		t.Fatalf("without room: %d, %v", sent, err)
	}
	if s := r.stats(); s.Refused != tun.TCPv4 || s.Write.Refused != 1 || s.Write.Resent != uint64(sent) {
		t.Errorf("%+v", s)
	}

	must(t, r.q.SetWriteDeadline(time.Time{}))
	must(t, r.w.Throttle(r.far.Name(), 4e9, 200<<20))
	must(t, other.Write(tunlive.VnetHdr{}, flow{v6: true, port: 99}.packet(0, 10))) // what waits leaves with it
	r.dev.SetDisabled(tun.TCPv4, false)
	again := batch(100, 300, flow{port: 2})
	within(t, "room did not wake the writer", func() { r.write(again) })
	var got [][]byte
	for deadline := time.Now().Add(10 * time.Second); len(got) < len(again) && time.Now().Before(deadline); runtime.Gosched() {
		got = append(got, slices.DeleteFunc(r.arrived(), func(b []byte) bool { return b[0]>>4 != 4 || b[21] != 2 })...)
	}
	equal(t, got, again)
}

// TestObservedBeforeCut checks that an observer sees what was read as it was, though
// the buffers are too short for it.
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

// TestRefusalIsKept checks that what is said of a refused packet stays when its memory
// is used again.
func TestRefusalIsKept(t *testing.T) {
	var kept []*tun.Refusal
	r := writing(t, tun.Config{Observer: tun.Observer{Refused: func(r *tun.Refusal) { kept = append(kept, r) }}})
	junk := []byte{0x55, 1, 2, 3}
	if n, err := r.q.WriteBatch([][]byte{junk}); n != 0 || err != unix.EINVAL {
		t.Fatal(n, err)
	}
	clear(junk)
	if len(kept) != 1 || !bytes.Equal(kept[0].Header, []byte{0x55, 1, 2, 3}) {
		t.Errorf("%v", kept)
	}
}

// TestCloseBehindClosed checks that a device closes all queues, though one was closed
// before.
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
	within(t, "the reader was not woken", func() {
		if err := <-done; err != os.ErrClosed {
			t.Errorf("%v", err)
		}
	})
}

// writer calls itself for each Write.
type writer func()

func (w writer) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

// TestDumpUsesDevice checks that whoever is given a dump may use the device meanwhile.
func TestDumpUsesDevice(t *testing.T) {
	r := writing(t, tun.Config{Record: tun.Record{Packets: 10}})
	r.write(batch(3, 100, allFlows[0]))
	within(t, "a dump holds up writing", func() {
		if err := r.dev.DumpWritten(writer(func() { r.write(batch(3, 100, allFlows[0])) }), ""); err != nil {
			t.Error(err)
		}
	})
}

// TestAdoptClosesAll checks that descriptors behind one that makes no queue are
// closed, too.
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

// TestSwitchAmidBatch checks that what is switched off while a batch is written is so
// from the next on (T5).
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
