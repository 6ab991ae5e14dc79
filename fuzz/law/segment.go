// SPDX-License-Identifier: MIT

package law

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// agreeSegment is P4 for superpackets: production accepts the superpackets that the
// model accepts and gives the same segments. It refuses the others with the model's
// error class.
func agreeSegment(u Subject, s *scenario.Scenario, t *Tally) error {
	seg := u.NewSegmenter()
	for i, p := range s.Supers {
		got, gotRefusal, err := Segment(seg, p)
		if err != nil {
			return err
		}
		want, wantRefusal := SegmentModel(p)
		t.super(len(got), gotRefusal)
		if gotRefusal != wantRefusal {
			return Violatedf("P4", "superpacket %d: production returns error class %q, the model %q (\"\" means accepted)", i, gotRefusal, wantRefusal)
		}
		if err := equalSegments("P4", i, want, got); err != nil {
			return err
		}
	}
	return nil
}

// equalSegments returns a violation if got differs from want, the segments of
// superpacket i.
func equalSegments(property string, i int, want, got [][]byte) error {
	if len(want) != len(got) {
		return Violatedf(property, "superpacket %d is cut into %d segments, want %d", i, len(got), len(want))
	}
	for k := range want {
		if !bytes.Equal(want[k], got[k]) {
			return Mismatchf(property, want[k], got[k], "superpacket %d, segment %d", i, k)
		}
	}
	return nil
}

// contractSegment is P1 for superpackets: no bytes cause a panic, and Reset, Next and
// InPlace write only where the contract of Segmenter allows it.
func contractSegment(u Subject, s *scenario.Scenario, t *Tally) error {
	seg := u.NewSegmenter()
	for i, p := range s.Supers {
		memory, guarded := guard(p.Data)
		p := scenario.Super{Hdr: p.Hdr, Data: guarded}
		before := bytes.Clone(memory)
		segments, refusal, err := Segment(seg, p)
		if err != nil {
			return err
		}
		t.super(len(segments), refusal)
		if refusal != "" && (seg.Len() != 0 || seg.NextLen() != 0) {
			return Violatedf("P1", "superpacket %d is refused, but Len is %d", i, seg.Len())
		}
		if refusal == "" {
			if err := nextWrites(i, seg, p); err != nil {
				return err
			}
		}
		if !bytes.Equal(before, memory) {
			return Mismatchf("P1", before, memory, "superpacket %d (refusal %q): Reset or Next changed it", i, refusal)
		}
		if refusal != "" {
			continue
		}
		if err := seg.Reset(OffloadHdr(p.Hdr), p.Data); err != nil {
			return Violatedf("P1", "superpacket %d is accepted twice, then refused: %v", i, err)
		}
		for b := range seg.InPlace() {
			if len(b) != cap(b) {
				return Violatedf("P1", "superpacket %d: InPlace gives a segment of %d bytes with capacity %d", i, len(b), cap(b))
			}
		}
		if rest := memory[len(p.Data):]; bytes.Count(rest, []byte{0xA5}) != len(rest) {
			return Violatedf("P1", "superpacket %d: InPlace wrote after its end", i)
		}
	}
	return nil
}

// nextWrites checks that Next writes only the segment's bytes: nothing after them, and
// nothing at all into a buffer that is too short.
func nextWrites(i int, seg Segmenter, p scenario.Super) error {
	if err := seg.Reset(OffloadHdr(p.Hdr), p.Data); err != nil {
		return Violatedf("P1", "superpacket %d is accepted once, then refused: %v", i, err)
	}
	var buf []byte
	dirty := func(b []byte) bool { return bytes.Count(b, []byte{0xC3}) == len(b) }
	for k := 0; seg.Len() > 0; k++ {
		n := seg.NextLen()
		buf = bytes.Repeat([]byte{0xC3}, max(n+8, len(buf)))
		if n > 0 {
			got, err := seg.Next(buf[:n-1])
			if got != 0 || !errors.Is(err, io.ErrShortBuffer) || !dirty(buf) {
				return Violatedf("P1", "superpacket %d, segment %d: Next into a short buffer gives %d, %v, or writes to it", i, k, got, err)
			}
		}
		if got, err := seg.Next(buf); err != nil || got != n || !dirty(buf[n:]) {
			return Violatedf("P1", "superpacket %d, segment %d of %d bytes: Next gives %d, %v, or writes after the segment", i, k, n, got, err)
		}
	}
	return nil
}

