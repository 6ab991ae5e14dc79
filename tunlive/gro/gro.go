// SPDX-License-Identifier: MIT

// Package gro describes the Linux kernel's GRO: which packets of one poll it joins,
// in which order they leave, and their bytes. Package tunlive has the kernel itself.
// Tests ask both and compare the results, which makes the description reliable. It
// explains why the kernel joins packets that package offload keeps apart.
//
// It describes net/core/gro.c, net/ipv4/af_inet.c, tcp_offload.c, udp_offload.c and
// net/ipv6/ip6_offload.c of Linux 6.18, for a device whose packets all have the same
// hash, with rx-udp-gro-forwarding on and no sockets.
package gro

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Rules are the differences between kernels.
type Rules struct {
	// FixedIDs joins packets with equal IPv4 IDs and without DF (6.18). With DF every
	// kernel joins them.
	FixedIDs bool
	// HopByHop joins packets after equal hop-by-hop options.
	HopByHop bool
	// HeldCWR joins packets without CWR to one with CWR (up to 6.12). EqualCWR joins
	// packets that all have CWR (7.0). 6.18 joins no packet with CWR.
	HeldCWR, EqualCWR bool
	// HopLimitFlow treats another hop limit as another flow (5.10).
	HopLimitFlow bool
	// NoUDP joins no datagrams: rx-udp-gro-forwarding is off.
	NoUDP bool
}

// Group is a packet that leaves GRO. Members are its packets in the batch. GSOType
// and GSOSize are 0 for a single packet.
type Group struct {
	Members           []int
	Data              []byte
	GSOType           uint8
	GSOSize           int
	CsumStart, CsumAt int
	FixedID           bool // for TCP; no TUN can hand out such a superpacket
}

const (
	maxHeld = 8     // MAX_GRO_SKBS
	maxSize = 65536 // gro_max_size
	maxUDP  = 64    // UDP_GRO_CNT_MAX
)

const (
	tcp, udp                    = 6, 17
	hopByHop, routing, dstOpts  = 0, 43, 60
	fin, syn, rst, psh, urg     = 0x01, 0x02, 0x04, 0x08, 0x20
	cwr                         = 0x80
	df, evil, fragment          = 0x4000, 0x8000, 0x3FFF
	typeTCP4, typeTCP6, typeUDP = 1, 4, 5
	ecnBit                      = 0x80
	headerV4                    = 0x45 // without options
)

// packet is a packet in GRO.
type packet struct {
	index   int
	data    []byte
	v6      bool
	proto   byte
	l4      int  // offset
	payload int  // offset
	flush   bool // its lengths or reserved bits are unusual: it must not be joined or held
}

// held is a packet that waits for more, with the packets that have joined it.
type held struct {
	packet
	members []int // indices in the batch of all its packets, the first included
	size    int   // payload length of the first packet
	fixedID bool  // all its packets have the same IPv4 ID
}

// list has the held packets, the youngest first, and those that have left.
type list struct {
	rules Rules
	held  []*held
	out   []Group
}

// Coalesce gives a batch to GRO, as one poll.
func Coalesce(batch [][]byte, r Rules) []Group {
	l := &list{rules: r}
	for i, b := range batch {
		l.receive(i, b)
	}
	for len(l.held) > 0 {
		l.complete(l.held[len(l.held)-1])
	}
	return l.out
}

// receive is dev_gro_receive.
func (l *list) receive(i int, b []byte) {
	p, ok := l.parse(i, b)
	if !ok || p.proto == udp && l.rules.NoUDP { // it overtakes held packets
		l.out = append(l.out, Group{Members: []int{i}, Data: b})
		return
	}
	receive := l.receiveTCP
	if p.proto == udp {
		receive = l.receiveUDP
	}
	done, joined, hold := receive(p)
	if done != nil {
		l.complete(done)
	}
	switch {
	case joined:
	case !hold || p.flush:
		l.out = append(l.out, Group{Members: []int{i}, Data: b})
	default:
		if len(l.held) == maxHeld {
			l.complete(l.held[maxHeld-1])
		}
		p.data = bytes.Clone(b)
		l.held = slices.Insert(l.held, 0, &held{packet: p, members: []int{i}, size: len(b) - p.payload})
	}
}

