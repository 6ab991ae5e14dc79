// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"errors"
	"iter"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/tunlive/guard"
)

// schedule decides which of several threads goes on, and which calls fail. Threads are
// coroutines: one runs until it pauses, at a system call. A thread that waits has a
// condition; it can go on when that holds.
type schedule struct {
	threads []*thread
	running *thread                 // nil: the test itself runs
	choose  func(n int) int         // returns a number below n: the thread that goes on
	fault   func(call string) error // returns the errno with which a call fails, or nil
	fine    bool                    // also pause at the end of a call
	calls   int                     // system calls so far
	faults  map[fault]int           // faults so far
}

// fault is a call and the errno with which it failed.
type fault struct {
	call string
	err  error
}

// thread is a goroutine that uses the device.
type thread struct {
	at     string      // the call at which it pauses
	ready  func() bool // nil: it can go on
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
}

// faults has the errnos that the kernel can return from each call.
var faults = map[string][]error{
	"open":               {unix.ENOENT, unix.EACCES, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENXIO, unix.EINTR},
	"socket":             {unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EAFNOSUPPORT, unix.EPERM},
	"close":              {unix.EINTR, unix.EIO},
	"fcntl":              {unix.EBADF, unix.EPERM},
	"TUNSETIFF":          {unix.EPERM, unix.EBUSY, unix.EINVAL, unix.E2BIG, unix.ENOMEM, unix.EINTR, unix.EFAULT, unix.EEXIST},
	"TUNSETIFF EXCL":     {unix.EPERM, unix.EBUSY, unix.EINVAL, unix.E2BIG, unix.ENOMEM, unix.EINTR, unix.EFAULT, unix.EEXIST},
	"TUNGETIFF":          {unix.EBADFD, unix.EINTR, unix.EFAULT, unix.EPERM},
	"SIOCGIF":            {unix.ENODEV, unix.EINTR, unix.EPERM},
	"RTM_SETLINK":        {unix.EPERM, unix.EINVAL, unix.ENODEV, unix.ENOMEM, unix.ERANGE, unix.EBUSY, unix.EMFILE, unix.ENOBUFS, unix.EAFNOSUPPORT, unix.EPROTO},
	"SIOCETHTOOL":        {unix.ENODEV, unix.EOPNOTSUPP, unix.EINTR, unix.EPERM},
	"TUNSETOFFLOAD":      {unix.EINVAL, unix.EBADFD, unix.EINTR, unix.EPERM},
	"TUNSETVNETHDRSZ":    {unix.EINVAL, unix.EBADFD, unix.EFAULT, unix.EINTR},
	"TUNSETVNETHDRSZ 24": {unix.EINVAL, unix.EBADFD, unix.EFAULT, unix.EINTR},
	"TUNSETVNETLE":       {unix.EINVAL, unix.EBADFD, unix.EFAULT, unix.EINTR},
	"TUNGETVNETHDRSZ":    {unix.EINVAL, unix.EBADFD, unix.EFAULT, unix.ENOTTY},
	"TUNGETVNETLE":       {unix.EINVAL, unix.EBADFD, unix.EFAULT, unix.ENOTTY},
	"TUNGETVNETBE":       {unix.EINVAL, unix.EBADFD, unix.EFAULT, unix.ENOTTY},
	"TUNGETFEATURES":     {unix.EFAULT, unix.EPERM, unix.EINTR, unix.ENOTTY, unix.EINVAL},
	"TUNGETDEVNETNS":     {unix.EPERM, unix.EINVAL, unix.ENOTTY, unix.EMFILE, unix.EBADFD},
	"poller":             {os.ErrNoDeadline},
	"read":               {unix.EINTR, unix.EAGAIN, unix.EINVAL, unix.EIO, unix.ENOBUFS, unix.ENOMEM, unix.EBADFD, unix.EMSGSIZE, unix.EPERM, unix.EFAULT, errShort},
	"writev":             {unix.EINTR, unix.EAGAIN, unix.EINVAL, unix.EIO, unix.ENOBUFS, unix.ENOMEM, unix.EBADFD, unix.EMSGSIZE, unix.EPERM, unix.EFAULT, guard.ErrFragment, errShort},
	"poll":               {unix.EINTR, unix.ENOMEM},
}

// invoke is a system call: a pause, a failure or what the kernel does, and a pause.
func invoke[T any](s *sim, name string, do func() (T, error)) (T, error) {
	s.pause(name, nil)
	var v T
	err := s.failure(name)
	if err == nil {
		v, err = do()
	}
	s.end(name)
	return v, err
}

// failure returns the errno that a call fails with, or nil.
func (s *schedule) failure(call string) error {
	s.calls++
	if s.fault == nil {
		return nil
	}
	err := s.fault(call)
	if err != nil {
		if s.faults == nil {
			s.faults = map[fault]int{}
		}
		s.faults[fault{call, err}]++
	}
	return err
}

// end is the end of a call.
func (s *schedule) end(call string) {
	if s.fine {
		s.pause(call, nil)
	}
}

// errStopped ends a thread whose test is over.
var errStopped = errors.New("the thread was stopped")

// pause lets other threads run until ready is true; nil stands for at once.
func (s *schedule) pause(at string, ready func() bool) {
	t := s.running
	switch {
	case t != nil:
		t.at, t.ready = at, ready
		if !t.yield(struct{}{}) {
			panic(errStopped)
		}
	case ready != nil && !ready():
		panic("the test itself would wait for ever at " + at)
	}
}

