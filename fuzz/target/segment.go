package target

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"tunproof/fuzz/scenario"
	"tunproof/model"
	"tunproof/offload"
)

// agreeSegment is P4 for superpackets: production accepts and refuses what the
// model does, with the same error class, and gives the same segments.
func agreeSegment(s *scenario.Scenario, t *Tally) error {
	var seg offload.Segmenter
	for i, p := range s.Supers {
		got, gotRefusal, err := Segment(&seg, p)
		if err != nil {
			return err
		}
		want, wantRefusal := SegmentModel(p)
		t.super(len(got), gotRefusal)
		if gotRefusal != wantRefusal {
			return Violated("P4", "superpacket %d: production says %q, the model %q (\"\" is accepted)", i, gotRefusal, wantRefusal)
		}
		if err := equalSegments("P4", i, want, got); err != nil {
			return err
		}
	}
	return nil
}

func equalSegments(property string, i int, want, got [][]byte) error {
	if len(want) != len(got) {
		return Violated(property, "superpacket %d is cut to %d segments, want %d", i, len(got), len(want))
	}
	for k := range want {
		if !bytes.Equal(want[k], got[k]) {
			return Differ(property, want[k], got[k], "superpacket %d, segment %d", i, k)
		}
	}
	return nil
}

// totalSegment is P1 and P7 for superpackets: whatever the bytes, nothing is
// written but where the contract says, and neither dirty buffers nor reuse nor
// the way of asking change a segment.
func totalSegment(property string, s *scenario.Scenario, t *Tally) error {
	var seg offload.Segmenter
	for i, p := range s.Supers {
		memory, guarded := guard(p.Data)
		p := scenario.Super{Hdr: p.Hdr, Data: guarded}
		before := bytes.Clone(memory)
		want, refusal, err := Segment(&seg, p)
		if err != nil {
			return err
		}
		t.super(len(want), refusal)
		if !bytes.Equal(before, memory) {
			return Differ(property, before, memory, "superpacket %d (refusal %q): Reset or Next changed it", i, refusal)
		}
		if refusal != "" {
			if seg.Len() != 0 || seg.NextLen() != 0 {
				return Violated(property, "superpacket %d is refused, but %d segments are left", i, seg.Len())
			}
			continue
		}
		if err := nextIntoDirty(property, i, &seg, p, want); err != nil {
			return err
		}
		if err := inPlace(property, i, &seg, p, want); err != nil {
			return err
		}
		if !bytes.Equal(before[len(before)-guardLen:], memory[len(memory)-guardLen:]) {
			return Violated(property, "superpacket %d: InPlace wrote behind it", i)
		}
	}
	return nil
}

const guardLen = 64

// guard copies b into memory that goes on behind it. The slice's capacity does
// too: a write there is a mistake that can be seen.
func guard(b []byte) (memory, guarded []byte) {
	memory = append(bytes.Clone(b), bytes.Repeat([]byte{0xA5}, guardLen)...)
	return memory, memory[:len(b)]
}

// nextIntoDirty takes the segments by Next into a used buffer, each after a try
// with one that is too short.
func nextIntoDirty(property string, i int, seg *offload.Segmenter, p scenario.Super, want [][]byte) error {
	if err := seg.Reset(OffloadHdr(p.Hdr), p.Data); err != nil {
		return Violated(property, "superpacket %d is accepted once, then refused: %v", i, err)
	}
	longest := 0
	for _, w := range want {
		longest = max(longest, len(w))
	}
	buf := make([]byte, longest+8)
	for k, w := range want {
		for j := range buf {
			buf[j] = 0xC3
		}
		if seg.Len() != len(want)-k || seg.NextLen() != len(w) {
			return Violated(property, "superpacket %d, segment %d: Len %d, NextLen %d, want %d, %d", i, k, seg.Len(), seg.NextLen(), len(want)-k, len(w))
		}
		if len(w) > 0 {
			n, err := seg.Next(buf[:len(w)-1])
			if n != 0 || !errors.Is(err, io.ErrShortBuffer) || bytes.Count(buf, []byte{0xC3}) != len(buf) {
				return Violated(property, "superpacket %d, segment %d: a short buffer gives %d, %v, or is written", i, k, n, err)
			}
		}
		n, err := seg.Next(buf)
		if err != nil || !bytes.Equal(w, buf[:n]) {
			return Differ(property, w, buf[:n], "superpacket %d, segment %d into a dirty buffer: %v", i, k, err)
		}
		if rest := buf[n:]; bytes.Count(rest, []byte{0xC3}) != len(rest) {
			return Violated(property, "superpacket %d, segment %d: Next wrote behind the segment", i, k)
		}
	}
	if n, err := seg.Next(buf); n != 0 || err != io.EOF || seg.Len() != 0 || seg.NextLen() != 0 {
		return Violated(property, "superpacket %d behind its last segment: Next gives %d, %v, Len %d, NextLen %d", i, n, err, seg.Len(), seg.NextLen())
	}
	return nil
}

