package main

import (
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"tunproof/fuzz/conform"
)

// picture draws the table with a row for each property and a column for each
// implementation. The color of a cell shows the result, its number the number of ways to
// violate the property.
func picture(file string, results []result) error {
	const left, top, wide, high = 440, 46, 92, 30
	properties := conform.Properties()
	width, height := vg.Points(left+wide*float64(len(results))+10), vg.Points(top+high*float64(len(properties))+10)
	c := draw.New(vgsvg.New(width, height))
	c.FillPolygon(color.White, []vg.Point{{X: 0, Y: 0}, {X: width, Y: 0}, {X: width, Y: height}, {X: 0, Y: height}})
	fonts := font.NewCache(liberation.Collection())
	style := func(size float64, align draw.XAlignment, color color.Color) draw.TextStyle {
		return draw.TextStyle{Color: color, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Points(size)), XAlign: align, YAlign: draw.YCenter,
			Handler: text.Plain{Fonts: fonts}}
	}
	at := func(x, y float64) vg.Point { return vg.Point{X: vg.Points(x), Y: height - vg.Points(y)} }
	for k, r := range results {
		c.FillText(style(12, draw.XCenter, color.Black), at(left+wide*(float64(k)+.5), top-20), r.Impl)
	}
	for n, p := range properties {
		y := top + high*float64(n)
		c.FillText(style(11, draw.XLeft, color.Black), at(10, y+high/2), p+": "+conform.About(p))
		for k, r := range results {
			x := left + wide*float64(k)
			fill, ink := fills(r, p)
			c.FillPolygon(fill, []vg.Point{at(x+2, y+2), at(x+wide-2, y+2), at(x+wide-2, y+high-2), at(x+2, y+high-2)})
			c.FillText(style(11, draw.XCenter, ink), at(x+wide/2, y+high/2), r.cell(p))
		}
	}
	f, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	_, err = c.Canvas.(*vgsvg.Canvas).WriteTo(f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.Rename(f.Name(), file)
}

// fills returns the colors of a cell and of its text. They are colors of Okabe and Ito,
// which color-blind people can tell apart.
func fills(r result, p string) (fill, ink color.Color) {
	switch {
	case r.cell(p) == "n/a":
		return color.Gray{0xE8}, color.Gray{0x60}
	case r.cell(p) == "holds":
		return color.RGBA{0x00, 0x9E, 0x73, 0xFF}, color.White
	case r.refuses(p):
		return color.RGBA{0xF0, 0xE4, 0x42, 0xFF}, color.Black
	}
	return color.RGBA{0xD5, 0x5E, 0x00, 0xFF}, color.White
}
