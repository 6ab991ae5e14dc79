// SPDX-License-Identifier: MIT

package law

import (
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// Expect runs the input of a case through the model, and writes the results into the
// case as its expectations.
func Expect(c *pkts.Case) {
	for b := range c.Batches {
		batch := &c.Batches[b]
		switch c.Op {
		case pkts.OpCoalesce:
			var packets [][]byte
			for _, in := range batch.In {
				packets = append(packets, in.Data)
			}
			supers, reasons := CoalesceModel(c.Config, packets)
			batch.Out = nil
			for i := range batch.In {
				batch.In[i].Reason = reasons[i]
			}
			for _, p := range supers {
				batch.Out = append(batch.Out, pkts.Superpacket{Packets: p.Members, Vnet: p.Hdr, Data: p.Data})
			}
		case pkts.OpSegment:
			for i := range batch.In {
				in := &batch.In[i]
				in.Segments, in.Error = SegmentModel(scenario.Super{Hdr: in.Vnet, Data: in.Data})
			}
		case pkts.OpChecksum:
			for i := range batch.In {
				in := &batch.In[i]
				in.Sum, in.HasSum = uint16(model.Sum([]byte{byte(in.Seed >> 8), byte(in.Seed)}, in.Data)), true
			}
		}
	}
}

// Case checks a case: its expectations must be the results of the model and of
// production, and every property must hold on its input. It returns the first
// violation, or nil. t counts what production makes of the input, and may be nil.
func Case(c *pkts.Case, t *Tally) error {
	want := *c
	want.Batches = nil
	for _, b := range c.Batches {
		want.Batches = append(want.Batches, pkts.Batch{In: slices.Clone(b.In)})
	}
	Expect(&want)
	for i, b := range c.Batches {
		if err := expected(c.Op, i, b, want.Batches[i]); err != nil {
			return err
		}
		if c.Op == pkts.OpChecksum {
			for _, in := range b.In {
				if err := produced.check(in.Data, 0, in.Seed); err != nil {
					return err
				}
			}
		}
	}
	s := scenario.FromCase(c)
	t.Count(&s)
	for _, p := range Properties {
		if err := p.Check(&s, nil); err != nil {
			return err
		}
	}
	return nil
}

// expected compares the expectations of batch i of a case with the model's results. It
// leaves production to P4, which compares it with the model.
func expected(op string, i int, stated, model pkts.Batch) error {
	var want, got []Super
	for k, in := range stated.In {
		m := model.In[k]
		switch {
		case op == pkts.OpCoalesce && in.Reason != "" && in.Reason != m.Reason:
			return Violatedf("case", "batch %d, packet %d: the case states Reason %s, the model gives %s", i, k, in.Reason, m.Reason)
		case op == pkts.OpSegment && (in.Error != "" || in.Segments != nil) && in.Error != m.Error:
			return Violatedf("case", "superpacket %d: the case states error class %q, the model gives %q", k, in.Error, m.Error)
		case op == pkts.OpSegment && in.Segments != nil:
			if err := equalSegments("case", k, in.Segments, m.Segments); err != nil {
				return err
			}
		case op == pkts.OpChecksum && in.HasSum && in.Sum != m.Sum:
			return Violatedf("case", "input %d: the case states sum %#04x, the model gives %#04x", k, in.Sum, m.Sum)
		}
	}
	if len(stated.Out) == 0 {
		return nil
	}
	for _, p := range stated.Out {
		want = append(want, Super{scenario.Super{Hdr: p.Vnet, Data: p.Data}, p.Packets})
	}
	for _, p := range model.Out {
		got = append(got, Super{scenario.Super{Hdr: p.Vnet, Data: p.Data}, p.Packets})
	}
	return equalSupers("case", want, got)
}
