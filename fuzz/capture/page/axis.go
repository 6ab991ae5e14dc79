// SPDX-License-Identifier: MIT

package page

import "slices"

// axis is the axis of bytes of a picture. Large ranges that no packet has are left out of
// it.
type axis struct {
	blocks  []block // in order
	covered int64   // the length of all blocks
}

// block is a range of bytes on the axis.
type block struct{ low, high int64 }

const (
	axisEnd     = 8  // pixels of the plot below the lowest byte, and above the highest
	breakHeight = 22 // pixels between two blocks
	mostBlocks  = 4
)

// newAxis returns an axis on which all bars have a place.
func newAxis(panels []Panel) (a axis) {
	var list []block
	for _, p := range panels {
		for _, b := range p.Bars {
			list = append(list, block{b.At, b.At + int64(max(1, b.Len))})
		}
	}
	slices.SortFunc(list, func(x, y block) int { return int(min(1, max(-1, x.low-y.low))) })
	join := func(gap int64) {
		a = axis{}
		for _, b := range list {
			if n := len(a.blocks); n > 0 && b.low-a.blocks[n-1].high <= gap {
				a.blocks[n-1].high = max(a.blocks[n-1].high, b.high)
			} else {
				a.blocks = append(a.blocks, b)
			}
		}
		for _, b := range a.blocks {
			a.covered += b.high - b.low
		}
	}
	join(0)
	for gap := a.covered / 4; len(a.blocks) > 1; gap *= 2 {
		if join(gap); len(a.blocks) <= mostBlocks {
			break
		}
	}
	if a.blocks == nil {
		a = axis{[]block{{0, 1}}, 1}
	}
	return a
}

// scale returns the pixels per byte in a plot.
func (a *axis) scale(height int) float64 {
	return float64(height-2*axisEnd-breakHeight*(len(a.blocks)-1)) / float64(a.covered)
}

// at returns how many pixels a byte is above the lowest one.
func (a *axis) at(at int64, scale float64) (y float64) {
	for i, b := range a.blocks {
		if at <= b.high || i == len(a.blocks)-1 {
			return y + float64(max(0, at-b.low))*scale
		}
		y += float64(b.high-b.low)*scale + breakHeight
	}
	return y
}

// unit returns the unit of the axis: its length in bytes, and its name.
func (a *axis) unit() (int64, string) {
	switch n := max(a.blocks[len(a.blocks)-1].high, -a.blocks[0].low); {
	case n >= 10_000_000:
		return 1_000_000, "MB"
	case n >= 10_000:
		return 1000, "kB"
	}
	return 1, "bytes"
}
