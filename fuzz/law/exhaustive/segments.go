// SPDX-License-Identifier: MIT

package exhaustive

import (
	"encoding/binary"
	"fmt"
	"slices"

	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Sizes are superpackets of TCP and UDP over IPv4 and IPv6, of every combination of a
// gso_size from 1 to MaxGSO, a payload from 0 to MaxPayload, and a length of options
// from 0 to 40. The IPv4 header has IP options of the same length. From 8 bytes on, the
// IPv6 header is followed by an extension header of about that length.
type Sizes struct {
	MaxGSO, MaxPayload int
	Stride             // within each part
}

// Stride takes only every Nth superpacket; 0 takes all.
type Stride int

// takes counts a superpacket in n and reports whether it is taken.
func (s Stride) takes(n *int) bool {
	*n++
	return s == 0 || *n%int(s) == 0
}

// maxOptions is the greatest length of options in bytes.
const maxOptions = 40

// Count returns the number of combinations. With UDP over IPv6 some of them give the
// same superpacket.
func (s Sizes) Count() int { return s.Shards() * (s.MaxPayload + 1) * (maxOptions/4 + 1) * 4 }

// Shards returns the number of parts that Shard enumerates: one for each gso_size.
func (s Sizes) Shards() int { return s.MaxGSO }

// Shard calls f with each superpacket of part i, until f returns an error. The superpacket
// is valid only during the call.
func (s Sizes) Shard(i int, f func(p scenario.Super) error) error {
	n := i // so that the Stride takes other superpackets in each part
	for _, p := range []scenario.Packet{scenario.TCP4(0), scenario.TCP6(0), scenario.UDP4(0), scenario.UDP6(0)} {
		p.Flags |= scenario.PSH | scenario.CWR
		p.ID, p.Seq = 0xFFF0, 0xFFFFFFF0
		for options := 0; options <= maxOptions; options += 4 {
			p.Options = scenario.Fill(options, 1)
			if p.V6 && options >= 8 {
				p.ExtType, p.Extensions = 60, append([]byte{0, byte(options/8 - 1), 1, byte(options/8*8 - 4)}, make([]byte, options/8*8-4)...)
			} else {
				p.IPOptions = scenario.Fill(options, 1)
			}
			for payload := range s.MaxPayload + 1 {
				if !s.takes(&n) {
					continue
				}
				p.Payload = scenario.Fill(payload, byte(i))
				h, b := p.Super(i + 1)
				if err := f(scenario.Super{Hdr: h, Data: b}); err != nil {
					return fmt.Errorf("gso_size %d, %d bytes of payload, %d bytes of options: %w", i+1, payload, options, err)
				}
			}
		}
	}
	return nil
}

// Field is a field of a VnetHdr or of a packet's headers, with values at the edges of its
// range. Set writes a value into the superpacket, or a copy of it, whose field it is.
type Field struct {
	Name   string
	Values []uint32
	Set    func(p *scenario.Super, v uint32)
}

// edge8 and edge16 are values at the edges of a byte and of a 16-bit word.
var (
	edge8  = []uint32{0, 1, 0x7F, 0x80, 0xFF}
	edge16 = []uint32{0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF}
)

// Fields returns the fields of a superpacket: those of its VnetHdr, its IPv4 or IPv6 header
// and its TCP or UDP header, and its length. If it is in a tunnel, the outer and the inner
// headers are among them.
func Fields(p scenario.Super) []Field {
	tunnel := p.Hdr.GSOType&packet.GSOTunnels != 0
	list := vnetFields(tunnel)
	l4Off, _ := packet.Locate(p.Data)
	if !tunnel {
		return append(list, headerFields("", 0, l4Off)...)
	}
	inner := int(p.Hdr.InnerNHOffset)
	list = append(list, headerFields("outer ", 0, l4Off)...)
	return append(list, headerFields("inner ", inner, int(p.Hdr.CsumStart))...)
}

// vnetFields returns the fields of a VnetHdr and the length of the packet. In a tunnel the
// offsets have values around the right ones.
func vnetFields(tunnel bool) []Field {
	lengths := []uint32{0, 1, 7, 8, 9, 19, 20, 21, 27, 28, 29, 39, 40, 41, 47, 48, 49, 59, 60, 61}
	starts := []uint32{19, 20, 21, 24, 40, 41, 48, 60}
	if tunnel {
		lengths = append(lengths, 69, 70, 71, 77, 78, 79, 89, 90, 91, 97, 98, 99, 109, 110, 111, 129, 130, 131)
		starts = append(starts, 68, 69, 70, 71, 72, 90, 91, 110, 111)
	}
	list := []Field{
		{"flags", []uint32{0, 1, 2, 3, 4, 5, 8, 9, 0xFF}, func(p *scenario.Super, v uint32) { p.Hdr.Flags = uint8(v) }},
		{"gso_type", []uint32{0, 1, 2, 3, 4, 5, 6, 0x20, 0x21, 0x24, 0x25, 0x41, 0x44, 0x45, 0x61, 0x80, 0x81, 0x83, 0x84, 0x85, 0xA1, 0xA5, 0xFF},
			func(p *scenario.Super, v uint32) { p.Hdr.GSOType = uint8(v) }},
		{"hdr_len", edge16, func(p *scenario.Super, v uint32) { p.Hdr.HdrLen = uint16(v) }},
		{"gso_size", append(edge16, 7, 8, 9, 16, 17), func(p *scenario.Super, v uint32) { p.Hdr.GSOSize = uint16(v) }},
		{"csum_start", append(edge16, starts...), func(p *scenario.Super, v uint32) { p.Hdr.CsumStart = uint16(v) }},
		{"csum_offset", append(edge16, 5, 6, 7, 16, 17), func(p *scenario.Super, v uint32) { p.Hdr.CsumOffset = uint16(v) }},
		{"length", lengths, func(p *scenario.Super, v uint32) { p.Data = p.Data[:min(int(v), len(p.Data))] }},
	}
	if tunnel {
		list = append(list,
			Field{"outer_th_offset", append(edge16, 19, 20, 21, 28, 40, 41), func(p *scenario.Super, v uint32) { p.Hdr.OuterTHOffset = uint16(v) }},
			Field{"inner_nh_offset", append(edge16, 20, 27, 28, 36, 48, 49, 50, 51, 52, 69, 70, 71), func(p *scenario.Super, v uint32) { p.Hdr.InnerNHOffset = uint16(v) }})
	}
	return list
}

// headerFields returns the fields of an IPv4 or IPv6 header at ipOff, and of the TCP or UDP
// header at l4Off.
func headerFields(prefix string, ipOff, l4Off int) []Field {
	field := func(off int) func(name string, at, n int, values []uint32) Field {
		return func(name string, at, n int, values []uint32) Field {
			return Field{prefix + name, values, func(p *scenario.Super, v uint32) { put(p.Data, off+at, n, v) }}
		}
	}
	ip, l4 := field(ipOff), field(l4Off)
	return []Field{
		ip("version and IHL", 0, 1, []uint32{0x00, 0x40, 0x44, 0x45, 0x46, 0x4F, 0x55, 0x60, 0x6F, 0xFF}),
		ip("TOS", 1, 1, edge8),
		ip("IPv4 total length", 2, 2, edge16),
		ip("IPv4 ID, IPv6 payload length", 4, 2, edge16),
		ip("IPv4 fragment word, IPv6 next header and hop limit", 6, 2,
			[]uint32{0, 1, 0x1FFF, 0x2000, 0x4000, 0x8000, 0x0640, 0x1140, 0x2B40, 0x2C40, 0x3C40, 0x3A40, 0xFFFF}),
		ip("IPv4 TTL", 8, 1, edge8),
		ip("IPv4 protocol", 9, 1, []uint32{0, 1, 6, 17, 41, 44, 255}),
		ip("IPv4 header checksum", 10, 2, edge16),
		ip("IPv4 addresses, IPv6 source", 12, 4, []uint32{0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF}),
		ip("IPv6 destination", 36, 4, []uint32{0, 0xFFFFFFFF}),

		l4("source port", 0, 2, edge16),
		l4("destination port", 2, 2, edge16),
		l4("sequence number, UDP length and checksum", 4, 4, []uint32{0, 1, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFF0000, 0xFFFFFFFF}),
		l4("acknowledgment number", 8, 4, []uint32{0, 0xFFFFFFFF}),
		l4("data offset", 12, 1, []uint32{0, 0x10, 0x40, 0x4F, 0x50, 0x5F, 0x60, 0xE0, 0xF0, 0xFF}),
		l4("TCP flags", 13, 1, []uint32{0, 1, 8, 9, 0x10, 0x18, 0x80, 0x90, 0x89, 0xFF}),
		l4("window", 14, 2, edge16),
		l4("TCP checksum", 16, 2, edge16),
		l4("urgent pointer", 18, 2, edge16),
	}
}

// put writes the n bytes of v at offset at, as far as b reaches.
func put(b []byte, at, n int, v uint32) {
	var w [4]byte
	binary.BigEndian.PutUint32(w[:], v<<(32-8*n))
	if at < len(b) {
		copy(b[at:], w[:n])
	}
}

// Pairs are superpackets of every kind with every pair of their Fields set to every pair of
// the fields' Values.
type Pairs struct{ Stride }

// bases returns the superpackets that fields are set in. For each kind of packet there
// is one of three segments, one of one segment, and one without a GSO type. In tunnels
// there are superpackets of three segments.
func (Pairs) bases() []scenario.Super {
	var list []scenario.Super
	options, hidden := scenario.TCP4(40), scenario.TCP6(40)
	options.Options, options.IPOptions = scenario.Timestamps, []byte{1, 1, 1, 0}
	hidden.Extensions, hidden.ExtType = []byte{0, 0, 1, 4, 0, 0, 0, 0}, 60
	for _, p := range []scenario.Packet{scenario.TCP4(40), scenario.TCP6(40), scenario.UDP4(40), scenario.UDP6(40), options, hidden} {
		p.Flags |= scenario.PSH | scenario.FIN | scenario.CWR
		for _, gso := range []int{16, 40} {
			h, b := p.Super(gso)
			list = append(list, scenario.Super{Hdr: h, Data: b})
		}
		h, b := p.Super(0)
		h.GSOType = 0
		list = append(list, scenario.Super{Hdr: h, Data: b})
	}
	for i, p := range []scenario.Packet{scenario.TCP4(40), scenario.UDP6(40), scenario.TCP6(40)} {
		p.Flags |= scenario.PSH | scenario.FIN | scenario.CWR
		tunnel := scenario.VXLAN()
		tunnel.Csum, tunnel.Outer.V6 = i > 0, i > 1
		h, b := tunnel.Wrap(p.Super(16))
		list = append(list, scenario.Super{Hdr: h, Data: b})
	}
	return list
}

// Shards returns the number of parts that Shard enumerates: one for each base and first field.
func (p Pairs) Shards() int {
	n := 0
	for _, base := range p.bases() {
		n += len(Fields(base))
	}
	return n
}

// Count returns the number of combinations of a base, two Fields and a value of each. It
// ignores the Stride. Some combinations give the same superpacket: fields overlap, and a
// field may already have the value.
func (p Pairs) Count() int {
	n := 0
	for _, base := range p.bases() {
		fields := Fields(base)
		for i, f := range fields {
			for _, g := range fields[i+1:] {
				n += len(f.Values) * len(g.Values)
			}
		}
	}
	return n
}

// Shard calls f with each superpacket of part i, until f returns an error. The superpacket
// is valid only during the call.
func (p Pairs) Shard(i int, f func(p scenario.Super) error) error {
	n := i
	bases := p.bases()
	fields := Fields(bases[0])
	for i >= len(fields) {
		i -= len(fields)
		bases = bases[1:]
		fields = Fields(bases[0])
	}
	base, first := bases[0], fields[i]
	memory := slices.Clone(base.Data)
	for _, second := range fields[i+1:] {
		for _, v := range first.Values {
			for _, w := range second.Values {
				if !p.takes(&n) {
					continue
				}
				q := scenario.Super{Hdr: base.Hdr, Data: memory[:copy(memory, base.Data)]}
				first.Set(&q, v)
				second.Set(&q, w)
				if err := f(q); err != nil {
					return fmt.Errorf("%s = %#x, %s = %#x: %w", first.Name, v, second.Name, w, err)
				}
			}
		}
	}
	return nil
}

// Judged returns a check of superpackets for one goroutine. It checks P4, P1 and P7 on a
// superpacket, and returns nil or a *law.Violation.
func Judged() func(p scenario.Super) error {
	s := scenario.Scenario{Supers: make([]scenario.Super, 1)}
	laws := []law.Property{law.Named("Agree"), law.Named("Total"), law.Named("Buffers")}
	return func(super scenario.Super) error {
		s.Supers[0] = super
		for _, p := range laws {
			if err := law.Attempt(func() error { return p.Check(&s, nil) }); err != nil {
				return err
			}
		}
		return nil
	}
}
