// SPDX-License-Identifier: MIT

package trial

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// Fault is a mistake of a program that sends or forwards packets.
type Fault struct {
	Name string
	// Cause is the text by which check names the mistake. It is "" if the bytes do not show
	// it, and Why says why.
	Cause, Why string
	// Plant makes the mistake in traffic and returns what check must find, in the order of
	// the packets. It returns nothing, and has changed nothing, if the traffic has no place
	// for the mistake.
	Plant func(r *rand.Rand, t *Traffic) []Want
}

// Want is a finding that check must report.
type Want struct {
	Packet int
	Field  string
	Kind   check.Kind
	Dark   bool // of several packets with one fault: one in which the cause cannot be seen yet
}

// spot is a packet in which a fault is planted.
type spot struct {
	t  *Traffic
	at int // its index
	packet.Header
	b    []byte // its bytes, to be changed
	hdr  pkts.VnetHdr
	vnet bool  // hdr is known
	end  int   // of the packet: padding follows
	prev *spot // the packet before it in its flow, or nil
}

// spotOf returns packet at of traffic.
func spotOf(t *Traffic, at int) *spot {
	p := t.Packets[at]
	s := &spot{t: t, at: at, Header: packet.Parse(p.Data), b: p.Data}
	s.hdr, s.vnet, _ = pcap.Vnet(p.Comment)
	s.end = s.End(s.b)
	return s
}

// sumAt returns the offset of the TCP or UDP checksum.
func (s *spot) sumAt() int {
	if s.Proto == 17 {
		return s.L4Off + 6
	}
	return s.L4Off + 16
}

func (s *spot) u16(at int) uint16    { return binary.BigEndian.Uint16(s.b[at:]) }
func (s *spot) put(at int, v uint16) { binary.BigEndian.PutUint16(s.b[at:], v) }

// want returns what must be found in s.
func (s *spot) want(field string, kind check.Kind) []Want {
	return []Want{{Packet: s.t.Packets[s.at].Number, Field: field, Kind: kind}}
}

// l4 returns a field of TCP or UDP by its name.
func (s *spot) l4(name string) string {
	if s.Proto == 17 {
		return "udp." + name
	}
	return "tcp." + name
}

// find returns a random packet of the traffic for which fits reports true, or nil. It has
// bytes of its own, so that copies of it are not changed.
func find(r *rand.Rand, t *Traffic, fits func(s *spot) bool) *spot {
	for _, at := range r.Perm(len(t.Packets)) {
		s := spotOf(t, at)
		for before := at - 1; before >= 0 && s.prev == nil; before-- {
			if packetFlow(t.Packets[before]) == packetFlow(t.Packets[at]) {
				s.prev = spotOf(t, before)
			}
		}
		if s.Version == 0 || copied(t, at) || !fits(s) {
			continue
		}
		s.b = bytes.Clone(s.b)
		t.Packets[at].Data = s.b
		return s
	}
	return nil
}

// copied reports whether the traffic has the same packet twice.
func copied(t *Traffic, at int) bool {
	for i, p := range t.Packets {
		if i != at && bytes.Equal(p.Data, t.Packets[at].Data) {
			return true
		}
	}
	return false
}

// complete reports whether s has a complete TCP or UDP checksum.
func complete(s *spot) bool {
	return packet.Checksum(s.b) == packet.Right && s.PayloadOff > 0 && !(s.vnet && s.hdr.Flags&1 != 0)
}

// sum returns the one's complement sum of bytes, in 16 bits. Each part starts a new word.
func sum(parts ...[]byte) uint16 {
	s := uint32(0)
	for _, b := range parts {
		for i, c := range b {
			if i%2 == 0 {
				s += uint32(c) << 8
			} else {
				s += uint32(c)
			}
			s = s&0xFFFF + s>>16
		}
	}
	return uint16(s&0xFFFF + s>>16)
}

func swapped(v uint16) uint16 { return v<<8 | v>>8 }

// word returns a number as the bytes of a word.
func word(v int) []byte { return []byte{byte(v >> 8), byte(v)} }

// addresses returns the addresses of s.
func (s *spot) addresses() []byte { return s.Addresses(s.b) }

// source and destination return the addresses of s.
func (s *spot) source() []byte      { return s.addresses()[:len(s.addresses())/2] }
func (s *spot) destination() []byte { return s.addresses()[len(s.addresses())/2:] }

// body returns the TCP or UDP header and payload, with the checksum field zero.
func (s *spot) body() []byte {
	b := bytes.Clone(s.b[s.L4Off:s.end])
	at := s.sumAt() - s.L4Off
	b[at], b[at+1] = 0, 0
	return b
}

