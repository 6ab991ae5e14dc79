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
// kernels as old as 4.19 free a packet that the writer still counts on. An existing
// interface keeps its header size and byte order. Without cfg.MultiQueue and with one
// queue, nobody else can have it open: then Open sets the size and switches a
// little-endian order off. Open refuses an interface whose size or order is wrong after
// that.
func Open(cfg Config) (*Device, error) { return open(cfg, faults{}) }

// Adopt makes a Device of descriptors that somebody else opened. All must belong to
// one interface; each becomes a queue. Adopt takes them over: it closes them on
// error, and later Close closes them. They become non-blocking, and so do their
// duplicates.
//
// Adopt refuses interfaces that cannot be read and written correctly: those that are
// not IFF_TUN, those without IFF_NO_PI or IFF_VNET_HDR, and those whose
// virtio_net_hdr is not of 10 bytes or not in native byte order (T1). Size, order and
// offloads belong to the interface: everybody who has it open shares them.
func Adopt(cfg Config, fds ...int) (*Device, error) { return adopt(cfg, faults{}, fds...) }

// faults replaces parts of the kernel in tests; with nil the kernel is used.
type faults struct {
	offload func(mask int, set func(int) error) error // called instead of TUNSETOFFLOAD, which set does
	front   func(front []byte) []byte                 // returns the bytes to write instead of a superpacket's VnetHdr and headers
}

func open(cfg Config, f faults) (*Device, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	d := newDevice(cfg, f)
	var fds []int
	for range cfg.Queues {
		fd, err := d.attach()
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	if err := d.start(fds); err != nil {
		return nil, err
	}
	return d, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func adopt(cfg Config, f faults, fds ...int) (*Device, error) {
	d, err := prepare(cfg, f, fds)
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	if err := d.start(fds); err != nil {
		return nil, err
	}
	return d, nil
}

// prepare checks descriptors that are adopted.
func prepare(cfg Config, f faults, fds []int) (*Device, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if len(fds) == 0 {
		return nil, errors.New("tun: Adopt: no descriptors given")
	}
	cfg.Name = ""
	d := newDevice(cfg, f)
	for _, fd := range fds {
		name, flags, err := checkFD(fd)
		if err != nil {
			return nil, fmt.Errorf("tun: descriptor %d: %w", fd, err)
		}
		if d.name != "" && d.name != name {
			return nil, fmt.Errorf("tun: descriptor %d belongs to %s, others to %s", fd, name, d.name)
		}
		d.name, d.cfg.MultiQueue = name, flags&unix.IFF_MULTI_QUEUE != 0
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, fmt.Errorf("tun: descriptor %d: %w", fd, err)
		}
	}
	return d, nil
}

// attach opens a descriptor of the interface, and sets d.name.
func (d *Device) attach() (fd int, err error) {
	fd, err = unix.Open(d.cfg.Node, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "tun: open", Path: d.cfg.Node, Err: err}
	}
	opened := fd // fd is -1 after an error
	defer func() {
		if err != nil {
			unix.Close(opened)
		}
	}()
	ifr, err := unix.NewIfreq(d.name)
	if err != nil {
		return -1, fmt.Errorf("tun: name %q: %w", d.name, err)
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if d.cfg.MultiQueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return -1, fmt.Errorf("tun: TUNSETIFF %s: %w%s", d.name, err, attachHint(err))
	}
	d.name = ifr.Name()
	if !d.cfg.MultiQueue { // nobody else has it open: wrong settings can be corrected
		err = unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, offload.VnetHdrLen)
		if err == nil {
			err = unix.IoctlSetPointerInt(fd, unix.TUNSETVNETLE, 0)
		}
		if err != nil {
			return -1, fmt.Errorf("tun: %s: header size and byte order: %w", d.name, err)
		}
	}
	if _, _, err := checkFD(fd); err != nil {
		return -1, fmt.Errorf("tun: %s: %w", d.name, err)
	}
	return fd, nil
}

func attachHint(err error) string {
	switch err {
	case unix.EPERM:
		return " (needs CAP_NET_ADMIN, or to be the interface's owner)"
	case unix.EBUSY:
		return " (somebody else has it open, or it is no TUN)"
	case unix.EINVAL:
		return " (it exists with, or without, IFF_MULTI_QUEUE, or is a TAP)"
	case unix.E2BIG:
		return " (it has all the queues it can)"
	}
	return ""
}

