// SPDX-License-Identifier: MIT

package wgtun

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tunproof/offload/tun"
)

// BenchmarkQueues shows what several queues bring. Eight flows of UDP go into a TUN. Each
// queue has a goroutine that cuts what it reads, and encrypts the segments. It reports
// the throughput, and what the queues had no room for.
func BenchmarkQueues(b *testing.B) {
	needsTUN(b)
	for _, n := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("queues=%d", n), func(b *testing.B) {
			h := wire(b, 0)[0]
			var dev *tun.Device
			err := h.do(func() (err error) {
				if dev, err = tun.Open(tun.Config{Name: "inner", Queues: n, MTU: innerMTU}); err == nil {
					err = address("inner", h.inner+"/24", 0)
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { dev.Close() })
			for b.Loop() {
				through(b, h, dev)
			}
		})
	}
}

// through sends for some time, while all queues are read.
func through(b *testing.B, h *host, dev *tun.Device) {
	before, drops := dev.Stats().Read, lostInQueue(b, h)
	for i := range dev.Queues() {
		if err := dev.Queue(i).SetReadDeadline(time.Now().Add(loaded)); err != nil {
			b.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range dev.Queues() {
		all.Go(func() {
			block, _ := aes.NewCipher(make([]byte, 16))
			aead, _ := cipher.NewGCM(block)
			nonce, out := make([]byte, aead.NonceSize()), make([]byte, 0, 2048)
			for {
				segments, err := dev.Queue(i).ReadSuper()
				if err != nil {
					return // the deadline
				}
				for segment := range segments.InPlace() {
					aead.Seal(out, nonce, segment, nil)
				}
			}
		})
	}
	for flow := range 8 {
		var out *net.UDPConn
		err := h.do(func() (err error) {
			out, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(198, 51, 100, 77), Port: 1000 + flow})
			return err
		})
		if err == nil {
			err = option(out, unix.IPPROTO_UDP, unix.UDP_SEGMENT, datagram)
		}
		if err != nil {
			b.Fatal(err)
		}
		all.Go(func() {
			defer out.Close()
			buf := make([]byte, burst*datagram)
			for end := time.Now().Add(loaded); time.Now().Before(end); {
				_, _ = out.Write(buf)
				time.Sleep(time.Millisecond)
			}
		})
	}
	all.Wait()
	after := dev.Stats().Read
	b.ReportMetric(float64(after.Bytes-before.Bytes)/loaded.Seconds()/1e6, "MB/s")
	b.ReportMetric(float64(lostInQueue(b, h)-drops), "drops")
	b.ReportMetric(0, "ns/op")
}

// TestQueues checks that New refuses a device with several queues, and leaves it to the
// caller.
func TestQueues(t *testing.T) {
	needsTUN(t)
	h := wire(t, 0)[0]
	err := h.do(func() error {
		dev, err := tun.Open(tun.Config{Name: "several", Queues: 2, MTU: innerMTU})
		if err != nil {
			return err
		}
		if d, err := New(dev); err == nil || !strings.Contains(err.Error(), "wgtun: several has 2 queues: want 1") {
			t.Errorf("%v, %v", d, err)
		}
		return dev.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}