// inPlace takes the first segments by Next, the others in place, stopping once
// on the way, and uses up each as a caller may.
func inPlace(property string, i int, seg *offload.Segmenter, p scenario.Super, want [][]byte) error {
	if err := seg.Reset(OffloadHdr(p.Hdr), p.Data); err != nil {
		return Violated(property, "superpacket %d is accepted twice, then refused: %v", i, err)
	}
	var got [][]byte
	for len(got) < len(want)/3 {
		b := make([]byte, seg.NextLen())
		if _, err := seg.Next(b); err != nil {
			return Violated(property, "superpacket %d, segment %d: %v", i, len(got), err)
		}
		got = append(got, b)
	}
	for range 2 {
		for b := range seg.InPlace() {
			if len(b) != cap(b) {
				return Violated(property, "superpacket %d, segment %d in place: capacity %d of %d bytes", i, len(got), cap(b), len(b))
			}
			got = append(got, bytes.Clone(b))
			for j := range b {
				b[j] = 0x3C
			}
			if len(got) == 1+len(want)/2 {
				break
			}
		}
		if seg.Len() > 0 { // and by Next after a stop
			b := make([]byte, seg.NextLen())
			if _, err := seg.Next(b); err != nil {
				return Violated(property, "superpacket %d, segment %d: %v", i, len(got), err)
			}
			got = append(got, b)
		}
	}
	if seg.Len() != 0 {
		return Violated(property, "superpacket %d: %d segments left at the end", i, seg.Len())
	}
	return equalSegments(property, i, want, got)
}

// repairSegment is P5 for superpackets: an error in the partial checksum goes on
// to every segment as it is, and of a superpacket that is split IP length and
// IPv4 header checksum are not read.
func repairSegment(s *scenario.Scenario, t *Tally) error {
	var seg offload.Segmenter
	for i, p := range s.Supers {
		want, refusal, err := Segment(&seg, p)
		if err != nil {
			return err
		}
		t.super(len(want), refusal)
		if refusal != "" || len(want) < 2 {
			continue
		}
		q := scenario.Super{Hdr: p.Hdr, Data: bytes.Clone(p.Data)}
		lengthAt := 4
		if q.Data[0]>>4 == 4 {
			lengthAt = 2
			binary.BigEndian.PutUint16(q.Data[10:], ^binary.BigEndian.Uint16(q.Data[10:]))
		}
		binary.BigEndian.PutUint16(q.Data[lengthAt:], ^binary.BigEndian.Uint16(q.Data[lengthAt:]))
		got, _, err := Segment(&seg, q)
		if err != nil {
			return err
		}
		if err := equalSegments("P5", i, want, got); err != nil {
			return err
		}
		if p.Hdr.Flags&1 == 0 {
			continue
		}
		if err := sumErrorGoesOn(i, &seg, p, want); err != nil {
			return err
		}
	}
	return nil
}

// sumErrorGoesOn adds an error to the partial sum and wants it in each checksum.
func sumErrorGoesOn(i int, seg *offload.Segmenter, p scenario.Super, want [][]byte) error {
	at := int(p.Hdr.CsumStart) + int(p.Hdr.CsumOffset)
	wrong := 0x1234 + i
	q := scenario.Super{Hdr: p.Hdr, Data: bytes.Clone(p.Data)}
	q.Data[at], q.Data[at+1] = 0, 0
	sum := model.Sum([]byte{byte(wrong >> 8), byte(wrong)}, p.Data[at:at+2])
	binary.BigEndian.PutUint16(q.Data[at:], uint16(sum))
	got, _, err := Segment(seg, q)
	if err != nil {
		return err
	}
	if len(got) != len(want) {
		return Violated("P5", "superpacket %d: a wrong partial sum gives %d segments, want %d", i, len(got), len(want))
	}
	for k := range want {
		// Complements: what the sum has more, the checksum has less.
		b := bytes.Clone(got[k])
		back := model.Sum(b[at:at+2], []byte{byte(wrong >> 8), byte(wrong)})
		binary.BigEndian.PutUint16(b[at:], uint16(back))
		zeros := []uint16{0, 0xFFFF} // two forms of one value
		if slices.Contains(zeros, uint16(back)) && slices.Contains(zeros, binary.BigEndian.Uint16(want[k][at:])) {
			copy(b[at:], want[k][at:at+2])
		}
		if !bytes.Equal(want[k], b) {
			return Differ("P5", want[k], b, "superpacket %d, segment %d: a partial sum wrong by %#x, taken out again", i, k, wrong)
		}
	}
	return nil
}
