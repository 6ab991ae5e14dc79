// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"context"
	"hash/maphash"
	"slices"
	"time"

	"tunproof/fuzz/packet"
)

// changes pairs units left on both sides that are the same packet except for some
// fields.
func (m *Matcher) changes(ctx context.Context, left [2][]*unit) {
	index := map[key][]*unit{}
	for _, w := range left[After] {
		if !w.waiting {
			continue
		}
		if _, copied := m.copies.Has(w.hash); copied {
			continue
		}
		for _, k := range m.keys(w) {
			index[k] = append(index[k], w)
		}
	}
	at := map[key][]*unit{} // the units of Before, by their place in the flow
	for _, u := range left[Before] {
		if k, ok := u.placeKey(); ok {
			at[k] = append(at[k], u)
		}
	}
	var found []Finding
	defer func() {
		sortFindings(found)
		for _, f := range found {
			m.report(f)
		}
	}()
	// Content first: places recur, because IPv4 IDs start again after 65,536 packets or earlier.
	// What was passed over for a nearer one is tried again, as long as that pairs something.
	most := samePlaceOnly - 1
	for range 2 + maxAgain {
		passed, paired := false, false
		for _, u := range left[Before] {
			if ctx.Err() != nil {
				return
			}
			w := m.closest(u, index, most)
			switch {
			case w == nil:
			case samePlace(u, w) && most == mostUnlike && m.nearer(u, w, at):
				passed = true
			case (!u.ownID() || !w.ownID()) && m.atomicHash(u) == m.atomicHash(w): // of several equal packets
				m.Summary.AtomicIDs++
				m.pair(u, w)
				paired = true
			default:
				found = append(found, m.changed(u, w))
				paired = true
			}
		}
		if most == mostUnlike && !(passed && paired) {
			return
		}
		most = mostUnlike
	}
}

// maxAgain bounds how often units that were passed over are tried again, and maxAside how many
// units at one place are looked at on each side.
const maxAgain, maxAside = 8, 64

// nearer reports whether another unit at the place of u, which waits too, is nearer in time to w
// than u is, by the time that packets take from one capture to the other.
func (m *Matcher) nearer(u, w *unit, at map[key][]*unit) bool {
	k, ok := u.placeKey()
	if !ok || !m.took.known {
		return false
	}
	distance := func(u *unit) time.Duration {
		return (w.time.Sub(u.time) - (m.took.least+m.took.most)/2).Abs()
	}
	list := at[k]
	i, _ := slices.BinarySearchFunc(list, u, byPlace)
	for _, step := range []int{-1, 1} {
		for n, j := 0, i+step; n < maxAside && j >= 0 && j < len(list); n, j = n+1, j+step {
			if v := list[j]; v.waiting && samePlace(v, w) {
				if distance(v) < distance(u) {
					return true
				}
				break // those beyond are further away
			}
		}
	}
	return false
}

// key is a property that a packet keeps when other fields change.
type key struct {
	what byte
	flow packet.Flow
	n    uint64
}

// placeKey returns the key of the place of a unit in its flow: the sequence number, or the IPv4
// ID.
func (u *unit) placeKey() (k key, ok bool) {
	switch {
	case u.Proto == 6 && u.PayloadOff > 0 && !u.Fragment:
		return key{'s', u.flow.key, uint64(seq(u))}, true
	case u.Version == 4:
		return u.idKey(), true
	}
	return key{}, false
}

// idKey returns the key of the IPv4 ID of a unit.
func (u *unit) idKey() key { return key{'i', u.flow.key.Pair(), uint64(id(u))} }

// keys returns the keys of a unit, the most specific first: its place in the flow, its
// end, the start of its payload, its IPv4 ID, its flow.
func (m *Matcher) keys(u *unit) []key {
	var list []key
	if place, ok := u.placeKey(); ok && place.what == 's' {
		list = append(list, place)
	}
	list = append(list, key{what: 't', n: maphash.Bytes(m.seed, u.b[max(0, len(u.b)-32):])})
	if p := u.payload(); len(p) >= 32 {
		list = append(list, key{what: 'h', n: maphash.Bytes(m.seed, p[:32])})
	}
	if u.Version == 4 {
		list = append(list, u.idKey())
	}
	return append(list, key{what: 'f', flow: u.flow.key})
}

