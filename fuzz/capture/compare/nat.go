// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// translations are the flows whose addresses or ports are others in the capture after.
// Packets of such a flow get those of the capture before, with their checksums updated, so
// that the others find them.
type translations struct {
	from  map[packet.Flow]packet.Flow // the flow before, by the flow after
	to    map[packet.Flow]packet.Flow // the reverse
	votes map[[2]packet.Flow]int      // units that show that a flow became another
	moved map[packet.Flow]int         // packets after that were translated, by the flow before
}

const (
	maxSigns = 128     // waiting units of a flow that may show what became of it
	maxAlike = 8       // of these, units with the same sign
	sureVote = 3       // units that show a translation while packets are still read
	maxFlips = 1 << 15 // translated flows
)

// sign returns a hash of the start of a packet, without its addresses and ports: of what a
// translation does not change, nor cutting. It reports whether there is enough of it.
func (m *Matcher) sign(u *unit) (sign uint64, ok bool) {
	proto, off := upper(u.b)
	from, n := off+8, 32 // after the ports, or the identifier of ICMP, and the checksum
	switch {
	case u.Version == 0:
		return 0, false
	case off == 0:
		from, n = len(u.b)-len(u.content()), 64
	case proto == 6:
		from, n = off+4, 8 // the sequence numbers
	case proto != 17 && proto != 1 && proto != 58:
		from, n = off, 64
	}
	if from >= len(u.b) && !u.flow.key.HasPorts() {
		return 0, false
	}
	b := bytes.Clone(u.b[min(from, len(u.b)):min(from+n, len(u.b))])
	if u.Version == 4 {
		b = append(b, u.b[4:6]...)
	}
	return maphash.Bytes(m.seed, append(b, byte(u.Version), u.Proto)), true
}

// translates adds a waiting unit to those that show a translation, if its flow has no
// packet in the other capture so far.
func (m *Matcher) translates(u *unit) {
	f := u.flow
	if !u.unmatched() || f.signed[u.side] >= maxSigns || f.key.Version == 0 {
		return
	}
	sign, ok := m.sign(u)
	if !ok {
		return
	}
	t := &m.nat
	if t.votes == nil {
		t.votes, t.from, t.to, t.moved = map[[2]packet.Flow]int{}, map[packet.Flow]packet.Flow{}, map[packet.Flow]packet.Flow{}, map[packet.Flow]int{}
	}
	var best [2]packet.Flow
	most := -1
	for _, w := range m.pending[1-u.side].bySign[sign] {
		if !w.waiting || !w.unmatched() {
			continue
		}
		pair := [2]packet.Flow{m.original(u), m.original(w)}
		if u.side == After {
			pair[0], pair[1] = pair[1], pair[0]
		}
		switch n := t.like(pair); {
		case n > most:
			best, most = pair, n
		case n == most && pair != best:
			best = [2]packet.Flow{} // either may be meant
		}
	}
	m.pending[u.side].addSign(u, sign)
	pair := best
	if pair == [2]packet.Flow{} {
		return
	}
	t.votes[pair]++
	if t.votes[pair] >= sureVote || t.known(pair) {
		m.translate(pair)
	}
}

// unmatched reports whether no packet of u's flow is in the other capture so far. Fragments
// have no flow of their own.
func (u *unit) unmatched() bool { return u.flow.edges[u.side].first == 0 || u.Fragment }

// original returns the flow of u in its capture, that of its datagram if it is a first
// fragment.
func (m *Matcher) original(u *unit) packet.Flow {
	f := u.flow.key
	if ports := datagramFlow(u); ports.HasPorts() {
		f = ports
	}
	if g, is := m.nat.to[u.flow.key]; is && u.side == After {
		f.Src, f.Dst = g.Src, g.Dst
	}
	return f
}

// like returns how likely it is that a flow before became one after: the number of addresses
// and ports that are the same. It is -1 if it cannot be, because one is the other's reverse
// direction or another flow became it.
func (t *translations) like(pair [2]packet.Flow) int {
	f, g := pair[0], pair[1]
	from, is := t.from[g.Reverse()]
	to, has := t.to[f.Reverse()]
	_, used := t.from[g]
	_, gone := t.to[f]
	if f.Proto != g.Proto || f == g || used || gone || is && from != f.Reverse() || has && to != g.Reverse() {
		return -1
	}
	n := 0
	for _, same := range []bool{f.Src == g.Src, f.Dst == g.Dst, f.HasPorts() && f.SrcPort == g.SrcPort, f.HasPorts() && f.DstPort == g.DstPort} {
		if same {
			n++
		}
	}
	if f.Src == g.Dst || f.Dst == g.Src {
		n -= 2
	}
	return n
}

