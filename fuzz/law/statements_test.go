// SPDX-License-Identifier: MIT

package law_test

import (
	"slices"
	"testing"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
)

// wrongStatements change what a case states. They report whether the case states it.
var wrongStatements = map[string]func(c *pkts.Case) bool{
	"Reason": func(c *pkts.Case) bool {
		in := &c.Batches[0].In[0]
		had := in.Reason != ""
		in.Reason = "Limit"
		return had && c.Op == pkts.OpCoalesce
	},
	"error": func(c *pkts.Case) bool {
		in := &c.Batches[0].In[0]
		had := in.Error != ""
		in.Error = "TooLongByFar"
		return had && c.Op == pkts.OpSegment
	},
	"segment": func(c *pkts.Case) bool {
		in := &c.Batches[0].In[0]
		if c.Op != pkts.OpSegment || len(in.Segments) < 2 {
			return false
		}
		in.Segments = slices.Clone(in.Segments)
		in.Segments[1] = append(slices.Clone(in.Segments[1]), 0)
		return true
	},
	"sum": func(c *pkts.Case) bool {
		in := &c.Batches[0].In[0]
		in.Sum ^= 1
		return c.Op == pkts.OpChecksum && in.HasSum
	},
	"superpacket": func(c *pkts.Case) bool {
		b := &c.Batches[0]
		if c.Op != pkts.OpCoalesce || len(b.Out) == 0 {
			return false
		}
		b.Out = slices.Clone(b.Out)
		b.Out[0].Vnet.GSOSize++
		return true
	},
}

// TestStatements checks that a case that states something wrong is violated.
func TestStatements(t *testing.T) {
	list, err := corpus.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range wrongStatements {
		n := 0
		for _, one := range list {
			c := *one.Case
			if len(c.Batches) == 0 || len(c.Batches[0].In) == 0 {
				continue
			}
			c.Batches = slices.Clone(c.Batches)
			c.Batches[0].In = slices.Clone(c.Batches[0].In)
			if n == 20 || !change(&c) || len(c.Batches[0].In) > 20 {
				continue
			}
			if n++; !law.IsViolation(law.Case(&c, nil)) {
				t.Errorf("%s: a wrong %s is not noticed", one.ID, name)
			}
		}
		if n == 0 {
			t.Errorf("no case states a %s", name)
		}
	}
}
