package compare

import (
	"bytes"
	"slices"
)

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

// start is where a unit starts in another's payload; of UDP -1 if nowhere.
func start(long, short *unit) int {
	if long.Proto == 6 {
		return int(int32(seq(short) - seq(long)))
	}
	return offset(long.payload(), short.payload())
}

// divisible says whether a packet is known to stand for several, next to a unit
// that covers a part of it: if that is all that is there of the longer one, and
// starts where it does, it may as well be the same packet without its end.
func (m *Matcher) divisible(long, short *unit) bool {
	n, all := len(short.payload()), len(long.payload())
	switch {
	case start(long, short) != 0, n == long.flow.size:
		return true
	case len(long.b) > likelySizes[0] && (long.derived || 2*n <= all):
		return true
	}
	waiting := short.flow.waiting[short.side].units
	return slices.ContainsFunc(waiting[max(0, len(waiting)-maxTries):], func(x *unit) bool {
		p := x.payload()
		if !x.waiting || x == short || x.Proto != long.Proto || len(p) == 0 || len(p) >= all {
			return false
		}
		at := start(long, x)
		return at > 0 && at < all || long.Proto == 17 && bytes.HasPrefix(long.payload()[n:], p)
	})
}

// size is the payload of a full segment by which a superpacket is to be cut,
// next to a unit that covers a part of it; 0 if it cannot be told.
func (m *Matcher) size(long, short *unit) int {
	n, known := len(short.payload()), long.flow.size
	if m.cfg.Size > 0 {
		return m.cfg.Size
	}
	at := start(long, short)
	whole := n
	if said := short.IPLen - short.PayloadOff; said > n && at+said <= len(long.payload()) {
		n = said // its end is missing
	}
	if short.derived && (long.derived || n > likelySizes[0]) { // it may be a superpacket too
		return m.sizeOfBoth(long, short, at, n)
	}
	last := at > 0 && at+n == len(long.payload())
	if last {
		return m.sizeByLast(long, short, at, n)
	}
	switch {
	case at < 0:
		return known
	case at == 0 && n == whole && m.startsWith(long, short):
		return n
	case known > 0 && at%known == 0 && n <= known:
		return known
	case at == 0 && n != whole:
		return 0 // its length field alone does not tell
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

// likelySizes are the MTUs that most networks and tunnels have.
var likelySizes = []int{1500, 1420, 1492, 1480, 1440, 1400, 1380, 1350, 1280, 9000, 8920}

// sizeOfBoth is the size by which two packets are to be cut that may both be
// superpackets, of which one starts at at in the other's payload, or before it, and
// is n bytes long: each boundary that lies in the other is a segment's. 0 if it
// cannot be told from these two.
func (m *Matcher) sizeOfBoth(long, short *unit, at, n int) int {
	var inside []int // the distances of boundaries
	all, end := len(long.payload()), at+n
	if at != 0 {
		inside = append(inside, abs(at))
	}
	if end < all {
		inside = append(inside, end)
	} else if end > all {
		inside = append(inside, all-at)
	}
	fits := func(size int) bool {
		return size > 0 && size < all && (size <= n || end == all) && !slices.ContainsFunc(inside, func(d int) bool { return d%size != 0 })
	}
	if fits(long.flow.size) {
		return long.flow.size
	}
	if long.Version == 4 && at > 0 {
		if before := int(id(short) - id(long)); before > 0 && at%before == 0 && fits(at/before) {
			return at / before
		}
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
