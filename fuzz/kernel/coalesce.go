// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
	"tunproof/tunlive/gro"
)

// ComesBack checks K2: if the kernel cuts the superpackets that Coalesce makes of a batch,
// the packets of the batch come out. So do packets that Coalesce leaves alone.
func (k *Kernel) ComesBack(o *Oracle, s *scenario.Scenario, t *Tally) error {
	coalesce := k.subject.coalescer(s.Config)
	for n, batch := range s.Batches {
		supers, _ := coalesce(batch)
		compared := t.Segments
		for i, p := range supers {
			if len(p.Data) == 0 || p.Data[0]>>4 != 4 && p.Data[0]>>4 != 6 {
				t.count("left out", leftOut)
				continue
			}
			got, asked, err := o.cut(p.Super, t)
			if err != nil {
				return at(err, "batch %d, superpacket %d", n, i)
			}
			if !asked {
				continue
			}
			if p.Hdr.GSOType == packet.GSOUDPL4 && k.lacks("uso") {
				t.count("divergence", noUSO)
				if err := isClass(tunlive.Refused, tunlive.FrameError)(got); err != nil {
					return at(err, "batch %d, superpacket %d: %s", n, i, noUSO)
				}
				continue
			}
			if err := cameBack(s.Config, batch, p, got); err != nil {
				return at(err, "batch %d, superpacket %d", n, i)
			}
			t.Segments += len(got.Segments)
			if len(p.Members) > 1 {
				t.count("superpackets", "cut to their packets again")
			} else {
				t.count("superpackets", "passed as one packet")
			}
		}
		if t.Segments > compared {
			t.Rounds++
		}
	}
	return nil
}

// cameBack compares the kernel's segments with the packets of a superpacket.
func cameBack(c pkts.Config, batch [][]byte, p law.Super, got tunlive.Answer) error {
	if got.Class != tunlive.Delivered || len(got.Segments) != len(p.Members) {
		return law.Violatedf("K2", "for the superpacket of packets %v the kernel's answer is %v (%v), %d packets", p.Members, got.Class, got.Errno, len(got.Segments))
	}
	for i, m := range p.Members {
		if data := got.Segments[i].Data; !law.Same(c, i, batch[m], data) {
			return law.Mismatchf("K2", batch[m], bytes.Clone(data), "packet %d comes out of the kernel changed", m)
		}
	}
	return nil
}

// JoinsAlone checks K3 for each superpacket of Coalesce: the kernel's GRO gets only its
// packets and must make one superpacket with the same bytes and, except for hdr_len, the
// same header. It ignores AtomicIDs and
// AbsentChecksums, because the kernel does not join such packets.
func (k *Kernel) JoinsAlone(o *Oracle, s *scenario.Scenario, t *Tally) error {
	c := s.Config
	c.AtomicIDs, c.AbsentChecksums = false, false
	coalesce := k.subject.coalescer(c)
	for n, batch := range s.Batches {
		supers, _ := coalesce(batch)
		compared := t.Segments
		for i, p := range supers {
			switch {
			case len(p.Members) == 1:
				continue
			case p.Hdr.GSOType == packet.GSOUDPL4 && k.lacks("uso"):
				t.count("divergence", "UDP is not joined without USO")
				continue
			case len(p.Members) > tunlive.MaxBatch:
				t.count("left out", "more packets than fit in one poll")
				continue
			}
			var members [][]byte
			for _, m := range p.Members {
				members = append(members, batch[m])
			}
			got, asked, err := o.join(members, t)
			if err != nil {
				return at(err, "batch %d, superpacket %d", n, i)
			}
			if !asked {
				continue
			}
			if err := oneGroup(p, got); err != nil {
				return at(err, "batch %d, superpacket %d of packets %v", n, i, p.Members)
			}
			t.count("superpackets", "also made by the kernel")
			t.Segments += len(members)
		}
		if t.Segments > compared {
			t.Rounds++
		}
	}
	return nil
}

