// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/hex"
	"testing"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
	"tunproof/offload"
	"tunproof/offload/tun"
)

// TestRefusal reads the lines that a device prints of packets that a kernel refused.
func TestRefusal(t *testing.T) {
	h, whole := scenario.TCP6(5000).Super(1000)
	r := tun.Refusal{
		Device: "vpn0", Err: bytes.ErrTooLarge, Packets: 5, Len: len(whole), Header: whole[:60], Resent: true, Off: tun.TCPv6,
		Hdr: offload.VnetHdr{Flags: offload.Flags(h.Flags), GSOType: offload.GSOType(h.GSOType), HdrLen: h.HdrLen, GSOSize: h.GSOSize, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset},
	}
	for _, text := range []string{r.String(), "Nov 24 10:00:00 host vpn[7]: " + r.String() + "\n", "x\n" + r.String() + "\n" + r.String() + "\n"} {
		list, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, p := range list {
			got, has, err := pcap.Vnet(p.Comment)
			if err != nil || !has || got != h {
				t.Errorf("%q: VnetHdr %v, %v, want %v", text, got, err, h)
			}
			want := append(bytes.Clone(whole[:60]), make([]byte, len(whole)-60)...)
			if !bytes.Equal(p.Data, want) {
				t.Errorf("%q: %d bytes, want %d:\n%s", text, len(p.Data), len(want), hex.EncodeToString(p.Data))
			}
		}
	}
	r.Hdr.Flags, r.Hdr.GSOType = 0, 0
	const want = "the log has no payload, and without NEEDS_CSUM its checksum covers that: 60 of 5060 bytes"
	if list, err := Parse([]byte(r.String())); err != nil || len(list) != 1 || list[0].Left != want {
		t.Errorf("without NEEDS_CSUM: %+v, %v", list, err)
	}
	for _, text := range []string{"vpn0: write of 5 packets in 99999999 bytes: x: vnet flags=1 gso_type=1 hdr_len=1 gso_size=1 csum_start=1 csum_offset=1 []byte{0x45, 0x00}"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
