package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// colors are colors of Okabe and Ito, which color-blind people can tell apart.
var colors = map[string]color.Color{
	"tunproof":      color.RGBA{0x00, 0x72, 0xB2, 0xFF},
	"tunproof-next": color.RGBA{0x56, 0xB4, 0xE9, 0xFF},
	"nebula":        color.RGBA{0xD5, 0x5E, 0x00, 0xFF},
	"tailscale":     color.RGBA{0x00, 0x9E, 0x73, 0xFF},
	"wireguard-go":  color.RGBA{0xCC, 0x79, 0xA7, 0xFF},
	"gvisor":        color.RGBA{0xE6, 0x9F, 0x00, 0xFF},
	limitCopy:       color.Gray{0x60},
	limitSum:        color.Gray{0xA0},
}

// chart is a plot of rows over one of the keys in their names.
type chart struct {
	file, title, what, key, x, y string
	value                        func(r *row, ns float64) float64
}

var charts = []chart{
	{"sum", "Checksum", "Sum", "size", "bytes", "GB/s", func(r *row, ns float64) float64 { return float64(r.bytes) / ns }},
	{"batch", "Coalescing one TCP flow, 1,448 bytes a packet", "GrowBatch", "pkts", "packets in a batch", "ns a packet", perPacket},
	{"flows", "Coalescing 1,024 TCP packets of 200 bytes", "GrowFlows", "flows", "flows, in turn", "ns a packet", perPacket},
	{"size", "Segmenting a TCP superpacket of 64 KiB", "GrowSize", "size", "bytes a segment", "ns a segment", perPacket},
}

func perPacket(r *row, ns float64) float64 { return ns / float64(r.packets) }

// plots draws the charts of the measured rows.
func plots(dir string, rows []*row) error {
	for _, c := range charts {
		var of []*row
		for _, r := range rows {
			if r.what() == c.what {
				of = append(of, r)
			}
		}
		if len(of) == 0 {
			continue
		}
		if err := c.draw(filepath.Join(dir, c.file+".svg"), of); err != nil {
			return fmt.Errorf("%s: %w", c.file, err)
		}
	}
	return nil
}

func (c chart) draw(path string, rows []*row) error {
	key := regexp.MustCompile("/" + c.key + "=([0-9]+)")
	p := plot.New()
	p.Title.Text = c.title
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text, p.Y.Label.Text = c.x, c.y+" (medians)"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{}, ticks{}
	legend := plot.NewLegend()
	legend.Top, legend.Left, legend.Padding = true, true, vg.Points(3)
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{0xE0}, color.Gray{0xE0}
	p.Add(grid)
	for _, impl := range columns(rows) {
		var points plotter.XYs
		for _, r := range rows {
			m := key.FindStringSubmatch(r.name)
			e := r.find(impl)
			if m == nil || e == nil {
				continue
			}
			x, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				return err
			}
			points = append(points, plotter.XY{X: x, Y: c.value(r, e.median())})
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, dots.Color = colors[impl], colors[impl]
		line.Width, dots.Radius, dots.Shape = vg.Points(1.5), vg.Points(2), draw.CircleGlyph{}
		if impl == "tunproof" {
			line.Width = vg.Points(3)
		}
		if impl == limitCopy || impl == limitSum {
			line.Dashes = []vg.Length{vg.Points(4), vg.Points(3)}
		}
		p.Add(line, dots)
		legend.Add(impl, line, dots)
	}
	const width, height, right = 19 * vg.Centimeter, 11 * vg.Centimeter, 4.5 * vg.Centimeter
	canvas := vgsvg.New(width, height)
	whole := draw.New(canvas)
	whole.SetColor(color.White)
	whole.Fill(whole.Rectangle.Path())
	p.Draw(draw.Crop(whole, vg.Points(4), -right, vg.Points(4), -vg.Points(4)))
	legend.Draw(draw.Crop(whole, width-right+vg.Points(14), 0, 0, -vg.Points(30)))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// ticks places marks at 1, 2 and 5 times the powers of ten.
type ticks struct{}

func (ticks) Ticks(low, high float64) (list []plot.Tick) {
	for decade := 1e-3; decade <= 1e6; decade *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if v := m * decade; v >= low*0.999 && v <= high*1.001 {
				list = append(list, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', -1, 64)})
			}
		}
	}
	return list
}
