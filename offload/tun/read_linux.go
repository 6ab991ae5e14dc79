// SPDX-License-Identifier: MIT

package tun

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"

	"tunproof/offload"
)

const (
	// maxPacket is the length of the longest IP packet: IPv6's header and 65,535
	// bytes.
	maxPacket = 40 + 65535
	// readLen is one byte more than the longest packet takes after its VnetHdr. The kernel
	// truncates a packet without a sign; the extra byte shows it. A superpacket in a
	// tunnel is no longer than others (gso_features_check, net/core/dev.c, Linux 6.18).
	readLen = maxPacket + 1
	// maxDrain is the number of packets that one call takes from the kernel (T2), or
	// more if they are one superpacket. More at a time would leave the cache before
	// the caller comes to them.
	maxDrain = 64
	// maxFailed is the number of reads that fail one after the other, after which a
	// call returns the error. It is larger than the queues of TUNs, so that a queue
	// full of packets that the kernel cannot hand out does not end a reader.
	maxFailed = 4096
)

// reader is the reading half of a Queue.
type reader struct {
	q       *Queue
	mu      sync.Locker        // held during a call
	step    func(uintptr) bool // r.drain, bound once
	once    func(uintptr) bool // r.one, bound once
	buf     []byte             // a VnetHdr and a packet
	seg     offload.Segmenter  // cuts what is in buf
	hdr     offload.VnetHdr    // of the last read
	pkt     []byte             //
	bad     error              // why the last packet read is dropped
	counted bool               // Stats already has the segments of seg
	failed  int                // reads that failed since the last that did not
	named   named              // errors of calls
	call                       // the call that runs
	d       ReadStats          // counters of that call
	total   struct {
		sync.Mutex
		ReadStats
	}
}

// call holds the arguments of ReadBatch and its progress.
type call struct {
	bufs   [][]byte
	sizes  []int
	offset int
	n      int   // packets handed out
	reads  int   // in this round, of up to maxDrain
	cut    int   // segments of the last packet read
	told   bool  // the observer must be called for the last packet read
	err    error // that ends the call
	wait   bool
}

func (r *reader) init(q *Queue) {
	r.q = q
	r.mu = q.dev.sys.mutex()
	r.named = named{op: "read", device: q.dev.name}
	r.step, r.once = r.drain, r.one
	r.buf = make([]byte, q.dev.hdrLen+readLen)
}

// ReadBatch waits for a packet. Then it takes the packets that are ready, about 64,
// or more if they are one superpacket, and puts segments and packets into bufs. It
// returns their number n. The i-th is bufs[i][offset:offset+sizes[i]]; offset is the
// headroom that the caller wants in front of each. Segments for which bufs has no
// room are returned by the next call, in order. A packet longer than its buffer is
// dropped and counted (Stats.Read.Short). So buffers must hold the interface's MTU,
// also if somebody raises it later: nothing tells the program, but Device.MTU says it.
// Buffers of 65,535 bytes hold every packet.
//
// bufs and sizes belong to the caller and are not kept. Only [offset:offset+sizes[i]]
// of a buffer is written.
//
// With an error, n is 0. errors.Is reports which it is: os.ErrClosed after Close,
// ErrGone if the interface was deleted, os.ErrDeadlineExceeded. A packet that cannot
// be read or cut is not an error; it is counted. So is a packet without bytes: no size
// is 0. Only if thousands of reads fail one after the other, the error is their errno.
// Arguments with which no packet can be read are refused: no buffers, too few sizes,
// an offset after which a buffer has no room.
func (q *Queue) ReadBatch(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	if err := checkBuffers(bufs, sizes, offset); err != nil {
		return 0, &fs.PathError{Op: "read", Path: q.dev.name, Err: err}
	}
	r := &q.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.call = call{bufs: bufs, sizes: sizes, offset: offset}
	r.handOut()
	for r.n < len(bufs) {
		if err = q.why(q.raw.Read(r.step)); err == nil {
			err = r.err
		}
		if r.told {
			r.tell()
			r.handOut()
			continue
		}
		if err != nil || r.n > 0 {
			break
		}
		r.reads = 0 // no packet came of these reads
	}
	n = r.n
	r.call = call{}
	r.count()
	if n > 0 {
		return n, nil // an error will come again
	}
	return 0, r.named.error(err)
}

// checkBuffers checks the arguments of ReadBatch.
func checkBuffers(bufs [][]byte, sizes []int, offset int) error {
	switch {
	case len(bufs) == 0:
		return errors.New("no buffers")
	case len(sizes) < len(bufs):
		return fmt.Errorf("%d buffers, but only %d sizes", len(bufs), len(sizes))
	case offset < 0:
		return fmt.Errorf("the offset is %d: want 0 or more", offset)
	}
	for i, b := range bufs {
		if len(b) <= offset {
			return fmt.Errorf("buffer %d has %d bytes: no room after the offset of %d", i, len(b), offset)
		}
	}
	return nil
}

// ReadSuper waits for a packet or superpacket and returns the Segmenter that cuts it.
// It is for callers who finish each segment before the next, because InPlace copies
// nothing. If an earlier call left segments over, ReadSuper returns those, also after a
// deadline or after Close: a loop that takes none does not end. The Segmenter belongs to
// the queue and is valid until the next read. Errors are those of ReadBatch.
func (q *Queue) ReadSuper() (*offload.Segmenter, error) { return q.super(true) }

// NextSuper is like ReadSuper, but does not wait: it returns nil if nothing is ready.
func (q *Queue) NextSuper() (*offload.Segmenter, error) { return q.super(false) }

