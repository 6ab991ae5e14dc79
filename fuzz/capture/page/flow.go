// SPDX-License-Identifier: MIT

package page

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

const (
	maxFlows     = 1 << 16 // flows of a capture that are counted
	mostPictures = 6       // flows that are drawn
)

// tally counts the packets of a flow on both sides.
type tally struct {
	flow         packet.Flow
	signs, bytes int
	first        int // the order in which flows came
}

// keyOf returns the flow of a packet.
func keyOf(b []byte) packet.Flow { return packet.Parse(b).Flow(b) }

// original returns the flow that f was before a translation.
func original(f packet.Flow, was map[string]packet.Flow) packet.Flow {
	if len(was) == 0 {
		return f
	}
	if from, ok := was[f.String()]; ok {
		return from
	}
	return f
}

// choose returns the flows to draw: those with the most findings or, if none has one, the
// largest. It also returns how many flows with findings are left out.
func choose(flows map[packet.Flow]*tally) (list []*tally, left int) {
	for _, t := range flows {
		list = append(list, t)
	}
	slices.SortFunc(list, func(x, y *tally) int {
		return cmp.Or(cmp.Compare(y.signs, x.signs), cmp.Compare(y.bytes, x.bytes), cmp.Compare(x.first, y.first))
	})
	with := len(list)
	if i := slices.IndexFunc(list, func(t *tally) bool { return t.signs == 0 }); i >= 0 {
		with = i
	}
	n := min(len(list), max(1, min(with, mostPictures)))
	return list[:n], max(0, with-n)
}

// undrawn returns a note about flows without a picture.
func undrawn(left int) string {
	if left == 0 {
		return ""
	}
	return fmt.Sprintf("%s with findings not drawn, which have fewer findings. A capture of one flow alone shows it: tcpdump -r CAPTURE -w FLOW.pcap host ADDRESS and port PORT", record.Count(left, "more flow"))
}

// stream places the packets of a flow on the axis of bytes.
type stream struct {
	begun bool
	base  uint32 // sequence number of byte 0
	next  int64  // the end of the latest packet
	sum   int64  // payload so far
}

// place returns where the payload of a packet begins, and its length. In TCP that is the
// distance from the sequence number of the first packet. Otherwise it is the payload that
// the capture had before.
func (s *stream) place(b []byte) (at int64, n int) {
	h := packet.Parse(b)
	if h.Proto == 6 && h.PayloadOff > 0 && !h.Fragment {
		seq := binary.BigEndian.Uint32(b[h.L4Off+4:])
		if !s.begun {
			s.begun, s.base = true, seq
		}
		at = s.next + int64(int32(seq-s.base-uint32(s.next)))
		n = h.End(b) - h.PayloadOff
		s.next = max(s.next, at+int64(n))
		return at, n
	}
	switch {
	case h.PayloadOff > 0:
		n = h.End(b) - h.PayloadOff
	case h.Version == 4:
		n = len(b) - 4*int(b[0]&15)
	case h.Version == 6:
		n = len(b) - 40
	default:
		n = len(b)
	}
	at = s.sum
	s.sum += int64(n)
	return at, n
}

// draw returns the pictures of flows, with a panel for each input. was has what the flows of
// the second input were before a translation.
func draw(flows []*tally, inputs []*input, panels []string, was map[string]packet.Flow) ([]Picture, error) {
	list := make([]Picture, len(flows))
	index := map[packet.Flow]int{}
	streams := make([]stream, len(flows))
	for i, t := range flows {
		index[t.flow] = i
		list[i] = pictureOf(t)
		for _, name := range panels {
			list[i].Panels = append(list[i].Panels, Panel{Name: name})
		}
	}
	pass := func(take func(i, side int, b Bar)) error {
		for side, in := range inputs {
			for i := range streams {
				streams[i].next, streams[i].sum = 0, 0
			}
			of := was
			if side == compare.Before {
				of = nil
			}
			err := in.each(func(p pcap.Packet) {
				if i, ok := index[original(keyOf(p.Data), of)]; ok {
					take(i, side, in.bar(&streams[i], p))
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := pass(func(i, side int, b Bar) { list[i].Panels[side].add(b) }); err != nil {
		return nil, err
	}
	details := make([]*Picture, len(list))
	windows := make([]window, len(list))
	again := false // the bars of a window are joined with others
	for i, p := range list {
		w, ok := p.window()
		if !ok {
			continue
		}
		windows[i], details[i] = w, p.detail(w)
		if p.joined() {
			again = true
			for side := range details[i].Panels {
				details[i].Panels[side] = Panel{Name: panels[side]}
			}
		}
	}
	if again {
		err := pass(func(i, side int, b Bar) {
			if d := details[i]; d != nil && list[i].joined() && windows[i].has(side, b, len(d.Panels[side].Bars)) {
				d.Panels[side].add(b)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return arranged(list, details), nil
}

// arranged returns the pictures that are worth it, each with its details after it.
func arranged(list []Picture, details []*Picture) (all []Picture) {
	for i, p := range list {
		if !p.plain() {
			all = append(all, p)
		}
		if details[i] != nil {
			all = append(all, *details[i])
		}
	}
	return all
}

// bar returns the bar of a packet.
func (in *input) bar(s *stream, p pcap.Packet) Bar {
	b := Bar{Number: p.Number, Time: p.Time}
	b.At, b.Len = s.place(p.Data)
	if h, has, err := pcap.Vnet(p.Comment); has && err == nil && h.GSOType != 0 {
		b.Size = int(h.GSOSize)
	}
	b.Size = max(b.Size, in.sizes[p.Number])
	b.What = in.all
	for _, x := range in.signs.of[p.Number] {
		if x.segment == 0 || b.Size == 0 {
			b.What = stronger(b.What, x.what)
			continue
		}
		from := b.At + int64(x.segment-1)*int64(b.Size)
		b.Parts = append(b.Parts, Part{x.what, x.segment, from, int(min(int64(b.Size), b.At+int64(b.Len)-from))})
	}
	return b
}

// stronger returns which of two signs a bar shows.
func stronger(x, y string) string {
	rank := func(s string) int {
		return slices.IndexFunc(looks, func(l look) bool { return l.what == s })
	}
	if x == "" || rank(y) < rank(x) {
		return y
	}
	return x
}

// plain reports whether a picture would show no more than one packet that is no superpacket.
func (p Picture) plain() bool {
	return !slices.ContainsFunc(p.Panels, func(p Panel) bool { return len(p.Bars) > 1 || len(p.Bars) == 1 && p.Bars[0].Size > 0 })
}

// pictureOf returns the picture of a flow, without panels.
func pictureOf(t *tally) Picture {
	p := Picture{Flow: t.flow.String(), TCP: t.flow.Proto == 6}
	if !t.flow.HasPorts() {
		p.Flow += ", fragments and packets without ports"
	}
	return p
}
