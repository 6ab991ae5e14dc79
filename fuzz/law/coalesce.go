// SPDX-License-Identifier: MIT

package law

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
	"tunproof/offload"
)

// pairings are the combinations of an implementation of Coalesce with one of Segment.
var pairings = []struct {
	name                          string
	modelCoalesces, modelSegments bool
}{
	{"production, production", false, false},
	{"production, model", false, true},
	{"model, production", true, false},
	{"model, model", true, true},
}

// equation is P2: Segment(Coalesce(batch)) == batch, in every pairing.
func equation(u Subject, s *scenario.Scenario, t *Tally) error {
	co := u.NewCoalescer(s.Config)
	seg := u.NewSegmenter()
	for _, batch := range s.Batches {
		production, reasons := Coalesce(co, batch)
		reference, _ := CoalesceModel(s.Config, batch)
		t.batch(len(batch), len(production), reasons)
		equal := equalSupers("", reference, production) == nil
		for _, p := range pairings {
			supers := production
			if p.modelCoalesces {
				if equal {
					continue // equal superpackets were cut before
				}
				supers = reference
			}
			if err := backTo(s.Config, seg, batch, supers, p.name, p.modelSegments); err != nil {
				return err
			}
		}
	}
	return nil
}

// backTo checks that cutting the superpackets gives back the packets of the batch. The
// model cuts them if useModel is set, else production.
func backTo(c pkts.Config, seg Segmenter, batch [][]byte, supers []Super, pairing string, useModel bool) error {
	seen := 0
	for i, p := range supers {
		var segments [][]byte
		var refused string
		var err error
		if useModel {
			segments, refused = SegmentModel(p.Super)
		} else if segments, refused, err = Segment(seg, p.Super); err != nil {
			return err
		}
		if refused != "" {
			return Violatedf("P2", "(%s) superpacket %d is refused: %s", pairing, i, refused)
		}
		if len(segments) != len(p.Members) {
			return Violatedf("P2", "(%s) superpacket %d of packets %v is cut into %d segments", pairing, i, p.Members, len(segments))
		}
		for k, m := range p.Members {
			if m < 0 || m >= len(batch) {
				return Violatedf("P2", "(%s) superpacket %d names packet %d in a batch of %d", pairing, i, m, len(batch))
			}
			if !Same(c, k, batch[m], segments[k]) {
				return Mismatchf("P2", batch[m], segments[k], "(%s) packet %d comes back changed as segment %d of superpacket %d", pairing, m, k, i)
			}
		}
		seen += len(segments)
	}
	if seen != len(batch) {
		return Violatedf("P2", "(%s) %d of %d packets come back", pairing, seen, len(batch))
	}
	return nil
}

// Same reports whether segment k of a superpacket equals the packet that it stands for,
// byte for byte. With AtomicIDs, an IPv4 packet with DF may differ in its ID and, if it
// is right, in its header checksum (C6). With AbsentChecksums, an IPv4 datagram without a
// checksum may have the right one (C11).
func Same(c pkts.Config, k int, want, got []byte) bool {
	if bytes.Equal(want, got) {
		return true
	}
	if c.AbsentChecksums && len(want) > 0 && want[0] == 0x45 && packet.Checksum(want) == packet.Absent {
		want = bytes.Clone(want)
		packet.Fix(want, packet.FixL4Csum)
		if bytes.Equal(want, got) {
			return true
		}
	}
	if !c.AtomicIDs || k == 0 || len(want) != len(got) || len(want) < 20 || want[0] != 0x45 || want[6]&0x40 == 0 {
		return false
	}
	masked := bytes.Clone(got)
	copy(masked[4:6], want[4:6])
	copy(masked[10:12], want[10:12])
	return bytes.Equal(want, masked) && model.Sum(got[:20]) == 0xFFFF
}

// order is P3: each packet leaves in exactly one superpacket, no two packets that
// conflict change places, and superpackets leave in the order in which they were opened.
// With Reorder, TCP packets may change places.
func order(u Subject, s *scenario.Scenario, t *Tally) error {
	co := u.NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		supers, reasons := Coalesce(co, batch)
		t.batch(len(batch), len(supers), reasons)
		var out []int
		for _, p := range supers {
			out = append(out, p.Members...)
		}
		if err := ordered(s.Config, batch, out); err != nil {
			return err
		}
		last := -1
		for i, p := range supers {
			first := p.Members[0]
			if s.Config.Reorder {
				first = slices.Min(p.Members) // the packet that opened it
			}
			if first < last {
				return Violatedf("P3", "superpacket %d of packets %v leaves after one that was opened later", i, p.Members)
			}
			last = first
		}
	}
	return nil
}