// head returns the TCP or UDP header, with the checksum field zero.
func (s *spot) head() []byte { return s.body()[:s.PayloadOff-s.L4Off] }

// payload returns the payload.
func (s *spot) payload() []byte { return s.b[s.PayloadOff:s.end] }

// length returns the number of bytes of the TCP or UDP header and payload.
func (s *spot) length() int { return s.end - s.L4Off }

// pseudo returns the pseudo-header.
func (s *spot) pseudo() []byte {
	return slices.Concat(s.addresses(), word(int(s.Proto)), word(s.length()))
}

// field returns the pseudo-header, the body, and with it the sum of a packet in which a
// field had other bytes.
func (s *spot) as(at int, v ...byte) uint16 {
	b := s.body()
	copy(b[at-s.L4Off:], v)
	return ^sum(s.pseudo(), b)
}

// sums are the mistakes in a complete TCP or UDP checksum: each returns what it writes.
var sums = []struct {
	name, cause string
	fits        func(s *spot) bool // nil: every packet
	value       func(s *spot) uint16
}{
	{"never filled in", "never filled in", tcpOr6, func(s *spot) uint16 { return 0 }},
	{"the field held the right checksum while it was summed", "summed over itself", tcpOr6, func(s *spot) uint16 { return ^sum(s.pseudo(), s.body(), word(int(s.u16(s.sumAt())))) }},
	{"the field held the partial checksum while it was summed", "held the partial checksum", nil, func(s *spot) uint16 { return ^sum(s.pseudo(), s.body(), word(int(sum(s.pseudo())))) }},
	{"no pseudo-header", "the pseudo-header was not summed", nil, func(s *spot) uint16 { return ^sum(s.body()) }},
	{"the pseudo-header twice", "the pseudo-header was summed twice", nil, func(s *spot) uint16 { return ^sum(s.pseudo(), s.pseudo(), s.body()) }},
	{"pseudo-header without the length", "without the length", nil, func(s *spot) uint16 { return ^sum(s.addresses(), word(int(s.Proto)), s.body()) }},
	{"pseudo-header without the protocol", "without the protocol", nil, func(s *spot) uint16 { return ^sum(s.addresses(), word(s.length()), s.body()) }},
	{"pseudo-header without the addresses", "without the addresses", nil, func(s *spot) uint16 { return ^sum(word(int(s.Proto)), word(s.length()), s.body()) }},
	{"pseudo-header without the source", "without the source", nil, func(s *spot) uint16 {
		return ^sum(s.destination(), word(int(s.Proto)), word(s.length()), s.body())
	}},
	{"pseudo-header without the destination", "without the destination", nil, func(s *spot) uint16 {
		return ^sum(s.source(), word(int(s.Proto)), word(s.length()), s.body())
	}},
	{"pseudo-header with the other protocol", "the other protocol", nil, func(s *spot) uint16 {
		return ^sum(s.addresses(), word(23-int(s.Proto)), word(s.length()), s.body())
	}},
	{"pseudo-header with the length of the whole packet", "the length of the whole packet", nil, func(s *spot) uint16 {
		return ^sum(s.addresses(), word(int(s.Proto)), word(s.end), s.body())
	}},
	{"pseudo-header with the length of the payload", "the length of the payload", nil, func(s *spot) uint16 {
		return ^sum(s.addresses(), word(int(s.Proto)), word(len(s.payload())), s.body())
	}},
	{"pseudo-header with the length in the wrong byte order", "the length in the pseudo-header had its bytes swapped", nil, func(s *spot) uint16 {
		return ^sum(s.addresses(), word(int(s.Proto)), word(int(swapped(uint16(s.length())))), s.body())
	}},
	{"pseudo-header with the length of IPv6 extensions too", "included the extension headers", extended, func(s *spot) uint16 {
		return ^sum(s.addresses(), word(int(s.Proto)), word(s.end-40), s.body())
	}},
	{"pseudo-header with the type of the extension header", "the type of the first extension header", extended, func(s *spot) uint16 {
		return ^sum(s.addresses(), word(int(s.b[6])), word(s.length()), s.body())
	}},
	{"not complemented", "not complemented", nil, func(s *spot) uint16 { return sum(s.pseudo(), s.body()) }},
	{"only the pseudo-header, complemented", "the complement of the pseudo-header sum", nil, func(s *spot) uint16 { return ^sum(s.pseudo()) }},
	{"bytes swapped", "its bytes are swapped", nil, func(s *spot) uint16 { return swapped(^sum(s.pseudo(), s.body())) }},
	{"carries not added", "the carries were not added", nil, func(s *spot) uint16 {
		n := uint16(0)
		for b := slices.Concat(s.pseudo(), s.body(), []byte{0}); len(b) > 1; b = b[2:] {
			n += binary.BigEndian.Uint16(b)
		}
		return ^n
	}},
	{"a carry lost in an update", "off by one", nil, func(s *spot) uint16 { return s.u16(s.sumAt()) - 1 }},
	{"a carry too many in an update", "off by one", nil, func(s *spot) uint16 { return s.u16(s.sumAt()) + 1 }},
	{"the payload not summed", "the payload was not summed", withData, func(s *spot) uint16 { return ^sum(s.pseudo(), s.head()) }},
	{"the payload summed at an odd offset", "the payload was summed at an odd offset", withData, func(s *spot) uint16 {
		return ^sum(s.pseudo(), s.head(), []byte{0}, append([]byte{0}, s.payload()...))
	}},
	{"the odd last byte not summed", "the odd last byte was not summed", odd, func(s *spot) uint16 { return ^sum(s.pseudo(), s.body()[:s.length()-1]) }},
	{"the odd last byte in the low half", "as the low half of its word", odd, func(s *spot) uint16 {
		return ^sum(s.pseudo(), s.body()[:s.length()-1], []byte{0, s.b[s.end-1]})
	}},
	{"TCP options not summed", "the TCP options were not summed", func(s *spot) bool { return s.Proto == 6 && s.PayloadOff > s.L4Off+20 }, func(s *spot) uint16 {
		return ^sum(s.pseudo(), s.body()[:20], s.payload())
	}},
	{"PSH set afterwards", "PSH was not set when it was computed", flagged(8), flag(8)},
	{"FIN set afterwards", "FIN was not set when it was computed", flagged(1), flag(1)},
	{"CWR set afterwards", "CWR was not set when it was computed", flagged(0x80), flag(0x80)},
	{"PSH cleared afterwards", "PSH was set when it was computed", unflagged(8), flag(8)},
	{"CWR cleared afterwards", "CWR was set when it was computed", unflagged(0x80), flag(0x80)},
	{"ECE cleared afterwards", "ECE was set when it was computed", unflagged(0x40), flag(0x40)},
	{"computed with the last segment's sequence number", "the sequence number was packet", follows, func(s *spot) uint16 {
		return s.as(s.L4Off+4, s.prev.b[s.prev.L4Off+4:s.prev.L4Off+8]...)
	}},
	{"the last packet's checksum", "'s checksum", func(s *spot) bool { return s.prev != nil && complete(s.prev) }, func(s *spot) uint16 { return s.prev.u16(s.prev.sumAt()) }},
	{"computed with the last packet's length", "the pseudo-header had packet", func(s *spot) bool { return s.prev != nil && s.Proto == 6 && complete(s.prev) }, func(s *spot) uint16 {
		return ^sum(s.addresses(), word(int(s.Proto)), word(s.prev.length()), s.body())
	}},
	{"computed with the last datagram's lengths", "the lengths were packet", func(s *spot) bool { return s.prev != nil && s.Proto == 17 && complete(s.prev) }, func(s *spot) uint16 {
		b := s.body()
		copy(b[4:], word(s.prev.length()))
		return ^sum(s.addresses(), word(int(s.Proto)), word(s.prev.length()), b)
	}},
	{"computed for an earlier destination (NAT)", "had another address", func(s *spot) bool { return otherAddress(s) != nil }, func(s *spot) uint16 {
		return ^sum(otherAddress(s), s.source(), word(int(s.Proto)), word(s.length()), s.body())
	}},
	{"updated for another destination the wrong way (NAT)", "in the wrong direction", func(s *spot) bool { return otherAddress(s) != nil }, func(s *spot) uint16 {
		old := otherAddress(s)
		new := s.destination()
		return ^sum(word(int(^s.u16(s.sumAt()))), old, old, inverted(new), inverted(new))
	}},
	{"computed for another port (NAT)", "had another port", func(s *spot) bool { return s.prev != nil && otherPort(s) != nil }, func(s *spot) uint16 {
		return s.as(s.L4Off, otherPort(s)...)
	}},
}