// known reports whether other flows show that these addresses were translated so.
func (t *translations) known(pair [2]packet.Flow) bool {
	g, is := t.to[pair[0].Pair()]
	return is && g == pair[1].Pair()
}

// translate records that a flow before became one after, and so did its reverse direction
// and the packets without ports between the same addresses. The packets of these that wait
// get the addresses and ports of the capture before.
func (m *Matcher) translate(pair [2]packet.Flow) {
	t := &m.nat
	if len(t.from) > maxFlips {
		return
	}
	for _, p := range [][2]packet.Flow{pair, {pair[0].Reverse(), pair[1].Reverse()}, {pair[0].Pair(), pair[1].Pair()}, {pair[0].Pair().Reverse(), pair[1].Pair().Reverse()}} {
		_, used := t.from[p[1]]
		_, gone := t.to[p[0]]
		if used || gone || p[0] == p[1] {
			continue
		}
		t.from[p[1]], t.to[p[0]] = p[0], p[1]
		for i, key := range []packet.Flow{p[1], p[1].Pair(), p[0].Pair()} { // those of pairs are fragments
			f, ok := m.flows.Has(key)
			if !ok || i > 0 && !p[1].HasPorts() {
				continue
			}
			for _, w := range slices.Clone(f.waiting[After].units) {
				if w.waiting && (i == 0 || m.original(w) == p[1]) {
					m.pending[After].remove(w)
					again := *w // the queues still have w
					m.restore(&again)
					m.add(&again)
				}
			}
		}
	}
}

// translateRest looks for translations among the flows that still have no packet in the
// other capture. Few packets are enough if one is then the same as its counterpart.
func (m *Matcher) translateRest() {
	t := &m.nat
	var pairs [][2]packet.Flow
	for pair := range t.votes {
		pairs = append(pairs, pair)
	}
	slices.SortFunc(pairs, func(p, q [2]packet.Flow) int {
		return cmp.Or(t.votes[q]-t.votes[p], cmp.Compare(fmt.Sprint(p), fmt.Sprint(q)))
	})
	for _, pair := range pairs {
		f, _ := m.flows.Has(pair[0])
		g, _ := m.flows.Has(pair[1])
		if f == nil || g == nil || f.edges[Before].first != 0 || g.edges[After].first != 0 {
			continue
		}
		for _, w := range g.waiting[After].units {
			if b := retarget(w.b, w.flow.key, pair[0]); w.waiting && (t.votes[pair] > 1 || m.pending[Before].peek(m.hash(b)) != nil || w.long() && tiles(w, f.waiting[Before].units) != nil) {
				m.translate(pair)
				break
			}
		}
		for _, u := range f.waiting[Before].units {
			if u.waiting && u.long() && tiles(u, g.waiting[After].units) != nil {
				m.translate(pair)
				break
			}
		}
	}
}

// restore gives a unit of the capture after the addresses and ports of the capture before,
// if its flow was translated. The first fragment has the ports of its datagram.
func (m *Matcher) restore(w *unit) {
	from := w.flow.key
	to, is := m.nat.from[from]
	if flow, known := m.nat.from[m.original(w)]; known {
		from, to, is = w.flow.key, flow, true
		if ports := datagramFlow(w); ports.HasPorts() {
			from = ports
		}
	}
	if !is {
		return
	}
	w.b = retarget(w.b, from, to)
	key := w.Header.Flow(w.b)
	w.flow = m.flows.Get(key, func(int) *flow { return &flow{key: key} })
	m.nat.moved[to]++
}

