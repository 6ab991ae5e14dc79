// SPDX-License-Identifier: MIT

package native

import (
	"testing"

	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/scenario"
)

// BenchmarkTarget measures each target without an engine, on a batch of four small packets
// and on a superpacket of four segments.
func BenchmarkTarget(b *testing.B) {
	p := scenario.TCP4(100)
	q := p.Next(100)
	r := q.Next(100)
	batch := scenario.Scenario{Batches: [][][]byte{{p.Bytes(), q.Bytes(), r.Bytes(), r.Next(50).Bytes()}}}
	h, data := scenario.TCP4(350).Super(100)
	super := scenario.Scenario{Supers: []scenario.Super{{Hdr: h, Data: data}}}
	for _, t := range targets.All() {
		for name, s := range map[string]scenario.Scenario{"batch": batch, "super": super} {
			b.Run("target="+t.Name+"/input="+name, func(b *testing.B) {
				in := scenario.Encode(s)
				b.ReportAllocs()
				for b.Loop() {
					if err := t.Body(in, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
