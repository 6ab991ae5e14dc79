// Package compare compares two captures, taken before and after an offload. A
// superpacket stands for segments, so it is cut as the kernel cuts it, with the
// segment size that the other capture shows. Then each segment of one capture must
// be in the other, byte for byte, and in the order of its flow.
package compare

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/bounded"
	"tunproof/fuzz/packet"
	"tunproof/model"
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
	placed  int                         // segments in all orders
	copies  bounded.Map[uint64, [2]int] // the numbers of matched packets, by hash
	givenUp [2]givenUp
	seed    maphash.Seed
	pace
}

const (
	maxBytes  = 48 << 20
	maxFlows  = 1 << 15
	maxCopies = 1 << 18
)

// Summary counts what was compared.
type Summary struct {
	Packets    [2]int `json:"packets"`    // packets read
	Segments   int    `json:"segments"`   // segments found in both captures
	Cut        [2]int `json:"cut"`        // superpackets that were cut
	Outside    [2]int `json:"outside"`    // packets before the first or after the last one found in both captures
	Unresolved int    `json:"unresolved"` // superpackets whose segment size is unknown
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

// unit is a packet, or a segment that was cut from one.
type unit struct {
	side    int
	number  int // of the packet in its capture
	segment int // index in its superpacket; 0 if it was not cut
	cut     bool
	b       []byte // checksum complete
	packet.Header
	flow    *flow
	hash    uint64
	derived bool                // its checksum was partial
	waiting bool                // in pending
	flaw    []packet.Difference // set in a first segment: the wrong header fields of its superpacket
}

// place returns a number that orders the units of a side.
func (u *unit) place() int64 { return int64(u.number)<<placeBits | int64(u.segment) }

const placeBits = 17 // a superpacket has at most 65,535 segments

// payload returns the TCP or UDP payload.
func (u *unit) payload() []byte {
	if u.PayloadOff == 0 {
		return nil
	}
	return u.b[u.PayloadOff:]
}

// flow is one direction of a connection, or of the traffic between two addresses if
// there are no ports.
type flow struct {
	key     packet.Flow
	id      int
	waiting [2]queue // the units that have no counterpart so far
	size    int      // payload bytes of a full segment; 0 if unknown
	sizes   []int    // the latest distinct segment sizes
	edges   [2]edges // the first and the last matched unit
}

// Add takes the next packet of a side. It keeps p.Data and does not change it.
func (m *Matcher) Add(side int, p pcap.Packet) error {
	m.Summary.Packets[side]++
	m.read[side] = p.Number
	m.end[side] = int64(p.Number) << placeBits
	if m.start[side] == 0 {
		m.start[side] = m.end[side]
	}
	h, has, err := pcap.Vnet(p.Comment)
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

// unit returns the unit of a packet. A partial checksum is completed in a copy.
func (m *Matcher) unit(side, number int, b []byte) *unit {
	u := &unit{side: side, number: number, b: b, Header: packet.Parse(b)}
	key := u.Header.Flow(b)
	u.flow = m.flows.Get(key, func(id int) *flow { return &flow{key: key, id: id} })
	if key.HasPorts() && packet.Checksum(b) == packet.Partial {
		u.b = bytes.Clone(b)
		packet.Fix(u.b, packet.FixL4Csum)
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
// a checksum was partial, both forms of zero are right.
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

// pair records that two equal units, one of each side, are the same packet. They no
// longer wait.
func (m *Matcher) pair(u, w *unit) {
	if u.side == After {
		u, w = w, u
	}
	m.Summary.Segments++
	m.pending[u.side].remove(u)
	m.pending[w.side].remove(w)
	m.bothSides(u, w)
	if w.flaw != nil && fmt.Sprint(u.flaw) != fmt.Sprint(w.flaw) {
		m.emit(Finding{What: Changed, Packets: [2]int{u.number, w.number}, Fields: w.flaw, Rule: "C3.header", Text: "the superpacket has wrong headers"})
	}
	m.copies.Put(u.hash, [2]int{u.number, w.number})
}

// bothSides records the places of two units that are the same packet.
func (m *Matcher) bothSides(u, w *unit) {
	for _, x := range []*unit{u, w} {
		m.pending[x.side].add(x.place())
		x.flow.edges[x.side].add(x.place())
		m.reportGivenUp(x.side, x.place())
	}
	m.keepPace(u, w)
	m.orderOf(w).add(m, placed{before: u.place(), after: w.place(), flow: w.flow.id, ports: w.flow.key.HasPorts(), b: u.number, a: w.number, hash: w.hash})
}

// orderOf returns the order that a unit is part of: that of all traffic between its
// addresses.
func (m *Matcher) orderOf(u *unit) *order {
	return m.orders.Get(u.flow.key.Pair(), func(int) *order { return &order{} })
}

// related looks for a waiting unit of the other side that covers some of the same
// bytes with other boundaries, and cuts the longer one, or both. If there are several,
// it takes the one that starts nearest to u, which shows the segment size best. It
// reports whether u was dealt with.
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
	if !m.divisible(long, short) {
		return false
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

func id(u *unit) uint16 { return binary.BigEndian.Uint16(u.b[4:]) }

func seq(u *unit) uint32 { return binary.BigEndian.Uint32(u.b[u.L4Off+4:]) }

// canCut reports whether u is a superpacket that can be cut into segments of size payload
// bytes. It is false for a segment, and for 0, which is an unknown size.
func (m *Matcher) canCut(u *unit, size int) bool {
	if size == 0 || len(u.payload()) <= size || u.cut || u.surplus() {
		return false
	}
	_, ok := segments(u, size)
	return ok
}

// surplus reports whether bytes follow the end of a datagram.
func (u *unit) surplus() bool {
	return u.Proto == 17 && !u.derived && int(binary.BigEndian.Uint16(u.b[u.L4Off+4:])) < len(u.b)-u.L4Off
}

// maxSizes is how many segment sizes are remembered for a flow.
const maxSizes = 8

// cut adds the segments of a superpacket in its place. It reports whether the
// superpacket could be cut.
func (m *Matcher) cut(u *unit, size int) bool {
	list, ok := segments(u, size)
	if !ok || len(list) < 2 {
		return false
	}
	m.Summary.Cut[u.side]++
	if u.side == After || u.flow.size == 0 {
		u.flow.size = size
	}
	if f := u.flow; !slices.Contains(f.sizes, size) {
		f.sizes = append(f.sizes[max(0, len(f.sizes)-maxSizes+1):], size)
	}
	flaw := m.flaw(u)
	if last := int64(u.number)<<placeBits + int64(len(list)) - 1; last > m.end[u.side] {
		m.end[u.side] = last
	}
	for i, b := range list {
		m.add(&unit{side: u.side, number: u.number, segment: i, cut: true, b: b, Header: packet.Parse(b), flow: u.flow, flaw: flaw})
		flaw = nil // reported once
	}
	return true
}

// segments returns the segments into which the kernel cuts u. If u's checksum is
// wrong, theirs are wrong by as much.
func segments(u *unit, size int) ([][]byte, bool) {
	b := bytes.Clone(u.b)
	right := bytes.Clone(u.b)
	packet.Fix(right, packet.FixL4Csum)
	packet.Fix(b, packet.FixPartial|packet.FixUDPLen)
	at := u.L4Off + 16
	if u.Proto == 17 {
		at = u.L4Off + 6
	}
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

// flaw returns the wrong fields of a superpacket that cutting repairs: its lengths
// and the header checksum.
func (m *Matcher) flaw(u *unit) []packet.Difference {
	right := bytes.Clone(u.b)
	packet.Fix(right, packet.FixIPLen|packet.FixUDPLen|packet.FixIPCsum)
	return m.differences(right, u.b)
}

// differences returns the fields that differ and may not.
func (m *Matcher) differences(want, got []byte) []packet.Difference {
	return slices.DeleteFunc(packet.Diff(want, got), func(d packet.Difference) bool { return slices.Contains(m.cfg.Ignore, d.Field) })
}