// ordered checks the order in which the packets of a batch leave; out has their indices.
func ordered(c pkts.Config, batch [][]byte, out []int) error {
	position := make([]int, len(batch))
	for i := range position {
		position[i] = -1
	}
	for at, m := range out {
		if m < 0 || m >= len(batch) || position[m] >= 0 {
			return Violatedf("P3", "packet %d leaves twice, or is not in the batch of %d", m, len(batch))
		}
		position[m] = at
	}
	if len(out) != len(batch) {
		return Violatedf("P3", "%d of %d packets leave", len(out), len(batch))
	}
	ids := make([]identity, len(batch))
	for j, b := range batch {
		ids[j] = identify(b)
		for i := range j {
			if position[i] > position[j] && ids[i].conflicts(ids[j]) && !(c.Reorder && (isTCP(batch[i]) || isTCP(b))) {
				return Violatedf("P3", "packet %d leaves before packet %d, with which it conflicts", j, i)
			}
		}
	}
	return nil
}

// isTCP reports whether b is a TCP packet that Reorder may move.
func isTCP(b []byte) bool {
	h := packet.Parse(b)
	return h.Proto == 6 && h.Extensions == 0
}

// agreeCoalesce is P4 for batches: production's superpackets, members and
// Reasons are the model's.
func agreeCoalesce(u Subject, s *scenario.Scenario, t *Tally) error {
	co := u.NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		got, gotReasons := Coalesce(co, batch)
		want, wantReasons := CoalesceModel(s.Config, batch)
		t.batch(len(batch), len(got), gotReasons)
		for i := range batch {
			if gotReasons[i] != wantReasons[i] {
				was, is := changedWith(batch, got, i)
				return Mismatchf("P4", was, is, "packet %d: production gives Reason %s, the model %s", i, gotReasons[i], wantReasons[i])
			}
		}
		if err := equalSupers("P4", want, got); err != nil {
			return err
		}
	}
	return nil
}

// changedWith returns a packet that does not come back as it was from the superpacket with
// packet i of a batch, and how it comes back. If all do, or there are not as many, it returns nil.
// The field that differs tells one wrong comparison from another.
func changedWith(batch [][]byte, supers []Super, i int) (was, is []byte) {
	for _, p := range supers {
		if !slices.Contains(p.Members, i) {
			continue
		}
		segments, err := model.Segment(model.VnetHdr(p.Hdr), p.Data)
		if err != nil || len(segments) != len(p.Members) {
			return nil, nil
		}
		for k, m := range p.Members {
			if !bytes.Equal(batch[m], segments[k]) {
				return batch[m], segments[k]
			}
		}
	}
	return nil, nil
}

// equalSupers returns a violation if got differs from want, the superpackets of a batch.
func equalSupers(property string, want, got []Super) error {
	if len(want) != len(got) {
		return Violatedf(property, "%d superpackets, want %d", len(got), len(want))
	}
	for i := range want {
		switch {
		case !slices.Equal(want[i].Members, got[i].Members):
			return Violatedf(property, "superpacket %d has packets %v, want %v", i, got[i].Members, want[i].Members)
		case want[i].Hdr != got[i].Hdr:
			return Violatedf(property, "superpacket %d: VnetHdr %v, want %v", i, got[i].Hdr, want[i].Hdr)
		case !bytes.Equal(want[i].Data, got[i].Data):
			return Mismatchf(property, want[i].Data, got[i].Data, "superpacket %d of packets %v", i, want[i].Members)
		}
	}
	return nil
}

// AdmissionReasons are the names of the Reasons why a packet is not a candidate for
// joining (C1, C10): those between Joined and First in the order of package offload.
var AdmissionReasons = admissionReasons()

func admissionReasons() []string {
	var list []string
	for r := offload.Joined + 1; r < offload.First; r++ {
		list = append(list, r.String())
	}
	return list
}

