// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"tunproof/fuzz/peers"
	"tunproof/fuzz/peers/traffic"
)

// These are the limits that implementations are compared with.
const (
	limitSum  = "one sum" // one checksum pass over the same bytes
	limitCopy = "copy"    // a copy of the same bytes
	limitOpen = "open"    // opening the packets and nothing else
)

// allRows returns a constructor for each row. Rows are made just before they are measured,
// because their buffers are large.
func allRows() []func() *row {
	var list []func() *row
	add := func(f func() *row) { list = append(list, f) }
	for _, n := range []int{20, 60, 100, 536, 1448, 9000, 65535} {
		add(func() *row { return sumRow(n) })
	}
	for _, k := range traffic.Kinds[:3] {
		for _, size := range []int{1448, 100} {
			n := (65535 - k.HdrLen()) / size
			if size == 100 {
				n = 120 // the others have 128 buffers
			}
			add(func() *row {
				return segmentRow(fmt.Sprintf("Segment/proto=%s/size=%d/segs=%d", k.Name, size, n), k.Frame(n, size), n)
			})
		}
	}
	for _, k := range traffic.Kinds {
		size := 1448
		if k.UDP {
			size = 1200
		}
		for _, flows := range []int{1, 8, 64} {
			add(func() *row {
				return coalesceRow(fmt.Sprintf("Coalesce/proto=%s/size=%d/flows=%d/pkts=128", k.Name, size, flows), k.Batch(128, flows, size))
			})
		}
	}
	for _, flows := range []int{1, 8, 64} {
		add(func() *row {
			return coalesceRow(fmt.Sprintf("Coalesce/proto=tcp4/size=200/flows=%d/pkts=1024", flows), traffic.Kinds[0].Batch(1024, flows, 200))
		})
	}
	add(func() *row { return coalesceRow("Coalesce/proto=acks/flows=8/pkts=128", traffic.PureACKs(128, 8)) })
	add(func() *row { return coalesceRow("Coalesce/proto=esp/size=1400/pkts=128", traffic.ESP(128, 1400)) })
	for _, n := range []int{1, 8, 128, 1024, 4096} {
		add(func() *row {
			return openRow(fmt.Sprintf("Open/proto=tcp4/size=1448/flows=1/pkts=%d", n), traffic.Kinds[0].Batch(n, 1, 1448))
		})
	}
	return append(list, growRows()...)
}

// growRows returns rows that show the cost as the work grows.
func growRows() (list []func() *row) {
	tcp := traffic.Kinds[0]
	for n := 1; n <= 4096; n *= 2 {
		list = append(list, func() *row {
			return coalesceRow(fmt.Sprintf("GrowBatch/proto=tcp4/size=1448/flows=1/pkts=%d", n), tcp.Batch(n, 1, 1448))
		})
	}
	for flows := 1; flows <= 1024; flows *= 2 {
		var without []string
		if flows > 128 {
			without = []string{"wireguard-go", "tailscale"} // their tables have room for 128 flows, and they panic
		}
		list = append(list, func() *row {
			return coalesceRow(fmt.Sprintf("GrowFlows/proto=tcp4/size=200/pkts=1024/flows=%d", flows), tcp.Batch(1024, flows, 200), without...)
		})
	}
	for _, size := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1448, 2048, 4096, 9000} {
		n := (65535 - tcp.HdrLen()) / size
		var without []string
		if n > peers.Outputs {
			without = append(without, "wireguard-go")
		}
		if !peers.TailscaleHolds(n, tcp.HdrLen()+size) {
			without = append(without, "tailscale")
		}
		list = append(list, func() *row {
			return segmentRow(fmt.Sprintf("GrowSize/proto=tcp4/segs=%d/size=%d", n, size), tcp.Frame(n, size), n, without...)
		})
	}
	return list
}

var sink int

// coalesceRow returns a row that measures joining a batch.
func coalesceRow(name string, batch [][]byte, without ...string) *row {
	r := &row{name: name, packets: len(batch)}
	for _, p := range batch {
		r.bytes += len(p)
	}
	for _, impl := range peers.All() {
		if impl.NewCoalescer == nil || slices.Contains(without, impl.Name) {
			continue
		}
		co := impl.NewCoalescer()
		count := func(pieces [][]byte) { sink += len(pieces) }
		r.entries = append(r.entries, &entry{impl: impl.Name, run: timed(
			func() { co.Load(batch) },
			func() { check(impl.Name, co.Coalesce(count)) },
		)})
	}
	r.entries = append(r.entries, sumLimit(batch))
	return r
}

