// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// strip is a unit as a part of a stream of bytes: a TCP segment, or a fragment of a
// datagram.
type strip struct {
	*unit
	from, to int
	data     []byte
}

// stitch compares units of both sides that have the same bytes of a TCP stream with other
// boundaries. Bytes of one side only are lost or extra. Two units alone are left to
// changes: the shorter one is the same packet without its end.
func (m *Matcher) stitch(g *group) {
	var strips [2][]strip
	base := seq(g.units[Before][0])
	for side, units := range g.units {
		slices.SortFunc(units, byPlace)
		for _, u := range units {
			if !u.waiting || !m.old(u) {
				return
			}
			at := int(int32(seq(u) - base))
			strips[side] = append(strips[side], strip{u, at, at + len(u.payload()), u.payload()})
		}
	}
	if len(strips[Before])+len(strips[After]) < 3 && !atEnd(strips) {
		return
	}
	for len(strips[Before])+len(strips[After]) > 0 {
		var layers [2][]strip
		for side := range strips {
			layers[side], strips[side] = layer(strips[side])
		}
		m.stitchLayer(layers)
	}
}

// atEnd reports whether one unit has another one at its end: what is before it is lost.
func atEnd(strips [2][]strip) bool {
	x, y := strips[Before][0], strips[After][0]
	return x.from != y.from && x.to == y.to
}

// stitchLast compares a superpacket of datagrams with the only datagram of the other side that
// it contains, if that is at its end. Nothing shows how many are lost before it.
func (m *Matcher) stitchLast(u *unit, laps []lap) {
	if len(laps) != 1 || laps[0].at <= 0 || laps[0].y.long() || !u.waiting || !laps[0].y.waiting {
		return
	}
	y, n := laps[0].y, len(u.payload())
	if len(y.payload()) < leastSure || laps[0].at+len(y.payload()) != n {
		return // so few bytes are the same by chance, and elsewhere it is not at the end
	}
	var layers [2][]strip
	layers[u.side] = []strip{{u, 0, n, u.payload()}}
	layers[y.side] = []strip{{y, laps[0].at, n, y.payload()}}
	m.stitchLayer(layers)
}

// stitchSame compares the waiting packets of a flow that was cut elsewhere and that kept
// their boundaries: whoever cut it made new headers for them too.
func (m *Matcher) stitchSame(f *flow) {
	if m.recuts[f.key] == nil {
		return
	}
	after := map[uint32][]*unit{}
	for _, w := range f.waiting[After].units {
		if w.waiting && w.stream() && m.old(w) {
			after[seq(w)] = append(after[seq(w)], w)
		}
	}
	for _, u := range slices.Clone(f.waiting[Before].units) {
		if !u.waiting || !u.stream() || !m.old(u) {
			continue
		}
		for _, w := range after[seq(u)] {
			if n := len(u.payload()); w.waiting && len(w.payload()) == n && mostlyEqual(u.payload(), w.payload()) {
				m.stitchLayer([2][]strip{{{u, 0, n, u.payload()}}, {{w, 0, n, w.payload()}}})
				break
			}
		}
	}
}

// layer takes those strips that do not overlap an earlier one. It returns them in the order
// of the stream, and the rest: bytes that were sent again.
func layer(list []strip) (taken, rest []strip) {
	for _, s := range list {
		at, _ := slices.BinarySearchFunc(taken, s.from, func(x strip, from int) int { return cmp.Compare(x.from, from) })
		if at > 0 && taken[at-1].to > s.from || at < len(taken) && taken[at].from < s.to {
			rest = append(rest, s)
			continue
		}
		taken = slices.Insert(taken, at, s)
	}
	return taken, rest
}

// stitchLayer compares strips of both sides, which are in the order of their stream. It
// reports whether both sides have some of the same bytes.
func (m *Matcher) stitchLayer(layers [2][]strip) bool {
	var covers [2]map[*unit][]strip // the strips of the other side that cover some of a unit
	for side := range covers {
		covers[side] = map[*unit][]strip{}
	}
	for i, j := 0, 0; i < len(layers[Before]) && j < len(layers[After]); {
		b, a := layers[Before][i], layers[After][j]
		if a.from < b.to && b.from < a.to {
			covers[Before][b.unit] = append(covers[Before][b.unit], a)
			covers[After][a.unit] = append(covers[After][a.unit], b)
		}
		if b.to <= a.to {
			i++
		} else {
			j++
		}
	}
	for side := range layers {
		for _, s := range layers[side] {
			if len(covers[side][s.unit]) > 0 {
				m.pending[side].remove(s.unit)
				m.countRecut(s)
				if m.copied(s.unit) {
					m.torn.Put(s.hash, true)
				}
			}
		}
	}
	for _, a := range layers[After] {
		if of := covers[After][a.unit]; len(of) > 0 {
			m.came(of[0].unit, a.unit)
			if a.inStream() {
				if !m.copied(of[0].unit) && !m.copied(a.unit) { // the copy may be its counterpart
					m.placePair(of[0].unit, a.unit)
				}
			} else { // whoever puts datagrams together holds their fragments
				for _, s := range []strip{of[0], a} {
					m.sure[s.side].add(s.place())
					s.flow.sure[s.side].add(s.place())
				}
			}
			m.judgeStrip(a, of)
		}
	}
	for side := range layers {
		for _, s := range layers[side] {
			if of := covers[side][s.unit]; len(of) > 0 {
				m.missingBytes(s, of)
			}
		}
	}
	return len(covers[Before]) > 0
}