// repairCoalesce is P5 for batches: a packet that is not a candidate leaves alone and
// unchanged. It also damages candidates: they must then leave alone and unchanged, too.
func repairCoalesce(u Subject, s *scenario.Scenario, t *Tally) error {
	co := u.NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		supers, reasons := Coalesce(co, batch)
		t.batch(len(batch), len(supers), reasons)
		if err := leavesAsItCame(batch, supers, reasons); err != nil {
			return err
		}
		for k := range min(len(batch), 6) {
			damaged := slices.Clone(batch)
			damaged[k] = damage(batch[k], k)
			if damaged[k] == nil {
				continue
			}
			supers, reasons := Coalesce(co, damaged)
			if r := reasons[k]; !slices.Contains(AdmissionReasons, r) {
				return Mismatchf("P5", batch[k], damaged[k], "packet %d is damaged as shown, but still a candidate: its Reason is %s", k, r)
			}
			if err := leavesAsItCame(damaged, supers, reasons); err != nil {
				return err
			}
		}
	}
	return nil
}

// leavesAsItCame checks that a packet which is not a candidate shares no superpacket, and
// that a packet alone in its superpacket is unchanged and has a zero VnetHdr.
func leavesAsItCame(batch [][]byte, supers []Super, reasons []string) error {
	for i, p := range supers {
		if len(p.Members) == 1 {
			m := p.Members[0]
			if p.Hdr != (pkts.VnetHdr{}) {
				return Violatedf("P5", "superpacket %d has one packet, but its VnetHdr is %v", i, p.Hdr)
			}
			if !bytes.Equal(batch[m], p.Data) {
				return Mismatchf("P5", batch[m], p.Data, "packet %d, alone in its superpacket, is changed", m)
			}
			continue
		}
		for _, m := range p.Members {
			if slices.Contains(AdmissionReasons, reasons[m]) {
				return Violatedf("P5", "packet %d is no candidate (%s), but shares superpacket %d", m, reasons[m], i)
			}
		}
	}
	return nil
}

// damage returns a copy of b with one byte changed or appended, so that a length or a
// checksum is wrong. k selects the change. It returns nil if b is not wholesome: the
// change might then repair it.
func damage(b []byte, k int) []byte {
	if !wholesome(b) {
		return nil
	}
	d := bytes.Clone(b)
	switch k % 3 {
	case 0:
		return append(d, 0)
	case 1: // the last byte: the L4 checksum covers it
		d[len(d)-1] ^= 0x10
	case 2: // an address byte: every checksum covers it
		d[16] ^= 0x04
	}
	return d
}

// wholesome reports whether b is a TCP or UDP packet with right lengths and checksums,
// without IP options or extension headers, and not a fragment.
func wholesome(b []byte) bool {
	h := packet.Parse(b)
	switch {
	case h.Fragment || h.PayloadOff == 0 || h.Version == 4 && h.L4Off != 20 || h.Extensions > 0 || !packet.WellFormed(b):
		return false
	case h.Proto == 17 && int(binary.BigEndian.Uint16(b[h.L4Off+4:])) != len(b)-h.L4Off:
		return false
	}
	return packet.Checksum(b) == packet.Right
}

// interleave is P6: packets of other flows change neither the superpackets nor the
// Reasons of a flow's packets. Splitting a batch in two changes only the grouping (C9).
func interleave(u Subject, s *scenario.Scenario, t *Tally) error {
	c := s.Config
	c.MaxOpen = 0 // the default of 1,024, so that packets of other flows close nothing (C4.max_open)
	co := u.NewCoalescer(c)
	for _, batch := range s.Batches {
		batch = batch[:min(len(batch), 200)]
		supers, reasons := Coalesce(co, batch)
		t.batch(len(batch), len(supers), reasons)
		want := groups(supers, nil)
		if others := strangers(batch); others != nil {
			mixed, from := mix(batch, others)
			supers, mixedReasons := Coalesce(co, mixed)
			if got := groups(supers, from); !slices.EqualFunc(want, got, slices.Equal) {
				return Violatedf("P6", "with packets of other flows in between, the superpackets are %v, want %v", got, want)
			}
			for k, m := range from {
				if m >= 0 && mixedReasons[k] != reasons[m] {
					return Violatedf("P6", "with packets of other flows in between, packet %d has Reason %s, want %s", m, mixedReasons[k], reasons[m])
				}
			}
		}
		if err := splitBatch(u, c, co, batch); err != nil {
			return err
		}
	}
	return nil
}

