package offload

import "encoding/binary"

// fixed has a one for each bit of the headers of a candidate that Segment copies
// from the first packet to all, and a zero for what it sets: by IP version and
// protocol, up to the longest headers.
var fixed = func() (all [2][2][maxHdrLen]byte) {
	for v6 := range all {
		for udp := range all[v6] {
			m := &all[v6][udp]
			for i := range m {
				m[i] = 0xFF
			}
			l4 := ipv4HdrLen
			if v6 == 1 {
				l4 = ipv6HdrLen
				clear(m[4:6]) // payload length
			} else {
				clear(m[2:6]) // total length, ID
				clear(m[10:12])
			}
			if udp == 1 {
				clear(m[l4+4 : l4+8]) // length, checksum
				continue
			}
			clear(m[l4+4 : l4+8]) // sequence number
			m[l4+13] = ^byte(tcpFIN | tcpPSH)
			clear(m[l4+16 : l4+18])
		}
	}
	return all
}()

// sameHeaders says whether the headers of a and b, which have them as s says, are
// equal in all that Segment copies: versions and header lengths, TOS or traffic
// class and flow label, the word with DF, TTL, protocol, addresses and ports, ACK
// number, all flags but FIN and PSH, window, urgent pointer, options.
func sameHeaders(a, b []byte, s *shape) bool {
	mask := &fixed[s.version>>1&1][s.proto>>4&1] // version 4 or 6, protocol 6 or 17
	n := s.hdrLen
	a, b = a[:n], b[:n]
	// Eight bytes at a time, and the last eight: headers are of 28 bytes or more.
	diff := differ(a[n-8:], b[n-8:], mask[n-8:])
	for i := 0; i+8 <= n; i += 8 {
		diff |= differ(a[i:], b[i:], mask[i:])
	}
	return diff == 0
}

func differ(a, b, mask []byte) uint64 {
	return (binary.NativeEndian.Uint64(a) ^ binary.NativeEndian.Uint64(b)) & binary.NativeEndian.Uint64(mask)
}
