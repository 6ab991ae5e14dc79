// SPDX-License-Identifier: MIT

package page

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/packet"
)

// Compare takes the findings of compare, one after another, and makes a Section of its
// report.
type Compare struct{ in [2]input }

// Found takes a finding. It is compare's Config.Each.
func (c *Compare) Found(f compare.Finding) {
	mark := func(side, number, segment int) {
		if number > 0 && (f.What != compare.Duplicated || side == compare.After) {
			c.in[side].signs.add(number, sign{f.What, segment})
		}
	}
	for side := range c.in {
		if f.Packets[side] == 1 && f.Count > 1 && len(f.Runs[side]) == 0 {
			c.in[side].all = f.What
		}
		mark(side, f.Packets[side], f.Segments[side])
		for _, r := range f.Runs[side] {
			for n := r[0]; n <= r[1]; n++ {
				mark(side, n, 0)
			}
		}
	}
}

// Cut takes the size of the segments into which a superpacket was cut. It is compare's
// Config.Cut.
func (c *Compare) Cut(side, number, size int) {
	if c.in[side].sizes == nil {
		c.in[side].sizes = map[int]int{}
	}
	if len(c.in[side].sizes) < maxSigns {
		c.in[side].sizes[number] = size
	}
}

// Section returns the section of a report. It reads the captures again. failed is the error
// that ended the judging, nil if none did.
func (c *Compare) Section(r *compare.Report, failed error) (Section, error) {
	s := Section{Title: r.Before + " and " + r.After, Result: r.Record.Result, Verdict: r.Verdict(), About: r.Counted(), Notes: slices.Clone(r.Notes)}
	if failed != nil {
		s.Notes = append(s.Notes, failed.Error())
	}
	for _, k := range r.Kinds() {
		s.Kinds = append(s.Kinds, Kind{N: k.N, Name: k.Name, Rule: k.Rule})
	}
	for i, f := range r.Findings {
		for side := range c.in {
			if i < MostDumped {
				c.in[side].want(f.Packets[side])
			}
		}
	}
	was := map[string]packet.Flow{}
	flows := map[packet.Flow]*tally{}
	for side := range c.in {
		c.in[side].name, c.in[side].most = [...]string{r.Before, r.After}[side], r.Summary.Packets[side]
		if err := c.in[side].count(flows, was); err != nil {
			return s, err
		}
		if side == compare.Before {
			was = translated(r, flows)
		}
		if note := c.in[side].signs.note(); note != "" {
			s.Notes = append(s.Notes, c.in[side].name+": "+note)
		}
	}
	list := List{Title: "Findings"}
	for i, f := range r.Findings {
		text, more, _ := strings.Cut(f.String(), "\n")
		x := Finding{Text: text}
		if more != "" {
			x.More = strings.Split(more, "\n")
		}
		if i < MostDumped {
			x.Dumps = c.dumps(f, r.Ignored)
		}
		list.Findings = append(list.Findings, x)
	}
	list.Bound(r.More(), fmt.Sprintf("-max N shows up to N, on a page up to %d; all N are printed", MostLines))
	if len(list.Findings) > 0 {
		s.Lists = []List{list}
	}
	drawn, left := choose(flows)
	s.Undrawn = undrawn(left)
	var err error
	s.Pictures, err = draw(drawn, []*input{&c.in[0], &c.in[1]}, []string{"before", "after"}, was)
	return s, err
}

// translated returns the flows before a translation, by the text of what they became.
func translated(r *compare.Report, flows map[packet.Flow]*tally) map[string]packet.Flow {
	byText := map[string]packet.Flow{}
	for f := range flows {
		byText[f.String()] = f
	}
	was := map[string]packet.Flow{}
	for _, t := range r.Told {
		if from, ok := byText[t.Flow]; ok && t.What == compare.Translated {
			was[t.Became] = from
		}
	}
	return was
}

// dumps returns the packets of a finding, before and after, as they were compared. Fields
// that were ignored are not marked.
func (c *Compare) dumps(f compare.Finding, ignored []string) []Dump {
	same := f.What == compare.Reordered || f.What == compare.Duplicated
	byField := f.What == compare.Changed && (f.Data[0] == nil || f.Data[1] == nil) // more packets than two
	var titles [2]string
	data := f.Data
	for side := range c.in {
		titles[side] = [...]string{"before", "after"}[side]
		n := f.Packets[side]
		if n == 0 {
			continue
		}
		titles[side] += fmt.Sprintf(": packet %d", n)
		whole := c.in[side].kept[n].Data
		switch segment := f.Segments[side]; {
		case segment > 0 && data[side] == nil && !same:
			titles[side] += fmt.Sprintf(", segment %d, of which the superpacket is shown", segment)
		case segment > 0:
			titles[side] += fmt.Sprintf(", segment %d", segment)
		case data[side] == nil || whole == nil || bytes.Equal(data[side], whole):
		case keyOf(data[side]) != keyOf(whole):
			titles[side] += ", translated"
			data[side], byField = whole, true
		default:
			titles[side] += ", its partial checksum completed"
		}
		if data[side] == nil {
			data[side] = whole
		}
	}
	switch {
	case same:
		side := compare.After
		if f.Segments[side] > 0 && f.Data[side] == nil { // only its superpacket is known
			side = compare.Before
		}
		return []Dump{NewDump(titles[0]+"; "+titles[1]+"; the bytes are the same", data[side])}
	case byField && f.What == compare.Changed:
		list := []Dump{NewDump(titles[0], data[0]), NewDump(titles[1], data[1])}
		for _, d := range f.Fields {
			list[0].mark(d.Field, d.WantText)
			list[1].mark(d.Field, d.GotText)
		}
		return list
	}
	return Sides(titles[0], titles[1], data[0], data[1], ignored, "no such packet in this capture")
}
