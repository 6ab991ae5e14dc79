// SPDX-License-Identifier: MIT

package page

import (
	"fmt"
	"slices"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
)

// Dump is a packet whose bytes are shown.
type Dump struct {
	Title   string // which packet it is
	Data    []byte
	Marks   []Mark
	Vnet    []VnetField // the fields of its VnetHdr, if it has one
	Comment string      // of the packet in the capture
	Missing string      // why there are no bytes; "" if there are
}

// Mark is a range of bytes to mark.
type Mark struct {
	Off, Len int
	Name     string // of the field
	Value    string // what is said about it, such as "6212, want 6211"
}

// VnetField is a field of a VnetHdr.
type VnetField struct {
	Name   string
	Value  uint16
	Marked bool
}

// NewDump returns the dump of a packet.
func NewDump(title string, b []byte) Dump { return Dump{Title: title, Data: b} }

// mark marks a field of the packet, by a name of package packet or of package check. It
// does nothing if the packet does not have the field.
func (d *Dump) mark(field, value string) {
	if name, is := strings.CutPrefix(field, "vnet."); is {
		for i := range d.Vnet {
			d.Vnet[i].Marked = d.Vnet[i].Marked || d.Vnet[i].Name == name
		}
		return
	}
	for _, f := range packet.Fields(d.Data) {
		if f.Name == field {
			d.Marks = append(d.Marks, Mark{f.Off, f.Len, field, value})
		}
	}
	if l4 := packet.Parse(d.Data).L4Off; l4 > 0 && (field == "tcp.header" || field == "udp.header") {
		d.Marks = append(d.Marks, Mark{l4, len(d.Data) - l4, field, value})
	}
}

// setVnet sets the VnetHdr of the packet.
func (d *Dump) setVnet(h pkts.VnetHdr) {
	d.Vnet = []VnetField{{"flags", uint16(h.Flags), false}, {"gso_type", uint16(h.GSOType), false}, {"hdr_len", h.HdrLen, false},
		{"gso_size", h.GSOSize, false}, {"csum_start", h.CsumStart, false}, {"csum_offset", h.CsumOffset, false}}
}

// Sides returns two packets side by side: was and is are their titles. What differs is marked
// in both, but not in the fields that are ignored. A packet that is not there is nil, and
// missing is shown in its place.
func Sides(was, is string, before, after []byte, ignored []string, missing string) []Dump {
	x, y := NewDump(was, before), NewDump(is, after)
	switch {
	case before == nil && after == nil:
		return nil
	case before == nil:
		x.Missing = missing
	case after == nil:
		y.Missing = missing
	default:
		for _, d := range packet.Diff(before, after) {
			if slices.Contains(ignored, d.Field) {
				continue
			}
			if d.Field == "length" {
				n := min(len(before), len(after))
				x.markRest(n, d.WantText)
				y.markRest(n, d.GotText)
				continue
			}
			x.markDifferent(d.Field, d.WantText, before, after)
			y.markDifferent(d.Field, d.GotText, after, before)
		}
	}
	for _, d := range []Dump{x, y} {
		slices.SortStableFunc(d.Marks, func(a, b Mark) int { return a.Off - b.Off })
	}
	return []Dump{x, y}
}

// markRest marks the bytes from offset n on, which the other packet does not have.
func (d *Dump) markRest(n int, value string) {
	if n < len(d.Data) {
		d.Marks = append(d.Marks, Mark{n, len(d.Data) - n, "only here", value})
	}
}

// maxRuns is how many ranges of a payload that differ are marked.
const maxRuns = 20

// markDifferent marks those bytes of a field of b in which it differs from other.
func (d *Dump) markDifferent(field, value string, b, other []byte) {
	for _, f := range packet.Fields(b) {
		if f.Name != field {
			continue
		}
		end := min(f.Off+f.Len, len(other))
		if field != "payload" {
			d.Marks = append(d.Marks, Mark{f.Off, f.Len, field, value})
			continue
		}
		for at, n := f.Off, 0; at < end && n < maxRuns; at++ {
			if b[at] == other[at] {
				continue
			}
			from := at
			for at < end && b[at] != other[at] {
				at++
			}
			m := Mark{Off: from, Len: at - from, Name: field}
			if n++; n == 1 {
				m.Value = value
			}
			d.Marks = append(d.Marks, m)
		}
	}
}