// openRow returns a row that measures opening each packet of a batch with
// ChaCha20-Poly1305, as WireGuard does, and joining them.
func openRow(name string, batch [][]byte) *row {
	r := &row{name: name, packets: len(batch)}
	aead, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	check("seal", err)
	var nonce [chacha20poly1305.NonceSize]byte
	sealed := make([][]byte, len(batch))
	for i, p := range batch {
		r.bytes += len(p)
		binary.LittleEndian.PutUint64(nonce[4:], uint64(i))
		sealed[i] = aead.Seal(nil, nonce[:], p, nil)
	}
	open := func(i int, b []byte) []byte {
		binary.LittleEndian.PutUint64(nonce[4:], uint64(i))
		p, err := aead.Open(b[:0], nonce[:], b, nil)
		check("open", err)
		return p
	}
	count := func(pieces [][]byte) { sink += len(pieces) }
	for _, impl := range append(peers.All(), peers.TunproofAdding()) {
		if impl.NewCoalescer == nil {
			continue
		}
		co, ok := impl.NewCoalescer().(peers.Opener)
		if !ok || len(batch) > 128 && (impl.Name == "wireguard-go" || impl.Name == "tailscale") {
			continue // their tables have room for 128 packets
		}
		r.entries = append(r.entries, &entry{impl: impl.Name, run: timed(
			func() { co.Load(sealed) },
			func() { check(impl.Name, co.CoalesceOpened(open, count)) },
		)})
	}
	work := make([][]byte, len(batch))
	for i, b := range sealed {
		work[i] = append(make([]byte, 0, peers.Slot), b...) // spread as the others' packets are
	}
	r.entries = append(r.entries, &entry{impl: limitOpen, run: timed(
		func() {
			for i := range work {
				copy(work[i], sealed[i])
			}
		},
		func() {
			for i, b := range work {
				sink += len(open(i, b))
			}
		},
	)})
	return r
}

// sumLimit returns an entry that measures one checksum pass over a copy of the packets.
func sumLimit(list [][]byte) *entry {
	sum := peers.Tunproof().Sum
	var work [][]byte
	for _, p := range list {
		work = append(work, slices.Clone(p))
	}
	return &entry{impl: limitSum, run: timed(
		func() {
			for i := range list {
				copy(work[i], list[i])
			}
		},
		func() {
			for _, p := range work {
				sink += int(sum(p, 0))
			}
		},
	)}
}

// segmentRow returns a row that measures cutting a superpacket.
func segmentRow(name string, frame []byte, segments int, without ...string) *row {
	r := &row{name: name, packets: segments, bytes: len(frame)}
	for _, impl := range peers.All() {
		if impl.NewSegmenter == nil || slices.Contains(without, impl.Name) {
			continue
		}
		s := impl.NewSegmenter()
		got := 0
		count := func(seg []byte) { got++; sink += len(seg) }
		r.entries = append(r.entries, &entry{impl: impl.Name, run: timed(
			func() { s.Load(frame); got = 0 },
			func() {
				check(impl.Name, s.Segment(count))
				if got != segments {
					check(impl.Name, fmt.Errorf("%d segments, want %d", got, segments))
				}
			},
		)})
	}
	from, to := slices.Clone(frame), make([]byte, len(frame))
	r.entries = append(r.entries,
		&entry{impl: limitCopy, run: timed(func() { copy(from, frame) }, func() { copy(to, from) })},
		sumLimit([][]byte{frame}))
	return r
}

// sumRow returns a row that measures the checksum of n bytes.
func sumRow(n int) *row {
	r := &row{name: fmt.Sprintf("Sum/size=%d", n), packets: 1, bytes: n}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	for _, impl := range peers.All() {
		if impl.Sum != nil {
			r.entries = append(r.entries, &entry{impl: impl.Name, run: whole(func() { sink += int(impl.Sum(b, 0)) })})
		}
	}
	to := make([]byte, n)
	r.entries = append(r.entries, &entry{impl: limitCopy, run: whole(func() { copy(to, b) })})
	return r
}