// parse is the part of inet_gro_receive and ipv6_gro_receive that looks at the packet
// alone, and then the checksum. It returns false if GRO does not process the packet
// further.
func (l *list) parse(i int, b []byte) (packet, bool) {
	p := packet{index: i, data: b}
	var ok bool
	switch {
	case len(b) > 0 && b[0]>>4 == 4:
		ok = p.parseIPv4()
	case len(b) > 0 && b[0]>>4 == 6:
		ok = p.parseIPv6(l.rules)
	}
	if !ok || p.proto != tcp && p.proto != udp {
		return p, false
	}
	rest := b[p.l4:]
	if p.proto == udp {
		if len(rest) < 8 {
			return p, false
		}
		length, check := int(word(rest, 4)), word(rest, 6)
		p.payload = p.l4 + 8
		return p, (p.flush || check == 0 || p.checksum()) && check != 0 && length > 8 && length == len(rest)
	}
	if !p.flush && !p.checksum() || len(rest) < 20 {
		return p, false
	}
	p.payload = p.l4 + int(rest[12]>>4)*4
	return p, p.payload >= p.l4+20 && p.payload <= len(b)
}

func (p *packet) parseIPv4() bool {
	b := p.data
	if len(b) < 20 || b[0] != headerV4 || word(b, 6)&fragment != 0 || fold(sum(b[:20])) != 0xFFFF {
		return false
	}
	p.proto, p.l4 = b[9], 20
	p.flush = int(word(b, 2)) != len(b) || word(b, 6)&evil != 0
	return true
}

func (p *packet) parseIPv6(r Rules) bool {
	b := p.data
	if len(b) < 40 {
		return false
	}
	p.v6, p.proto, p.l4 = true, b[6], 40
	for p.proto == routing || p.proto == dstOpts || p.proto == hopByHop && r.HopByHop {
		if len(b) < p.l4+2 {
			return false
		}
		n := 8 + 8*int(b[p.l4+1])
		if len(b) < p.l4+n {
			return false
		}
		p.proto, p.l4 = b[p.l4], p.l4+n
	}
	p.flush = int(word(b, 4)) != len(b)-40
	return true
}

// checksum reports whether the L4 checksum is right.
func (p *packet) checksum() bool { return fold(p.pseudo()+sum(p.data[p.l4:])) == 0xFFFF }

// pseudo returns the sum of the pseudo header.
func (p *packet) pseudo() uint64 {
	addresses := p.data[12:20]
	if p.v6 {
		addresses = p.data[8:40]
	}
	return sum(addresses) + uint64(p.proto) + uint64(len(p.data)-p.l4)
}

// find returns the youngest held packet of the same flow.
func (l *list) find(p packet) *held {
	for _, h := range l.held {
		if h.v6 == p.v6 && h.proto == p.proto && h.l4 == p.l4 && sameAddresses(h.data, p.data, p.l4) &&
			!(l.rules.HopLimitFlow && p.v6 && h.data[7] != p.data[7]) &&
			bytes.Equal(h.data[p.l4:p.l4+4], p.data[p.l4:p.l4+4]) {
			return h
		}
	}
	return nil
}

// sameAddresses compares addresses and, for IPv6, flow label and extension headers:
// another label is another flow.
func sameAddresses(a, b []byte, l4 int) bool {
	if l4 == 20 {
		return bytes.Equal(a[12:20], b[12:20])
	}
	return a[1]&15 == b[1]&15 && bytes.Equal(a[2:4], b[2:4]) && a[6] == b[6] && bytes.Equal(a[8:l4], b[8:l4])
}

// fits is inet_gro_flush and ipv6_gro_flush: it compares the fields of the IP header
// that must be equal, and the IDs, which must count up or all be the same.
func (l *list) fits(h *held, p packet) bool {
	a, b := h.data, p.data
	if p.v6 {
		return a[0] == b[0] && a[1]&0xF0 == b[1]&0xF0 && a[7] == b[7]
	}
	if a[8] != b[8] || a[1] != b[1] || (word(a, 6)^word(b, 6))&df != 0 {
		return false
	}
	step, n := word(b, 4)-word(a, 4), uint16(len(h.members))
	if n == 1 && step == 0 && (l.rules.FixedIDs || word(b, 6)&df != 0) {
		h.fixedID = true
	}
	if h.fixedID {
		return step == 0
	}
	return step == n
}

// join is skb_gro_receive.
func (h *held) join(p packet) bool {
	payload := p.data[p.payload:]
	if p.flush || len(h.data)+len(payload) >= maxSize {
		return false
	}
	h.data = append(h.data, payload...)
	h.members = append(h.members, p.index)
	return true
}

