// SPDX-License-Identifier: MIT

package tunlive

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

var recordings = map[string]recording{
	"tcp4-bulk": {pause: time.Millisecond, keep: fromMiddle(12 << 20),
		traffic: func(ctx context.Context, a, b *host) error { return bulk(ctx, a, b, false, 1, 24<<20, 64<<20) }},
	"tcp6-bulk": {pause: time.Millisecond, keep: fromMiddle(12 << 20),
		traffic: func(ctx context.Context, a, b *host) error { return bulk(ctx, a, b, true, 2, 24<<20, 64<<20) }},
	"tcp4-small-writes": {pause: 500 * time.Microsecond, sysctls: map[string]string{"net/ipv4/tcp_autocorking": "0"}, traffic: smallWrites},
	"tcp4-bidirectional": {pause: 200 * time.Microsecond, traffic: func(ctx context.Context, a, b *host) error {
		return stream(ctx, a, b, tcpStream{there: 12 << 20, back: 12 << 20, flow: 4, sndbuf: 4 << 20})
	}},
	"tcp4-ecn": {pause: 200 * time.Microsecond, sysctls: map[string]string{"net/ipv4/tcp_ecn": "1"}, mangle: ce,
		traffic: func(ctx context.Context, a, b *host) error { return bulk(ctx, a, b, false, 6, 4<<20, 60_000) }},
	"tcp4-reordered": {pause: time.Millisecond, mangle: reorder(10),
		traffic: func(ctx context.Context, a, b *host) error { return bulk(ctx, a, b, false, 10, 4<<20, 150_000) }},
	"tcp6-reordered": {pause: time.Millisecond, mangle: reorder(13),
		traffic: func(ctx context.Context, a, b *host) error { return bulk(ctx, a, b, true, 13, 4<<20, 150_000) }},
	"udp4-bulk-connected": {pause: time.Millisecond, whole: true, traffic: udpBulk},
	"udp4-quic-like":      {pause: time.Millisecond, whole: true, traffic: func(_ context.Context, a, b *host) error { return quicLike(a, b, false) }},
	"udp6-quic-like":      {pause: time.Millisecond, whole: true, traffic: func(_ context.Context, a, b *host) error { return quicLike(a, b, true) }},
	"udp4-vxlan-like":     {pause: time.Millisecond, whole: true, traffic: vxlanLike},
	"mixed-flows":         {pause: time.Millisecond, whole: true, traffic: mixed},
}

// splitmix generates the payload of a flow, from an offset that is a multiple of 8.
type splitmix struct{ flow, word uint64 }

func (s *splitmix) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		z := s.flow<<32 + s.word
		s.word++
		z += 0x9E3779B97F4A7C15
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		z ^= z >> 31
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], z)
		copy(b[i:], w[:])
	}
	return len(b), nil
}

func payload(flow uint64, n int) []byte {
	b := make([]byte, n)
	(&splitmix{flow: flow}).Read(b)
	return b
}

// tcpStream is the traffic of one connection. The way back has the payload of flow +
// 1000.
type tcpStream struct {
	v6          bool
	there, back int // bytes each way
	flow        uint64
	sndbuf      int
	write       func(c *net.TCPConn, b []byte) error // writes the bytes there; one write if nil
}

// bulk sends there in one write.
func bulk(ctx context.Context, a, b *host, v6 bool, flow uint64, n, sndbuf int) error {
	return stream(ctx, a, b, tcpStream{v6: v6, there: n, flow: flow, sndbuf: sndbuf})
}

