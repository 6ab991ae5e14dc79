// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"tunproof/model"
)

// counts are how often something that cannot be delivered comes one after the other.
// Limits of the device are among them.
var counts = []int{1, 63, 64, 65, 128, 1000}

// failures makes the first n calls of a name fail with an errno.
func (s *sim) failures(n int, name string, errno error) {
	s.fault = func(call string) error {
		if call != name || n == 0 {
			return nil
		}
		n--
		return errno
	}
}

// TestReadBehind checks that a reader gets a packet that comes after any number of
// packets that cannot be handed out, of every kind.
func TestReadBehind(t *testing.T) {
	t.Parallel()
	each := func(packet func(w *world) superpacket) func(w *world, n int) {
		return func(w *world, n int) {
			for range n {
				w.queues[0].d.send(packet(w))
			}
		}
	}
	kinds := map[string]func(w *world, n int){ // makes n packets
		"type 9":     each(func(w *world) superpacket { return superpacket{hdr: model.VnetHdr{GSOType: 9}, data: w.packet(0, 100)} }),
		"gso_size 0": each(func(w *world) superpacket { return superpacket{hdr: model.VnetHdr{GSOType: 1}, data: w.packet(0, 100)} }),
		"in a tunnel, which has none": each(func(w *world) superpacket {
			p := w.super(0, 3, 100)
			p.hdr.GSOType |= 0x20
			return p
		}),
		"in a tunnel, cut off": each(func(w *world) superpacket {
			p := w.tunnelled(0, 0, 3, 100)
			p.data = p.data[:60]
			return p
		}),
		"RSC_INFO":      each(func(w *world) superpacket { return superpacket{hdr: model.VnetHdr{Flags: 4}} }),
		"empty":         each(func(w *world) superpacket { return superpacket{} }),
		"70,000 bytes":  each(func(w *world) superpacket { return superpacket{data: make([]byte, 70_000)} }),
		"short buffer":  each(func(w *world) superpacket { return superpacket{data: w.packet(0, 400)} }),
		"short buffers": each(func(w *world) superpacket { return w.super(0, 3, 400) }),
	}
	for _, errno := range faults["read"] {
		kinds[errno.Error()] = func(w *world, n int) {
			if errno != unix.EAGAIN && errno != unix.EBADFD { // these say that there is no packet
				w.failures(n, "read", errno)
			}
			if errno == errShort { // each loses a packet
				each(func(w *world) superpacket { return superpacket{data: w.packet(0, 50)} })(w, n)
			}
		}
	}
	for name, kind := range kinds {
		for _, n := range counts {
			for _, buffers := range []int{0, 1, 128} { // 0: ReadSuper
				for _, observe := range []bool{false, true} {
					if buffers == 0 && strings.HasPrefix(name, "short buffer") {
						continue // it has none
					}
					w := newWorld(newSim(t), Config{}, observe)
					kind(w, n)
					w.bounded(n, func() { w.readOne(fmt.Sprintf("%d x %s, %d buffers", n, name, buffers), buffers) })
				}
			}
		}
	}
}

// readOne sends a packet, and checks that one call gets it, and nothing else.
func (w *world) readOne(after string, buffers int) {
	x, good := w.queues[0], w.packet(1, 100)
	x.d.send(superpacket{data: good})
	w.do(func() {
		var got [][]byte
		var err error
		if buffers == 0 {
			got, err = x.readSuper(true, 1)
		} else {
			got, err = x.readBatch(patterned(buffers, 4, 200), 4)
		}
		if err != nil || len(got) != 1 || !bytes.Equal(got[0], good) {
			w.Fatalf("%s: %d packets, %v", after, len(got), err)
		}
	})
}

// bounded checks that f makes at most a few system calls for each of n packets, and that
// the device is right after it.
func (w *world) bounded(n int, f func()) {
	w.calls = 0
	f()
	if most := 3*n + 10; w.calls > most {
		w.Fatalf("%d system calls, want up to %d", w.calls, most)
	}
	w.check()
	w.finish()
}

