// SPDX-License-Identifier: MIT

package gro

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// made describes a packet. Its lengths and checksums are right unless a damage changes them.
type made struct {
	v6, udp    bool
	port       byte
	id, frag   uint16
	ttl, tos   byte
	label      byte
	ext        []byte // extension headers, the first one of type extType; the last one's next header is set
	extType    byte
	seq        uint32
	ack, win   byte
	flags      byte
	options    []byte
	payload    int
	damage     func(b []byte) []byte
	noChecksum bool
}

// first returns the first packet of a flow, with 10 bytes of payload.
func first() made {
	return made{port: 1, id: 100, frag: df, ttl: 64, seq: 1, ack: 1, win: 1, flags: 0x10, payload: 10, extType: dstOpts}
}

// next returns the packet that follows m, with n bytes of payload.
func (m made) next(n int) made {
	m.id++
	m.seq += uint32(m.payload)
	m.payload = n
	return m
}

// but returns m as change leaves it.
func (m made) but(change func(m *made)) made {
	change(&m)
	return m
}

// bytes returns the packet.
func (m made) bytes() []byte {
	proto := byte(tcp)
	if m.udp {
		proto = udp
	}
	l4 := []byte{5, m.port, 31, 64}
	at := 16 // of the checksum
	if m.udp {
		at = 6
		l4 = append(binary.BigEndian.AppendUint16(l4, uint16(8+m.payload)), 0, 0)
	} else {
		l4 = append(binary.BigEndian.AppendUint32(l4, m.seq), 0, 0, 0, m.ack, byte(5+len(m.options)/4)<<4, m.flags, 0, m.win, 0, 0, 0, 0)
		l4 = append(l4, m.options...)
	}
	for i := range m.payload {
		l4 = append(l4, byte(i)+byte(m.seq))
	}
	var b []byte
	if m.v6 {
		b = append([]byte{0x60 | m.tos>>4, m.tos<<4 | m.label>>4, 0, m.label, 0, 0, proto, m.ttl}, make([]byte, 32)...)
		b[8], b[23], b[24], b[39] = 0x20, 1, 0x20, 2
		if len(m.ext) > 0 {
			b[6] = m.extType
			b = append(b, m.ext...)
			b[40] = proto
		}
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40+len(l4)))
	} else {
		b = []byte{headerV4, m.tos, 0, 0, byte(m.id >> 8), byte(m.id), byte(m.frag >> 8), byte(m.frag), m.ttl, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(l4)))
		binary.BigEndian.PutUint16(b[10:], ^plain(b))
	}
	if !m.noChecksum {
		binary.BigEndian.PutUint16(l4[at:], ^plain(addresses(b), []byte{0, proto, byte(len(l4) >> 8), byte(len(l4))}, l4))
	}
	b = append(b, l4...)
	if m.damage != nil {
		b = m.damage(b)
	}
	return b
}

// addresses returns the addresses of a packet.
func addresses(b []byte) []byte {
	if b[0]>>4 == 6 {
		return b[8:40]
	}
	return b[12:20]
}

// plain adds words with end-around carry, one by one.
func plain(parts ...[]byte) uint16 {
	s := 0
	for _, p := range parts {
		for i := range p {
			s += int(p[i]) << (8 * (1 - i%2))
		}
	}
	for s > 0xFFFF {
		s = s>>16 + s&0xFFFF
	}
	return uint16(s)
}

// told returns groups as text: their members, and the type and size of what was joined.
func told(groups []Group) string {
	var list []string
	for _, g := range groups {
		s := strings.Trim(strings.ReplaceAll(fmt.Sprint(g.Members), " ", ","), "[]")
		if g.GSOType != 0 {
			s += fmt.Sprintf(":%d/%d", g.GSOType, g.GSOSize)
		}
		if g.FixedID {
			s += "=id"
		}
		list = append(list, s)
	}
	return strings.Join(list, " ")
}

// batch returns the bytes of packets.
func batch(list ...made) (b [][]byte) {
	for _, m := range list {
		b = append(b, m.bytes())
	}
	return b
}

