// SPDX-License-Identifier: MIT

package compare

import (
	"fmt"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// Told is something that is said about a flow whose packets came through. It is no finding.
type Told struct {
	What    string `json:"what"` // Recut, Translated or Fragmented
	Flow    string `json:"flow"`
	Became  string `json:"became,omitempty"` // the flow after, if it was translated
	Packets [2]int `json:"packets"`
	Largest [2]int `json:"largest"` // the largest payload of these packets, if they were cut elsewhere
	Bytes   int    `json:"bytes,omitempty"`
	Text    string `json:"text"`
}

// These are the values of Told.What.
const (
	Recut      = "cut elsewhere"
	Translated = "translated"
	Fragmented = "fragmented otherwise"
)

// recut counts the packets of a flow whose bytes came through with other boundaries.
type recut struct {
	packets [2]int
	largest [2]int // payload bytes, of a superpacket with a VnetHdr those of a segment
	supers  [2]int // packets that are superpackets with a VnetHdr
	bytes   int
}

const maxTold = 1000 // flows

// countRecut counts a packet of which the other side has bytes with other boundaries.
func (m *Matcher) countRecut(s strip) {
	m.Summary.Recut[s.side]++
	if !s.inStream() {
		return
	}
	if m.recuts == nil {
		m.recuts = map[packet.Flow]*recut{}
	}
	r := m.recuts[s.flow.key]
	if r == nil {
		if len(m.recuts) == maxTold {
			return
		}
		r = &recut{}
		m.recuts[s.flow.key] = r
	}
	r.packets[s.side]++
	n := len(s.data)
	if s.size > 0 && s.size < n { // what goes out is as long as its VnetHdr says
		n = s.size
		r.supers[s.side]++
	}
	r.largest[s.side] = max(r.largest[s.side], n)
	if s.side == After {
		r.bytes += len(s.data)
	}
}

// Told returns what is said about flows whose packets came through.
func (m *Matcher) Told() (list []Told) {
	for f, g := range m.nat.to {
		n := m.nat.moved[f]
		if n == 0 {
			continue
		}
		list = append(list, Told{What: Translated, Flow: f.String(), Became: g.String(), Packets: [2]int{0, n}, Text: fmt.Sprintf("addresses and ports were translated: %s became %s (%s)", f, g, record.Count(n, "packet"))})
	}
	for f, r := range m.recuts {
		t := Told{What: Recut, Flow: f.String(), Packets: r.packets, Largest: r.largest, Bytes: r.bytes}
		of := [2]string{record.Count(r.packets[Before], "packet"), fmt.Sprint(r.packets[After])}
		for side, n := range r.supers {
			if n == r.packets[side] {
				of[side] = record.Count(n, "superpacket") + " with segments"
			}
		}
		t.Text = fmt.Sprintf("%s: the stream came through cut elsewhere: %s of up to %d bytes became %s of up to %d", t.Flow, of[Before], r.largest[Before], of[After], r.largest[After])
		if r.largest[After] > r.largest[Before] {
			t.Text += ", longer than any before: a link with a smaller MTU drops those"
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(x, y Told) int { return slices.Compare([]string{x.What, x.Flow}, []string{y.What, y.Flow}) })
	if n := m.Summary.Datagrams; n > 0 {
		list = append(list, Told{What: Fragmented, Text: fmt.Sprintf("%s came through in other fragments, or whole", record.Count(n, "datagram"))})
	}
	return list
}
