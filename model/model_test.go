// SPDX-License-Identifier: MIT

package model

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The model is the reference for everything else. It has two anchors of its own: the
// captures, which come back byte for byte, and the following superpackets and
// segments, which a program in another language computed from the RFCs alone.

func TestSegmentByHand(t *testing.T) {
	for name, test := range map[string]struct {
		h     VnetHdr
		super string
		want  []string
	}{
		"TCPv4 with CWR, PSH, timestamps; ID and sequence number wrap": {
			VnetHdr{Flags: 1, GSOType: 0x81, HdrLen: 52, GSOSize: 10, CsumStart: 20, CsumOffset: 16},
			"4502004bffff40003d06d766c6336407cb0071099c4001bbfffffff80000004d809801f5668200000101080a0000000900000008052a4f7499bee3082d52779cc1e60b30557a9fc4e90e33",
			[]string{
				"4502003effff40003d06d773c6336407cb0071099c4001bbfffffff80000004d809001f570ef00000101080a0000000900000008052a4f7499bee3082d52",
				"4502003e000040003d06d773c6336407cb0071099c4001bb000000020000004d801001f5362c00000101080a0000000900000008779cc1e60b30557a9fc4",
				"45020037000140003d06d779c6336407cb0071099c4001bb0000000c0000004d801801f5540400000101080a0000000900000008e90e33",
			}},
		"UDP over IPv6": {
			VnetHdr{Flags: 1, GSOType: 5, HdrLen: 48, GSOSize: 10, CsumStart: 40, CsumOffset: 6},
			"6abcdef0001f112120010db800000000000000000000000120010db800000000000000000000000213880035001f5ba5052a4f7499bee3082d52779cc1e60b30557a9fc4e90e33",
			[]string{
				"6abcdef00012112120010db800000000000000000000000120010db800000000000000000000000213880035001291e0052a4f7499bee3082d52",
				"6abcdef00012112120010db800000000000000000000000120010db800000000000000000000000213880035001256a6779cc1e60b30557a9fc4",
				"6abcdef0000b112120010db800000000000000000000000120010db800000000000000000000000213880035000b7497e90e33",
			}},
	} {
		super, err := hex.DecodeString(test.super)
		if err != nil {
			t.Fatal(err)
		}
		segments, err := Segment(test.h, super)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, s := range segments {
			got = append(got, hex.EncodeToString(s))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTruncatedExtension checks that an extension header that ends after the packet,
// by any number of bytes, is refused and not followed.
func TestTruncatedExtension(t *testing.T) {
	b := make([]byte, 40+24+20+10)
	b[0], b[6], b[40], b[41] = 0x60, 60, 6, 2
	b[40+24+12] = 0x50
	h := VnetHdr{Flags: 1, GSOType: 4, GSOSize: 4, CsumStart: 64, CsumOffset: 16}
	for n := range len(b) + 1 {
		want := ""
		switch {
		case n < 64:
			want = "model: refused: IPHeader"
		case n < 84:
			want = "model: refused: L4Header"
		}
		got := ""
		if _, err := Segment(h, b[:n]); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
}

func TestSum(t *testing.T) {
	// RFC 1071 section 3.
	if got := Sum([]byte{0x00, 0x01, 0xf2, 0x03}, []byte{0xf4, 0xf5, 0xf6, 0xf7}); got != 0xddf2 {
		t.Errorf("%#x, want 0xddf2", got)
	}
	if got := Sum([]byte{0xFF, 0xFF}, []byte{0xFF}); got != 0xFF00 {
		t.Errorf("%#x, want 0xff00", got)
	}
}

func TestRefusal(t *testing.T) {
	if got := Refusal("Fragment").Error(); got != "model: refused: Fragment" {
		t.Error(got)
	}
}