// inverted returns the complement of each byte.
func inverted(b []byte) []byte {
	list := bytes.Clone(b)
	for i := range list {
		list[i] = ^list[i]
	}
	return list
}

func tcpOr6(s *spot) bool   { return s.Proto == 6 || s.Version == 6 }
func extended(s *spot) bool { return s.Extensions > 0 }
func withData(s *spot) bool { return len(s.payload()) > 1 }
func odd(s *spot) bool      { return s.length()%2 == 1 && s.end > s.PayloadOff }
func follows(s *spot) bool {
	return s.Proto == 6 && s.prev != nil && s.prev.PayloadOff > 0 && s.prev.end > s.prev.PayloadOff
}

// flagged and unflagged report whether a TCP packet has a flag, or has it not.
func flagged(bit byte) func(s *spot) bool {
	return func(s *spot) bool { return s.Proto == 6 && s.b[s.L4Off+13]&bit != 0 }
}
func unflagged(bit byte) func(s *spot) bool {
	return func(s *spot) bool { return s.Proto == 6 && s.b[s.L4Off+13]&bit == 0 }
}

// flag returns the checksum of the packet with one flag changed.
func flag(bit byte) func(s *spot) uint16 {
	return func(s *spot) uint16 { return s.as(s.L4Off+13, s.b[s.L4Off+13]^bit) }
}

