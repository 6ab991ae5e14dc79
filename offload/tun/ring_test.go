// SPDX-License-Identifier: MIT

package tun

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"tunproof/offload"
)

// copied is a packet that was recorded, whole.
type copied struct {
	hdr    offload.VnetHdr
	packet []byte
}

// copier is a recorder that keeps everything.
type copier []copied

// record records a packet in both recorders.
func (c *copier) record(r *recorder, h offload.VnetHdr, packet []byte) {
	*c = append(*c, copied{h, packet})
	r.read(h, packet)
}

// compare checks that a ring has the last packets, in order: each as a recorder of only
// that packet has it.
func (c copier) compare(t *testing.T, r *recorder, in *ring) {
	t.Helper()
	last := c[max(0, len(c)-r.Packets):]
	n := 0
	in.packets(func(k *kept, data []byte) {
		if n == len(last) {
			t.Fatalf("more than %d packets are recorded", n)
		}
		alone := newRecorder(Record{Packets: 1, Payload: r.Payload})
		alone.read(last[n].hdr, last[n].packet)
		alone.in.packets(func(l *kept, want []byte) {
			if k.hdr != l.hdr || !bytes.Equal(data, want) || len(data) != len(last[n].packet) {
				t.Fatalf("packet %d of %d, of %d bytes, is recorded as\n%+v %x\nwant\n%+v %x", n, len(last), len(last[n].packet), k.hdr, head(data), l.hdr, head(want))
			}
			if r.Payload && !bytes.Equal(data, last[n].packet) {
				t.Fatalf("the payload of a packet of %d bytes is not recorded", len(data))
			}
		})
		n++
	})
	if n != len(last) {
		t.Fatalf("%d packets are recorded, want %d", n, len(last))
	}
}

func head(b []byte) []byte { return b[:min(len(b), 80)] }

// TestRingLengths records packets of every length from 0 to 65,535, long and short ones in
// turn. After each packet, every element of the ring must have what a recorder of only
// its packet has. The ring is filled again and again.
func TestRingLengths(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 65535+256)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for i, front := range [][]byte{{0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6}, {0x60, 0, 0, 0, 0, 0, 17}, {0x4F, 0, 0, 0, 0, 0, 0, 0, 64, 17}, {0x60, 0, 0, 0, 0, 0, 60}} {
		copy(noise[64*i:], front)
	}
	before := bytes.Clone(noise)
	for _, payload := range []bool{false, true} {
		r, all := newRecorder(Record{Packets: 3, Payload: payload}), copier{}
		want := make([]kept, 3)
		for n := range 65536 {
			length := int(uint16(n) * 40503) // each once
			hdr, packet := offload.VnetHdr{Flags: offload.Flags(n & 1), CsumStart: uint16(n % 300)}, noise[64*(n%5):][:length]
			all.record(r, hdr, packet)
			alone := newRecorder(Record{Packets: 1})
			alone.read(hdr, packet)
			want[n%3] = alone.in.kept[0]
			if payload {
				want[n%3].front = packet
			}
			for i, k := range r.in.kept {
				if w := want[i]; k.hdr != w.hdr || k.length != w.length || !bytes.Equal(k.front, w.front) {
					t.Fatalf("after a packet of %d bytes, number %d, element %d of the ring is\n%+v\nwant\n%+v", length, n, i, k, w)
				}
			}
			if length < 1000 || n%1000 < 3 {
				all.compare(t, r, &r.in)
			}
		}
	}
	if !bytes.Equal(noise, before) {
		t.Error("the recorder has changed a packet")
	}
}

// TestRingWraps records short packets in rings of every small size, and compares them
// after each packet until the rings were filled three times.
func TestRingWraps(t *testing.T) {
	t.Parallel()
	for size := 1; size <= 20; size++ {
		for _, payload := range []bool{false, true} {
			r, all := newRecorder(Record{Packets: size, Payload: payload}), copier{}
			packet := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, i*37%(maxKept+20)) }
			for i := range 3*size + 2 {
				all.record(r, offload.VnetHdr{GSOSize: uint16(i)}, packet(i))
				all.compare(t, r, &r.in)
			}
			written := copier{}
			for n := range 2*size + 2 { // batches, shorter and longer than the ring
				var batch [][]byte
				for i := range n {
					batch = append(batch, packet(n+i))
					written = append(written, copied{packet: packet(n + i)})
				}
				r.wrote(batch, offload.Config{})
				written.compare(t, r, &r.out)
			}
			all.compare(t, r, &r.in)
		}
	}
}
