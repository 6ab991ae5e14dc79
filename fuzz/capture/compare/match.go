// SPDX-License-Identifier: MIT

// Package compare compares two captures, taken before and after an offload. A
// superpacket stands for segments, so it is cut as the kernel cuts it, with the
// segment size that the other capture shows. Then each segment of one capture must
// be in the other, byte for byte, and in the order of its flow. The bytes of a TCP stream
// and of a datagram in fragments may also come through with other boundaries.
package compare

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/bounded"
	"tunproof/fuzz/packet"
)

// Before and After are the sides of an offload, and the indices of their captures.
const (
	Before = iota
	After
)

// Config is how captures are compared.
type Config struct {
	Ignore []string // fields that may differ, by the names of package packet; none of Matched
	Size   int      // payload bytes of a full segment; 0 takes it from the captures

	Pending int // packets of each side that may wait for their counterpart; 0 is DefaultPending
	Ahead   int // packets of each capture that Files reads ahead to compare clocks; 0 is DefaultAhead

	Each func(Finding)                // is called by Files with each finding, before findings are folded; nil: nothing is
	Cut  func(side, number, size int) // is called for each superpacket that is cut into segments with size bytes of payload; nil: nothing is
}

// Matched are the fields by which packets of both captures are matched.
var Matched = []string{"ip.src", "ip.dst", "tcp.sport", "tcp.dport", "udp.sport", "udp.dport"}

// DefaultPending is the default of Config.Pending. It is more than a queue between
// two captures holds.
const DefaultPending = 1 << 16

// DefaultAhead is the default of Config.Ahead.
const DefaultAhead = 20_000

func (c Config) pending() int { return cmp.Or(c.Pending, DefaultPending) }

// FarBehind returns how many packets of a side may wait before that side counts as
// read too early.
func (c Config) FarBehind() int { return c.pending() / 8 }

// Matcher takes the packets of both captures, each in its order, and keeps those
// that have no counterpart so far: up to Config.Pending and maxBytes of each side.
type Matcher struct {
	cfg     Config
	emit    func(Finding)
	Summary Summary

	pending [2]pending
	start   [2]int64 // the place of the first packet
	end     [2]int64 // the place of the last packet, or of its last segment
	flows   bounded.Map[packet.Flow, *flow]
	orders  bounded.Map[packet.Flow, *order]
	placed  int                                // segments in all orders
	copies  bounded.Map[uint64, [2]int64]      // the places of matched packets, by hash
	torn    bounded.Map[uint64, bool]          // those of which a copy came through with other boundaries, or in a whole superpacket
	altered bounded.Map[uint64, altered]       // those that came through changed, by the hash after
	times   [2]struct{ first, last time.Time } // of the packets of each side
	took    struct {
		least, most time.Duration
		known       bool
	} // from one capture to the other
	sure     [2]edges // the first and the last matched packet that has no copy
	givenUp  [2]givenUp
	seed     maphash.Seed
	recuts   map[packet.Flow]*recut
	presumed int    // UDP superpackets without a VnetHdr
	sized    [2]int // superpackets that were cut with Config.Size, and with another size
	nat      translations
	cuts     [2]pcap.Cuts // the records so far that each capture cut
	pace

	settling  bool // units are not given up
	finishing bool
	limit     [2]int64 // the place of the last unit that is settled
	searches  int      // searches of groups so far
}

const (
	maxBytes  = 48 << 20
	maxFlows  = 1 << 15
	maxCopies = 1 << 18
)

// Summary counts what was compared.
type Summary struct {
	Packets     [2]int `json:"packets"`     // packets read
	Segments    int    `json:"segments"`    // segments found in both captures
	Cut         [2]int `json:"cut"`         // superpackets that were cut
	Recut       [2]int `json:"recut"`       // packets whose bytes are in the other capture with other boundaries
	Outside     [2]int `json:"outside"`     // packets before the first or after the last one found in both captures
	Snapped     [2]int `json:"snapped"`     // packets whose counterpart may be a record that the other capture cut
	Unresolved  int    `json:"unresolved"`  // superpackets whose segment size is unknown
	AtomicIDs   int    `json:"atomic_ids"`  // segments with DF whose ID is not what cutting gives; it has no meaning
	Whole       int    `json:"whole"`       // superpackets that are in both captures and were not cut
	Copies      int    `json:"copies"`      // packets of which there are several, so that their order cannot be seen
	Uncompleted int    `json:"uncompleted"` // packets that are complete before, and have only the pseudo-header's sum after
	Datagrams   int    `json:"datagrams"`   // datagrams that came in other fragments, or whole
}

