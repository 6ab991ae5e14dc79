// SPDX-License-Identifier: MIT

package offload

import (
	"fmt"
	"testing"
)

// The names are key=value, as benchstat reads them.

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 60, 100, 536, 1448, 9000, 65535} {
		data := make([]byte, n)
		b.Run(fmt.Sprintf("size=%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				Sum(data, 0)
			}
		})
	}
}

func BenchmarkSegment(b *testing.B) {
	for _, k := range benchKinds {
		co, err := NewCoalescer(Config{})
		if err != nil {
			b.Fatal(err)
		}
		whole := co.Coalesce(batch(45, 1400, k.flow))[0]
		h, pkt := whole.VnetHdr(), whole.AppendTo(nil)[VnetHdrLen:]
		benchSegmenter(b, fmt.Sprintf("proto=%s/size=1400/segs=45", k.proto), h, pkt)
		h, pkt = inVXLAN(h, pkt)
		benchSegmenter(b, fmt.Sprintf("proto=vxlan-%s/size=1400/segs=45", k.proto), h, pkt)
	}
}

func benchSegmenter(b *testing.B, name string, h VnetHdr, pkt []byte) {
	var s Segmenter
	b.Run(name+"/how=next", func(b *testing.B) {
		dst := make([]byte, 1600)
		b.SetBytes(int64(len(pkt)))
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Reset(h, pkt); err != nil {
				b.Fatal(err)
			}
			for s.Len() > 0 {
				if _, err := s.Next(dst); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run(name+"/how=inplace", func(b *testing.B) {
		work := make([]byte, len(pkt))
		copy(work, pkt)
		b.SetBytes(int64(len(pkt)))
		b.ReportAllocs()
		for b.Loop() {
			copy(work, pkt[:h.CsumStart+80]) // the headers; any payload will do
			if err := s.Reset(h, work); err != nil {
				b.Fatal(err)
			}
			for range s.InPlace() {
			}
		}
	})
}

func BenchmarkCoalesce(b *testing.B) {
	for _, k := range benchKinds {
		for _, n := range []int{1, 8, 64} {
			var flows []flow
			for i := range n {
				f := k.flow
				f.port = uint16(1000 + i)
				flows = append(flows, f)
			}
			pkts := batch(128, 1400, flows...)
			b.Run(fmt.Sprintf("proto=%s/size=1400/flows=%d", k.proto, n), func(b *testing.B) {
				co, err := NewCoalescer(Config{})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(pkts) * len(pkts[0])))
				b.ReportAllocs()
				for b.Loop() {
					co.Coalesce(pkts)
				}
			})
		}
	}
}

var benchKinds = []struct {
	proto string
	flow  flow
}{{"tcp4", flow{}}, {"tcp6", flow{v6: true}}, {"udp4", flow{udp: true}}}
