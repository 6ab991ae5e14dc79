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

// newQueue makes a queue of a descriptor that is attached and non-blocking. It
// takes it over: with an error it is closed.
func (d *Device) newQueue(fd int) (*Queue, error) {
	q := &Queue{dev: d, file: os.NewFile(uintptr(fd), d.name)}
	var err error
	if q.raw, err = q.file.SyscallConn(); err == nil {
		err = q.file.SetDeadline(time.Time{}) // fails if it is not in the poller
	}
	if err != nil {
		q.file.Close()
		return nil, fmt.Errorf("tun: %s: a descriptor that cannot be polled: %w", d.name, err)
	}
	q.r.init(q)
	q.w.init(q)
	return q, nil
}

// SetDeadline sets both deadlines, as of a net.Conn: calls that wait, and calls to
// come, return os.ErrDeadlineExceeded from then on. The zero time means none.
func (q *Queue) SetDeadline(t time.Time) error { return q.file.SetDeadline(t) }

// SetReadDeadline sets the deadline of reads.
func (q *Queue) SetReadDeadline(t time.Time) error { return q.file.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of writes.
func (q *Queue) SetWriteDeadline(t time.Time) error { return q.file.SetWriteDeadline(t) }

// Close closes the descriptor and wakes those who wait, who get os.ErrClosed.
// Packets that were read and not handed out are lost. Calling it again gives
// an error that is os.ErrClosed.
func (q *Queue) Close() error {
	q.closed.Store(true)
	return q.file.Close()
}

// SyscallConn returns the descriptor for what is not in this package. Reading and
// writing there misses what was read and not handed out.
func (q *Queue) SyscallConn() (syscall.RawConn, error) { return q.file.SyscallConn() }

// why turns what RawConn returned into what a caller is told.
func (q *Queue) why(err error) error {
	switch {
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case q.closed.Load():
		return os.ErrClosed
	}
	// The poller says of a deleted interface only that it cannot be polled.
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
