// Package match compares two captures from both sides of somebody's offload. It
// knows that superpackets stand for segments: what one side has joined is cut, as
// the kernel cuts, by the size that the other side shows, and then each segment
// of one side must be on the other, byte for byte and in its flow's order.
package match

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"tunproof/fuzz/check"
	"tunproof/fuzz/compare"
	"tunproof/fuzz/pcap"
	"tunproof/fuzz/recent"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// The sides of an offload.
const (
	Before = iota
	After
)

// Config is how captures are compared.
type Config struct {
	Ignore []string // fields that may differ, as package compare names them
	Size   int      // payload bytes of a full segment; 0: as the captures show
}

// Matcher takes the packets of both captures, in the order of each, and keeps
// those that have no counterpart so far: up to maxPending and maxBytes a side.
type Matcher struct {
	cfg     Config
	emit    func(Finding)
	Summary Summary

	pending [2]pending
	start   [2]int64 // the place of the first packet
	end     [2]int64 // the place of the last packet, or of its last segment
	flows   recent.Map[compare.Flow, *flow]
	orders  recent.Map[compare.Flow, *order]
	placed  int                        // in all orders
	copies  recent.Map[uint64, [2]int] // by hash, the numbers of the packets that were matched
	given   [2]given
	seed    maphash.Seed
}

const (
	maxPending = 1 << 16
	maxBytes   = 48 << 20
	maxFlows   = 1 << 15
	maxCopies  = 1 << 18
)

// Summary counts what was compared.
type Summary struct {
	Packets    [2]int `json:"packets"`    // read
	Segments   int    `json:"segments"`   // found on both sides
	Cut        [2]int `json:"cut"`        // superpackets
	Outside    [2]int `json:"outside"`    // packets before the other side's first or behind its last
	Unresolved int    `json:"unresolved"` // superpackets of both sides of which no size is known
}

// New returns a Matcher that calls emit for each finding.
func New(cfg Config, emit func(Finding)) *Matcher {
	m := &Matcher{cfg: cfg, emit: emit, seed: maphash.MakeSeed()}
	for i := range m.pending {
		m.pending[i] = pending{byHash: map[uint64][]*unit{}}
	}
	m.flows.Most, m.orders.Most, m.copies.Most = maxFlows, maxFlows, maxCopies
	m.flows.Keep = func(f *flow) bool { return f.waiting[Before].n+f.waiting[After].n > 0 }
	m.orders.Gone = func(o *order) { o.settle(m, 0) }
	return m
}

// unit is a packet, or a segment that one was cut to.
type unit struct {
	side    int
	number  int // of the packet in its capture
	segment int // of a superpacket; 0 of others
	cut     bool
	b       []byte // checksum complete
	compare.Header
	flow    *flow
	hash    uint64
	derived bool                 // its checksum was partial
	waiting bool                 // in pending
	flaw    []compare.Difference // of the first segment: of the superpacket that it is of
}

// place orders the units of a side.
func (u *unit) place() int64 { return int64(u.number)<<placeBits | int64(u.segment) }

const placeBits = 17 // a superpacket has at most 65,535 segments

func (u *unit) payload() []byte {
	if u.PayloadOff == 0 {
		return nil
	}
	return u.b[u.PayloadOff:]
}

// flow is one direction of a connection, or what goes between two addresses.
type flow struct {
	key     compare.Flow
	id      int
	waiting [2]queue // of the units that have no counterpart so far
	size    int      // payload bytes of a full segment, 0 if not known
	edges   [2]edges // of what was matched
}

// Add takes the next packet of a side.
func (m *Matcher) Add(side int, p pcap.Packet) error {
	m.Summary.Packets[side]++
	m.end[side] = int64(p.Number) << placeBits
	if m.start[side] == 0 {
		m.start[side] = m.end[side]
	}
	h, has, err := check.Vnet(p.Comment)
	if err != nil {
		return err
	}
	u := m.unit(side, p.Number, p.Data)
	if has && h.GSOType != 0 && u.flow.key.HasPorts() {
		u.flow.size = int(h.GSOSize)
		if m.cut(u, int(h.GSOSize)) {
			return nil
		}
	}
	m.add(u)
	return nil
}

