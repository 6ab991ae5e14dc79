// SPDX-License-Identifier: MIT

package main

import (
	"math"
	"strings"

	"tunproof/fuzz/internal/svg"
)

// bar is a bar of a chart, with texts on both sides. length is from 0 to 1.
type bar struct {
	label, value string
	length       float64
	fill         svg.Color
}

// panel is a group of bars under a heading. If most is not 0 they have an axis up to it,
// which is logarithmic.
type panel struct {
	heading string
	bars    []bar
	most    float64
}

// The measures of bars, in pixels.
const (
	labelWidth, barWidth, valueWidth = 170.0, 190.0, 64.0
	rowHeight, headHeight            = 17.0, 30.0
	axisHeight                       = 26.0
	columnWidth                      = labelWidth + barWidth + valueWidth + 15
)

// bars returns an SVG picture: columns of panels with horizontal bars. note says what to read
// from their lengths.
func bars(title, note string, columns ...[]panel) []byte {
	const top = 62.0
	height := 0.0
	var headings []string
	for _, column := range columns {
		h := top
		for _, p := range column {
			headings = append(headings, p.heading)
			h += headHeight + rowHeight*float64(len(p.bars))
			if p.most > 0 {
				h += axisHeight
			}
		}
		height = max(height, h)
	}
	s := svg.New(columnWidth*float64(len(columns))+10, height+10, title, note+". Panels: "+strings.Join(headings, "; ")+".")
	s.Text(svg.Ink, 16, 10, 20, svg.Start, title)
	s.Text(svg.Soft, 12, 10, 42, svg.Start, note)
	for i, column := range columns {
		x, y := 10+columnWidth*float64(i), top-8
		for _, p := range column {
			p.draw(s, x, y)
			y += headHeight + rowHeight*float64(len(p.bars))
			if p.most > 0 {
				y += axisHeight
			}
		}
	}
	return s.Bytes()
}

// draw draws the panel with its upper left corner at x and y.
func (p panel) draw(s *svg.Picture, x, y float64) {
	s.Text(svg.Ink, 13, x, y+headHeight/2+3, svg.Start, p.heading)
	y += headHeight
	end := y + rowHeight*float64(len(p.bars))
	if p.most > 0 {
		for v := 1.; v <= p.most; v *= 10 {
			at := x + labelWidth + barWidth*logarithm(v, p.most)
			s.Path(svg.Line, 1, false, [2]float64{at, y}, [2]float64{at, end + 3})
			s.Text(svg.Soft, 10, at, end+11, svg.Middle, svg.Number(v))
		}
	}
	for _, b := range p.bars {
		long := max(1, barWidth*b.length)
		s.Text(svg.Ink, 12, x+8, y+rowHeight/2, svg.Start, b.label)
		s.Box(b.fill, x+labelWidth, y+2, long, rowHeight-4)
		s.Text(svg.Soft, 12, x+labelWidth+long+5, y+rowHeight/2, svg.Start, b.value)
		y += rowHeight
	}
}

// logarithm returns the length of a bar for v on a logarithmic axis that begins below 1 and
// ends at most.
func logarithm(v, most float64) float64 { return math.Log(2*v) / math.Log(2*most) }

// cell is a cell of a grid.
type cell struct {
	text      string
	fill, ink svg.Color
}

// grid draws a table with names of rows and columns. cells has a list for each row.
func grid(title, note string, rows, columns []string, cells [][]cell) []byte {
	const top, wide, high = 78.0, 104.0, 28.0
	left := 0.
	for _, name := range rows {
		left = max(left, 20+svg.Width(name, 13))
	}
	width := max(left+wide*float64(len(columns))+10, 20+svg.Width(title, 16), 20+svg.Width(note, 12))
	s := svg.New(width, top+high*float64(len(rows))+10, title, note+". Rows: "+strings.Join(rows, "; ")+". Columns: "+strings.Join(columns, ", ")+".")
	s.Text(svg.Ink, 16, 10, 20, svg.Start, title)
	s.Text(svg.Soft, 12, 10, 42, svg.Start, note)
	for k, name := range columns {
		s.Text(svg.Ink, 13, left+wide*(float64(k)+.5), top-14, svg.Middle, name)
	}
	for n, name := range rows {
		y := top + high*float64(n)
		s.Text(svg.Ink, 13, 10, y+high/2, svg.Start, name)
		for k, c := range cells[n] {
			x := left + wide*float64(k)
			s.Box(c.fill, x+2, y+2, wide-4, high-4)
			s.Text(c.ink, 12, x+wide/2, y+high/2, svg.Middle, c.text)
		}
	}
	return s.Bytes()
}

// lawful returns properties as names of rows: each with its law.
func lawful(ids []string, law func(id string) string) (names []string) {
	for _, id := range ids {
		names = append(names, id+": "+law(id))
	}
	return names
}
