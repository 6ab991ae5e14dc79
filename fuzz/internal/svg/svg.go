// SPDX-License-Identifier: MIT

// Package svg draws pictures as SVG. Their text is in the sans-serif font of the viewer, and
// their colors suit light and dark screens. A title and a description tell people who cannot
// see a picture what it shows.
package svg

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Color is the name of a color. Each has a value for light and one for dark screens.
type Color string

// The colors. Those of data are of Okabe and Ito, which color-blind people can tell apart.
const (
	Ink    Color = "ink"  // of text
	Soft   Color = "soft" // of text that is less important
	Line   Color = "line" // of a grid
	White  Color = "white"
	Black  Color = "black"
	Blue   Color = "blue"
	Sky    Color = "sky"
	Green  Color = "green"
	Red    Color = "red"
	Orange Color = "orange"
	Yellow Color = "yellow"
	Purple Color = "purple"
	Grey   Color = "grey"
	Good   Color = "good" // good, bad and none are of cells with white text in them
	Bad    Color = "bad"
	None   Color = "none"
)

// values has the colors: light, then dark.
var values = []struct {
	Color
	light, dark string
}{
	{"paper", "#ffffff", "#15191e"}, {Ink, "#1b1f24", "#e6e9ec"}, {Soft, "#57606a", "#a3adb8"}, {Line, "#e3e6ea", "#2c333b"},
	{White, "#ffffff", "#ffffff"}, {Black, "#000000", "#000000"},
	{Blue, "#0072b2", "#3a9bd9"}, {Sky, "#56b4e9", "#7cc7f2"}, {Green, "#009e73", "#1fbf91"}, {Red, "#d55e00", "#ee7f2d"},
	{Orange, "#e69f00", "#f0b429"}, {Yellow, "#f0e442", "#e8db3a"}, {Purple, "#cc79a7", "#d995bb"}, {Grey, "#8c959f", "#8b96a2"},
	{Good, "#007a59", "#007a59"}, {Bad, "#b84700", "#b84700"}, {None, "#e8e8e8", "#343b43"},
}

// Anchor is where text is, seen from its position.
type Anchor string

// The anchors of text.
const (
	Start  Anchor = "start"
	Middle Anchor = "middle"
	End    Anchor = "end"
)

// Picture is a picture that is being drawn. Coordinates are pixels from the upper left corner.
type Picture struct {
	width, height float64
	title, about  string
	body          bytes.Buffer
}

// New returns an empty picture. title says what it shows, about what can be seen in it.
func New(width, height float64, title, about string) *Picture {
	return &Picture{width: width, height: height, title: title, about: about}
}

// Box fills a rectangle.
func (p *Picture) Box(fill Color, x, y, width, height float64) {
	fmt.Fprintf(&p.body, "<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"/>\n", fill, px(x), px(y), px(width), px(height))
}

// Text writes text whose middle is at the height y.
func (p *Picture) Text(ink Color, size, x, y float64, anchor Anchor, text string) {
	fmt.Fprintf(&p.body, "<text class=\"%s\" font-size=\"%s\" text-anchor=\"%s\" x=\"%s\" y=\"%s\">%s</text>\n", ink, px(size), anchor, px(x), px(y+size*.35), escape(text))
}

// Upright writes text that runs upwards and whose middle is at x and y.
func (p *Picture) Upright(ink Color, size, x, y float64, text string) {
	fmt.Fprintf(&p.body, "<text class=\"%s\" font-size=\"%s\" text-anchor=\"middle\" transform=\"translate(%s %s) rotate(-90)\">%s</text>\n", ink, px(size), px(x+size*.35), px(y), escape(text))
}

// Path draws a line through points, which are pairs of x and y.
func (p *Picture) Path(stroke Color, width float64, dashed bool, points ...[2]float64) {
	fmt.Fprintf(&p.body, "<path class=\"s-%s\" stroke-width=\"%s\"", stroke, px(width))
	if dashed {
		p.body.WriteString(` stroke-dasharray="5 4"`)
	}
	p.body.WriteString(` d="`)
	for i, at := range points {
		fmt.Fprintf(&p.body, "%c%s %s", "ML"[min(i, 1)], px(at[0]), px(at[1]))
	}
	p.body.WriteString("\"/>\n")
}

// Dot draws a dot.
func (p *Picture) Dot(fill Color, x, y, radius float64) {
	fmt.Fprintf(&p.body, "<circle class=\"%s\" cx=\"%s\" cy=\"%s\" r=\"%s\"/>\n", fill, px(x), px(y), px(radius))
}

// Bytes returns the picture as a file.
func (p *Picture) Bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%s\" height=\"%s\" viewBox=\"0 0 %s %s\" role=\"img\" aria-labelledby=\"title about\">\n",
		px(p.width), px(p.height), px(p.width), px(p.height))
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<desc id=\"about\">%s</desc>\n<style>\n", escape(p.title), escape(p.about))
	b.WriteString("text { font-family: system-ui, -apple-system, \"Segoe UI\", Roboto, \"Liberation Sans\", sans-serif; }\npath { fill: none; stroke-linejoin: round; }\n")
	for _, v := range values {
		fmt.Fprintf(&b, ".%s { fill: %s; } .s-%s { stroke: %s; }\n", v.Color, v.light, v.Color, v.light)
	}
	b.WriteString("@media (prefers-color-scheme: dark) {\n")
	for _, v := range values {
		if v.dark != v.light {
			fmt.Fprintf(&b, "  .%s { fill: %s; } .s-%s { stroke: %s; }\n", v.Color, v.dark, v.Color, v.dark)
		}
	}
	b.WriteString("}\n</style>\n")
	fmt.Fprintf(&b, "<rect class=\"paper\" width=\"%s\" height=\"%s\"/>\n", px(p.width), px(p.height))
	b.Write(p.body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// Width returns the room that text needs, in pixels. A viewer may have a wide font.
func Width(text string, size float64) float64 {
	const wide = .53 // the mean width of a letter in DejaVu Sans
	return wide * size * float64(utf8.RuneCountInString(text))
}

// px returns a length with at most one digit after the point.
func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}
