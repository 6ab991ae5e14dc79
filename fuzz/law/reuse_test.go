// SPDX-License-Identifier: MIT

package law_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario/draw"
	"tunproof/offload"
)

// machine is a Coalescer and a Segmenter that many steps use. Each step compares their
// results with those of new ones.
type machine struct {
	config offload.Config
	co     *offload.Coalescer
	seg    offload.Segmenter
}

func newCoalescer(t *rapid.T, c offload.Config) *offload.Coalescer {
	co, err := offload.NewCoalescer(c)
	if err != nil {
		t.Fatal(err)
	}
	return co
}

// outcome is the result of a Coalescer for a batch.
type outcome struct {
	Wire    [][]byte
	Members [][]int
	Reasons []string
}

// coalesced returns a copy of co's result for a batch. The first packets, as many as
// added, go through Add. If these are all, Flush ends the batch; otherwise Coalesce gets
// the others.
func coalesced(co *offload.Coalescer, batch [][]byte, added int) outcome {
	for _, pkt := range batch[:added] {
		co.Add(pkt)
	}
	var supers []offload.Superpacket
	if added > 0 && added == len(batch) {
		supers = co.Flush()
	} else {
		supers = co.Coalesce(batch[added:])
	}
	var o outcome
	for _, p := range supers {
		o.Wire = append(o.Wire, p.AppendTo(nil))
		o.Members = append(o.Members, append([]int(nil), p.Packets()...))
	}
	for i := range batch {
		o.Reasons = append(o.Reasons, co.Reason(i).String())
	}
	return o
}

// Coalesce coalesces the batches of a scenario.
func (m *machine) Coalesce(t *rapid.T) {
	m.coalesce(t, func(int) int { return 0 })
}

// Add coalesces the batches of a scenario, and adds some or all of their packets one by
// one.
func (m *machine) Add(t *rapid.T) {
	m.coalesce(t, func(n int) int {
		if rapid.Bool().Draw(t, "all") {
			return n
		}
		return rapid.IntRange(0, n).Draw(t, "added")
	})
}

func (m *machine) coalesce(t *rapid.T, added func(n int) int) {
	for _, batch := range draw.Batches().Draw(t, "scenario").Batches {
		want := coalesced(newCoalescer(t, m.config), batch, 0)
		if got := coalesced(m.co, batch, added(len(batch))); !reflect.DeepEqual(want, got) {
			t.Fatalf("a batch of %d packets (-new +used):\n%s", len(batch), cmp.Diff(want, got))
		}
	}
}

// Check does nothing: rapid wants it for invariants between steps, and each step checks
// its own result.
func (m *machine) Check(*rapid.T) {}

// Segment cuts superpackets, some of them not to the end.
func (m *machine) Segment(t *rapid.T) {
	for _, p := range draw.Supers().Draw(t, "scenario").Supers {
		h := law.OffloadHdr(p.Hdr)
		var fresh offload.Segmenter
		wantErr, gotErr := fresh.Reset(h, p.Data), m.seg.Reset(h, p.Data)
		if wantErr != gotErr || fresh.Len() != m.seg.Len() {
			t.Fatalf("Reset: %v with %d segments, want %v with %d", gotErr, m.seg.Len(), wantErr, fresh.Len())
		}
		for n := rapid.IntRange(0, min(fresh.Len(), 9)).Draw(t, "segments"); n > 0; n-- {
			want, got := make([]byte, fresh.NextLen()), make([]byte, m.seg.NextLen())
			_, wantErr = fresh.Next(want)
			_, gotErr = m.seg.Next(got)
			if !bytes.Equal(want, got) || wantErr != gotErr {
				t.Fatalf("Next: %v, want %v (-new +used):\n%s", gotErr, wantErr, cmp.Diff(want, got))
			}
		}
	}
}

// TestReuse checks C9 and the reuse part of P7, over any sequence of calls. It also
// checks that Add and Flush do what Coalesce does, byte for byte and for each Reason.
func TestReuse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := law.OffloadConfig(draw.Batches().Draw(t, "config").Config)
		m := &machine{config: c, co: newCoalescer(t, c)}
		t.Repeat(rapid.StateMachineActions(m))
	})
}
