// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"strings"

	"tunproof/fuzz/conform"
	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/internal/svg"
)

// picture draws the table with a row for each property and a column for each
// implementation. The color of a cell shows the result, its number the number of ways to
// violate the property.
func picture(name string, results []result) error {
	const top, wide, high, under = 40, 104, 32, 26
	properties := conform.Properties()
	left := 0.
	for _, p := range properties {
		left = max(left, 20+svg.Width(p+": "+conform.About(p), 13))
	}
	var about []string
	for _, r := range results {
		n := 0
		for _, p := range properties {
			if r.cell(p) == "holds" {
				n++
			}
		}
		about = append(about, fmt.Sprintf("%s: %d of %d hold", r.Impl, n, len(properties)))
	}
	width, height := left+wide*float64(len(results))+10, top+high*float64(len(properties))+under
	c := svg.New(width, height, "Which properties hold for which implementation", strings.Join(about, "; ")+".")
	for k, r := range results {
		c.Text(svg.Ink, 13, left+wide*(float64(k)+.5), top-16, svg.Middle, r.Impl)
	}
	for n, p := range properties {
		y := top + high*float64(n)
		c.Text(svg.Ink, 13, 10, y+high/2, svg.Start, p+": "+conform.About(p))
		for k, r := range results {
			x := left + wide*float64(k)
			fill, ink := colors(r, p)
			c.Box(fill, x+2, y+2, wide-4, high-4)
			c.Text(ink, 12, x+wide/2, y+high/2, svg.Middle, r.cell(p))
		}
	}
	c.Text(svg.Soft, 12, left+2, height-under/2, svg.Start, "the number: ways to violate the property; n/a: not judged")
	return file.Write(name, c.Bytes())
}

// colors returns the colors of a cell and of its text.
func colors(r result, p string) (fill, ink svg.Color) {
	switch {
	case r.cell(p) == "n/a":
		return svg.None, svg.Soft
	case r.cell(p) == "holds":
		return svg.Good, svg.White
	case r.refuses(p):
		return svg.Yellow, svg.Black
	}
	return svg.Bad, svg.White
}