// oneGroup compares the kernel's only superpacket with ours.
func oneGroup(p law.Super, got []tunlive.Packet) error {
	if len(got) != 1 {
		return law.Violatedf("K3", "the kernel's GRO makes %d packets instead of one", len(got))
	}
	if !bytes.Equal(p.Data, got[0].Data) {
		return law.Mismatchf("K3", bytes.Clone(got[0].Data), p.Data, "the superpacket is not the kernel's")
	}
	h := got[0].Hdr
	h.HdrLen = p.Hdr.HdrLen // the kernel's is the length of its first piece of memory
	if pkts.VnetHdr(h) != p.Hdr {
		return law.Violatedf("K3", "VnetHdr %v, the kernel's is %v", p.Hdr, pkts.VnetHdr(h))
	}
	return nil
}

// JoinsBatches checks K3 for whole batches. The kernel's GRO must do what package gro
// describes, byte for byte and in that order. For each pair of packets that the kernel
// joins and Coalesce does not, a rule must forbid it.
func (k *Kernel) JoinsBatches(o *Oracle, s *scenario.Scenario, t *Tally) error {
	for n, batch := range s.Batches {
		var sent [][]byte
		for _, b := range batch {
			if len(b) >= ipv4Header && len(b) <= maxPacket && gro.Knows(b) {
				sent = append(sent, b)
			}
		}
		for part := range slices.Chunk(sent, tunlive.MaxBatch) {
			if err := k.batch(o, part, t); err != nil {
				return at(err, "batch %d", n)
			}
		}
	}
	return nil
}

// batch checks K3 for one poll of packets.
func (k *Kernel) batch(o *Oracle, batch [][]byte, t *Tally) error {
	got, asked, err := o.join(batch, t)
	if err != nil || !asked {
		return err
	}
	t.Rounds++
	t.Segments += len(batch)
	want := gro.Coalesce(batch, k.Rules)
	if err := asDescribed(want, got); err != nil {
		return err
	}
	supers, reasons := k.subject.coalescer(pkts.Config{})(batch)
	ours := make([]int, len(batch))
	for i, p := range supers {
		for _, m := range p.Members {
			ours[m] = i
		}
	}
	for _, g := range want {
		for i := 1; i < len(g.Members); i++ {
			a, b := g.Members[i-1], g.Members[i]
			if ours[a] == ours[b] {
				t.count("joins", "by both")
				continue
			}
			rule := k.why(batch, reasons, g, i)
			if rule == "" && !slices.Equal(upTo(supers[ours[a]].Members, a), g.Members[:i]) && slices.Contains([]string{"Mismatch", "Limit"}, reasons[b]) {
				rule = "other packets were joined before"
			}
			if rule == "" {
				return law.Violatedf("K3", "the kernel joins packets %d and %d (of %v), Coalesce does not (%s, %s), and no rule forbids it",
					a, b, g.Members, reasons[a], reasons[b])
			}
			t.count("joined only by the kernel", rule)
		}
	}
	return nil
}

// upTo returns the members that are not after last.
func upTo(members []int, last int) []int {
	return slices.DeleteFunc(slices.Clone(members), func(m int) bool { return m > last })
}

// asDescribed compares the output of the kernel's GRO with that of package gro.
func asDescribed(want []gro.Group, got []tunlive.Packet) error {
	for i := range min(len(want), len(got)) {
		w, g := want[i], got[i]
		if !bytes.Equal(w.Data, g.Data) {
			return law.Mismatchf("K3", w.Data, bytes.Clone(g.Data), "output %d of the kernel's GRO is not as described, packets %v", i, w.Members)
		}
		h := tunlive.VnetHdr{GSOType: w.GSOType, GSOSize: uint16(w.GSOSize), CsumStart: uint16(w.CsumStart), CsumOffset: uint16(w.CsumAt)}
		if len(w.Members) > 1 {
			h.Flags = packet.NeedsCsum
		}
		is := g.Hdr
		is.HdrLen = 0
		if is.Flags&^packet.NeedsCsum != 0 && len(w.Members) == 1 {
			is.Flags = 0 // DATA_VALID: GRO verified the checksum
		}
		if is != h {
			return law.Violatedf("K3", "output %d of the kernel's GRO, packets %v, has %v, described is %v", i, w.Members, pkts.VnetHdr(is), pkts.VnetHdr(h))
		}
	}
	if len(want) != len(got) {
		return law.Violatedf("K3", "the kernel's GRO makes %d packets, described are %d", len(got), len(want))
	}
	return nil
}
