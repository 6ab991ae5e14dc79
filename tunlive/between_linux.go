package tunlive

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Between asks a program that moves what it reads from one TUN to another, as the two
// ends of a VPN do, from outside: packets leave on the one, for the program to read, and
// what it writes to the other is read, both by packet sockets. What arrives goes no
// further. Its methods are for one goroutine at a time.
type Between struct {
	nl        *netlink
	out, in   *socket
	collector collector
}

// NewBetween returns one for two links that exist, and switches them on.
func NewBetween(from, to string) (*Between, error) {
	b := &Between{}
	if err := b.open(from, to); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Between) open(from, to string) (err error) {
	if b.nl, err = openNetlink(); err != nil {
		return err
	}
	var index [2]int
	for i, name := range []string{from, to} {
		if index[i], err = linkIndex(name); err != nil {
			return err
		}
	}
	if err := errors.Join(b.nl.discard(index[1]), b.nl.redirect(index[0], index[1])); err != nil {
		return err // where it arrives it would reach the IP stack
	}
	for _, i := range index {
		if err := b.nl.setUp(i, queueLen); err != nil {
			return err
		}
	}
	if b.out, err = openSocket(index[0], 0); err != nil {
		return err
	}
	if b.in, err = openSocket(index[1], 0); err != nil {
		return err
	}
	return b.in.receive()
}

// Close closes what is Between's, no link.
func (b *Between) Close() error {
	var err error
	for _, s := range []*socket{b.out, b.in} {
		if s != nil {
			err = errors.Join(err, s.close())
		}
	}
	if b.nl != nil {
		err = errors.Join(err, b.nl.close())
	}
	return err
}

// Pass sends packets, and returns what the program wrote until enough says that it is
// all, and what is there a moment later; or until nothing has come for as long as quiet.
// What is returned is the caller's. It is ErrPacket for what no packet
// socket can send, and nothing was sent then.
func (b *Between) Pass(packets []Packet, enough func([]Packet) bool, quiet time.Duration) ([]Packet, error) {
	for _, p := range packets {
		if _, ok := etherType(p.Data); !ok {
			return nil, ErrPacket
		}
	}
	if _, err := b.collector.collect(b.in, b.in.fd, nil); err != nil { // what came too late
		return nil, err
	}
	for _, p := range packets {
		if err := b.out.write(p.Hdr, p.Data); err != nil {
			return nil, fmt.Errorf("send: %w", err)
		}
	}
	var all []Packet
	for wait := quiet; ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(b.in.fd), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return all, err
		}
		got, err := b.collector.collect(b.in, b.in.fd, nil)
		if err != nil {
			return nil, err
		}
		for _, p := range got {
			p.Data = append([]byte(nil), p.Data...)
			all = append(all, p)
		}
		if enough(all) {
			wait = time.Millisecond
		}
	}
}
