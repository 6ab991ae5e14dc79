// SPDX-License-Identifier: MIT

package wgtun

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"tunproof/offload/tun"
)

// slow is the rate in bytes a second at which BenchmarkBackpressure reads: a link of 20
// Mbit/s.
const slow = 2_500_000

// BenchmarkBackpressure shows what IFF_BACKPRESSURE changes. A flow of UDP sends
// superpackets, twice as much as is read, while a small datagram is sent every 5 ms. The
// interface has fq_codel. The benchmark reports what becomes of the small datagrams, and
// what the queue and the discipline drop. The kernel must have the flag.
func BenchmarkBackpressure(b *testing.B) {
	needsTUN(b)
	for _, c := range []tun.Config{{TxQueueLen: 500}, {TxQueueLen: 16}, {TxQueueLen: 16, Backpressure: true}, {TxQueueLen: 4, Backpressure: true}} {
		b.Run(fmt.Sprintf("len=%d/backpressure=%v", c.TxQueueLen, c.Backpressure), func(b *testing.B) {
			h := wire(b, 0)[0]
			c.Name = "inner"
			var dev *tun.Device
			err := h.do(func() (err error) {
				if dev, err = tun.Open(c); err == nil {
					err = address("inner", h.inner+"/24", 0)
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { dev.Close() })
			if dev.Features().Backpressure != c.Backpressure {
				b.Skip("this kernel has no IFF_BACKPRESSURE, which came with Linux 7.3")
			}
			var missing error
			h.link(b, "inner", func(l netlink.Link) error {
				missing = netlink.QdiscReplace(netlink.NewFqCodel(netlink.QdiscAttrs{
					LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
				}))
				return nil
			})
			if missing != nil {
				b.Skip("this kernel has no fq_codel: ", missing)
			}
			for b.Loop() {
				flood(b, h, dev)
			}
		})
	}
}

// small is the port of the small datagrams.
const small = 7

// flood sends both flows, and reads slowly.
func flood(b *testing.B, h *host, dev *tun.Device) {
	dial := func(port int) *net.UDPConn {
		var out *net.UDPConn
		err := h.do(func() (err error) {
			out, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(198, 51, 100, 77), Port: port})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		return out
	}
	large, tiny := dial(small+1), dial(small)
	defer large.Close()
	defer tiny.Close()
	if err := option(large, unix.IPPROTO_UDP, unix.UDP_SEGMENT, datagram); err != nil {
		b.Fatal(err)
	}
	start, sent := time.Now(), 0
	for _, c := range []*net.UDPConn{large, tiny} { // they wait while nobody reads
		_ = c.SetWriteDeadline(start.Add(loaded))
	}
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, burst*datagram)
		for total := 0; time.Since(start) < loaded; total += len(buf) {
			_, _ = large.Write(buf)
			time.Sleep(time.Duration(total)*time.Second/(2*slow) - time.Since(start))
		}
	})
	all.Go(func() {
		for ; time.Since(start) < loaded; sent++ {
			var at [8]byte
			binary.BigEndian.PutUint64(at[:], uint64(time.Since(start)))
			_, _ = tiny.Write(at[:])
			time.Sleep(5 * time.Millisecond)
		}
	})
	var times []time.Duration
	_ = dev.Queue(0).SetReadDeadline(start.Add(loaded))
	for total := 0; ; {
		segments, err := dev.Queue(0).ReadSuper()
		if err != nil {
			break // the deadline
		}
		for p := range segments.InPlace() {
			total += len(p)
			if len(p) == 36 && binary.BigEndian.Uint16(p[22:]) == small {
				times = append(times, time.Since(start)-time.Duration(binary.BigEndian.Uint64(p[28:])))
			}
		}
		time.Sleep(time.Duration(total)*time.Second/slow - time.Since(start))
	}
	all.Wait()
	slices.Sort(times)
	if len(times) == 0 {
		times = []time.Duration{0}
	}
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1e3, "ms-median")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1e3, "ms-p99")
	b.ReportMetric(float64(sent-len(times)), "small-missing")
	b.ReportMetric(float64(sent), "small-sent")
	b.ReportMetric(float64(lostInQueue(b, h)), "queue-drops")
	b.ReportMetric(float64(h.disciplineDrops(b)), "qdisc-drops")
	b.ReportMetric(0, "ns/op")
}

// disciplineDrops returns what the queueing discipline of the TUN has dropped.
func (h *host) disciplineDrops(b testing.TB) (n uint32) {
	h.link(b, "inner", func(l netlink.Link) error {
		list, err := netlink.QdiscList(l)
		for _, q := range list {
			if s := q.Attrs().Statistics; s != nil && s.Queue != nil && q.Attrs().Parent == netlink.HANDLE_ROOT {
				n += s.Queue.Drops
			}
		}
		return err
	})
	return n
}
