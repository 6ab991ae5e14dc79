// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunproof/corpus/pkts"
	"tunproof/model"
	"tunproof/tunlive/guard"
)

// failer reports a mistake of the device: a testing.T or a rapid.T.
type failer interface {
	Fatalf(format string, args ...any)
}

// sim is a simulated kernel: descriptors, network namespaces with their interfaces, and
// (simFile) Go's poller. At each call another thread may go on, and the call may fail
// (sched_test.go). Only one thread runs at a time, so that every run can be repeated.
type sim struct {
	failer
	schedule
	fds       map[int]*desc
	lastFD    int
	links     []*link
	lastIndex int
	ns        int // of the caller
	now       time.Time
	noFeature uint32          // features that TUNGETFEATURES does not have
	noOffload int             // bits for which TUNSETOFFLOAD gives EINVAL, on every interface
	noHdrLen  int             // a size that TUNSETVNETHDRSZ refuses; 0 for none
	waits     uint64          // times that a writer waited
	writes    int             // calls of writev that have ended
	wrote     func(a attempt) // called for each writev; may be nil
}

// link is an interface.
type link struct {
	name            string
	index, ns       int
	kind            uint16 // unix.IFF_TUN, unix.IFF_TAP, 0 for any other
	multi           bool   // IFF_MULTI_QUEUE
	persist         bool
	gone, down      bool
	moved           bool // to another name or namespace
	hdrLen, mask    int
	backpressure    bool
	mtu, txQueueLen uint32
	had             map[uint16][]uint32                     // the values of a setting so far, by its attribute
	refuses         func(h model.VnetHdr, packets int) bool // superpackets for which writev gives EINVAL
	masks           []int                                   // that were set so far
	notNative, dead bool                                    // the VnetHdr's byte order is not native; every read fails
	fds             []*desc
}

// desc is an open descriptor: of a TUN, or a socket.
type desc struct {
	num, ns int
	socket  bool
	link    *link
	in      []superpacket // to be read
	handed  []superpacket // that were read, since the test cleared it
	failed  int           // reads that failed with an errno of one packet, since the test cleared it
	written []attempt     // calls of writev, since the test cleared it
	room    int           // writes for which there is room
	polled  bool          // since there is no room
	file    *simFile
}

// superpacket is a VnetHdr and a packet. If it is honest, a kernel may have handed it out,
// and it knows what was negotiated.
type superpacket struct {
	hdr    model.VnetHdr
	data   []byte
	honest bool
}

// attempt is a call of writev.
type attempt struct {
	superpacket
	packets [][]byte // that it stands for; the data itself if that cannot be cut
	err     error    // the errno; errShort if it took only a part
	began   int      // number of calls of writev that had ended before
}

func newSim(f failer) *sim {
	s := &sim{failer: f, fds: map[int]*desc{}, lastFD: 2, now: time.Unix(1_700_000_000, 0)}
	s.add("lo", 0)
	return s
}

// add makes an interface in the caller's namespace.
func (s *sim) add(name string, kind uint16) *link {
	s.lastIndex++
	l := &link{name: name, index: s.lastIndex, ns: s.ns, kind: kind, hdrLen: 10, mtu: 1500, txQueueLen: 500}
	l.had = map[uint16][]uint32{unix.IFLA_MTU: {l.mtu}, unix.IFLA_TXQLEN: {l.txQueueLen}}
	s.links = append(s.links, l)
	return l
}

// find returns the interface of a name in a namespace, or nil.
func (s *sim) find(name string, ns int) *link {
	for _, l := range s.links {
		if l.name == name && l.ns == ns && !l.gone {
			return l
		}
	}
	return nil
}

// move gives an interface another name or namespace, unless that has the name.
func (s *sim) move(l *link, name string, ns int) {
	if s.find(name, ns) == nil {
		l.name, l.ns, l.moved = name, ns, true
	}
}

// delete deletes an interface, and wakes all who wait for it.
func (s *sim) delete(l *link) {
	l.gone = true
	for _, d := range l.fds {
		d.in = nil
		d.wake()
	}
}

// wake wakes readers and writers.
func (d *desc) wake() {
	if d.file != nil {
		d.file.r.ready, d.file.w.ready = true, true
	}
}

// takesTunnels reports whether superpackets in tunnels were negotiated.
func (l *link) takesTunnels() bool { return l.mask&tunnelMask != 0 && l.hdrLen == 24 }

