// SPDX-License-Identifier: MIT

package page

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAxis checks, for any bars, that each has its place on the axis of bytes: within the
// plot, in the order of the bytes, and as high as its bytes are many.
func TestAxis(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "bars")
		p := Panel{}
		at := int64(0)
		for range n {
			at += rapid.SampledFrom([]int64{-3000, 0, 100, 1400, 1 << 20, 1 << 31}).Draw(t, "step")
			p.Bars = append(p.Bars, Bar{At: at, Len: rapid.SampledFrom([]int{0, 1, 100, 1400, 65000}).Draw(t, "len")})
		}
		const height = 240
		a := newAxis([]Panel{p})
		scale := a.scale(height)
		if len(a.blocks) > mostBlocks || scale <= 0 {
			t.Fatalf("%d blocks, scale %g", len(a.blocks), scale)
		}
		for _, b := range p.Bars {
			low, high := a.at(b.At, scale), a.at(b.At+int64(b.Len), scale)
			if low < -0.01 || high > height-2*axisEnd+0.01 {
				t.Fatalf("bytes %d to %d are at %g to %g of %d", b.At, b.At+int64(b.Len), low, high, height)
			}
			if want := float64(b.Len) * scale; high-low < want-0.01 || high-low > want+0.01 {
				t.Fatalf("%d bytes are %g high, want %g", b.Len, high-low, want)
			}
			for _, c := range p.Bars {
				if c.At > b.At && a.at(c.At, scale) < low {
					t.Fatalf("byte %d is below byte %d", c.At, b.At)
				}
			}
		}
	})
}

// TestChart lays out charts of any bars: every bar that is marked is drawn, and the title of
// one that is drawn names it.
func TestChart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var panels []Panel
		marked := 0
		for side := range rapid.IntRange(1, 2).Draw(t, "panels") {
			p := Panel{Name: []string{"before", "after"}[side]}
			at := time.Unix(0, 0)
			for i := range rapid.IntRange(0, 150).Draw(t, "bars") {
				at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 1000, 1e9}).Draw(t, "gap")))
				b := Bar{Number: i + 1, Time: at, At: int64(i * 100), Len: 100}
				if rapid.IntRange(0, 9).Draw(t, "mark") == 0 {
					b.What = looks[rapid.IntRange(0, len(looks)-1).Draw(t, "look")].what
					marked++
				}
				p.append(b)
			}
			panels = append(panels, p)
		}
		c := layChart(Picture{Flow: "f", TCP: true, Panels: panels})
		n := 0
		for _, p := range c.Plots {
			for _, r := range p.Rects {
				if r.Class != "seg" && r.Class != "none" {
					n++
				}
			}
		}
		if n != marked {
			t.Fatalf("%d marked bars are drawn of %d", n, marked)
		}
	})
}

// TestJoin fills panels with more bars than they hold. No packet is lost, marked bars stay
// alone, and so do those around them, which are shown in detail.
func TestJoin(t *testing.T) {
	for _, every := range []int{7, 1000, 33_333} {
		p := Panel{}
		const n = 3 * maxBars
		for i := range n {
			b := Bar{Number: i + 1, At: int64(i * 10), Len: 10}
			if i%every == every-1 {
				b.What = looks[0].what
			}
			p.add(b)
		}
		packets, marked, at := p.Left, 0, int64(0)
		for i, b := range p.Bars {
			packets += b.n
			if b.At != at {
				t.Fatalf("every %d: bar %d is at %d, want %d", every, i, b.At, at)
			}
			at += int64(b.Len)
			if !b.isMarked() {
				continue
			}
			marked++
			for k := max(0, i-detailBars); k < min(len(p.Bars), i+detailBars); k++ {
				if p.Bars[k].n > 1 {
					t.Fatalf("every %d: bar %d stands for %d packets, near a mark", every, k, p.Bars[k].n)
				}
			}
		}
		if packets != n || len(p.Bars) > maxBars || p.Left == 0 && marked != n/every {
			t.Errorf("every %d: %d packets, want %d; %d bars; %d marked", every, packets, n, len(p.Bars), marked)
		}
	}
}