// otherAddress returns a destination address that the traffic has before s, in the same IP
// version, other than those of s; nil if there is none. Its sum is not near that of the
// destination of s, because small differences are made by other mistakes too.
func otherAddress(s *spot) []byte {
	for i := range s.at {
		o := spotOf(s.t, i)
		if o.Version != s.Version || !complete(o) {
			continue
		}
		if d := o.destination(); !bytes.Equal(d, s.source()) && !bytes.Equal(d, s.destination()) {
			if by := int(sum(d)) - int(sum(s.destination())); by < 64 && by > -64 {
				continue
			}
			return d
		}
	}
	return nil
}

// otherPort returns a source port that the traffic has before s, other than those of s; nil
// if there is none.
func otherPort(s *spot) []byte {
	for i := range s.at {
		o := spotOf(s.t, i)
		if o.PayloadOff == 0 || o.Fragment {
			continue
		}
		if p := o.b[o.L4Off : o.L4Off+2]; !bytes.Equal(p, s.b[s.L4Off:s.L4Off+2]) && !bytes.Equal(p, s.b[s.L4Off+2:s.L4Off+4]) {
			return p
		}
	}
	return nil
}

// Faults returns the catalogue.
func Faults() []Fault { return slices.Clone(catalogue()) }

var catalogue = sync.OnceValue(func() []Fault {
	var list []Fault
	for _, f := range sums {
		list = append(list, Fault{Name: "TCP or UDP checksum: " + f.name, Cause: f.cause, Plant: func(r *rand.Rand, t *Traffic) []Want {
			var v uint16
			s := find(r, t, func(s *spot) bool {
				if !complete(s) || f.fits != nil && !f.fits(s) {
					return false
				}
				v = f.value(s)
				return wrong(s, v)
			})
			if s == nil {
				return nil
			}
			s.put(s.sumAt(), v)
			if v == 0 && s.Proto == 17 {
				return s.want("udp.checksum", check.UDPAbsent)
			}
			return s.want(s.l4("checksum"), check.L4Checksum)
		}})
	}
	list = append(list, spans()...)
	list = append(list, partials()...)
	list = append(list, headers()...)
	list = append(list, lengths()...)
	list = append(list, runs()...)
	list = append(list, vnets()...)
	return list
})

