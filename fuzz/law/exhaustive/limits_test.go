// SPDX-License-Identifier: MIT

package exhaustive

import (
	"fmt"
	"strings"
	"testing"

	"tunproof/fuzz/law"
)

// TestLimits checks all batches of up to 3 packets of two flows of each form, with every
// limit at 1, 2 and its default.
func TestLimits(t *testing.T) {
	for _, form := range Forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			b := Batches{Letters: Flows(form), Size: 3, Modes: LimitModes(form, 0, 1, 2)}
			if n := checked(t, b); n != b.Count() {
				t.Errorf("%d batches were checked, want %d", n, b.Count())
			}
		})
	}
}

// cell is a case that the batches of Limits may reach: a Reason, of a packet directly after
// one of its flow or not, in an order, with one limit at 1 or 2, or with none.
type cell struct {
	reason, form string
	next         bool
	reorder      bool
	limit        string
}

func (c cell) String() string {
	return fmt.Sprintf("%s, %s, after its flow %v, reorder %v, limit %q", c.reason, c.form, c.next, c.reorder, c.limit)
}

// possible reports whether a packet of Flows can be in the cell. A packet directly after one
// of its flow is not the first. Four datagrams exceed only a limit that is set.
func (c cell) possible() bool {
	switch c.reason {
	case "First":
		return !c.next
	case "Limit":
		return c.limit == "MaxSegments" || strings.HasPrefix(c.form, "tcp")
	}
	return true
}

// TestLimitsReach counts how many packets of these batches are in each cell: no cell that is
// possible is empty.
func TestLimitsReach(t *testing.T) {
	if testing.Short() {
		t.Skip("it is slow, and the same on every machine")
	}
	met := map[cell]int{}
	limits := []string{"", "MaxOpen", "MaxPerFlow", "MaxSegments"}
	reasons := []string{"Joined", "Header", "Empty", "L4Checksum", "First", "Closed", "Limit", "Mismatch"}
	for _, form := range Forms {
		letters := Flows(form)
		flow := func(i int) byte { return letters[i].Name[0] }
		for _, m := range LimitModes(form, 0, 1, 2) {
			c := m.Config
			set := 0
			limit := limits[0]
			for i, v := range []int{c.MaxOpen, c.MaxPerFlow, c.MaxSegments} {
				if v != 0 {
					set++
					limit = limits[i+1]
				}
			}
			if set > 1 {
				continue
			}
			co := law.NewCoalescer(c)
			n := len(letters)
			for code := range n * n * n * n {
				batch := [4]int{code % n, code / n % n, code / n / n % n, code / n / n / n}
				var packets [][]byte
				for _, i := range batch {
					packets = append(packets, letters[i].Packet)
				}
				_, got := law.Coalesce(co, packets)
				for k, r := range got {
					met[cell{r, form, k > 0 && flow(batch[k-1]) == flow(batch[k]), c.Reorder, limit}]++
				}
			}
		}
	}
	for _, form := range Forms {
		for _, r := range reasons {
			for _, next := range []bool{false, true} {
				for _, reorder := range []bool{false, true} {
					for _, limit := range limits {
						c := cell{r, form, next, reorder, limit}
						if n := met[c]; (n > 0) != c.possible() {
							t.Errorf("%d packets: %v", n, c)
						}
					}
				}
			}
		}
	}
	t.Logf("%d cells are reached", len(met))
}
