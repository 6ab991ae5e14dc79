// SPDX-License-Identifier: MIT

package tun

import (
	"io"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunproof/offload"
	"tunproof/tunlive/guard"
)

// maxPieces is how many pieces writev(2) takes at most (UIO_MAXIOV). A superpacket has
// fewer.
const maxPieces = 1024

// writer is the writing half of a Queue.
type writer struct {
	q        *Queue
	mu       sync.Locker        // held during a call
	step     func(uintptr) bool // w.drain, bound once
	co       *offload.Coalescer
	cfg      offload.Config // configuration of co
	switches switches       // the switches that co was made for
	iov      []unix.Iovec
	used     int // elements of iov and pieces used since they were cleared
	pieces   [][]byte
	front    []byte // the first piece, if its VnetHdr is longer than the Coalescer's
	poll     [1]unix.PollFd

	batch // of the call that runs
	event event
	d     WriteStats // counters of the call that runs
	named named      // errors of calls

	total struct {
		sync.Mutex
		WriteStats
	}
}

// batch holds the argument of WriteBatch and the progress of the call.
type batch struct {
	pkts    [][]byte
	supers  []offload.Superpacket
	at      int   // index of the current superpacket
	alone   bool  // its packets are sent one by one
	member  int   // the next of them
	refused bool  // they are sent so because the kernel refused the superpacket
	first   error // first error of a packet or superpacket
	fatal   error // error that ends the call
}

// event is a write that the observer and the recorder have to hear of. They are
// called when the descriptor is no longer held, because they may close it.
type event struct {
	wrote   bool // for the observer, with the next three fields
	hdr     offload.VnetHdr
	packets int
	err     error
	packet  *Refusal // a refused packet
	super   *Refusal // a refused superpacket, reported after its packets were sent
}

// ready reports whether the observer or the recorder has to be called.
func (w *writer) ready() bool {
	return w.event.wrote || w.event.packet != nil || w.event.super != nil && !w.alone
}

func (w *writer) init(q *Queue) {
	w.q = q
	w.mu = q.dev.sys.mutex()
	w.named = named{op: "write", device: q.dev.name}
	w.step = w.drain
	w.iov = make([]unix.Iovec, 0, maxPieces)
	w.pieces = make([][]byte, 0, maxPieces)
	w.switches = ^switches(0) // none
}

// WriteBatch coalesces pkts and writes each superpacket with one writev(2), without
// copying the packets (T3). Each packet starts with its IP header, and they are in
// the order in which they arrived. WriteBatch waits while the kernel has no room.
//
// pkts and the packets belong to the caller. They are only read, and not used after
// the call.
//
// A packet is written also if it is longer than the MTU or shorter than its headers say:
// the kernel decides what becomes of it. A packet without bytes is refused (EINVAL), so
// leave out a tunnel's keepalives.
//
// n is the number of packets that the kernel took, not always the first n: Observer.Write
// says which. The error
// is the reason if it did not take all; errors.Is reports which it is. After
// os.ErrClosed, ErrGone and os.ErrDeadlineExceeded the rest was not sent. Any other
// error is that of the first packet that was not taken; the packets after it were
// still tried.
//
// If a superpacket is refused, its packets are sent one by one in its place. After
// EINVAL its protocol is switched off, too (T4). For a superpacket of more than 64
// UDP datagrams, only others of more than 64 are switched off.
func (q *Queue) WriteBatch(pkts [][]byte) (n int, err error) {
	w := &q.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin(pkts)
	for w.at < len(w.supers) && w.fatal == nil {
		if err := q.why(q.raw.Write(w.step)); w.fatal == nil {
			w.fatal = err
		}
		if w.ready() {
			w.tell()
		}
	}
	if w.alone = false; w.ready() { // the call ended among the packets of a superpacket
		w.tell()
	}
	return w.end()
}

// begin starts a call and coalesces the batch.
func (w *writer) begin(pkts [][]byte) {
	dev := w.q.dev
	if s := switches(dev.switches.Load()); s != w.switches {
		w.switches = s
		w.cfg, w.co = dev.newCoalescer(s)
	}
	if dev.rec != nil {
		dev.rec.wrote(pkts, w.cfg)
	}
	w.batch = batch{pkts: pkts, supers: w.co.Coalesce(pkts)}
	w.d.Packets = uint64(len(pkts))
	for i := range pkts {
		w.d.Reasons[w.co.Reason(i)]++
	}
}

