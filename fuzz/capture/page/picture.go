// SPDX-License-Identifier: MIT

package page

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/record"
)

// Picture is a time-sequence picture of one flow: x is when a packet passed, y which bytes
// of the flow it has.
type Picture struct {
	Flow    string
	TCP     bool
	Panels  []Panel // one above another, with one scale of bytes
	ByOrder bool    // x is the order of the packets, never their times
	Around  int     // the picture shows only what is around this packet; 0 if it shows all
	id      string
}

// Panel is one capture of the flow.
type Panel struct {
	Name  string // "" if it is the only one
	Bars  []Bar
	Boxes []Box
	Left  int // packets that are not among Bars

	n    int  // packets that were added
	full bool // no more are added
}

// Bar is a packet: a bar from its first byte to its last.
type Bar struct {
	Number int // of the packet in its capture
	Time   time.Time
	At     int64 // its first byte of payload in the flow
	Len    int   // bytes of payload
	Size   int   // payload of each segment, if it is a superpacket; else 0
	What   string
	Parts  []Part

	pos, n int // the place of its first packet in the panel, and how many packets share it
}

// Part is a segment of a superpacket that is marked.
type Part struct {
	What    string
	Segment int
	At      int64
	Len     int
}

// Box is a superpacket that was made of bars: those with the indices in Members.
type Box struct {
	Members []int
	What    string
	Title   string
}

// look is how what is marked looks, besides its colour.
type look struct {
	what, sign, legend string
}

// looks are the marks, the strongest first.
var looks = []look{
	{compare.Lost, "×", "lost"},
	{compare.Duplicated, "2×", "duplicated"},
	{compare.Extra, "+", "extra"},
	{compare.Changed, "≠", "changed"},
	{Wrong, "!", "has a finding"},
	{compare.Reordered, "↕", "reordered"},
	{suspect, "?", "suspect"},
}

// The measures of a chart, in pixels.
const (
	chartWidth  = 960
	plotLeft    = 78
	plotWidth   = chartWidth - plotLeft - 22
	legendTop   = 20
	plotHeight  = 240 // of one of two panels
	onlyHeight  = 320 // of a single one
	lowHeight   = 150 // if no panel has more than a few bars
	few         = 6
	nameHeight  = 26
	underHeight = 52 // ticks and the title of the axis
	signApart   = 14 // signs of two kinds; those of one kind are further apart

	maxRects  = 3000 // bars without a mark of a panel
	maxMarked = 2000
	maxInner  = 1500 // segments that are drawn apart within their superpackets
)

// rect is a bar to draw.
type rect struct {
	X, Y, W, H string
	Class      string
	Title      string
}

// glyph is a text to draw.
type glyph struct{ X, Y, Class, Text string }

// tick is a mark of an axis.
type tick struct{ At, Label string }

// plot is a panel, ready to be drawn.
type plot struct {
	Name                     string
	Top, Bottom, Left, Right int
	Middle                   int // of the axis of bytes
	Boxes, Rects             []rect
	Signs                    []glyph
	XTicks, YTicks           []tick
	XTitle, YTitle           string
	Breaks                   []tick // of the axis of bytes
	Empty                    bool
}

// Where the texts of a plot are.
func (g plot) NameY() int   { return g.Top - 8 }
func (g plot) BreakX() int  { return g.Left + 14 }
func (g plot) TickX() int   { return g.Left - 6 }
func (g plot) TickEnd() int { return g.Bottom + 5 }
func (g plot) TickY() int   { return g.Bottom + 18 }
func (g plot) Center() int  { return (g.Left + g.Right) / 2 }
func (g plot) XTitleY() int { return g.Bottom + 36 }

// chart is a picture, ready to be drawn.
type chart struct {
	ID            string
	Title, Desc   string
	Width, Height int
	Plots         []plot
	Legend        []key
	Notes         []string
}

// key is an entry of the legend.
type key struct {
	X, SignX, TextX int
	Class           string
	Sign, Text      string
}