// Waiting is how many units of each side have no counterpart so far.
func (m *Matcher) Waiting() [2]int { return [2]int{m.pending[Before].n, m.pending[After].n} }

// unit makes a unit of a packet.
func (m *Matcher) unit(side, number int, b []byte) *unit {
	u := &unit{side: side, number: number, b: b, Header: compare.Parse(b)}
	key := u.Header.Flow(b)
	u.flow = m.flows.Get(key, func(id int) *flow { return &flow{key: key, id: id} })
	if key.HasPorts() && check.Checksum(b) == "partial" {
		u.b = bytes.Clone(b)
		scenario.Fix(u.b, scenario.FixL4Csum)
		u.derived = true
	}
	return u
}

// add finds the unit's counterpart, or makes it wait.
func (m *Matcher) add(u *unit) {
	u.hash = m.hash(u.b)
	if m.exact(u) {
		return
	}
	if m.related(u) {
		return
	}
	m.wait(u)
}

// hash is of all bytes but the fields that may differ.
func (m *Matcher) hash(b []byte) uint64 {
	if len(m.cfg.Ignore) == 0 {
		return maphash.Bytes(m.seed, b)
	}
	b = bytes.Clone(b)
	m.mask(b)
	return maphash.Bytes(m.seed, b)
}

func (m *Matcher) mask(b []byte) {
	for _, f := range compare.Fields(b) {
		if slices.Contains(m.cfg.Ignore, f.Name) {
			clear(b[f.Off : f.Off+f.Len])
		}
	}
}

// exact pairs u with what is equal to it, the oldest first. Of a checksum that
// was partial, both forms of zero are right.
func (m *Matcher) exact(u *unit) bool {
	other := &m.pending[1-u.side]
	if w := other.take(u.hash); w != nil {
		m.pair(u, w)
		return true
	}
	if u.Proto != 6 || u.PayloadOff == 0 || u.Fragment {
		return false
	}
	at := u.L4Off + 16
	if u.b[at] != u.b[at+1] || u.b[at] != 0 && u.b[at] != 0xFF {
		return false
	}
	b := bytes.Clone(u.b)
	b[at], b[at+1] = ^b[at], ^b[at+1]
	hash := m.hash(b)
	if w := other.peek(hash); w != nil && (w.derived || u.derived) && !w.cut && !u.cut {
		m.pair(u, other.take(hash))
		return true
	}
	return false
}

// pair counts two units as one and the same.
func (m *Matcher) pair(u, w *unit) {
	if u.side == After {
		u, w = w, u
	}
	m.Summary.Segments++
	m.pending[u.side].remove(u)
	m.pending[w.side].remove(w)
	m.matched(u, w)
	if w.flaw != nil && fmt.Sprint(u.flaw) != fmt.Sprint(w.flaw) {
		m.emit(Finding{What: Changed, Packets: [2]int{u.number, w.number}, Fields: w.flaw, Rule: "C3.header", Text: "the headers of the superpacket are not right"})
	}
	m.copies.Put(u.hash, [2]int{u.number, w.number})
}

// matched notes where two units are that are the same packet.
func (m *Matcher) matched(u, w *unit) {
	for _, x := range []*unit{u, w} {
		m.pending[x.side].add(x.place())
		x.flow.edges[x.side].add(x.place())
		m.tell(x.side, x.place())
	}
	m.orderOf(w).add(m, placed{before: u.place(), after: w.place(), flow: w.flow.id, ports: w.flow.key.HasPorts(), b: u.number, a: w.number, hash: w.hash})
}

// orderOf is what must keep its order with a unit's flow: all that goes between
// its addresses.
func (m *Matcher) orderOf(u *unit) *order {
	return m.orders.Get(u.flow.key.Pair(), func(int) *order { return &order{} })
}

