// SPDX-License-Identifier: MIT

package page

import "tunproof/fuzz/packet"

const maxReplayed = 100_000 // packets of a file that Flows draw

// Flows takes the packets of a file in their order, and makes pictures of their flows.
type Flows struct {
	byKey map[packet.Flow]*drawn
	bars  int
}

// drawn is a flow of Flows.
type drawn struct {
	tally
	stream
	Panel
}

// Place is where Flows put a bar. The zero Place is nowhere.
type Place struct {
	flow *drawn
	bar  int
}

// Add adds a packet. bar has its number and how it is marked; Add sets the rest.
func (f *Flows) Add(bar Bar, b []byte) Place {
	if f.byKey == nil {
		f.byKey = map[packet.Flow]*drawn{}
	}
	key := keyOf(b)
	d := f.byKey[key]
	if d == nil {
		if len(f.byKey) == maxFlows {
			return Place{}
		}
		d = &drawn{tally: tally{flow: key, first: len(f.byKey)}}
		f.byKey[key] = d
	}
	d.bytes += len(b)
	if bar.What != "" {
		d.signs++
	}
	if f.bars == maxReplayed {
		d.Left++
		return Place{}
	}
	f.bars++
	bar.At, bar.Len = d.place(b)
	d.append(bar)
	return Place{d, len(d.Bars) - 1}
}

// Box adds a superpacket that was made of packets.
func (f *Flows) Box(members []Place, what, title string) {
	var list []int
	for _, m := range members {
		if m.flow == nil {
			return
		}
		list = append(list, m.bar)
	}
	d := members[0].flow
	if what != "" {
		d.signs++
	}
	d.Boxes = append(d.Boxes, Box{list, what, title})
}

// Pictures returns pictures of the flows with the most findings or, if there is none, of the
// largest, and a note about those that have none.
func (f *Flows) Pictures() (pictures []Picture, note string) {
	var list []Picture
	flows := map[packet.Flow]*tally{}
	for key, d := range f.byKey {
		flows[key] = &d.tally
	}
	chosen, left := choose(flows)
	var details []*Picture
	for _, t := range chosen {
		p := pictureOf(t)
		p.ByOrder = true
		p.Panels = []Panel{f.byKey[t.flow].Panel}
		list = append(list, p)
		var d *Picture
		if w, ok := p.window(); ok {
			d = p.detail(w)
		}
		details = append(details, d)
	}
	return arranged(list, details), undrawn(left)
}
