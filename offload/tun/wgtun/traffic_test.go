// SPDX-License-Identifier: MIT

package wgtun

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// carried is the result of one transfer.
type carried struct {
	seconds        float64
	received, lost int // datagrams
}

// patience is how long a transfer may make no progress.
const patience = 20 * time.Second

// tcp carries n bytes and compares the hashes at both ends.
func tcp(from, to *host, n int) (c carried, err error) {
	var l net.Listener
	if err := to.do(func() (err error) { l, err = net.Listen("tcp4", to.inner+":0"); return err }); err != nil {
		return c, err
	}
	defer l.Close()
	type result struct {
		sum [32]byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() { done <- r }()
		in, err := l.Accept()
		if err != nil {
			r.err = err
			return
		}
		defer in.Close()
		sum, buf := sha256.New(), make([]byte, 1<<18)
		for {
			_ = in.SetReadDeadline(time.Now().Add(patience))
			k, err := in.Read(buf)
			sum.Write(buf[:k])
			if err == io.EOF {
				break
			} else if err != nil {
				r.err = err
				return
			}
		}
		r.sum = [32]byte(sum.Sum(nil))
	}()
	var out net.Conn
	start := time.Now()
	if err := from.do(func() (err error) { out, err = net.DialTimeout("tcp4", l.Addr().String(), patience); return err }); err != nil {
		return c, err
	}
	defer out.Close()
	data := make([]byte, 1<<22)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(data)
	sum := sha256.New()
	for left := n; left > 0; {
		at := left % 1009 // so that no two pieces are equal
		b := data[at : at+min(left, 1<<18)]
		_ = out.SetWriteDeadline(time.Now().Add(patience))
		if _, err := out.Write(b); err != nil {
			return c, err
		}
		sum.Write(b)
		left -= len(b)
	}
	if err := out.(*net.TCPConn).CloseWrite(); err != nil {
		return c, err
	}
	r := <-done
	c.seconds = time.Since(start).Seconds()
	if r.err != nil {
		return c, r.err
	}
	if r.sum != [32]byte(sum.Sum(nil)) {
		return c, errors.New("what was received is not what was sent")
	}
	return c, nil
}

// Datagrams fill the tunnel's MTU, 40 of them in a system call. The number under way
// is limited: a sender that does not wait would only fill queues.
const (
	datagram = innerMTU - 28
	burst    = 40
	underWay = 2000
)

// udp carries n bytes in numbered datagrams. A socket or a link must have counted
// every one that does not arrive.
func udp(from, to *host, n int) (c carried, err error) {
	var in, out *net.UDPConn
	if err := to.do(func() (err error) {
		in, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(to.inner)})
		return err
	}); err != nil {
		return c, err
	}
	defer in.Close()
	if err := from.do(func() (err error) {
		out, err = net.DialUDP("udp4", nil, in.LocalAddr().(*net.UDPAddr))
		return err
	}); err != nil {
		return c, err
	}
	defer out.Close()
	if err := errors.Join(option(in, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20), option(out, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20),
		option(out, unix.IPPROTO_UDP, unix.UDP_SEGMENT, datagram)); err != nil {
		return c, err
	}
	before, err := drops(from, to)
	if err != nil {
		return c, err
	}
	total := n / datagram
	var got atomic.Int64
	wrong := make(chan error, 1)
	go func() { wrong <- receive(in, total, &got) }()
	buf := make([]byte, burst*datagram)
	start := time.Now()
	for sent := 0; sent < total; {
		k := min(burst, total-sent)
		for i := range k {
			fill(buf[i*datagram:(i+1)*datagram], uint64(sent+i))
		}
		if _, err := out.Write(buf[:k*datagram]); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return c, err
		}
		sent += k
		for wait := time.Now(); int64(sent)-got.Load() > underWay && time.Since(wait) < time.Second; {
			time.Sleep(20 * time.Microsecond)
		}
	}
	for wait := time.Now(); got.Load() < int64(total) && time.Since(wait) < 2*time.Second; {
		time.Sleep(time.Millisecond)
	}
	c.seconds = time.Since(start).Seconds()
	_ = in.SetReadDeadline(time.Now())
	if err := <-wrong; err != nil {
		return c, err
	}
	c.received = int(got.Load())
	c.lost = total - c.received
	after, err := drops(from, to)
	if err != nil {
		return c, err
	}
	if counted := after - before; c.lost > counted {
		return c, fmt.Errorf("%d of %d datagrams are missing, and the kernels counted %d", c.lost, total, counted)
	}
	return c, nil
}

func option(c *net.UDPConn, level, name, value int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = unix.SetsockoptInt(int(fd), level, name, value) })
	return errors.Join(err, inner)
}

// fill makes a datagram from its number.
func fill(b []byte, number uint64) {
	x := number*0x9E3779B97F4A7C15 + 1
	for i := 8; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], x)
		x += 0x9E3779B97F4A7C15
	}
	binary.LittleEndian.PutUint64(b, number)
}

// receive checks every datagram against its number.
func receive(in *net.UDPConn, total int, got *atomic.Int64) error {
	buf, want := make([]byte, 65536), make([]byte, datagram)
	seen := make([]bool, total)
	for got.Load() < int64(total) {
		_ = in.SetReadDeadline(time.Now().Add(patience))
		n, err := in.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
		number := binary.LittleEndian.Uint64(buf)
		if n != datagram || number >= uint64(total) || seen[number] {
			return fmt.Errorf("a datagram of %d bytes, number %d, that was not sent, or not twice", n, number)
		}
		fill(want, number)
		if string(want[:datagram&^7]) != string(buf[:datagram&^7]) {
			return fmt.Errorf("datagram %d is not as it was sent", number)
		}
		seen[number] = true
		got.Add(1)
	}
	return nil
}

// drops returns the number of packets that the sockets and links of both hosts have
// dropped.
func drops(hosts ...*host) (total int, err error) {
	for _, h := range hosts {
		err := h.do(func() error {
			b, err := os.ReadFile("/proc/thread-self/net/snmp")
			if err != nil {
				return err
			}
			var names []string
			for line := range strings.Lines(string(b)) {
				f := strings.Fields(line)
				if f[0] != "Udp:" {
					continue
				}
				if names == nil {
					names = f
					continue
				}
				for i, name := range names {
					if name == "InErrors" || name == "SndbufErrors" {
						n, err := strconv.Atoi(f[i])
						if err != nil {
							return err
						}
						total += n
					}
				}
			}
			links, err := os.ReadFile("/proc/thread-self/net/dev")
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(links)) {
				name, rest, ok := strings.Cut(line, ":")
				f := strings.Fields(rest)
				if !ok || len(f) < 12 || strings.TrimSpace(name) == "lo" {
					continue
				}
				for _, i := range []int{3, 11} { // receive and transmit drops
					n, err := strconv.Atoi(f[i])
					if err != nil {
						return err
					}
					total += n
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return total, nil
}