// TestRules states for each rule what GRO makes of a few packets. Fuzzing and the kernel ask
// much more; this names what a mistake breaks.
func TestRules(t *testing.T) {
	a := first()
	b, c := a.next(10), a.next(10).next(10)
	a6 := a.but(func(m *made) { m.v6 = true })
	b6 := a6.next(10)
	u := a.but(func(m *made) { m.udp = true })
	u6 := u.but(func(m *made) { m.v6 = true })
	other := a.but(func(m *made) { m.port = 2 })
	flagged := func(m made, flags byte) made { m.flags = flags; return m }
	options := func(m made, o ...byte) made { m.options = o; return m }
	ext := func(m made, kind byte, b ...byte) made { m.extType, m.ext = kind, b; return m }
	damaged := func(m made, f func(b []byte)) made {
		m.damage = func(b []byte) []byte { f(b); return b }
		return m
	}
	padded := func(m made) made { m.damage = func(b []byte) []byte { return append(b, 0) }; return m }
	resum := func(b []byte) { // of the IPv4 header
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:], ^plain(b[:20]))
	}
	var flows []made
	for i := range byte(9) {
		flows = append(flows, a.but(func(m *made) { m.port = 10 + i }))
	}
	long := a.but(func(m *made) { m.payload = 32748 })
	var many []made
	for m := u; len(many) < 66; m = m.next(10) {
		many = append(many, m)
	}
	sixtyFour := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(numbers(64))), ","), "[]")
	for _, c := range []struct {
		name  string
		batch []made
		rules Rules
		want  string
	}{
		{"one", []made{a}, Rules{}, "0"},
		{"three that follow", []made{a, b, c}, Rules{}, "0,1,2:1/10"},
		{"over IPv6", []made{a6, b6}, Rules{}, "0,1:4/10"},
		{"datagrams", []made{u, u.next(10), u.next(10).next(10)}, Rules{}, "0,1,2:5/10"},
		{"datagrams over IPv6", []made{u6, u6.next(10)}, Rules{}, "0,1:5/10"},
		{"datagrams, not forwarded", []made{u, u.next(10)}, Rules{NoUDP: true}, "0 1"},
		{"datagrams that overtake", []made{a, u, b}, Rules{NoUDP: true}, "1 0,2:1/10"},
		{"a shorter one is the last", []made{a, a.next(9), a.next(9).next(9)}, Rules{}, "0,1:1/10 2"},
		{"a shorter datagram is the last", []made{u, u.next(9), u.next(9).next(9)}, Rules{}, "0,1:5/10 2"},
		{"a longer one", []made{a, a.next(11)}, Rules{}, "0 1"},
		{"a longer datagram, which is not held first", []made{u, u.next(11), u.next(11).next(11)}, Rules{}, "0 1,2:5/11"},
		{"two flows", []made{a, other, b, other.next(10)}, Rules{}, "0,2:1/10 1,3:1/10"},
		{"IPv4 and IPv6", []made{a, a6, b, b6}, Rules{}, "0,2:1/10 1,3:4/10"},
		{"TCP and UDP", []made{a, u, b, u.next(10)}, Rules{}, "0,2:1/10 1,3:5/10"},
		{"a ninth flow", append(append([]made{}, flows...), flows[0].next(10), flows[8].next(10)), Rules{}, "0 1 2 3 4 5 6 7 8,10:1/10 9"},
		{"PSH ends", []made{a, flagged(b, 0x18), c}, Rules{}, "0,1:1/10 2"},
		{"PSH on the first", []made{flagged(a, 0x18), b}, Rules{}, "0 1"},
		{"FIN joins and ends", []made{a, flagged(b, 0x11), c}, Rules{}, "0,1:1/10 2"},
		{"SYN", []made{a, flagged(b, 0x12), c}, Rules{}, "0 1 2"},
		{"RST on all", []made{flagged(a, 0x14), flagged(b, 0x14)}, Rules{}, "0 1"},
		{"URG on all", []made{flagged(a, 0x30), flagged(b, 0x30)}, Rules{}, "0 1"},
		{"ECE on all", []made{flagged(a, 0x50), flagged(b, 0x50)}, Rules{}, "0,1:1/10"},
		{"ECE on one", []made{a, flagged(b, 0x50)}, Rules{}, "0 1"},
		{"a pure ACK", []made{a, a.next(0), a.next(0).next(10)}, Rules{}, "0 1 2"},
		{"CWR on all", []made{flagged(a, 0x90), flagged(b, 0x90)}, Rules{}, "0 1"},
		{"CWR on all, where equal ones join", []made{flagged(a, 0x90), flagged(b, 0x90)}, Rules{EqualCWR: true}, "0,1:1/10"},
		{"CWR on the first, where equal ones join", []made{flagged(a, 0x90), b}, Rules{EqualCWR: true}, "0 1"},
		{"CWR on the first, held", []made{flagged(a, 0x90), b, c}, Rules{HeldCWR: true}, "0,1,2:129/10"},
		{"CWR on all, held", []made{flagged(a, 0x90), flagged(b, 0x90)}, Rules{HeldCWR: true}, "0 1"},
		{"CWR on the second, held", []made{a, flagged(b, 0x90)}, Rules{HeldCWR: true}, "0 1"},
		{"no CWR, held", []made{a, b}, Rules{HeldCWR: true}, "0,1:1/10"},
		{"a gap", []made{a, b.but(func(m *made) { m.seq++ })}, Rules{}, "0 1"},
		{"another ACK", []made{a, b.but(func(m *made) { m.ack++ })}, Rules{}, "0 1"},
		{"another window", []made{a, b.but(func(m *made) { m.win++ })}, Rules{}, "0 1"},
		{"options", []made{options(a, 1, 1, 1, 1), options(b, 1, 1, 1, 1)}, Rules{}, "0,1:1/10"},
		{"other options", []made{options(a, 1, 1, 1, 1), options(b, 1, 1, 1, 0)}, Rules{}, "0 1"},
		{"more options", []made{a, options(b, 1, 1, 1, 1)}, Rules{}, "0 1"},
		{"another reserved bit", []made{a, damaged(b, func(b []byte) { b[32] |= 1; b[36]-- })}, Rules{}, "0 1"},
		{"a gap in the IDs", []made{a, b.but(func(m *made) { m.id++ })}, Rules{}, "0 1"},
		{"IDs that wrap", []made{a.but(func(m *made) { m.id = 65535 }), b.but(func(m *made) { m.id = 0 })}, Rules{}, "0,1:1/10"},
		{"equal IDs with DF", []made{a, b.but(func(m *made) { m.id-- }), c.but(func(m *made) { m.id -= 2 })}, Rules{}, "0,1,2:1/10=id"},
		{"equal IDs with DF, then another", []made{a, b.but(func(m *made) { m.id-- }), c}, Rules{}, "0,1:1/10=id 2"},
		{"an equal ID late", []made{a, b, c.but(func(m *made) { m.id-- })}, Rules{}, "0,1:1/10 2"},
		{"equal IDs without DF", []made{a.but(noDF), b.but(noDF).but(func(m *made) { m.id-- })}, Rules{}, "0 1"},
		{"equal IDs without DF, where they join", []made{a.but(noDF), b.but(noDF).but(func(m *made) { m.id-- })}, Rules{FixedIDs: true}, "0,1:1/10=id"},
		{"equal IDs of datagrams", []made{u, u.next(10).but(func(m *made) { m.id-- })}, Rules{}, "0,1:5/10"},
		{"DF on one", []made{a, b.but(noDF)}, Rules{}, "0 1"},
		{"no DF", []made{a.but(noDF), b.but(noDF)}, Rules{}, "0,1:1/10"},
		{"another TTL", []made{a, b.but(func(m *made) { m.ttl-- })}, Rules{}, "0 1"},
		{"another TOS", []made{a, b.but(func(m *made) { m.tos++ })}, Rules{}, "0 1"},
		{"another hop limit", []made{a6, b6.but(func(m *made) { m.ttl-- }), b6}, Rules{}, "0 1 2"},
		{"another hop limit as another flow", []made{a6, b6.but(func(m *made) { m.ttl-- }), b6}, Rules{HopLimitFlow: true}, "0,2:4/10 1"},
		{"another TTL where hop limits are flows", []made{a, b.but(func(m *made) { m.ttl-- }), b}, Rules{HopLimitFlow: true}, "0 1 2"},
		{"another low half of a traffic class", []made{a6, b6.but(func(m *made) { m.tos = 1 })}, Rules{}, "0 1"},
		{"another high half of a traffic class", []made{a6, b6.but(func(m *made) { m.tos = 0x10 })}, Rules{}, "0 1"},
		{"another flow label", []made{a6, b6.but(func(m *made) { m.label = 1 }), b6}, Rules{}, "0,2:4/10 1"},
		{"another high part of a flow label", []made{a6, b6.but(func(m *made) { m.label = 0x10 }), b6}, Rules{}, "0,2:4/10 1"},
		{"another payload length field", []made{a6, damaged(b6, func(b []byte) { b[5]++ })}, Rules{}, "0 1"},
		{"padding", []made{a, padded(b), c}, Rules{}, "0 1 2"},
		{"padding of the first", []made{padded(a), b}, Rules{}, "0 1"},
		{"padding over IPv6", []made{a6, padded(b6)}, Rules{}, "0 1"},
		{"the evil bit", []made{a, b.but(func(m *made) { m.frag |= evil })}, Rules{}, "0 1"},
		{"a fragment overtakes", []made{a, b.but(func(m *made) { m.frag |= 0x2000 })}, Rules{}, "1 0"},
		{"the last fragment overtakes", []made{a, b.but(func(m *made) { m.frag |= 1 })}, Rules{}, "1 0"},
		{"a wrong checksum overtakes", []made{a, damaged(b, func(b []byte) { b[36] ^= 1 })}, Rules{}, "1 0"},
		{"a wrong checksum with padding does not", []made{a, b.but(func(m *made) { m.damage = func(b []byte) []byte { b[36] ^= 1; return append(b, 0) } })}, Rules{}, "0 1"},
		{"a wrong header checksum overtakes", []made{a, damaged(b, func(b []byte) { b[10] ^= 1 })}, Rules{}, "1 0"},
		{"IP options overtake", []made{a, damaged(b, func(b []byte) { b[0]++; resum(b) })}, Rules{}, "1 0"},
		{"another protocol overtakes", []made{a, damaged(b, func(b []byte) { b[9] = 1; resum(b) })}, Rules{}, "1 0"},
		{"no UDP checksum overtakes", []made{u, u.next(10).but(func(m *made) { m.noChecksum = true })}, Rules{}, "1 0"},
		{"an empty datagram overtakes", []made{u, u.next(0)}, Rules{}, "1 0"},
		{"a cut TCP header overtakes", []made{a, b.but(func(m *made) { m.damage = func(b []byte) []byte { return b[:39] } })}, Rules{}, "1 0"},
		{"a cut IPv4 header overtakes", []made{a, b.but(func(m *made) { m.damage = func(b []byte) []byte { return b[:19] } })}, Rules{}, "1 0"},
		{"a cut IPv6 header overtakes", []made{a6, b6.but(func(m *made) { m.damage = func(b []byte) []byte { return b[:39] } })}, Rules{}, "1 0"},
		{"a cut UDP header overtakes", []made{u, u.next(9).but(func(m *made) { m.damage = func(b []byte) []byte { return b[:27] } })}, Rules{}, "1 0"},
		{"no bytes overtake", []made{a, b.but(func(m *made) { m.damage = func(b []byte) []byte { return nil } })}, Rules{}, "1 0"},
		{"equal destination options", []made{ext(a6, dstOpts, 0, 0, 1, 4, 0, 0, 0, 0), ext(b6, dstOpts, 0, 0, 1, 4, 0, 0, 0, 0)}, Rules{}, "0,1:4/10"},
		{"other destination options", []made{ext(a6, dstOpts, 0, 0, 1, 4, 0, 0, 0, 0), ext(b6, dstOpts, 0, 0, 1, 4, 0, 0, 0, 1), ext(b6, dstOpts, 0, 0, 1, 4, 0, 0, 0, 0)}, Rules{}, "0,2:4/10 1"},
		{"equal routing headers of 16 bytes", []made{ext(a6, routing, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), ext(b6, routing, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)}, Rules{}, "0,1:4/10"},
		{"hop-by-hop options", []made{ext(a6, hopByHop, 0, 0, 1, 4, 0, 0, 0, 0), ext(b6, hopByHop, 0, 0, 1, 4, 0, 0, 0, 0)}, Rules{}, "0 1"},
		{"hop-by-hop options, where they join", []made{ext(a6, hopByHop, 0, 0, 1, 4, 0, 0, 0, 0), ext(b6, hopByHop, 0, 0, 1, 4, 0, 0, 0, 0)}, Rules{HopByHop: true}, "0,1:4/10"},
		{"a cut extension header overtakes", []made{a6, ext(b6, dstOpts, 0, 200, 1, 4, 0, 0, 0, 0)}, Rules{}, "1 0"},
		{"as large as it may be", []made{long, long.next(32747)}, Rules{}, "0,1:1/32748"},
		{"too large", []made{long, long.next(32748)}, Rules{}, "0 1"},
		{"64 datagrams, and more", many, Rules{}, sixtyFour + ":5/10 64,65:5/10"},
	} {
		in := batch(c.batch...)
		groups := Coalesce(in, c.rules)
		if got := told(groups); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		for i, m := range c.batch {
			if !bytes.Equal(in[i], m.bytes()) {
				t.Errorf("%s: packet %d was changed", c.name, i)
			}
		}
		for _, g := range groups {
			checkGroup(t, c.name, in, g)
		}
	}
}

