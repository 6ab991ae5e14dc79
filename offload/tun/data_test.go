//go:build linux

package tun_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"tunproof/offload"
	"tunproof/offload/tun"
	"tunproof/tunlive"
)

// TestWrite checks that what arrives is what was written, that it went joined, and
// that it is counted.
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

// TestRead checks that a superpacket is handed out as its segments, whatever the
// number of buffers.
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

// super is n packets of n payload bytes as one, with a partial checksum.
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