// New returns a Matcher that calls emit for each finding.
func New(cfg Config, emit func(Finding)) *Matcher {
	m := &Matcher{cfg: cfg, seed: maphash.MakeSeed()}
	m.emit = func(f Finding) {
		if n := m.snapped(f); n > 0 {
			m.Summary.Snapped[max(0, slices.Index([]string{Lost, Extra}, f.What))] += n
			return
		}
		emit(f)
	}
	for i := range m.pending {
		m.pending[i] = pending{byHash: map[uint64][]*unit{}, bySign: map[uint64][]*unit{}}
	}
	m.flows.Most, m.orders.Most, m.copies.Most, m.torn.Most, m.altered.Most = maxFlows, maxFlows, maxCopies, maxCopies, maxCopies
	m.flows.Keep = func(f *flow) bool {
		return f.waiting[Before].n+f.waiting[After].n > 0 || f.doubt != nil && len(f.doubt.held) > 0
	}
	m.orders.Gone = func(o *order) { o.settle(m, 0) }
	return m
}

// unit is a packet, or a segment that was cut from one.
type unit struct {
	side    int
	number  int    // of the packet in its capture
	segment int    // number in its superpacket, from 1; 0 if it was not cut
	at      int    // which packet of its flow it is, from 1
	of      *super // the superpacket that it was cut from; nil if it was not cut
	time    time.Time
	b       []byte // checksum complete
	packet.Header
	flow    *flow
	hash    uint64
	sum     packet.Class // of the packet as it was captured; unknown for a segment
	size    int          // the gso_size of its VnetHdr; 0 without one
	alone   bool         // its VnetHdr says that it is no superpacket
	waiting bool         // in pending
	covered int          // payload bytes that were also in units of the other side when they came
	mark    int          // of the last search that came across it
	sign    uint64       // what a translation keeps, if it is looked for; else 0
}

// altered is a packet that came through changed: its places, and what the change looks like.
type altered struct {
	places [2]int64
	text   string
}

// super is a superpacket that was cut.
type super struct {
	segments int
	guessed  bool                // the length of the segments is not that of a VnetHdr
	flaw     []packet.Difference // the wrong header fields of the superpacket, until they are reported
}

// place returns a number that orders the units of a side.
func (u *unit) place() int64 { return int64(u.number)<<placeBits | int64(u.segment) }

func byPlace(u, w *unit) int { return cmp.Compare(u.place(), w.place()) }

const placeBits = 17 // a superpacket has at most 65,535 segments

// payload returns the TCP or UDP payload.
func (u *unit) payload() []byte {
	if u.PayloadOff == 0 {
		return nil
	}
	return u.b[u.PayloadOff:]
}

// partial reports whether the checksum was partial in the capture.
func (u *unit) partial() bool { return u.sum == packet.Partial }

// stream reports whether u has TCP or UDP payload that may be compared with other
// boundaries.
func (u *unit) stream() bool { return u.flow.key.HasPorts() && u.PayloadOff < len(u.b) }

// long reports whether u may be a superpacket. In TCP it is one if its checksum is not
// complete, or if it is longer than most MTUs. A datagram with a right and complete
// checksum is none, nor is one with a VnetHdr that says so: a receiver gets one datagram.
func (u *unit) long() bool {
	switch {
	case u.of != nil || !u.stream():
		return false
	case u.size > 0:
		return true
	case u.Proto == 6:
		return (u.sum != packet.Right || len(u.b) > mtu) && !u.trailed()
	}
	return u.sum != packet.Right && !u.surplus() && !u.alone
}

const mtu = 1500 // of most networks

// trailed reports whether a few bytes follow the end of the IP packet. A superpacket whose
// length field is wrong lacks more than that.
func (u *unit) trailed() bool {
	const few = 64
	return u.IPLen > 0 && u.IPLen < len(u.b) && len(u.b)-u.IPLen < few
}

// atomic reports whether the ID of u has no meaning: the packet has DF and is no fragment
// (RFC 6864).
func (u *unit) atomic() bool { return u.Version == 4 && !u.Fragment && u.b[6]&0x40 != 0 }

// atomicID returns the ID of u if it has no meaning, and 0 for other packets.
func (u *unit) atomicID() uint16 {
	if !u.atomic() {
		return 0
	}
	return id(u)
}

