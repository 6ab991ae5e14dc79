// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/fuzz/scenario"
	"tunproof/offload"
	"tunproof/tunlive/guard"
)

// world is a device on a simulated kernel, and the model that it is compared with: each
// packet is in exactly one counter, and what is delivered is in order.
type world struct {
	*sim
	dev      *Device
	link     *link
	queues   []*simQueue
	flows    []scenario.Packet // the next packet of each flow
	serial   uint32            // of the last packet
	off      Protocols         // that the kernel has refused
	limited  bool              // it has refused long superpackets of UDP
	since    map[Protocols]int // the number of the last writev that was refused
	disabled Protocols         // by the user
	observed *Stats            // what an observer counts, or nil
	ops      map[string]int    // calls of the device that have returned
	before   int               // what fatal returned when the device was locked

	cutInTunnels int // superpackets in tunnels that were cut
}

// simQueue is a queue with its model.
type simQueue struct {
	*world
	q     *Queue
	d     *desc
	left  []segment // that were read, and not handed out
	stats Stats
	was   Protocols // switched off by the user when the current call of WriteBatch began
}

// segment is a packet for the caller. It is counted already if ReadSuper has returned
// its superpacket.
type segment struct {
	data    []byte
	counted bool
}

// newWorld opens a device, with an observer or without.
func newWorld(s *sim, cfg Config, observe bool) *world {
	w := &world{sim: s, ops: map[string]int{}, since: map[Protocols]int{}}
	for i := range 8 {
		p := scenario.TCP4(0)
		p.V6, p.UDP, p.SrcPort = i&1 != 0, i&2 != 0, p.SrcPort+uint16(i)
		w.flows = append(w.flows, p)
	}
	s.wrote = w.wrote
	cfg.ExactIDs = true // so that all packets must come back as they were
	if observe {
		w.observed = &Stats{}
		cfg.Observer = w.observed.observer()
	}
	var err error
	if w.dev, err = open(cfg, s); err != nil {
		s.Fatalf("%v", err)
	}
	w.dev.mu.(*simMutex).locked = func() { w.before = w.fatal() }
	w.link = s.find(w.dev.Name(), s.ns)
	w.isConfigured(cfg)
	for i := range w.dev.Queues() {
		w.adopt(w.dev.Queue(i), w.link.fds[i])
	}
	return w
}

// isConfigured checks the settings of an interface that was opened without faults.
func (w *world) isConfigured(cfg Config) {
	want := Features{Csum: true, TSO: true, TSOECN: true, USO: true, Backpressure: cfg.Backpressure && w.noFeature&iffBackpressure == 0}
	want.Tunnels = !cfg.NoTunnels && w.noOffload&tunnelMask == 0 && w.noHdrLen != 24
	hdrLen := 10
	if want.Tunnels {
		hdrLen = 24
	}
	if l, got := w.link, w.dev.Features(); got != want || l.hdrLen != hdrLen || w.dev.VnetHdrLen() != hdrLen || l.takesTunnels() != want.Tunnels || l.backpressure != want.Backpressure ||
		int(l.mtu) != cmp.Or(cfg.MTU, 1500) || int(l.txQueueLen) != cmp.Or(cfg.TxQueueLen, 500) {
		w.Fatalf("%+v, MTU %d, TxQueueLen %d, of %+v", got, l.mtu, l.txQueueLen, cfg)
	}
}

// observer returns an observer that counts packets.
func (s *Stats) observer() Observer {
	return Observer{
		Read: func(h offload.VnetHdr, packet []byte, err error) {
			s.Read.Reads++
			if err != nil {
				s.Read.Invalid++ // or truncated
			}
		},
		Write: func(h offload.VnetHdr, packets int, pieces [][]byte, err error) {
			if err == nil {
				s.Write.Sent += uint64(packets)
			}
		},
		Refused: func(r *Refusal) {
			if !r.Resent {
				s.Write.Refused += uint64(r.Packets)
			}
		},
	}
}

func (w *world) adopt(q *Queue, d *desc) *simQueue {
	x := &simQueue{world: w, q: q, d: d}
	// What the kernel does in a call counts from when the call has its lock.
	q.r.mu.(*simMutex).locked = func() { d.handed, d.failed = nil, 0 }
	q.w.mu.(*simMutex).locked = func() { d.written, x.was = nil, w.disabled }
	w.queues = append(w.queues, x)
	return x
}