// stream connects a to b and sends in both directions. Each end reads everything and
// compares it.
func stream(ctx context.Context, a, b *host, s tcpStream) error {
	near, far, err := connect(ctx, a, b, s.v6)
	if err != nil {
		return err
	}
	defer near.Close()
	defer far.Close()
	if s.sndbuf > 0 {
		if err := setSendBuffer(near, s.sndbuf); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
	defer stop()
	write := s.write
	if write == nil {
		write = func(c *net.TCPConn, b []byte) error { _, err := c.Write(b); return err }
	}
	all := func(c *net.TCPConn, b []byte) error { _, err := c.Write(b); return err }
	results := make(chan error, 4)
	go func() { results <- errors.Join(write(near, payload(s.flow, s.there)), near.CloseWrite()) }()
	go func() { results <- errors.Join(all(far, payload(s.flow+1000, s.back)), far.CloseWrite()) }()
	go func() { results <- compareStream(far, s.flow, s.there) }()
	go func() { results <- compareStream(near, s.flow+1000, s.back) }()
	for range cap(results) {
		err = errors.Join(err, <-results)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func compareStream(c *net.TCPConn, flow uint64, n int) error {
	got, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if string(got) != string(payload(flow, n)) {
		return fmt.Errorf("flow %d: %d bytes arrive, %d were sent, and they differ", flow, len(got), n)
	}
	return nil
}

// setSendBuffer sets the send buffer: past net.core.wmem_max for root, otherwise up
// to it.
func setSendBuffer(c *net.TCPConn, n int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var errno error
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, n) != nil {
			errno = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, n)
		}
	})
	return errors.Join(err, errno)
}

// smallWrites makes writes of 20 to 300 bytes, a quarter of them of 100, with short
// pauses.
func smallWrites(ctx context.Context, a, b *host) error {
	r := rand.New(rand.NewPCG(3, 3))
	return stream(ctx, a, b, tcpStream{flow: 3, there: 1 << 20, write: func(c *net.TCPConn, b []byte) error {
		for len(b) > 0 { // TCP_NODELAY is Go's default
			n := min(len(b), 20+r.IntN(281))
			if r.IntN(4) == 0 {
				n = min(len(b), 100)
			}
			if _, err := c.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
			time.Sleep(time.Duration(r.IntN(60)) * time.Microsecond)
		}
		return nil
	}})
}

