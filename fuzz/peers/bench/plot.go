// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"tunproof/fuzz/internal/file"
	"tunproof/fuzz/internal/svg"
)

// colors are those of the lines.
var colors = map[string]svg.Color{
	"tunproof": svg.Blue, "tunproof-next": svg.Sky, "nebula": svg.Red, "tailscale": svg.Green, "wireguard-go": svg.Purple, "gvisor": svg.Orange,
	limitCopy: svg.Soft, limitSum: svg.Grey,
}

// limits says what the dashed lines are.
var limits = map[string]string{
	limitCopy: "copy: the bytes copied once, nothing else",
	limitSum:  "one sum: the bytes summed once, nothing else",
}

// chart is a plot of rows over one of the keys in their names.
type chart struct {
	file, title, what, key, x, y string
	better                       string
	value                        func(r *row, ns float64) float64
}

const lower, higher = "lower is better", "higher is better"

var charts = []chart{
	{"sum", "Checksum", "Sum", "size", "bytes", "GB/s", higher, func(r *row, ns float64) float64 { return float64(r.bytes) / ns }},
	{"batch", "Coalescing one TCP flow, 1,448 bytes a packet", "GrowBatch", "pkts", "packets in a batch", "ns a packet", lower, perPacket},
	{"flows", "Coalescing 1,024 TCP packets of 200 bytes", "GrowFlows", "flows", "flows, in turn", "ns a packet", lower, perPacket},
	{"size", "Segmenting a TCP superpacket of 64 KiB", "GrowSize", "size", "bytes a segment", "ns a segment", lower, perPacket},
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

// line is the line of one implementation.
type line struct {
	impl string
	at   [][2]float64
}

// lines returns the lines of a chart, and the range of their values.
func (c chart) lines(rows []*row) (list []line, low, high [2]float64, err error) {
	key := regexp.MustCompile("/" + c.key + "=([0-9]+)")
	low, high = [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{}
	for _, impl := range columns(rows) {
		l := line{impl: impl}
		for _, r := range rows {
			m := key.FindStringSubmatch(r.name)
			e := r.find(impl)
			if m == nil || e == nil {
				continue
			}
			x, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				return nil, low, high, err
			}
			at := [2]float64{x, c.value(r, e.median())}
			for i, v := range at {
				low[i], high[i] = min(low[i], v), max(high[i], v)
			}
			l.at = append(l.at, at)
		}
		list = append(list, l)
	}
	return list, low, high, nil
}

func (c chart) draw(path string, rows []*row) error {
	const left, right, top, bottom, width = 74, 600, 58, 344, 760
	lines, low, high, err := c.lines(rows)
	if err != nil {
		return err
	}
	var notes, about []string
	for _, l := range lines {
		last := l.at[len(l.at)-1]
		about = append(about, fmt.Sprintf("%s %s at %s", l.impl, svg.Number(rounded(last[1])), svg.Number(last[0])))
		if limits[l.impl] != "" {
			notes = append(notes, limits[l.impl])
		}
	}
	height := 396. + 18*float64(len(notes))
	p := svg.New(width, height, c.title, fmt.Sprintf("%s over %s, both logarithmic, medians; %s. The last points: %s.", c.y, c.x, c.better, strings.Join(about, ", ")))
	p.Text(svg.Ink, 15, left, 18, svg.Start, c.title)
	p.Text(svg.Soft, 12, left, 38, svg.Start, "medians; "+c.better+"; both axes are logarithmic")
	x, y := svg.Log{Low: low[0], High: high[0], From: left, To: right}, svg.Log{Low: low[1] / 1.1, High: high[1] * 1.1, From: bottom, To: top}
	for _, t := range x.Ticks(44) {
		at := x.At(t.Value)
		p.Path(svg.Line, 1, false, [2]float64{at, top}, [2]float64{at, bottom + 4})
		p.Text(svg.Soft, 12, at, bottom+15, svg.Middle, t.Label)
	}
	for _, t := range y.Ticks(18) {
		at := y.At(t.Value)
		p.Path(svg.Line, 1, false, [2]float64{left - 4, at}, [2]float64{right, at})
		p.Text(svg.Soft, 12, left-8, at, svg.End, t.Label)
	}
	p.Path(svg.Soft, 1, false, [2]float64{left, top}, [2]float64{left, bottom}, [2]float64{right, bottom})
	p.Text(svg.Ink, 13, (left+right)/2, bottom+36, svg.Middle, c.x)
	p.Upright(svg.Ink, 13, 14, (top+bottom)/2, c.y)
	for i, l := range lines {
		var points [][2]float64
		for _, at := range l.at {
			points = append(points, [2]float64{x.At(at[0]), y.At(at[1])})
		}
		thick, dashed, color := 1.8, limits[l.impl] != "", colors[l.impl]
		if l.impl == "tunproof" {
			thick = 3.5
		}
		p.Path(color, thick, dashed, points...)
		for _, at := range points {
			p.Dot(color, at[0], at[1], 2.6)
		}
		at := top + 8 + 20*float64(i)
		p.Path(color, thick, dashed, [2]float64{right + 16, at}, [2]float64{right + 44, at})
		p.Dot(color, right+30, at, 2.6)
		p.Text(svg.Ink, 13, right+50, at, svg.Start, l.impl)
	}
	for i, note := range notes {
		p.Text(svg.Soft, 12, left, bottom+58+18*float64(i), svg.Start, note)
	}
	return file.Write(path, p.Bytes())
}

// rounded returns v with three significant digits.
func rounded(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
	return v
}