// newCoalescer makes a Coalescer for the protocols that are on. The rest of its
// Config has been checked.
func (d *Device) newCoalescer(s switches) (offload.Config, *offload.Coalescer) {
	cfg, off := d.cfg.Coalesce, s.disabled()|s.refused()|d.unsupported
	cfg.DisableTCPv4, cfg.DisableTCPv6, cfg.DisableUDP = off&TCPv4 != 0, off&TCPv6 != 0, off&UDP != 0
	if s&udpLimited != 0 {
		cfg.MaxUDPSegments = maxOldUDP
	}
	co, err := offload.NewCoalescer(cfg)
	if err != nil {
		panic(err)
	}
	return cfg, co
}

// end counts, and releases what was borrowed.
func (w *writer) end() (int, error) {
	n := int(w.d.Sent)
	if w.fatal != nil {
		w.first = w.fatal
		w.d.Unsent = w.d.Packets - w.d.Sent - w.d.Refused - w.d.Down - w.d.NoMemory - w.d.Failed
	}
	w.total.Lock()
	w.total.add(&w.d)
	w.total.Unlock()
	w.d = WriteStats{}
	w.co.Coalesce(nil)
	w.pkts, w.supers = nil, nil
	clear(w.iov[:w.used])
	clear(w.pieces[:w.used])
	w.used = 0
	return n, w.named.error(w.first)
}

// maxAgain is how often a write is tried again, without a wait, before the descriptor is
// released for a moment: Close and deadlines are noticed then.
const maxAgain = 64

// drain writes until all is written or an event is ready. It returns false to be
// called again when there is room.
func (w *writer) drain(fd uintptr) bool {
	again := 0
	for again < maxAgain && w.at < len(w.supers) && !w.ready() && w.fatal == nil {
		p := &w.supers[w.at]
		if !w.alone && p.VnetHdr().GSOType != offload.GSONone && w.isOff(p) {
			w.alone = true // since an earlier one of the batch was refused
		}
		var room bool
		if w.alone {
			room = w.packet(fd, p)
		} else {
			room = w.super(fd, p)
		}
		switch {
		case room:
			again = 0
		case w.hasRoom(fd):
			again++
		default:
			w.waits()
			return false
		}
	}
	return true
}

// isOff reports whether the kernel has refused such a superpacket before.
func (w *writer) isOff(p *offload.Superpacket) bool {
	s := switches(w.q.dev.switches.Load())
	of := protocolOf(p.VnetHdr().GSOType)
	return s.refused()&of != 0 || of == UDP && s&udpLimited != 0 && len(p.Packets()) > maxOldUDP
}

// super writes a superpacket, or a packet that joined no other. It returns false if
// it must be tried again.
func (w *writer) super(fd uintptr, p *offload.Superpacket) bool {
	h := p.VnetHdr()
	w.pieces = p.Buffers(w.pieces[:0])
	w.lengthen()
	err := w.writev(fd)
	if err == unix.EAGAIN || err == unix.EINTR {
		return false
	}
	n := len(p.Packets())
	if h.GSOType != offload.GSONone && (err == unix.EINVAL || err == unix.EMSGSIZE || err == guard.ErrFragment) {
		w.alone, w.refused = true, true
		w.refuse(p, h, err)
		return true
	}
	if err == nil && h.GSOType != offload.GSONone {
		w.d.Superpackets++
	}
	w.outcome(h, n, p.Len(), err)
	w.at++
	return true
}

// packet writes the next packet of a superpacket alone. It returns false if it must be
// tried again.
func (w *writer) packet(fd uintptr, p *offload.Superpacket) bool {
	pkt := w.pkts[p.Packets()[w.member]]
	w.pieces = append(w.pieces[:0], zeroVnetHdr[:w.q.dev.hdrLen], pkt)
	err := w.writev(fd)
	if err == unix.EAGAIN || err == unix.EINTR {
		return false
	}
	if w.refused && err == nil {
		w.d.Resent++
	}
	w.outcome(offload.VnetHdr{}, 1, len(pkt), err)
	if w.member++; w.member == len(p.Packets()) {
		w.at++
		w.member, w.alone, w.refused = 0, false, false
	}
	return true
}

var zeroVnetHdr [offload.TunnelVnetHdrLen]byte

// lengthen gives w.pieces a VnetHdr of the interface's size. What is added is zero: no
// superpacket is written in a tunnel.
func (w *writer) lengthen() {
	if w.q.dev.hdrLen == offload.VnetHdrLen {
		return
	}
	front := w.pieces[0]
	w.front = append(w.front[:0], front[:offload.VnetHdrLen]...)
	w.front = append(w.front, zeroVnetHdr[offload.VnetHdrLen:w.q.dev.hdrLen]...)
	w.front = append(w.front, front[offload.VnetHdrLen:]...)
	w.pieces[0] = w.front
}

