// SPDX-License-Identifier: MIT

package tunlive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a pair of veth devices with a packet socket at each end. Packets that
// arrive are dropped below the IP stack.
type wire struct {
	nl       *netlink
	near     int // device where packets are sent
	far      int // device where they arrive
	out, in  *socket
	markers  markers
	nearName string
	farName  string
}

const wireMTU = 65535

func (w *wire) open(nearOff, farOn []string) (err error) {
	if w.nl, err = openNetlink(); err != nil {
		return err
	}
	w.markers.init()
	id := rand.Uint32()
	w.nearName, w.farName = fmt.Sprintf("near%08x", id), fmt.Sprintf("far%08x", id)
	if err := w.nl.addVeth(w.nearName, w.farName, wireMTU); err != nil {
		return &Missing{"veth devices", "a kernel with CONFIG_VETH", err}
	}
	if w.near, err = linkIndex(w.nearName); err != nil {
		return err
	}
	if w.far, err = linkIndex(w.farName); err != nil {
		return err
	}
	if _, err := setFeatures(w.nearName, false, nearOff...); err != nil {
		return err
	}
	if len(farOn) > 0 {
		if n, err := setFeatures(w.farName, true, farOn...); err != nil || n != len(farOn) {
			return &Missing{"device features " + fmt.Sprint(farOn), "a newer kernel", err}
		}
	}
	if err := w.nl.discard(w.far); err != nil {
		return err
	}
	for _, index := range []int{w.near, w.far} {
		if err := w.nl.setUp(index, queueLen); err != nil {
			return err
		}
	}
	if w.out, err = openSocket(w.near, etherLen); err != nil {
		return err
	}
	if w.in, err = openSocket(w.far, etherLen); err != nil {
		return err
	}
	if err := w.in.receive(); err != nil {
		return err
	}
	return w.wait()
}

// wait waits until the link carries packets, which takes some time after it is up.
func (w *wire) wait() error {
	var c collector
	for start := time.Now(); time.Since(start) < patience; {
		if err := w.out.write(VnetHdr{}, w.markers.next()); err != nil {
			return fmt.Errorf("first packet on %s: %w", w.nearName, err)
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(w.in.fd), Events: unix.POLLIN}}, 20); err != nil && err != unix.EINTR {
			return err
		}
		got, err := c.collect(w.in, w.in.fd, nil)
		if err != nil {
			return err
		}
		// Any marker will do. On a loaded machine the latest may always be under way.
		for _, p := range got {
			if w.markers.judge(p) != keep {
				return nil
			}
		}
	}
	return fmt.Errorf("%s carries nothing: %w", w.nearName, errLost)
}

func (w *wire) Close() error {
	var err error
	for _, s := range []*socket{w.out, w.in} {
		if s != nil {
			err = errors.Join(err, s.close())
		}
	}
	if w.nl != nil {
		if w.near != 0 {
			err = errors.Join(err, w.nl.deleteLink(w.near))
		}
		err = errors.Join(err, w.nl.close())
	}
	return err
}

// markers are packets that nobody else sends: they have a random number and a
// counter. They are TCP, so that GRO holds one and releases it after everything that
// it held before.
type markers struct {
	packet []byte
	nonce  string // first bytes of the payload
}

const (
	markerHeaders = 20 + 20
	markerLen     = markerHeaders + 16
)

func (m *markers) init() {
	m.packet = []byte{0x45, 0, 0, markerLen, 0, 0, 0, 0, 64, unix.IPPROTO_TCP, 0, 0, 10, 1, 1, 250, 10, 1, 2, 250,
		1, 1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 5 << 4, 1 << 4, 1, 0, 0, 0, 0, 0}
	m.packet = binary.BigEndian.AppendUint64(m.packet, rand.Uint64())
	m.packet = append(m.packet, make([]byte, 8)...)
	m.nonce = string(m.packet[markerHeaders : markerHeaders+8])
	binary.BigEndian.PutUint16(m.packet[10:], ^sum(m.packet[:20], 0))
}

// next returns a new marker, valid until the next call.
func (m *markers) next() []byte {
	count := m.packet[markerLen-8:]
	binary.BigEndian.PutUint64(count, binary.BigEndian.Uint64(count)+1)
	l4 := m.packet[20:]
	l4[16], l4[17] = 0, 0
	pseudo := sum(m.packet[12:20], unix.IPPROTO_TCP+uint32(len(l4)))
	binary.BigEndian.PutUint16(l4[16:], ^sum(l4, uint32(pseudo)))
	return m.packet
}

// sum adds 16-bit words in one's complement. b has an even length.
func sum(b []byte, more uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		more += uint32(b[0])<<8 | uint32(b[1])
	}
	for more > 0xFFFF {
		more = more>>16 + more&0xFFFF
	}
	return uint16(more)
}

// judge decides whether a packet is kept, or is a marker, and then whether the latest.
func (m *markers) judge(p Packet) verdict {
	switch {
	case len(p.Data) < markerLen || string(p.Data[markerHeaders:markerHeaders+8]) != m.nonce:
		return keep
	case string(p.Data[markerLen-8:markerLen]) == string(m.packet[markerLen-8:]):
		return stop
	}
	return skip
}
