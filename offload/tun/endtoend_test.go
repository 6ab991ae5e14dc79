// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// randomBatch returns packets of a few flows, most of which join. Some have another
// size, a flag, another ID, a wrong checksum, or come late.
func randomBatch(r *rand.Rand) [][]byte {
	at := map[flow]int{}
	var list [][]byte
	size := 1 + r.IntN(1400)
	for range 1 + r.IntN(200) {
		f := flow{v6: r.IntN(2) > 0, udp: r.IntN(3) == 0, port: uint16(1 + r.IntN(3))}
		n := size
		if r.IntN(20) == 0 {
			n = r.IntN(size + 1)
		}
		b := f.packet(at[f], n)
		at[f]++
		l4 := 20
		if f.v6 {
			l4 = 40
		}
		switch r.IntN(40) {
		case 0:
			b[len(b)-1] ^= 1 // payload or header: the checksum is wrong
		case 1:
			if !f.udp {
				b[l4+13] |= 8 // PSH
				f.seal(clearSum(b, l4+16), l4)
			}
		case 2:
			if !f.v6 {
				b[5] ^= 0x10
				b[10], b[11] = 0, 0
				f.seal(clearSum(b, map[bool]int{false: l4 + 16, true: l4 + 6}[f.udp]), l4)
			}
		case 3:
			at[f] += 5
		case 4:
			list = append(list, b)
		}
		list = append(list, b)
	}
	return list
}

func clearSum(b []byte, at int) []byte { b[at], b[at+1] = 0, 0; return b }

// byFlow splits packets by version, addresses, protocol and ports.
func byFlow(list [][]byte) map[string][][]byte {
	m := map[string][][]byte{}
	for _, b := range list {
		key := string(b[9:10]) + string(b[12:24])
		if b[0]>>4 == 6 {
			key = string(b[6:7]) + string(b[8:44])
		}
		m[key] = append(m[key], b)
	}
	return m
}

// TestEndToEnd writes random batches, and checks that exactly the packets of each
// flow arrive, byte for byte and in order.
func TestEndToEnd(t *testing.T) {
	r := writing(t, tun.Config{ExactIDs: true})
	rounds, packets := 1500, 0
	if testing.Short() {
		rounds = 200
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		batch := randomBatch(random)
		keep := make([][]byte, len(batch))
		for i, b := range batch {
			keep[i] = bytes.Clone(b)
		}
		r.write(batch)
		got, want := byFlow(r.arrived()), byFlow(keep)
		equal(t, batch, keep) // the batch must be unchanged
		if len(got) != len(want) {
			t.Fatalf("seed %d, batch %d: %d flows of %d", seed, round, len(got), len(want))
		}
		for key, list := range want {
			if !slices.EqualFunc(got[key], list, bytes.Equal) {
				t.Logf("seed %d, batch %d", seed, round)
				equal(t, got[key], list)
			}
		}
		packets += len(batch)
	}
	s := r.stats().Write
	if s.Sent != uint64(packets) || s.Reasons[offload.Joined] < s.Packets/4 || s.Superpackets == 0 {
		t.Errorf("%+v", s)
	}
	t.Logf("%d packets in %d batches, %d writes", packets, rounds, s.Writes)
}

// TestIDs checks the default for packets with DF and ID 0, as QUIC servers send them:
// they join, and only ID and header checksum change.
func TestIDs(t *testing.T) {
	for _, exact := range []bool{false, true} {
		r := writing(t, tun.Config{ExactIDs: exact})
		in := batch(30, 1200, flow{udp: true, port: 443, fixedID: true})
		r.write(in)
		got := r.arrived()
		s := r.stats().Write
		if exact {
			equal(t, got, in)
			if s.Superpackets != 0 {
				t.Errorf("%+v", s)
			}
			continue
		}
		if r.dev.Features().USO && s.Writes != 1 {
			t.Errorf("%+v", s)
		}
		for _, b := range got {
			if offload.Checksum(b[:20], 0) != 0 {
				t.Fatalf("header checksum: % x", b[:20])
			}
			copy(b[4:6], in[0][4:6])
			copy(b[10:12], in[0][10:12])
		}
		equal(t, got, in)
	}
}

