// SPDX-License-Identifier: MIT

package tun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"tunproof/offload"
)

// Open makes an interface, or attaches to an existing one, and opens cfg.Queues
// descriptors of it. It needs CAP_NET_ADMIN, or an interface that belongs to the
// user.
//
// The interface has IFF_TUN, IFF_NO_PI and IFF_VNET_HDR, but never IFF_NAPI: with it,
// kernels as old as 4.19 free a packet that the writer still counts on. A new interface
// has a virtio_net_hdr of 24 bytes if superpackets in tunnels can be read
// ([Config].NoTunnels), otherwise of 10. An existing interface keeps its header size and
// byte order. Without cfg.MultiQueue and with one queue, nobody else can have it open:
// then Open sets 10 bytes, unless there are 24 for superpackets in tunnels, and switches a
// little-endian order off. Open refuses an interface whose size is neither 10 nor 24
// after that, or whose order is wrong.
func Open(cfg Config) (*Device, error) { return open(cfg, kernel{}) }

// Adopt makes a Device of descriptors that somebody else opened. All must belong to
// one interface; each becomes a queue. Adopt takes them over: it closes them on
// error, and later Close closes them. They become non-blocking, and so do their
// duplicates.
//
// Adopt refuses interfaces that cannot be read and written correctly: those that are
// not IFF_TUN, those without IFF_NO_PI or IFF_VNET_HDR, and those whose
// virtio_net_hdr is not of 10 or 24 bytes, or not in native byte order (T1). Size, order and
// offloads belong to the interface: everybody who has it open shares them. Adopt never
// changes the size. With 24 bytes it asks for superpackets in tunnels, unless
// cfg.NoTunnels is set. With 10 bytes there are none.
//
// The interface may be in another network namespace. Then it cannot be changed from
// here: Config.MTU and Config.TxQueueLen are an error, and AddQueue is, too.
func Adopt(cfg Config, fds ...int) (*Device, error) { return adopt(cfg, kernel{}, fds...) }

func open(cfg Config, sys system) (*Device, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	d := newDevice(cfg, sys)
	var fds []int
	for range cfg.Queues {
		fd, name, err := d.attach(d.name)
		if err != nil {
			closeAll(sys, fds)
			return nil, fmt.Errorf("tun: %w", err)
		}
		d.name = name
		fds = append(fds, fd)
	}
	if err := d.start(fds); err != nil {
		return nil, fmt.Errorf("tun: %w", err)
	}
	return d, nil
}

func closeAll(sys system, fds []int) {
	for _, fd := range fds {
		sys.close(fd)
	}
}

func adopt(cfg Config, sys system, fds ...int) (*Device, error) {
	d, err := prepare(cfg, sys, fds)
	if err != nil {
		closeAll(sys, fds)
		return nil, err
	}
	if err := d.start(fds); err != nil {
		return nil, fmt.Errorf("tun: %w", err)
	}
	return d, nil
}

// prepare checks descriptors that are adopted.
func prepare(cfg Config, sys system, fds []int) (*Device, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if len(fds) == 0 {
		return nil, errors.New("tun: Adopt: no descriptors given")
	}
	cfg.Name = ""
	d := newDevice(cfg, sys)
	for _, fd := range fds {
		name, flags, err := d.checkFD(fd)
		if err != nil {
			return nil, fmt.Errorf("tun: descriptor %d: %w", fd, err)
		}
		if d.name != "" && d.name != name {
			return nil, fmt.Errorf("tun: descriptor %d belongs to %s, others to %s", fd, name, d.name)
		}
		d.name, d.flags = name, flags&(baseFlags|unix.IFF_MULTI_QUEUE|iffBackpressure)
		d.cfg.MultiQueue = flags&unix.IFF_MULTI_QUEUE != 0
		if here, err := sys.isHere(fd); err == nil && !here {
			d.noIndex = errElsewhere // an interface of the same name here is another
		}
		if err := sys.setNonblock(fd); err != nil {
			return nil, fmt.Errorf("tun: descriptor %d: %w", fd, err)
		}
	}
	return d, nil
}