// guardLen is the length of a red zone in bytes.
const guardLen = 64

// guard copies b into memory with a red zone after it. The capacity of guarded includes
// the red zone, so that a write after its end changes memory and can be detected.
func guard(b []byte) (memory, guarded []byte) {
	memory = append(bytes.Clone(b), bytes.Repeat([]byte{0xA5}, guardLen)...)
	return memory, memory[:len(b)]
}

// memorySegment is P7 for superpackets: the segments are the same from a new and from a
// used Segmenter, into clean and into dirty buffers, by Next and by InPlace.
func memorySegment(u Subject, s *scenario.Scenario, t *Tally) error {
	used := u.NewSegmenter()
	for i, p := range s.Supers {
		want, refusal, err := Segment(u.NewSegmenter(), p)
		if err != nil {
			return err
		}
		t.super(len(want), refusal)
		if refusal != "" {
			if _, again, err := Segment(used, p); err != nil || again != refusal {
				return Violatedf("P7", "superpacket %d: a used Segmenter returns error class %q, %v, want %q", i, again, err, refusal)
			}
			continue
		}
		if err := nextIntoDirty(i, used, p, want); err != nil {
			return err
		}
		_, guarded := guard(p.Data)
		if err := inPlace(i, used, scenario.Super{Hdr: p.Hdr, Data: guarded}, want); err != nil {
			return err
		}
	}
	return nil
}

// nextIntoDirty takes each segment with Next into a buffer full of other bytes. Before
// each it tries a buffer that is too short.
func nextIntoDirty(i int, seg Segmenter, p scenario.Super, want [][]byte) error {
	if err := seg.Reset(OffloadHdr(p.Hdr), p.Data); err != nil {
		return Violatedf("P7", "superpacket %d is accepted by a new Segmenter, refused by a used one: %v", i, err)
	}
	longest := 0
	for _, w := range want {
		longest = max(longest, len(w))
	}
	buf := bytes.Repeat([]byte{0xC3}, longest+8)
	for k, w := range want {
		if seg.Len() != len(want)-k || seg.NextLen() != len(w) {
			return Violatedf("P7", "superpacket %d, segment %d: Len %d, NextLen %d, want %d, %d", i, k, seg.Len(), seg.NextLen(), len(want)-k, len(w))
		}
		if len(w) > 0 {
			if n, err := seg.Next(buf[:len(w)-1]); n != 0 || !errors.Is(err, io.ErrShortBuffer) {
				return Violatedf("P7", "superpacket %d, segment %d: Next into a short buffer gives %d, %v", i, k, n, err)
			}
		}
		n, err := seg.Next(buf)
		if err != nil || !bytes.Equal(w, buf[:n]) {
			return Mismatchf("P7", w, buf[:n], "superpacket %d, segment %d into a dirty buffer: %v", i, k, err)
		}
	}
	if n, err := seg.Next(buf); n != 0 || err != io.EOF || seg.Len() != 0 || seg.NextLen() != 0 {
		return Violatedf("P7", "superpacket %d after its last segment: Next gives %d, %v, Len %d, NextLen %d", i, n, err, seg.Len(), seg.NextLen())
	}
	return nil
}

// inPlace takes the first third of the segments with Next and the others with InPlace.
// It stops the iteration once on the way, and overwrites each segment that InPlace
// gives, as a caller may.
func inPlace(i int, seg Segmenter, p scenario.Super, want [][]byte) error {
	if err := seg.Reset(OffloadHdr(p.Hdr), p.Data); err != nil {
		return Violatedf("P7", "superpacket %d is accepted twice, then refused: %v", i, err)
	}
	var got [][]byte
	next := func() error {
		b := make([]byte, seg.NextLen())
		if _, err := seg.Next(b); err != nil {
			return Violatedf("P7", "superpacket %d, segment %d: %v", i, len(got), err)
		}
		got = append(got, b)
		return nil
	}
	for len(got) < len(want)/3 {
		if err := next(); err != nil {
			return err
		}
	}
	for range 2 {
		for b := range seg.InPlace() {
			got = append(got, bytes.Clone(b))
			for j := range b {
				b[j] = 0x3C
			}
			if len(got) == 1+len(want)/2 {
				break
			}
		}
		if seg.Len() > 0 { // Next must work after a stopped iteration
			if err := next(); err != nil {
				return err
			}
		}
	}
	if seg.Len() != 0 {
		return Violatedf("P7", "superpacket %d: %d segments are left at the end", i, seg.Len())
	}
	return equalSegments("P7", i, want, got)
}

