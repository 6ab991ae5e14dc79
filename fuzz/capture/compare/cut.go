// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// maxSizes is how many segment sizes are remembered for a flow.
const maxSizes = 8

// cut adds the segments of a superpacket in its place. It reports whether the
// superpacket could be cut.
func (m *Matcher) cut(u *unit, size int) bool {
	list := m.segments(u, size)
	if list == nil {
		return false
	}
	m.countCut(u, size, len(list))
	m.pending[u.side].remove(u)
	for _, s := range list {
		m.add(s)
	}
	return true
}

// countCut records that u was cut into n segments.
func (m *Matcher) countCut(u *unit, size, n int) {
	m.Summary.Cut[u.side]++
	if m.cfg.Cut != nil {
		m.cfg.Cut(u.side, u.number, size)
	}
	if u.Proto == 17 && u.size == 0 {
		m.presumed++
	}
	switch {
	case m.cfg.Size == 0 || u.size > 0:
	case size == m.cfg.Size:
		m.sized[0]++
	default:
		m.sized[1]++
	}
	if f := u.flow; !slices.Contains(f.sizes, size) {
		f.sizes = append(f.sizes[max(0, len(f.sizes)-maxSizes+1):], size)
	}
	if last := int64(u.number)<<placeBits + int64(n); last > m.end[u.side] {
		m.end[u.side] = last
	}
}

// segments returns the units of the segments into which the kernel cuts u, or nil if it
// cannot be cut into two or more.
func (m *Matcher) segments(u *unit, size int) []*unit {
	if size <= 0 || len(u.payload()) <= size {
		return nil
	}
	list, ok := segments(u, size)
	if !ok || len(list) < 2 {
		return nil
	}
	right := bytes.Clone(u.b)
	packet.Fix(right, packet.FixIPLen|packet.FixUDPLen|packet.FixIPCsum)
	of := &super{segments: len(list), guessed: u.size == 0}
	if len(u.b) <= 0xFFFF { // lengths over 65,535 have no place in the headers
		of.flaw = m.differences(right, u.b)
	}
	var units []*unit
	for i, b := range list {
		units = append(units, &unit{side: u.side, number: u.number, segment: i + 1, at: u.at, time: u.time, of: of, b: b, Header: packet.Parse(b), flow: u.flow})
	}
	return units
}

// segments returns the segments into which the kernel cuts u. If u's checksum is
// wrong, theirs are wrong by as much.
func segments(u *unit, size int) (list [][]byte, ok bool) {
	if len(u.b) > 0xFFFF { // BIG TCP: the model cuts parts that IP's length field can describe
		most := (0xFFFF - u.PayloadOff) / size * size
		for at := 0; most > 0 && at < len(u.payload()); at += most {
			p := &unit{b: part(u, at, min(at+most, len(u.payload())), at/size)}
			p.Header = packet.Parse(p.b)
			if len(p.payload()) <= size {
				list = append(list, p.b)
				continue
			}
			more, ok := segments(p, size)
			if !ok {
				return nil, false
			}
			list = append(list, more...)
		}
		return list, most > 0
	}
	b := bytes.Clone(u.b)
	right := bytes.Clone(u.b)
	packet.Fix(right, packet.FixL4Csum)
	packet.Fix(b, packet.FixPartial|packet.FixUDPLen)
	at := sumOff(u)
	if !bytes.Equal(u.b[at:at+2], right[at:at+2]) {
		wrong := model.Sum(b[at:at+2], right[at:at+2], []byte{^u.b[at], ^u.b[at+1]})
		b[at], b[at+1] = byte(wrong>>8), byte(wrong)
	}
	h := packet.DeriveVnet(b, uint16(size))
	list, err := model.Segment(model.VnetHdr(h), b)
	if u.Proto == 17 && u.b[at] == 0 && u.b[at+1] == 0 {
		for _, s := range list {
			s[at], s[at+1] = 0, 0
		}
	}
	return list, err == nil
}

// sumOff returns the offset of u's TCP or UDP checksum.
func sumOff(u *unit) int {
	if u.Proto == 17 {
		return u.L4Off + 6
	}
	return u.L4Off + 16
}

// part returns the TCP packet that has the bytes from from to to of u's payload. Its ID is
// n more than that of u.
func part(u *unit, from, to, n int) []byte {
	p := u.payload()
	b := append(bytes.Clone(u.b[:u.PayloadOff]), p[from:to]...)
	binary.BigEndian.PutUint32(b[u.L4Off+4:], seq(u)+uint32(from))
	if u.Version == 4 {
		binary.BigEndian.PutUint16(b[4:], id(u)+uint16(n))
	}
	flags := &b[u.L4Off+13]
	if from > 0 {
		*flags &^= flagCWR
	}
	if to < len(p) {
		*flags &^= flagFIN | flagPSH
	}
	packet.Fix(b, packet.FixAll)
	at, right, _ := packet.RightSum(u.b)
	if got := u.b[at : at+2]; binary.BigEndian.Uint16(got) != right {
		sum := model.Sum([]byte{^b[at], ^b[at+1]}, []byte{^got[0], ^got[1]}, binary.BigEndian.AppendUint16(nil, right))
		binary.BigEndian.PutUint16(b[at:], ^uint16(sum))
	}
	return b
}

