// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// TestAdopt checks which descriptors are refused, and that adopted ones carry
// packets.
func TestAdopt(t *testing.T) {
	w, far := wiring(t)
	pipe := make([]int, 2)
	must(t, unix.Pipe2(pipe, unix.O_CLOEXEC))
	defer unix.Close(pipe[1])
	for _, c := range []struct {
		name, want string
		flags      uint16
		hdrLen     int
		fd         int
	}{
		{"no IFF_VNET_HDR", "without IFF_VNET_HDR", unix.IFF_TUN, 0, 0},
		{"header of 12 bytes", "of 12 bytes, want 10", unix.IFF_TUN, 12, 0},
		{"header of 20 bytes", "of 20 bytes, want 10", unix.IFF_TUN, 20, 0},
		{"TAP", "without IFF_TUN", unix.IFF_TAP, 10, 0},
		{"pipe", "not a TUN descriptor", 0, 0, pipe[0]},
		{"right", "", unix.IFF_TUN, 10, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd, link := c.fd, ""
			if fd == 0 {
				var err error
				fd, link, err = tunlive.OpenFD("", c.flags, c.hdrLen)
				must(t, err)
			}
			dev, err := tun.Adopt(tun.Config{}, fd)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want an error with %q", err, c.want)
				}
				if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != unix.EBADF {
					t.Errorf("the descriptor is still open: %v", err)
				}
				return
			}
			must(t, err)
			defer dev.Close()
			must(t, w.SetUp(link, ownQueueLen))
			must(t, w.Redirect(link, far.Name()))
			r := &rig{t: t, w: w, far: far, name: link, dev: dev, q: dev.Queue(0)}
			want := batch(129, 500, allFlows[0])
			r.write(want)
			equal(t, r.arrived(), want)
		})
	}
}

// TestMask refuses each offload bit in turn, as an older kernel would. It checks the
// negotiated features, and that all written packets arrive.
func TestMask(t *testing.T) {
	has := opened(t, tun.Config{}).dev.Features().USO // of a kernel that refuses none
	plain := tun.Features{Csum: true, TSO: true, TSOECN: true, USO: true}
	all := plain
	all.Tunnels = kernelHasTunnels(t)
	for _, c := range []struct {
		bit  int
		want tun.Features
	}{
		{0, all},
		{0x80, plain},  // TUN_F_UDP_TUNNEL_GSO
		{0x100, plain}, // TUN_F_UDP_TUNNEL_GSO_CSUM
		{unix.TUN_F_USO4, tun.Features{Csum: true, TSO: true, TSOECN: true}},
		{unix.TUN_F_USO6, tun.Features{Csum: true, TSO: true, TSOECN: true}},
		{unix.TUN_F_TSO_ECN, tun.Features{Csum: true, TSO: true, USO: true}},
		{unix.TUN_F_TSO4, tun.Features{Csum: true, USO: true}},
		{unix.TUN_F_TSO6, tun.Features{Csum: true, USO: true}},
		{unix.TUN_F_CSUM, tun.Features{}},
	} {
		c.want.USO = c.want.USO && has
		r := writing(t, tun.Config{}, tun.Faults{Offload: func(mask int, set func(int) error) error {
			if mask&c.bit != 0 {
				return unix.EINVAL
			}
			return set(mask)
		}})
		if got := r.dev.Features(); got != c.want {
			t.Errorf("without %#x: %+v, want %+v", c.bit, got, c.want)
		}
		if n := r.dev.VnetHdrLen(); (n == 24) != c.want.Tunnels || n != hdrLen(t, r.q) {
			t.Errorf("without %#x: the VnetHdr has %d bytes, the kernel's %d", c.bit, n, hdrLen(t, r.q))
		}
		udp := batch(20, 300, allFlows[2])
		r.write(udp)
		equal(t, r.arrived(), udp)
		s := r.stats().Write
		if joined := s.Reasons[offload.Joined] > 0; joined != c.want.USO || (r.dev.Disabled()&tun.UDP == 0) != c.want.USO {
			t.Errorf("without %#x: UDP joined: %v, disabled: %v", c.bit, joined, r.dev.Disabled())
		}
		r.dev.SetDisabled(tun.UDP, false)
		if (r.dev.Disabled()&tun.UDP == 0) != c.want.USO {
			t.Errorf("without %#x: UDP was switched on", c.bit)
		}
	}
}