// ownID reports whether the ID of u is that of its packet, and not one without a meaning that
// cutting gave it.
func (u *unit) ownID() bool { return !u.atomic() || u.segment <= 1 }

// surplus reports whether bytes follow the end of a datagram.
func (u *unit) surplus() bool {
	return u.Proto == 17 && !u.partial() && int(binary.BigEndian.Uint16(u.b[u.L4Off+4:])) < len(u.b)-u.L4Off
}

// flow is one direction of a connection, or of the traffic between two addresses if
// there are no ports.
type flow struct {
	key     packet.Flow
	waiting [2]queue // the units that have no counterpart so far
	seen    [2]int   // its packets so far
	longs   [2]int   // how many of them may be superpackets
	sizes   []int    // the latest distinct segment sizes
	edges   [2]edges // the first and the last matched unit
	doubt   *doubt   // of datagrams
	signed  [2]int   // how many of them may show what a translation made of the flow
	sure    [2]edges // the same, when equal packets are paired anew
}

// Add takes the next packet of a side. It keeps p.Data and does not change it.
func (m *Matcher) Add(side int, p pcap.Packet) error {
	m.Summary.Packets[side]++
	m.read[side] = p.Number
	m.end[side] = int64(p.Number) << placeBits
	if m.start[side] == 0 {
		m.start[side] = m.end[side]
	}
	if t := &m.times[side]; t.first.IsZero() {
		t.first = p.Time
	}
	m.times[side].last = p.Time
	h, has, err := pcap.Vnet(p.Comment)
	if err != nil {
		return err
	}
	u := m.unit(side, p.Number, p.Data)
	u.time = p.Time
	if has && h.GSOType != 0 && u.stream() && int(h.GSOSize) < len(u.payload()) {
		u.size = int(h.GSOSize)
	}
	u.alone = has && h.GSOType == 0
	m.watch(u)
	m.add(u)
	return nil
}

// unit returns the unit of a packet. A partial checksum is completed in a copy.
func (m *Matcher) unit(side, number int, b []byte) *unit {
	u := &unit{side: side, number: number, b: b, Header: packet.Parse(b)}
	key := u.Header.Flow(b)
	u.flow = m.flows.Get(key, func(int) *flow { return &flow{key: key} })
	if key.HasPorts() {
		u.sum = packet.Checksum(b)
	}
	sized := b
	if u.sum == packet.Wrong && len(b) <= 0xFFFF { // a superpacket may have the lengths of a segment
		fixed := bytes.Clone(b)
		if packet.Fix(fixed, packet.FixIPLen|packet.FixUDPLen); packet.Checksum(fixed) == packet.Partial {
			u.sum, sized = packet.Partial, fixed
		}
	}
	if u.partial() {
		u.b = bytes.Clone(b)
		at, complete, _ := packet.RightSum(sized)
		binary.BigEndian.PutUint16(u.b[at:], complete)
	}
	if side == After && len(m.nat.from) > 0 {
		m.restore(u)
	}
	u.flow.seen[side]++
	u.at = u.flow.seen[side]
	return u
}

// add finds the unit's counterpart, or makes it wait.
func (m *Matcher) add(u *unit) {
	u.hash = m.hash(u.b)
	if m.exact(u) {
		return
	}
	m.wait(u)
	if !u.waiting {
		return
	}
	if m.closes(u) {
		m.cutClosed(u)
	}
	if u.waiting {
		m.translates(u)
	}
}

// hash returns a hash of all bytes except the fields that may differ.
func (m *Matcher) hash(b []byte) uint64 {
	if len(m.cfg.Ignore) == 0 {
		return maphash.Bytes(m.seed, b)
	}
	b = bytes.Clone(b)
	m.mask(b)
	return maphash.Bytes(m.seed, b)
}

// mask clears the fields that may differ.
func (m *Matcher) mask(b []byte) {
	for _, f := range packet.Fields(b) {
		if slices.Contains(m.cfg.Ignore, f.Name) {
			clear(b[f.Off : f.Off+f.Len])
		}
	}
}

