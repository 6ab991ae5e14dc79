// SPDX-License-Identifier: MIT

package tunlive

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Wiring is the equipment for testing another TUN device, in the namespace that Enter
// made: links by name, and a TUN of the harness at the other end. Its methods are for
// one goroutine at a time.
type Wiring struct {
	nl        *netlink
	collector collector
}

// NewWiring returns a Wiring.
func NewWiring() (*Wiring, error) {
	nl, err := openNetlink()
	if err != nil {
		return nil, err
	}
	return &Wiring{nl: nl}, nil
}

// Close closes the Wiring's sockets. The links stay.
func (w *Wiring) Close() error { return w.nl.close() }

// on calls f with the index of a link.
func (w *Wiring) on(name string, f func(index int) error) error {
	index, err := linkIndex(name)
	if err != nil {
		return err
	}
	return f(index)
}

// SetUp switches a link on, with a queue of queueLen packets.
func (w *Wiring) SetUp(name string, queueLen int) error {
	return w.on(name, func(index int) error { return w.nl.setUp(index, queueLen) })
}

// SetDown switches a link off.
func (w *Wiring) SetDown(name string) error {
	return w.on(name, func(index int) error {
		_, err := w.nl.do(unix.RTM_NEWLINK, 0, ifinfo(index, 0, unix.IFF_UP))
		return err
	})
}

// Delete deletes a link.
func (w *Wiring) Delete(name string) error { return w.on(name, w.nl.deleteLink) }

// Redirect sends everything that arrives on one link out of another, below the IP
// stack.
func (w *Wiring) Redirect(from, to string) error {
	return w.on(from, func(a int) error {
		return w.on(to, func(b int) error { return w.nl.redirect(a, b) })
	})
}

// Throttle limits the bytes a second that leave a link. Packets that must wait are
// kept. A second call changes the limit.
func (w *Wiring) Throttle(name string, rate, burst uint32) error {
	return w.on(name, func(index int) error {
		return w.nl.tokenBucket(index, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, rate, burst)
	})
}

// Dropped returns the number of packets that a link dropped when they arrived or were
// to be sent, for lack of room or because they are not valid packets.
func (w *Wiring) Dropped(name string) (in, out uint64, err error) {
	err = w.on(name, func(index int) error {
		c, err := w.nl.counters(index)
		in, out = c.rxDropped, c.txDropped
		return err
	})
	return in, out, err
}

// TUN is a TUN of the harness, with a VnetHdr.
type TUN struct{ t *tun }

// OpenTUN makes a TUN. Packets read from it have no offloads: the kernel has cut and
// completed them. Without TUN devices the error is a *Missing.
func OpenTUN() (*TUN, error) {
	t, err := openTUN(0, noOffloads)
	if err != nil {
		return nil, err
	}
	return &TUN{t}, nil
}

// Name returns the link's name.
func (t *TUN) Name() string { return t.t.name }

// Close closes the TUN, which deletes the link.
func (t *TUN) Close() error { return t.t.close() }

// Write passes one packet to the guard and writes it.
func (t *TUN) Write(h VnetHdr, packet []byte) error { return t.t.write(h, packet) }

// ReadAll returns the packets that have arrived and were not read yet, valid until
// the next call.
func (w *Wiring) ReadAll(t *TUN) ([]Packet, error) { return w.collector.collect(t.t, t.t.fd, nil) }

// OpenFD makes a TUN with flags such as unix.IFF_MULTI_QUEUE and a virtio_net_hdr of
// the given size, none if it is 0. It returns the descriptor, which belongs to the
// caller, and the link's name. With the name of an existing link it makes another
// queue of that link. Everything written to the descriptor must pass guard.Check
// first, or guard.CheckTunnel if vnetHdrLen is 24 or more.
func OpenFD(name string, flags uint16, vnetHdrLen int) (fd int, link string, err error) {
	if fd, err = openNode(); err != nil {
		return -1, "", err
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		if vnetHdrLen > 0 {
			flags |= unix.IFF_VNET_HDR
		}
		ifr.SetUint16(unix.IFF_NO_PI | flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err == nil && vnetHdrLen > 0 {
		err = unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetHdrLen)
	}
	if err != nil {
		unix.Close(fd)
		return -1, "", fmt.Errorf("TUN of flags %#x: %w", flags, err)
	}
	return fd, ifr.Name(), nil
}
