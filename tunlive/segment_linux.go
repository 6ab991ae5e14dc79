// SPDX-License-Identifier: MIT

package tunlive

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunproof/tunlive/guard"
)

// queueLen is the length of a reader's queue in packets: a superpacket can be cut
// into 65,000. Packets that do not fit are dropped without a sign. The default is
// 500.
const queueLen = 70_000

// tunSegmenter writes to TUN or TAP A. Everything from there is redirected to TUN B, which
// has no offloads, so the kernel cuts the packets that it sends to B. When the write
// returns, all of them are in B's queue.
type tunSegmenter struct {
	device    func() (*tun, error) // opens A and B
	a, b      *tun
	nl        *netlink
	collector collector
	seen      [2]counters // of A and B, after the last packet that was not delivered
}

// NewSegmenter returns the oracle that writes to one TUN and reads from another.
// Without TUN devices the error is a *Missing. The oracle is for one goroutine at a
// time.
func NewSegmenter() (Segmenter, error) { return newTUNSegmenter() }

func newTUNSegmenter() (*tunSegmenter, error) {
	return newPairSegmenter(func() (*tun, error) { return openTUN(0, noOffloads) })
}

func newPairSegmenter(device func() (*tun, error)) (*tunSegmenter, error) {
	s := &tunSegmenter{device: device}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *tunSegmenter) open() (err error) {
	if s.nl, err = openNetlink(); err != nil {
		return err
	}
	if s.a, err = s.device(); err != nil {
		return err
	}
	if s.b, err = s.device(); err != nil {
		return err
	}
	if err := s.nl.redirect(s.a.index, s.b.index); err != nil {
		return err
	}
	for _, t := range []*tun{s.a, s.b} {
		if err := s.nl.setUp(t.index, queueLen); err != nil {
			return err
		}
	}
	return nil
}

func (s *tunSegmenter) Close() error {
	var err error
	for _, t := range []*tun{s.a, s.b} {
		if t != nil {
			err = errors.Join(err, t.close())
		}
	}
	if s.nl != nil {
		err = errors.Join(err, s.nl.close())
	}
	return err
}

func (s *tunSegmenter) Segment(h VnetHdr, packet []byte) (Answer, error) {
	err := s.a.write(h, packet)
	if err == guard.ErrFragment || err != nil && !errors.As(err, new(unix.Errno)) {
		return Answer{}, err
	}
	segments, readErr := s.collector.collect(s.b, s.b.fd, nil)
	if readErr != nil {
		return Answer{}, readErr
	}
	a := Answer{Class: Delivered, Errno: err, Segments: segments}
	if err == nil && len(segments) > 0 {
		return a, nil
	}
	a.Class, err = s.class(err != nil)
	return a, err
}

// class finds the Class of a packet by the counters that it moved.
func (s *tunSegmenter) class(errno bool) (Class, error) {
	var moved [2]counters
	for i, t := range []*tun{s.a, s.b} {
		c, err := s.nl.counters(t.index)
		if err != nil {
			return 0, err
		}
		was := s.seen[i]
		moved[i] = counters{c.rxDropped - was.rxDropped, c.rxFrameErrors - was.rxFrameErrors, c.txDropped - was.txDropped}
		s.seen[i] = c
	}
	switch a, b := moved[0], moved[1]; {
	case errno && a == counters{rxFrameErrors: 1}:
		return FrameError, nil
	case errno && a == counters{rxDropped: 1}:
		return RxDropped, nil
	case errno && a == counters{}:
		return Refused, nil
	case errno:
		return 0, fmt.Errorf("a refused write moves the counters of %s by %+v", s.a.name, a)
	case b.txDropped == 1:
		return Dropped, nil
	default:
		return Lost, nil
	}
}

// vethSegmenter sends from a packet socket over a veth that cannot segment. The
// kernel cuts, and a packet socket at the other end reads. It needs no TUN. A marker
// packet shows where the segments of a superpacket end.
type vethSegmenter struct {
	wire
	collector collector
}

// mostSegments is below the default of net.core.netdev_max_backlog, 1,000 packets.
const mostSegments = 900

// NewVethSegmenter returns the oracle that needs no TUN device. It is for one
// goroutine at a time.
func NewVethSegmenter() (Segmenter, error) {
	s := &vethSegmenter{}
	if err := s.wire.open(append(segmentationFeatures, checksumFeatures...), nil); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Segment has no counters to tell classes apart. An errno of the send is Refused, but
// ENOMEM and ENOBUFS are Dropped: with them a queue reports that it dropped what it
// was to cut.
func (s *vethSegmenter) Segment(h VnetHdr, packet []byte) (Answer, error) {
	if h.GSOType != 0 && h.GSOSize > 0 {
		n := len(packet)/int(h.GSOSize) + 1
		if n > mostSegments || memory(n, int(h.GSOSize)+min(len(packet), int(max(h.CsumStart, h.HdrLen))+60)) > s.in.room {
			return Answer{}, ErrPacket
		}
	}
	unpin := pin()
	defer unpin()
	err := s.out.write(h, packet)
	if err == guard.ErrFragment || err == ErrPacket {
		return Answer{}, err
	}
	if err := s.out.write(VnetHdr{}, s.markers.next()); err != nil {
		return Answer{}, fmt.Errorf("marker: %w", err)
	}
	a := Answer{Errno: err}
	if a.Segments, err = s.collector.collect(s.in, s.in.fd, s.markers.judge); err != nil {
		return Answer{}, err
	}
	switch {
	case a.Errno == nil && len(a.Segments) > 0:
		a.Class = Delivered
	case a.Errno == nil, a.Errno == unix.ENOMEM, a.Errno == unix.ENOBUFS:
		a.Class = Dropped
	default:
		a.Class = Refused
	}
	return a, nil
}

// pin keeps the goroutine on its CPU until the returned function is called. Packets
// that one CPU sends over a veth stay in order. Where pinning is not allowed, a
// marker may, rarely, overtake segments.
func pin() (unpin func()) {
	runtime.LockOSThread()
	var before, one unix.CPUSet
	var cpu uint32
	_, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	if errno != 0 || unix.SchedGetaffinity(0, &before) != nil {
		return runtime.UnlockOSThread
	}
	one.Set(int(cpu))
	_ = unix.SchedSetaffinity(0, &one)
	return func() {
		_ = unix.SchedSetaffinity(0, &before)
		runtime.UnlockOSThread()
	}
}