// copied reports whether a packet that is equal to u came through.
func (m *Matcher) copied(u *unit) bool {
	_, is := m.copies.Has(u.hash)
	return is
}

// judgeStrip reports where a differs from the strips that cover it.
func (m *Matcher) judgeStrip(a strip, of []strip) {
	differ := func(b strip, d packet.Difference, rule, text string) {
		if slices.Contains(m.cfg.Ignore, d.Field) {
			return
		}
		m.report(Finding{What: Changed, Packets: [2]int{b.number, a.number}, Segments: [2]int{b.segment, a.segment}, Fields: []packet.Difference{d}, Data: [2][]byte{b.b, a.b}, flow: b.flow.key, Rule: rule, Text: text})
	}
	for _, b := range of {
		from, to := max(a.from, b.from), min(a.to, b.to)
		want, got := b.data[from-b.from:to-b.from], a.data[from-a.from:to-a.from]
		if at := firstOther(want, got); at >= 0 {
			end := min(at+8, len(want))
			differ(b, packet.Difference{Field: "payload", Off: len(a.b) - len(a.data) + from - a.from + at, Want: want[at:end], Got: got[at:end],
				WantText: fmt.Sprintf("%x", want[at:end]), GotText: fmt.Sprintf("%x", got[at:end])}, "P2", fmt.Sprintf("byte %d of packet %d, which was cut elsewhere", from-b.from+at+1, b.number))
		}
	}
	for _, f := range packet.Fields(a.b[:len(a.b)-len(a.data)]) {
		if !a.inStream() && (f.Name == "ip.version_ihl" || f.Name == "ip.options") {
			continue // later fragments have fewer options
		}
		got := comparable(a.unit, f)
		if got == nil || slices.ContainsFunc(of, func(b strip) bool { return bytes.Equal(comparable(b.unit, fieldOf(b.unit, f.Name)), got) }) {
			continue
		}
		g := fieldOf(of[0].unit, f.Name)
		was, is := of[0].b[g.Off:g.Off+g.Len], a.b[f.Off:f.Off+f.Len]
		d := packet.Difference{Field: f.Name, Off: f.Off, Want: was, Got: is, WantText: fmt.Sprintf("%x", was), GotText: fmt.Sprintf("%x", is)}
		differ(of[0], d, cmp.Or(ruleOf(d), "P2"), "no packet with these bytes has this value")
	}
	for _, b := range of {
		if f := endFlags(b, a); f != "" {
			was, is := b.b[b.L4Off+13], a.b[a.L4Off+13]
			differ(b, packet.Difference{Field: "tcp.flags", Off: a.L4Off + 13, Want: []byte{was}, Got: []byte{is}, WantText: fmt.Sprintf("%02x", was), GotText: fmt.Sprintf("%02x", is)}, "E.last", f)
			break
		}
	}
	m.judgeSums(a, of, differ)
}

// judgeSums reports checksums and lengths of a that are wrong although those of the strips
// that cover it are right, and the reverse.
func (m *Matcher) judgeSums(a strip, of []strip, differ func(b strip, d packet.Difference, rule, text string)) {
	b := of[0]
	for _, d := range packet.Diff(righted(a), a.b) {
		if other := packet.Diff(righted(b), b.b); !slices.ContainsFunc(other, func(o packet.Difference) bool { return o.Field == d.Field }) {
			differ(b, d, cmp.Or(ruleOf(d), "P2"), "wrong in a packet that was cut elsewhere")
		}
	}
	for _, b := range of {
		if d := packet.Diff(righted(b), b.b); len(d) > 0 && bytes.Equal(righted(a), a.b) {
			differ(b, packet.Difference{Field: d[0].Field, Off: d[0].Off, Want: d[0].Got, Got: d[0].Want, WantText: d[0].GotText, GotText: d[0].WantText}, cmp.Or(ruleOf(d[0]), "P2"),
				"it was wrong and is right: a receiver can no longer see the damage")
		}
	}
}

