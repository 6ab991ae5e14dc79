// SPDX-License-Identifier: MIT

package main

import (
	"encoding/binary"
	"testing"

	"tunproof/fuzz/packet"
	"tunproof/offload"
)

// tcpPacket returns a packet with n bytes of payload.
func tcpPacket(id uint16, seq uint32, flags byte, n int) []byte {
	p := make([]byte, 40+n)
	p[0], p[8], p[9], p[32], p[33] = 0x45, 64, tcp, 0x50, flags
	binary.BigEndian.PutUint16(p[4:], id)
	binary.BigEndian.PutUint32(p[24:], seq)
	copy(p[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2, 5, 220, 31, 64})
	packet.Fix(p, packet.FixAll)
	return p
}

// TestFlags tries every byte of flags with every other: two packets join if and only if
// both are admitted, they differ in FIN and PSH only, and the first has neither.
func TestFlags(t *testing.T) {
	var first, second [256][]byte
	for f := range 256 {
		first[f], second[f] = tcpPacket(7, 1, byte(f), 10), tcpPacket(8, 11, byte(f), 10)
	}
	var c offload.Coalescer
	joined := 0
	for f := range 256 {
		for g := range 256 {
			c.Coalesce([][]byte{first[f], second[g]})
			got := c.Reason(1) == offload.Joined
			want := f&admitted == ack && g&admitted == ack && f&finPSH == 0 && (f^g)&^finPSH == 0
			if got != want {
				t.Fatalf("flags %#02x, then %#02x: joined %v, want %v", f, g, got, want)
			}
			if got {
				joined++
			}
		}
	}
	if joined != 2*4 { // ECE or not, and four ways of FIN and PSH
		t.Errorf("%d pairs joined, want 8", joined)
	}
}

// TestCounts tries every length of a superpacket with sizes of every kind: the number of
// segments, and the size of the first.
func TestCounts(t *testing.T) {
	whole := tcpPacket(7, 1, ack, 65535-40)
	var s offload.Segmenter
	sizes := []uint16{1, 2, 3, 7, 8, 9, 39, 40, 41, 255, 256, 536, 1000, 1024, 1448, 8947, 32767, 32768, 65494, 65495, 65534}
	for _, size := range sizes {
		h := offload.VnetHdr{Flags: offload.NeedsCsum, GSOType: offload.GSOTCPv4, GSOSize: size, CsumStart: 20, CsumOffset: 16}
		for n := 1; n <= 65535-40; n++ {
			if err := s.Reset(h, whole[:40+n]); err != nil {
				t.Fatal(err)
			}
			want := 1
			for left := n - int(size); left > 0 && int(size) > 64; left -= int(size) {
				want++
			}
			if size <= 64 {
				want = (n-1)/int(size) + 1
			}
			if s.Len() != want || s.NextLen() != 40+min(n, int(size)) {
				t.Fatalf("%d bytes by %d: %d segments, the first of %d bytes, want %d", n, size, s.Len(), s.NextLen(), want)
			}
		}
	}
}
