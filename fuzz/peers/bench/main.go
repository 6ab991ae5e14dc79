// Bench measures tunproof beside other implementations, on the same packets and
// in alternating rounds of one process, and beside two limits: a copy of the same
// bytes and one checksum pass over them.
//
//	bench [-run REGEXP] [-rounds N] [-o DIR] [-json FILE]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"

	"tunproof/fuzz/peers/traffic"
)

const exitUsage = 2

func main() {
	run := flag.String("run", "", "only rows whose name matches `REGEXP`")
	rounds := flag.Int("rounds", 10, "alternating rounds")
	flag.Parse()
	match, err := regexp.Compile(*run)
	if err != nil || flag.NArg() > 0 || *rounds < 1 {
		fmt.Fprintln(os.Stderr, "bench: usage: bench [-run REGEXP] [-rounds N]", err)
		os.Exit(exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, f := range rows() {
		r := f()
		if !match.MatchString(r.name) {
			continue
		}
		if err := r.measure(ctx, *rounds); errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "bench: interrupted")
			break
		}
		fmt.Printf("%-52s", r.name)
		for _, e := range r.entries {
			fmt.Printf(" %s %.1f (%.2f)", e.impl, e.median()/float64(r.packets), r.ratio("tunproof", e.impl))
		}
		fmt.Println()
	}
}

// rows are made when they are measured: their buffers are large.
func rows() []func() *row {
	var list []func() *row
	for _, n := range []int{20, 60, 100, 536, 1448, 9000, 65535} {
		list = append(list, func() *row { return sumRow(n) })
	}
	for _, k := range traffic.Kinds[:3] {
		for _, size := range []int{1448, 100} {
			n := (65535 - k.HdrLen()) / size
			if k.UDP {
				n = min(n, 128)
			} else if size == 100 {
				n = 120 // wireguard-go has 128 buffers
			}
			list = append(list, func() *row {
				return segmentRow(fmt.Sprintf("proto=%s/size=%d/segs=%d", k.Name, size, n), k.Frame(n, size), n)
			})
		}
	}
	for _, k := range traffic.Kinds {
		size := 1448
		if k.UDP {
			size = 1200
		}
		for _, flows := range []int{1, 8, 64} {
			list = append(list, func() *row {
				return coalesceRow(fmt.Sprintf("proto=%s/size=%d/flows=%d/pkts=128", k.Name, size, flows), k.Batch(128, flows, size))
			})
		}
	}
	for _, flows := range []int{1, 8, 64} {
		list = append(list, func() *row {
			return coalesceRow(fmt.Sprintf("proto=tcp4/size=200/flows=%d/pkts=1024", flows), traffic.Kinds[0].Batch(1024, flows, 200))
		})
	}
	list = append(list,
		func() *row { return coalesceRow("what=acks/flows=8/pkts=128", traffic.PureACKs(128, 8)) },
		func() *row { return coalesceRow("what=esp/size=1400/pkts=128", traffic.ESP(128, 1400)) },
	)
	return list
}