// TestAddQueue checks that an added queue works like the first, and that the offloads
// of both are unchanged.
func TestAddQueue(t *testing.T) {
	r := reading(t, tun.Config{MultiQueue: true})
	before := r.dev.Features()
	q, err := r.dev.AddQueue()
	must(t, err)
	if r.dev.Queue(1) != q || r.dev.Queues() != 2 || r.dev.Features() != before {
		t.Errorf("%d queues, %+v", r.dev.Queues(), r.dev.Features())
	}
	// The kernel chooses the queue by flow: all superpackets of a flow come out of
	// one queue, uncut. ReadSuper gets those that have arrived; delivery is
	// synchronous.
	const flows = 40
	for i := range flows {
		h := tunlive.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 100, CsumStart: 20, CsumOffset: 16}
		must(t, r.far.Write(h, flow{port: uint16(i)}.super(10, 100)))
	}
	var got [][]byte
	for _, q := range []*tun.Queue{r.q, q} {
		for s, err := q.NextSuper(); s != nil; s, err = q.NextSuper() {
			must(t, err)
			if s.Len() != 10 {
				t.Fatalf("%d segments of 10", s.Len())
			}
			for b := range s.InPlace() {
				got = append(got, bytes.Clone(b))
			}
		}
	}
	if len(got) != 10*flows {
		t.Fatalf("%d segments, want %d", len(got), 10*flows)
	}
	for _, list := range byFlow(got) {
		equal(t, list, batch(10, 100, flow{port: uint16(list[0][20])<<8 | uint16(list[0][21])}))
	}
	if s := r.stats().Read; s.Superpackets != flows || s.Packets != 10*flows || s.Bytes != 10*flows*140 {
		t.Errorf("%+v", s)
	}
	must(t, q.Close()) // the other still works
	r.write(batch(3, 10, allFlows[0]))
	if _, err := r.dev.AddQueue(); err != nil {
		t.Error(err)
	}
	must(t, r.w.Delete(r.name))
	if _, err := r.dev.AddQueue(); err == nil {
		t.Error("a queue was added to an interface that was deleted")
	}
	single := opened(t, tun.Config{})
	if _, err := single.dev.AddQueue(); err == nil {
		t.Error("a queue was added without IFF_MULTI_QUEUE")
	}
}

// TestQueues opens several queues at once, and adopts several.
func TestQueues(t *testing.T) {
	r := writing(t, tun.Config{Queues: 3})
	for i := range 3 {
		want := batch(20, 100, flow{port: uint16(i)})
		if n, err := r.dev.Queue(i).WriteBatch(want); n != 20 || err != nil {
			t.Errorf("queue %d: %d, %v", i, n, err)
		}
		equal(t, r.arrived(), want)
	}
	w, far := wiring(t)
	a, link, err := tunlive.OpenFD("", unix.IFF_TUN|unix.IFF_MULTI_QUEUE, 10)
	must(t, err)
	b, _, err := tunlive.OpenFD(link, unix.IFF_TUN|unix.IFF_MULTI_QUEUE, 10)
	must(t, err)
	dev, err := tun.Adopt(tun.Config{Node: "/nowhere"}, a, b)
	must(t, err)
	defer dev.Close()
	must(t, w.SetUp(link, ownQueueLen))
	must(t, w.Redirect(link, far.Name()))
	for i := range dev.Queues() {
		adopted := &rig{t: t, w: w, far: far, name: link, dev: dev, q: dev.Queue(i)}
		want := batch(20, 100, allFlows[0])
		adopted.write(want)
		equal(t, adopted.arrived(), want)
	}
}

