// SPDX-License-Identifier: MIT

package compare

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"slices"

	"tunproof/fuzz/packet"
)

// doubt is what is known of a flow of datagrams of which both captures have superpackets,
// some of them without a VnetHdr. Nothing shows how long the segments of those are. Where the
// bytes of the flow are the same in both captures, a finding may come from a wrong guess.
type doubt struct {
	bytes  [2]maphash.Hash // of all payload, in order
	n      [2]int          // payload bytes
	heads  [2]map[uint64]bool
	supers [2]bool // the side has a superpacket
	opaque bool    // one of them has no VnetHdr
	held   []Finding
	over   bool // too many findings: none is held
}

// maxHeads is how many different headers of a flow are remembered.
const maxHeads = 64

// watch records a datagram as it was captured.
func (m *Matcher) watch(u *unit) {
	if u.Proto != 17 || u.PayloadOff == 0 || u.Fragment {
		return
	}
	d := u.flow.doubt
	if d == nil {
		d = &doubt{heads: [2]map[uint64]bool{{}, {}}}
		d.bytes[Before].SetSeed(m.seed)
		d.bytes[After].SetSeed(m.seed)
		u.flow.doubt = d
	}
	d.bytes[u.side].Write(u.payload())
	d.n[u.side] += len(u.payload())
	if opaque := u.long() && (u.partial() || len(u.b) > mtu); u.size > 0 || opaque {
		d.supers[u.side] = true
		d.opaque = d.opaque || u.size == 0
	}
	if heads := d.heads[u.side]; len(heads) < maxHeads {
		heads[head(u)] = true
	}
}

// head returns what the segments of a superpacket share: the header fields that do not differ
// between them, and whether the checksum is there and not wrong.
func head(u *unit) uint64 {
	sum := uint64(0)
	switch u.sum {
	case packet.Wrong:
		sum = 1
	case packet.Absent:
		sum = 2
	}
	if u.Version == 4 {
		return sum<<60 | uint64(u.b[1])<<24 | uint64(u.b[6]&0xC0)<<16 | uint64(u.b[8])
	}
	return sum<<60 | uint64(binary.BigEndian.Uint32(u.b))<<8 | uint64(u.b[7])
}

// report emits a finding, or holds it until the captures end if a guess may explain it.
func (m *Matcher) report(f Finding) {
	fl, _ := m.flows.Has(f.flow)
	if fl == nil || !fl.opaque() || !aboutLengths(f) {
		m.emit(f)
		return
	}
	d := fl.doubt
	if d.held = append(d.held, f); len(d.held) > maxGivenUp {
		d.over = true
		m.release(d)
	}
}

// opaque reports whether findings of the flow are held.
func (f *flow) opaque() bool {
	return f != nil && f.doubt != nil && !f.doubt.over && f.doubt.opaque && f.doubt.supers == [2]bool{true, true}
}

// aboutLengths reports whether a finding may come from a wrong length of segments.
func aboutLengths(f Finding) bool {
	names := f.FieldNames()
	if slices.Equal(names, []string{"ip.id", "ip.checksum"}) { // cutting gave it
		return f.Segments[Before] > 1 || f.Segments[After] > 1
	}
	if f.What == Changed && !slices.Contains(names, "length") && !slices.Contains(names, "payload") {
		return false
	}
	return !slices.ContainsFunc(names, func(name string) bool {
		return !slices.Contains([]string{"length", "ip.total_length", "ip.payload_length", "ip.id", "ip.checksum", "udp.length", "udp.checksum", "payload"}, name)
	})
}

// release emits the findings that are held.
func (m *Matcher) release(d *doubt) {
	for _, f := range d.held {
		m.emit(f)
	}
	d.held = nil
}

// resolve decides about all findings that are held. Those of a flow whose bytes and headers
// are the same in both captures become superpackets that were not compared.
func (m *Matcher) resolve() {
	for f := range m.flows.Values() {
		d := f.doubt
		if d == nil || len(d.held) == 0 {
			continue
		}
		if d.n[Before] == d.n[After] && d.bytes[Before].Sum64() == d.bytes[After].Sum64() && maps.Equal(d.heads[Before], d.heads[After]) {
			seen := map[int]bool{}
			for _, x := range d.held {
				seen[x.Packets[After]] = true
				seen[-x.Packets[Before]] = true
			}
			delete(seen, 0)
			m.Summary.Unresolved += len(seen)
			continue
		}
		m.release(d)
	}
}