// related looks for a waiting unit of the other side that covers the same bytes
// with other boundaries, and cuts what is longer. Of several it takes the one that
// starts nearest to u, which shows best how long a segment is.
func (m *Matcher) related(u *unit) bool {
	if !u.flow.key.HasPorts() || len(u.payload()) == 0 {
		return false
	}
	var w *unit
	nearest := 0
	waiting := u.flow.waiting[1-u.side].units
	for _, x := range waiting[max(0, len(waiting)-maxTries):] {
		if !x.waiting {
			continue
		}
		if d, is := overlap(u, x); is && (w == nil || d < nearest) {
			w, nearest = x, d
		}
	}
	if w == nil {
		return false
	}
	long, short := u, w
	if len(w.payload()) > len(u.payload()) {
		long, short = w, u
	}
	size := m.size(long, short)
	cutU, cutW := m.canCut(u, size), m.canCut(w, size)
	if !cutU && !cutW {
		return false
	}
	if cutW {
		m.pending[w.side].remove(w)
		m.cut(w, size)
	}
	if cutU {
		m.cut(u, size)
	} else {
		m.add(u)
	}
	return true
}

// maxTries bounds the search among a flow's waiting units.
const maxTries = 256

// overlap says whether two units of a flow cover some of the same payload with
// other boundaries, and how far apart they start.
func overlap(u, w *unit) (distance int, is bool) {
	a, b := u.payload(), w.payload()
	if len(a) == 0 || len(b) == 0 || u.Proto != w.Proto {
		return 0, false
	}
	if u.Proto == 6 {
		d := int(int32(seq(w) - seq(u)))
		return abs(d), (d != 0 || len(a) != len(b)) && (d >= 0 && d < len(a) || d < 0 && -d < len(b))
	}
	if len(a) == len(b) {
		return 0, false
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	at := offset(a, b)
	return at, at >= 0
}

// maxDatagrams is how many segments a UDP superpacket has at most.
const maxDatagrams = 128

// offset is where datagram b is among the equal ones of a, -1 if nowhere.
func offset(a, b []byte) int {
	if len(a) > maxDatagrams*len(b) {
		return -1
	}
	for at := 0; at+len(b) <= len(a); at += len(b) {
		if bytes.Equal(a[at:at+len(b)], b) {
			return at
		}
	}
	if at := len(a) - len(b); bytes.Equal(a[at:], b) {
		return at // the last one, shorter
	}
	return -1
}

func seq(u *unit) uint32 { return binary.BigEndian.Uint32(u.b[u.L4Off+4:]) }

// size is the payload of a full segment by which a superpacket is to be cut,
// next to a unit that covers a part of it; 0 if it cannot be told.
func (m *Matcher) size(long, short *unit) int {
	n, known := len(short.payload()), long.flow.size
	if m.cfg.Size > 0 {
		return m.cfg.Size
	}
	at := 0
	if long.Proto == 6 {
		at = int(int32(seq(short) - seq(long)))
	} else {
		at = offset(long.payload(), short.payload())
	}
	if short.derived && n > likelySizes[0] { // a superpacket too
		return m.sizeOfBoth(long, at, n)
	}
	last := at > 0 && at+n == len(long.payload())
	if last {
		return m.sizeByLast(long, short, at, n)
	}
	switch {
	case at < 0:
		return known
	case at == 0 && m.startsWith(long, short):
		return n
	case known > 0 && at%known == 0 && n <= known:
		return known
	case at%n == 0:
		return n
	}
	return known
}

// sizeByLast is the size of a superpacket's segments next to its last one, which
// is n bytes long and may be shorter: what is before it must be full segments, and
// in IPv4 the IDs say how many; 0 if it cannot be told.
func (m *Matcher) sizeByLast(long, short *unit, at, n int) int {
	fits := func(size int) bool { return size >= n && at%size == 0 }
	if fits(long.flow.size) {
		return long.flow.size
	}
	if long.Version == 4 {
		if before := int(id(short) - id(long)); before > 0 && at%before == 0 && fits(at/before) {
			return at / before
		}
	}
	for _, mtu := range likelySizes {
		if size := mtu - long.PayloadOff; fits(size) {
			return size
		}
	}
	switch {
	case fits(n) && n >= leastFull:
		return n
	case fits(at) && at <= likelySizes[0]:
		return at // the first of two
	}
	return 0
}

// leastFull is the smallest payload that, at the end of a superpacket, is taken
// for a full segment's.
const leastFull = 536

func id(u *unit) uint16 { return binary.BigEndian.Uint16(u.b[4:]) }

// likelySizes are the MTUs that most networks and tunnels have.
var likelySizes = []int{1500, 1420, 1492, 1480, 1440, 1400, 1380, 1350, 1280, 9000, 8920}

// sizeOfBoth is the size by which two superpackets are to be cut, of which one
// starts at at in the other's payload, or before it, and is n bytes long: each
// boundary that lies in the other is a segment's. 0 if it cannot be told.
func (m *Matcher) sizeOfBoth(long *unit, at, n int) int {
	var inside []int // the distances of boundaries
	if at != 0 {
		inside = append(inside, abs(at))
	}
	if end := at + n; end < len(long.payload()) {
		inside = append(inside, end)
	} else if end > len(long.payload()) {
		inside = append(inside, len(long.payload())-at)
	}
	fits := func(size int) bool {
		return size > 0 && size < n && !slices.ContainsFunc(inside, func(d int) bool { return d%size != 0 })
	}
	if fits(long.flow.size) {
		return long.flow.size
	}
	for _, mtu := range likelySizes {
		if size := mtu - long.PayloadOff; long.Proto == 6 && fits(size) {
			return size
		}
	}
	return 0
}

func abs(n int) int { return max(n, -n) }

// startsWith says whether long, cut by the size of short, starts with it.
func (m *Matcher) startsWith(long, short *unit) bool {
	segments, ok := segments(long, len(short.payload()))
	return ok && m.hash(segments[0]) == short.hash
}

func (m *Matcher) canCut(u *unit, size int) bool {
	if size == 0 || len(u.payload()) <= size || u.cut || u.surplus() {
		return false
	}
	_, ok := segments(u, size)
	return ok
}

// surplus says whether bytes are behind a datagram.
func (u *unit) surplus() bool {
	return u.Proto == 17 && !u.derived && int(binary.BigEndian.Uint16(u.b[u.L4Off+4:])) < len(u.b)-u.L4Off
}

// cut adds the segments of a superpacket instead of it.
func (m *Matcher) cut(u *unit, size int) bool {
	list, ok := segments(u, size)
	if !ok || len(list) < 2 {
		return false
	}
	m.Summary.Cut[u.side]++
	if u.side == After || u.flow.size == 0 {
		u.flow.size = size
	}
	flaw := m.flaw(u)
	if last := int64(u.number)<<placeBits + int64(len(list)) - 1; last > m.end[u.side] {
		m.end[u.side] = last
	}
	for i, b := range list {
		m.add(&unit{side: u.side, number: u.number, segment: i, cut: true, b: b, Header: compare.Parse(b), flow: u.flow, flaw: flaw})
		flaw = nil // it is told once
	}
	return true
}

// segments are what the kernel cuts u to. A checksum that is wrong is so in all
// of them, by as much.
func segments(u *unit, size int) ([][]byte, bool) {
	b := bytes.Clone(u.b)
	right := bytes.Clone(u.b)
	scenario.Fix(right, scenario.FixL4Csum)
	scenario.Fix(b, scenario.FixPartial|scenario.FixUDPLen)
	at := u.L4Off + 16
	if u.Proto == 17 {
		at = u.L4Off + 6
	}
	if !bytes.Equal(u.b[at:at+2], right[at:at+2]) {
		wrong := model.Sum(b[at:at+2], right[at:at+2], []byte{^u.b[at], ^u.b[at+1]})
		b[at], b[at+1] = byte(wrong>>8), byte(wrong)
	}
	h := scenario.DeriveVnet(b, uint16(size))
	list, err := model.Segment(model.VnetHdr(h), b)
	if u.Proto == 17 && u.b[at] == 0 && u.b[at+1] == 0 {
		for _, s := range list {
			s[at], s[at+1] = 0, 0
		}
	}
	return list, err == nil
}

// flaw is what cutting a superpacket repairs: its lengths and header checksum.
func (m *Matcher) flaw(u *unit) []compare.Difference {
	right := bytes.Clone(u.b)
	scenario.Fix(right, scenario.FixIPLen|scenario.FixUDPLen|scenario.FixIPCsum)
	return m.differences(right, u.b)
}

// differences are those that count.
func (m *Matcher) differences(want, got []byte) []compare.Difference {
	return slices.DeleteFunc(compare.Diff(want, got), func(d compare.Difference) bool { return slices.Contains(m.cfg.Ignore, d.Field) })
}