// righted returns the packet of s with right lengths and checksums: those of IP, and those of
// TCP if s has a part of its stream.
func righted(s strip) []byte {
	b := bytes.Clone(s.b)
	packet.Fix(b, packet.FixIPLen|packet.FixIPCsum)
	if s.inStream() {
		packet.Fix(b, packet.FixL4Csum)
	}
	return b
}

// inStream reports whether s is a part of a TCP stream, and not of a datagram.
func (s strip) inStream() bool { return s.PayloadOff > 0 && len(s.b)-len(s.data) == s.PayloadOff }

// fieldOf returns the field of u with this name; an empty one if it has none.
func fieldOf(u *unit, name string) packet.Field {
	for _, f := range packet.Fields(u.b) {
		if f.Name == name {
			return f
		}
	}
	return packet.Field{}
}

// comparable returns the bytes of a header field that a packet keeps when its payload is cut
// elsewhere; nil if it keeps none. Time stamps and the flags of the ends may differ.
func comparable(u *unit, f packet.Field) []byte {
	if f.Len == 0 {
		return []byte{}
	}
	b := bytes.Clone(u.b[f.Off : f.Off+f.Len])
	switch f.Name {
	case "ip.total_length", "ip.payload_length", "ip.id", "ip.checksum", "tcp.seq", "tcp.checksum", "udp.length", "udp.checksum", "payload":
		return nil
	case "ip.next_header":
		if u.Fragment && u.Extensions == 0 {
			return u.b[40:41]
		}
	case "ip.frag":
		return []byte{b[0] & 0xC0}
	case "tcp.flags":
		return []byte{b[0] &^ (flagFIN | flagPSH | flagCWR)}
	case "tcp.options":
		for at := 0; at < len(b) && b[at] != 0; {
			switch {
			case b[at] == 1:
				at++
				continue
			case at+1 == len(b) || b[at+1] < 2 || at+int(b[at+1]) > len(b):
				return b
			case b[at] == 8:
				clear(b[at+2 : at+int(b[at+1])])
			}
			at += int(b[at+1])
		}
	}
	return b
}

// endFlags returns what is wrong with the flags of a that belong to the ends of packets, as
// those of b show; "" if nothing is.
func endFlags(b, a strip) string {
	if !a.inStream() || a.Proto != 6 { // datagrams have no flags
		return ""
	}
	x, y := b.b[b.L4Off+13], a.b[a.L4Off+13]
	switch {
	case a.to == b.to && (x^y)&(flagFIN|flagPSH) != 0:
		return "both packets end with the same byte"
	case a.from == b.from && (x^y)&flagCWR != 0:
		return "both packets start with the same byte"
	case a.to < b.to && y&flagFIN != 0:
		return "FIN is not at the end of the stream"
	case a.to < b.to && y&flagPSH != 0:
		return "PSH is not at the end of a packet"
	}
	return ""
}