func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// layChart lays out a picture.
func layChart(p Picture) chart {
	c := chart{ID: p.id, Title: p.Flow, Width: chartWidth}
	if p.Around > 0 {
		c.Title += fmt.Sprintf(", around packet %d", p.Around)
	}
	l := layout{picture: p, inTime: !p.ByOrder, used: map[string]bool{}}
	for _, panel := range p.Panels {
		l.inTime = l.inTime && (len(panel.Bars) == 0 || spreads(panel.Bars))
		l.span = max(l.span, span(panel.Bars))
	}
	l.axis = newAxis(p.Panels)
	l.inTime = l.inTime && l.span > 0
	height := plotHeight
	if len(p.Panels) == 1 {
		height = onlyHeight
	}
	if !slices.ContainsFunc(p.Panels, func(p Panel) bool { return len(p.Bars) > few }) {
		height = lowHeight
	}
	top := legendTop + 8
	var about []string
	for _, panel := range p.Panels {
		if panel.Name != "" {
			top += nameHeight
		} else {
			top += 10
		}
		c.Plots = append(c.Plots, l.plot(panel, top, height))
		top += height + underHeight
		about = append(about, l.about(panel))
		if panel.Left > 0 {
			c.Notes = append(c.Notes, fmt.Sprintf("%s drawn of the flow; %d later ones are left out", record.Count(panel.n, "packet"), panel.Left))
		}
	}
	c.Height = top
	c.Desc = strings.Join(about, "; ")
	if l.joined {
		c.Notes = append(c.Notes, "Packets that are close together share a bar")
	}
	if l.dropped > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("%s too many to draw, left out", record.Count(l.dropped, "bar")))
	}
	c.Legend = l.legend()
	return c
}

// spreads reports whether the times of bars spread them over the picture, so that they can
// be told apart as well as by their order.
func spreads(bars []Bar) bool {
	all := span(bars)
	if all == 0 {
		return len(bars) == 1
	}
	columns := map[int]bool{}
	for _, b := range bars {
		columns[int(float64(b.Time.Sub(bars[0].Time))/float64(all)*plotWidth/4)] = true
	}
	return 3*len(columns) >= min(len(bars), 60)
}

// layout lays out one picture.
type layout struct {
	picture Picture
	inTime  bool
	span    time.Duration
	axis    axis
	used    map[string]bool
	joined  bool
	dropped int
}

// about describes a panel in words.
func (l *layout) about(p Panel) string {
	n := map[string]int{}
	supers := len(p.Boxes)
	for _, b := range p.Boxes {
		n[b.What]++
	}
	for _, b := range p.Bars {
		n[b.What]++
		for _, x := range b.Parts {
			n[x.What]++
		}
		if b.Size > 0 && b.Len > b.Size {
			supers++
		}
	}
	s := record.Count(p.n+p.Left, "packet")
	if p.Name != "" {
		s = p.Name + ": " + s
	}
	if supers > 0 {
		s += fmt.Sprintf(", %s", record.Count(supers, "superpacket"))
	}
	for _, k := range looks {
		if n[k.what] > 0 {
			s += fmt.Sprintf(", %d %s", n[k.what], strings.Replace(k.legend, "has a finding", "with a finding", 1))
		}
	}
	return s
}

