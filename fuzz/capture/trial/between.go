// SPDX-License-Identifier: MIT

package trial

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// Between is a mistake of a program between two captures.
type Between struct {
	Name       string
	Cause, Why string // as in a Fault, of compare
	// Plant makes the mistake in a right pair and returns what compare must find. It returns
	// nothing if the pair has no place for it.
	Plant func(r *rand.Rand, p *Pair) []Change
}

// Change is a finding that compare must report.
type Change struct {
	What  string
	from  place  // the packet before; 0 if there is none
	after int    // the number of the packet after; 0 if there is none
	Field string // that was changed, or ""
}

const shown = "the field shows it"

// Betweens returns the catalogue for compare.
func Betweens() []Between { return slices.Concat(fieldsBetween(), packetsBetween(), sumsBetween()) }

// edit is a mistake in one packet. change returns false if it cannot be made there.
func edit(name, field, cause, why string, fix int, fits func(s *after) bool, change func(r *rand.Rand, s *after) bool) Between {
	return Between{Name: name, Cause: cause, Why: why, Plant: func(r *rand.Rand, p *Pair) []Change {
		s := p.pick(r, func(s *after) bool { return fits == nil || fits(s) })
		if s == nil {
			return nil
		}
		was := bytes.Clone(s.b)
		if !change(r, s) {
			return nil
		}
		if bytes.Equal(was, s.fix(fix)) {
			return nil
		}
		return s.changed(strings.Replace(field, "l4", strings.TrimSuffix(s.l4(""), "."), 1))
	}}
}

func v4(s *after) bool      { return s.Version == 4 }
func v6(s *after) bool      { return s.Version == 6 }
func tcp4or6(s *after) bool { return s.Proto == 6 }
func udp(s *after) bool     { return s.Proto == 17 }
func summed(s *after) bool  { return packet.Checksum(s.b) == packet.Right }

// xor is a change of bits at an offset.
func xor(at func(s *after) int, bits ...byte) func(r *rand.Rand, s *after) bool {
	return func(r *rand.Rand, s *after) bool {
		s.b[at(s)] ^= bits[r.IntN(len(bits))]
		return true
	}
}

func ipAt(at int) func(s *after) int { return func(*after) int { return at } }
func l4At(at int) func(s *after) int { return func(s *after) int { return s.L4Off + at } }

// fieldsBetween are changes of header fields.
func fieldsBetween() []Between {
	all, ip := packet.FixAll, packet.FixIPCsum
	dfClear := func(s *after) bool { return v4(s) && s.b[6]&0x40 == 0 }
	return []Between{
		edit("TTL lowered, checksum updated", "ip.ttl", "", shown, ip, v4, xor(ipAt(8), 1, 2, 4)),
		edit("TTL lowered, checksum not updated", "ip.ttl", "", shown, 0, v4, xor(ipAt(8), 1, 2, 4)),
		edit("hop limit lowered", "ip.hop_limit", "", shown, 0, v6, xor(ipAt(7), 1, 2, 4)),
		edit("ECN bits changed", "ip.tos", "", shown, ip, v4, xor(ipAt(1), 1, 2, 3)),
		edit("traffic class changed", "ip.version_tc_label", "", shown, 0, v6, xor(ipAt(1), 0x10, 0x20)),
		edit("flow label changed", "ip.version_tc_label", "", shown, 0, v6, xor(ipAt(3), 1, 0x80)),
		edit("ID changed", "ip.id", "", shown, ip, dfClear, xor(ipAt(4), 1, 0x40)),
		edit("DF changed", "ip.frag", "", shown, ip, v4, xor(ipAt(6), 0x40)),
		edit("sequence number changed", "tcp.seq", "", shown, all, tcp4or6, xor(l4At(4), 0x40, 0x20)),
		edit("acknowledgement number changed", "tcp.ack", "", shown, all, tcp4or6, xor(l4At(11), 1, 4)),
		edit("window changed", "tcp.window", "", shown, all, tcp4or6, xor(l4At(14), 1, 4)),
		edit("PSH changed", "tcp.flags", "", shown, all, tcp4or6, xor(l4At(13), 8)),
		edit("CWR changed", "tcp.flags", "", shown, all, tcp4or6, xor(l4At(13), 0x80)),
		edit("FIN set", "tcp.flags", "", shown, all, func(s *after) bool { return tcp4or6(s) && s.b[s.L4Off+13]&1 == 0 }, xor(l4At(13), 1)),
		edit("IP length wrong", "ip.total_length", "", shown, ip, v4, xor(ipAt(3), 4, 8)),
		edit("IP length wrong, IPv6", "ip.payload_length", "", shown, 0, v6, xor(ipAt(5), 4, 8)),
		edit("IP length without the extension headers", "ip.payload_length", "the extension headers are not counted", "", 0, func(s *after) bool { return v6(s) && s.Extensions > 0 }, func(_ *rand.Rand, s *after) bool {
			s.put(4, uint16(s.length()))
			return true
		}),
		edit("UDP length wrong", "udp.length", "", shown, 0, udp, xor(l4At(5), 4, 8)),
	}
}

