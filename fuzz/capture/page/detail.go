// SPDX-License-Identifier: MIT

package page

import "slices"

const (
	maxBars    = 1 << 15 // bars of a panel; neighbours are joined if there would be more
	detailFrom = 120     // packets of a panel from which on there is a picture of details
	detailBars = 60      // packets in it
)

// append adds a bar.
func (p *Panel) append(b Bar) {
	b.pos, b.n = p.n, 1
	p.n++
	p.Bars = append(p.Bars, b)
}

// add adds a bar. If there are too many, those without a mark are joined in pairs.
func (p *Panel) add(b Bar) {
	if p.full {
		p.Left++
		return
	}
	p.append(b)
	if len(p.Bars) < maxBars {
		return
	}
	p.join()
	p.full = len(p.Bars) > maxBars*3/4
}

// join joins neighbours whose bytes follow each other, but none with a mark, and none near
// one: these are shown in detail. A mark may follow the latest bars.
func (p *Panel) join() {
	alone := make([]bool, len(p.Bars))
	for i, b := range p.Bars {
		if b.isMarked() || i == len(p.Bars)-1 {
			for k := max(0, i-detailBars); k <= min(len(p.Bars)-1, i+detailBars); k++ {
				alone[k] = true
			}
		}
	}
	var list []Bar
	joined := true // the last of list is joined already, or must not be
	for i, b := range p.Bars {
		if n := len(list); !joined && !alone[i] && list[n-1].At+int64(list[n-1].Len) == b.At {
			list[n-1].Len += b.Len
			list[n-1].n += b.n
			list[n-1].Size = 0
			joined = true
			continue
		}
		list = append(list, b)
		joined = alone[i]
	}
	p.Bars = list
}

// isMarked reports whether a bar has a mark.
func (b Bar) isMarked() bool { return b.What != "" || len(b.Parts) > 0 }

// marked returns the number of bars with a mark.
func (p Panel) marked() (n int) {
	for _, b := range p.Bars {
		if b.isMarked() {
			n++
		}
	}
	return n
}

// joined reports whether a bar of p stands for several packets.
func (p Picture) joined() bool {
	return slices.ContainsFunc(p.Panels, func(p Panel) bool { return p.n > len(p.Bars) })
}

// window is the part of a flow that a picture of details shows: in one panel some packets, in
// the others those with their bytes.
type window struct {
	side, first, last int // the panel, and the numbers of the packets
	low, high         int64
	around            int // the packet with the mark
}

// has reports whether a bar of a panel is in the window. n is how many of the panel are
// already in it.
func (w window) has(side int, b Bar, n int) bool {
	if side == w.side {
		return b.Number >= w.first && b.Number <= w.last
	}
	return b.At+int64(b.Len) > w.low && b.At < w.high && n < 2*detailBars
}

// window returns the window around the first mark of a picture. It reports false if there is
// none, if the packets are so few that the picture shows all of them well, or if most are
// marked.
func (p Picture) window() (w window, ok bool) {
	side, at := firstMarked(p.Panels)
	if at < 0 || p.Panels[side].n < detailFrom || p.Panels[side].marked() > len(p.Panels[side].Bars)/2 {
		return w, false
	}
	bars := p.Panels[side].Bars
	w.side, w.around = side, bars[at].Number
	bars = bars[max(0, at-detailBars/3):min(len(bars), at+2*detailBars/3)]
	w.first, w.last = bars[0].Number, bars[len(bars)-1].Number
	w.low, w.high = bars[0].At, bars[0].At
	for _, b := range bars {
		w.low, w.high = min(w.low, b.At), max(w.high, b.At+int64(b.Len))
	}
	return w, true
}

// detail returns the picture of a window of p.
func (p Picture) detail(w window) *Picture {
	d := &Picture{Flow: p.Flow, TCP: p.TCP, ByOrder: p.ByOrder, Around: w.around}
	for side, q := range p.Panels {
		some := Panel{Name: q.Name}
		index := map[int]int{} // in some.Bars, by that in q.Bars
		for k, b := range q.Bars {
			if w.has(side, b, len(some.Bars)) {
				index[k] = len(some.Bars)
				some.append(b)
			}
		}
		for _, box := range q.Boxes {
			var members []int
			for _, m := range box.Members {
				if k, ok := index[m]; ok {
					members = append(members, k)
				}
			}
			if members != nil {
				some.Boxes = append(some.Boxes, Box{members, box.What, box.Title})
			}
		}
		d.Panels = append(d.Panels, some)
	}
	return d
}

// firstMarked returns the panel and the index of the first bar with a mark, or -1.
func firstMarked(panels []Panel) (side, at int) {
	for side, p := range panels {
		if i := slices.IndexFunc(p.Boxes, func(b Box) bool { return b.What != "" }); i >= 0 {
			return side, p.Boxes[i].Members[0]
		}
		if at := slices.IndexFunc(p.Bars, Bar.isMarked); at >= 0 {
			return side, at
		}
	}
	return 0, -1
}
