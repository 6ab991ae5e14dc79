// SPDX-License-Identifier: MIT

package anonymise

import (
	"encoding/binary"

	"tunproof/fuzz/packet"
)

// options enciphers the data of options and extension headers, except those that an
// offload, congestion control or a router needs. It keeps their kinds and lengths, and equal
// data stays equal. It returns the offset of the first byte that payload must encipher.
func (a *Anonymiser) options(h packet.Header, b []byte) int {
	at := 0
	switch {
	case h.Version == 4:
		at = 4 * int(b[0]&15)
		a.hideOptions(b[20:at], 1, ip4Kept)
	case h.Version == 6:
		at = a.extensions(b)
	case len(b) > 0 && b[0]>>4 == 4:
		return min(10, len(b)) // the checksum would show something of the addresses
	case len(b) > 0 && b[0]>>4 == 6:
		return min(8, len(b))
	default:
		return min(1, len(b)) // the first byte has no IP version
	}
	switch {
	case h.PayloadOff > 0:
		if h.Proto == 6 {
			a.hideOptions(b[h.L4Off+20:h.PayloadOff], 1, tcpKept)
		}
		return h.PayloadOff
	case h.L4Off > 0 && h.Proto == 6: // the header is incomplete
		at += 20
	case h.L4Off > 0:
		at += 8
	case h.Version == 4 && h.Proto == 1 && binary.BigEndian.Uint16(b[6:])&0x1FFF == 0, h.Version == 6 && h.Proto == 58:
		at += 2 // the type and code of ICMP
	case h.Version == 6 && h.Proto == 44:
		at += 8 // the Fragment header
	}
	return min(at, len(b))
}

// kept lists the options whose data stays, or begins with bytes that stay, if the length is
// within limits. The lengths include the bytes of kind and length.
type kept map[byte]struct{ least, most, stays int }

var (
	ip4Kept = kept{ // router alert; of a record route and two source routes the pointer; of timestamps also the flags
		148: {4, 4, 4}, 7: {3, 255, 3}, 131: {3, 255, 3}, 137: {3, 255, 3}, 68: {4, 255, 4}}
	ip6Kept = kept{ // router alert, jumbo payload
		5: {4, 4, 4}, 0xC2: {6, 6, 6}}
	tcpKept = kept{ // MSS, window scale, SACK permitted, SACK, timestamps
		2: {4, 4, 4}, 3: {3, 3, 3}, 4: {2, 2, 2}, 5: {10, 34, 34}, 8: {10, 10, 10}}
)

// extensions enciphers the data of IPv6 extension headers and returns the offset of the
// byte after them. Of an incomplete one only its type and length stay.
func (a *Anonymiser) extensions(b []byte) int {
	next, at := b[6], 40
	for next == 0 || next == 43 || next == 60 {
		if at+2 > len(b) {
			return at
		}
		n := 8 + 8*int(b[at+1])
		if at+n > len(b) {
			return at + 2
		}
		if next == 43 {
			a.permute("routing header", b[at+4:at+n]) // the addresses, after type and segments left
		} else {
			a.hideOptions(b[at+2:at+n], 0, ip6Kept)
		}
		next, at = b[at], at+n
	}
	return at
}

// hideOptions enciphers the data in a list of options. Each has a kind, a length and
// data; the kinds up to single are one byte long. In IPv4 and TCP single is 1, and the
// length includes the bytes of kind and length. In IPv6 single is 0, and it does not.
func (a *Anonymiser) hideOptions(b []byte, single byte, kept kept) {
	for at := 0; at < len(b); {
		kind := b[at]
		if kind <= single {
			at++
			continue
		}
		n := 0
		if at+1 < len(b) {
			n = int(b[at+1])
			if single == 0 {
				n += 2
			}
		}
		id := string([]byte{'o', single, kind})
		if n < 2 || at+n > len(b) {
			a.permute(id, b[at+1:]) // not a valid option
			return
		}
		hidden := b[at+2 : at+n]
		if k, is := kept[kind]; is && n >= k.least && n <= k.most {
			hidden = hidden[min(k.stays, n)-2:]
		}
		a.permute(id, hidden)
		at += n
	}
}