// sumsBetween are mistakes in checksums.
func sumsBetween() []Between {
	list := []Between{
		edit("IPv4 header checksum wrong", "ip.checksum", "", shown, 0, v4, xor(ipAt(11), 1, 4)),
		edit("TCP or UDP checksum wrong", "l4.checksum", "", shown, 0, summed, func(r *rand.Rand, s *after) bool {
			v := s.u16(s.sumAt()) ^ 1<<r.IntN(16)
			s.put(s.sumAt(), v)
			return v != 0 && v != 0xFFFF
		}),
		edit("UDP checksum removed", "udp.checksum", "", shown, 0, func(s *after) bool { return udp(s) && summed(s) }, func(_ *rand.Rand, s *after) bool {
			s.put(s.sumAt(), 0)
			return true
		}),
		{Name: "UDP checksum added", Cause: "the sender sent no checksum, and one was added", Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, func(s *after) bool { return udp(s) && v4(s) && summed(s) })
			if s == nil {
				return nil
			}
			of := packetFlow(p.After[s.at])
			for _, list := range [][]pcap.Packet{p.Before, p.After} {
				for i, q := range list {
					if packetFlow(q) != of {
						continue
					}
					h := packet.Parse(q.Data)
					if _, has, _ := pcap.Vnet(q.Comment); has || packet.Checksum(q.Data) != packet.Right {
						return nil
					}
					list[i].Data = bytes.Clone(q.Data)
					list[i].Data[h.L4Off+6], list[i].Data[h.L4Off+7] = 0, 0 // this sender sends none
				}
			}
			packet.Fix(p.After[s.at].Data, packet.FixL4Csum)
			return s.changed("udp.checksum")
		}},
		{Name: "a wrong checksum made right", Cause: "the checksum was wrong and is right", Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, func(s *after) bool { return summed(s) && s.from.segment == 0 })
			if s == nil || packet.Checksum(p.Before[s.from.packet-1].Data) != packet.Right {
				return nil
			}
			b := &p.Before[s.from.packet-1].Data
			*b = bytes.Clone(*b)
			at := s.sumAt()
			v := binary.BigEndian.Uint16((*b)[at:]) ^ 1<<r.IntN(16)
			if binary.BigEndian.PutUint16((*b)[at:], v); packet.Checksum(*b) != packet.Wrong {
				return nil
			}
			return s.changed(s.l4("checksum"))
		}},
	}
	for _, nat := range []struct{ name, cause string }{
		{"source address translated without updating the checksum of TCP or UDP (NAT)", "not updated for the new source address"},
		{"destination address translated without updating the checksum of TCP or UDP (NAT)", "not updated for the new destination address"},
		{"source port translated without updating the checksum (NAT)", "not updated for the new source port"},
		{"source address translated, and the checksum updated twice (NAT)", "updated twice for the new source address"},
	} {
		list = append(list, Between{Name: nat.name, Cause: nat.cause, Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, summed)
			if s == nil {
				return nil
			}
			return natted(r, p, packetFlow(p.After[s.at]), strings.HasPrefix(nat.name, "destination"), strings.HasPrefix(nat.name, "source port"), strings.Contains(nat.name, "twice"))
		}})
	}
	return list
}

