// SPDX-License-Identifier: MIT

package wgtun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// The lengths of queues that are compared.
var queueLens = []int{8, 16, 32, 64, 128, 256, 500, 1000}

// BenchmarkQueueLen shows what the length of a TUN's queue costs. Flows of TCP fill it
// with superpackets of up to 64 KB, while small datagrams pass through it: those wait for
// what is in the queue. For each length it reports the throughput, the time that a small
// datagram takes there and back, and the packets that the full queue lost.
func BenchmarkQueueLen(b *testing.B) {
	needsTUN(b)
	bin := buildExample(b)
	for _, mbit := range []uint64{0, 100, 20} { // 0: as fast as it can
		for _, flows := range []int{1, 8} {
			for _, n := range queueLens {
				b.Run(fmt.Sprintf("link=%dMbit/flows=%d/len=%d", mbit, flows, n), func(b *testing.B) {
					hosts := wire(b, 0)
					startExample(b, hosts, bin, true)
					defer stopExample(b, hosts)
					for _, h := range hosts {
						h.link(b, "inner", func(l netlink.Link) error { return netlink.LinkSetTxQLen(l, n) })
						h.link(b, "under", func(l netlink.Link) error { return throttle(l, mbit) })
					}
					for b.Loop() {
						load(b, hosts, flows)
					}
				})
			}
		}
	}
}

// throttle limits what leaves a link. Its queue is longer than a socket's, so that a
// socket waits and nothing is lost there.
func throttle(l netlink.Link, mbit uint64) error {
	if mbit == 0 {
		return nil
	}
	return netlink.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       mbit * 1e6 / 8, Limit: 8 << 20, Buffer: 1 << 20,
	})
}

// loaded is how long TCP runs.
const loaded = 4 * time.Second

// load runs flows of TCP and measures meanwhile.
func load(b *testing.B, hosts [2]*host, flows int) {
	from, to := hosts[0], hosts[1]
	var l net.Listener
	if err := to.do(func() (err error) { l, err = net.Listen("tcp4", to.inner+":0"); return err }); err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var got atomic.Int64
	var all sync.WaitGroup
	var outs, ins []net.Conn
	for range flows {
		var out net.Conn
		if err := from.do(func() (err error) { out, err = net.DialTimeout("tcp4", l.Addr().String(), patience); return err }); err != nil {
			b.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		outs, ins = append(outs, out), append(ins, in)
	}
	end := time.Now().Add(loaded)
	for i, out := range outs {
		in := ins[i]
		all.Go(func() {
			defer out.Close()
			_ = out.SetDeadline(end)
			buf := make([]byte, 1<<18)
			for {
				if _, err := out.Write(buf); err != nil {
					return
				}
			}
		})
		all.Go(func() {
			defer in.Close()
			_ = in.SetDeadline(end)
			buf := make([]byte, 1<<18)
			for {
				n, err := in.Read(buf)
				got.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	before := lostInQueue(b, from)
	times, lost := pings(b, from, to)
	all.Wait()
	slices.Sort(times)
	if len(times) == 0 {
		times = []time.Duration{0}
	}
	b.ReportMetric(float64(got.Load())/loaded.Seconds()/1e6, "MB/s")
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1e3, "ms-median")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1e3, "ms-p99")
	b.ReportMetric(float64(lost), "lost-pings")
	b.ReportMetric(float64(lostInQueue(b, from)-before), "drops")
	b.ReportMetric(0, "ns/op")
}

// lostInQueue returns the number of packets that the queue of the host's TUN had no room
// for.
func lostInQueue(b testing.TB, h *host) (n uint64) {
	h.link(b, "inner", func(l netlink.Link) error {
		n = l.Attrs().Statistics.TxDropped
		return nil
	})
	return n
}

// pings sends a small datagram every 5 ms, and returns the times until each came back.
func pings(b testing.TB, from, to *host) (times []time.Duration, lost int) {
	var in, out *net.UDPConn
	err := to.do(func() (err error) {
		in, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(to.inner)})
		return err
	})
	if err == nil {
		err = from.do(func() (err error) {
			out, err = net.DialUDP("udp4", nil, in.LocalAddr().(*net.UDPAddr))
			return err
		})
	}
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := in.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = in.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	start := time.Now()
	sent := make(chan int)
	go func() {
		k := 0
		for ; time.Since(start) < loaded-100*time.Millisecond; k++ {
			var at [8]byte
			binary.BigEndian.PutUint64(at[:], uint64(time.Since(start)))
			_, _ = out.Write(at[:])
			time.Sleep(5 * time.Millisecond)
		}
		sent <- k
	}()
	_ = out.SetReadDeadline(start.Add(loaded + time.Second))
	for {
		var at [8]byte
		if _, err := io.ReadFull(out, at[:]); err != nil {
			break
		}
		times = append(times, time.Since(start)-time.Duration(binary.BigEndian.Uint64(at[:])))
		if time.Since(start) > loaded+900*time.Millisecond {
			break
		}
	}
	return times, <-sent - len(times)
}

// BenchmarkBurst sends bursts of small datagrams, as a program does that sends a batch
// with sendmmsg(2), into an idle tunnel. The queue counts packets, and each datagram is
// one. It reports the share of a burst that the queue had no room for.
func BenchmarkBurst(b *testing.B) {
	needsTUN(b)
	for _, burst := range []int{64, 256, 1024} {
		for _, n := range queueLens {
			b.Run(fmt.Sprintf("burst=%d/len=%d", burst, n), func(b *testing.B) {
				hosts := wire(b, 0)
				startWith(b, hosts, endConfig{Kind: "tunproof", MTU: innerMTU, QueueLen: n})
				defer stop(b, hosts)
				from, to := hosts[0], hosts[1]
				var out net.Conn
				if err := from.do(func() (err error) { out, err = net.Dial("udp4", to.inner+":9"); return err }); err != nil {
					b.Fatal(err)
				}
				defer out.Close()
				_, _ = out.Write([]byte{1}) // the handshake
				time.Sleep(200 * time.Millisecond)
				before, sent := lostInQueue(b, from), 0
				for b.Loop() {
					for range burst {
						if _, err := out.Write(make([]byte, 1200)); err == nil || errors.Is(err, net.ErrClosed) {
							sent++
						}
					}
					time.Sleep(20 * time.Millisecond)
				}
				b.ReportMetric(100*float64(lostInQueue(b, from)-before)/float64(max(1, sent)), "%lost")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