// send puts a packet into the queue of a descriptor. The kernel cuts what the interface does
// not take.
func (d *desc) send(p superpacket) {
	if p.honest && p.hdr.GSOType&tunnels != 0 && !d.link.takesTunnels() {
		list, err := p.cut()
		if err != nil {
			panic(err)
		}
		for _, b := range list {
			d.send(superpacket{data: b})
		}
		return
	}
	d.in = append(d.in, p)
	if d.file != nil {
		d.file.r.ready = true
	}
}

// makeRoom gives a descriptor room for n writes. It wakes a writer only if that polled.
func (d *desc) makeRoom(n int) {
	d.room = n
	if n > 0 && d.polled && d.file != nil {
		d.polled, d.file.w.ready = false, true
	}
}

// get returns an open descriptor. No call may use another.
func (s *sim) get(call string, fd int) *desc {
	d := s.fds[fd]
	if d == nil {
		s.Fatalf("%s: descriptor %d is not open", call, fd)
	}
	return d
}

func (s *sim) newFD(socket bool) int {
	s.lastFD++
	s.fds[s.lastFD] = &desc{num: s.lastFD, ns: s.ns, socket: socket, room: 1 << 30}
	return s.lastFD
}

func (s *sim) open(path string) (fd int, err error) {
	return invoke(s, "open", func() (int, error) { return s.newFD(false), nil })
}

func (s *sim) socket() (fd int, err error) {
	return invoke(s, "socket", func() (int, error) { return s.newFD(true), nil })
}

// close closes a descriptor even if it fails, as Linux does.
func (s *sim) close(fd int) error {
	s.pause("close", nil)
	d := s.get("close", fd)
	if d.file != nil {
		s.Fatalf("close: descriptor %d belongs to a file", fd)
	}
	s.drop(d)
	return s.failure("close")
}

// drop frees a descriptor.
func (s *sim) drop(d *desc) {
	delete(s.fds, d.num)
	if l := d.link; l != nil {
		l.fds = slices.DeleteFunc(l.fds, func(o *desc) bool { return o == d })
		if len(l.fds) == 0 && !l.persist {
			l.gone = true
		}
	}
}

func (s *sim) setNonblock(fd int) error {
	return s.ioctl("fcntl", fd, func(d *desc) error { return nil })
}

// ioctl is a call that returns only an errno.
func (s *sim) ioctl(name string, fd int, do func(d *desc) error) error {
	_, err := invoke(s, name, func() (struct{}, error) { return struct{}{}, do(s.get(name, fd)) })
	return err
}

func (s *sim) ifreq(fd int, request uint, ifr *unix.Ifreq) error {
	switch request {
	case unix.TUNSETIFF:
		if ifr.Uint16()&unix.IFF_TUN_EXCL != 0 {
			return s.ioctl("TUNSETIFF EXCL", fd, func(d *desc) error { return s.attach(d, ifr) })
		}
		return s.ioctl("TUNSETIFF", fd, func(d *desc) error { return s.attach(d, ifr) })
	case unix.TUNGETIFF:
		return s.ioctl("TUNGETIFF", fd, func(d *desc) error {
			switch {
			case d.socket:
				return unix.ENOTTY
			case d.link == nil || d.link.gone:
				return unix.EBADFD
			}
			d.link.describe(ifr)
			return nil
		})
	}
	return s.ioctl("SIOCGIF", fd, func(d *desc) error {
		l := s.find(ifr.Name(), d.ns)
		switch {
		case !d.socket:
			return unix.ENOTTY
		case l == nil:
			return unix.ENODEV
		case request == unix.SIOCGIFINDEX:
			ifr.SetUint32(uint32(l.index))
		case request == unix.SIOCGIFMTU:
			ifr.SetUint32(l.mtu)
		case request == unix.SIOCGIFTXQLEN:
			ifr.SetUint32(l.txQueueLen)
		default:
			s.Fatalf("request %#x is not simulated", request)
		}
		return nil
	})
}

func (s *sim) isHere(fd int) (here bool, err error) {
	err = s.attached("TUNGETDEVNETNS", fd, func(l *link) error {
		here = l.ns == s.ns
		return nil
	})
	return here, err
}

// setLink is do_setlink.
func (s *sim) setLink(index int, attr uint16, v uint32) error {
	_, err := invoke(s, "RTM_SETLINK", func() (struct{}, error) { return struct{}{}, s.number(index, attr, v) })
	return err
}