// natted translates an address or a port of all packets of a flow of the capture after, with a
// wrong checksum.
func natted(r *rand.Rand, p *Pair, of packet.Flow, destination, port, twice bool) (want []Change) {
	to := byte(100 + r.IntN(100))
	next := map[int][]byte{}
	for i, q := range p.After {
		if packetFlow(q).Pair() != of.Pair() && packetFlow(q).Pair() != of.Pair().Reverse() {
			continue
		}
		if packetFlow(q) != of { // one flow between its addresses
			if packetFlow(q) != of.Reverse() {
				return nil
			}
			continue
		}
		s := &after{spotOf(&Traffic{Packets: p.After}, i), p, p.from[i]}
		if !summed(s) || s.end != len(s.b) || len(s.payload()) < leastKnown || p.known(i) != 1 || len(s.b) > 1500 {
			return nil
		}
		s.b = bytes.Clone(s.b)
		at, n := 12, 4
		if s.Version == 6 {
			at, n = 8, 16
		}
		if destination {
			at += n
		}
		at += n - 4
		if port {
			at = s.L4Off
		}
		was := bytes.Clone(s.b[at : at+2])
		s.b[at+1] ^= to
		if twice {
			v := s.u16(s.sumAt())
			for range 2 {
				v = ^sum(word(int(^v)), inverted(was), s.b[at:at+2])
			}
			s.put(s.sumAt(), v)
		}
		packet.Fix(s.b, packet.FixIPCsum)
		if packet.Checksum(s.b) != packet.Wrong {
			return nil
		}
		next[i] = s.b
		want = append(want, Change{compare.Changed, s.from, i + 1, s.l4("checksum")})
	}
	if len(want) < 4 {
		return nil
	}
	for i, b := range next {
		p.After[i].Data = b
	}
	return want
}

// packetsBetween are mistakes with whole packets and their payload.
func packetsBetween() []Between {
	all := packet.FixAll
	payload := func(s *after) int { return s.PayloadOff + len(s.payload())/2 }
	return []Between{
		{Name: "lost", Why: "a packet that is not there shows nothing", Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, func(*after) bool { return true })
			if s == nil {
				return nil
			}
			p.remove(s.at)
			return []Change{{compare.Lost, s.from, 0, ""}}
		}},
		{Name: "doubled", Cause: "came twice", Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, func(*after) bool { return true })
			if s == nil {
				return nil
			}
			q := p.After[s.at]
			p.add(s.at+1, q, s.from)
			return []Change{{compare.Duplicated, s.from, 0, ""}}
		}},
		{Name: "reordered", Cause: "it changed places with other packets of its flow", Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, func(*after) bool { return true })
			if s == nil {
				return nil
			}
			of, left := packetFlow(p.After[s.at]), 2
			for i := s.at + 1; i < len(p.After); i++ {
				if packetFlow(p.After[i]).Pair() == of.Pair() && packetFlow(p.After[i]) != of {
					return nil // it may belong to the flow
				}
				if packetFlow(p.After[i]) != of {
					continue
				}
				if p.known(i) > 1 {
					return nil
				}
				if left--; left > 0 {
					continue
				}
				q := p.After[s.at]
				q.Time = p.After[i].Time
				p.add(i+1, q, s.from)
				p.remove(s.at)
				return []Change{{compare.Reordered, s.from, i + 1, ""}}
			}
			return nil
		}},
		{Name: "a packet that nobody sent", Why: "a packet that is new shows nothing", Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, udp)
			if s == nil {
				return nil
			}
			q := pcap.Packet{Time: p.After[s.at].Time, Data: bytes.Clone(s.b)}
			for i := s.PayloadOff; i < len(q.Data); i++ {
				q.Data[i] = byte(r.Uint32())
			}
			if s.Version == 4 {
				binary.BigEndian.PutUint16(q.Data[4:], s.u16(4)^0x5A5A)
			}
			packet.Fix(q.Data, all)
			p.add(s.at+1, q, place{})
			return []Change{{compare.Extra, place{}, s.at + 2, ""}}
		}},
		edit("its end cut off", "length", "missing at the end of the payload", "", 0, nil, func(r *rand.Rand, s *after) bool {
			s.set(s.b[:len(s.b)-1-r.IntN(8)])
			return true
		}),
		edit("its end cut off, lengths and checksums corrected", "length", "missing at the end of the payload", "", all, nil, func(r *rand.Rand, s *after) bool {
			s.set(s.b[:len(s.b)-1-r.IntN(8)])
			return true
		}),
		edit("bytes added at the end", "length", "", shown, 0, nil, func(r *rand.Rand, s *after) bool {
			s.set(append(s.b, byte(1+r.IntN(255)), byte(r.Uint32()), byte(r.Uint32())))
			return true
		}),
		edit("a byte of the payload changed", "payload", "", shown, 0, nil, func(r *rand.Rand, s *after) bool { return xor(payload, 1, 0x80)(r, s) }),
		edit("a byte of the payload changed, checksum corrected", "payload", "", shown, all, nil, func(r *rand.Rand, s *after) bool { return xor(payload, 1, 0x80)(r, s) }),
		{Name: "two datagrams glued to one", Cause: "2 datagrams became one", Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, func(s *after) bool { return udp(s) && summed(s) && s.from.segment == 0 })
			if s == nil {
				return nil
			}
			for i := s.at + 1; i < len(p.After); i++ {
				if packetFlow(p.After[i]) != packetFlow(p.After[s.at]) {
					continue
				}
				o := spotOf(&Traffic{Packets: p.After}, i)
				if packet.Checksum(o.b) != packet.Right || o.end != len(o.b) || p.from[i].segment > 0 || len(s.b)+len(o.payload()) > 1500 {
					return nil
				}
				b := append(bytes.Clone(s.b), o.payload()...)
				packet.Fix(b, all)
				s.set(b)
				p.remove(i)
				return s.changed("udp.length")
			}
			return nil
		}},
		{Name: "a datagram split in two", Cause: "one datagram became 2", Plant: func(r *rand.Rand, p *Pair) []Change {
			s := p.pick(r, func(s *after) bool { return udp(s) && summed(s) && s.from.segment == 0 })
			if s == nil {
				return nil
			}
			at := s.PayloadOff + len(s.payload())/2
			q := pcap.Packet{Time: p.After[s.at].Time, Data: append(bytes.Clone(s.b[:s.PayloadOff]), s.b[at:]...)}
			s.set(s.b[:at:at])
			packet.Fix(q.Data, all)
			s.fix(all)
			p.add(s.at+1, q, place{})
			return s.changed("udp.length")
		}},
	}
}

