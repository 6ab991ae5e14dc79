package live

import (
	"tunproof/corpus/pkts"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
	"tunproof/offload"
)

// subject is what the kernel judges.
type subject struct {
	segment   func(p scenario.Super) (segments [][]byte, refusal string, err error)
	coalescer func(c pkts.Config) func(batch [][]byte) (supers []target.Super, reasons []string)
	// other is the other implementation's Segment: what a divergence that is known is
	// compared with, and why the kernel alone joins.
	other  func(p scenario.Super) (segments [][]byte, refusal string, err error)
	agrees bool // the two are compared first
}

// production is judged together with the model.
func production() subject {
	return subject{segment: segment, other: segmentModel, agrees: true,
		coalescer: func(c pkts.Config) func([][]byte) ([]target.Super, []string) {
			co := target.Coalescer(c)
			return func(batch [][]byte) ([]target.Super, []string) { return target.Coalesce(co, batch) }
		}}
}

// modelAlone is judged without regard to production, which only explains.
func modelAlone() subject {
	return subject{segment: segmentModel, other: segment,
		coalescer: func(c pkts.Config) func([][]byte) ([]target.Super, []string) {
			return func(batch [][]byte) ([]target.Super, []string) { return target.CoalesceModel(c, batch) }
		}}
}

func segment(p scenario.Super) ([][]byte, string, error) {
	var s offload.Segmenter
	return target.Segment(&s, p)
}

func segmentModel(p scenario.Super) ([][]byte, string, error) {
	segments, refusal := target.SegmentModel(p)
	return segments, refusal, nil
}