// maxLike bounds how many units with the same key are compared.
const maxLike = 8

// closest returns the unit that differs least from u among those that share a key
// with it and differ by no more than most, or nil.
func (m *Matcher) closest(u *unit, index map[key][]*unit, most int) *unit {
	if !u.waiting {
		return nil
	}
	var best *unit
	least := most + 1
	for _, k := range m.keys(u) {
		list := index[k]
		for len(list) > 0 && !list[0].waiting {
			list = list[1:]
		}
		index[k] = list
		for _, w := range list[:min(len(list), maxLike)] {
			if w.waiting && (!m.apart(u, w) || m.routed(u, w)) {
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

// surelyLike is the difference up to which a unit with the same key is taken without
// looking at further keys.
const surelyLike = 2

// mostUnlike is the largest difference of two packets that are taken for the same.
const mostUnlike = 6

// samePlaceOnly is the difference of two packets that have only their place in the flow in
// common, besides their headers.
const samePlaceOnly = mostUnlike - 1

// apart reports whether one unit passed before the other capture started, and the other one
// after the other capture ended. Then they cannot be the same packet.
func (m *Matcher) apart(u, w *unit) bool {
	return m.edge(u, u.place())*m.edge(w, w.place()) < 0
}

// routed reports whether two units are the same packet before and after a router. Such a pair
// may be far from all that are matched, because no packet came through unchanged.
func (m *Matcher) routed(u, w *unit) bool {
	return u.flow == w.flow && byHop(u, w, withoutCutID(u, w, m.differences(u.b, w.b)))
}

// unlike returns how much two packets differ: the sum of a weight for each field.
func (m *Matcher) unlike(u, w *unit) int {
	n := 0
	other := false
	for _, d := range m.differences(u.b, w.b) {
		other = other || d.Field == "tcp.seq" || d.Field == "tcp.ack" || d.Field == "tcp.options"
		switch d.Field {
		case "payload": // below
		case "tcp.seq", "tcp.sport", "tcp.dport", "udp.sport", "udp.dport", "ip.src", "ip.dst":
			n += 2
		default:
			n++
		}
	}
	p, q := u.content(), w.content()
	if (u.PayloadOff == 0) != (w.PayloadOff == 0) || u.Fragment != w.Fragment { // a header is damaged
		p, q = u.b[min(20, len(u.b)):], w.b[min(20, len(w.b)):]
	}
	switch {
	case bytes.Equal(p, q) && len(p) == 0:
		n += 2 // there is little to recognise it by
		if other && packet.Checksum(w.b) == packet.Right {
			n += mostUnlike // it is another acknowledgement
		}
	case bytes.Equal(p, q):
	case mostlyEqual(p, q):
		n++
	case samePlace(u, w):
		n += samePlaceOnly
	default:
		n += mostUnlike + 1
	}
	return n
}

// content returns the bytes after the last header that is known.
func (u *unit) content() []byte {
	switch {
	case u.PayloadOff > 0:
		return u.b[u.PayloadOff:]
	case u.Version == 4:
		return u.b[4*int(u.b[0]&15):]
	case u.Version == 6:
		return u.b[40:]
	}
	return u.b
}

// samePlace reports whether two packets of one flow have the same sequence number, or
// the same IPv4 ID.
func samePlace(u, w *unit) bool {
	if u.flow != w.flow || u.PayloadOff == 0 {
		return false
	}
	if u.Proto == 6 {
		return seq(u) == seq(w)
	}
	return u.Version == 4 && id(u) == id(w) && id(u) != 0
}

// mostlyEqual reports whether at least three quarters of the bytes are equal, or all
// up to the end of the shorter slice.
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