// DrawBetween draws a right pair of captures from a seed, plants a fault between them, and
// counts the result. A pair without a place for the fault changes nothing.
func (r *Row) DrawBetween(f Between, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 1))
	p, err := DrawPair(random)
	if err != nil {
		return err
	}
	want := f.Plant(random, p)
	if want == nil {
		return nil
	}
	found, err := JudgePair(p)
	if err != nil {
		return err
	}
	r.Drawn++
	packets, fields, causes := true, true, true
	left := slices.Clone(found)
	for _, w := range want {
		at := slices.IndexFunc(left, w.is)
		if at < 0 {
			packets, fields, causes = false, false, false
			continue
		}
		g := left[at]
		left = slices.Delete(left, at, at+1)
		fields = fields && g.What == w.What && w.shows(g.FieldNames())
		causes = causes && strings.Contains(g.Text, f.Cause)
	}
	r.Packet += one(packets)
	r.Field += one(fields)
	r.Cause += one(causes)
	r.False += len(left)
	if r.Wrong == "" && (!fields || !causes || len(left) > 0) {
		r.Wrong = fmt.Sprintf("seed %d: want %v %q, found %v", seed, want, f.Cause, found)
	}
	return nil
}

// is reports whether a finding names the packets of a change. Of a copy it may name the other
// one.
func (w Change) is(f compare.Finding) bool {
	before := w.from.packet == 0 || f.Packets[compare.Before] == w.from.packet && f.Segments[compare.Before] == w.from.segment
	return before && (w.after == 0 || f.Packets[compare.After] == w.after)
}

// followed are the fields that change with others.
var followed = []string{"ip.checksum", "tcp.checksum", "udp.checksum", "length", "ip.total_length", "ip.payload_length", "udp.length", "payload"}

// shows reports whether the field of a change is among the names of those that compare found,
// and all others follow from it.
func (w Change) shows(names []string) bool {
	if w.Field == "" {
		return len(names) == 0
	}
	return slices.Contains(names, w.Field) && !slices.ContainsFunc(names, func(n string) bool { return n != w.Field && !slices.Contains(followed, n) })
}