// attach opens a descriptor of an interface, which it makes if there is none of the
// name. It returns the interface's name.
func (d *Device) attach(name string) (fd int, is string, err error) {
	fd, err = d.sys.open(d.cfg.Node)
	if err != nil {
		return -1, "", &fs.PathError{Op: "open", Path: d.cfg.Node, Err: err}
	}
	opened := fd // fd is -1 after an error
	defer func() {
		if err != nil {
			d.sys.close(opened)
		}
	}()
	made := false
	if d.flags == 0 {
		d.flags = d.wanted(fd)
		made = !d.cfg.NoTunnels // else nobody asks
	}
	err = unix.EBUSY // there is an interface of the name
	if made {
		is, err = d.setIFF(fd, name, d.flags|unix.IFF_TUN_EXCL)
	}
	if err == unix.EBUSY {
		made = false
		is, err = d.setIFF(fd, name, d.flags)
	}
	if err != nil {
		return -1, "", fmt.Errorf("TUNSETIFF %s: %w%s", name, err, d.attachHint(name, err))
	}
	name = is
	if err := d.setHeader(fd, made); err != nil {
		return -1, "", fmt.Errorf("%s: header size and byte order: %w", name, err)
	}
	_, flags, err := d.checkFD(fd)
	if err != nil {
		return -1, "", fmt.Errorf("%s: %w", name, err)
	}
	d.flags = d.flags&^iffBackpressure | flags&iffBackpressure // an interface with queues keeps what it has
	return fd, name, nil
}

// setIFF attaches a descriptor. It returns the interface's name. The error is the errno.
func (d *Device) setIFF(fd int, name string, flags uint16) (is string, err error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return "", err
	}
	ifr.SetUint16(flags)
	err = d.sys.ifreq(fd, unix.TUNSETIFF, ifr)
	if err != nil {
		return "", err
	}
	return ifr.Name(), nil
}

// setHeader gives an interface the VnetHdr that this device wants, if the interface was
// made by it or nobody else has it open.
func (d *Device) setHeader(fd int, made bool) error {
	if d.cfg.MultiQueue && !made {
		return nil
	}
	d.ownHdrLen = true
	size := offload.VnetHdrLen
	if !d.cfg.NoTunnels {
		has, err := d.sys.getUint32(fd, unix.TUNGETVNETHDRSZ)
		if err != nil {
			return err
		}
		if has == offload.TunnelVnetHdrLen || made && d.sys.setPointer(fd, unix.TUNSETVNETHDRSZ, offload.TunnelVnetHdrLen) == nil {
			size = offload.TunnelVnetHdrLen
		}
	}
	if size == offload.VnetHdrLen {
		if err := d.sys.setPointer(fd, unix.TUNSETVNETHDRSZ, size); err != nil {
			return err
		}
	}
	if d.cfg.MultiQueue { // a new interface has the native order
		return nil
	}
	return d.sys.setPointer(fd, unix.TUNSETVNETLE, 0)
}

const (
	baseFlags = unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR
	// iffBackpressure is IFF_BACKPRESSURE of include/uapi/linux/if_tun.h, Linux 7.3.
	iffBackpressure = 0x0080
)

// wanted returns the flags with which queues are attached. fd is not attached yet.
func (d *Device) wanted(fd int) uint16 {
	flags := uint16(baseFlags)
	if d.cfg.MultiQueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	if d.cfg.Backpressure {
		if has, err := d.sys.getUint32(fd, unix.TUNGETFEATURES); err == nil && has&iffBackpressure != 0 {
			flags |= iffBackpressure
		}
	}
	return flags
}

// attachHint returns what an errno of TUNSETIFF means.
func (d *Device) attachHint(name string, err error) string {
	switch err {
	case unix.EPERM:
		return " (needs CAP_NET_ADMIN, or to be the interface's owner)"
	case unix.EBUSY:
		return " (somebody else has it open)"
	case unix.EINVAL:
		return d.whyInvalid(name)
	case unix.E2BIG:
		return " (it has all the queues it can)"
	}
	return ""
}

// whyInvalid returns the reason why the kernel does not attach to an interface of a
// name, as far as it can be asked.
func (d *Device) whyInvalid(name string) string {
	fd, err := d.sys.socket()
	if err != nil {
		return ""
	}
	defer d.sys.close(fd)
	info, err := d.sys.driver(fd, name)
	switch {
	case err == unix.ENODEV:
		return " (no interface can have this name)"
	case err == unix.EOPNOTSUPP: // a loopback has no driver
		return " (it is not a TUN)"
	case err != nil:
		return ""
	}
	switch driver := unix.ByteSliceToString(info.Driver[:]); {
	case driver != "tun":
		return " (it is not a TUN: its driver is " + driver + ")"
	case unix.ByteSliceToString(info.Bus_info[:]) == "tap":
		return " (it is a TAP)"
	case d.cfg.MultiQueue:
		return " (it has no IFF_MULTI_QUEUE, but Config.Queues or MultiQueue asks for it)"
	}
	return " (it has IFF_MULTI_QUEUE: open it with Config.MultiQueue)"
}

