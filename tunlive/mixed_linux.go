// SPDX-License-Identifier: MIT

package tunlive

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// mixed sends all kinds of traffic at once: TCP, UDP, fragments, and echo requests
// from both ends.
func mixed(ctx context.Context, a, b *host) error {
	var wait sync.WaitGroup
	results := make(chan error, 32)
	run := func(f func() error) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			results <- f()
		}()
	}
	for i := range uint64(6) {
		r := rand.New(rand.NewPCG(100+i, 12))
		run(func() error {
			return stream(ctx, a, b, tcpStream{v6: i >= 4, flow: 100 + i, there: 44_000, write: func(c *net.TCPConn, b []byte) error {
				for len(b) > 0 {
					n := min(len(b), 1000+r.IntN(9000))
					if _, err := c.Write(b[:n]); err != nil {
						return err
					}
					b = b[n:]
					time.Sleep(time.Duration(r.IntN(2000)) * time.Microsecond)
				}
				return nil
			}})
		})
	}
	for i, v6 := range []bool{false, true} {
		run(func() error { return datagrams(a, b, v6, uint64(110+i), 30, 1200, nil) })
		run(func() error { return echo(a, b, v6, 130+uint64(i)) })
		run(func() error { return echo(b, a, v6, 132+uint64(i)) })
	}
	run(func() error {
		return datagrams(a, b, false, 120, 5, 4000, [][3]int{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT}})
	})
	wait.Wait()
	close(results)
	var err error
	for e := range results {
		err = errors.Join(err, e)
	}
	return err
}

func datagrams(a, b *host, v6 bool, flow uint64, n, size int, options [][3]int) error {
	in, err := udpSocket(b, v6, 0, netip.AddrPort{})
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := udpSocket(a, v6, 0, in.LocalAddr().(*net.UDPAddr).AddrPort(), options...)
	if err != nil {
		return err
	}
	defer out.Close()
	for i := range n {
		if _, err := out.Write(payload(flow+uint64(i), size)); err != nil {
			return err
		}
		time.Sleep(500 * time.Microsecond)
	}
	time.Sleep(gap)
	return nil
}

// echo sends two echo requests, which the other host's kernel answers.
func echo(from, to *host, v6 bool, flow uint64) error {
	network, request := "ip4:icmp", byte(8)
	if v6 {
		network, request = "ip6:ipv6-icmp", 128
	}
	var c *net.IPConn
	err := from.ns.do(func() (err error) {
		c, err = net.DialIP(network, nil, &net.IPAddr{IP: to.address(v6).AsSlice()})
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range 2 {
		b := append([]byte{request, 0, 0, 0, byte(flow), 1, 0, byte(i)}, payload(flow, 56)...)
		binary.BigEndian.PutUint16(b[2:], ^sum(b, 0)) // for IPv6 the kernel computes it
		if _, err := c.Write(b); err != nil {
			return err
		}
		time.Sleep(gap)
	}
	return nil
}