// outcome counts the result of a write that stood for n packets.
func (w *writer) outcome(h offload.VnetHdr, n, length int, err error) {
	dev := w.q.dev
	switch err {
	case nil:
		w.d.Writes++
		w.d.Sent += uint64(n)
		w.d.Bytes += uint64(length)
		if n > 1 {
			w.d.Bytes += uint64(n-1) * uint64(h.HdrLen)
		}
	case unix.EBADFD:
		w.fatal = ErrGone
	case unix.EINVAL:
		w.d.Refused += uint64(n)
		if dev.cfg.Observer.Refused != nil {
			w.event.packet = w.newRefusal(h, length, n, err)
		}
	case unix.EIO:
		w.d.Down += uint64(n)
	case unix.ENOBUFS, unix.ENOMEM:
		w.d.NoMemory += uint64(n)
	default:
		w.d.Failed += uint64(n)
	}
	if err != nil && w.first == nil {
		w.first = err
	}
	w.observe(h, n, err)
}

// observe remembers a write for the observer.
func (w *writer) observe(h offload.VnetHdr, n int, err error) {
	if w.q.dev.cfg.Observer.Write != nil {
		w.event.wrote, w.event.hdr, w.event.packets, w.event.err = true, h, n, err
	}
}

// maxOldUDP is the most datagrams of a superpacket on kernels before 6.9
// (UDP_MAX_SEGMENTS).
const maxOldUDP = 64

// refuse switches off what the kernel refused: the whole protocol, but for UDP at
// first only superpackets that are too long for old kernels. A superpacket that was
// too long for the kernel's memory (EMSGSIZE) or refused by the guard does not show
// that others will be refused.
func (w *writer) refuse(p *offload.Superpacket, h offload.VnetHdr, err error) {
	dev, n := w.q.dev, len(p.Packets())
	r := w.newRefusal(h, p.Len(), n, err)
	r.Resent = true
	if err == unix.EINVAL {
		if of := protocolOf(h.GSOType); of == UDP && n > maxOldUDP {
			dev.switches.Or(udpLimited)
		} else {
			dev.switches.Or(uint32(of) << refusedShift)
			r.Off = of
		}
	}
	w.event.super = r
	w.observe(h, n, err)
}

// newRefusal copies from w.pieces: the headers of a superpacket, or the first bytes
// of a packet.
func (w *writer) newRefusal(h offload.VnetHdr, length, packets int, err error) *Refusal {
	r := &Refusal{Device: w.q.dev.name, Err: err, Hdr: h, Len: length, Packets: packets}
	most := maxRefused
	if h.HdrLen > 0 {
		most = min(most, int(h.HdrLen))
	}
	for i, b := range w.pieces {
		if i == 0 {
			b = b[w.q.dev.hdrLen:]
		}
		r.Header = append(r.Header, b[:min(len(b), most-len(r.Header))]...)
	}
	return r
}

// tell calls the observer and the recorder.
func (w *writer) tell() {
	e, o := w.event, &w.q.dev.cfg.Observer
	w.event = event{}
	if w.alone {
		w.event.super, e.super = e.super, nil // later
	}
	if e.wrote {
		o.Write(e.hdr, e.packets, w.pieces, e.err)
	}
	if e.packet != nil {
		o.Refused(e.packet)
	}
	if e.super == nil {
		return
	}
	if rec := w.q.dev.rec; rec != nil && rec.refused(e.super) != nil {
		w.d.RecordErrors++
	}
	if o.Refused != nil {
		o.Refused(e.super)
	}
}

// hasRoom reports whether the kernel has room after all, or cannot say. If it has none,
// the poll makes the kernel wake this writer later: a TUN wakes only writers that have
// polled it since it became full (tun_sock_write_space, drivers/net/tun.c). Go's poller
// is edge-triggered and does not poll by itself.
func (w *writer) hasRoom(fd uintptr) bool {
	w.poll[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
	n, err := w.q.dev.sys.poll(w.poll[:])
	return n > 0 || err != nil
}

// waits counts a wait before it starts, because it may be long.
func (w *writer) waits() {
	w.total.Lock()
	w.total.Waits++
	w.total.Unlock()
}

// writev writes w.pieces; the kernel must take all of them at once.
func (w *writer) writev(fd uintptr) error {
	iov, length := w.iov[:0], 0
	for _, b := range w.pieces {
		if len(b) == 0 {
			continue
		}
		v := unix.Iovec{Base: unsafe.SliceData(b)}
		v.SetLen(len(b))
		iov = append(iov, v)
		length += len(b)
	}
	w.iov = iov
	w.used = max(w.used, len(w.pieces))
	n, err := w.q.dev.sys.writev(int(fd), w.q.dev.hdrLen, iov)
	if err == nil && n != length {
		return io.ErrShortWrite
	}
	return err
}