// number gives a link of the caller's namespace a number.
func (s *sim) number(index int, attr uint16, v uint32) error {
	at := slices.IndexFunc(s.links, func(l *link) bool { return l.index == index && l.ns == s.ns && !l.gone })
	if at < 0 {
		return unix.ENODEV
	}
	switch l := s.links[at]; {
	case attr == unix.IFLA_MTU && (v < 68 || v > 65535):
		return unix.EINVAL
	case attr == unix.IFLA_MTU:
		l.mtu = v
	case attr == unix.IFLA_TXQLEN:
		l.txQueueLen = v
	default:
		s.Fatalf("attribute %d is not simulated", attr)
	}
	s.links[at].had[attr] = append(s.links[at].had[attr], v)
	return nil
}

// attach is TUNSETIFF (tun_set_iff, tun_attach).
func (s *sim) attach(d *desc, ifr *unix.Ifreq) error {
	name, multi := ifr.Name(), ifr.Uint16()&unix.IFF_MULTI_QUEUE != 0
	l := s.find(name, d.ns)
	switch {
	case d.socket:
		return unix.ENOTTY
	case d.link != nil:
		return unix.EEXIST
	case ifr.Uint16()&iffBackpressure != 0 && s.noFeature&iffBackpressure != 0:
		s.Fatalf("IFF_BACKPRESSURE is asked for, which this kernel does not have")
	case l != nil && ifr.Uint16()&unix.IFF_TUN_EXCL != 0:
		return unix.EBUSY
	case l == nil && strings.ContainsAny(name, " :/"):
		return unix.EINVAL
	case l == nil:
		if name == "" || name == "tun%d" {
			for i := 0; ; i++ {
				if name = fmt.Sprintf("tun%d", i); s.find(name, d.ns) == nil {
					break
				}
			}
		}
		l = s.add(name, unix.IFF_TUN)
		l.ns, l.multi = d.ns, multi
	case l.kind != unix.IFF_TUN || l.multi != multi:
		return unix.EINVAL
	case !multi && len(l.fds) > 0:
		return unix.EBUSY
	case len(l.fds) == maxQueues:
		return unix.E2BIG
	}
	if len(l.fds) == 0 { // later queues do not initialise the interface
		l.backpressure = ifr.Uint16()&iffBackpressure != 0
	}
	d.link = l
	l.fds = append(l.fds, d)
	l.describe(ifr)
	return nil
}