// firstOther returns the index of the first byte that differs, or -1.
func firstOther(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

// missingBytes reports the bytes of s that the strips of the other side do not cover.
func (m *Matcher) missingBytes(s strip, of []strip) {
	at := s.from
	report := func(to int) {
		n := to - at
		if n <= 0 {
			return
		}
		place := s.place()
		switch { // the other capture may have started or ended within the packet
		case to == s.to:
			place++
		case at == s.from:
			place--
		}
		if m.edge(s.unit, place) != 0 {
			m.Summary.Outside[s.side]++
			return
		}
		f := Finding{What: [...]string{Lost, Extra}[s.side], Rule: "P2", Bytes: n, Packet: packet.Line(s.b), flow: s.flow.key, part: true}
		f.Packets[s.side], f.Segments[s.side], f.Data[s.side] = s.number, s.segment, s.b
		switch {
		case to == s.to:
			f.Text = "its last " + record.Count(n, "byte")
		case at == s.from:
			f.Text = "its first " + record.Count(n, "byte")
		default:
			f.Text = fmt.Sprintf("its bytes %d to %d", at-s.from+1, to-s.from)
		}
		m.report(f)
	}
	for _, o := range of {
		report(min(o.from, s.to))
		at = max(at, o.to)
	}
	report(s.to)
}

// datagramKey identifies a datagram that came in fragments.
type datagramKey struct {
	flow  packet.Flow
	proto byte
	id    uint32
}

// fragment returns the datagram of a fragment, and the fragment as a strip of the
// datagram's payload.
func fragment(u *unit) (k datagramKey, s strip, last bool) {
	k = datagramKey{flow: u.flow.key.Pair()}
	s.unit = u
	switch {
	case u.Version == 4:
		word := binary.BigEndian.Uint16(u.b[6:])
		head := 4 * int(u.b[0]&15)
		k.proto, k.id = u.b[9], uint32(id(u))
		s.from, s.data, last = 8*int(word&0x1FFF), u.b[head:], word&0x2000 == 0
	case len(u.b) >= 48+u.Extensions:
		at := 40 + u.Extensions
		word := binary.BigEndian.Uint16(u.b[at+2:])
		k.proto, k.id = u.b[at], binary.BigEndian.Uint32(u.b[at+4:])
		s.from, s.data, last = int(word&^7), u.b[at+8:], word&1 == 0
	}
	s.to = s.from + len(s.data)
	return k, s, last
}

// datagrams compares fragments with the fragments of the same datagram on the other side, or
// with the whole datagram.
func (m *Matcher) datagrams() {
	type sides [2][]strip
	all := map[datagramKey]*sides{}
	var order []datagramKey
	ends := map[*unit]bool{}
	for side := range m.pending {
		for _, u := range m.pending[side].all() {
			if !u.Fragment || !m.old(u) {
				continue
			}
			k, s, last := fragment(u)
			if all[k] == nil {
				all[k] = &sides{}
				order = append(order, k)
			}
			all[k][side] = append(all[k][side], s)
			ends[u] = last
		}
	}
	if len(order) == 0 {
		return
	}
	for _, k := range order {
		list := all[k]
		for _, b := range list[Before] {
			for _, a := range list[After] {
				if a.waiting && b.waiting && a.from == b.from && a.to == b.to {
					m.report(m.changed(b.unit, a.unit))
				}
			}
		}
		for side := range list {
			list[side] = slices.DeleteFunc(list[side], func(s strip) bool { return !s.waiting })
		}
		if len(list[Before]) > 0 && len(list[After]) > 0 && len(list[Before])+len(list[After]) > 2 {
			var layers [2][]strip
			for side := range layers {
				layers[side], _ = layer(list[side])
			}
			if m.stitchLayer(layers) {
				m.Summary.Datagrams++
			}
		}
	}
	m.reassembled(order, func(k datagramKey) [2][]strip { return *all[k] }, ends)
}

// reassembled compares complete datagrams in fragments with waiting packets of the other
// side that are the whole datagram.
func (m *Matcher) reassembled(order []datagramKey, of func(k datagramKey) [2][]strip, ends map[*unit]bool) {
	type wholeKey struct {
		datagramKey
		n int
	}
	whole := [2]map[wholeKey][]*unit{{}, {}}
	for side := range m.pending {
		for _, u := range m.pending[side].all() {
			if u.Fragment || u.Version == 0 || !m.old(u) {
				continue
			}
			s := wholeStrip(u)
			k := wholeKey{datagramKey{flow: u.flow.key.Pair(), proto: u.Proto}, len(s.data)}
			if u.Version == 4 {
				k.id = uint32(id(u))
			}
			whole[side][k] = append(whole[side][k], u)
		}
	}
	for _, k := range order {
		for side, list := range of(k) {
			if len(list) == 0 || len(of(k)[1-side]) > 0 {
				continue
			}
			list, _ = layer(list)
			at, complete := 0, true
			for _, s := range list {
				complete = complete && s.from == at && s.waiting
				at = s.to
			}
			if !complete || !ends[list[len(list)-1].unit] {
				continue
			}
			w := wholeKey{k, at}
			if k.flow.Version == 6 {
				w.id = 0
			}
			for _, u := range whole[1-side][w] {
				if s := wholeStrip(u); u.waiting && alike(list, s) {
					var layers [2][]strip
					layers[side], layers[1-side] = list, []strip{s}
					m.Summary.Datagrams++
					m.stitchLayer(layers)
					break
				}
			}
		}
	}
}

// wholeStrip returns a packet that is no fragment as the one strip of its datagram.
func wholeStrip(u *unit) strip {
	head := 40 + u.Extensions
	if u.Version == 4 {
		head = 4 * int(u.b[0]&15)
	}
	data := u.b[min(head, len(u.b)):]
	return strip{u, 0, len(data), data}
}

// alike reports whether most bytes of a datagram in fragments are those of the whole one.
func alike(list []strip, whole strip) bool {
	var b []byte
	for _, s := range list {
		b = append(b, s.data...)
	}
	return mostlyEqual(b, whole.data)
}