// packet returns the next packet of a flow. Packets with 4 bytes of payload differ.
func (w *world) packet(flow, size int) []byte {
	p := &w.flows[flow]
	*p = p.Next(size)
	if w.serial++; size >= 4 {
		binary.BigEndian.PutUint32(p.Payload, w.serial)
	}
	return p.Bytes()
}

// super returns the next n packets of a flow as a superpacket.
func (w *world) super(flow, n, size int) superpacket {
	p := w.flows[flow].Next(n * size)
	w.serial++
	binary.BigEndian.PutUint32(p.Payload, w.serial)
	w.flows[flow] = p
	w.flows[flow].ID += uint16(n - 1)
	return superOf(p.Super(size))
}

// tunnelled returns the next n packets of a flow as a superpacket in a tunnel: 0 to 3, over
// IPv4 or IPv6, without a checksum and with one.
func (w *world) tunnelled(kind, flow, n, size int) superpacket {
	inner := w.super(flow, n, size)
	const udpHdr, vxlan = 8, 8 + 14
	h := inner.hdr
	outer := []byte{0x45, 0, 0, 0, 0, byte(w.serial), 0x40, 0, 64, 17, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2}
	if h.GSOType |= 0x20; kind&1 != 0 {
		h.GSOType ^= 0x60
		outer = make([]byte, 40)
		outer[0], outer[6], outer[7], outer[23], outer[39] = 0x60, 17, 64, 1, 2
	}
	th := len(outer)
	outer = append(outer, make([]byte, udpHdr+vxlan)...)
	length := len(outer) - th + len(inner.data)
	binary.BigEndian.PutUint16(outer[th+2:], 4789)
	binary.BigEndian.PutUint16(outer[th+4:], uint16(length))
	if th == 20 {
		binary.BigEndian.PutUint16(outer[2:], uint16(th+length))
		binary.BigEndian.PutUint16(outer[10:], offload.Checksum(outer[:20], 0))
	} else {
		binary.BigEndian.PutUint16(outer[4:], uint16(length))
	}
	if kind&2 != 0 {
		h.Flags |= 8
		src, dst := outer[th-8:th-4], outer[th-4:th]
		if th == 40 {
			src, dst = outer[8:24], outer[24:40]
		}
		binary.BigEndian.PutUint16(outer[th+6:], offload.PseudoHeaderSum(17, src, dst, length))
	}
	h.OuterTHOffset, h.InnerNHOffset = uint16(th), uint16(len(outer))
	h.CsumStart += h.InnerNHOffset
	h.HdrLen += h.InnerNHOffset
	return superpacket{h, append(outer, inner.data...), true}
}

// patterned returns n buffers with room after the offset, filled with a pattern. Their
// room is, in turn, that of rooms.
func patterned(n, offset int, rooms ...int) [][]byte {
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = bytes.Repeat([]byte{0xA5}, offset+rooms[i%len(rooms)])
	}
	return bufs
}

// isPattern reports whether nothing was written to b.
func isPattern(b []byte) bool { return bytes.Count(b, []byte{0xA5}) == len(b) }

// readBatch calls ReadBatch with patterned buffers and checks all that it does. It
// returns the packets.
func (x *simQueue) readBatch(bufs [][]byte, offset int) (got [][]byte, err error) {
	sizes := make([]int, len(bufs))
	n, err := x.q.ReadBatch(bufs, sizes, offset)
	x.ops["ReadBatch"]++
	x.take()
	for i, b := range bufs {
		for len(x.left) > 0 && len(x.left[0].data) > len(b)-offset {
			x.short(x.pop())
		}
		if len(x.left) == 0 {
			if !isPattern(b) {
				x.Fatalf("ReadBatch wrote to buffer %d of %d packets", i, n)
			}
			continue
		}
		p := x.pop()
		x.count(p)
		got = append(got, p.data)
		end := offset + len(p.data)
		if i >= n || sizes[i] != len(p.data) || !bytes.Equal(b[offset:end], p.data) || !isPattern(b[:offset]) || !isPattern(b[end:]) {
			x.Fatalf("ReadBatch returned %d packets. After %d bytes, packet %d must have %d bytes, not %d:\n%x\nnot\n%x", n, offset, i, len(p.data), sizes[i], p.data, b)
		}
	}
	if n != len(got) || (n == 0) != (err != nil) {
		x.Fatalf("ReadBatch returned %d, %v, want %d packets", n, err, len(got))
	}
	for _, b := range bufs {
		clear(b) // the device must not use it any more
	}
	x.end("read", err)
	return got, err
}

