// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"
)

// TestGuard checks that a row is reported by what it is measured with, not by its time,
// and only if it is more than a tenth worse.
func TestGuard(t *testing.T) {
	made := func(us, copied, a, b float64) []*row {
		r := &row{name: "Segment/x", packets: 1}
		for impl, ns := range map[string]float64{"tunproof": us, limitCopy: copied, "nebula": a, "tailscale": b} {
			r.entries = append(r.entries, &entry{impl: impl, ns: []float64{ns}})
		}
		return []*row{r}
	}
	was := made(10, 10, 20, 40)
	for _, c := range []struct {
		name string
		is   []*row
		want []string
	}{
		{"a machine of half the speed", made(20, 20, 40, 80), nil},
		{"within a tenth", made(10.9, 10, 20, 40), nil},
		{"slower", made(12, 10, 20, 40), []string{"as copy, was 1.00", "as the fastest peer, was 0.50"}},
		{"copying became faster", made(10, 8, 20, 40), []string{"as copy, was 1.00"}},
		{"another peer became fastest", made(10, 10, 20, 15), []string{"as the fastest peer, was 0.50"}},
	} {
		lines, compared := guard(was, c.is)
		if compared != 1 || len(lines) != len(c.want) {
			t.Errorf("%s: of %d rows: %q, want %q", c.name, compared, lines, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasSuffix(lines[i], want) {
				t.Errorf("%s: %q, want %q", c.name, lines[i], want)
			}
		}
	}
	if lines, compared := guard(nil, was); lines != nil || compared != 0 {
		t.Errorf("a row that is new: %q of %d", lines, compared)
	}
}
