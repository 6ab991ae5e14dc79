// SPDX-License-Identifier: MIT

package packet

import (
	"encoding/binary"

	"tunproof/model"
)

// Class is the verdict about a TCP or UDP checksum.
type Class uint8

// The classes of checksums.
const (
	NoSum   Class = iota // there is no checksum to judge
	Right                // complete and right
	Partial              // the pseudo-header's sum, as with NEEDS_CSUM
	Wrong                // neither
	Absent               // 0 in UDP: there is no checksum
)

// String returns "right", "partial", "wrong", "absent", or "" for NoSum.
func (c Class) String() string { return [...]string{"", "right", "partial", "wrong", "absent"}[c] }

// Sum is a TCP or UDP checksum with the values that it should have.
type Sum struct {
	At, End int // the field's offset, and the end of the bytes that it covers
	Class   Class
	Got     uint16 // the field
	Want    uint16 // the complete checksum
	Partial uint16 // the pseudo-header's sum
	Sum     uint16 // the sum of all bytes with the field zero: Want's complement
}

// SumOf judges the TCP or UDP checksum of b, whose Header is h. b must have a complete TCP
// or UDP header. The packet ends at end; bytes after it are padding. A UDP checksum does
// not cover bytes after the UDP length (a surplus area, RFC 9868).
func (h Header) SumOf(b []byte, end int) Sum {
	s := Sum{At: h.L4Off + 16, End: end}
	if h.Proto == 17 {
		s.At = h.L4Off + 6
		if n := h.L4Off + h.udpLen(b); n >= h.PayloadOff && n < end {
			s.End = n
		}
	}
	s.Got = binary.BigEndian.Uint16(b[s.At:])
	s.Partial, s.Sum = h.Sums(b, s.At, s.End)
	if n := s.End - h.L4Off; h.Proto == 17 && h.udpLen(b) != n {
		asSent := uint16(model.Sum(word(s.Sum), word(^uint16(h.udpLen(b))), word(uint16(n))))
		if s.Got == ^asSent {
			s.Sum = asSent // right for the wrong length field, which is another fault
		}
	}
	s.Want = ^s.Sum
	switch {
	case h.Proto == 17 && s.Got == 0:
		s.Class = Absent
	case s.Got == s.Want, s.Got == 0xFFFF && s.Want == 0:
		s.Class = Right
	case s.Got == s.Partial:
		s.Class = Partial
	default:
		s.Class = Wrong
	}
	return s
}

// udpLen returns the UDP length field of b.
func (h Header) udpLen(b []byte) int { return int(binary.BigEndian.Uint16(b[h.L4Off+4:])) }

// Sums returns two sums for a TCP or UDP header and payload that end at end: that of the
// pseudo-header, and that of all bytes except the checksum field at offset at.
func (h Header) Sums(b []byte, at, end int) (partial, sum uint16) {
	partial = uint16(model.Sum(h.Addresses(b), Pseudo(h.Proto, end-h.L4Off)))
	return partial, uint16(model.Sum(word(partial), b[h.L4Off:at], b[at+2:end]))
}

// Addresses returns the bytes of the source and destination address in b.
func (h Header) Addresses(b []byte) []byte {
	if h.Version == 4 {
		return b[12:20]
	}
	return b[8:40]
}

// Pseudo returns the part of the pseudo-header after the addresses: the protocol, and the
// length of the TCP or UDP header and payload.
func Pseudo(proto uint8, length int) []byte {
	return []byte{0, proto, byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}
}

// word returns the two bytes of v.
func word(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// End returns the offset at which the packet in b ends. It is h.IPLen if that is less than
// len(b): the bytes after it are padding. It is len(b) if h.IPLen cannot be right: if it
// ends within the headers, if it is too small by just the length of the extension headers,
// or if b is longer than the IP length field can say. It is also len(b) if h.L4Off is 0.
func (h Header) End(b []byte) int {
	short := len(b) - h.IPLen
	if short > 0 && len(b) <= 0xFFFF && (short != h.Extensions || h.Extensions == 0) && h.L4Off > 0 && h.IPLen >= max(h.L4Off+8, h.PayloadOff) {
		return h.IPLen
	}
	return len(b)
}

// MeantEnd returns the offset at which the sender meant the packet in b to end. It is
// h.End(b), or len(b) if the UDP length or the checksum shows that h.IPLen is wrong: if it
// is right for all of b only. Short packets are padded, so the end of these is h.End(b).
func (h Header) MeantEnd(b []byte) int {
	end := h.End(b)
	if end < len(b) && len(b) > ShortestFrame && h.summedTo(b) {
		return len(b)
	}
	return end
}

// ShortestFrame is the number of bytes that the shortest Ethernet frame carries: shorter
// packets are padded.
const ShortestFrame = 46

// summedTo reports whether the TCP or UDP checksum is right for a packet that ends with b,
// and also the UDP length, or else the checksum not for one that ends at h.IPLen.
func (h Header) summedTo(b []byte) bool {
	if h.Fragment || h.PayloadOff == 0 {
		return false
	}
	right := func(end int) bool {
		s := h.SumOf(b, end)
		return s.End == end && (s.Class == Right || s.Class == Partial)
	}
	return right(len(b)) && (h.Proto == 17 && h.udpLen(b) == len(b)-h.L4Off || !right(h.IPLen))
}

// Routed reports whether b still has to pass routers named in a routing header or a source
// route. The pseudo-header then has the last address of the route, not the destination
// address of the IP header.
func (h Header) Routed(b []byte) bool {
	if h.Version == 6 {
		next, at := b[6], 40
		for at < 40+h.Extensions {
			if next == 43 && b[at+3] > 0 {
				return true
			}
			next, at = b[at], at+8+8*int(b[at+1])
		}
		return false
	}
	options := b[20 : 4*int(b[0]&15)]
	for at := 0; at+2 < len(options) && options[at] != 0; {
		if options[at] == 1 {
			at++
			continue
		}
		if n := options[at+1]; options[at] == 131 || options[at] == 137 {
			return options[at+2] <= n
		} else if n < 2 {
			return false
		}
		at += int(options[at+1])
	}
	return false
}

// Checksum returns the class of the TCP or UDP checksum of b, which may be any bytes.
func Checksum(b []byte) Class {
	h := Parse(b)
	if h.Fragment || h.PayloadOff == 0 || h.Routed(b) {
		return NoSum
	}
	return h.SumOf(b, h.End(b)).Class
}

// RightSum returns the offset of the TCP or UDP checksum of b, the right complete checksum,
// and the right partial one. Checksum(b) must not be NoSum.
func RightSum(b []byte) (at int, complete, partial uint16) {
	h := Parse(b)
	s := h.SumOf(b, h.End(b))
	partial, sum := h.Sums(b, s.At, s.End)
	if sum == 0xFFFF && h.Proto == 17 {
		return s.At, 0xFFFF, partial
	}
	return s.At, ^sum, partial
}

// HeaderRight reports whether b has a complete IPv4 header with a right checksum, or does
// not have an IPv4 header at all.
func HeaderRight(b []byte) bool {
	if len(b) < 20 || b[0]>>4 != 4 {
		return true
	}
	n := 4 * int(b[0]&15)
	return n >= 20 && n <= len(b) && model.Sum(nil, b[:n]) == 0xFFFF
}

// WellFormed reports whether b is an IP packet whose length equals its IP length field and
// whose IPv4 header checksum, if it has one, is right.
func WellFormed(b []byte) bool {
	h := Parse(b)
	return h.Version != 0 && h.IPLen == len(b) && HeaderRight(b)
}