// exact pairs u with the oldest equal unit of the other side, if there is one. Where
// a checksum was partial, both forms of zero are right. Equal superpackets whose VnetHdrs
// differ are cut.
func (m *Matcher) exact(u *unit) bool {
	other := &m.pending[1-u.side]
	if w := other.peek(u.hash); w != nil {
		if u.size > 0 && w.size > 0 && u.size != w.size {
			other.remove(w)
			return m.cut(u, u.size) && m.cut(w, w.size)
		}
		m.pair(u, other.take(u.hash))
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
	if w := other.peek(hash); w != nil && (w.partial() || u.partial()) {
		m.pair(u, other.take(hash))
		return true
	}
	return false
}

// pair records that two equal units, one of each side, are the same packet. They no
// longer wait.
func (m *Matcher) pair(u, w *unit) {
	if u.side == After {
		u, w = w, u
	}
	if fields := m.hidden(u, w); fields != nil {
		m.report(m.change(u, w, fields))
	} else {
		m.Summary.Segments++
	}
	if w.of == nil && w.sum == packet.Partial && (u.of != nil || u.sum == packet.Right) {
		m.Summary.Uncompleted++
	}
	m.pending[u.side].remove(u)
	m.pending[w.side].remove(w)
	m.bothSides(u, w)
	m.reportFlaw(u, w)
	m.copies.Put(u.hash, [2]int64{u.place(), w.place()})
}

// reportFlaw reports wrong headers of a superpacket after the offload, if its counterpart
// does not have the same. The first of its segments that is matched reports them.
func (m *Matcher) reportFlaw(u, w *unit) {
	if w.of == nil || len(w.of.flaw) == 0 { // -ignore leaves an empty list
		return
	}
	if u.of == nil || fmt.Sprint(u.of.flaw) != fmt.Sprint(w.of.flaw) {
		m.report(Finding{What: Changed, Packets: [2]int{u.number, w.number}, Segments: [2]int{u.segment, 0}, Fields: w.of.flaw, Rule: "C3.header", Text: "the superpacket has wrong headers", flaw: true})
	}
	w.of.flaw = nil
}

// bothSides records the places of two units that are the same packet. Superpackets of equal
// datagrams have no order that can be seen.
func (m *Matcher) bothSides(u, w *unit) {
	m.came(u, w)
	if u.of == nil && w.of == nil && (u.size > 0 || len(u.b) > mtu && u.long()) {
		m.Summary.Whole++
	}
	if n := period(u.payload()); u.Proto == 17 && u.long() && n > 0 {
		m.Summary.Copies++
		for _, s := range m.segments(u, cmp.Or(u.size, n)) { // so have those that are equal to them
			m.torn.Put(m.atomicHash(s), true)
		}
		return
	}
	m.placePair(u, w)
}

// period returns the length of the equal parts of which b consists; 0 if it does not. The last
// part may be shorter.
func period(b []byte) int {
	start := b[:min(16, (len(b)+1)/2)] // what is left after any period
	for at, tries := 1, 0; at <= len(b)/2 && tries < 64; at, tries = at+1, tries+1 {
		n := bytes.Index(b[at:], start)
		if n < 0 {
			return 0
		}
		if at += n; at <= len(b)/2 && bytes.Equal(b[at:], b[:len(b)-at]) {
			return at
		}
	}
	return 0
}

// came records that two units came through.
func (m *Matcher) came(u, w *unit) {
	for _, x := range []*unit{u, w} {
		m.pending[x.side].add(x.place())
		x.flow.edges[x.side].add(x.place())
		m.reportGivenUp(x.side, x.place())
	}
	m.keepPace(u, w)
}

// placePair adds two units that are the same packet to the order of their flow.
func (m *Matcher) placePair(u, w *unit) {
	m.orderOf(w).add(m, placed{
		before: u.place(), after: w.place(), flow: w.flow,
		hash: w.hash, class: m.atomicHash(w), atomic: w.atomic(), ids: [2]uint16{u.atomicID(), w.atomicID()},
		at: [2]time.Duration{m.since(u), m.since(w)},
	})
}

// since returns the time of a unit, since the first packet of its capture.
func (m *Matcher) since(u *unit) time.Duration { return u.time.Sub(m.times[u.side].first) }

// orderOf returns the order that a unit is part of: that of all traffic between its
// addresses.
func (m *Matcher) orderOf(u *unit) *order {
	return m.orders.Get(u.flow.key.Pair(), func(int) *order { return &order{} })
}

func id(u *unit) uint16 { return binary.BigEndian.Uint16(u.b[4:]) }

func seq(u *unit) uint32 { return binary.BigEndian.Uint32(u.b[u.L4Off+4:]) }

// differences returns the fields that differ and may not.
func (m *Matcher) differences(want, got []byte) []packet.Difference {
	return slices.DeleteFunc(packet.Diff(want, got), func(d packet.Difference) bool { return slices.Contains(m.cfg.Ignore, d.Field) })
}