// describe fills in a request.
func (l *link) describe(ifr *unix.Ifreq) {
	r, err := unix.NewIfreq(l.name)
	if err != nil {
		panic(err)
	}
	flags := l.kind | unix.IFF_NO_PI | unix.IFF_VNET_HDR
	if l.multi {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if l.backpressure {
		flags |= iffBackpressure
	}
	r.SetUint16(flags)
	*ifr = *r
}

// attached is a call for a descriptor that must have an interface.
func (s *sim) attached(name string, fd int, do func(l *link) error) error {
	return s.ioctl(name, fd, func(d *desc) error {
		if d.link == nil || d.link.gone {
			return unix.EBADFD
		}
		return do(d.link)
	})
}

func (s *sim) setInt(fd int, request uint, v int) error {
	if request != unix.TUNSETOFFLOAD {
		s.Fatalf("request %#x is not simulated", request)
	}
	return s.attached("TUNSETOFFLOAD", fd, func(l *link) error {
		const plain = unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | usoMask
		switch { // set_offload
		case v&s.noOffload != 0, v != 0 && v&unix.TUN_F_CSUM == 0,
			v&tunnelMask != 0 && v&plain == 0, v&tunnelMask == 0x100:
			return unix.EINVAL
		}
		l.mask = v
		l.masks = append(l.masks, v)
		return nil
	})
}

func (s *sim) setPointer(fd int, request uint, v int) error {
	name := s.name(request)
	if request == unix.TUNSETVNETHDRSZ && v == 24 {
		name += " 24" // which may fail
	}
	return s.attached(name, fd, func(l *link) error {
		switch {
		case request == unix.TUNSETVNETHDRSZ && v == s.noHdrLen:
			return unix.EINVAL
		case request == unix.TUNSETVNETHDRSZ:
			l.hdrLen = v
		default:
			l.notNative = v != 0
		}
		return nil
	})
}

// name returns the name of a request for the VnetHdr.
func (s *sim) name(request uint) string {
	name := map[uint]string{
		unix.TUNSETVNETHDRSZ: "TUNSETVNETHDRSZ", unix.TUNGETVNETHDRSZ: "TUNGETVNETHDRSZ",
		unix.TUNSETVNETLE: "TUNSETVNETLE", unix.TUNGETVNETLE: "TUNGETVNETLE", unix.TUNGETVNETBE: "TUNGETVNETBE",
	}[request]
	if name == "" {
		s.Fatalf("request %#x is not simulated", request)
	}
	return name
}

func (s *sim) getUint32(fd int, request uint) (v uint32, err error) {
	if request == unix.TUNGETFEATURES { // also of a descriptor that has no interface
		err = s.ioctl("TUNGETFEATURES", fd, func(d *desc) error {
			v = 0x71f3 &^ s.noFeature
			return nil
		})
		return v, err
	}
	err = s.attached(s.name(request), fd, func(l *link) error {
		little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
		switch {
		case request == unix.TUNGETVNETHDRSZ:
			v = uint32(l.hdrLen)
		case l.notNative && little == (request == unix.TUNGETVNETBE): // the order that is not native
			v = 1
		}
		return nil
	})
	return v, err
}

func (s *sim) driver(fd int, name string) (info *unix.EthtoolDrvinfo, err error) {
	err = s.ioctl("SIOCETHTOOL", fd, func(d *desc) error {
		l := s.find(name, d.ns)
		switch {
		case l == nil:
			return unix.ENODEV
		case l.kind == 0:
			return unix.EOPNOTSUPP
		}
		info = &unix.EthtoolDrvinfo{}
		copy(info.Driver[:], "tun")
		copy(info.Bus_info[:], map[uint16]string{unix.IFF_TUN: "tun", unix.IFF_TAP: "tap"}[l.kind])
		return nil
	})
	return info, err
}

// file puts a descriptor into the poller.
func (s *sim) file(fd int, name string) file {
	d := s.get("file", fd)
	if d.file != nil {
		s.Fatalf("descriptor %d is put into the poller twice", fd)
	}
	d.file = &simFile{s: s, d: d}
	return d.file
}

// read is tun_do_read: it takes the next packet, and cuts it to the length of b.
func (s *sim) read(fd int, b []byte) (int, error) {
	s.pause("read", nil)
	d := s.get("read", fd)
	if err := s.failure("read"); err != nil {
		switch err {
		case unix.EAGAIN:
			d.wake() // else it would wait for a packet that is there
		case unix.EINTR, unix.EBADFD:
		case errShort: // less than a VnetHdr; the rest is lost
			d.failed++
			d.in = d.in[min(1, len(d.in)):]
			return copy(b, "\x00\x01\x02"), nil
		default:
			d.failed++
		}
		return -1, err
	}
	switch {
	case d.link == nil || d.link.gone:
		return -1, unix.EBADFD
	case d.link.dead:
		d.failed++
		return -1, unix.EIO
	case len(d.in) == 0:
		return -1, unix.EAGAIN
	case len(b) < d.link.hdrLen:
		return -1, unix.EINVAL
	}
	p := d.in[0]
	d.in = d.in[1:]
	if p.honest && p.hdr.GSOType&tunnels != 0 && !d.link.takesTunnels() { // tun_vnet_hdr_tnl_from_skb
		d.failed++
		return -1, unix.EINVAL
	}
	if p.hdr.GSOType&tunnels == 0 || d.link.hdrLen < 24 { // nothing says where they are
		p.hdr.OuterTHOffset, p.hdr.InnerNHOffset = 0, 0
	}
	n := copy(b, p.bytes(d.link.hdrLen))
	d.handed = append(d.handed, p)
	return n, nil
}

// tunnels has the bits of superpackets in tunnels.
const tunnels = 0x60

// bytes returns the VnetHdr, of 10 bytes or of 24, and the packet. Between the fields of 10
// bytes and the offsets are those that nobody reads. In a header without a tunnel, what
// comes after 10 bytes is left over from before.
func (p superpacket) bytes(hdrLen int) []byte {
	h := p.hdr
	b := []byte{h.Flags, h.GSOType}
	order := binary.AppendByteOrder(binary.NativeEndian)
	if hdrLen == 24 && h.GSOType&tunnels != 0 {
		order = binary.LittleEndian
	}
	for _, v := range []uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset} {
		b = order.AppendUint16(b, v)
	}
	if b = append(b, "LEFT OVER FROM BEFORE"...)[:hdrLen]; hdrLen == 24 && h.GSOType&tunnels != 0 {
		binary.LittleEndian.PutUint16(b[20:], h.OuterTHOffset)
		binary.LittleEndian.PutUint16(b[22:], h.InnerNHOffset)
	}
	return append(b, p.data...)
}