// plot lays out a panel whose plot starts at top.
func (l *layout) plot(p Panel, top, height int) plot {
	g := plot{Name: p.Name, Top: top, Bottom: top + height, Left: plotLeft, Right: plotLeft + plotWidth, Middle: top + height/2}
	n := p.n
	step := float64(plotWidth) / float64(max(1, n))
	w := min(max(step*.6, 1.2), 14)
	wide := min(max(step*.92, 3.5), 30)
	if l.inTime {
		w, wide = 2.5, 7
		if n <= 80 {
			w, wide = 4, 12
		}
	}
	x := func(i int) float64 { // the middle of a bar
		if !l.inTime {
			return plotLeft + (float64(p.Bars[i].pos)+.5)*step
		}
		return plotLeft + 12 + float64(p.Bars[i].Time.Sub(p.Bars[0].Time))/float64(l.span)*(plotWidth-24)
	}
	scale := l.axis.scale(height)
	y := func(at int64) float64 { return float64(g.Bottom) - axisEnd - l.axis.at(at, scale) }
	place := func(x, w float64, at int64, n int, class, title string) rect {
		h := max(y(at)-y(at+int64(n)), 2)
		return rect{px(x - w/2), px(y(at) - h), px(w), px(h), class, title}
	}
	inner := 0
	for _, b := range p.Bars {
		if b.Size > 0 {
			inner += b.Len / b.Size
		}
	}
	for _, b := range p.Boxes {
		low, high := int64(math.MaxInt64), int64(math.MinInt64)
		first, last := slices.Min(b.Members), slices.Max(b.Members)
		for _, i := range b.Members {
			low, high = min(low, p.Bars[i].At), max(high, p.Bars[i].At+int64(p.Bars[i].Len))
		}
		r := place((x(first)+x(last))/2, x(last)-x(first)+wide+2, low, int(high-low), strings.TrimSpace("box "+b.What), b.Title)
		g.Boxes = append(g.Boxes, r)
		l.used["box"] = true
		g.sign(l, x(first)-wide/2, y(high), b.What, step < 8)
	}
	var marked []int
	column, end := -1, int64(0) // of the latest bar, if it may grow
	for i, b := range p.Bars {
		switch {
		case b.isMarked() || b.Size > 0 && b.Len > b.Size:
			marked = append(marked, i)
			column = -1
			continue
		case len(g.Rects) > 0 && int(x(i)) == column && step < 2.5 && b.At == end:
			last := &g.Rects[len(g.Rects)-1]
			bottom, _ := strconv.ParseFloat(last.Y, 64)
			h, _ := strconv.ParseFloat(last.H, 64)
			up := y(b.At + int64(b.Len))
			last.Y, last.H = px(min(up, bottom)), px(max(bottom+h-up, h))
			last.Title = ""
			end += int64(b.Len)
			l.joined = true
			continue
		case len(g.Rects) >= maxRects:
			l.dropped++
			continue
		}
		class, title := "seg", b.title("")
		if b.Len == 0 {
			class = "none"
		}
		if b.n > 1 {
			title, l.joined = "", true
		}
		l.used[class] = true
		g.Rects = append(g.Rects, place(x(i), w, b.At, b.Len, class, title))
		column, end = int(x(i)), b.At+int64(b.Len)
	}
	for k, i := range marked {
		b := p.Bars[i]
		if k >= maxMarked {
			l.dropped++
			continue
		}
		if b.Size == 0 || b.Len <= b.Size {
			g.Rects = append(g.Rects, tall(place(x(i), max(w, 3), b.At, b.Len, b.What, b.title(b.What))))
			g.sign(l, x(i)-max(w, 3)/2, y(b.At+int64(b.Len)), b.What, step < 8 || l.inTime)
			continue
		}
		l.used["box"] = true
		r := place(x(i), wide, b.At, b.Len, strings.TrimSpace("box "+b.What), b.title(b.What))
		g.Boxes = append(g.Boxes, r)
		g.sign(l, x(i)-wide/2, y(b.At+int64(b.Len)), b.What, false)
		size := b.Size
		if float64(size)*scale < 3 || inner > maxInner {
			size = b.Len
		}
		l.used["seg"] = true
		for at := 0; at < b.Len; at += size {
			gap := 0.
			if size < b.Len {
				gap = 1
			}
			s := place(x(i), wide*.5, b.At+int64(at), min(size, b.Len-at), "seg", "")
			h, _ := strconv.ParseFloat(s.H, 64)
			s.H = px(max(h-gap, 1))
			g.Rects = append(g.Rects, s)
		}
		for _, part := range b.Parts {
			title := fmt.Sprintf("packet %d, segment %d: %s", b.Number, part.Segment, part.What)
			g.Rects = append(g.Rects, place(x(i), wide, part.At, part.Len, part.What, title))
			g.sign(l, x(i)-wide/2, y(part.At+int64(part.Len)), part.What, false)
		}
	}
	l.axes(&g, p, step, y)
	return g
}

// tall returns a bar that is at least so high that its colour can be seen.
func tall(r rect) rect {
	const least = 5
	h, _ := strconv.ParseFloat(r.H, 64)
	y, _ := strconv.ParseFloat(r.Y, 64)
	if h < least {
		r.Y, r.H = px(y-(least-h)/2), px(least)
	}
	return r
}

// title describes a bar.
func (b Bar) title(what string) string {
	s := fmt.Sprintf("packet %d: ", b.Number)
	if b.Len == 0 {
		s += "no payload"
	} else {
		s += fmt.Sprintf("bytes %d to %d", b.At, b.At+int64(b.Len)-1)
	}
	if b.Size > 0 && b.Len > b.Size {
		s += fmt.Sprintf(", superpacket of segments of %d", b.Size)
	}
	if what != "" {
		s += ": " + what
	}
	return s
}

// sign adds the sign of what is marked, left of the top of its bar, unless another one is
// too near. If the bars are dense it is higher, above the bars that come before.
func (g *plot) sign(l *layout, x, y float64, what string, dense bool) {
	if what == "" {
		return
	}
	l.used[what] = true
	at := slices.IndexFunc(looks, func(k look) bool { return k.what == what })
	if y += 9; dense {
		x, y = x+6, y-16
	}
	y = max(y, float64(g.Top)+12)
	apart := func(class string) float64 {
		if class == what {
			return 3 * signApart
		}
		return signApart
	}
	for _, s := range g.Signs[max(0, len(g.Signs)-len(looks)):] {
		u, _ := strconv.ParseFloat(s.X, 64)
		v, _ := strconv.ParseFloat(s.Y, 64)
		if d := apart(s.Class); math.Abs(x-3-u) < d && math.Abs(y-v) < d {
			return
		}
	}
	g.Signs = append(g.Signs, glyph{px(x - 3), px(y), what, looks[at].sign})
}

