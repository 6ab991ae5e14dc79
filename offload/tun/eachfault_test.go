// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"cmp"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/model"
	"tunproof/offload"
)

// scripts are sequences of calls in which each system call fails in turn.
var scripts = map[string]func(w *world){
	"AddQueue": func(w *world) {
		w.do(func() { w.addQueue() })
	},
	"SetMTU":     func(w *world) { w.do(func() { w.number(mtuSetting, 1280) }) },
	"TxQueueLen": func(w *world) { w.do(func() { w.number(txQueueLenSetting, 0) }) },
	"ReadBatch": func(w *world) {
		x := w.queues[0]
		x.d.send(w.super(0, 3, 100))
		x.d.send(superpacket{data: w.packet(1, 100)})
		for range 2 {
			w.start(func() { x.readBatch(patterned(2, 4, 200), 4) })
			w.run()
		}
	},
	"ReadSuper": func(w *world) {
		x := w.queues[0]
		for _, wait := range []bool{true, false, false} {
			x.d.send(w.super(0, 3, 100))
			w.start(func() { x.readSuper(wait, 5) })
			w.run()
		}
	},
	"WriteBatch": func(w *world) {
		x := w.queues[0]
		batch := append(w.batchOf(3, 2), outgoing{-1, []byte{0x55}}, outgoing{0, w.packet(0, 100)})
		x.d.makeRoom(2)
		w.start(func() { x.writeBatch(batch) })
		w.run()
		x.d.makeRoom(100)
		w.run()
	},
	"a refused superpacket": func(w *world) {
		x := w.queues[0]
		w.link.refuses = refuseAll
		batch := w.batchOf(3, 2)
		w.start(func() { x.writeBatch(batch) })
		w.run()
	},
	"deadline": func(w *world) {
		x := w.queues[0]
		w.start(func() { x.readBatch(patterned(1, 0, 200), 0) })
		w.run()
		w.do(func() { x.q.SetReadDeadline(w.now.Add(time.Second)) })
		w.now = w.now.Add(time.Second)
		w.run()
	},
	"deleted": func(w *world) {
		x := w.queues[0]
		w.start(func() { x.readBatch(patterned(1, 0, 200), 0) })
		w.run()
		w.delete(w.link)
		w.run()
		w.do(func() { x.writeBatch(w.batchOf(2, 1)) })
	},
	"Close": func(w *world) {
		x := w.queues[0]
		w.start(func() { x.readBatch(patterned(1, 0, 200), 0) })
		w.run()
		w.do(w.close)
	},
}

// refuseAll refuses superpackets, as an old kernel does.
func refuseAll(model.VnetHdr, int) bool { return true }

// failing is a system call that fails: its number in the run, and which of its errnos it
// gives.
type failing struct{ at, errno int }

// eachFault runs a script once for each list of up to depth faults, one for each system
// call and each errno that it can give. It returns the number of runs.
func eachFault(t *testing.T, depth int, script func(s *sim)) (runs int) {
	var run func(list []failing)
	run = func(list []failing) {
		var names []string
		s := newSim(t)
		next := 0
		s.choose = func(int) int { return 0 }
		s.fault = func(call string) error {
			names = append(names, call)
			if next == len(list) || list[next].at != len(names)-1 {
				return nil
			}
			next++
			return faults[call][list[next-1].errno]
		}
		script(s)
		runs++
		if len(list) == depth {
			return
		}
		after := -1
		if len(list) > 0 {
			after = list[len(list)-1].at
		}
		for at := after + 1; at < len(names); at++ {
			for e := range faults[names[at]] {
				run(append(list[:len(list):len(list)], failing{at, e}))
			}
		}
	}
	run(nil)
	return runs
}

// depth is the number of faults of a run.
func depth() int {
	if testing.Short() {
		return 1
	}
	return 2
}