// receiveTCP is tcp_gro_receive. It returns the packets that must leave, and whether
// p was joined or must be held.
func (l *list) receiveTCP(p packet) (done *held, joined, hold bool) {
	h := l.find(p)
	header, n := p.data[p.l4:p.payload], len(p.data)-p.payload
	flags := header[13]
	shorter := n < 1
	if h != nil && l.follows(h, p, n) && h.join(p) {
		h.data[h.l4+13] |= flags & (fin | psh)
		joined, shorter = true, n < h.size
	}
	last := shorter || flags&(urg|psh|rst|syn|fin) != 0
	if h != nil && (!joined || last) {
		done = h
	}
	return done, joined, !last
}

// follows reports whether a TCP packet may be joined to a held one.
func (l *list) follows(h *held, p packet, n int) bool {
	a, b := h.data[h.l4:h.payload], p.data[p.l4:p.payload]
	differ := a[13] ^ b[13]
	switch {
	case l.rules.EqualCWR:
	case l.rules.HeldCWR:
		differ = differ&^cwr | b[13]&cwr
	default:
		differ |= b[13] & cwr
	}
	return a[12] == b[12] && differ&^(fin|psh) == 0 && word(a, 14) == word(b, 14) && // doff, flags, window
		bytes.Equal(a[8:12], b[8:12]) && bytes.Equal(a[20:], b[20:]) && // ack, options
		l.fits(h, p) && n > 0 && n <= h.size &&
		long(b, 4) == long(a, 4)+uint32(len(h.data)-h.payload)
}

// receiveUDP is udp_gro_receive_segment.
func (l *list) receiveUDP(p packet) (done *held, joined, hold bool) {
	h := l.find(p)
	if h == nil {
		return nil, false, true
	}
	n := len(p.data) - p.payload
	joined = l.fits(h, p) && n <= h.size && h.join(p)
	if !joined || n != h.size || len(h.members) >= maxUDP {
		done = h
	}
	return done, joined, true
}

// complete is napi_gro_complete: h leaves, with the packets that joined it.
func (l *list) complete(h *held) {
	l.held = slices.DeleteFunc(l.held, func(o *held) bool { return o == h })
	g := Group{Members: h.members, Data: h.data}
	if len(h.members) > 1 {
		b := h.data
		if h.v6 {
			binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		} else {
			check := ^add(add(^word(b, 10), ^word(b, 2)), uint16(len(b)))
			binary.BigEndian.PutUint16(b[10:], check)
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		}
		g.GSOType, g.GSOSize, g.CsumStart, g.CsumAt, g.FixedID = typeTCP4, h.size, h.l4, 16, h.fixedID
		ecn := uint8(0)
		if h.proto == tcp && l.rules.HeldCWR && b[h.l4+13]&cwr != 0 {
			ecn = ecnBit // of the first; kernels that join equal CWR keep the bit apart and do not show it
		}
		switch {
		case h.proto == udp:
			g.GSOType, g.CsumAt, g.FixedID = typeUDP, 6, false
			binary.BigEndian.PutUint16(b[h.l4+4:], uint16(len(b)-h.l4))
		case h.v6:
			g.GSOType = typeTCP6
		}
		g.GSOType |= ecn
		binary.BigEndian.PutUint16(b[h.l4+g.CsumAt:], fold(h.pseudo()))
	}
	l.out = append(l.out, g)
}

// Knows reports whether the description covers a packet. It does not cover protocols
// that kernels may join below TCP and UDP, such as tunnels.
func Knows(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	p := packet{data: b}
	switch b[0] >> 4 {
	case 4:
		return len(b) < 20 || !slices.Contains(tunnels, b[9])
	case 6:
		return !p.parseIPv6(Rules{HopByHop: true}) || !slices.Contains(tunnels, p.proto)
	}
	return false
}

// These are IPIP, IPv6, GRE, ESP and AH.
var tunnels = []byte{4, 41, 47, 50, 51}

func word(b []byte, at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
func long(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }

// add is csum16_add.
func add(a, b uint16) uint16 {
	s := a + b
	if s < b {
		s++
	}
	return s
}

// sum adds the 16-bit words of b.
func sum(b []byte) (s uint64) {
	for ; len(b) > 1; b = b[2:] {
		s += uint64(b[0])<<8 | uint64(b[1])
	}
	if len(b) > 0 {
		s += uint64(b[0]) << 8
	}
	return s
}

func fold(s uint64) uint16 {
	for s > 0xFFFF {
		s = s>>16 + s&0xFFFF
	}
	return uint16(s)
}
