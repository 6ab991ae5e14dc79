// SPDX-License-Identifier: MIT

package tunlive

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Between tests from outside a program that moves packets from one TUN to another, as
// the two ends of a VPN do. Packets are sent out of one TUN, where the program reads
// them, and the packets that it writes to the other TUN are read; both by packet
// sockets. Arriving packets go no further. Its methods are for one goroutine at a
// time.
// further. Its methods are for one goroutine at a time.
type Between struct {
	nl        *netlink
	out, in   *socket
	collector collector
}

// NewBetween returns a Between for two existing links, and switches them on.
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
		return err // on this side it would reach the IP stack
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

// Close closes the sockets of the Between. The links stay.
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

// Pass sends packets and returns what the program wrote. It reads until enough
// returns true, and then what arrives a moment later; or until nothing has arrived
// for the duration quiet. The result belongs to the caller. If a packet cannot be
// sent by a packet socket, the error is ErrPacket and nothing was sent.
func (b *Between) Pass(packets []Packet, enough func([]Packet) bool, quiet time.Duration) ([]Packet, error) {
	for _, p := range packets {
		if _, ok := etherType(p.Data); !ok {
			return nil, ErrPacket
		}
	}
	if _, err := b.collector.collect(b.in, b.in.fd, nil); err != nil { // packets of an earlier call that came late
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