// checkFD checks that a descriptor can be read and written correctly. It returns the
// name and the flags of its interface.
func (d *Device) checkFD(fd int) (name string, flags uint16, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", 0, err
	}
	switch err := d.sys.ifreq(fd, unix.TUNGETIFF, ifr); err {
	case nil:
	case unix.EBADFD:
		return "", 0, fmt.Errorf("TUNGETIFF: %w: it is not attached to an interface", err)
	default:
		return "", 0, fmt.Errorf("TUNGETIFF: %w: it is not a TUN descriptor", err)
	}
	name, flags = ifr.Name(), ifr.Uint16()
	for _, f := range []struct {
		flag uint16
		name string
	}{{unix.IFF_TUN, "IFF_TUN"}, {unix.IFF_NO_PI, "IFF_NO_PI"}, {unix.IFF_VNET_HDR, "IFF_VNET_HDR"}} {
		if flags&f.flag == 0 {
			return name, flags, fmt.Errorf("%s was opened without %s: every packet would be misread", name, f.name)
		}
	}
	if err := d.askHdrLen(fd, name); err != nil {
		return name, flags, err
	}
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	// Without this ioctl the order is native: few kernels have TUNGETVNETBE.
	if le, err := d.sys.getUint32(fd, unix.TUNGETVNETLE); err == nil && le != 0 && !little {
		return name, flags, fmt.Errorf("%s has a little-endian virtio_net_hdr, want the native order", name)
	}
	if be, err := d.sys.getUint32(fd, unix.TUNGETVNETBE); err == nil && be != 0 && little {
		return name, flags, fmt.Errorf("%s has a big-endian virtio_net_hdr, want the native order", name)
	}
	return name, flags, nil
}

// askHdrLen sets d.hdrLen to the size of the interface's VnetHdr, for the first queue.
// Further queues must have the same. No size but the kernel's answer is ever used, since
// the guard depends on it.
func (d *Device) askHdrLen(fd int, name string) error {
	// The value has 32 bits; an int has 64 on some big-endian machines.
	size, err := d.sys.getUint32(fd, unix.TUNGETVNETHDRSZ)
	switch {
	case err != nil:
		return fmt.Errorf("TUNGETVNETHDRSZ: %w", err)
	case size != offload.VnetHdrLen && size != offload.TunnelVnetHdrLen:
		return fmt.Errorf("%s has a virtio_net_hdr of %d bytes, want %d or %d", name, size, offload.VnetHdrLen, offload.TunnelVnetHdrLen)
	case d.hdrLen != 0 && int(size) != d.hdrLen:
		return fmt.Errorf("%s has a virtio_net_hdr of %d bytes, and had %d", name, size, d.hdrLen)
	}
	if d.hdrLen == 0 { // others may read it while a queue is added
		d.hdrLen = int(size)
	}
	return nil
}

var errElsewhere = fmt.Errorf("the interface was in another network namespace: %w", unix.ENODEV)

// start makes queues of the interface's first descriptors. It takes them over, and
// closes them on error.
func (d *Device) start(fds []int) error {
	if d.noIndex == nil {
		var index uint32
		index, d.noIndex = d.linkNumber(d.name, unix.SIOCGIFINDEX) // it may be in another namespace
		d.index = int(index)
	}
	err := d.configure()
	if err == nil {
		err = d.setOffloads(fds)
	}
	for i := 0; i < len(fds) && err == nil; i++ {
		var q *Queue
		if q, err = d.newQueue(fds[i]); err == nil {
			d.queues = append(d.queues, q)
		} else {
			fds = fds[i+1:]
		}
	}
	if err == nil {
		d.pushesBack = d.flags&iffBackpressure != 0
		return nil
	}
	for _, q := range d.queues {
		q.Close()
	}
	closeAll(d.sys, fds)
	return err
}

// setOffloads negotiates with the first descriptor, and sets the same mask on all.
func (d *Device) setOffloads(fds []int) (err error) {
	if d.mask, err = d.negotiate(fds[0]); err != nil {
		return err
	}
	if d.mask&usoMask != usoMask {
		d.unsupported = UDP
	}
	for i, fd := range fds[1:] {
		if err := d.setOffload(fd, d.mask); err != nil {
			return fmt.Errorf("%s: TUNSETOFFLOAD %#x of queue %d: %w", d.name, d.mask, i+1, err)
		}
	}
	return nil
}