// udpSocket opens a UDP socket on a host, connected if to is valid. Socket options
// are given as (level, name, value).
func udpSocket(h *host, v6 bool, port uint16, to netip.AddrPort, options ...[3]int) (c *net.UDPConn, err error) {
	err = h.ns.do(func() (err error) {
		local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.address(v6), port))
		if to.IsValid() {
			c, err = net.DialUDP("udp", local, net.UDPAddrFromAddrPort(to))
		} else {
			c, err = net.ListenUDP("udp", local)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var errno error
	err = raw.Control(func(fd uintptr) {
		for _, o := range options {
			errno = errors.Join(errno, unix.SetsockoptInt(int(fd), o[0], o[1], o[2]))
		}
	})
	return c, errors.Join(err, errno)
}

const gap = 5 * time.Millisecond // between bursts

// udpBulk sends 11 bursts of datagrams of 1,200 or 1,472 bytes from a connected
// socket. The last of each burst is shorter. Every second burst uses UDP_SEGMENT.
func udpBulk(_ context.Context, a, b *host) error {
	to := netip.AddrPortFrom(b.v4, 9000)
	in, err := udpSocket(b, false, to.Port(), netip.AddrPort{})
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := udpSocket(a, false, 0, to)
	if err != nil {
		return err
	}
	defer out.Close()
	r := rand.New(rand.NewPCG(7, 7))
	s := &splitmix{flow: 7}
	for burst := range 11 {
		size, n := []int{1200, 1472}[r.IntN(2)], 15+r.IntN(20)
		segment := 0
		if burst%2 == 1 {
			segment = size
		}
		if err := setSegmentSize(out, segment); err != nil {
			return err
		}
		all := make([]byte, size*(n-1)+1+r.IntN(size-1))
		s.Read(all)
		step := size
		if segment > 0 {
			step = len(all)
		}
		for at := 0; at < len(all); at += step {
			if _, err := out.Write(all[at:min(at+step, len(all))]); err != nil {
				return err
			}
		}
		time.Sleep(gap)
	}
	return nil
}

// quicLike sends datagrams as QUIC senders do: from an unconnected socket that
// forbids fragments, with a short header and a connection ID.
func quicLike(a, b *host, v6 bool) error {
	to := netip.AddrPortFrom(b.address(v6), 443)
	in, err := udpSocket(b, v6, to.Port(), netip.AddrPort{})
	if err != nil {
		return err
	}
	defer in.Close()
	option := [3]int{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO}
	if v6 {
		option = [3]int{unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO}
	}
	out, err := udpSocket(a, v6, 0, netip.AddrPort{}, option)
	if err != nil {
		return err
	}
	defer out.Close()
	r := rand.New(rand.NewPCG(8, 8))
	s := &splitmix{flow: 8}
	id := payload(8<<16, 8)
	for sent := 0; sent < 300; {
		n := min(10+r.IntN(25), 300-sent)
		for i := range n {
			b := make([]byte, 1200)
			if i == n-1 && r.IntN(2) == 0 {
				b = b[:100+r.IntN(1000)]
			}
			s.Read(b)
			b[0] = 0x40 | b[0]&0x3F
			copy(b[1:], id)
			if _, err := out.WriteToUDPAddrPort(b, to); err != nil {
				return err
			}
		}
		sent += n
		time.Sleep(gap)
	}
	return nil
}

// vxlanLike sends bursts of 1,400-byte datagrams without UDP checksums, each from one
// of two sockets: VXLAN with Ethernet, IPv4 and TCP in it.
func vxlanLike(_ context.Context, a, b *host) error {
	to := netip.AddrPortFrom(b.v4, 4789)
	in, err := udpSocket(b, false, to.Port(), netip.AddrPort{})
	if err != nil {
		return err
	}
	defer in.Close()
	var out [2]*net.UDPConn
	for i := range out {
		out[i], err = udpSocket(a, false, 0, netip.AddrPort{}, [3]int{unix.SOL_SOCKET, unix.SO_NO_CHECK, 1},
			[3]int{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT})
		if err != nil {
			return err
		}
		defer out[i].Close()
	}
	r := rand.New(rand.NewPCG(9, 9))
	var seq uint32
	for sent := 0; sent < 260; {
		n := min(8+r.IntN(20), 260-sent)
		c := out[r.IntN(2)]
		for i := range n {
			size := 1400
			if i == n-1 {
				size = 200 + r.IntN(1100)
			}
			if _, err := c.WriteToUDPAddrPort(vxlan(uint64(90+sent+i), seq, size), to); err != nil {
				return err
			}
			seq += uint32(size - 62)
		}
		sent += n
		time.Sleep(gap)
	}
	return nil
}

// vxlan returns a datagram of n bytes.
func vxlan(flow uint64, seq uint32, n int) []byte {
	const vxlanLen, innerHeaders = 8, etherLen + 20 + 20
	b := append(make([]byte, 0, n), 8, 0, 0, 0, 0, 0, 42, 0)
	b = append(b, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, unix.ETH_P_IP>>8, unix.ETH_P_IP&0xFF)
	inner := probeIPv4(uint16(flow), unix.IPPROTO_TCP, n-vxlanLen-etherLen-20)
	segment := probeSegment(0, seq, n-vxlanLen-innerHeaders, inner[12:20])
	copy(segment[20:], payload(flow, len(segment)-20))
	segment[16], segment[17] = 0, 0
	even := segment
	if len(even)%2 == 1 {
		even = append(append([]byte(nil), segment...), 0)
	}
	check := ^sum(even, uint32(sum(inner[12:20], unix.IPPROTO_TCP+uint32(len(segment)))))
	binary.BigEndian.PutUint16(segment[16:], check)
	return append(append(b, inner...), segment...)
}
