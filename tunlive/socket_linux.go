// SPDX-License-Identifier: MIT

package tunlive

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/tunlive/guard"
)

// etherLen is the length of the header before a packet on a veth. All its addresses
// are 0, which is enough on a wire of our own.
const etherLen = 14

// socket is a packet socket with virtio_net_hdrs on one device. Packets written leave
// from that device. Packets read have arrived there, as GRO left them and before
// anything else processes them.
type socket struct {
	fd, index int
	linkLen   int // length of the header before the packet: etherLen, or 0 on a TUN
	room      int // bytes of memory for packets under way, and as many for those that have arrived
	frame     []byte
}

func openSocket(index, linkLen int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	s := &socket{fd: fd, index: index, linkLen: linkLen}
	for _, o := range []struct{ name, value int }{{unix.PACKET_VNET_HDR, 1}, {unix.PACKET_IGNORE_OUTGOING, 1}} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o.name, o.value); err != nil {
			s.close()
			return nil, fmt.Errorf("packet socket option %d: %w", o.name, err)
		}
	}
	if s.room, err = makeRoom(fd); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// makeRoom requests as much memory as the kernel grants, and returns how much that
// is. Root gets any amount, others twice net.core.rmem_max.
func makeRoom(fd int) (room int, err error) {
	const want = 16 << 20
	room = 2 * want
	for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[0], want) != nil {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[1], want); err != nil {
				return 0, fmt.Errorf("socket buffer: %w", err)
			}
		}
		n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, o[1])
		if err != nil {
			return 0, fmt.Errorf("socket buffer: %w", err)
		}
		room = min(room, n)
	}
	return room, nil
}

// memory returns at least the bytes of a socket's room that the kernel counts for n
// packets of the given length.
func memory(n, packetLen int) int { return n * 2 * (packetLen + 700) }

// receive binds the socket, so that it reads.
func (s *socket) receive() error {
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: s.index}); err != nil {
		return fmt.Errorf("bind packet socket: %w", err)
	}
	return nil
}

func (s *socket) close() error { return unix.Close(s.fd) }

// write passes one packet to the guard and sends it.
func (s *socket) write(h VnetHdr, packet []byte) error {
	if err := guard.Check(h.GSOType, packet); err != nil {
		return err
	}
	protocol, ok := etherType(packet)
	if !ok {
		return ErrPacket
	}
	_ = h.moveOffsets(s.linkLen) // they may wrap: the kernel then refuses the packet
	if s.linkLen == etherLen {
		s.frame = appendFrame(h.append(s.frame[:0]), protocol, packet)
	} else {
		s.frame = append(h.append(s.frame[:0]), packet...)
	}
	to := &unix.SockaddrLinklayer{Protocol: htons(protocol), Ifindex: s.index}
	for {
		if err := unix.Sendto(s.fd, s.frame, 0, to); err != unix.EINTR {
			return err
		}
	}
}

func etherType(packet []byte) (uint16, bool) {
	switch {
	case len(packet) == 0:
	case packet[0]>>4 == 4:
		return unix.ETH_P_IP, true
	case packet[0]>>4 == 6:
		return unix.ETH_P_IPV6, true
	}
	return 0, false
}

// read reads one packet, or returns EAGAIN if there is none.
func (s *socket) read(buf []byte) (Packet, error) {
	n, _, err := unix.Recvfrom(s.fd, buf, unix.MSG_TRUNC)
	switch {
	case err != nil:
		return Packet{}, err
	case n > len(buf) || n < vnetHdrLen+s.linkLen:
		return Packet{}, fmt.Errorf("packet socket: %d bytes read into %d", n, len(buf))
	}
	p := Packet{parseVnetHdr(buf), buf[vnetHdrLen+s.linkLen : n]}
	_ = p.Hdr.moveOffsets(-s.linkLen)
	return p, nil
}

// reader is a source of packets.
type reader interface {
	read(buf []byte) (Packet, error)
}

// patience is how long the harness waits for what must come. It is far more than a busy
// machine needs: it ends a run in which something is broken, and decides no verdict.
const patience = time.Minute

// errLost is a marker that did not arrive: a failure of the harness, not an answer of
// the kernel.
var errLost = errors.New("the packet that marks the end did not arrive")

// collector reads packets into memory that it reuses.
type collector struct {
	buf     []byte
	packets []Packet
}

// maxRead is room for any packet that a test writes, and one byte more, which shows
// truncation. IP's limit is 65,575.
const maxRead = 1 << 18

// verdict decides about a packet that was read.
type verdict int

const (
	keep verdict = iota
	skip
	stop
)

// drain reads the packets that are there, and returns those that judge keeps.
func (c *collector) drain(r reader, judge func(Packet) verdict) ([]Packet, error) {
	packets, err := c.collect(r, -1, nil)
	kept := packets[:0]
	for _, p := range packets {
		if judge(p) == keep {
			kept = append(kept, p)
		}
	}
	return kept, err
}

// collect reads from r, whose descriptor is fd, until judge stops it at a packet,
// which is not kept. It waits at most for patience. Without judge it reads the packets
// that are there, which are all if delivery is synchronous.
func (c *collector) collect(r reader, fd int, judge func(Packet) verdict) ([]Packet, error) {
	if c.buf == nil {
		c.buf = make([]byte, 4*maxRead)
	}
	c.packets = c.packets[:0]
	at := 0
	var deadline time.Time
	for {
		if len(c.buf)-at < maxRead {
			c.buf, at = make([]byte, 2*len(c.buf)), 0 // packets read before stay in the old one
		}
		p, err := r.read(c.buf[at : at+maxRead])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN && judge == nil:
			return c.packets, nil
		case err == unix.EAGAIN && deadline.IsZero():
			deadline = time.Now().Add(patience)
			continue
		case err == unix.EAGAIN && time.Now().After(deadline):
			return c.packets, errLost
		case err == unix.EAGAIN:
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
			continue
		case err != nil:
			return nil, err
		}
		v := keep
		if judge != nil {
			v = judge(p)
		}
		switch v {
		case stop:
			return c.packets, nil
		case keep:
			c.packets = append(c.packets, p)
			at += tunnelVnetHdrLen + etherLen + len(p.Data)
		}
	}
}
