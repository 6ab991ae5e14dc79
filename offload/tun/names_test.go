// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// isError checks an error's text and cause.
func isError(t *testing.T, what string, err error, text string, cause error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) || cause != nil && !errors.Is(err, cause) {
		t.Errorf("%s: %v, want %q", what, err, text)
	}
}

// TestOpenSays checks that an error of Open says what is wrong.
func TestOpenSays(t *testing.T) {
	for what, c := range map[string]struct {
		cfg   Config
		make  func(s *sim)
		text  string
		cause error
	}{
		"a loopback": {Config{Name: "lo"}, func(s *sim) {}, "TUNSETIFF lo: invalid argument (it is not a TUN)", unix.EINVAL},
		"a TAP":      {Config{Name: "tap0"}, func(s *sim) { s.add("tap0", unix.IFF_TAP) }, "(it is a TAP)", unix.EINVAL},
		"many queues": {Config{Name: "tun0"}, func(s *sim) { s.add("tun0", unix.IFF_TUN).multi = true },
			"(it has IFF_MULTI_QUEUE: open it with Config.MultiQueue)", unix.EINVAL},
		"one queue": {Config{Name: "tun0", Queues: 2}, func(s *sim) { s.add("tun0", unix.IFF_TUN) },
			"(it has no IFF_MULTI_QUEUE, but Config.Queues or MultiQueue asks for it)", unix.EINVAL},
		"a name": {Config{Name: "a b"}, func(s *sim) {}, "TUNSETIFF a b: invalid argument (no interface can have this name)", unix.EINVAL},
		"busy":   {Config{Name: "tun7"}, func(s *sim) { s.foreign(1); s.links[1].multi = false }, "(somebody else has it open)", unix.EBUSY},
		"full":   {Config{Name: "tun7", Queues: 2}, func(s *sim) { s.foreign(255) }, "(it has all the queues it can)", unix.E2BIG},
	} {
		s := newSim(t)
		c.make(s)
		before := len(s.fds)
		_, err := open(c.cfg, s)
		isError(t, what, err, c.text, c.cause)
		if len(s.fds) != before {
			t.Errorf("%s: %d descriptors are left", what, len(s.fds)-before)
		}
	}
}

// TestAddQueueSays checks that AddQueue finds its interface wherever it is, and says
// where it is not.
func TestAddQueueSays(t *testing.T) {
	for what, c := range map[string]struct {
		change func(w *world)
		text   string // "" if a queue is added
		gone   bool
	}{
		"nothing": {func(w *world) {}, "", false},
		"renamed": {func(w *world) { w.move(w.link, "other", 0) }, "", false},
		"renamed, and another has the name": {func(w *world) {
			w.move(w.link, "other", 0)
			w.add("tun0", unix.IFF_TUN).multi = true
		}, "", false},
		"moved": {func(w *world) { w.move(w.link, "tun0", 1) }, "add queue tun0: the interface is not in this network namespace", false},
		"moved, and another has the name": {func(w *world) {
			w.move(w.link, "tun0", 1)
			w.add("tun0", unix.IFF_TUN).multi = true
		}, "not in this network namespace", false},
		"deleted": {func(w *world) { w.delete(w.link) }, "add queue tun0: the interface was deleted", true},
		"deleted, and another has the name": {func(w *world) {
			w.delete(w.link)
			w.add("tun0", unix.IFF_TUN).multi = true
		}, "add queue tun0: the interface was deleted", true},
		"all queues closed": {func(w *world) { w.link.persist = true; w.queues[0].q.Close() }, "", false},
		"all queues closed, and another has the name": {func(w *world) {
			w.queues[0].q.Close()
			w.add("tun0", unix.IFF_TUN).multi = true
		}, "not in this network namespace", false},
		"no descriptors": {func(w *world) { w.failures(1, "socket", unix.EMFILE) }, "add queue tun0: too many open files", false},
		"single queue":   {func(w *world) { w.dev.cfg.MultiQueue = false }, "without IFF_MULTI_QUEUE", false},
	} {
		w := newWorld(newSim(t), Config{MultiQueue: true}, false)
		c.change(w)
		links := len(w.links)
		_, err := w.addQueue()
		if c.text == "" && err == nil {
			continue
		}
		isError(t, what, err, c.text, nil)
		if errors.Is(err, ErrGone) != c.gone || errors.Is(err, os.ErrClosed) != c.gone {
			t.Errorf("%s: %v: ErrGone: %v", what, err, !c.gone)
		}
		if len(w.links) != links {
			t.Errorf("%s: an interface was made", what)
		}
	}
}

