// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
	"tunproof/tunlive/gro"
)

// CutCase gives the superpackets of a case of op segment to the kernel. It compares the
// answers with the outcome that the case states and with its "kernel:" lines.
func (k *Kernel) CutCase(o *Oracle, c *pkts.Case, t *Tally) error {
	if c.Op != pkts.OpSegment {
		return nil
	}
	for i, in := range c.Batches[0].In {
		p := scenario.Super{Hdr: in.Vnet, Data: in.Data}
		if same, ok := defuse(p); !ok || !bytes.Equal(same.Data, p.Data) {
			t.count("left out", leftOut)
			continue
		}
		got, asked, err := o.cut(p, t)
		if err != nil {
			return at(err, "superpacket %d", i)
		}
		if !asked {
			continue
		}
		t.Rounds++
		t.Segments += len(got.Segments)
		answer := answer(in, got)
		t.count("kernel", answer)
		if err := k.asStated(o, in, answer); err != nil {
			// The case is written for 6.18. An older kernel may have a known divergence.
			name, expected := k.divergence(o, p, in.Error)
			if name == "" || expected(got) != nil {
				return at(err, "superpacket %d", i)
			}
			t.count("divergence", name)
		}
	}
	return nil
}

// answer returns the kernel's answer in the words of a case.
func answer(in pkts.In, got tunlive.Answer) string {
	if got.Class != tunlive.Delivered {
		return got.Class.String()
	}
	if sameSegments("", in.Segments, got) != nil {
		return "other"
	}
	return "delivered"
}

// asStated compares an answer with the case's line for this kernel. If there is none, it
// compares the answer with the outcome that the case states for Segment.
func (k *Kernel) asStated(o *Oracle, in pkts.In, answer string) error {
	refused := answer != "delivered" && answer != "other"
	agrees := answer == "delivered" && in.Segments != nil || refused && in.Error != ""
	line, has := k.line(in.Asked)
	switch {
	case !has && !agrees:
		return law.Violatedf("K4", "the kernel's answer is %s, but the case states %d segments, error %q", answer, len(in.Segments), in.Error)
	case !has:
		return nil
	case o.linkLen > 0 && (line.Does == "delivered" || line.Does == "other") != !refused && !agrees:
		return law.Violatedf("K4", "the kernel's answer is %s, the case says for kernels %q", answer, line.Does)
	case refused && agrees && line.Does != "delivered" && line.Does != "other":
		return nil // kernels differ in how they refuse
	case o.linkLen == 0 && line.Does != answer:
		return law.Violatedf("K4", "the kernel's answer is %s, the case says for kernels %q", answer, line.Does)
	case o.linkLen == 0 && agrees && in.Diverges != "":
		return law.Violatedf("K4", "the kernel does not diverge, but the case says so: %s", in.Diverges)
	case o.linkLen == 0 && !agrees && in.Diverges == "":
		return law.Violatedf("K4", "the kernel's answer is %s, but the case does not say why it diverges", answer)
	}
	return nil
}

// line returns the case's first line that applies to this kernel.
func (k *Kernel) line(a pkts.Asked) (pkts.Kernel, bool) {
	for _, l := range a.Kernel {
		name, without := strings.CutPrefix(l.Feature, "!")
		if has, tried := k.Features[name]; name == "" || tried && has != without {
			return l, true
		}
	}
	return pkts.Kernel{}, false
}

// JoinCase gives the batches of a case of op coalesce to the kernel's GRO, if they fit in
// one poll. It checks K3 and compares the groups with the case's "kernel:" lines.
func (k *Kernel) JoinCase(o *Oracle, c *pkts.Case, t *Tally) error {
	if c.Op != pkts.OpCoalesce {
		return nil
	}
	s := scenario.FromCase(c)
	if err := k.JoinsBatches(o, &s, t); err != nil {
		return err
	}
	if err := k.JoinsAlone(o, &s, t); err != nil {
		return err
	}
	for i, b := range c.Batches {
		line, has := k.line(b.Asked)
		if !has || k.Rules.NoUDP && slices.ContainsFunc(s.Batches[i], isUDP) { // GRO holds no UDP there, so the order differs
			continue
		}
		got, asked, err := o.join(s.Batches[i], t)
		if err != nil {
			return at(err, "batch %d", i)
		}
		if !asked {
			continue
		}
		groups := gro.Coalesce(s.Batches[i], k.Rules)
		if err := asDescribed(groups, got); err != nil {
			return at(err, "batch %d", i)
		}
		if does := groupsText(groups); does != line.Does {
			return law.Violatedf("K3", "batch %d: the kernel makes %q of it, the case says for kernels %q", i, does, line.Does)
		}
		if agrees := sameGroups(groups, b.Out); agrees != (b.Diverges == "") {
			return law.Violatedf("K3", "batch %d: whether the kernel's groups are those of the case: %v, but diverges is %q", i, agrees, b.Diverges)
		}
		t.count("stated of kernels", "as stated")
	}
	return nil
}

// isUDP reports whether b is a UDP packet.
func isUDP(b []byte) bool {
	_, proto := packet.Locate(b)
	return proto == 17
}

// groupsText returns the groups in the format of a case.
func groupsText(groups []gro.Group) string {
	var list []string
	for _, g := range groups {
		var members []string
		for _, m := range g.Members {
			members = append(members, strconv.Itoa(m))
		}
		list = append(list, strings.Join(members, ","))
	}
	return strings.Join(list, " ")
}

// sameGroups reports whether both have the same members in the same order.
func sameGroups(groups []gro.Group, out []pkts.Superpacket) bool {
	return slices.EqualFunc(groups, out, func(g gro.Group, s pkts.Superpacket) bool { return slices.Equal(g.Members, s.Packets) })
}