// repairSegment is P5 for superpackets. It looks only at superpackets that are split.
// Their IP length fields, IPv4 header checksums and a tunnel's UDP length are not read:
// wrong ones change no segment. An error in a partial checksum reaches every segment
// unchanged.
func repairSegment(u Subject, s *scenario.Scenario, t *Tally) error {
	seg := u.NewSegmenter()
	for i, p := range s.Supers {
		want, refusal, err := Segment(seg, p)
		if err != nil {
			return err
		}
		t.super(len(want), refusal)
		if refusal != "" || len(want) < 2 {
			continue
		}
		q := scenario.Super{Hdr: p.Hdr, Data: bytes.Clone(p.Data)}
		for _, at := range unread(p) {
			binary.BigEndian.PutUint16(q.Data[at:], ^binary.BigEndian.Uint16(q.Data[at:]))
		}
		got, _, err := Segment(seg, q)
		if err != nil {
			return err
		}
		if err := equalSegments("P5", i, want, got); err != nil {
			return err
		}
		if err := keepsSumErrors(i, seg, p, want); err != nil {
			return err
		}
	}
	return nil
}

// unread returns the offsets of the words of a superpacket that is split which no segment
// depends on.
func unread(p scenario.Super) []int {
	starts := []int{0}
	var list []int
	if p.Hdr.GSOType&packet.GSOTunnels != 0 {
		starts = append(starts, int(p.Hdr.InnerNHOffset))
		list = append(list, int(p.Hdr.OuterTHOffset)+4)
	}
	for _, at := range starts {
		if p.Data[at]>>4 == 4 {
			list = append(list, at+2, at+10)
		} else {
			list = append(list, at+4)
		}
	}
	return list
}

// keepsSumErrors adds an error to each partial checksum, and checks that the checksum of
// each segment is wrong by the same amount. An error in the inner checksum of a tunnel is
// data to the outer one, which makes up for it.
func keepsSumErrors(i int, seg Segmenter, p scenario.Super, want [][]byte) error {
	wrong := uint16(0x1234 + i)
	outer, hasOuter := int(p.Hdr.OuterTHOffset)+6, p.Hdr.GSOType&packet.GSOTunnels != 0 && p.Hdr.Flags&packet.UDPTunnelCsum != 0
	if p.Hdr.Flags&packet.NeedsCsum != 0 {
		at := int(p.Hdr.CsumStart) + int(p.Hdr.CsumOffset)
		back := map[int]uint16{at: wrong}
		if hasOuter {
			back[outer] = ^wrong
		}
		if err := keepsSumError(i, seg, p, want, at, wrong, back); err != nil {
			return err
		}
	}
	if hasOuter {
		return keepsSumError(i, seg, p, want, outer, wrong, map[int]uint16{outer: wrong})
	}
	return nil
}

// keepsSumError adds an error to the partial checksum at an offset. The segments must be
// those wanted after the words of back are added to them.
func keepsSumError(i int, seg Segmenter, p scenario.Super, want [][]byte, at int, wrong uint16, back map[int]uint16) error {
	q := scenario.Super{Hdr: p.Hdr, Data: bytes.Clone(p.Data)}
	addToSum(q.Data[at:], wrong)
	got, _, err := Segment(seg, q)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return Violatedf("P5", "superpacket %d: a wrong partial sum gives %d segments, want %d", i, len(got), len(want))
	}
	for k := range want {
		// The checksum is the complement of the sum: as much as was added to the sum is
		// missing from it.
		b := bytes.Clone(got[k])
		for at, v := range back {
			addToSum(b[at:], v)
			zeros := []uint16{0, 0xFFFF} // both are zero in one's complement
			if slices.Contains(zeros, binary.BigEndian.Uint16(b[at:])) && slices.Contains(zeros, binary.BigEndian.Uint16(want[k][at:])) {
				copy(b[at:], want[k][at:at+2])
			}
		}
		if !bytes.Equal(want[k], b) {
			return Mismatchf("P5", want[k], b, "superpacket %d, segment %d of a partial sum wrong by %#x, that error subtracted", i, k, wrong)
		}
	}
	return nil
}

// addToSum adds v to the word at the start of b in one's complement.
func addToSum(b []byte, v uint16) {
	binary.BigEndian.PutUint16(b, uint16(model.Sum([]byte{byte(v >> 8), byte(v)}, b[:2])))
}
