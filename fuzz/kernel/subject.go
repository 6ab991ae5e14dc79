package kernel

import (
	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
	"tunproof/offload"
)

// subject is what the kernel judges.
type subject struct {
	segment   func(p scenario.Super) (segments [][]byte, refusal string, err error)
	coalescer func(c pkts.Config) func(batch [][]byte) (supers []law.Super, reasons []string)
	// other is the other implementation's Segment: what a divergence that is known is
	// compared with, and why the kernel alone joins.
	other  func(p scenario.Super) (segments [][]byte, refusal string, err error)
	agrees bool // the two are compared first
}

// production is judged together with the model.
func production() subject {
	return subject{segment: segment, other: segmentModel, agrees: true,
		coalescer: func(c pkts.Config) func([][]byte) ([]law.Super, []string) {
			co := law.NewCoalescer(c)
			return func(batch [][]byte) ([]law.Super, []string) { return law.Coalesce(co, batch) }
		}}
}

// modelAlone is judged without regard to production, which only explains.
func modelAlone() subject {
	return subject{segment: segmentModel, other: segment,
		coalescer: func(c pkts.Config) func([][]byte) ([]law.Super, []string) {
			return func(batch [][]byte) ([]law.Super, []string) { return law.CoalesceModel(c, batch) }
		}}
}

func segment(p scenario.Super) ([][]byte, string, error) {
	var s offload.Segmenter
	return law.Segment(&s, p)
}

func segmentModel(p scenario.Super) ([][]byte, string, error) {
	segments, refusal := law.SegmentModel(p)
	return segments, refusal, nil
}
