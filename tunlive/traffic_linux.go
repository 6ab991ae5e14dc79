// SPDX-License-Identifier: MIT

package tunlive

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcp sends the same number of bytes in both directions on one connection.
func (e *EndToEnd) tcp(ctx context.Context, hosts [2]*host, r *Report) error {
	near, far, err := connect(ctx, hosts[0], hosts[1], e.V6)
	if err != nil {
		return err
	}
	ends := [2]*net.TCPConn{near, far}
	defer near.Close()
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
	defer stop()
	results := make(chan error, 4)
	for i, c := range ends {
		go func() { results <- send(c, uint64(i), e.Bytes) }()
		go func() { results <- receive(c, uint64(1-i), e.Bytes, &r.Bytes) }()
	}
	for range cap(results) {
		if e := <-results; e != nil && err == nil {
			err = e
			ends[0].Close() // the other transfers wait for bytes that will not come
			ends[1].Close()
		}
	}
	return errors.Join(err, ctx.Err())
}

// connect makes a TCP connection from one host to another.
func connect(ctx context.Context, from, to *host, v6 bool) (near, far *net.TCPConn, err error) {
	var listener *net.TCPListener
	err = to.ns.do(func() (err error) {
		listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(to.address(v6), 0)))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	err = from.ns.do(func() error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
		if err == nil {
			near = c.(*net.TCPConn)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if far, err = listener.AcceptTCP(); err != nil {
		near.Close()
		return nil, nil, err
	}
	return near, far, nil
}

// pattern generates the bytes of a stream.
type pattern struct{ r *rand.ChaCha8 }

func newPattern(stream uint64) *pattern {
	var seed [32]byte
	seed[0] = byte(stream)
	return &pattern{rand.NewChaCha8(seed)}
}

func send(c *net.TCPConn, stream uint64, n int) error {
	p, buf := newPattern(stream), make([]byte, 1<<18)
	for n > 0 {
		b := buf[:min(n, len(buf))]
		p.r.Read(b)
		if _, err := c.Write(b); err != nil {
			return err
		}
		n -= len(b)
	}
	return c.CloseWrite()
}

func receive(c *net.TCPConn, stream uint64, n int, total *int64) error {
	p, buf, want := newPattern(stream), make([]byte, 1<<18), make([]byte, 1<<18)
	for got := 0; ; {
		k, err := c.Read(buf)
		if k > 0 {
			p.r.Read(want[:k])
			if string(buf[:k]) != string(want[:k]) {
				return fmt.Errorf("stream %d: bytes %d to %d are not those that were sent", stream, got, got+k)
			}
			got += k
			atomic.AddInt64(total, int64(k))
		}
		if err != nil {
			if got != n {
				return fmt.Errorf("stream %d ends after %d of %d bytes: %w", stream, got, n, err)
			}
			return nil
		}
	}
}

const datagramLen = 1200

// datagram appends the content of one datagram to b. It starts with its number.
func datagram(b []byte, number uint64) []byte {
	b = binary.BigEndian.AppendUint64(b, number)
	for i := 8; i < datagramLen; i++ {
		b = append(b, byte(number>>(8*(i%3)))*31+byte(i))
	}
	return b
}

// burst is the number of datagrams under way at once. It is small because an ordinary
// user's receiver has little memory.
const burst = 32

// udp sends numbered datagrams from one host to the other. Each that arrives must be
// equal to the one sent under its number.
func (e *EndToEnd) udp(ctx context.Context, from, to *host, r *Report) error {
	var in, out *net.UDPConn
	err := to.ns.do(func() (err error) {
		in, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.address(e.V6), 0)))
		return err
	})
	if err != nil {
		return err
	}
	to.late = append(to.late, in)
	err = from.ns.do(func() (err error) {
		out, err = net.DialUDP("udp", nil, in.LocalAddr().(*net.UDPAddr))
		return err
	})
	if err != nil {
		return err
	}
	defer out.Close()
	if e.GSO {
		if err := setSegmentSize(out, datagramLen); err != nil {
			return err
		}
	}
	var arrived atomic.Int64
	done := make(chan error, 1)
	seen := make([]bool, e.Datagrams)
	go func() { done <- receiveDatagrams(in, seen, &arrived) }()
	err = e.sendDatagrams(ctx, out, &arrived, r)
	_ = in.SetReadDeadline(time.Now())
	err = errors.Join(err, <-done)
	r.Received += arrived.Load()
	for _, is := range seen {
		if is {
			r.Distinct++
		}
	}
	return err
}

func setSegmentSize(c *net.UDPConn, n int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var errno error
	err = raw.Control(func(fd uintptr) { errno = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, n) })
	return errors.Join(err, errno)
}

func (e *EndToEnd) sendDatagrams(ctx context.Context, c *net.UDPConn, arrived *atomic.Int64, r *Report) error {
	const short = 5 * time.Millisecond
	limit := cmp.Or(e.Idle, DefaultIdle)
	var buf []byte
	for n := 0; n < e.Datagrams && ctx.Err() == nil; {
		before := arrived.Load()
		buf = buf[:0]
		k := min(burst, e.Datagrams-n)
		for i := range k {
			buf = datagram(buf, uint64(n+i))
		}
		step := datagramLen
		if e.GSO {
			step = len(buf)
		}
		for at := 0; at < len(buf); at += step {
			if _, err := c.Write(buf[at:min(at+step, len(buf))]); err != nil {
				return err
			}
		}
		n += k
		r.Sent += int64(k)
		want := int64(n)
		if limit == short {
			want = before + int64(k)
		}
		for wait := time.Now(); arrived.Load() < want && time.Since(wait) < limit; {
			time.Sleep(50 * time.Microsecond)
		}
		if arrived.Load() < want {
			limit = short // a datagram is lost: they will never be complete
		}
	}
	return ctx.Err()
}

func receiveDatagrams(c *net.UDPConn, seen []bool, arrived *atomic.Int64) error {
	buf := make([]byte, 1<<16)
	var want []byte
	for {
		n, err := c.Read(buf)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			continue
		case err != nil:
			return nil // the deadline passed
		case n < 8:
			return fmt.Errorf("a datagram of %d bytes", n)
		}
		number := binary.BigEndian.Uint64(buf)
		if want = datagram(want[:0], number); number >= uint64(len(seen)) || string(want) != string(buf[:n]) {
			return fmt.Errorf("%d bytes arrive as datagram %d of %d, and are not those that were sent", n, number, len(seen))
		}
		seen[number] = true
		arrived.Add(1)
	}
}