const (
	usoMask = unix.TUN_F_USO4 | unix.TUN_F_USO6
	// tunnelMask is TUN_F_UDP_TUNNEL_GSO and TUN_F_UDP_TUNNEL_GSO_CSUM of
	// include/uapi/linux/if_tun.h, Linux 6.17.
	tunnelMask = 0x80 | 0x100

	tso = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
)

// negotiate sets and returns the largest mask that the kernel takes (T1). The mask
// belongs to the interface and outlives its descriptors, so it is always set.
//
// Superpackets in tunnels come first, in one call with all that they need (set_offload,
// drivers/net/tun.c, Linux 6.18): with a lesser mask in between, those in the queues of
// others would be lost (tun_vnet_hdr_tnl_from_skb). A header for them is taken back only
// after that mask was refused.
func (d *Device) negotiate(fd int) (mask int, err error) {
	if d.hdrLen == offload.TunnelVnetHdrLen && !d.cfg.NoTunnels {
		const all = tso | unix.TUN_F_TSO_ECN | usoMask | tunnelMask
		if d.setOffload(fd, all) == nil {
			return all, nil
		}
	}
	for _, mask = range []int{tso | unix.TUN_F_TSO_ECN, tso, unix.TUN_F_CSUM, 0} {
		if err = d.setOffload(fd, mask); err == nil || err == unix.EBADFD {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%s: TUNSETOFFLOAD %#x: %w", d.name, mask, err)
	}
	if mask&unix.TUN_F_CSUM != 0 && d.setOffload(fd, mask|usoMask) == nil {
		mask |= usoMask
	}
	if d.hdrLen == offload.TunnelVnetHdrLen && d.ownHdrLen {
		if err = d.sys.setPointer(fd, unix.TUNSETVNETHDRSZ, offload.VnetHdrLen); err == nil {
			d.hdrLen = 0
			err = d.askHdrLen(fd, d.name)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: header size: %w", d.name, err)
		}
	}
	return mask, nil
}

func (d *Device) setOffload(fd, mask int) error {
	return d.sys.setInt(fd, unix.TUNSETOFFLOAD, mask)
}

// AddQueue opens another descriptor of the interface, with the same offloads (T1). The
// interface must have IFF_MULTI_QUEUE and be in the caller's network namespace. If it
// was deleted, the error is ErrGone.
func (d *Device) AddQueue() (*Queue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q, err := d.newAttached()
	if err != nil {
		return nil, &fs.PathError{Op: "add queue", Path: d.name, Err: err}
	}
	d.queues = append(d.queues, q)
	return q, nil
}

// newAttached returns a queue of another descriptor. d.mu is held.
func (d *Device) newAttached() (*Queue, error) {
	name, err := d.here()
	if err != nil { // attach would make a new interface
		return nil, err
	}
	if !d.cfg.MultiQueue {
		return nil, errors.New("the interface was opened without IFF_MULTI_QUEUE")
	}
	fd, name, err := d.attach(name)
	if err != nil {
		return nil, err
	}
	if err = d.isOwn(name); err == nil { // else the name went to another meanwhile
		if err = d.setOffload(fd, d.mask); err != nil {
			err = fmt.Errorf("TUNSETOFFLOAD %#x: %w", d.mask, err)
		}
	}
	if err != nil {
		d.sys.close(fd)
		return nil, err
	}
	return d.newQueue(fd)
}

// here returns the name that the interface has now. It fails if the interface is not in
// this network namespace, or the device is closed. d.mu is held.
func (d *Device) here() (name string, err error) {
	if d.closed {
		return "", os.ErrClosed
	}
	if name, err = d.current(); err != nil {
		return "", err
	}
	return name, d.isOwn(name)
}

// isOwn returns nil if the interface of a name in this network namespace is the
// device's.
func (d *Device) isOwn(name string) error {
	index, err := d.linkNumber(name, unix.SIOCGIFINDEX)
	switch {
	case err == unix.ENODEV || err == nil && d.noIndex == nil && int(index) != d.index:
		return fmt.Errorf("the interface is not in this network namespace: %w", unix.ENODEV)
	case err != nil:
		return err
	case d.noIndex != nil:
		return fmt.Errorf("the interface's index was not to be had when the device was made: %w", d.noIndex)
	}
	return nil
}

// current returns the name that the interface has now, in whatever namespace. It is the
// old name if no queue is open.
func (d *Device) current() (string, error) {
	for _, q := range d.queues {
		name, err := q.name()
		if err == unix.EBADFD {
			return "", ErrGone
		}
		if err == nil {
			return name, nil
		}
	}
	return d.name, nil
}