// pop removes the first segment that is left.
func (x *simQueue) pop() segment {
	p := x.left[0]
	x.left = x.left[1:]
	return p
}

// readSuper calls ReadSuper or NextSuper and checks all that it does. It takes most
// segments of the result, at most.
func (x *simQueue) readSuper(wait bool, most int) (got [][]byte, err error) {
	var s *offload.Segmenter
	if wait {
		s, err = x.q.ReadSuper()
		x.ops["ReadSuper"]++
	} else {
		s, err = x.q.NextSuper()
		x.ops["NextSuper"]++
	}
	x.take()
	switch {
	case err != nil && s != nil, err == nil && s == nil && wait:
		x.Fatalf("ReadSuper returned %v, %v", s, err)
	case s == nil:
		if len(x.left) > 0 {
			x.Fatalf("ReadSuper returned no segments, but there are %d", len(x.left))
		}
	case s.Len() != len(x.left) || s.Len() == 0:
		x.Fatalf("ReadSuper returned %d segments, want %d", s.Len(), len(x.left))
	}
	for i := range x.left {
		x.count(x.left[i])
		x.left[i].counted = true
	}
	if s != nil {
		for len(got) < most && s.Len() > 0 {
			for b := range s.InPlace() {
				got = append(got, bytes.Clone(b))
				if want := x.pop().data; !bytes.Equal(b, want) {
					x.Fatalf("a segment of ReadSuper is\n%x\nwant\n%x", b, want)
				}
				break
			}
		}
	}
	x.end("read", err)
	return got, err
}

// take counts what the kernel handed out, and cuts it.
func (x *simQueue) take() {
	r := &x.stats.Read
	r.Failed += uint64(x.d.failed)
	for _, p := range x.d.handed {
		r.Reads++
		if p.hdr.GSOType != 0 {
			r.Superpackets++
		}
		if p.hdr.GSOType&tunnels != 0 {
			r.Tunnelled++
		}
		list, err := p.cut()
		switch {
		case len(p.data) > 40+65535:
			r.Truncated++
			list = nil
		case len(p.data) == 0:
			r.Invalid++
			list = nil
		case err != nil:
			r.Invalid++
		}
		if p.hdr.GSOType&tunnels != 0 && len(list) > 1 {
			x.cutInTunnels++
		}
		for _, b := range list {
			x.left = append(x.left, segment{b, false})
		}
	}
}

func (x *simQueue) count(s segment) {
	if !s.counted {
		x.stats.Read.Packets++
		x.stats.Read.Bytes += uint64(len(s.data))
	}
}

// short counts a packet for which a buffer was too short.
func (x *simQueue) short(s segment) {
	x.stats.Read.Short++
	if s.counted {
		x.stats.Read.Packets--
		x.stats.Read.Bytes -= uint64(len(s.data))
	}
}

// end checks an error that has ended a call.
func (x *simQueue) end(op string, err error) {
	if err == nil {
		return
	}
	x.isNamed(op, err)
	f := x.d.file
	late := f.check(map[string]*side{"read": &f.r, "write": &f.w}[op]) == os.ErrDeadlineExceeded
	gone := x.d.link.gone || x.injected("read", unix.EBADFD) || x.injected("writev", unix.EBADFD) || x.injected("TUNGETIFF", unix.EBADFD)
	switch cause := err.(*fs.PathError).Err; {
	case cause == ErrGone && gone, cause == os.ErrClosed && x.q.closed.Load(), cause == os.ErrDeadlineExceeded && late:
	case cause == errNotPollable && x.d.link.gone && x.injected("TUNGETIFF", nil): // nobody knows why
	case cause == unix.EIO && op == "read" && x.d.link.dead && x.d.failed >= maxFailed:
	default:
		x.Fatalf("a %s ends with %v: gone %v, closed %v, late %v", op, err, gone, x.q.closed.Load(), late)
	}
}

// isNamed checks that an error names the operation and the device.
func (x *simQueue) isNamed(op string, err error) {
	if named, ok := err.(*fs.PathError); !ok || named.Op != op || named.Path != x.dev.Name() {
		x.Fatalf("the error of a %s does not name it and the device: %v", op, err)
	}
}

// injected reports whether a call has failed with an errno; nil stands for any.
func (w *world) injected(call string, err error) bool {
	for f := range w.faults {
		if f.call == call && (err == nil || f.err == err) {
			return true
		}
	}
	return false
}

// outgoing is a packet to be written.
type outgoing struct {
	flow int // -1: it may take any place
	data []byte
}

