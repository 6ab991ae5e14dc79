// Package wgtun makes a tunproof device usable by wireguard-go
// (golang.zx2c4.com/wireguard/tun.Device):
//
//	dev, err := tun.Open(tun.Config{Name: "wg0"})
//	wgdev, err := wgtun.New(dev)
//	device.NewDevice(wgdev, conn.NewDefaultBind(), logger)
package wgtun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	wg "golang.zx2c4.com/wireguard/tun"

	"tunproof/offload/tun"
)

// batchSize is conn.IdealBatchSize, the largest batch of wireguard-go.
const batchSize = 128

// Device is a wireguard-go tun.Device. WireGuard uses one goroutine to read it and
// one to write it.
type Device struct {
	dev   *tun.Device
	queue *tun.Queue
	index int

	wmu  sync.Mutex // guards pkts
	pkts [][]byte

	links  *os.File // the netlink socket
	events chan wg.Event
	mu     sync.Mutex
	mtu    int
	closed sync.Once
}

var _ wg.Device = (*Device)(nil)

// New takes over a device and follows the state of its interface, which must be in
// the caller's network namespace. It starts one goroutine, which waits for changes of
// the interface and ends with Close.
func New(dev *tun.Device) (*Device, error) {
	d := &Device{dev: dev, queue: dev.Queue(0), events: make(chan wg.Event, 8)}
	link, err := net.InterfaceByName(dev.Name())
	if err != nil {
		return nil, fmt.Errorf("wgtun: %w", err)
	}
	d.index, d.mtu = link.Index, link.MTU
	if d.links, err = listen(); err != nil {
		return nil, fmt.Errorf("wgtun: netlink: %w", err)
	}
	up := link.Flags&net.FlagUp != 0
	if up {
		d.events <- wg.EventUp
	}
	go d.follow(up)
	return d, nil
}

// listen returns a netlink socket that receives changes of links.
func listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// follow turns netlink messages into events, until the socket is closed.
func (d *Device) follow(up bool) {
	defer close(d.events)
	buf := make([]byte, 1<<16)
	for {
		n, err := d.links.Read(buf)
		if errors.Is(err, unix.ENOBUFS) {
			continue // some were lost: the next has the current state
		}
		if err != nil {
			return
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			continue
		}
		for _, m := range messages {
			if m.Header.Type == unix.RTM_NEWLINK {
				up = d.changed(m, up)
			}
		}
	}
}

// changed sends the events of one message, and reports whether the interface is up.
func (d *Device) changed(m syscall.NetlinkMessage, up bool) bool {
	info, attrs, err := parseLink(m)
	if err != nil || int(info.Index) != d.index {
		return up
	}
	for _, a := range attrs {
		if a.Attr.Type != unix.IFLA_MTU || len(a.Value) < 4 {
			continue
		}
		mtu := int(binary.NativeEndian.Uint32(a.Value))
		d.mu.Lock()
		changed := mtu != d.mtu
		d.mtu = mtu
		d.mu.Unlock()
		if changed {
			d.events <- wg.EventMTUUpdate
		}
	}
	now := info.Flags&unix.IFF_UP != 0
	if now != up {
		if now {
			d.events <- wg.EventUp
		} else {
			d.events <- wg.EventDown
		}
	}
	return now
}

// Read reads one or more packets, cut to wire size, into bufs[i][offset:].
func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return d.queue.ReadBatch(bufs, sizes, offset)
}

// Write joins and writes the packets bufs[i][offset:]. Packets that the kernel does
// not take are counted in the device's Stats; the error is the first one.
func (d *Device) Write(bufs [][]byte, offset int) (int, error) {
	d.wmu.Lock()
	defer d.wmu.Unlock()
	d.pkts = d.pkts[:0]
	for _, b := range bufs {
		d.pkts = append(d.pkts, b[offset:])
	}
	n, err := d.queue.WriteBatch(d.pkts)
	clear(d.pkts)
	return n, err
}

// MTU returns the interface's MTU, as last reported by netlink.
func (d *Device) MTU() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mtu, nil
}

// Name returns the interface's name.
func (d *Device) Name() (string, error) { return d.dev.Name(), nil }

// Events returns the channel of the interface's events: up, down, another MTU.
func (d *Device) Events() <-chan wg.Event { return d.events }

// BatchSize returns the largest batch that WireGuard hands over.
func (d *Device) BatchSize() int { return batchSize }

// File returns a duplicate of the descriptor, which the caller must close, or nil if
// none can be made.
func (d *Device) File() *os.File {
	raw, err := d.queue.SyscallConn()
	if err != nil {
		return nil
	}
	fd := -1
	if raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }) != nil || err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), d.dev.Name())
}

// Close closes the device and ends the events.
func (d *Device) Close() (err error) {
	d.closed.Do(func() { err = errors.Join(d.dev.Close(), d.links.Close()) })
	return err
}
