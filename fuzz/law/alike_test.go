// SPDX-License-Identifier: MIT

package law_test

import (
	"os"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
)

// TestAlikeValues checks P12 with every value of each field, on packets that join: of TCP and
// UDP, IPv4 and IPv6, two of them far apart in their numbers.
func TestAlikeValues(t *testing.T) {
	t.Parallel()
	var batch [][]byte
	for _, p := range []scenario.Packet{scenario.TCP4(40), scenario.UDP4(40), scenario.TCP6(40), scenario.UDP6(40)} {
		p.Options = nil
		if !p.UDP {
			p.Options = scenario.Timestamps
		}
		for range 2 {
			batch = append(batch, p.Bytes())
			p = p.Next(40)
		}
	}
	step := 17
	switch {
	case testing.Short():
		step = 177
	case os.Getenv("LONG") != "":
		step = 1
	}
	for _, c := range []pkts.Config{{}, {Reorder: true}} {
		n, err := law.Whole(law.Production, c, batch, step)
		if err != nil {
			t.Error(err)
		}
		t.Logf("%d batches", n)
	}
	if supers, _ := law.Coalesce(law.NewCoalescer(pkts.Config{}), batch); len(supers) != 4 {
		t.Errorf("%d superpackets, want 4", len(supers))
	}
}