// writeBatch calls WriteBatch and checks all that it does.
func (x *simQueue) writeBatch(batch []outgoing) error {
	var list [][]byte
	before := map[string][]int{} // indices by contents
	for i, p := range batch {
		list = append(list, bytes.Clone(p.data))
		before[string(p.data)] = append(before[string(p.data)], i)
	}
	n, err := x.q.WriteBatch(list)
	x.ops["WriteBatch"]++
	for i, p := range batch {
		if !bytes.Equal(list[i], p.data) {
			x.Fatalf("WriteBatch has changed packet %d", i)
		}
		clear(list[i]) // the device must not use it any more
	}
	for _, v := range x.q.w.iov[:cap(x.q.w.iov)] {
		if v.Base != nil {
			x.Fatalf("the device still has a packet that was written")
		}
	}
	if x.q.w.iov = x.q.w.iov[:0]; slices.ContainsFunc(x.q.w.pieces[:cap(x.q.w.pieces)], func(b []byte) bool { return b != nil }) {
		x.Fatalf("the device still has a packet that was written")
	}

	var want WriteStats
	var first error       // of a packet
	var alone []int       // packets of a refused superpacket, to be sent one by one
	last := map[int]int{} // the last packet of each flow that was sent
	for _, a := range x.d.written {
		gso := a.hdr.GSOType != 0
		if gso != (len(a.packets) > 1) || protocolOf(offload.GSOType(a.hdr.GSOType))&x.was != 0 {
			x.Fatalf("%d packets are written with %+v, while %v is switched off", len(a.packets), a.hdr, x.was)
		}
		if len(alone) > 0 && (gso || !bytes.Equal(a.data, batch[alone[0]].data)) {
			x.Fatalf("the packets of a refused superpacket are not sent in its place")
		}
		var members []int
		for _, b := range a.packets {
			found := before[string(b)]
			if len(found) == 0 {
				x.Fatalf("a packet is written that is not in the batch, or twice:\n%x", b)
			}
			members = append(members, found[0])
			before[string(b)] = found[1:]
		}
		again := a.err == unix.EAGAIN || a.err == unix.EINTR || a.err == unix.EBADFD ||
			gso && (a.err == unix.EINVAL || a.err == unix.EMSGSIZE || a.err == guard.ErrFragment)
		if again {
			for i := len(members) - 1; i >= 0; i-- {
				key := string(batch[members[i]].data)
				before[key] = slices.Insert(before[key], 0, members[i])
			}
			if gso && a.err != unix.EAGAIN && a.err != unix.EINTR && a.err != unix.EBADFD {
				alone = members
			}
			continue
		}
		if len(alone) > 0 {
			alone = alone[1:]
			if a.err == nil {
				want.Resent++
			}
		}
		if a.err != nil && first == nil {
			first = a.err
		}
		k := uint64(len(members))
		switch a.err {
		case nil:
			want.Writes++
			want.Sent += k
			if gso {
				want.Superpackets++
			}
			for _, i := range members {
				want.Bytes += uint64(len(batch[i].data))
				if f := batch[i].flow; f >= 0 && last[f] > i {
					x.Fatalf("packet %d of flow %d is sent after packet %d", i, f, last[f])
				} else {
					last[f] = i
				}
			}
		case unix.EINVAL:
			want.Refused += k
		case unix.EIO:
			want.Down += k
		case unix.ENOBUFS, unix.ENOMEM:
			want.NoMemory += k
		default:
			want.Failed += k
		}
	}
	for _, left := range before {
		want.Unsent += uint64(len(left))
	}
	want.Packets = uint64(len(batch))
	if first == errShort {
		first = io.ErrShortWrite
	}
	if n != int(want.Sent) || (n == len(batch)) != (err == nil) || want.Unsent == 0 && !errors.Is(err, first) {
		x.Fatalf("WriteBatch of %d packets returned %d, %v, want %d, %v; %d are not sent", len(batch), n, err, want.Sent, first, want.Unsent)
	}
	if want.Unsent > 0 {
		x.end("write", err)
	} else if err != nil {
		x.isNamed("write", err)
	}
	x.stats.Write.add(&want)
	return err
}

// wrote is called for each writev, of any queue. What the kernel has refused must not be
// written again.
func (w *world) wrote(a attempt) {
	of := protocolOf(offload.GSOType(a.hdr.GSOType))
	if long := of == UDP && len(a.packets) > maxOldUDP; (w.off&of != 0 || long && w.limited) && a.began >= w.since[of] {
		w.Fatalf("a superpacket of %v is written, which was refused before", of)
	}
	switch {
	case a.err != unix.EINVAL || of == 0:
		return
	case of == UDP && len(a.packets) > maxOldUDP:
		w.limited = true
	default:
		w.off |= of
	}
	w.since[of] = w.writes
}

