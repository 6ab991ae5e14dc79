// SPDX-License-Identifier: MIT

package wgtun

import (
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
// one to write it, so the device below has one queue.
type Device struct {
	dev   *tun.Device
	queue *tun.Queue

	wmu  sync.Mutex // guards pkts
	pkts [][]byte

	links  *os.File // the netlink socket, or nil
	events chan wg.Event
	done   chan struct{} // closed by Close
	mu     sync.Mutex
	mtu    int // that netlink has reported last, 0 without netlink
	closed sync.Once
}

var _ wg.Device = (*Device)(nil)

// Open makes an interface, or attaches to an existing one, and sets its MTU: it takes the
// place of wireguard-go's tun.CreateTUN. The result is a *Device. An MTU of 0 is an error,
// unlike in tun.Config: a new interface would have 1,500, which is too much for WireGuard.
func Open(name string, mtu int) (wg.Device, error) {
	if mtu == 0 {
		return nil, errNoMTU
	}
	return monitored(tun.Open(tun.Config{Name: name, MTU: mtu}))
}

// OpenFile makes a device of the descriptor of a TUN that another process has opened, and
// sets its MTU: it takes the place of tun.CreateTUNFromFile. OpenFile takes file over, and
// closes it also if it fails.
func OpenFile(file *os.File, mtu int) (wg.Device, error) {
	fd, err := duplicate(file)
	file.Close()
	if err != nil {
		return nil, fmt.Errorf("wgtun: %w", err)
	}
	if mtu == 0 {
		unix.Close(fd)
		return nil, errNoMTU
	}
	return monitored(tun.Adopt(tun.Config{MTU: mtu}, fd))
}

var errNoMTU = errors.New("wgtun: the MTU is 0: want 68 to 65535")

// OpenFD makes a device of a descriptor, and needs neither netlink nor any right: it takes
// the place of tun.CreateUnmonitoredTUNFromFD. The device reports no events, so the caller
// calls Up. OpenFD returns the interface's name, too. It takes fd over, and closes it also
// if it fails.
//
// Like tun.Adopt, it refuses a descriptor without IFF_VNET_HDR, which is what Android's
// VpnService returns. Such a descriptor has no offload, and this device offers nothing on
// it.
func OpenFD(fd int) (wg.Device, string, error) {
	dev, err := tun.Adopt(tun.Config{}, fd)
	if err != nil {
		return nil, "", err
	}
	return newDevice(dev), dev.Name(), nil
}

// monitored makes a device of what tun.Open returns.
func monitored(dev *tun.Device, err error) (wg.Device, error) {
	if err != nil {
		return nil, err
	}
	d, err := New(dev)
	if err != nil {
		dev.Close()
		return nil, err
	}
	return d, nil
}

func newDevice(dev *tun.Device) *Device {
	return &Device{dev: dev, queue: dev.Queue(0), events: make(chan wg.Event, 8), done: make(chan struct{})}
}

// New takes over a device and follows the state of its interface, which must be in
// the caller's network namespace. It starts one goroutine, which waits for changes of
// the interface and ends with Close. If New fails, the device is still the caller's. New
// refuses a device with several queues: nobody would read what the kernel puts into the
// others. For the same reason do not call AddQueue later.
func New(dev *tun.Device) (*Device, error) {
	if n := dev.Queues(); n != 1 {
		return nil, fmt.Errorf("wgtun: %s has %d queues: want 1, because WireGuard reads only one, and packets in the others would be lost", dev.Name(), n)
	}
	links, err := listen()
	if err != nil {
		return nil, fmt.Errorf("wgtun: netlink: %w", err)
	}
	link, err := net.InterfaceByName(dev.Name()) // later changes come by netlink
	if err != nil {
		links.Close()
		return nil, fmt.Errorf("wgtun: %w", err)
	}
	d := newDevice(dev)
	d.links, d.mtu = links, link.MTU
	f := &follower{Device: d, index: link.Index}
	f.is(link.Flags&net.FlagUp != 0)
	go f.follow()
	return d, nil
}

// TUN returns the device below, for its Stats, Features and settings.
func (d *Device) TUN() *tun.Device { return d.dev }

// Read reads one or more packets, cut to wire size, into bufs[i][offset:].
func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return d.queue.ReadBatch(bufs, sizes, offset)
}

// Write joins and writes the packets bufs[i][offset:], and returns how many of them the
// kernel took, not always the first ones. Packets that it does not take are counted in the device's Stats; the error is the first one. A buffer that
// ends before the offset is refused, and nothing is written.
func (d *Device) Write(bufs [][]byte, offset int) (int, error) {
	d.wmu.Lock()
	defer d.wmu.Unlock()
	d.pkts = d.pkts[:0]
	for i, b := range bufs {
		if offset < 0 || offset > len(b) {
			clear(d.pkts)
			return 0, fmt.Errorf("write %s: buffer %d has %d bytes, and the offset is %d", d.dev.Name(), i, len(b), offset)
		}
		d.pkts = append(d.pkts, b[offset:])
	}
	n, err := d.queue.WriteBatch(d.pkts)
	clear(d.pkts)
	return n, err
}

// MTU returns the interface's MTU. That is the one that netlink has reported last: it stays
// if the interface moves to another network namespace.
func (d *Device) MTU() (int, error) {
	d.mu.Lock()
	mtu := d.mtu
	d.mu.Unlock()
	if mtu == 0 {
		return d.dev.MTU()
	}
	return mtu, nil
}

// Name returns the name that the interface had when it was opened, also after a rename and
// after Close.
func (d *Device) Name() (string, error) { return d.dev.Name(), nil }

// Events returns the channel of the interface's events: up, down, another MTU.
func (d *Device) Events() <-chan wg.Event { return d.events }

// BatchSize returns the largest batch that WireGuard hands over.
func (d *Device) BatchSize() int { return batchSize }

// File returns a duplicate of the descriptor, which the caller must close, or nil if
// none can be made. Each packet on it has a virtio_net_hdr of TUN().VnetHdrLen bytes in
// front.
func (d *Device) File() *os.File {
	fd, err := duplicate(d.queue)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), d.dev.Name())
}

// Close closes the device and ends the events.
func (d *Device) Close() (err error) {
	d.closed.Do(func() {
		close(d.done)
		err = d.dev.Close()
		if d.links == nil {
			close(d.events) // else the follower closes them
			return
		}
		err = errors.Join(err, d.links.Close())
	})
	return err
}

// duplicate returns another descriptor of the same open file.
func duplicate(of syscall.Conn) (fd int, err error) {
	raw, err := of.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return -1, e
	}
	return fd, err
}