const (
	rowLen    = 16 // bytes of a row
	wholeLen  = 256
	headRows  = 6  // rows that are shown of a packet longer than wholeLen, besides those with a mark
	markRows  = 4  // rows that are shown of a long mark
	allRows   = 24 // rows that are shown because of marks
	aroundRow = 1  // rows that are shown before and after a mark

	maxComment = 500 // bytes
)

// row is a row of a dump, or a gap.
type row struct {
	Gap      int // bytes that are left out here; 0 in a row
	Off      string
	Hex, Txt []run
}

// run is consecutive bytes of a row that are shown alike.
type run struct {
	Text   string
	Field  string
	Marked bool
}

// laid is a dump, ready to be shown.
type laid struct {
	Dump
	Line string // a description of the packet
	Rows []row
}

// layDump lays out a dump.
func layDump(d Dump) laid {
	l := laid{Dump: d}
	if d.Missing != "" {
		return l
	}
	l.Line = packet.Line(d.Data)
	if len(l.Comment) > maxComment {
		l.Comment = strings.ToValidUTF8(l.Comment[:maxComment], "") + "..."
	}
	marked := make([]bool, len(d.Data))
	field := make([]string, len(d.Data))
	for _, f := range packet.Fields(d.Data) {
		for i := f.Off; i < f.Off+f.Len; i++ {
			field[i] = f.Name
		}
	}
	for _, m := range d.Marks {
		for i := m.Off; i < min(m.Off+m.Len, len(d.Data)); i++ {
			marked[i] = true
		}
	}
	shown := d.shownRows()
	for r := 0; r*rowLen < len(d.Data); r++ {
		from, to := r*rowLen, min((r+1)*rowLen, len(d.Data))
		if !shown[r] {
			if n := len(l.Rows); n > 0 && l.Rows[n-1].Gap > 0 {
				l.Rows[n-1].Gap += to - from
			} else {
				l.Rows = append(l.Rows, row{Gap: to - from})
			}
			continue
		}
		l.Rows = append(l.Rows, layRow(d.Data, from, to, field, marked))
	}
	return l
}

// shownRows returns which rows of a packet are shown.
func (d *Dump) shownRows() []bool {
	shown := make([]bool, (len(d.Data)+rowLen-1)/rowLen)
	for i := range shown {
		shown[i] = len(d.Data) <= wholeLen || i < headRows
	}
	n := 0
	for _, m := range d.Marks {
		first := m.Off / rowLen
		last := min((m.Off+max(1, m.Len)-1)/rowLen, first+markRows-1)
		for r := max(0, first-aroundRow); r <= min(len(shown)-1, last+aroundRow) && n < allRows; r++ {
			if !shown[r] {
				n++
			}
			shown[r] = true
		}
	}
	return shown
}

// layRow lays out the bytes from from to to.
func layRow(b []byte, from, to int, field []string, marked []bool) row {
	r := row{Off: fmt.Sprintf("%04x", from)}
	add := func(list []run, text string, i int) []run {
		if n := len(list); n > 0 && list[n-1].Marked == marked[i] && list[n-1].Field == field[i] {
			list[n-1].Text += text
			return list
		}
		return append(list, run{text, field[i], marked[i]})
	}
	for i := from; i < to; i++ {
		r.Hex = add(r.Hex, fmt.Sprintf("%02x", b[i]), i)
		c := "."
		if b[i] >= ' ' && b[i] <= '~' {
			c = string(rune(b[i]))
		}
		r.Txt = add(r.Txt, c, i)
		if i == to-1 {
			break
		}
		space := " "
		if i-from == rowLen/2-1 {
			space = "  "
		}
		if marked[i+1] == marked[i] && field[i+1] == field[i] {
			r.Hex = add(r.Hex, space, i)
		} else {
			r.Hex = append(r.Hex, run{Text: space})
		}
	}
	if n := rowLen - (to - from); n > 0 {
		pad := 3 * n
		if to-from <= rowLen/2 {
			pad++
		}
		r.Hex = append(r.Hex, run{Text: strings.Repeat(" ", pad)})
	}
	return r
}

// Told returns the marks that have something to say, without repetitions.
func (d Dump) Told() (list []Mark) {
	for _, m := range d.Marks {
		if m.Value != "" && !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
