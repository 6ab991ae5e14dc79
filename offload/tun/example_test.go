// SPDX-License-Identifier: MIT

package tun_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"

	"tunproof/offload"
	"tunproof/offload/tun"
)

// A loop that reads packets, cut to the size that goes into a tunnel, and writes them back.
// Addresses are set by other means: ip addr add 10.9.0.1/24 dev vpn0; ip link set vpn0 up.
func Example() {
	dev, err := tun.Open(tun.Config{Name: "vpn0", MTU: 1420})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	q := dev.Queue(0)
	bufs, sizes := make([][]byte, 128), make([]int, 128)
	for i := range bufs {
		bufs[i] = make([]byte, 1420)
	}
	packets := make([][]byte, 0, len(bufs))
	for {
		n, err := q.ReadBatch(bufs, sizes, 0)
		if err != nil {
			log.Fatal(err)
		}
		packets = packets[:0]
		for i := range n {
			packets = append(packets, bufs[i][:sizes[i]]) // encrypt and send it
		}
		if _, err := q.WriteBatch(packets); err != nil {
			log.Print(err) // of one packet; all are counted
		}
	}
}

// A context ends a call that waits: it closes the device. To go on later, use
// SetReadDeadline(time.Now()) in place of Close. The call then returns
// os.ErrDeadlineExceeded.
func ExampleQueue_ReadBatch_context() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	dev, err := tun.Open(tun.Config{Name: "vpn0"})
	if err != nil {
		log.Fatal(err)
	}
	stop := context.AfterFunc(ctx, func() { dev.Close() })
	defer stop()
	bufs, sizes := [][]byte{make([]byte, 2048)}, make([]int, 1)
	for {
		if _, err := dev.Queue(0).ReadBatch(bufs, sizes, 0); errors.Is(err, os.ErrClosed) {
			return // because of ctx, or since the interface was deleted
		} else if err != nil {
			log.Fatal(err)
		}
	}
}

// Several queues, each with a goroutine of its own to read it, which pprof shows by the
// label "queue". Read all of them: what the kernel puts into a queue that nobody reads is
// lost. Write the packets of a flow to one queue, because the kernel sends the other
// direction of the flow to the queue that wrote last.
func ExampleConfig_queues() {
	dev, err := tun.Open(tun.Config{Name: "vpn0", Queues: 4})
	if err != nil {
		log.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range dev.Queues() {
		all.Go(func() {
			pprof.Do(context.Background(), pprof.Labels("queue", strconv.Itoa(i)), func(context.Context) {
				for {
					segments, err := dev.Queue(i).ReadSuper()
					if err != nil {
						return
					}
					for segment := range segments.InPlace() {
						_ = segment // encrypt and send it
					}
				}
			})
		})
	}
	all.Wait()
}

// counters are those of a device, for the examples: dev.Stats().
func counters() tun.Stats {
	s := tun.Stats{Refused: tun.UDP}
	s.Read.Reads, s.Read.Superpackets, s.Read.Packets, s.Read.Bytes = 5, 2, 61, 70_000
	s.Write.Packets, s.Write.Sent, s.Write.Writes, s.Write.Bytes = 40, 40, 3, 50_000
	s.Write.Reasons[offload.Joined], s.Write.Reasons[offload.First] = 37, 3
	return s
}

// Counters in JSON have the names of their fields.
func ExampleStats() {
	b, err := json.Marshal(counters().Write)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(b))
	// Output:
	// {"Packets":40,"Reasons":{"Joined":37,"NoAddresses":0,"Header":0,"Fragment":0,"Truncated":0,"Length":0,"Flags":0,"Empty":0,"IPChecksum":0,"L4Checksum":0,"Disabled":0,"First":3,"Closed":0,"Limit":0,"Mismatch":0},"Sent":40,"Refused":0,"Down":0,"NoMemory":0,"Failed":0,"Unsent":0,"Bytes":50000,"Writes":3,"Superpackets":0,"Resent":0,"Waits":0,"RecordErrors":0}
}

// Counters in a log, by package slog.
func ExampleStats_slog() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	s := counters()
	logger.Info("vpn0", "read", s.Read, "joined", s.Write.Reasons, "off", s.Refused)
	// Output:
	// level=INFO msg=vpn0 read.Reads=5 read.Superpackets=2 read.Tunnelled=0 read.Truncated=0 read.Invalid=0 read.Failed=0 read.Packets=61 read.Bytes=70000 read.Short=0 joined.Joined=37 joined.First=3 off=UDP
}

// Counters as a variable of package expvar, which an HTTP server shows at /debug/vars.
func ExampleStats_expvar() {
	expvar.Publish("vpn0", expvar.Func(func() any { return counters() })) // dev.Stats()
	fmt.Println(expvar.Get("vpn0").String()[:70])
	// Output:
	// {"Read":{"Reads":5,"Superpackets":2,"Tunnelled":0,"Truncated":0,"Inval
}

// Counters in the text format of Prometheus, without its library: the body of a page
// /metrics, of type text/plain; version=0.0.4.
func ExampleStats_prometheus() {
	writeMetrics := func(w io.Writer, device string, s tun.Stats) {
		for _, part := range []struct {
			name     string
			counters any
		}{{"read", s.Read}, {"write", s.Write}} {
			v := reflect.ValueOf(part.counters)
			for i := range v.NumField() {
				name := "tun_" + part.name + "_" + strings.ToLower(v.Type().Field(i).Name) + "_total"
				fmt.Fprintf(w, "# TYPE %s counter\n", name)
				switch c := v.Field(i).Interface().(type) {
				case uint64:
					fmt.Fprintf(w, "%s{device=%q} %d\n", name, device, c)
				case tun.Reasons:
					for r, n := range c {
						fmt.Fprintf(w, "%s{device=%q,reason=%q} %d\n", name, device, offload.Reason(r), n)
					}
				}
			}
		}
		fmt.Fprintln(w, "# TYPE tun_off gauge") // 1: the kernel refused it, and it is switched off
		for _, p := range []tun.Protocols{tun.TCPv4, tun.TCPv6, tun.UDP} {
			off := 0
			if s.Refused&p != 0 {
				off = 1
			}
			fmt.Fprintf(w, "tun_off{device=%q,protocol=%q} %d\n", device, p, off)
		}
	}
	var page strings.Builder
	writeMetrics(&page, "vpn0", counters())
	for line := range strings.Lines(page.String()) { // a part of it
		if strings.Contains(line, "_read_reads") || strings.Contains(line, "First") || strings.Contains(line, "tun_off") {
			fmt.Print(line)
		}
	}
	// Output:
	// # TYPE tun_read_reads_total counter
	// tun_read_reads_total{device="vpn0"} 5
	// tun_write_reasons_total{device="vpn0",reason="First"} 3
	// # TYPE tun_off gauge
	// tun_off{device="vpn0",protocol="TCPv4"} 0
	// tun_off{device="vpn0",protocol="TCPv6"} 0
	// tun_off{device="vpn0",protocol="UDP"} 1
}
