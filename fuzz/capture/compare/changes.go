package compare

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"

	"tunproof/fuzz/packet"
)

// changes pairs what is left of both sides and is the same packet but for some
// fields.
func (m *Matcher) changes(ctx context.Context, left [2][]*unit) {
	index := map[key][]*unit{}
	for _, w := range left[After] {
		if _, copied := m.copies.Has(w.hash); copied {
			continue
		}
		for _, k := range m.keys(w) {
			index[k] = append(index[k], w)
		}
	}
	var found []*Finding
	alike := map[string]*Finding{}
	for _, u := range left[Before] {
		if ctx.Err() != nil {
			break
		}
		w := m.likest(u, index)
		if w == nil {
			continue
		}
		f := m.changed(u, w)
		k := fmt.Sprint(f.of)
		for _, d := range f.Fields {
			k += " " + d.Field
		}
		if first := alike[k]; first != nil {
			first.Count++
			continue
		}
		f.Count = 1
		alike[k] = &f
		found = append(found, &f)
	}
	for _, f := range found {
		m.emit(*f)
	}
}

// key is something that a packet keeps when others of its fields change.
type key struct {
	what byte
	flow packet.Flow
	n    uint64
}

// keys are a unit's, what is most its own first: where it is in its flow, its end,
// the start of its payload, its ID, its flow.
func (m *Matcher) keys(u *unit) []key {
	var list []key
	if u.Proto == 6 && u.PayloadOff > 0 && !u.Fragment {
		list = append(list, key{'s', u.flow.key, uint64(seq(u))})
	}
	list = append(list, key{what: 't', n: maphash.Bytes(m.seed, u.b[max(0, len(u.b)-32):])})
	if p := u.payload(); len(p) >= 32 {
		list = append(list, key{what: 'h', n: maphash.Bytes(m.seed, p[:32])})
	}
	if u.Version == 4 {
		list = append(list, key{'i', u.flow.key.Pair(), uint64(id(u))})
	}
	return append(list, key{what: 'f', flow: u.flow.key})
}

// maxLike bounds how many units with one key are looked at.
const maxLike = 8

// likest returns the unit that differs least from u, of those that have one of
// its keys.
func (m *Matcher) likest(u *unit, index map[key][]*unit) *unit {
	if !u.waiting {
		return nil
	}
	var best *unit
	least := mostUnlike + 1
	for _, k := range m.keys(u) {
		list := index[k]
		for len(list) > 0 && !list[0].waiting {
			list = list[1:]
		}
		index[k] = list
		for _, w := range list[:min(len(list), maxLike)] {
			if w.waiting && !m.apart(u, w) {
				if n := m.unlike(u, w); n > 0 && n < least {
					best, least = w, n
				}
			}
		}
		if least <= surelyLike {
			break
		}
	}
	return best
}

// surelyLike is how unlike two packets with one key may be for no other to be
// looked at.
const surelyLike = 2

// mostUnlike is how unlike two packets may be that are taken for the same.
const mostUnlike = 6

// apart says whether one capture ended before the other started to see such
// packets: one unit is before all that was matched, the other behind.
func (m *Matcher) apart(u, w *unit) bool {
	before := func(u *unit) bool { return u.place() < m.pending[u.side].first }
	behind := func(u *unit) bool { return u.place() > m.pending[u.side].last }
	return before(u) && behind(w) || behind(u) && before(w)
}

// unlike weighs the fields in which two packets differ.
func (m *Matcher) unlike(u, w *unit) int {
	n := 0
	other := false
	for _, d := range m.differences(u.b, w.b) {
		other = other || d.Field == "tcp.seq" || d.Field == "tcp.ack" || d.Field == "tcp.options"
		switch d.Field {
		case "payload":
			n++
			switch {
			case mostlyEqual(u.payload(), w.payload()):
			case samePlace(u, w):
				n += mostUnlike - 2
			default:
				n += mostUnlike
			}
		case "tcp.seq", "tcp.sport", "tcp.dport", "udp.sport", "udp.dport", "ip.src", "ip.dst":
			n += 2
		default:
			n++
		}
	}
	if len(u.payload()) == 0 {
		n += 2 // there is little to tell it by
		if other && packet.Checksum(w.b) == packet.Right {
			n += mostUnlike // it is another acknowledgement
		}
	}
	return n
}

// samePlace says whether two packets have one sequence number, or one ID.
func samePlace(u, w *unit) bool {
	if u.flow != w.flow || u.PayloadOff == 0 {
		return false
	}
	if u.Proto == 6 {
		return seq(u) == seq(w)
	}
	return u.Version == 4 && id(u) == id(w) && id(u) != 0
}

// mostlyEqual says whether three quarters of the bytes are.
func mostlyEqual(a, b []byte) bool {
	n := min(len(a), len(b))
	if bytes.Equal(a[:n], b[:n]) {
		return n > 0
	}
	same := 0
	for i := range n {
		if a[i] == b[i] {
			same++
		}
	}
	return 4*same >= 3*max(len(a), len(b))
}
