package tun

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Queue is one descriptor of a Device.
type Queue struct {
	dev    *Device
	file   *os.File
	raw    syscall.RawConn
	closed atomic.Bool
	r      reader
	w      writer
}

// newQueue makes a queue of an attached, non-blocking descriptor. It takes the
// descriptor over, and closes it on error.
func (d *Device) newQueue(fd int) (*Queue, error) {
	q := &Queue{dev: d, file: os.NewFile(uintptr(fd), d.name)}
	var err error
	if q.raw, err = q.file.SyscallConn(); err == nil {
		err = q.file.SetDeadline(time.Time{}) // fails if the descriptor is not in the poller
	}
	if err != nil {
		q.file.Close()
		return nil, fmt.Errorf("tun: %s: the descriptor cannot be polled: %w", d.name, err)
	}
	q.r.init(q)
	q.w.init(q)
	return q, nil
}

// SetDeadline sets both deadlines, like that of a net.Conn. From then on, calls that
// wait and later calls return os.ErrDeadlineExceeded. The zero time means no
// deadline.
func (q *Queue) SetDeadline(t time.Time) error { return q.file.SetDeadline(t) }

// SetReadDeadline sets the deadline of reads.
func (q *Queue) SetReadDeadline(t time.Time) error { return q.file.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of writes.
func (q *Queue) SetWriteDeadline(t time.Time) error { return q.file.SetWriteDeadline(t) }

// Close closes the descriptor. Calls that wait return os.ErrClosed. Packets that were
// read but not handed out are lost. A second Close returns an error that is
// os.ErrClosed.
func (q *Queue) Close() error {
	q.closed.Store(true)
	return q.file.Close()
}

// SyscallConn returns the descriptor, for operations that this package does not have.
// Reading from it misses packets that were read but not handed out.
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
	gone := false
	_ = q.raw.Control(func(fd uintptr) {
		ifr, e := unix.NewIfreq("")
		gone = e == nil && unix.IoctlIfreq(int(fd), unix.TUNGETIFF, ifr) == unix.EBADFD
	})
	if gone {
		return ErrGone
	}
	return fmt.Errorf("tun: %s: %w", q.dev.name, err)
}

func (q *Queue) addStats(s *Stats) {
	q.r.total.Lock()
	s.Read.add(&q.r.total.ReadStats)
	q.r.total.Unlock()
	q.w.total.Lock()
	s.Write.add(&q.w.total.WriteStats)
	q.w.total.Unlock()
}