func (q *Queue) super(wait bool) (*offload.Segmenter, error) {
	r := &q.r
	r.mu.Lock()
	defer r.mu.Unlock()
	r.call = call{wait: wait}
	var err error
	for r.seg.Len() == 0 && err == nil {
		r.err = nil
		if err = q.why(q.raw.Read(r.once)); err == nil {
			err = r.err
		}
		if r.told {
			r.tell()
		}
	}
	r.countLeft()
	r.count()
	if err == unix.EAGAIN {
		return nil, nil
	}
	if err != nil {
		return nil, r.named.error(err)
	}
	return &r.seg, nil
}

// drain reads and hands out until nothing is ready or the limit is reached. It
// returns false to be called again when something is ready.
func (r *reader) drain(fd uintptr) bool {
	// The next superpacket is probably as long as the last.
	for r.n < len(r.bufs) && r.reads < maxDrain && (r.n == 0 || r.n+r.cut <= maxDrain) {
		switch r.err = r.read(int(fd)); r.err {
		case nil:
		case unix.EAGAIN:
			r.err = nil
			return r.n > 0
		default:
			return true
		}
		if r.told {
			return true
		}
		r.handOut()
	}
	return true
}

// one reads one packet and sets r.err. It returns false to be called again when
// something is ready: if nothing is, and the call waits.
func (r *reader) one(fd uintptr) bool {
	r.err = r.read(int(fd))
	return r.err != unix.EAGAIN || !r.wait
}

// read reads one packet and starts the Segmenter on it, which is empty if there is no
// packet. It returns unix.EAGAIN if nothing is ready, and other errors that end the
// call.
func (r *reader) read(fd int) error {
	r.reads++
	n, err := r.q.dev.sys.read(fd, r.buf)
	hdrLen := r.q.dev.hdrLen
	switch {
	case err == nil && n < hdrLen:
		return r.fails(io.ErrUnexpectedEOF)
	case err == unix.EAGAIN:
		r.failed = 0
		return err
	case err == unix.EBADFD:
		return ErrGone
	case err != nil:
		return r.fails(err)
	}
	r.failed = 0
	r.counted = false
	r.d.Reads++
	r.pkt = r.buf[hdrLen:n]
	r.hdr, r.bad = parseVnetHdr(r.buf[:hdrLen])
	switch {
	case n == len(r.buf):
		r.bad = errTruncated
		r.d.Truncated++
		_ = r.seg.Reset(offload.VnetHdr{Flags: offload.RSCInfo}, nil) // empty
	case len(r.pkt) == 0:
		r.bad = errEmpty
	case r.bad == nil:
		r.bad = r.seg.Reset(r.hdr, r.pkt)
	}
	r.cut = r.seg.Len()
	if r.bad != nil && r.bad != errTruncated {
		r.d.Invalid++
	}
	if r.hdr.GSOType != offload.GSONone {
		r.d.Superpackets++
		if r.hdr.GSOType&tunnelTypes != 0 {
			r.d.Tunnelled++
		}
	}
	if r.q.dev.rec != nil {
		r.q.dev.rec.read(r.hdr, r.pkt)
	}
	r.told = r.q.dev.cfg.Observer.Read != nil
	return nil
}

// parseVnetHdr decodes a VnetHdr of either size. Without a tunnel its offsets are zero:
// kernels before 6.17 leave their bytes as they were (tun_put_user).
func parseVnetHdr(b []byte) (offload.VnetHdr, error) {
	if len(b) < offload.TunnelVnetHdrLen {
		return offload.ParseVnetHdr(b)
	}
	h, err := offload.ParseTunnelVnetHdr(b)
	if h.GSOType&tunnelTypes == 0 {
		h.OuterTHOffset, h.InnerNHOffset = 0, 0
	}
	return h, err
}

// fails counts a read that failed. It returns the error if too many have failed.
func (r *reader) fails(err error) error {
	if err != unix.EINTR {
		r.d.Failed++
	}
	if r.failed++; r.failed < maxFailed {
		return nil
	}
	r.failed = 0
	return err
}

var (
	errTruncated = errors.New("tun: longer than any IP packet")
	errEmpty     = errors.New("tun: a packet without bytes")
)

// tell calls the observer. The descriptor must not be held: the observer may close
// it.
func (r *reader) tell() {
	r.told = false
	r.q.dev.cfg.Observer.Read(r.hdr, r.pkt, r.bad)
}

// handOut copies segments to the remaining buffers.
func (r *reader) handOut() {
	for r.n < len(r.bufs) && r.seg.Len() > 0 {
		dst := r.bufs[r.n]
		dst = dst[min(r.offset, len(dst)):]
		n, err := r.seg.Next(dst)
		if err == io.ErrShortBuffer {
			r.d.Short++
			if r.counted { // as handed out, which it is not
				r.d.Packets--
				r.d.Bytes -= uint64(r.seg.NextLen())
			}
			for range r.seg.InPlace() { // drop it
				break
			}
			continue
		}
		r.sizes[r.n] = n
		r.n++
		if !r.counted {
			r.d.Packets++
			r.d.Bytes += uint64(n)
		}
	}
}

// countLeft counts all remaining segments as handed out, once.
func (r *reader) countLeft() {
	n, first := r.seg.Len(), r.seg.NextLen()
	if r.counted || n == 0 {
		return
	}
	r.counted = true
	r.d.Packets += uint64(n)
	r.d.Bytes += uint64(first)
	if n > 1 { // all but the last are as long as the first
		size := int(r.hdr.GSOSize)
		hdrLen := first - size
		last := (len(r.pkt)-hdrLen-1)%size + 1
		r.d.Bytes += uint64((n-2)*first + hdrLen + last)
	}
}

// count adds the counters of the call to the totals.
func (r *reader) count() {
	r.total.Lock()
	r.total.add(&r.d)
	r.total.Unlock()
	r.d = ReadStats{}
}
