// SPDX-License-Identifier: MIT

package peers

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tunproof/fuzz/peers/traffic"
	"tunproof/offload"
)

// TestCoalesce checks the adapters on ordinary traffic, which all implementations join
// alike: one superpacket for each flow, which can be cut to the batch again. It checks
// this twice in a row.
func TestCoalesce(t *testing.T) {
	for _, k := range traffic.Kinds {
		for _, flows := range []int{1, 8} {
			batch := k.Batch(40, flows, 1200)
			for _, impl := range append(All(), TunproofAdding()) {
				if impl.NewCoalescer == nil {
					continue
				}
				if impl.Name == "gvisor" && k.UDP {
					continue // it joins TCP only
				}
				co := impl.NewCoalescer()
				for round := range 2 {
					var got [][]byte
					n := 0
					co.Load(batch)
					err := co.Coalesce(func(pieces [][]byte) {
						n++
						frame := bytes.Join(pieces, nil)
						if impl.Name == "gvisor" { // see GVisor
							got = append(got, payloads(frame[offload.VnetHdrLen:], k.HdrLen(), 1200)...)
							return
						}
						got = append(got, cut(t, frame)...)
					})
					if err != nil {
						t.Fatalf("%s %s: %v", impl.Name, k.Name, err)
					}
					want := slices.Clone(batch)
					if impl.Name == "gvisor" {
						for i := range want {
							want[i] = want[i][k.HdrLen():]
						}
					}
					slices.SortFunc(got, bytes.Compare) // some do not keep the order between flows
					slices.SortFunc(want, bytes.Compare)
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s %s %d flows, round %d (-want +got):\n%.2000s", impl.Name, k.Name, flows, round, d)
					}
					if n != flows {
						t.Errorf("%s %s: %d superpackets of %d flows", impl.Name, k.Name, n, flows)
					}
				}
			}
		}
	}
}

func payloads(pkt []byte, hdrLen, size int) (list [][]byte) {
	return slices.Collect(slices.Chunk(pkt[hdrLen:], size))
}

func cut(t *testing.T, frame []byte) (list [][]byte) {
	t.Helper()
	h, err := offload.ParseVnetHdr(frame)
	if err != nil {
		t.Fatal(err)
	}
	var s offload.Segmenter
	if err := s.Reset(h, frame[offload.VnetHdrLen:]); err != nil {
		t.Fatal(err)
	}
	for seg := range s.InPlace() {
		list = append(list, bytes.Clone(seg))
	}
	return list
}

// TestSegment checks that all adapters give the same segments on ordinary traffic.
func TestSegment(t *testing.T) {
	for _, k := range traffic.Kinds {
		for _, size := range []int{100, 1448} {
			frame := k.Frame(20, size)
			want := cut(t, bytes.Clone(frame))
			for _, impl := range All() {
				if impl.NewSegmenter == nil {
					continue
				}
				s := impl.NewSegmenter()
				for round := range 2 {
					var got [][]byte
					s.Load(frame)
					if err := s.Segment(func(seg []byte) { got = append(got, bytes.Clone(seg)) }); err != nil {
						t.Fatalf("%s %s: %v", impl.Name, k.Name, err)
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("%s %s, round %d (-want +got):\n%.2000s", impl.Name, k.Name, round, d)
					}
				}
			}
		}
	}
}

// TestSum checks that all sums are equal. None of them is complemented.
func TestSum(t *testing.T) {
	for n := range 300 {
		b := bytes.Repeat([]byte{1, 0x80, 0xFF}, n)[:n]
		want := offload.Sum(b, 0x1234)
		for _, impl := range All() {
			if impl.Sum != nil && impl.Sum(b, 0x1234) != want {
				t.Errorf("%s: %d bytes: %04x, want %04x", impl.Name, n, impl.Sum(b, 0x1234), want)
			}
		}
	}
}
