// SPDX-License-Identifier: MIT

package kernel

import (
	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
	"tunproof/offload"
)

// subject is the implementation that the kernel judges.
type subject struct {
	segment   func(p scenario.Super) (segments [][]byte, refusal string, err error)
	coalescer func(c pkts.Config) func(batch [][]byte) (supers []law.Super, reasons []string)
	// other is Segment of the other implementation. It gives the expected output of a
	// known divergence, and helps to explain a join that only the kernel makes.
	other  func(p scenario.Super) (segments [][]byte, refusal string, err error)
	agrees bool // require that both implementations agree before the kernel is asked
}

// production returns package offload as the subject. Its results must agree with the
// model's before the kernel is asked.
func production() subject {
	return subject{segment: segment, other: segmentModel, agrees: true,
		coalescer: func(c pkts.Config) func([][]byte) ([]law.Super, []string) {
			co := law.NewCoalescer(c)
			return func(batch [][]byte) ([]law.Super, []string) { return law.Coalesce(co, batch) }
		}}
}

// modelAlone returns the model as the implementation to judge. Package offload only helps
// to explain differences.
func modelAlone() subject {
	return subject{segment: segmentModel, other: segment,
		coalescer: func(c pkts.Config) func([][]byte) ([]law.Super, []string) {
			return func(batch [][]byte) ([]law.Super, []string) { return law.CoalesceModel(c, batch) }
		}}
}

// segment is Segment of production.
func segment(p scenario.Super) ([][]byte, string, error) {
	var s offload.Segmenter
	return law.Segment(&s, p)
}

// segmentModel is Segment of the model, with the results of segment.
func segmentModel(p scenario.Super) ([][]byte, string, error) {
	segments, refusal := law.SegmentModel(p)
	return segments, refusal, nil
}