// TestDeadReader checks that a read of a device that only fails ends, and says why.
func TestDeadReader(t *testing.T) {
	t.Parallel()
	for _, errno := range faults["read"] {
		for _, super := range []bool{false, true} {
			s := newSim(t)
			w := newWorld(s, Config{}, false)
			x := w.queues[0]
			s.failures(1<<30, "read", errno)
			s.calls = 0
			done := false
			s.start(func() {
				var err error
				if super {
					_, err = x.q.ReadSuper()
				} else {
					_, err = x.q.ReadBatch(patterned(4, 0, 100), make([]int, 4), 0)
				}
				want := errno
				switch errno {
				case unix.EBADFD:
					want = ErrGone
				case errShort:
					want = io.ErrUnexpectedEOF
				}
				if !errors.Is(err, want) {
					t.Errorf("read fails with %v: %v", errno, err)
				}
				x.isNamed("read", err)
				done = true
			})
			for i := 0; i < 10*maxFailed && s.step(); i++ {
			}
			if done != (errno != unix.EAGAIN) { // a reader without packets waits
				t.Errorf("read fails with %v: after %d system calls the call has ended: %v", errno, s.calls, done)
			}
			s.stopAll()
		}
	}
}

// TestFailuresApart checks that reads that fail never end a reader, however many they
// are, if there is a packet between them, or none to be read.
func TestFailuresApart(t *testing.T) {
	t.Parallel()
	for _, packets := range []bool{false, true} {
		w := newWorld(newSim(t), Config{}, false)
		x := w.queues[0]
		for range maxFailed + 10 {
			if packets {
				x.d.send(superpacket{data: w.packet(0, 10)})
			}
			w.failures(1, "read", unix.EIO)
			w.do(func() {
				if got, err := x.readSuper(false, 1); err != nil || len(got) == 1 != packets {
					t.Fatalf("%d packets, %v", len(got), err)
				}
			})
		}
		w.check()
	}
}

// TestWriteBehind checks that a packet is written that comes after any number of packets
// that cannot be sent, of every kind, in one batch.
func TestWriteBehind(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(w *world, n int) []outgoing{
		"junk": func(w *world, n int) []outgoing { return repeated(n, []byte{0x55, 1, 2, 3}) },
		"nil":  func(w *world, n int) []outgoing { return repeated(n, nil) },
		"refused superpackets": func(w *world, n int) (list []outgoing) {
			w.link.refuses = refuseAll
			for range n {
				w.flows[0].SrcPort++ // the next flow
				list = append(list, outgoing{-1, w.packet(0, 100)}, outgoing{-1, w.packet(0, 100)})
			}
			return list
		},
		"poll": func(w *world, n int) []outgoing { // it fails, and there is no room until then
			d := w.queues[0].d
			d.makeRoom(0)
			w.fault = func(call string) error {
				switch {
				case call == "poll" && n > 0:
					n--
					return unix.ENOMEM
				case call == "writev" && n == 0:
					d.makeRoom(10)
				}
				return nil
			}
			return nil
		},
	}
	for _, errno := range faults["writev"] {
		kinds[errno.Error()] = func(w *world, n int) (list []outgoing) {
			if errno == unix.EBADFD {
				return nil // it ends the call
			}
			w.failures(n, "writev", errno)
			for range n {
				w.flows[0].SrcPort++
				list = append(list, outgoing{-1, w.packet(0, 100)})
			}
			return list
		}
	}
	for name, kind := range kinds {
		for _, n := range counts {
			w := newWorld(newSim(t), Config{}, n%2 == 0)
			x := w.queues[0]
			list, good := kind(w, n), w.packet(1, 100)
			w.bounded(n, func() {
				w.do(func() {
					x.writeBatch(append(list, outgoing{1, good}))
					if last := x.d.written[len(x.d.written)-1]; last.err != nil || !bytes.Equal(last.data, good) {
						t.Fatalf("%d x %s: the last write: %v", n, name, last.err)
					}
				})
			})
		}
	}
}

// repeated returns a packet n times.
func repeated(n int, b []byte) (list []outgoing) {
	for range n {
		list = append(list, outgoing{-1, b})
	}
	return list
}

// TestNeverRoom checks that a writer that cannot write, although the kernel says there
// is room, is still ended by Close and by a deadline.
func TestNeverRoom(t *testing.T) {
	t.Parallel()
	for _, errno := range []error{unix.EAGAIN, unix.EINTR} {
		for _, end := range []string{"Close", "CloseQueue", "late"} {
			s := newSim(t)
			w := newWorld(s, Config{}, false)
			s.failures(1<<30, "writev", errno)
			actions["WriteBatch"](w)
			for range 5 * maxAgain {
				s.step()
			}
			s.calls = 0
			actions[end](w)
			s.choose = func(n int) int { return s.calls % n } // each in turn
			for s.calls < 10*maxAgain && s.step() {
			}
			if len(s.threads) > 0 {
				t.Errorf("%v for ever: %s does not end the call", errno, end)
			}
			s.stopAll()
		}
	}
}