// spans are mistakes about the bytes that a checksum covers, and changes after it was
// computed.
func spans() []Fault {
	plant := func(fits func(s *spot) bool, change func(r *rand.Rand, s *spot), kind check.Kind) func(r *rand.Rand, t *Traffic) []Want {
		return func(r *rand.Rand, t *Traffic) []Want {
			s := find(r, t, func(s *spot) bool { return complete(s) && fits(s) })
			if s == nil {
				return nil
			}
			before := bytes.Clone(s.b)
			change(r, s)
			if packet.Checksum(s.b) != packet.Wrong {
				t.Packets[s.at].Data = before // by chance it is right
				return nil
			}
			return s.want(s.l4("checksum"), s.kind(kind))
		}
	}
	short := func(s *spot) bool { return s.end <= 42 && s.end == len(s.b) }
	// padded makes the packet a short Ethernet frame's, whose padding is not zero.
	padded := func(r *rand.Rand, s *spot) {
		s.b = append(s.b, byte(r.IntN(255)+1), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()))
		s.t.Packets[s.at].Data = s.b
	}
	return []Fault{
		{Name: "TCP or UDP checksum: over the padding too", Cause: "past the end of the packet", Plant: plant(short, func(r *rand.Rand, s *spot) {
			padded(r, s)
			s.put(s.sumAt(), ^sum(s.pseudo(), s.body(), alignedTo(s.length(), s.b[s.end:])))
		}, check.L4Checksum)},
		{Name: "TCP or UDP checksum: over the padding too, also in the pseudo-header", Cause: "and the pseudo-header's length too", Plant: plant(short, func(r *rand.Rand, s *spot) {
			padded(r, s)
			s.put(s.sumAt(), ^sum(s.addresses(), word(int(s.Proto)), word(len(s.b)-s.L4Off), s.body(), alignedTo(s.length(), s.b[s.end:])))
		}, check.L4Checksum)},
		{Name: "TCP or UDP checksum: that of the first of several merged segments (LRO)", Cause: "(LRO)", Plant: plant(func(s *spot) bool {
			return s.Proto == 6 && s.prev != nil && complete(s.prev) && len(s.prev.payload()) >= 256 && len(s.prev.payload()) < len(s.payload())
		}, func(r *rand.Rand, s *spot) {
			n := len(s.prev.payload())
			s.put(s.sumAt(), ^sum(s.addresses(), word(int(s.Proto)), word(s.PayloadOff-s.L4Off+n), s.body()[:s.PayloadOff-s.L4Off+n]))
		}, check.L4ChecksumPrefix)},
		{Name: "TCP or UDP checksum: only the pseudo-header, without the length", Cause: "only the pseudo-header's sum, and without the length", Plant: plant(func(s *spot) bool { return true }, func(r *rand.Rand, s *spot) {
			s.put(s.sumAt(), sum(s.addresses(), word(int(s.Proto))))
		}, check.L4PartialSender)},
		{Name: "a byte of the payload changed", Why: "the sum shows by how much two bytes changed, not where", Plant: plant(withData, func(r *rand.Rand, s *spot) {
			s.b[s.PayloadOff+r.IntN(len(s.payload()))] ^= 1 << r.IntN(8)
		}, check.L4Checksum)},
		{Name: "TCP or UDP checksum: any other", Why: "it is a random number", Plant: plant(func(s *spot) bool { return true }, func(r *rand.Rand, s *spot) {
			s.put(s.sumAt(), uint16(1+r.IntN(0xFFFE)))
		}, check.L4Checksum)},
		{Name: "addresses translated in all packets of a flow without an update (NAT)", Cause: "(NAT)", Plant: func(r *rand.Rand, t *Traffic) []Want {
			s := find(r, t, func(s *spot) bool { return complete(s) && s.prev == nil })
			if s == nil {
				return nil
			}
			of := packetFlow(t.Packets[s.at])
			var want []Want
			to := byte(r.IntN(100) + 100)
			for at := range t.Packets {
				if packetFlow(t.Packets[at]) != of {
					continue
				}
				o := spotOf(t, at)
				if !complete(o) {
					return nil
				}
				if at == s.at {
					o.b = s.b
				}
				want = append(want, Want{Packet: t.Packets[at].Number, Field: o.l4("checksum"), Kind: check.L4Checksum, Dark: len(want) == 0})
			}
			if len(want) < 2 {
				return nil
			}
			translated := map[int][]byte{}
			for at := range t.Packets {
				if packetFlow(t.Packets[at]) == of {
					b := bytes.Clone(t.Packets[at].Data)
					d := spotOf(t, at).destination()
					i := bytes.Index(b, d) + len(d)
					b[i-1], b[i-4] = to, to
					packet.Fix(b, packet.FixIPCsum)
					translated[at] = b
				}
			}
			for _, b := range translated {
				if packet.Checksum(b) != packet.Wrong {
					return nil // the sum of the address is the same
				}
			}
			for at, b := range translated {
				t.Packets[at].Data = b
			}
			return want
		}},
	}
}

// kind returns the kind of finding: what a network card may have done is certain where
// none was involved.
func (s *spot) kind(k check.Kind) check.Kind {
	certain := map[string]check.Kind{check.L4ChecksumPrefix.Name: check.L4Checksum, check.L4PartialSender.Name: check.L4Checksum, check.IPLengthSender.Name: check.IPLength}
	if c, is := certain[k.Name]; is && (s.vnet || s.t.Config.Wire) {
		return c
	}
	return k
}

// alignedTo returns bytes that follow n others, for sum.
func alignedTo(n int, b []byte) []byte {
	if n%2 == 1 {
		return append([]byte{0}, b...)
	}
	return b
}

// wrong reports whether v is surely a wrong value of the checksum: neither the right one,
// nor the partial one, nor no checksum where none is needed.
func wrong(s *spot, v uint16) bool {
	right, partial := s.u16(s.sumAt()), sum(s.pseudo())
	switch {
	case v == right, v == partial:
		return false
	case v == 0 && s.Proto == 17:
		return false
	case right == 0 && v == 0xFFFF, right == 0xFFFF && v == 0:
		return false
	}
	return true
}
