package tunlive

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Wiring is what a test of somebody else's TUN device takes, in the namespace that
// Enter made: links by name, and a TUN of the harness's own at the other end. Its
// methods are for one goroutine at a time.
type Wiring struct {
	nl        *netlink
	collector collector
}

// NewWiring returns one.
func NewWiring() (*Wiring, error) {
	nl, err := openNetlink()
	if err != nil {
		return nil, err
	}
	return &Wiring{nl: nl}, nil
}

// Close closes what is the Wiring's, no link.
func (w *Wiring) Close() error { return w.nl.close() }

// on calls f with the index of a link.
func (w *Wiring) on(name string, f func(index int) error) error {
	index, err := linkIndex(name)
	if err != nil {
		return err
	}
	return f(index)
}

// SetUp switches a link on, with a queue of so many packets.
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

// Redirect sends all that arrives at one link out of another, below the IP stack.
func (w *Wiring) Redirect(from, to string) error {
	return w.on(from, func(a int) error {
		return w.on(to, func(b int) error { return w.nl.redirect(a, b) })
	})
}

// Throttle lets so many bytes a second leave a link, and keeps what must wait;
// called again it changes that.
func (w *Wiring) Throttle(name string, rate, burst uint32) error {
	return w.on(name, func(index int) error {
		return w.nl.tokenBucket(index, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, rate, burst)
	})
}

// Dropped returns how many packets a link did not take in or send, for want of
// room or because they are none.
func (w *Wiring) Dropped(name string) (in, out uint64, err error) {
	err = w.on(name, func(index int) error {
		c, err := w.nl.counters(index)
		in, out = c.rxDropped, c.txDropped
		return err
	})
	return in, out, err
}

// TUN is a TUN of the harness's own, with a VnetHdr.
type TUN struct{ t *tun }

// OpenTUN makes a TUN. What is read of it has no offloads: the kernel has cut and
// completed it. The error is a *Missing where there is none to be had.
func OpenTUN() (*TUN, error) {
	t, err := openTUN(0, noOffloads)
	if err != nil {
		return nil, err
	}
	return &TUN{t}, nil
}

// Name returns the link's.
func (t *TUN) Name() string { return t.t.name }

// Close closes it, which deletes the link.
func (t *TUN) Close() error { return t.t.close() }

// Write writes one packet, past the guard.
func (t *TUN) Write(h VnetHdr, packet []byte) error { return t.t.write(h, packet) }

// ReadAll returns what has arrived and was not read, valid until the next call.
func (w *Wiring) ReadAll(t *TUN) ([]Packet, error) { return w.collector.collect(t.t, t.t.fd, nil) }

// OpenFD makes a TUN with flags such as unix.IFF_MULTI_QUEUE and a virtio_net_hdr
// of so many bytes, none if it is 0, and returns the descriptor, which is the
// caller's, and the link's name. A name makes it a queue of a link that exists.
// Nothing must be written to it but past guard.Check.
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