// setDisabled switches protocols off or on.
func (w *world) setDisabled(p Protocols, off bool) {
	w.dev.SetDisabled(p, off)
	w.ops["SetDisabled"]++
	if off {
		w.disabled |= p
	} else {
		w.disabled &^= p
		w.off &^= p
		w.limited = w.limited && p&UDP == 0
	}
	if got := w.dev.Disabled(); got != w.disabled|w.off|w.dev.unsupported {
		w.Fatalf("%v is switched off, want %v and %v", got, w.disabled, w.off)
	}
}

// addQueue calls AddQueue and checks the queue.
func (w *world) addQueue() (*simQueue, error) {
	q, err := w.dev.AddQueue()
	w.ops["AddQueue"]++
	switch {
	case w.fatal() > w.before && err == nil:
		w.Fatalf("AddQueue ignores a failure, of %v", w.faults)
	case err == nil:
		at := slices.IndexFunc(w.link.fds, func(d *desc) bool { return d.file == q.file })
		if at < 0 || w.link.mask != w.dev.mask || w.link.hdrLen != w.dev.hdrLen {
			w.Fatalf("AddQueue has added a queue of another interface, or changed the offloads to %#x or the header to %d bytes", w.link.mask, w.link.hdrLen)
		}
		return w.adopt(q, w.link.fds[at]), nil
	case errors.Is(err, ErrGone) && !w.link.gone && !w.injected("TUNGETIFF", unix.EBADFD),
		errors.Is(err, os.ErrClosed) && !errors.Is(err, ErrGone) && !w.dev.closed:
		w.Fatalf("AddQueue: %v", err)
	}
	return nil, err
}

// number calls SetMTU or SetTxQueueLen with v, or MTU or TxQueueLen if v is 0, and checks
// what it does.
func (w *world) number(s setting, v int) {
	get, set := w.dev.MTU, w.dev.SetMTU
	if s.name == txQueueLenSetting.name {
		get, set = w.dev.TxQueueLen, w.dev.SetTxQueueLen
	}
	op, err := s.name+" of", error(nil)
	if v == 0 {
		v, err = get()
		w.ops[s.name]++
	} else {
		op, err = "set "+op, set(v)
		w.ops["Set"+s.name]++
	}
	known := w.dev.closed || w.link.gone || w.link.ns != w.ns || w.link.moved || v < s.least || v > s.most
	for _, call := range []string{"socket", "TUNGETIFF", "SIOCGIF", "RTM_SETLINK"} {
		known = known || w.injected(call, nil)
	}
	named, _ := err.(*fs.PathError)
	switch {
	case err == nil && !slices.Contains(w.link.had[s.set], uint32(v)):
		w.Fatalf("%s %d, which the interface never had: %v", op, v, w.link.had)
	case err != nil && (!known || named == nil || named.Op != op || named.Path != w.dev.Name()),
		errors.Is(err, os.ErrClosed) && !errors.Is(err, ErrGone) && !w.dev.closed,
		errors.Is(err, ErrGone) && !w.link.gone && !w.injected("TUNGETIFF", unix.EBADFD):
		w.Fatalf("%s %d: %v", op, v, err)
	}
}

// fatal returns the number of failures so far of calls that must not fail. Only a thread
// that has locked the device makes them.
func (w *world) fatal() (n int) {
	for f, k := range w.faults {
		switch f.call {
		case "TUNSETIFF EXCL":
			if f.err != unix.EBUSY { // then there is one of the name
				n += k
			}
		case "open", "fcntl", "TUNSETIFF", "TUNSETVNETHDRSZ", "TUNSETVNETLE", "TUNGETVNETHDRSZ":
			n += k
		case "TUNSETOFFLOAD", "RTM_SETLINK":
			if (w.dev == nil) == (f.call == "RTM_SETLINK") { // else it is negotiated, or a call of its own
				n += k
			}
		}
	}
	return n
}