// TestAddQueueAdopted checks that a device that was adopted from another namespace, where
// an interface's index has another meaning, gets no queue of a stranger's interface.
func TestAddQueueAdopted(t *testing.T) {
	for i, errno := range []error{nil, nil, unix.EMFILE} {
		s := newSim(t)
		fds := s.foreign(1)
		if errno == nil {
			s.links[1].ns++
		} else {
			s.failures(1, "socket", errno)
		}
		if i == 1 { // the name has another owner from the start
			s.add("tun7", unix.IFF_TUN).multi = true
		}
		d, err := adopt(Config{}, s, fds...)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			s.add("tun7", unix.IFF_TUN).multi = true
		}
		_, err = d.AddQueue()
		isError(t, "adopted", err, "add queue tun7: the interface's index was not to be had when the device was made", errno)
		if _, err := d.MTU(); err == nil {
			t.Error("it has the MTU of a stranger's interface")
		}
	}
}

// TestArguments checks that ReadBatch refuses arguments with which nothing can be read,
// says which, and loses nothing.
func TestArguments(t *testing.T) {
	w := newWorld(newSim(t), Config{}, false)
	x := w.queues[0]
	x.d.send(superpacket{data: w.packet(0, 10)})
	bufs := func(rooms ...int) [][]byte { return patterned(len(rooms), 0, rooms...) }
	for what, c := range map[string]struct {
		bufs   [][]byte
		sizes  int
		offset int
		text   string
	}{
		"nothing":               {nil, 0, 0, "read tun0: no buffers"},
		"no buffers":            {bufs(), 3, 0, "read tun0: no buffers"},
		"few sizes":             {bufs(100, 100), 1, 0, "read tun0: 2 buffers, but only 1 sizes"},
		"negative":              {bufs(100), 1, -1, "read tun0: the offset is -1: want 0 or more"},
		"beyond":                {bufs(100), 1, 101, "read tun0: buffer 0 has 100 bytes: no room after the offset of 101"},
		"no room":               {bufs(100), 1, 100, "read tun0: buffer 0 has 100 bytes: no room after the offset of 100"},
		"no room in the second": {bufs(100, 20), 2, 20, "read tun0: buffer 1 has 20 bytes: no room after the offset of 20"},
		"an empty buffer":       {bufs(100, 100, 0), 3, 0, "read tun0: buffer 2 has 0 bytes: no room after the offset of 0"},
	} {
		n, err := x.q.ReadBatch(c.bufs, make([]int, c.sizes), c.offset)
		isError(t, what, err, c.text, nil)
		if n != 0 {
			t.Errorf("%s: %d packets", what, n)
		}
	}
	if got, err := x.readBatch(bufs(100), 0); len(got) != 1 || err != nil {
		t.Errorf("the packet is lost: %d, %v", len(got), err)
	}
	w.finish()
}

// TestCallsSay checks the text and the cause of errors of the data path.
func TestCallsSay(t *testing.T) {
	w := newWorld(newSim(t), Config{}, false)
	x := w.queues[0]
	isError(t, "junk", x.writeBatch(repeated(1, []byte{0x55})), "write tun0: invalid argument", unix.EINVAL)
	w.link.down = true
	isError(t, "down", x.writeBatch(w.batchOf(1, 1)), "write tun0: input/output error", unix.EIO)
	w.link.down = false
	w.failures(1, "writev", errShort)
	isError(t, "short", x.writeBatch(w.batchOf(1, 1)), "write tun0: short write", nil)
	x.d.file.SetDeadline(w.now)
	_, err := x.readBatch(patterned(1, 0, 9), 0)
	isError(t, "late", err, "read tun0: i/o timeout", os.ErrDeadlineExceeded)
	if !os.IsTimeout(err) {
		t.Errorf("%v is no timeout", err)
	}
	isError(t, "late", x.writeBatch(w.batchOf(1, 1)), "write tun0: i/o timeout", os.ErrDeadlineExceeded)
	x.d.file.SetDeadline(w.now.Add(1))
	w.delete(w.link)
	_, err = x.readBatch(patterned(1, 0, 9), 0)
	isError(t, "gone", err, "read tun0: the interface was deleted", ErrGone)
	isError(t, "gone", x.writeBatch(w.batchOf(1, 1)), "write tun0: the interface was deleted", os.ErrClosed)
	_, err = w.dev.AddQueue()
	isError(t, "gone", err, "add queue tun0: the interface was deleted", ErrGone)
	w.close()
	_, err = w.dev.AddQueue()
	isError(t, "closed", err, "add queue tun0: file already closed", os.ErrClosed)
	_, err = w.dev.MTU()
	isError(t, "closed", err, "MTU of tun0: file already closed", os.ErrClosed)
	isError(t, "closed", w.dev.SetTxQueueLen(9), "set TxQueueLen of tun0: file already closed", os.ErrClosed)
	isError(t, "closed", x.writeBatch(w.batchOf(1, 1)), "write tun0: file already closed", os.ErrClosed)
	isError(t, "closed", x.q.SetDeadline(w.now), "set deadline tun0: file already closed", os.ErrClosed)
}
