// SPDX-License-Identifier: MIT

package peers

import (
	"bytes"

	"tunproof/fuzz/conform"
)

// Conform returns the implementation in the form of package conform, which judges it from
// outside. Load copies the packets to the implementation's memory, as in the benchmark.
// The output is copied once more.
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
		var s Segmenter // reused, because its buffers are large, unless it panicked
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
