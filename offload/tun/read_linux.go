package tun

import (
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"tunproof/offload"
)

const (
	// maxPacket is the longest IP packet: IPv6's header and what its length counts.
	maxPacket = 40 + 65535
	// readLen holds one byte more than the longest packet, to see that the kernel
	// cut none: it does so without a sign.
	readLen = offload.VnetHdrLen + maxPacket + 1
	// maxDrain is how many packets one call takes from the kernel (T2), or one
	// superpacket of more: what is more at a time leaves the cache before the caller
	// comes to it.
	maxDrain = 64
)

// reader is the half of a Queue that reads.
type reader struct {
	q       *Queue
	mu      sync.Mutex         // of a call
	step    func(uintptr) bool // r.drain, made once
	once    func(uintptr) bool // r.one
	buf     []byte             // a VnetHdr and a packet
	seg     offload.Segmenter  // what is left of it
	hdr     offload.VnetHdr    // of what was read last
	pkt     []byte             //
	bad     error              // why that is dropped
	counted bool               // its segments are in Stats already
	call                       // that runs
	d       ReadStats          // of it
	total   struct {
		sync.Mutex
		ReadStats
	}
}

// call is what ReadBatch was given, and how far it is.
type call struct {
	bufs   [][]byte
	sizes  []int
	offset int
	n      int   // packets handed out
	reads  int   // since the descriptor was waited for
	cut    int   // segments of the last
	told   bool  // the observer waits for what was read last
	err    error // of read(2)
	wait   bool
}

func (r *reader) init(q *Queue) {
	r.q = q
	r.step, r.once = r.drain, r.one
	r.buf = make([]byte, readLen)
}

var errSizes = errors.New("tun: ReadBatch: fewer sizes than buffers, or a negative offset")

// ReadBatch waits until there is a packet, then takes what is ready, about 64
// packets or one superpacket of more, and returns how many segments and packets it put into
// bufs: the i-th is bufs[i][offset:offset+sizes[i]]. offset is the headroom that
// the caller wants in front of each. What does not fit into this call's bufs is
// the next call's, in order. A packet longer than its buffer is dropped and
// counted (Stats.Read.Short): buffers must hold the MTU, and if the interface is
// forwarded to, that of what comes in.
//
// bufs and sizes are the caller's and not kept. Of a buffer only
// [offset:offset+sizes[i]] is written.
//
// An error comes with n == 0: os.ErrClosed after Close, ErrGone if the interface
// was deleted, os.ErrDeadlineExceeded. Packets that cannot be read or cut are no
// errors; they are counted.
func (q *Queue) ReadBatch(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	if len(sizes) < len(bufs) || offset < 0 {
		return 0, errSizes
	}
	if len(bufs) == 0 {
		return 0, nil
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
		r.reads = 0 // none of what was read is a packet
	}
	n = r.n
	r.call = call{}
	r.count()
	if n > 0 {
		return n, nil // an error will come again
	}
	return 0, err
}

// ReadSuper waits for a packet or superpacket and returns the Segmenter that cuts
// it, for a caller who can do with each segment before the next: InPlace copies
// nothing. If a call before left segments over, they are what it returns. The
// Segmenter is the queue's, valid until the next call that reads. Errors are those
// of ReadBatch.
func (q *Queue) ReadSuper() (*offload.Segmenter, error) { return q.super(true) }

// NextSuper is ReadSuper that does not wait: nil if nothing is ready.
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
		return nil, err
	}
	return &r.seg, nil
}

// drain reads and hands out until nothing is ready or no more may be taken. It
// returns false to be called again when something is ready.
func (r *reader) drain(fd uintptr) bool {
	// Another superpacket is likely to be as long as the last.
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

// one reads one packet.
func (r *reader) one(fd uintptr) bool {
	r.err = r.read(int(fd))
	return r.err != unix.EAGAIN || !r.wait
}

// read reads one packet and starts the Segmenter on it. The errno is read(2)'s.
func (r *reader) read(fd int) error {
	n, err := unix.Read(fd, r.buf)
	for err == unix.EINTR {
		n, err = unix.Read(fd, r.buf)
	}
	if err == unix.EBADFD {
		return ErrGone
	}
	if err != nil {
		return err
	}
	r.reads++
	r.counted = false
	r.d.Reads++
	r.pkt = r.buf[min(n, offload.VnetHdrLen):n]
	r.hdr, r.bad = offload.ParseVnetHdr(r.buf[:n])
	switch {
	case n == len(r.buf):
		r.bad = errTruncated
		r.d.Truncated++
		_ = r.seg.Reset(offload.VnetHdr{Flags: offload.RSCInfo}, nil) // empty
	case r.bad == nil:
		r.bad = r.seg.Reset(r.hdr, r.pkt)
	}
	r.cut = r.seg.Len()
	if r.bad != nil && r.bad != errTruncated {
		r.d.Invalid++
	}
	if r.hdr.GSOType != offload.GSONone {
		r.d.Superpackets++
	}
	if r.q.dev.rec != nil {
		r.q.dev.rec.read(r.hdr, r.pkt)
	}
	r.told = r.q.dev.cfg.Observer.Read != nil
	return nil
}

var errTruncated = errors.New("tun: longer than any IP packet")

// tell tells the observer, not while the descriptor is held: it may close it.
func (r *reader) tell() {
	r.told = false
	r.q.dev.cfg.Observer.Read(r.hdr, r.pkt, r.bad)
}

// handOut copies segments to the buffers that are left.
func (r *reader) handOut() {
	for r.n < len(r.bufs) && r.seg.Len() > 0 {
		dst := r.bufs[r.n]
		dst = dst[min(r.offset, len(dst)):]
		n, err := r.seg.Next(dst)
		if err == io.ErrShortBuffer {
			r.d.Short++
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

// countLeft counts all segments that are left as handed out, once.
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

// count adds what the call has counted to the totals.
func (r *reader) count() {
	r.total.Lock()
	r.total.add(&r.d)
	r.total.Unlock()
	r.d = ReadStats{}
}