// noDF clears DF.
func noDF(m *made) { m.frag = 0 }

// numbers returns 0 to n-1.
func numbers(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// checkGroup checks the bytes of a packet that leaves GRO: what was joined has the first
// one's headers, the payloads one after another, right lengths and a right header checksum.
func checkGroup(t *testing.T, name string, in [][]byte, g Group) {
	t.Helper()
	head := in[g.Members[0]]
	if len(g.Members) == 1 {
		if !bytes.Equal(g.Data, head) || g.GSOSize != 0 || g.CsumAt != 0 {
			t.Errorf("%s: packet %d is changed", name, g.Members[0])
		}
		return
	}
	b := g.Data
	l4, proto, at := 20, head[9], 16
	if head[0]>>4 == 6 {
		l4, proto = 40, head[6]
		if proto != tcp && proto != udp {
			proto, l4 = head[40], 48+8*int(head[41])
		}
	}
	hdr := 8
	if proto == tcp {
		hdr = 4 * int(head[l4+12]>>4)
	} else {
		at = 6
	}
	want := bytes.Clone(head[:l4+hdr])
	for _, i := range g.Members {
		want = append(want, in[i][l4+hdr:]...)
		if proto == tcp {
			want[l4+13] |= in[i][l4+13] & (fin | psh)
		}
	}
	if head[0]>>4 == 4 {
		binary.BigEndian.PutUint16(want[2:], uint16(len(want)))
		want[10], want[11] = 0, 0
		binary.BigEndian.PutUint16(want[10:], ^plain(want[:20]))
	} else {
		binary.BigEndian.PutUint16(want[4:], uint16(len(want)-40))
	}
	if proto == udp {
		binary.BigEndian.PutUint16(want[l4+4:], uint16(len(want)-l4))
	}
	n := len(want) - l4
	binary.BigEndian.PutUint16(want[l4+at:], plain(addresses(want), []byte{0, proto, byte(n >> 8), byte(n)}))
	if !bytes.Equal(b, want) || g.CsumStart != l4 || g.CsumAt != at {
		t.Errorf("%s: csum_start %d, offset %d\ngot  %x\nwant %x", name, g.CsumStart, g.CsumAt, b[:min(len(b), 80)], want[:min(len(want), 80)])
	}
}

// TestKnows checks which packets the description covers.
func TestKnows(t *testing.T) {
	a := first()
	a6 := a.but(func(m *made) { m.v6 = true })
	for n := range 256 {
		tunnel := n == 4 || n == 41 || n == 47 || n == 50 || n == 51
		b, b6 := a.bytes(), a6.bytes()
		b[9], b6[6] = byte(n), byte(n)
		after := a6.but(func(m *made) { m.ext, m.extType = make([]byte, 8), hopByHop }).bytes()
		after[40] = byte(n)
		if n == hopByHop || n == routing || n == dstOpts {
			continue // what follows decides
		}
		if Knows(b) == tunnel || Knows(b6) == tunnel || Knows(after) == tunnel {
			t.Errorf("protocol %d: %v, %v, %v", n, Knows(b), Knows(b6), Knows(after))
		}
	}
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{"nothing": {nil, false}, "version 5": {[]byte{0x55}, false}, "19 bytes": {a.bytes()[:19], true}, "39 bytes of IPv6": {a6.bytes()[:39], true}} {
		if Knows(c.b) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}
