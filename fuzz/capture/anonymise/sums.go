// SPDX-License-Identifier: MIT

package anonymise

import (
	"bytes"
	"encoding/binary"
	"slices"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// A copy has other addresses and another payload, so its checksums are other ones. Package
// check knows the errors that make a checksum wrong. If one of them explains the checksum of
// the original, the copy gets the checksum that the same error makes of the copy. All other
// wrong checksums are wrong by as much as before.

// maxWrong bounds how many packets with wrong checksums are remembered, so that equal ones
// have equal copies.
const maxWrong = 1 << 12

// sums sets the checksums of b, the copy of p. The payload of b starts at off.
func (a *Anonymiser) sums(h packet.Header, p pcap.Packet, b []byte, off int) {
	header, l4 := a.was.Explain(p)
	if l4.Wrong || header.Wrong { // what explains it may differ from packet to packet
		key := string(p.Data) + p.Comment
		if before, is := a.wrong[key]; is {
			copy(b, before)
			return
		}
		if len(a.wrong) < maxWrong {
			defer func() { a.wrong[key] = bytes.Clone(b) }()
		}
	}
	switch {
	case l4.Wrong:
		f := field{at: sumAt(h), was: l4, copied: func() check.Explanation { _, l4 := a.judged(p, b); return l4 }}
		f.got = binary.BigEndian.Uint16(p.Data[f.at:])
		if v, kept := a.keptSum(f, p); !kept {
			if !f.complete(h, p.Data, b) {
				a.explain(f, b, off)
			}
		} else if e := f.put(b, v); !e.Wrong { // right by chance
			a.explain(f, b, off)
		} else if e.Text != f.was.Text {
			a.Unlike++
		}
	case h.L4Off > 0 && (h.Fragment || h.PayloadOff == 0):
		at := sumAt(h)
		a.hideSum(b[min(at, len(b)):min(at+2, len(b))])
	case h.PayloadOff > 0:
		a.keepClass(h, p, b, off)
	case h.Version == 4 && h.Proto == 1 && !h.Fragment:
		icmpSum(h, 4*int(b[0]&15), p.Data, b)
	case h.Version == 6 && h.Proto == 58:
		icmpSum(h, 40+h.Extensions, p.Data, b)
	}
	a.headerSum(h, header, p, b)
}

// headerSum sets the header checksum of b, the copy of p, if that is an IPv4 packet. header is
// the explanation of that of p.
func (a *Anonymiser) headerSum(h packet.Header, header check.Explanation, p pcap.Packet, b []byte) {
	if h.Version != 4 {
		return
	}
	f := field{at: 10, was: header, copied: func() check.Explanation { header, _ := a.judged(p, b); return header }}
	if f.got = binary.BigEndian.Uint16(p.Data[10:]); !header.Wrong {
		binary.BigEndian.PutUint16(b[10:], ^uint16(model.Sum(b[:10], b[12:4*int(b[0]&15)])))
	} else if !f.fit(b) {
		f.fallBack(b)
		a.Unlike++
	}
}

// judged explains the checksums of b, the copy of p.
func (a *Anonymiser) judged(p pcap.Packet, b []byte) (header, l4 check.Explanation) {
	p.Data, p.Trailer = b, nil // the copy is written without its frame
	return a.is.Explain(p)
}

// keptSum returns the checksum that the copy of p gets if p has the checksum that it had in the
// first capture, where it was right, and was changed since: that of the copy there. kept reports
// whether that is so.
func (a *Anonymiser) keptSum(f field, p pcap.Packet) (v uint16, kept bool) {
	was := a.origin[[2]int{a.file, p.Number}].data
	if was == nil || packet.Checksum(was) != packet.Right {
		return 0, false
	}
	h := packet.Parse(was)
	if binary.BigEndian.Uint16(was[sumAt(h):]) != f.got {
		return 0, false
	}
	b := bytes.Clone(was)
	if a.replaceAddresses(h, b) != nil {
		return 0, false
	}
	a.payload(h, a.options(h, b), a.size, b, was, was)
	_, v, _ = packet.RightSum(b)
	return v, true
}

// sumAt returns the offset of the checksum of TCP or UDP.
func sumAt(h packet.Header) int {
	if h.Proto == 6 {
		return h.L4Off + 16
	}
	return h.L4Off + 6
}

// keepClass sets a checksum of TCP or UDP that check does not find wrong: it stays right,
// partial or absent. One that check cannot judge stays wrong.
func (a *Anonymiser) keepClass(h packet.Header, p pcap.Packet, b []byte, off int) {
	end := h.MeantEnd(p.Data) // the sums of the original show it
	was, is := h.SumOf(p.Data, end), h.SumOf(b, end)
	at := is.At
	partial, sum := h.Sums(b, at, is.End)
	right := ^sum
	if right == 0 && h.Proto == 17 {
		right = 0xFFFF
	}
	zero := was.Want == 0 // it computes to zero
	v := right
	_, whole := h.Sums(p.Data, at, end)
	switch {
	case is.End < end && was.Got == ^whole: // right for all of the packet, past the UDP length
		_, whole = h.Sums(b, at, end)
		v = ^whole
	case h.Routed(p.Data): // the checksum is for the final destination
		by := word(minus(was.Got, was.Want))
		a.hideSum(by)
		v = plus(right, binary.BigEndian.Uint16(by))
	case was.Class == packet.Right && zero && h.Proto == 6 && was.Got == 0xFFFF:
		if toZero(h, b, off) {
			v = was.Got // the less usual of the two zeros
		}
	case was.Class == packet.Right:
	case was.Class == packet.Partial, was.Got == 0 && was.Partial == 0xFFFF && needsCsum(h, p):
		v = partial
	case was.Class == packet.Absent:
		if zero {
			toZero(h, b, off)
		} else if right == 0xFFFF {
			tweak(b, off)
		}
		v = 0
	default: // too long for check
		v = plus(right, minus(was.Got, was.Want))
	}
	binary.BigEndian.PutUint16(b[at:], v)
}

// field is a wrong checksum.
type field struct {
	at     int                      // its offset
	got    uint16                   // its value in the original
	was    check.Explanation        // of the original
	copied func() check.Explanation // returns that of the copy
}

// put writes a value into the copy and returns what check says of it.
func (f field) put(b []byte, v uint16) check.Explanation {
	binary.BigEndian.PutUint16(b[f.at:], v)
	return f.copied()
}

// complete gives the copy b of a packet whose checksum is complete, and right, where it should
// be partial, the one that is right for b up to where the packet was meant to end. It reports
// whether check then says the same.
func (f field) complete(h packet.Header, was, b []byte) bool {
	end := h.MeantEnd(was)
	if h.PayloadOff == 0 || h.SumOf(was, end).Class != packet.Right {
		return false
	}
	e := f.put(b, h.SumOf(b, end).Want)
	return e.Wrong && e.Text == f.was.Text && h.MeantEnd(b) == end
}

// fit gives the copy a value of which check says what it says of the original. It reports
// whether there is one.
func (f field) fit(b []byte) bool {
	now := f.put(b, f.got)
	for v := f.got; !now.Wrong; now = f.put(b, v) {
		v++ // to see the causes
	}
	if f.was.Text == "" {
		v := plus(now.Want, minus(f.got, f.was.Want))
		for range 100 {
			if now = f.put(b, v); now.Wrong && now.Text == "" {
				return true
			}
			v++
		}
		return false
	}
	for _, cause := range f.was.Causes {
		if cause.Value != f.got {
			continue
		}
		is := func(c check.Cause) bool { return c.Text == cause.Text }
		if i := slices.IndexFunc(now.Causes, is); i >= 0 {
			if e := f.put(b, now.Causes[i].Value); e.Wrong && e.Text == f.was.Text {
				return true
			}
		}
	}
	return false
}

// fallBack makes the checksum of the copy wrong by the first cause, or by as much as before.
func (f field) fallBack(b []byte) {
	now := f.put(b, f.got)
	v := plus(now.Want, minus(f.got, f.was.Want))
	for _, cause := range f.was.Causes {
		is := func(c check.Cause) bool { return c.Text == cause.Text }
		if i := slices.IndexFunc(now.Causes, is); cause.Value == f.got && i >= 0 {
			v = now.Causes[i].Value
			break
		}
	}
	for now = f.put(b, v); !now.Wrong; now = f.put(b, v) {
		v++ // by chance it is right, or says that there is none
	}
}

// explain gives the copy b a wrong checksum of which check says what it says of the
// original. By chance, errors can make one value in the original and several in the copy, or
// the reverse. Then explain looks for a payload, from off on, with which they do not, if
// a.search is not 0.
func (a *Anonymiser) explain(f field, b []byte, off int) {
	payload := bytes.Clone(b[off:])
	try := func(most int, change func(i int)) bool {
		copy(b[off:], payload)
		for i := 0; i < most && a.search > 0; i++ {
			change(i)
			if a.search -= len(b); f.fit(b) {
				return true
			}
		}
		return false
	}
	words := len(payload) / 2
	set := func(v uint16) func(i int) {
		return func(i int) { binary.BigEndian.PutUint16(b[off+2*i:], v) }
	}
	switch {
	case f.fit(b):
	case try(16, func(int) { tweak(b, off) }):
	case try(words, set(0xFFFF)): // more and more carries
	case try(words, set(0)): // fewer and fewer
	case try(1<<16, func(int) { tweak(b, off) }):
	default:
		copy(b[off:], payload)
		f.fallBack(b)
		a.Unlike++
	}
}

// tweak adds 1 to the first word of the payload, if there is one.
func tweak(b []byte, off int) {
	if off+2 <= len(b) {
		binary.BigEndian.PutUint16(b[off:], binary.BigEndian.Uint16(b[off:])+1)
	}
}

// toZero changes the first word of the payload so that the checksum computes to zero. It
// reports whether the payload has a word that the checksum covers.
func toZero(h packet.Header, b []byte, off int) bool {
	if off+2 > len(b) {
		return false
	}
	was := [2]byte(b[off:])
	b[off], b[off+1] = 0, 0
	_, right, _ := packet.RightSum(b)
	binary.BigEndian.PutUint16(b[off:], right)
	if _, right, _ = packet.RightSum(b); right == 0 || right == 0xFFFF {
		return true
	}
	copy(b[off:], was[:])
	return false
}

// icmpSum sets the checksum of the copy b of an ICMP message at an offset: it stays right, or
// is wrong by as much.
func icmpSum(h packet.Header, at int, was, b []byte) {
	end := len(b)
	if h.IPLen < end && h.IPLen >= at+4 {
		end = h.IPLen
	}
	if at+4 > end {
		return
	}
	right := func(b []byte) uint16 {
		var pseudo []byte
		if h.Version == 6 {
			pseudo = append(pseudo, h.Addresses(b)...)
			pseudo = append(pseudo, packet.Pseudo(h.Proto, end-at)...)
		}
		return ^uint16(model.Sum(pseudo, b[at:at+2], b[at+4:end]))
	}
	by := minus(binary.BigEndian.Uint16(was[at+2:]), right(was))
	binary.BigEndian.PutUint16(b[at+2:], plus(right(b), by))
}

// hideSum enciphers a checksum, but not one that is 0, which says that there is none.
func (a *Anonymiser) hideSum(b []byte) {
	for again := !isZero(b); again; again = isZero(b) {
		a.permute("checksum", b)
	}
}

// needsCsum reports whether a VnetHdr says that the checksum of TCP or UDP is partial.
func needsCsum(h packet.Header, p pcap.Packet) bool {
	vnet, has, err := pcap.Vnet(p.Comment)
	return has && err == nil && vnet.Flags&packet.NeedsCsum != 0 && int(vnet.CsumStart) == h.L4Off
}

// plus returns a + b in one's complement. If b is a zero of either form, it returns a
// as it is.
func plus(a, b uint16) uint16 {
	if b == 0 || b == 0xFFFF {
		return a
	}
	return uint16(model.Sum(word(a), word(b)))
}

// minus returns a - b in one's complement.
func minus(a, b uint16) uint16 {
	if a == b {
		return 0
	}
	return plus(a, ^b)
}

// word returns the two bytes of v.
func word(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
