// SPDX-License-Identifier: MIT

package page

import (
	"slices"
	"strconv"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// Check takes the findings of check, one after another, and makes a Section of its report.
type Check struct{ in input }

// Found takes a finding. It is check's Options.Each.
func (c *Check) Found(f check.Finding) {
	what := Wrong
	if f.Suspect {
		what = suspect
	}
	c.in.signs.add(f.Packet, sign{what: what})
}

// Section returns the section of a report. It reads the capture again. failed is the error
// that ended the judging, nil if none did.
func (c *Check) Section(r *check.Report, failed error) (Section, error) {
	s := Section{Title: r.File, Result: r.Record.Result, Verdict: r.Verdict(), About: []string{r.Counted()}, Notes: slices.Clone(r.Notes)}
	if r.Suspect() {
		s.Result = Suspect
	}
	if failed != nil {
		s.Notes = append(s.Notes, failed.Error())
	}
	for _, k := range check.Kinds() {
		if n := r.Kinds[k.Name]; n > 0 {
			s.Kinds = append(s.Kinds, Kind{n, k.Name, k.Rule, k.Suspect})
		}
	}
	c.in.name, c.in.most = r.File, r.Seen.Packets
	folded, more := r.Folded()
	for i, f := range folded {
		if i < MostDumped {
			c.in.want(f.Packet)
		}
	}
	flows := map[packet.Flow]*tally{}
	if err := c.in.count(flows, nil); err != nil {
		return s, err
	}
	list := List{Title: "Findings"}
	for i, f := range folded {
		x := Finding{Text: f.Text}
		if f.Hint != "" {
			x.More = append(x.More, f.Hint)
		}
		if p, ok := c.in.kept[f.Packet]; ok && i < MostDumped {
			x.Dumps = []Dump{dumpOf(p, f.Finding)}
		}
		list.Findings = append(list.Findings, x)
	}
	list.Bound(more, "-max N shows more of each kind, up to "+strconv.Itoa(MostLines)+" on a page; all N are printed")
	if len(list.Findings) > 0 {
		s.Lists = []List{list}
	}
	if note := c.in.signs.note(); note != "" {
		s.Notes = append(s.Notes, note)
	}
	drawn, left := choose(flows)
	s.Undrawn = undrawn(left)
	var err error
	s.Pictures, err = draw(drawn, []*input{&c.in}, []string{""}, nil)
	return s, err
}

// dumpOf returns the dump of a packet with a finding.
func dumpOf(p pcap.Packet, f check.Finding) Dump {
	d := NewDump("packet "+strconv.Itoa(p.Number), p.Data)
	d.Comment = pcap.WithoutVnet(p.Comment)
	if h, has, err := pcap.Vnet(p.Comment); has && err == nil {
		d.setVnet(h)
	}
	value := "is " + f.Got
	if f.Want != "" {
		value += ", want " + f.Want
	}
	d.mark(f.Field, value)
	return d
}