// checkFD checks that a descriptor can be read and written correctly. It returns the
// name and the flags of its interface.
func checkFD(fd int) (name string, flags uint16, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", 0, err
	}
	switch err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); err {
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
	// These values have 32 bits; an int has 64 on some big-endian machines.
	size, err := unix.IoctlGetUint32(fd, unix.TUNGETVNETHDRSZ)
	if err != nil {
		return name, flags, fmt.Errorf("TUNGETVNETHDRSZ: %w", err)
	}
	if size != offload.VnetHdrLen {
		return name, flags, fmt.Errorf("%s has a virtio_net_hdr of %d bytes, want %d", name, size, offload.VnetHdrLen)
	}
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	// Without this ioctl the order is native: few kernels have TUNGETVNETBE.
	if le, err := unix.IoctlGetUint32(fd, unix.TUNGETVNETLE); err == nil && le != 0 && !little {
		return name, flags, fmt.Errorf("%s has a little-endian virtio_net_hdr, want the native order", name)
	}
	if be, err := unix.IoctlGetUint32(fd, unix.TUNGETVNETBE); err == nil && be != 0 && little {
		return name, flags, fmt.Errorf("%s has a big-endian virtio_net_hdr, want the native order", name)
	}
	return name, flags, nil
}

// start makes queues of the interface's first descriptors. It takes them over, and
// closes them on error.
func (d *Device) start(fds []int) error {
	d.index, _ = linkIndex(d.name) // fails if the interface is in another namespace
	err := d.setOffloads(fds)
	for i := 0; i < len(fds) && err == nil; i++ {
		var q *Queue
		if q, err = d.newQueue(fds[i]); err == nil {
			d.queues = append(d.queues, q)
		} else {
			fds = fds[i+1:]
		}
	}
	if err == nil {
		return nil
	}
	for _, q := range d.queues {
		q.Close()
	}
	closeAll(fds)
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
			return fmt.Errorf("tun: %s: TUNSETOFFLOAD %#x of queue %d: %w", d.name, d.mask, i+1, err)
		}
	}
	return nil
}

const usoMask = unix.TUN_F_USO4 | unix.TUN_F_USO6

// negotiate sets and returns the largest mask that the kernel takes (T1). The mask
// belongs to the interface and outlives its descriptors, so it is always set.
func (d *Device) negotiate(fd int) (mask int, err error) {
	const tso = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	for _, mask = range []int{tso | unix.TUN_F_TSO_ECN, tso, unix.TUN_F_CSUM, 0} {
		if err = d.setOffload(fd, mask); err == nil || err == unix.EBADFD {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("tun: %s: TUNSETOFFLOAD %#x: %w", d.name, mask, err)
	}
	if mask&unix.TUN_F_CSUM != 0 && d.setOffload(fd, mask|usoMask) == nil {
		mask |= usoMask
	}
	return mask, nil
}

func (d *Device) setOffload(fd, mask int) error {
	set := func(mask int) error { return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, mask) }
	if d.faults.offload != nil {
		return d.faults.offload(mask, set)
	}
	return set(mask)
}

// AddQueue opens another descriptor of the interface, with the same offloads (T1).
// The interface must have IFF_MULTI_QUEUE.
func (d *Device) AddQueue() (*Queue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch index, err := linkIndex(d.name); {
	case d.closed:
		return nil, os.ErrClosed
	case !d.cfg.MultiQueue:
		return nil, fmt.Errorf("tun: %s: AddQueue: it was opened without IFF_MULTI_QUEUE", d.name)
	case err != nil || index != d.index: // TUNSETIFF would make a new interface
		return nil, fmt.Errorf("tun: AddQueue: the device's interface %s is not in this namespace: %w", d.name, ErrGone)
	}
	fd, err := d.attach()
	if err != nil {
		return nil, err
	}
	if err := d.setOffload(fd, d.mask); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("tun: %s: TUNSETOFFLOAD %#x: %w", d.name, d.mask, err)
	}
	q, err := d.newQueue(fd)
	if err != nil {
		return nil, err
	}
	d.queues = append(d.queues, q)
	return q, nil
}

// linkIndex returns the index of an interface in this network namespace.
func linkIndex(name string) (int, error) {
	n, err := linkNumber(name, unix.SIOCGIFINDEX)
	return int(n), err
}

// linkNumber asks an interface of this network namespace for a number.
func linkNumber(name string, request uint) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(fd, request, ifr)
	return ifr.Uint32(), err
}