// axes adds the ticks and the titles of the axes.
func (l *layout) axes(g *plot, p Panel, step float64, y func(int64) float64) {
	g.Empty = len(p.Bars) == 0
	unit, name := l.axis.unit()
	g.YTitle = "payload so far (" + name + ")"
	if l.picture.TCP {
		g.YTitle = "sequence number (" + name + ")"
	}
	by := max(nice(float64(l.axis.covered)/float64(unit), 5), 1/float64(unit))
	for i, b := range l.axis.blocks {
		n := len(g.YTicks)
		for k := math.Ceil(float64(b.low)/float64(unit)/by - 1e-9); k*by*float64(unit) <= float64(b.high); k++ {
			g.YTicks = append(g.YTicks, tick{px(y(int64(math.Round(k * by * float64(unit))))), number(k * by)})
		}
		if len(g.YTicks) == n {
			g.YTicks = append(g.YTicks, tick{px(y(b.low)), number(float64(b.low) / float64(unit))})
		}
		if i > 0 {
			gap := b.low - l.axis.blocks[i-1].high
			g.Breaks = append(g.Breaks, tick{px(y(b.low) + breakHeight/2), number(math.Round(100*float64(gap)/float64(unit))/100) + " " + name + " that no packet here has"})
		}
	}
	if !l.inTime {
		g.XTitle = "packets of the flow, by their numbers in the capture"
		g.XTicks = numberTicks(p.Bars, step)
		return
	}
	per, name := time.Second, "s"
	switch {
	case l.span < 2*time.Millisecond:
		per, name = time.Microsecond, "µs"
	case l.span < 2*time.Second:
		per, name = time.Millisecond, "ms"
	}
	g.XTitle = "time since the first packet that is shown (" + name + ")"
	all := float64(l.span) / float64(per)
	by = nice(all, 10)
	for k := 0.; k*by <= all; k++ {
		g.XTicks = append(g.XTicks, tick{px(plotLeft + 12 + k*by/all*(plotWidth-24)), number(k * by)})
	}
}

// numberTicks returns ticks with the numbers of bars that are step pixels apart.
func numberTicks(bars []Bar, step float64) (list []tick) {
	if len(bars) == 0 {
		return nil
	}
	const apart = 50 // pixels
	by := max(1, int(nice(float64(bars[len(bars)-1].Number-bars[0].Number), 12)))
	last, next := -float64(apart), 0
	for _, b := range bars {
		x := (float64(b.pos) + .5) * step
		if b.Number < next || x-last < apart {
			continue
		}
		list = append(list, tick{px(plotLeft + x), strconv.Itoa(b.Number)})
		last, next = x, (b.Number/by+1)*by
	}
	return list
}

// nice returns a step of 1, 2 or 5 times a power of ten, of which all has about n.
func nice(all float64, n int) float64 {
	raw := max(all, 1e-9) / float64(n)
	base := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, k := range []float64{1, 2, 5} {
		if k*base >= raw {
			return k * base
		}
	}
	return 10 * base
}

// number returns a number for a tick.
func number(v float64) string {
	if math.Abs(v) < 1e-9 {
		return "0"
	}
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}

// legend returns the legend: what the picture has.
func (l *layout) legend() (list []key) {
	x := plotLeft
	add := func(class, sign, text string) {
		k := key{X: x, SignX: x + 17, TextX: x + 18, Class: class, Sign: sign, Text: text}
		if sign != "" {
			k.TextX += 4 + 9*len([]rune(sign))
		}
		list = append(list, k)
		x = k.TextX + 7*len([]rune(text)) + 16
	}
	if l.used["seg"] {
		add("seg", "", "segment")
	}
	if l.used["box"] {
		add("box", "", "superpacket, over its segments")
	}
	if l.used["none"] {
		add("none", "", "without payload")
	}
	for _, k := range looks {
		if l.used[k.what] {
			add(k.what, k.sign, k.legend)
		}
	}
	return list
}

// span returns the time from the first bar to the latest.
func span(bars []Bar) (d time.Duration) {
	for _, b := range bars {
		d = max(d, b.Time.Sub(bars[0].Time))
	}
	return d
}