// start makes a thread.
func (s *schedule) start(f func()) {
	t := &thread{at: "start"}
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if p := recover(); p != nil && p != errStopped {
				panic(p)
			}
		}()
		t.yield = yield
		f()
	})
	s.threads = append(s.threads, t)
}

// stopAll ends all threads.
func (s *schedule) stopAll() {
	for _, t := range s.threads {
		t.stop()
	}
	s.threads = nil
}

// step lets one of the threads that can go on run until its next pause. It returns
// false if there is none.
func (s *schedule) step() bool {
	var can []*thread
	for _, t := range s.threads {
		if t.ready == nil || t.ready() {
			can = append(can, t)
		}
	}
	if len(can) == 0 {
		return false
	}
	t := can[0]
	if len(can) > 1 {
		t = can[s.choose(len(can))]
	}
	t.ready, s.running = nil, t
	_, more := t.resume()
	s.running = nil
	if !more {
		s.threads = slices.DeleteFunc(s.threads, func(o *thread) bool { return o == t })
	}
	return true
}

// run lets the threads run until none can go on.
func (s *sim) run() {
	for n := 0; s.step(); n++ {
		if n == 20*maxFailed {
			s.Fatalf("a call makes system calls without end, %s last", s.threads[0].at)
		}
	}
}

// simMutex is a lock. A thread waits for it if another has it.
type simMutex struct {
	s      *sim
	held   bool
	locked func() // called when it was locked; may be nil
}

func (s *sim) mutex() sync.Locker { return &simMutex{s: s} }

func (m *simMutex) Lock() {
	if m.held {
		m.s.pause("lock", func() bool { return !m.held })
	}
	m.held = true
	if m.locked != nil {
		m.locked()
	}
}

func (m *simMutex) Unlock() {
	if !m.held {
		m.s.Fatalf("a lock is released that nobody holds")
	}
	m.held = false
}

// simFile is a descriptor in a simulation of Go's poller (internal/poll), where a wait
// ends at the next event after the last one that was waited for.
type simFile struct {
	s       *sim
	d       *desc
	r, w    side
	users   int // calls under way
	closing bool
}

// side is the reading or writing side.
type side struct {
	busy     bool // a call is under way
	ready    bool // there was an event
	deadline time.Time
}

var (
	errClosing     = errors.New("use of closed file")
	errNotPollable = errors.New("not pollable")
)

func (f *simFile) SyscallConn() (syscall.RawConn, error) { return f, nil }

// Control calls g with the descriptor, which stays open meanwhile.
func (f *simFile) Control(g func(fd uintptr)) error {
	if f.closing {
		return errClosing
	}
	f.users++
	defer f.release()
	g(uintptr(f.d.num))
	return nil
}

func (f *simFile) Read(step func(fd uintptr) bool) error { return f.wait(&f.r, "wait to read", step) }

func (f *simFile) Write(step func(fd uintptr) bool) error {
	return f.wait(&f.w, "wait to write", step)
}

// wait calls step until it returns true, each time after an event.
func (f *simFile) wait(x *side, at string, step func(fd uintptr) bool) error {
	f.s.pause(at, func() bool { return !x.busy || f.closing })
	if f.closing {
		return errClosing
	}
	x.busy = true
	f.users++
	defer func() { x.busy = false; f.release() }()
	err := f.check(x)
	x.ready = false
	for err == nil && !step(uintptr(f.d.num)) {
		if x == &f.w {
			f.s.waits++
		}
		if err = f.check(x); err == nil {
			f.s.pause(at, func() bool { return x.ready || f.check(x) != nil })
			err = f.check(x)
		}
		x.ready = false
	}
	return err
}

// check returns the reason why a call cannot wait.
func (f *simFile) check(x *side) error {
	switch {
	case f.closing:
		return errClosing
	case !x.deadline.IsZero() && !f.s.now.Before(x.deadline):
		return os.ErrDeadlineExceeded
	case x == &f.r && f.d.link.gone:
		return errNotPollable
	}
	return nil
}

// release ends a call. The last one after Close closes the descriptor.
func (f *simFile) release() {
	f.users--
	if f.closing && f.users == 0 {
		f.s.drop(f.d)
	}
}

// Close wakes all calls, and waits for them.
func (f *simFile) Close() error {
	f.s.pause("close", nil)
	if f.closing {
		return os.ErrClosed
	}
	f.users++
	f.closing = true
	f.release()
	f.s.pause("wait to close", func() bool { return f.users == 0 })
	err := f.s.failure("close")
	f.s.end("close")
	return err
}

func (f *simFile) SetDeadline(t time.Time) error      { return f.set(t, &f.r, &f.w) }
func (f *simFile) SetReadDeadline(t time.Time) error  { return f.set(t, &f.r) }
func (f *simFile) SetWriteDeadline(t time.Time) error { return f.set(t, &f.w) }

func (f *simFile) set(t time.Time, sides ...*side) error {
	_, err := invoke(f.s, "poller", func() (struct{}, error) {
		if f.closing {
			return struct{}{}, errClosing
		}
		for _, x := range sides {
			x.deadline = t
		}
		return struct{}{}, nil
	})
	return err
}

// explore calls run once for each sequence of choices that it can make.
func explore(run func(choose func(n int) int)) {
	type choice struct{ at, of int }
	var path []choice
	for {
		n := 0
		run(func(of int) int {
			if n == len(path) {
				path = append(path, choice{0, of})
			}
			n++
			return path[n-1].at
		})
		for len(path) > 0 && path[len(path)-1].at == path[len(path)-1].of-1 {
			path = path[:len(path)-1]
		}
		if len(path) == 0 {
			return
		}
		path[len(path)-1].at++
	}
}
