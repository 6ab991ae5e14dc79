package peers

import (
	"bytes"

	"tunproof/fuzz/conform"
)

// Conform is the implementation for package conform, which judges it from outside. Each
// Load copies to where the implementation works, as in the benchmark; what is handed over
// is copied once more.
func (i Impl) Conform() conform.Impl {
	c := conform.Impl{Name: i.Name, Version: i.Version(), Sum: i.Sum, MaxBatch: 128, MaxPacket: 9000, Stack: i.Stack}
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
		c.NewSegmenter = func() conform.Segment {
			s := i.NewSegmenter()
			return func(frame []byte) (segments [][]byte, err error) {
				s.Load(frame)
				err = s.Segment(func(b []byte) { segments = append(segments, bytes.Clone(b)) })
				return segments, err
			}
		}
	}
	return c
}