// TestEachFault lets each system call of some scripts fail with each errno, and then
// each pair of them.
func TestEachFault(t *testing.T) {
	t.Parallel()
	for name, script := range scripts {
		run := func(observe bool) func(s *sim) {
			return func(s *sim) {
				inject := s.fault
				s.fault = nil
				w := newWorld(s, Config{MultiQueue: true}, observe)
				s.fault = inject
				script(w)
				w.finish()
			}
		}
		t.Logf("%s: %d runs", name, eachFault(t, depth(), run(false))+eachFault(t, 1, run(true)))
	}
}

// TestOpenFaults lets each system call of Open and Adopt fail. No descriptor is left
// then. If the device is made nevertheless, it is right.
func TestOpenFaults(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(s *sim) (*Device, error){
		"Open":         func(s *sim) (*Device, error) { return open(Config{}, s) },
		"Open, name":   func(s *sim) (*Device, error) { return open(Config{Name: "vpn0"}, s) },
		"Open, queues": func(s *sim) (*Device, error) { return open(Config{Queues: 2}, s) },
		"Open, settings": func(s *sim) (*Device, error) {
			return open(Config{MTU: 1280, TxQueueLen: 30, Backpressure: true}, s)
		},
		"Open, no tunnels": func(s *sim) (*Device, error) { return open(Config{NoTunnels: true}, s) },
		"Open, an old kernel": func(s *sim) (*Device, error) {
			s.noOffload = tunnelMask
			return open(Config{Queues: 2}, s)
		},
		"Open, existing": func(s *sim) (*Device, error) {
			l := s.add("tun7", unix.IFF_TUN)
			l.persist, l.hdrLen = true, 24
			return open(Config{Name: "tun7"}, s)
		},
		"Adopt, 24 bytes": func(s *sim) (*Device, error) {
			fds := s.foreign(2)
			s.links[1].hdrLen = 24
			return adopt(Config{}, s, fds...)
		},
		"Adopt, settings": func(s *sim) (*Device, error) { return adopt(Config{MTU: 1280}, s, s.foreign(1)...) },
		"Adopt":           func(s *sim) (*Device, error) { return adopt(Config{}, s, s.foreign(2)...) },
	} {
		n := eachFault(t, depth(), func(s *sim) {
			d, err := start(s)
			if n := (&world{sim: s}).fatal(); n > 0 && err == nil {
				t.Fatalf("%s: a failure is ignored: %v", name, s.faults)
			}
			if err != nil {
				if len(s.fds) > 0 {
					t.Fatalf("%s: %v: %d descriptors are left: %v", name, err, len(s.fds), s.faults)
				}
				known := false
				for f := range s.faults {
					known = known || errors.Is(err, f.err)
				}
				if !known || !strings.HasPrefix(err.Error(), "tun: ") {
					t.Fatalf("%s: %v, after %v", name, err, s.faults)
				}
				return
			}
			s.fault = nil
			l := s.find(d.Name(), s.ns)
			if l == nil || l.hdrLen != d.hdrLen || l.hdrLen != offload.VnetHdrLen && !l.takesTunnels() && name != "Adopt, 24 bytes" || l.notNative || l.mask != d.mask || len(l.fds) != d.Queues() || d.Features().USO != (l.mask&usoMask == usoMask) {
				t.Fatalf("%s: %+v of %+v, after %v", name, l, d, s.faults)
			}
			if strings.Contains(name, "settings") && (l.mtu != 1280 || int(l.txQueueLen) != cmp.Or(d.cfg.TxQueueLen, 500)) || d.Features().Backpressure != l.backpressure {
				t.Fatalf("%s: %+v, after %v", name, l, s.faults)
			}
			d.Close()
			if len(s.fds) > 0 {
				t.Fatalf("%s: %d descriptors are left: %v", name, len(s.fds), s.faults)
			}
		})
		t.Logf("%s: %d runs", name, n)
	}
}

// foreign returns n descriptors of an interface, from somebody else.
func (s *sim) foreign(n int) (fds []int) {
	l := s.add("tun7", unix.IFF_TUN)
	l.multi = true
	for range n {
		fd := s.newFD(false)
		s.fds[fd].link = l
		l.fds = append(l.fds, s.fds[fd])
		fds = append(fds, fd)
	}
	return fds
}
