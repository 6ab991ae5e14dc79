// SPDX-License-Identifier: MIT

//go:build linux

package tun_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// TestWrite checks that the packets written arrive, that they were joined on the way,
// and that they are counted.
func TestWrite(t *testing.T) {
	for _, f := range allFlows {
		t.Run(f.String(), func(t *testing.T) {
			r := writing(t, tun.Config{})
			want := batch(64, 1000, f)
			r.write(want)
			equal(t, r.arrived(), want)
			s := r.stats().Write
			if f.udp && !r.dev.Features().USO {
				t.Skip("this kernel has no USO")
			}
			if s.Sent != 64 || s.Writes != 1 || s.Superpackets != 1 || s.Bytes != uint64(64*len(want[0])) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestRead checks that a superpacket is handed out as its segments, for any number of
// buffers.
func TestRead(t *testing.T) {
	h := map[bool]tunlive.VnetHdr{false: {Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 1000, CsumStart: 20, CsumOffset: 16},
		true: {Flags: 1, GSOType: 4, HdrLen: 60, GSOSize: 1000, CsumStart: 40, CsumOffset: 16}}
	for v6, h := range h {
		r := reading(t, tun.Config{})
		f := flow{v6: v6, port: 9}
		super := f.super(30, 1000)
		want := batch(30, 1000, f)
		for _, room := range []int{1, 7, 30, 64} {
			must(t, r.far.Write(h, super))
			bufs, sizes := buffers(room, 16, 1500)
			var got [][]byte
			for len(got) < len(want) {
				n, err := r.q.ReadBatch(bufs, sizes, 16)
				if err != nil {
					t.Fatal(err)
				}
				for i := range n {
					got = append(got, bytes.Clone(bufs[i][16:16+sizes[i]]))
				}
			}
			equal(t, got, want)
		}
		if s := r.stats().Read; s.Reads != 4 || s.Superpackets != 4 || s.Packets != 120 || s.Bytes != uint64(120*len(want[0])) {
			t.Errorf("%+v", s)
		}
	}
}

// super returns n packets of size payload bytes as one superpacket, with a partial
// checksum.
func (f flow) super(n, size int) []byte {
	b := f.packet(0, n*size)
	copy(b[len(b)-n*size:], bytes.Join(payloads(batch(n, size, f), size), nil))
	at := len(b) - n*size - 20
	src, dst := b[12:16], b[16:20]
	if f.v6 {
		src, dst = b[8:24], b[24:40]
	}
	binary.BigEndian.PutUint16(b[at+16:], offload.PseudoHeaderSum(6, src, dst, len(b)-at))
	return b
}

func payloads(list [][]byte, size int) [][]byte {
	var out [][]byte
	for _, b := range list {
		out = append(out, b[len(b)-size:])
	}
	return out
}

// TestShort checks that a segment longer than its buffer is dropped and counted, and
// no other.
func TestShort(t *testing.T) {
	r := reading(t, tun.Config{})
	h := tunlive.VnetHdr{Flags: 1, GSOType: 1, HdrLen: 40, GSOSize: 1000, CsumStart: 20, CsumOffset: 16}
	must(t, r.far.Write(h, flow{port: 9}.super(3, 1000)))
	must(t, r.far.Write(tunlive.VnetHdr{}, flow{port: 9}.packet(3, 10)))
	bufs, sizes := buffers(2, 16, 500)
	n, err := r.q.ReadBatch(bufs, sizes, 16)
	if err != nil || n != 1 || !bytes.Equal(bufs[0][16:16+sizes[0]], flow{port: 9}.packet(3, 10)) {
		t.Errorf("%d, %v", n, err)
	}
	if s := r.stats().Read; s.Short != 3 || s.Packets != 1 || s.Reads != 2 {
		t.Errorf("%+v", s)
	}
}

// TestLeft checks that segments left by one way of reading are handed out by the
// other, and are counted once.
func TestLeft(t *testing.T) {
	r := reading(t, tun.Config{})
	h := tunlive.VnetHdr{Flags: 1, GSOType: 4, HdrLen: 60, GSOSize: 100, CsumStart: 40, CsumOffset: 16}
	f := flow{v6: true, port: 9}
	whole := f.super(9, 100) // and 50 bytes in a tenth segment
	whole = append(whole, make([]byte, 50)...)
	binary.BigEndian.PutUint16(whole[4:], uint16(len(whole)-40))
	binary.BigEndian.PutUint16(whole[56:], offload.PseudoHeaderSum(6, whole[8:24], whole[24:40], len(whole)-40))
	for range 2 {
		must(t, r.far.Write(h, whole))
		bufs, sizes := buffers(4, 0, 1500)
		if n, err := r.q.ReadBatch(bufs, sizes, 0); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		s, err := r.q.ReadSuper()
		if err != nil || s.Len() != 6 {
			t.Fatal(s.Len(), err)
		}
		for range s.InPlace() {
			break
		}
		if n, err := r.q.ReadBatch(bufs, sizes, 0); n != 4 || err != nil || !bytes.Equal(bufs[0][:sizes[0]], f.packet(5, 100)) {
			t.Fatal(n, err)
		}
		if n, err := r.q.ReadBatch(bufs, sizes, 0); n != 1 || err != nil || sizes[0] != 110 {
			t.Fatal(n, err, sizes[0])
		}
		if s, err := r.q.NextSuper(); s != nil || err != nil {
			t.Fatal(s, err)
		}
	}
	if s := r.stats().Read; s.Packets != 20 || s.Bytes != 2*(9*160+110) {
		t.Errorf("%+v", s)
	}
}

// TestDrain checks the limit of packets that one call takes.
func TestDrain(t *testing.T) {
	r := reading(t, tun.Config{})
	for i := range 70 {
		must(t, r.far.Write(tunlive.VnetHdr{}, flow{port: 1}.packet(i, 10)))
	}
	bufs, sizes := buffers(100, 0, 1500)
	for _, want := range []int{64, 6} {
		if n, err := r.q.ReadBatch(bufs, sizes, 0); n != want || err != nil {
			t.Errorf("%d, %v, want %d", n, err, want)
		}
	}
	if s, err := r.q.NextSuper(); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

// TestObserver checks that an observer sees all packets, and may close the queue
// while it is called.
func TestObserver(t *testing.T) {
	var packets, writes, reads, bytesWritten int
	var out, in *rig
	out = writing(t, tun.Config{Observer: tun.Observer{Write: func(h offload.VnetHdr, n int, pieces [][]byte, err error) {
		writes++
		packets += n
		for _, b := range pieces {
			bytesWritten += len(b)
		}
		if packets == 45 {
			out.q.Close()
		}
	}}})
	in = reading(t, tun.Config{Observer: tun.Observer{Read: func(h offload.VnetHdr, b []byte, err error) {
		if reads++; reads == 3 {
			in.dev.Close()
		}
	}}})
	want := batch(40, 100, allFlows...)
	out.write(want)
	if got := len(out.arrived()); packets != 40 || writes != int(out.stats().Write.Writes) || got != 40 {
		t.Errorf("%d packets in %d writes, %d arrived", packets, writes, got)
	}
	lone := batch(10, 10, flow{port: 1, udp: true}, flow{port: 2, udp: true})
	for i := range lone {
		lone[i] = flow{port: uint16(i + 1)}.packet(0, 10)
	}
	if n, err := out.q.WriteBatch(lone); n != 5 || cause(err) != os.ErrClosed || out.stats().Write.Unsent != 5 {
		t.Errorf("closed by the observer: %d, %v", n, err)
	}
	for i := range 5 {
		must(t, in.far.Write(tunlive.VnetHdr{}, flow{port: 1}.packet(i, 10)))
	}
	bufs, sizes := buffers(8, 0, 1500)
	if n, err := in.q.ReadBatch(bufs, sizes, 0); n != 3 || err != nil {
		t.Errorf("closed by the observer: %d, %v", n, err)
	}
	if n, err := in.q.ReadBatch(bufs, sizes, 0); n != 0 || cause(err) != os.ErrClosed {
		t.Errorf("after it: %d, %v", n, err)
	}
}
