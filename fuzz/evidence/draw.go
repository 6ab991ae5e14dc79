package main

import (
	"bytes"
	"image/color"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// These are colors of Okabe and Ito, which color-blind people can tell apart.
var (
	blue   = color.RGBA{0x00, 0x72, 0xB2, 0xFF}
	sky    = color.RGBA{0x56, 0xB4, 0xE9, 0xFF}
	green  = color.RGBA{0x00, 0x9E, 0x73, 0xFF}
	red    = color.RGBA{0xD5, 0x5E, 0x00, 0xFF}
	orange = color.RGBA{0xE6, 0x9F, 0x00, 0xFF}
	yellow = color.RGBA{0xF0, 0xE4, 0x42, 0xFF}
	purple = color.RGBA{0xCC, 0x79, 0xA7, 0xFF}
	grey   = color.Gray{0xE8}
	dark   = color.Gray{0x60}
)

// sheet is a picture. Coordinates are in points from the upper left corner.
type sheet struct {
	c      draw.Canvas
	height vg.Length
	fonts  *font.Cache
}

func newSheet(width, height float64) *sheet {
	s := &sheet{c: draw.New(vgsvg.New(vg.Points(width), vg.Points(height))), height: vg.Points(height), fonts: font.NewCache(liberation.Collection())}
	s.box(0, 0, width, height, color.White)
	return s
}

// box fills a rectangle.
func (s *sheet) box(x, y, width, height float64, fill color.Color) {
	at := func(x, y float64) vg.Point { return vg.Point{X: vg.Points(x), Y: s.height - vg.Points(y)} }
	s.c.FillPolygon(fill, []vg.Point{at(x, y), at(x+width, y), at(x+width, y+height), at(x, y+height)})
}

// text writes text that starts at x or is centered there, vertically centered at y. It
// never ends at a given x, because a viewer may have a wider font.
func (s *sheet) text(x, y, size float64, align draw.XAlignment, ink color.Color, what string) {
	style := draw.TextStyle{Color: ink, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Points(size)), YAlign: draw.YCenter, Handler: text.Plain{Fonts: s.fonts}}
	style.XAlign = align
	s.c.FillText(style, vg.Point{X: vg.Points(x), Y: s.height - vg.Points(y)}, what)
}

// svg returns the picture as SVG.
func (s *sheet) svg() ([]byte, error) {
	var b bytes.Buffer
	_, err := s.c.Canvas.(*vgsvg.Canvas).WriteTo(&b)
	return b.Bytes(), err
}

// bar is a bar of a chart, with texts on both sides. The longest bar has length 1.
type bar struct {
	label, value string
	length       float64
	fill         color.Color
}

// panel is a group of bars under a heading.
type panel struct {
	heading string
	bars    []bar
}

// bars returns an SVG picture: columns of panels with horizontal bars.
func bars(title string, columns ...[]panel) ([]byte, error) {
	const label, length, value, row, head = 150.0, 190.0, 60.0, 15.0, 26.0
	const wide = label + length + value + 15
	height := 0.0
	for _, column := range columns {
		h := 40.0
		for _, p := range column {
			h += head + row*float64(len(p.bars))
		}
		height = max(height, h)
	}
	s := newSheet(wide*float64(len(columns))+10, height+8)
	s.text(10, 18, 14, draw.XLeft, color.Black, title)
	for i, column := range columns {
		x, y := 10+wide*float64(i), 36.0
		for _, p := range column {
			s.text(x, y+head/2+2, 12, draw.XLeft, color.Black, p.heading)
			y += head
			for _, b := range p.bars {
				s.text(x+8, y+row/2, 10, draw.XLeft, color.Black, b.label)
				s.box(x+label, y+2, max(1, length*b.length), row-4, b.fill)
				s.text(x+label+max(1, length*b.length)+4, y+row/2, 10, draw.XLeft, dark, b.value)
				y += row
			}
		}
	}
	return s.svg()
}

// cell is a cell of a grid.
type cell struct {
	text      string
	fill, ink color.Color
}

// grid draws a table with names of rows and columns. cells has a list for each row.
func grid(title string, rows, columns []string, cells [][]cell, left float64) ([]byte, error) {
	const top, wide, high = 66.0, 84.0, 26.0
	s := newSheet(left+wide*float64(len(columns))+10, top+high*float64(len(rows))+10)
	s.text(10, 18, 14, draw.XLeft, color.Black, title)
	for k, name := range columns {
		s.text(left+wide*(float64(k)+.5), top-16, 11, draw.XCenter, color.Black, name)
	}
	for n, name := range rows {
		y := top + high*float64(n)
		s.text(10, y+high/2, 11, draw.XLeft, color.Black, name)
		for k, c := range cells[n] {
			x := left + wide*float64(k)
			s.box(x+2, y+2, wide-4, high-4, c.fill)
			s.text(x+wide/2, y+high/2, 11, draw.XCenter, c.ink, c.text)
		}
	}
	return s.svg()
}