// TestLinkDown checks that each packet to an interface that is down is counted, and
// that later packets arrive when it is up again.
func TestLinkDown(t *testing.T) {
	r := writing(t, tun.Config{})
	must(t, r.w.SetDown(r.name))
	down := append(batch(40, 100, allFlows[0]), batch(2, 100, flow{port: 9})...)
	if n, err := r.q.WriteBatch(down); n != 0 || cause(err) != unix.EIO {
		t.Errorf("down: %d, %v", n, err)
	}
	if got := r.arrived(); len(got) != 0 {
		t.Errorf("%d packets arrived of an interface that is down", len(got))
	}
	must(t, r.w.SetUp(r.name, ownQueueLen))
	want := batch(40, 100, allFlows[0])
	r.write(want)
	equal(t, r.arrived(), want)
	if s := r.stats().Write; s.Down != 42 || s.Sent != 40 || r.dev.Disabled() != unsupported(r.dev) {
		t.Errorf("%+v, disabled %v", s, r.dev.Disabled())
	}
}

// blocked waits until a goroutine waits in the poller for a call of this name.
func blocked(call string) {
	for !isBlocked(call) {
		runtime.Gosched()
	}
}

func isBlocked(call string) bool {
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "[IO wait") && strings.Contains(g, call) {
			return true
		}
	}
	return false
}

// writeShort writes a batch for which the kernel has no room. The deadline passes when
// the writer waits.
func (r *rig) writeShort(batch [][]byte) (sent int, err error) {
	r.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		sent, err = r.q.WriteBatch(batch)
	}()
	for !isBlocked("WriteBatch") {
		select {
		case <-done:
			r.t.Fatalf("the writer does not wait: %d, %v", sent, err)
		default:
			runtime.Gosched()
		}
	}
	must(r.t, r.q.SetWriteDeadline(time.Now()))
	<-done
	must(r.t, r.q.SetWriteDeadline(time.Time{}))
	return sent, err
}

// TestWoken checks what wakes a blocked reader, and the error that it gets.
func TestWoken(t *testing.T) {
	for name, c := range map[string]struct {
		wake func(*rig) error
		want error
	}{
		"deleted":  {func(r *rig) error { return r.w.Delete(r.name) }, tun.ErrGone},
		"closed":   {func(r *rig) error { return r.dev.Close() }, os.ErrClosed},
		"deadline": {func(r *rig) error { return r.q.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			r := reading(t, tun.Config{})
			done := make(chan error, 1)
			go func() {
				bufs, sizes := buffers(4, 0, 1500)
				n, err := r.q.ReadBatch(bufs, sizes, 0)
				if n != 0 {
					err = errors.New("packets were read")
				}
				done <- err
			}()
			blocked("ReadBatch")
			must(t, c.wake(r))
			if err := <-done; cause(err) != c.want {
				t.Errorf("the reader has %v, want %v", err, c.want)
			}
			if name == "deadline" {
				must(t, r.q.SetReadDeadline(time.Time{}))
				pkt := allFlows[0].packet(0, 10)
				must(t, r.far.Write(tunlive.VnetHdr{}, pkt))
				bufs, sizes := buffers(1, 0, 1500)
				if n, err := r.q.ReadBatch(bufs, sizes, 0); n != 1 || err != nil {
					t.Errorf("after the deadline: %d, %v", n, err)
				}
				return
			}
			bufs, sizes := buffers(1, 0, 1500)
			if _, err := r.q.ReadBatch(bufs, sizes, 0); cause(err) != c.want || !errors.Is(err, os.ErrClosed) {
				t.Errorf("the next read: %v", err)
			}
			if n, err := r.q.WriteBatch(batch(3, 10, allFlows[0])); n != 0 || cause(err) != c.want {
				t.Errorf("the next write: %d, %v", n, err)
			}
			if s := r.stats().Write; s.Unsent != 3 {
				t.Errorf("%+v", s)
			}
			must(t, r.dev.Close())
			must(t, r.dev.Close())
		})
	}
}

// TestFullQueue checks a writer that waits for room in the kernel: the packets that
// it could send arrive, its deadline ends the wait, and room wakes it.
func TestFullQueue(t *testing.T) {
	r := writing(t, tun.Config{})
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
	want := batch(2000, 1000, allFlows[0])
	sent, err := r.writeShort(want)
	if !errors.Is(err, os.ErrDeadlineExceeded) || sent == len(want) {
		t.Fatalf("without room: %d, %v", sent, err)
	}
	if s := r.stats().Write; s.Unsent != uint64(len(want)-sent) || s.Waits == 0 {
		t.Errorf("%+v", s)
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.q.WriteBatch(want[sent:])
		done <- err
	}()
	blocked("WriteBatch")
	must(t, r.w.Throttle(r.far.Name(), 4e9, 200<<20))
	kick := flow{v6: true, port: 99}.packet(0, 10)
	must(t, other.Write(tunlive.VnetHdr{}, kick)) // held-back packets leave with the next one
	must(t, <-done)                               // room woke the writer
	var got [][]byte
	for ; len(got) < len(want); runtime.Gosched() {
		got = append(got, slices.DeleteFunc(r.arrived(), func(b []byte) bool { return bytes.Equal(b, kick) })...)
	}
	equal(t, got, want)
}

