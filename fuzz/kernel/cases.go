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

// CutCase asks the kernel what a case of op segment states, and what it says of
// kernels.
func (k *Kernel) CutCase(o *Oracle, c *pkts.Case, t *Tally) error {
	if c.Op != pkts.OpSegment {
		return nil
	}
	for i, in := range c.Batches[0].In {
		p := scenario.Super{Hdr: in.Vnet, Data: in.Data}
		if same, ok := harmless(p); !ok || !bytes.Equal(same.Data, p.Data) {
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
			// Not as this kernel's line says, or 6.18 does: as this one is known to?
			name, expected := k.divergence(o, p, in.Error)
			if name == "" || expected(got) != nil {
				return at(err, "superpacket %d", i)
			}
			t.count("divergence", name)
		}
	}
	return nil
}

// answer is what the kernel did, as a case words it.
func answer(in pkts.In, got tunlive.Answer) string {
	if got.Class != tunlive.Delivered {
		return got.Class.String()
	}
	if sameSegments("", in.Segments, got) != nil {
		return "other"
	}
	return "delivered"
}

// asStated compares an answer with the case's line of this kernel, or without
// one with what it states of Segment.
func (k *Kernel) asStated(o *Oracle, in pkts.In, answer string) error {
	refused := answer != "delivered" && answer != "other"
	agrees := answer == "delivered" && in.Segments != nil || refused && in.Error != ""
	line, has := k.line(in.Asked)
	switch {
	case !has && !agrees:
		return law.Violatedf("K4", "the kernel's answer is %s; the case states %d segments, error %q", answer, len(in.Segments), in.Error)
	case !has:
		return nil
	case o.linkLen > 0 && (line.Does == "delivered" || line.Does == "other") != !refused && !agrees:
		return law.Violatedf("K4", "the kernel's answer is %s, the case says of kernels %q", answer, line.Does)
	case refused && agrees && line.Does != "delivered" && line.Does != "other":
		return nil // in which way it is refused is not the same in all kernels
	case o.linkLen == 0 && line.Does != answer:
		return law.Violatedf("K4", "the kernel's answer is %s, the case says of kernels %q", answer, line.Does)
	case o.linkLen == 0 && agrees && in.Diverges != "":
		return law.Violatedf("K4", "the case says that the kernel diverges, which it does not: %s", in.Diverges)
	case o.linkLen == 0 && !agrees && in.Diverges == "":
		return law.Violatedf("K4", "the kernel's answer is %s, and the case does not say why it diverges", answer)
	}
	return nil
}

// line returns what a case says of this kernel.
func (k *Kernel) line(a pkts.Asked) (pkts.Kernel, bool) {
	for _, l := range a.Kernel {
		name, without := strings.CutPrefix(l.Feature, "!")
		if has, tried := k.Features[name]; name == "" || tried && has != without {
			return l, true
		}
	}
	return pkts.Kernel{}, false
}

// JoinCase asks the kernel's GRO about the batches of a case of op coalesce, as
// far as they are what a poll takes, and compares what the case says of kernels.
func (k *Kernel) JoinCase(o *Oracle, c *pkts.Case, t *Tally) error {
	if c.Op != pkts.OpCoalesce {
		return nil
	}
	s := scenario.FromCase(c)
	if err := k.Batches(o, &s, t); err != nil {
		return err
	}
	if err := k.Groups(o, &s, t); err != nil {
		return err
	}
	for i, b := range c.Batches {
		line, has := k.line(b.Asked)
		if !has || k.Rules.NoUDP && slices.ContainsFunc(s.Batches[i], isUDP) { // whose order is another where none is held
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
			return law.Violatedf("K3", "batch %d: the kernel makes %q of it, the case says of kernels %q", i, does, line.Does)
		}
		if agrees := sameGroups(groups, b.Out); agrees != (b.Diverges == "") {
			return law.Violatedf("K3", "batch %d: the kernel's groups are the case's: %v, but diverges is %q", i, agrees, b.Diverges)
		}
		t.count("stated of kernels", "as stated")
	}
	return nil
}

func isUDP(b []byte) bool {
	_, proto := packet.Locate(b)
	return proto == 17
}

// groupsText lists groups as a case does.
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

func sameGroups(groups []gro.Group, out []pkts.Superpacket) bool {
	return slices.EqualFunc(groups, out, func(g gro.Group, s pkts.Superpacket) bool { return slices.Equal(g.Members, s.Packets) })
}