const flagFIN, flagPSH, flagCWR = 1, 8, 0x80

// lap is a pair of units of different sides that have some of the same payload with
// other boundaries. y's payload starts at offset at of x's, which may be negative.
type lap struct {
	x, y *unit
	at   int
}

// maxTries bounds the search among a flow's waiting units.
const maxTries = 256

// recent returns the latest units of a flow that wait on a side.
func (f *flow) recent(side int) []*unit {
	list := f.waiting[side].units
	return list[max(0, len(list)-maxTries):]
}

// overlap returns the lap of two units of a flow, one of each side, and how many bytes both
// have. It is 0 if they have no bytes in common, or the same boundaries. Where units are
// settled, some of the bytes may have changed.
func (m *Matcher) overlap(u, w *unit) (lap, int) {
	a, b := u.payload(), w.payload()
	switch {
	case u.Proto != w.Proto || !u.stream() || !w.stream():
		return lap{}, 0
	case u.Proto == 6:
		at := int(int32(seq(w) - seq(u)))
		from, to := max(0, at), min(len(a), at+len(b))
		if from >= to || at == 0 && len(a) == len(b) || !mostlyEqual(a[from:to], b[from-at:to-at]) {
			return lap{}, 0
		}
		return lap{u, w, at}, to - from
	case len(a) >= len(b):
		return m.contains(u, w)
	}
	l, n := m.contains(w, u)
	return lap{l.y, l.x, -l.at}, n
}

// maxDatagrams is the largest number of segments in a UDP superpacket.
const maxDatagrams = 128

// contains returns the lap of a UDP superpacket and a datagram that it contains, at a
// multiple of the datagram's length or at the end. Two superpackets may also overlap at an
// end.
func (m *Matcher) contains(long, short *unit) (lap, int) {
	a, b := long.payload(), short.payload()
	if n := short.IPLen - short.PayloadOff; short.surplus() && n > 0 && n < len(b) {
		b = b[:n]
	}
	if !long.long() || len(a) > maxDatagrams*len(b) && !short.long() {
		return lap{}, 0
	}
	same := bytes.Equal
	if m.settling && long.partial() {
		same = mostlyEqual
	}
	for at := 0; len(a) > len(b) && at+len(b) <= len(a); at += len(b) {
		if same(a[at:at+len(b)], b) {
			return lap{long, short, at}, len(b)
		}
	}
	if at := len(a) - len(b); at > 0 && same(a[at:], b) {
		return lap{long, short, at}, len(b) // the last one, which may be shorter
	}
	if !short.long() {
		return lap{}, 0
	}
	for _, probe := range []int{0, len(b) / 2, len(b) - probeLen} {
		if at, n := startOf(a, b, probe, same); n > 0 {
			return lap{long, short, at}, n
		}
		if at, n := startOf(b, a, probe, same); n > 0 {
			return lap{long, short, -at}, n
		}
	}
	return lap{}, 0
}

// probeLen is how many bytes are searched for first.
const probeLen = 32

// startOf returns where b starts in a, and how many bytes both have from there. It searches
// for the bytes of b at offset probe. The count is 0 if b does not start in a.
func startOf(a, b []byte, probe int, same func(a, b []byte) bool) (at, n int) {
	if probe < 0 || probe >= len(b) {
		return 0, 0
	}
	at = bytes.Index(a, b[probe:min(len(b), probe+probeLen)]) - probe
	if at <= 0 {
		return 0, 0
	}
	n = min(len(a)-at, len(b))
	if !same(a[at:at+n], b[:n]) {
		return 0, 0
	}
	return at, n
}

// closes records which payload bytes u shares with superpackets of the other side, or, if u
// may be a superpacket, with all units of the other side. It reports whether that covers u
// and each of these units, so that they may be the same packets.
func (m *Matcher) closes(u *unit) bool {
	if !u.stream() || !u.long() && u.flow.longs[1-u.side] == 0 {
		return false
	}
	all, any, long := true, false, u.long()
	for _, w := range u.flow.recent(1 - u.side) {
		if !w.waiting || !long && !w.long() {
			continue
		}
		if _, n := m.overlap(u, w); n > 0 {
			any = true
			u.covered += n
			w.covered += n
			all = all && w.covered >= len(w.payload())
		}
	}
	return any && all && u.covered >= len(u.payload())
}
