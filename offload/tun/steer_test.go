// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"testing"

	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// arrivedAt returns the number of packets that each queue has.
func (r *rig) arrivedAt() []int {
	r.t.Helper()
	list := make([]int, r.dev.Queues())
	for i := range list {
		for {
			s, err := r.dev.Queue(i).NextSuper()
			must(r.t, err)
			if s == nil {
				break
			}
			for range s.InPlace() {
				list[i]++
			}
		}
	}
	return list
}

// TestSteering checks what docs/tun.md says of several queues. The kernel puts all packets
// of a flow into one queue: that to which the flow's packets were written last, or else
// one that it chooses by a hash. A queue that nobody reads loses what it has no room for,
// and takes none from the others.
func TestSteering(t *testing.T) {
	const queues, room = 3, 10
	r := reading(t, tun.Config{Queues: queues})
	send := func(f flow, n int) {
		for i := range n {
			must(t, r.far.Write(tunlive.VnetHdr{}, f.packet(i, 10)))
		}
	}
	used := make([]int, queues)
	for port := range uint16(30) {
		f := flow{port: 1000 + port, v6: port%2 == 0, udp: port%3 == 0}
		send(f, 5)
		at := r.arrivedAt()
		for i, n := range at {
			if n == 5 {
				used[i]++
			} else if n != 0 {
				t.Errorf("%v: packets of one flow are in queues %v", f, at)
			}
		}
		for i := range queues {
			if n, err := r.dev.Queue(i).WriteBatch([][]byte{f.packet(9, 10)}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			send(f, 5)
			if at := r.arrivedAt(); at[i] != 5 {
				t.Errorf("%v was written to queue %d, and is read from %v", f, i, at)
			}
		}
	}
	for i, n := range used {
		if n == 0 || n == 30 {
			t.Errorf("of 30 flows, %d are in queue %d", n, i)
		}
	}

	must(t, r.dev.SetTxQueueLen(room))
	for i := range queues {
		f := flow{port: uint16(i)}
		if n, err := r.dev.Queue(i).WriteBatch([][]byte{f.packet(9, 10)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		send(f, []int{room / 2, 3 * room, room}[i])
	}
	if at := r.arrivedAt(); at[0] != room/2 || at[1] != room || at[2] != room {
		t.Errorf("with room for %d, %v packets are read", room, at)
	}
}