// upper returns the protocol in a packet and the offset of its header, also in the first
// fragment of a datagram. The offset is 0 in other fragments.
func upper(b []byte) (proto byte, off int) {
	h := packet.Parse(b)
	switch {
	case h.L4Off > 0:
		return h.Proto, h.L4Off
	case h.Version == 4 && !h.Fragment:
		return h.Proto, 4 * int(b[0]&15)
	case h.Version == 6 && !h.Fragment:
		return h.Proto, 40 + h.Extensions
	case h.Version == 6 && len(b) >= 48+h.Extensions && binary.BigEndian.Uint16(b[42+h.Extensions:])&^7 == 0:
		return b[40+h.Extensions], 48 + h.Extensions
	}
	return h.Proto, 0
}

// datagramFlow returns the flow with ports of a datagram whose first fragment u is.
func datagramFlow(u *unit) packet.Flow {
	f := u.flow.key
	proto, off := upper(u.b)
	if !u.Fragment || off == 0 || proto != 6 && proto != 17 || len(u.b) < off+8 {
		return packet.Flow{}
	}
	f.Proto, f.SrcPort, f.DstPort = proto, binary.BigEndian.Uint16(u.b[off:]), binary.BigEndian.Uint16(u.b[off+2:])
	return f
}

// change is an address or a port that was replaced.
type change struct {
	name     string
	at       int
	from, to []byte
}

// changesOf returns what is replaced in a packet of one flow to make it one of another.
// off is the offset of the header with the ports.
func changesOf(from, to packet.Flow, off int) (list []change) {
	add := func(name string, at int, a, b []byte) {
		if !bytes.Equal(a, b) {
			list = append(list, change{name, at, a, b})
		}
	}
	at, n := 12, 4
	if from.Version == 6 {
		at, n = 8, 16
	}
	port := func(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
	add("source address", at, from.Src[:n], to.Src[:n])
	add("destination address", at+n, from.Dst[:n], to.Dst[:n])
	if from.HasPorts() && to.HasPorts() {
		add("source port", off, port(from.SrcPort), port(to.SrcPort))
		add("destination port", off+2, port(from.DstPort), port(to.DstPort))
	}
	return list
}

// retarget returns packet b of one flow as a packet of another, with the checksums updated.
// A checksum that was wrong is wrong by as much, and one that is absent stays absent.
func retarget(b []byte, from, to packet.Flow) []byte {
	b = bytes.Clone(b)
	proto, off := upper(b)
	list := changesOf(from, to, off)
	for _, c := range list {
		if from.Version == 4 && c.at < 20 {
			update(b, 10, []change{c})
		}
		copy(b[c.at:], c.to)
	}
	switch {
	case off == 0:
	case proto == 6 && len(b) >= off+18:
		update(b, off+16, list)
	case proto == 17 && len(b) >= off+8 && (b[off+6] != 0 || b[off+7] != 0):
		if update(b, off+6, list); b[off+6] == 0 && b[off+7] == 0 {
			b[off+6], b[off+7] = 0xFF, 0xFF
		}
	case proto == 58 && len(b) >= off+4:
		update(b, off+2, list)
	}
	return b
}

// update updates the checksum at an offset for what was replaced (RFC 1624).
func update(b []byte, at int, list []change) {
	binary.BigEndian.PutUint16(b[at:], updated(binary.BigEndian.Uint16(b[at:]), list))
}

// updated returns a checksum after bytes that it covers were replaced.
func updated(sum uint16, list []change) uint16 {
	parts := [][]byte{binary.BigEndian.AppendUint16(nil, ^sum)}
	for _, c := range list {
		from := bytes.Clone(c.from)
		for i := range from {
			from[i] = ^from[i]
		}
		parts = append(parts, from, c.to)
	}
	return ^uint16(model.Sum(parts...))
}

// missedUpdate returns for which of several changes a checksum was not updated, "" if that
// does not explain it.
func missedUpdate(was, got uint16, list []change) string {
	if len(list) > 0 && got == updated(updated(was, list), list) {
		return "the checksum was updated twice for the new " + names(list)
	}
	for mask := 1; mask < 1<<len(list); mask++ {
		var done, missed []change
		for i, c := range list {
			if mask>>i&1 == 0 {
				done = append(done, c)
			} else {
				missed = append(missed, c)
			}
		}
		if got == updated(was, done) {
			return "the checksum was not updated for the new " + names(missed)
		}
	}
	return ""
}

// names returns the names of what was replaced.
func names(list []change) string {
	var s []string
	for _, c := range list {
		s = append(s, c.name)
	}
	return strings.Join(s, ", ")
}
