package peers

import (
	"bytes"

	"tunproof/fuzz/conform"
)

// Conform is the implementation for package conform, which judges it from outside. Each
// Load copies to where the implementation works, as in the benchmark; what is handed over
// is copied once more.
func (i Impl) Conform() conform.Impl {
	c := conform.Impl{Name: i.Name, Version: i.Version(), Sum: i.Sum, MaxBatch: 128, MaxPacket: 9000, NoECN: i.NoECN, Stack: i.Stack}
	if i.NewCoalescer != nil {
		c.NewCoalescer = func() conform.Coalesce {
			co := i.NewCoalescer()
			return func(batch [][]byte) (frames [][]byte, err error) {
				co.Load(batch)
				err = co.Coalesce(func(pieces [][]byte) { frames = append(frames, bytes.Join(pieces, nil)) })
				return frames, err
			}
		}
	}
	if i.NewSegmenter != nil {
		var s Segmenter // one for all, as its buffers are large, but for one that panicked
		c.NewSegmenter = func() conform.Segment {
			return func(frame []byte) (segments [][]byte, err error) {
				one := s
				if s = nil; one == nil {
					one = i.NewSegmenter()
				}
				one.Load(frame)
				err = one.Segment(func(b []byte) { segments = append(segments, bytes.Clone(b)) })
				s = one
				return segments, err
			}
		}
	}
	return c
}
