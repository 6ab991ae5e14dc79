// SPDX-License-Identifier: MIT

package tun

import (
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunproof/offload"
	"tunproof/tunlive/guard"
)

// system is the part of the operating system that this package uses: kernel, or in
// tests a simulated one. An error is the errno.
type system interface {
	open(path string) (fd int, err error) // to read and write, non-blocking
	socket() (fd int, err error)
	close(fd int) error
	setNonblock(fd int) error
	file(fd int, name string) file
	mutex() sync.Locker // a lock that may be held during a call

	ifreq(fd int, request uint, ifr *unix.Ifreq) error
	setInt(fd int, request uint, v int) error     // ioctl(2) with v
	setPointer(fd int, request uint, v int) error // ioctl(2) with the address of v
	getUint32(fd int, request uint) (uint32, error)
	driver(fd int, name string) (*unix.EthtoolDrvinfo, error)
	isHere(fd int) (bool, error)                    // whether a TUN is in the caller's network namespace
	setLink(index int, attr uint16, v uint32) error // RTM_SETLINK

	read(fd int, b []byte) (int, error)
	writev(fd, hdrLen int, iov []unix.Iovec) (int, error) // hdrLen: bytes of the VnetHdr
	poll(fds []unix.PollFd) (int, error)                  // does not wait
}

// file is an open descriptor in Go's poller: the part of os.File that this package
// uses.
type file interface {
	SyscallConn() (syscall.RawConn, error)
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

// kernel is the system of this machine.
type kernel struct{}

func (kernel) open(path string) (int, error) {
	return unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

func (kernel) socket() (int, error) {
	return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
}

func (kernel) close(fd int) error            { return unix.Close(fd) }
func (kernel) setNonblock(fd int) error      { return unix.SetNonblock(fd, true) }
func (kernel) file(fd int, name string) file { return os.NewFile(uintptr(fd), name) }
func (kernel) mutex() sync.Locker            { return new(sync.Mutex) }

func (kernel) ifreq(fd int, request uint, ifr *unix.Ifreq) error {
	return unix.IoctlIfreq(fd, request, ifr)
}

func (kernel) setInt(fd int, request uint, v int) error { return unix.IoctlSetInt(fd, request, v) }

func (kernel) setPointer(fd int, request uint, v int) error {
	return unix.IoctlSetPointerInt(fd, request, v)
}

func (kernel) getUint32(fd int, request uint) (uint32, error) {
	return unix.IoctlGetUint32(fd, request)
}

func (kernel) driver(fd int, name string) (*unix.EthtoolDrvinfo, error) {
	return unix.IoctlGetEthtoolDrvinfo(fd, name)
}

// isHere compares network namespaces. It needs CAP_NET_ADMIN in that of the TUN.
func (kernel) isHere(fd int) (bool, error) {
	ns, err := unix.IoctlRetInt(fd, unix.TUNGETDEVNETNS)
	if err != nil {
		return false, err
	}
	defer unix.Close(ns)
	var its, own unix.Stat_t
	if err := unix.Fstat(ns, &its); err != nil {
		return false, err
	}
	err = unix.Stat("/proc/thread-self/ns/net", &own)
	return its.Dev == own.Dev && its.Ino == own.Ino, err
}

// setLink sets a number of an interface of this network namespace. It uses netlink because
// there an interface has an index, which no other can get meanwhile, and because ioctl(2)
// sets no queue length in a user namespace (dev_ioctl, net/core/dev_ioctl.c).
func (kernel) setLink(index int, attr uint16, v uint32) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	const length = unix.SizeofNlMsghdr + unix.SizeofIfInfomsg + unix.SizeofRtAttr + 4
	order := binary.NativeEndian
	b := order.AppendUint32(nil, length)
	b = order.AppendUint16(b, unix.RTM_SETLINK)
	b = order.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	b = append(b, make([]byte, length-len(b))...)
	info := b[unix.SizeofNlMsghdr:]
	order.PutUint32(info[4:], uint32(index))
	number := info[unix.SizeofIfInfomsg:]
	order.PutUint16(number, unix.SizeofRtAttr+4)
	order.PutUint16(number[2:], attr)
	order.PutUint32(number[unix.SizeofRtAttr:], v)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, err := unix.Read(fd, answer)
	switch {
	case err != nil:
		return err
	case n < unix.SizeofNlMsghdr+4 || order.Uint16(answer[4:]) != unix.NLMSG_ERROR:
		return unix.EPROTO
	}
	if errno := -int32(order.Uint32(answer[unix.SizeofNlMsghdr:])); errno != 0 {
		return unix.Errno(errno)
	}
	return nil
}

func (kernel) read(fd int, b []byte) (int, error)  { return unix.Read(fd, b) }
func (kernel) poll(fds []unix.PollFd) (int, error) { return unix.Poll(fds, 0) }

// leastHeaders is the least length of a superpacket's headers: IPv4's and UDP's.
const leastHeaders = 28

// writev passes the pieces to the guard and then writes them. There is no other write
// in this package. The first piece has the VnetHdr and, for a superpacket, all of its
// headers; hdrLen is the size of the VnetHdr. If the interface had a shorter one, the
// kernel would find zeros where the IP version belongs, and refuse. An Iovec holds a pointer, not a number, so the garbage collector does not
// free memory that the kernel reads.
func (kernel) writev(fd, hdrLen int, iov []unix.Iovec) (int, error) {
	front := unsafe.Slice(iov[0].Base, iov[0].Len)
	gsoType, headers, innerNH := front[1], front[hdrLen:], 0
	if hdrLen >= offload.TunnelVnetHdrLen {
		innerNH = int(binary.LittleEndian.Uint16(front[22:])) // inner_nh_offset
	}
	if gsoType != 0 && len(headers) < leastHeaders {
		return 0, guard.ErrFragment // the guard cannot judge it
	}
	if err := guard.CheckTunnel(gsoType, innerNH, headers); err != nil {
		return 0, err
	}
	n, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(iov))), uintptr(len(iov)))
	runtime.KeepAlive(iov)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