// check compares the device's counters with the model's. No call is under way.
func (w *world) check() {
	got, want := w.dev.Stats(), Stats{Refused: w.off, UDPLimited: w.limited}
	for i, x := range w.queues {
		want.Read.add(&x.stats.Read)
		want.Write.add(&x.stats.Write)
		own, is := x.q.Stats(), x.stats
		is.Write.Waits, is.Write.Reasons = own.Write.Waits, own.Write.Reasons // of the device
		if w.sums(own); own != is {
			w.Fatalf("the counters of queue %d are\n%+v\nwant\n%+v", i, own, is)
		}
	}
	want.Write.Waits = w.waits
	w.sums(got)
	want.Write.Reasons = got.Write.Reasons // sums has checked them
	if got != want {
		w.Fatalf("the counters are\n%+v\nwant\n%+v", got, want)
	}
	if o, g := w.observed, got; o != nil && (o.Read.Reads != g.Read.Reads || o.Read.Invalid != g.Read.Invalid+g.Read.Truncated || o.Write.Sent != g.Write.Sent || o.Write.Refused != g.Write.Refused) {
		w.Fatalf("the observer was told of\n%+v\nand the counters are\n%+v", *o, g)
	}
}

// sums checks what holds in every snapshot of the counters.
func (w *world) sums(s Stats) {
	var reasons uint64
	for _, n := range s.Write.Reasons {
		reasons += n
	}
	if p := s.Write; p.Packets != reasons || p.Packets != p.Sent+p.Refused+p.Down+p.NoMemory+p.Failed+p.Unsent || s.Read.Truncated+s.Read.Invalid > s.Read.Reads {
		w.Fatalf("the sums do not hold: %+v", s)
	}
}

// finish lets all calls end, without faults: writers get room, readers a packet, and in
// the end the device is closed. Then nothing may be left.
func (w *world) finish() {
	w.fault = nil
	w.link.down, w.link.dead = false, false
	w.run() // calls that set a deadline, or add a queue
	for _, x := range w.queues {
		x.d.makeRoom(1 << 30)
		x.d.file.r.deadline, x.d.file.w.deadline = time.Time{}, time.Time{}
	}
	w.run()
	for _, t := range w.threads {
		if t.at != "wait to read" && t.at != "lock" { // behind another reader
			w.Fatalf("a thread waits for ever at %s", t.at)
		}
	}
	for _, x := range w.queues {
		if x.d.link.gone || x.d.file.closing {
			continue
		}
		x.d.send(w.super(0, 3, 100))
		w.run()
		if x.d.file.r.busy && len(x.d.in) > 0 {
			w.Fatalf("a reader does not get a packet that is there")
		}
		for !x.d.file.r.busy && (len(x.d.in) > 0 || len(x.left) > 0) {
			w.do(func() {
				if _, err := x.readBatch(patterned(8, 4, 1500), 4); err != nil {
					x.Fatalf("there are packets, but: %v", err)
				}
			})
		}
	}
	for _, l := range w.links {
		if l != w.link && len(l.had[unix.IFLA_MTU])+len(l.had[unix.IFLA_TXQLEN]) > 2 {
			w.Fatalf("a setting of %s is changed, which belongs to somebody else", l.name)
		}
	}
	w.do(w.close)
	if len(w.threads) > 0 {
		w.Fatalf("a thread waits for ever at %s after Close", w.threads[0].at)
	}
	w.closed()
}

// do makes a call that must end.
func (w *world) do(f func()) {
	done := false
	w.start(func() { f(); done = true })
	if w.run(); !done {
		w.Fatalf("a call waits for ever")
	}
}

// close closes the device.
func (w *world) close() {
	if err := w.dev.Close(); err != nil && !w.injected("close", nil) {
		w.Fatalf("Close: %v", err)
	}
	for i, q := range w.dev.queues {
		if !q.file.(*simFile).closing {
			w.Fatalf("Close has not closed queue %d", i)
		}
	}
	w.ops["Close"]++
}

// closed checks a device that is closed.
func (w *world) closed() {
	if len(w.fds) > 0 {
		w.Fatalf("%d descriptors are left", len(w.fds))
	}
	for _, x := range w.queues {
		for len(x.left) > 0 { // of a superpacket that was read before
			x.readBatch(patterned(8, 0, 1500), 0)
		}
		if _, err := x.readBatch(patterned(1, 0, 100), 0); !errors.Is(err, os.ErrClosed) {
			w.Fatalf("a read after Close: %v", err)
		}
		if err := x.writeBatch([]outgoing{{0, w.packet(0, 10)}}); !errors.Is(err, os.ErrClosed) {
			w.Fatalf("a write after Close: %v", err)
		}
	}
	if _, err := w.addQueue(); err == nil {
		w.Fatalf("a queue is added after Close")
	}
	w.check()
}