// written is the inverse of bytes, for what may be written: nothing in a tunnel, and zeros
// after 10 bytes.
func (s *sim) written(b []byte, hdrLen int) superpacket {
	u16 := binary.NativeEndian.Uint16
	p := superpacket{hdr: model.VnetHdr{Flags: b[0], GSOType: b[1], HdrLen: u16(b[2:]), GSOSize: u16(b[4:]), CsumStart: u16(b[6:]), CsumOffset: u16(b[8:])}, data: b[hdrLen:]}
	if p.hdr.GSOType&tunnels != 0 || bytes.Count(b[10:hdrLen], []byte{0}) != hdrLen-10 {
		s.Fatalf("a VnetHdr is written as %x", b[:hdrLen])
	}
	return p
}

// superOf returns a superpacket of package scenario.
func superOf(h pkts.VnetHdr, b []byte) superpacket {
	return superpacket{hdr: model.VnetHdr(h), data: b}
}

// cut returns the packets that p stands for, or an error.
func (p superpacket) cut() ([][]byte, error) { return model.Segment(p.hdr, p.data) }

// errShort is the failure of a call that takes or gives only a part.
var errShort = errors.New("a part only")

// writev is tun_get_user. A real kernel may crash if the guard refuses what it is given.
func (s *sim) writev(fd, hdrLen int, iov []unix.Iovec) (int, error) {
	began := s.writes
	s.pause("writev", nil)
	s.writes++
	d := s.get("writev", fd)
	var b []byte
	for _, v := range iov {
		b = append(b, unsafe.Slice(v.Base, v.Len)...)
	}
	if len(b) < hdrLen || len(iov) > 1024 {
		s.Fatalf("writev of %d bytes in %d pieces", len(b), len(iov))
	}
	if d.link != nil && d.link.hdrLen != hdrLen {
		s.Fatalf("writev with a VnetHdr of %d bytes, the interface has %d", hdrLen, d.link.hdrLen)
	}
	p := s.written(b, hdrLen)
	if err := guard.Check(p.hdr.GSOType, p.data); err != nil {
		s.Fatalf("writev: %v: %+v %x", err, p.hdr, p.data)
	}
	a := attempt{superpacket: p, err: s.failure("writev"), began: began}
	list, bad := p.cut()
	if a.packets = list; bad != nil {
		a.packets = [][]byte{p.data}
	}
	if a.err == nil {
		a.err = d.take(&a, bad)
	}
	d.written = append(d.written, a)
	if s.wrote != nil {
		s.wrote(a)
	}
	switch a.err {
	case nil:
		return len(b), nil
	case errShort:
		return len(b) - 1, nil
	}
	return -1, a.err
}

// take returns the errno of an honest writev. bad is the reason why the superpacket
// cannot be cut.
func (d *desc) take(a *attempt, bad error) error {
	switch {
	case d.link == nil || d.link.gone:
		return unix.EBADFD
	case d.room == 0:
		return unix.EAGAIN
	case bad != nil || len(a.data) == 0 || a.data[0]>>4 != 4 && a.data[0]>>4 != 6:
		return unix.EINVAL
	case a.hdr.GSOType != 0 && d.link.refuses != nil && d.link.refuses(a.hdr, len(a.packets)):
		return unix.EINVAL
	case d.link.down:
		return unix.EIO
	}
	d.room--
	return nil
}

// poll reports room. Only a poll without room makes the kernel wake the writer later.
func (s *sim) poll(fds []unix.PollFd) (int, error) {
	s.pause("poll", nil)
	if err := s.failure("poll"); err != nil {
		return -1, err
	}
	d := s.get("poll", int(fds[0].Fd))
	if len(fds) != 1 || fds[0].Events != unix.POLLOUT {
		s.Fatalf("poll of %+v", fds)
	}
	if d.room > 0 || d.link == nil || d.link.gone {
		return 1, nil
	}
	d.polled = true
	return 0, nil
}