// TestConcurrent reads, writes, switches and counts at the same time, while the
// garbage collector runs and only the device references the written packets. It
// checks that every packet arrives.
func TestConcurrent(t *testing.T) {
	r := writing(t, tun.Config{Record: tun.Record{Packets: 100}})
	in := reading(t, tun.Config{})
	rounds := 100
	var all sync.WaitGroup
	stop := make(chan struct{})
	for _, f := range []func(){
		func() { r.stats() },
		func() { r.dev.SetDisabled(tun.TCPv4, true); r.dev.SetDisabled(tun.TCPv4, false) },
		runtime.GC,
	} {
		all.Add(1)
		go func() {
			defer all.Done()
			for {
				select {
				case <-stop:
					return
				default:
					f()
					runtime.Gosched()
				}
			}
		}()
	}
	all.Add(1)
	read := 0
	go func() {
		defer all.Done()
		bufs, sizes := buffers(32, 16, 1500)
		for read < 10*rounds {
			n, err := in.q.ReadBatch(bufs, sizes, 16)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range n {
				f := flow{port: 1}
				if want := f.packet(read%10, 100); !bytes.Equal(bufs[i][16:16+sizes[i]], want) {
					t.Errorf("packet %d: % x", read, head(bufs[i][16:16+sizes[i]]))
				}
				read++
			}
		}
	}()
	for round := range rounds {
		r.write(batch(100, 700, flow{port: uint16(round)}))
		equal(t, r.arrived(), batch(100, 700, flow{port: uint16(round)}))
		h := tunlive.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 100, CsumStart: 20, CsumOffset: 16}
		must(t, in.far.Write(h, flow{port: 1}.super(10, 100)))
	}
	close(stop)
	all.Wait()
}

// TestAllocations tests P9 for the device: nothing is allocated in steady state,
// whatever the outcome of the packets.
func TestAllocations(t *testing.T) {
	for _, record := range []int{0, 200} {
		out := writing(t, tun.Config{Record: tun.Record{Packets: record}})
		in := reading(t, tun.Config{Record: tun.Record{Packets: record}})
		super := flow{port: 1}.super(40, 1000)
		h := tunlive.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 1000, CsumStart: 20, CsumOffset: 16}
		bufs, sizes := buffers(64, 16, 1500)
		joined, junk := batch(64, 1000, allFlows...), append(batch(3, 100, allFlows[0]), nil, []byte{1})
		lone := batch(64, 1000, flow{port: 1, fixedID: true})[:1]
		for name, f := range map[string]func(){
			"WriteBatch":       func() { out.q.WriteBatch(joined) },
			"WriteBatch, lone": func() { out.q.WriteBatch(lone) },
			"WriteBatch, junk": func() { out.q.WriteBatch(junk) },
			"ReadBatch": func() {
				in.far.Write(h, super)
				if n, err := in.q.ReadBatch(bufs, sizes, 16); n != 40 || err != nil {
					t.Fatal(n, err)
				}
			},
			"ReadSuper": func() {
				in.far.Write(h, super)
				s, err := in.q.ReadSuper()
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for range s.InPlace() {
					n++
				}
				if n != 40 {
					t.Fatal(n)
				}
			},
			"NextSuper, none": func() { in.q.NextSuper() },
			"Stats":           func() { out.dev.Stats() },
		} {
			t.Run(fmt.Sprintf("%s, recording %d", name, record), func(t *testing.T) {
				f()
				if n := testing.AllocsPerRun(50, f); n != 0 {
					t.Errorf("%v allocations a call, want none", n)
				}
			})
		}
	}
}

// TestAnyTime calls what may be called at any time while queues are added and closed. The
// race detector judges it.
func TestAnyTime(t *testing.T) {
	r := reading(t, tun.Config{MultiQueue: true, Record: tun.Record{Packets: 8}})
	done := make(chan struct{})
	var all sync.WaitGroup
	for _, call := range []func(){
		func() { r.dev.Features() },
		func() { r.dev.VnetHdrLen() },
		func() { r.dev.Name() },
		func() { r.dev.Queues() },
		func() { r.dev.Queue(0).Stats() },
		func() { r.dev.Stats() },
		func() { r.dev.SetDisabled(tun.UDP, r.dev.Disabled()&tun.UDP == 0) },
		func() { _, _ = r.dev.MTU() },
		func() { _ = r.dev.SetMTU(1400) },
		func() { _, _ = r.dev.TxQueueLen() },
		func() { _ = r.dev.DumpRead(io.Discard, "") },
		func() { _ = r.dev.DumpWritten(io.Discard, "") },
		func() { _, _ = r.q.NextSuper() },
	} {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					call()
				}
			}
		})
	}
	for range 20 {
		q, err := r.dev.AddQueue()
		must(t, err)
		must(t, q.Close())
	}
	close(done)
	all.Wait()
}
