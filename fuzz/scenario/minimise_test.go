package scenario

import (
	"bytes"
	"testing"

	"tunproof/corpus/pkts"
)

// TestMinimise checks that exactly the packets, settings and bytes are left that the failure
// needs.
func TestMinimise(t *testing.T) {
	s := Scenario{Config: pkts.Config{Reorder: true, AtomicIDs: true, MaxOpen: 3}}
	for i := range 3 {
		var batch [][]byte
		for k := range 7 {
			batch = append(batch, []byte{byte(i), byte(k)})
		}
		s.Batches = append(s.Batches, batch)
	}
	tries := 0
	small := Minimise(s, func(s *Scenario) bool {
		tries++
		var all []byte
		for _, b := range s.Batches {
			for _, p := range b {
				all = append(all, p[0]<<4|p[1])
			}
		}
		return s.Config.AtomicIDs && bytes.Contains(all, []byte{0x03}) && bytes.Contains(all, []byte{0x25})
	})
	want := Scenario{Config: pkts.Config{AtomicIDs: true}, Batches: [][][]byte{{{0, 3}}, {{2, 5}}}}
	if !small.Equal(want) {
		t.Errorf("%v after %d tries", small, tries)
	}
	if got := MinimiseList([]byte("a long input whose middle fails"), func(b []byte) bool { return bytes.Contains(b, []byte("mid")) }); string(got) != "mid" {
		t.Errorf("%q", got)
	}
}
