// SPDX-License-Identifier: MIT

package replay

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tunproof/fuzz/capture/page"
	"tunproof/fuzz/scenario"
)

// gathered is what the page of a file has, from all of its parts. A nil *gathered takes
// nothing.
type gathered struct {
	violations, supers, packets list
	reasons                     map[string]int
	flows                       page.Flows
}

// list is a list of a page, which is bounded.
type list struct {
	kept       []page.Finding
	most, more int
}

// mostListed is how many superpackets and packets a page has. They are no findings, and each
// packet of a capture is one.
const mostListed = 2000

// newGathered returns an empty gathered.
func newGathered() *gathered {
	return &gathered{violations: list{most: page.MostLines}, supers: list{most: mostListed}, packets: list{most: mostListed}, reasons: map[string]int{}}
}

// add adds a finding. dumps returns its packets, which are not needed for all findings.
func (l *list) add(text string, more []string, dumps func() []page.Dump) {
	if len(l.kept) == l.most {
		l.more++
		return
	}
	f := page.Finding{Text: text, More: more}
	if len(l.kept) < page.MostDumped {
		f.Dumps = dumps()
	}
	l.kept = append(l.kept, f)
}

// add takes the results of a part, and the scenario that it is of.
func (g *gathered) add(p *part, s scenario.Scenario) {
	if g == nil {
		return
	}
	for _, v := range p.Violations {
		text, more := lines(v.String())
		g.violations.add(text, more, func() []page.Dump { return page.Sides("want", "got", v.want, v.got, nil, "no packet") })
	}
	for i, b := range p.Batches {
		g.addBatch(p, i, b, s.Batches[i])
	}
	for i, x := range p.Supers {
		text, more := p.superText(i)
		g.supers.add(text, more, func() []page.Dump {
			if len(x.Produced) == 0 {
				return []page.Dump{page.NewDump("the superpacket", x.Data)}
			}
			return page.Sides("the superpacket", fmt.Sprintf("segment 0 of %d", len(x.Produced)), x.Data, x.Produced[0], nil, "")
		})
		what := ""
		if p.violates(x.Data) {
			what = page.Wrong
		}
		g.flows.Add(page.Bar{Number: p.superNumber(i), Size: int(x.Vnet.GSOSize), What: what}, x.Data)
	}
}

// addBatch takes batch i of a part, whose packets are batch.
func (g *gathered) addBatch(p *part, i int, b BatchReport, batch [][]byte) {
	bars := make([]page.Place, len(batch))
	for k, packet := range b.Packets {
		g.reasons[packet.Reason]++
		text, why := p.packetText(i, k)
		number := p.numbersOf(i, []int{k})[0]
		g.packets.add(text, []string{why}, func() []page.Dump {
			if packet.Back == nil {
				return []page.Dump{page.NewDump(fmt.Sprintf("packet %d", number), batch[k])}
			}
			changed := p.numbersOf(i, []int{packet.Changed})[0]
			return page.Sides(fmt.Sprintf("packet %d as it came", changed), fmt.Sprintf("packet %d as it would come back", changed), batch[packet.Changed], packet.Back, nil, "")
		})
		what := ""
		if p.violates(batch[k]) {
			what = page.Wrong
		}
		bars[k] = g.flows.Add(page.Bar{Number: number, What: what}, batch[k])
	}
	for k, x := range b.Supers {
		text := p.joinedText(i, k)
		if len(x.Packets) < 2 {
			continue // it is among the packets
		}
		g.supers.add(text, []string{x.Vnet.String(), x.Line}, func() []page.Dump {
			first := x.Packets[0]
			return page.Sides(fmt.Sprintf("packet %d, the first of %d", p.numbersOf(i, []int{first})[0], len(x.Packets)), "the superpacket", batch[first], x.Data, nil, "")
		})
		what := ""
		if p.violates(x.Data) {
			what = page.Wrong
		}
		var members []page.Place
		for _, m := range x.Packets {
			members = append(members, bars[m])
		}
		g.flows.Box(members, what, text)
	}
}

// violates reports whether a violation names b, as the packet that was expected or got.
func (p *part) violates(b []byte) bool {
	return slices.ContainsFunc(p.Violations, func(v violation) bool {
		return v.want != nil && bytes.Equal(b, v.want) || v.got != nil && bytes.Equal(b, v.got)
	})
}

// mostStack is how many lines of a violation are kept: a panic has a long stack.
const mostStack = 60

// lines splits a text into its first line and the others.
func lines(s string) (first string, more []string) {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(all) > mostStack {
		all = append(all[:mostStack], "...")
	}
	for _, line := range all[1:] {
		more = append(more, strings.TrimSpace(line))
	}
	return all[0], more
}

// section returns the section of the report. failed is the error that ended it, nil if none
// did.
func (r *Report) section(failed error) page.Section {
	s := page.Section{Title: r.File, Result: r.Record.Result, Notes: slices.Clone(r.Notes)}
	var more []string
	s.Verdict, more = lines(r.verdict())
	s.About = append(more, string(r.Kind))
	for _, a := range r.Asked {
		s.Notes = append(s.Notes, "asked the kernel: "+a)
	}
	if failed != nil {
		s.Notes = append(s.Notes, failed.Error())
	}
	g := r.gathered
	for _, reason := range slices.Sorted(maps.Keys(g.reasons)) {
		s.Kinds = append(s.Kinds, page.Kind{N: g.reasons[reason], Name: "packets: " + reason})
	}
	s.Pictures, s.Undrawn = g.flows.Pictures()
	for _, x := range []struct {
		title string
		list  list
	}{{"Violations", g.violations}, {"Superpackets", g.supers}, {"Packets", g.packets}} {
		if len(x.list.kept) == 0 {
			continue
		}
		l := page.List{Title: x.title, Findings: x.list.kept}
		l.Bound(x.list.more, "all are printed, unless -q is given")
		s.Lists = append(s.Lists, l)
	}
	return s
}