// TestShortQueue checks the packets for which a reader's queue has no room. The
// kernel counts them: the packets sent are those that arrive and those that it
// dropped.
func TestShortQueue(t *testing.T) {
	r := writing(t, tun.Config{})
	must(t, r.w.SetUp(r.far.Name(), 10))
	r.write(batch(200, 1000, allFlows...))
	got := r.arrived()
	_, dropped, err := r.w.Dropped(r.far.Name())
	must(t, err)
	if len(got) != 10 || uint64(len(got))+dropped < 10+4 || r.stats().Write.Sent != 200 {
		t.Errorf("%d arrived, %d dropped, %+v", len(got), dropped, r.stats().Write)
	}
	t.Logf("200 sent, %d arrived, %d frames dropped", len(got), dropped)
}

// TestCounts writes batches of unusual sizes and checks that all packets arrive.
func TestCounts(t *testing.T) {
	r := writing(t, tun.Config{})
	var flows []flow
	for i := range 129 {
		flows = append(flows, flow{port: uint16(1000 + i)})
	}
	same := make([][]byte, 129)
	for i := range same {
		same[i] = flow{udp: true, v6: true, port: 7}.packet(0, 20)
	}
	for name, c := range map[string]struct {
		batch  [][]byte
		writes uint64
	}{
		"129 flows":           {batch(129, 50, flows...), 129},
		"129 flows, 3 each":   {batch(387, 50, flows...), 129},
		"129 equal datagrams": {same, 3},
		"129 packets":         {batch(129, 20, allFlows[0]), 1},
		"66 x 1000 bytes":     {batch(66, 1000, allFlows[0]), 2},
		"none":                {nil, 0},
	} {
		before := r.stats().Write.Writes
		r.write(c.batch)
		got := r.arrived()
		if strings.HasSuffix(name, "each") {
			slices.SortStableFunc(c.batch, func(a, b []byte) int { return int(a[21]) + int(a[20])<<8 - int(b[21]) - int(b[20])<<8 })
		}
		t.Log(name)
		equal(t, got, c.batch)
		if n := r.stats().Write.Writes - before; n != c.writes && (name != "129 equal datagrams" || r.dev.Features().USO) {
			t.Errorf("%s: %d writes, want %d", name, n, c.writes)
		}
	}
}

// TestJunk checks that bytes that are not an IP packet do not keep others from
// arriving.
func TestJunk(t *testing.T) {
	var refusals []*tun.Refusal
	r := writing(t, tun.Config{Observer: tun.Observer{Refused: func(r *tun.Refusal) { refusals = append(refusals, r) }}})
	data := batch(10, 100, allFlows[0])
	in := slices.Concat([][]byte{{}, nil}, data[:5], [][]byte{{}, {0x55, 1, 2, 3}, make([]byte, 60)}, data[5:], [][]byte{nil})
	n, err := r.q.WriteBatch(in)
	if n != 10 || cause(err) != unix.EINVAL {
		t.Errorf("%d, %v", n, err)
	}
	equal(t, r.arrived(), data)
	s := r.stats()
	if s.Write.Refused != 6 || len(refusals) != 6 || s.Write.Sent != 10 || s.Refused != 0 || s.Write.Superpackets != 1 {
		t.Errorf("%+v, %d refusals", s, len(refusals))
	}
	if got := refusals[3]; got.Len != 4 || len(got.Header) != 4 || got.Packets != 1 || got.Err != unix.EINVAL {
		t.Errorf("%v", got)
	}
}

// TestLong checks packets whose length does not fit in their length field. When they
// are written, the kernel counts them. When they are read, they are dropped and
// counted, but the longest valid packet is not.
func TestLong(t *testing.T) {
	w := writing(t, tun.Config{})
	long := flow{port: 1}.packet(0, 65_600) // its length field wraps
	in := [][]byte{flow{port: 2}.packet(0, 10), long, flow{port: 3}.packet(1, 10)}
	w.write(in)
	equal(t, w.arrived(), in)

	r := reading(t, tun.Config{})
	for _, n := range []int{65_575, 65_576, 66_000, 100} {
		must(t, r.far.Write(tunlive.VnetHdr{}, flow{v6: true, port: 1}.packet(0, n-60)))
	}
	bufs, sizes := buffers(8, 0, 70_000)
	n, err := r.q.ReadBatch(bufs, sizes, 0)
	if n != 2 || err != nil || sizes[0] != 65_575 || sizes[1] != 100 {
		t.Errorf("%d, %v, %v", n, sizes, err)
	}
	if s := r.stats().Read; s.Reads != 4 || s.Truncated != 2 || s.Packets != 2 {
		t.Errorf("%+v", s)
	}
}