// groups returns the members of each superpacket, as indices into the batch. For a mixed
// batch, from maps its packets to those of the original batch (see mix). Superpackets of
// strangers are then left out.
func groups(supers []Super, from []int) [][]int {
	var list [][]int
	for _, p := range supers {
		members := slices.Clone(p.Members)
		if from != nil {
			if from[members[0]] < 0 {
				continue
			}
			for i, m := range members {
				members[i] = from[m]
			}
		}
		list = append(list, members)
	}
	return list
}

// strangers returns copies of the batch's packets with source and destination address
// exchanged. Their checksums stay as right or wrong as they were, because a sum does not
// depend on the order of the addresses. It returns nil if any of them would conflict
// with a packet of the batch.
func strangers(batch [][]byte) [][]byte {
	var list [][]byte
	var ids []identity
	for _, b := range batch {
		b = bytes.Clone(b)
		at, n := 12, 4
		if len(b) > 0 && b[0]>>4 == 6 {
			at, n = 8, 16
		}
		if len(b) >= at+2*n {
			src := bytes.Clone(b[at : at+n])
			copy(b[at:], b[at+n:at+2*n])
			copy(b[at+n:], src)
		}
		list = append(list, b)
		ids = append(ids, identify(b))
	}
	for _, b := range batch {
		id := identify(b)
		for _, other := range ids {
			if id.conflicts(other) {
				return nil
			}
		}
	}
	return list
}

// mix puts others between the packets of the batch, in a pattern that depends on the
// batch's length. from has for each packet its index in the batch, or -1 for one of the
// others.
func mix(batch, others [][]byte) (mixed [][]byte, from []int) {
	k := 0
	for i, b := range batch {
		for range (i*7 + len(batch)) % 3 {
			if k < len(others) {
				mixed, from = append(mixed, others[k]), append(from, -1)
				k++
			}
		}
		mixed, from = append(mixed, b), append(from, i)
	}
	return mixed, from
}

// splitBatch checks C9: a batch in two calls gives what two new Coalescers would give, and
// conflicting packets keep their order.
func splitBatch(u Subject, c pkts.Config, co Coalescer, batch [][]byte) error {
	if len(batch) < 2 {
		return nil
	}
	cut := 1 + len(batch)*5/7%(len(batch)-1)
	var out []int
	for _, part := range []struct{ from, to int }{{0, cut}, {cut, len(batch)}} {
		got, _ := Coalesce(co, batch[part.from:part.to])
		want, _ := Coalesce(u.NewCoalescer(c), batch[part.from:part.to])
		if err := equalSupers("P6", want, got); err != nil {
			return err
		}
		for _, p := range got {
			for _, m := range p.Members {
				out = append(out, part.from+m)
			}
		}
	}
	return ordered(c, batch, out)
}

// wellFormed is P11: in every superpacket of two or more packets the lengths, the header
// checksum, the pseudo-header sum and the VnetHdr are right.
func wellFormed(u Subject, s *scenario.Scenario, t *Tally) error {
	co := u.NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		supers, reasons := Coalesce(co, batch)
		t.batch(len(batch), len(supers), reasons)
		for i, p := range supers {
			if len(p.Members) < 2 {
				continue
			}
			want := bytes.Clone(p.Data)
			packet.Fix(want, packet.FixIPLen|packet.FixUDPLen|packet.FixIPCsum|packet.FixPartial)
			if !bytes.Equal(want, p.Data) {
				return Mismatchf("P11", want, p.Data, "superpacket %d of packets %v", i, p.Members)
			}
			first := batch[p.Members[0]]
			h := packet.DeriveVnet(p.Data, 0)
			h.GSOSize = uint16(len(first)) - h.HdrLen
			if p.Hdr != h {
				return Violatedf("P11", "superpacket %d: VnetHdr %v, want %v", i, p.Hdr, h)
			}
			if len(p.Data) > 65535 {
				return Violatedf("P11", "superpacket %d has %d bytes, more than 65535", i, len(p.Data))
			}
		}
	}
	return nil
}
