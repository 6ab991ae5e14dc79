// SPDX-License-Identifier: MIT

package pkts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// These functions read the keys after the packets: the outcome.

func (p *parser) out(value string) string {
	b, in := p.last()
	switch {
	case p.c.Op == OpCoalesce && b != nil && b.Kernel == nil:
		list, vnet, ok := strings.Cut(value, " ")
		list, ok2 := strings.CutPrefix(list, "packets=")
		if !ok || !ok2 {
			return "out: want packets=0,1 and a VnetHdr"
		}
		var s Superpacket
		var msg string
		if s.Packets, msg = indices(list, len(b.In)); msg != "" {
			return "out: " + msg
		}
		if s.Vnet, msg = parseVnet(vnet); msg != "" {
			return "out: " + msg
		}
		b.Out = append(b.Out, s)
		p.data = &b.Out[len(b.Out)-1].Data
	case p.c.Op == OpSegment && in != nil && in.Error == "" && in.Kernel == nil:
		if value != "" {
			return "out takes no value in op segment"
		}
		in.Segments = append(in.Segments, nil)
		p.data = &in.Segments[len(in.Segments)-1]
	default:
		return "out does not belong here"
	}
	return ""
}

func (p *parser) errorClass(value string) string {
	_, in := p.last()
	if p.c.Op != OpSegment || in == nil || in.Error != "" || in.Segments != nil || in.Kernel != nil {
		return "error does not belong here"
	}
	if value == "" || strings.Contains(value, " ") {
		return "error: want the name of an error class"
	}
	in.Error = value
	p.data = nil
	return ""
}

func (p *parser) sum(value string) string {
	_, in := p.last()
	if p.c.Op != OpChecksum || in == nil || in.HasSum {
		return "sum does not belong here"
	}
	if in.Sum, in.HasSum = parseHex16(value, true); !in.HasSum {
		return fmt.Sprintf("sum: want 0x1234, have %q", value)
	}
	p.data = nil
	return ""
}

// asked returns where the kernel's answer belongs, nil if it is not allowed here.
func (p *parser) asked() *Asked {
	b, in := p.last()
	switch {
	case p.c.Op == OpSegment && in != nil:
		return &in.Asked
	case p.c.Op == OpCoalesce && in != nil:
		return &b.Asked
	}
	return nil
}

// segmentAnswers are the possible outcomes of a superpacket in a kernel.
var segmentAnswers = []string{"delivered", "other", "refused", "frame-error", "rx-dropped", "dropped"}

func (p *parser) kernel(value string) string {
	a := p.asked()
	if a == nil || a.Diverges != "" {
		return "kernel does not belong here"
	}
	k := Kernel{Does: value}
	if rest, ok := strings.CutPrefix(value, "if "); ok {
		k.Feature, k.Does, ok = strings.Cut(rest, " ")
		if name := strings.TrimPrefix(k.Feature, "!"); !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Sprintf("kernel: want a feature, then an outcome, have %q", rest)
		}
	}
	if p.c.Op == OpSegment && !slices.Contains(segmentAnswers, k.Does) {
		return fmt.Sprintf("kernel: %q: want one of %s", k.Does, strings.Join(segmentAnswers, ", "))
	}
	if b, _ := p.last(); p.c.Op == OpCoalesce {
		seen := map[int]bool{}
		for _, group := range strings.Split(k.Does, " ") {
			list, msg := indices(group, len(b.In))
			for _, n := range list {
				if seen[n] {
					msg = fmt.Sprintf("packet %d twice", n)
				}
				seen[n] = true
			}
			if msg != "" {
				return "kernel: " + msg
			}
		}
	}
	a.Kernel = append(a.Kernel, k)
	p.data = nil
	return ""
}

func (p *parser) diverges(value string) string {
	a := p.asked()
	if a == nil || a.Kernel == nil || a.Diverges != "" || value == "" {
		return "diverges: want one reason, after the kernel lines"
	}
	a.Diverges = value
	return ""
}

// indices reads "0,2,1", indices of packets in a batch of n.
func indices(list string, n int) ([]int, string) {
	var out []int
	for _, f := range strings.Split(list, ",") {
		i, _ := strconv.ParseUint(f, 10, 31) // after an error its text is not f
		if int(i) >= n || strconv.Itoa(int(i)) != f {
			return nil, fmt.Sprintf("%q is not the index of a packet of this batch", f)
		}
		out = append(out, int(i))
	}
	return out, ""
}
