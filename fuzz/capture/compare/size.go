package compare

import (
	"bytes"
	"slices"
	"tunproof/fuzz/packet"
)

// overlap reports whether two units of a flow cover some of the same payload with
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

// maxDatagrams is the largest number of segments in a UDP superpacket.
const maxDatagrams = 128

// offset returns the offset of datagram b in a, which consists of datagrams of one
// length, or -1 if it is not there.
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
		return at // the last one, which may be shorter
	}
	return -1
}

// start returns the offset of short in long's payload. In TCP it may be outside the
// payload; in UDP it is -1 if short is not in long.
func start(long, short *unit) int {
	if long.Proto == 6 {
		return int(int32(seq(short) - seq(long)))
	}
	return offset(long.payload(), short.payload())
}

// divisible reports whether long surely stands for several packets. short covers a
// part of it. If short starts where long does, and no other unit covers the rest, then
// short may be the same packet without its end.
func (m *Matcher) divisible(long, short *unit) bool {
	n, all := len(short.payload()), len(long.payload())
	switch {
	case long.Proto == 17 && !long.derived && packet.Checksum(long.b) == packet.Right:
		return false // a datagram with a checksum of its own: a receiver gets one
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

// size returns the payload length of full segments with which long is to be cut, as
// shown by short, which covers a part of it; 0 if it is unknown.
func (m *Matcher) size(long, short *unit) int {
	n, known := len(short.payload()), long.flow.size
	if m.cfg.Size > 0 {
		return m.cfg.Size
	}
	at := start(long, short)
	whole := n
	if claimed := short.IPLen - short.PayloadOff; claimed > n && at+claimed <= len(long.payload()) {
		n = claimed // its end is missing
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
		return 0 // its length field alone proves nothing
	case at%n == 0:
		return n
	}
	return known
}

// sizeByLast returns the segment size of long if short is its last segment, which has
// n bytes of payload and may be shorter than the others. The at bytes before it must
// be full segments; in IPv4 the IDs show how many. It returns 0 if the size is unknown.
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

// leastFull is the smallest payload of a last segment that is taken for a full one.
const leastFull = 536

// likelySizes holds the MTUs of most networks and tunnels.
var likelySizes = []int{1500, 1420, 1492, 1480, 1440, 1400, 1380, 1350, 1280, 9000, 8920}

// sizeOfBoth returns the segment size with which to cut two packets that may both be
// superpackets. short starts at offset at of long's payload, which may be negative,
// and is n bytes long. Each boundary of one that lies in the other is the boundary of
// a segment. It returns 0 if these two do not show the size.
func (m *Matcher) sizeOfBoth(long, short *unit, at, n int) int {
	var inside []int // the distances between boundaries
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

// abs returns the absolute value.
func abs(n int) int { return max(n, -n) }

// startsWith reports whether the first segment of long is equal to short, if long is
// cut with the size of short.
func (m *Matcher) startsWith(long, short *unit) bool {
	segments, ok := segments(long, len(short.payload()))
	return ok && m.hash(segments[0]) == short.hash
}
