// SPDX-License-Identifier: MIT

package tun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Queue is one descriptor of a Device.
type Queue struct {
	dev    *Device
	file   file
	raw    syscall.RawConn
	closed atomic.Bool
	r      reader
	w      writer
}

// newQueue makes a queue of an attached, non-blocking descriptor. It takes the
// descriptor over, and closes it on error.
func (d *Device) newQueue(fd int) (*Queue, error) {
	q := &Queue{dev: d, file: d.sys.file(fd, d.name)}
	var err error
	if q.raw, err = q.file.SyscallConn(); err == nil {
		err = q.file.SetDeadline(time.Time{}) // fails if the descriptor is not in the poller
	}
	if err != nil {
		q.file.Close()
		return nil, fmt.Errorf("%s: the descriptor cannot be polled: %w", d.name, err)
	}
	q.r.init(q)
	q.w.init(q)
	return q, nil
}

// SetDeadline sets both deadlines, like that of a net.Conn. From then on, calls that
// wait and later calls return os.ErrDeadlineExceeded. The zero time means no
// deadline.
func (q *Queue) SetDeadline(t time.Time) error { return q.deadline(q.file.SetDeadline(t)) }

// SetReadDeadline sets the deadline of reads. Segments left over from an earlier read are
// still returned after it, and only then os.ErrDeadlineExceeded.
func (q *Queue) SetReadDeadline(t time.Time) error { return q.deadline(q.file.SetReadDeadline(t)) }

// SetWriteDeadline sets the deadline of writes.
func (q *Queue) SetWriteDeadline(t time.Time) error { return q.deadline(q.file.SetWriteDeadline(t)) }

// deadline names the error of setting a deadline.
func (q *Queue) deadline(err error) error {
	if err != nil && q.closed.Load() {
		err = os.ErrClosed
	}
	n := named{op: "set deadline", device: q.dev.name}
	return n.error(err)
}

// Close closes the descriptor. Calls that wait return os.ErrClosed. What the kernel has
// not handed out is lost; segments left over from the last read can still be read. A
// second Close returns an error that is os.ErrClosed.
func (q *Queue) Close() error {
	q.closed.Store(true)
	return q.file.Close()
}

// SyscallConn returns the descriptor, for operations that this package does not have.
// Reading from it misses packets that were read but not handed out. Each packet has a
// virtio_net_hdr of Device.VnetHdrLen bytes in front.
func (q *Queue) SyscallConn() (syscall.RawConn, error) { return q.file.SyscallConn() }

// why turns an error of RawConn into the one that the caller gets.
func (q *Queue) why(err error) error {
	switch {
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case q.closed.Load():
		return os.ErrClosed
	}
	// The poller only reports that a deleted interface cannot be polled.
	if _, e := q.name(); e == unix.EBADFD {
		return ErrGone
	}
	return err
}

// name asks the kernel for the interface's name. The error is EBADFD if the interface
// was deleted.
func (q *Queue) name() (string, error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	if e := q.raw.Control(func(fd uintptr) { err = q.dev.sys.ifreq(int(fd), unix.TUNGETIFF, ifr) }); e != nil {
		return "", e
	}
	return ifr.Name(), err
}

// named gives errors the names of an operation and of the device. The last is kept,
// because the next is most often the same.
type named struct {
	op, device string
	last       *fs.PathError
}

func (n *named) error(err error) error {
	if err == nil {
		return nil
	}
	if n.last == nil || n.last.Err != err {
		n.last = &fs.PathError{Op: n.op, Path: n.device, Err: err}
	}
	return n.last
}

// Stats returns the counters of this queue, also after it was closed. Calls that have not
// returned are not counted, except in Waits. Refused and UDPLimited are zero: what was
// switched off is a matter of the device.
func (q *Queue) Stats() Stats {
	var s Stats
	q.addStats(&s)
	return s
}

func (q *Queue) addStats(s *Stats) {
	q.r.total.Lock()
	s.Read.add(&q.r.total.ReadStats)
	q.r.total.Unlock()
	q.w.total.Lock()
	s.Write.add(&q.w.total.WriteStats)
	q.w.total.Unlock()
}
