// SPDX-License-Identifier: MIT

package law

import (
	"bytes"
	"encoding/binary"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// tunnelled is P13: a superpacket in a tunnel is cut into what its inner packet is cut into
// without the tunnel, each in outer headers of its own. What these must contain is computed
// here from the superpacket's: right lengths, an ID that counts up, a right header checksum
// and, if there is one, a UDP checksum over all bytes.
func tunnelled(u Subject, s *scenario.Scenario, t *Tally) error {
	seg := u.NewSegmenter()
	for i, p := range s.Supers {
		got, refusal, err := Segment(seg, p)
		if err != nil {
			return err
		}
		t.super(len(got), refusal)
		if refusal != "" || p.Hdr.GSOType&packet.GSOTunnels == 0 {
			continue
		}
		alone, ok := scenario.Unwrap(p)
		if !ok {
			return Violatedf("P13", "superpacket %d is accepted, but its offsets %v are not in order", i, p.Hdr)
		}
		inner, refusal, err := Segment(u.NewSegmenter(), alone)
		if err != nil {
			return err
		}
		if refusal != "" || len(inner) != len(got) {
			return Violatedf("P13", "superpacket %d is cut into %d segments, its inner packet alone into %d (%q)", i, len(got), len(inner), refusal)
		}
		for k := range inner {
			want := append(bytes.Clone(p.Data[:p.Hdr.InnerNHOffset]), inner[k]...)
			if len(inner) > 1 {
				outerHeaders(p, want, k)
			}
			if !bytes.Equal(want, got[k]) {
				return Mismatchf("P13", want, got[k], "superpacket %d, segment %d of %d: the inner packet in outer headers", i, k, len(inner))
			}
		}
	}
	return nil
}

// outerHeaders sets the outer headers of segment k of a superpacket. b has those of the
// superpacket.
func outerHeaders(p scenario.Super, b []byte, k int) {
	if b[0]>>4 == 4 {
		binary.BigEndian.PutUint16(b[4:], binary.BigEndian.Uint16(b[4:])+uint16(k))
	}
	packet.Fix(b, packet.FixIPLen|packet.FixUDPLen|packet.FixIPCsum)
	if p.Hdr.Flags&packet.UDPTunnelCsum == 0 {
		return
	}
	// What the partial sum is wrong by is missing from the checksum.
	at := int(p.Hdr.OuterTHOffset) + 6
	whole := bytes.Clone(p.Data)
	packet.Fix(whole, packet.FixPartial)
	packet.Fix(b, packet.FixL4Csum)
	sum := uint16(model.Sum(not(b[at:]), p.Data[at:at+2], not(whole[at:])))
	if sum != 0xFFFF {
		sum = ^sum
	}
	binary.BigEndian.PutUint16(b[at:], sum)
}

// not returns the complement of the word at the start of b.
func not(b []byte) []byte { return []byte{^b[0], ^b[1]} }
