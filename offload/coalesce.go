// SPDX-License-Identifier: MIT

package offload

import "fmt"

// Order is the order that Coalesce keeps.
type Order uint8

const (
	// InOrder keeps the order of packets that conflict: packets of one flow, and
	// packets of one address pair if one of the two has no flow (C4).
	InOrder Order = iota
	// Reorder allows a TCP packet to join any of the last superpackets of its flow,
	// at the end or in front (C5). UDP stays in order.
	Reorder
)

// Config configures a Coalescer. With the zero value the packets come back byte for byte. A
// TUN without USO (before Linux 6.2) refuses UDP superpackets: set DisableUDP there.
type Config struct {
	Order Order

	// AtomicIDs ignores the ID and the header checksum when IPv4 packets with DF are
	// compared (C6). RFC 6864 section 4.1 gives such an ID no meaning, and QUIC
	// senders on Linux leave it 0. The segments then come back with IDs that count up
	// from the first packet's.
	AtomicIDs bool

	// AbsentChecksums takes an IPv4 datagram without a checksum for one with the right
	// checksum (C11). RFC 768 allows such datagrams, and VXLAN should send them (RFC 7348
	// section 5). The segments then come back with the right checksum; a lone packet
	// passes unchanged. IPv6 datagrams without a checksum still do not join, because
	// only some receivers may accept them (RFC 8200 section 8.1).
	AbsentChecksums bool

	// MaxSegments is the most packets of a TCP superpacket: 1 to 1,022, 0 means 256.
	// A TUN's queue holds 500 packets by default, and writev(2) takes 1,024 pieces.
	MaxSegments int
	// MaxUDPSegments is the most packets of a UDP superpacket: 1 to 128, 0 means 64,
	// the limit of kernels before 6.9.
	MaxUDPSegments int
	// MaxOpen closes a superpacket, so that nothing joins it any more, when this many
	// later packets of any flow that could join (candidates, rule C1) have each begun a
	// superpacket of their own: 1 to 65,535, 0 means 1,024.
	MaxOpen int
	// MaxPerFlow is the number of superpackets of a TCP flow that Reorder tries: 1 to
	// 64, 0 means 4.
	MaxPerFlow int

	// Packets of a disabled type pass unchanged.
	DisableTCPv4, DisableTCPv6, DisableUDP bool
}

// disabled reports whether superpackets of type t are disabled.
func (c *Config) disabled(t GSOType) bool {
	switch t {
	case GSOTCPv4:
		return c.DisableTCPv4
	case GSOTCPv6:
		return c.DisableTCPv6
	}
	return c.DisableUDP
}

// withDefaults returns c with defaults for zeros, or an error for the first bad
// field.
func (c Config) withDefaults() (Config, error) {
	if c.Order > Reorder {
		return c, fmt.Errorf("offload: Config.Order is %d: want InOrder or Reorder", c.Order)
	}
	for _, f := range []struct {
		name     string
		v        *int
		def, max int
	}{
		{"MaxSegments", &c.MaxSegments, 256, 1022},
		{"MaxUDPSegments", &c.MaxUDPSegments, 64, maxUDPSegments},
		{"MaxOpen", &c.MaxOpen, 1024, 65535},
		{"MaxPerFlow", &c.MaxPerFlow, 4, 64},
	} {
		if *f.v < 0 || *f.v > f.max {
			return c, fmt.Errorf("offload: Config.%s is %d: want 0 (for %d) to %d", f.name, *f.v, f.def, f.max)
		}
		if *f.v == 0 {
			*f.v = f.def
		}
	}
	return c, nil
}

// Coalescer joins the packets of a batch into superpackets. The zero value is ready to
// use: it is that of NewCoalescer(Config{}). Between batches a Coalescer keeps only its
// memory, in proportion to the largest batch so far. It is not safe for concurrent
// use.
type Coalescer struct {
	// The work is lazy. A packet that is not a candidate costs its parse and an entry in
	// supers: the flow table learns of it when a candidate comes.

	cfg     Config
	table   flowTable
	pkts    [][]byte // the batch, borrowed
	added   [][]byte // the packets of Add, if they are the batch
	adding  bool     // Add began the batch
	reasons []Reason // of each packet
	next    []int32  // the packet after each packet in its superpacket, but for the last
	runs    []run    // superpackets under construction that candidates opened, in order
	opened  int      // the number of runs
	pairs   bool     // the table has packets with addresses but no flow

	compared work // pairs of packets whose headers were compared
	summed   work // bytes

	supers  []Superpacket // in the order in which they were opened
	known   int           // the packets of supers[known:] are alone, and the table has yet to learn of them
	wholes  []whole
	members []int
	hdrs    []byte
	numbers []int // 0, 1, 2 and so on: the members of superpackets of one packet
	empty   [VnetHdrLen]byte
}

// run is a superpacket under construction: consecutive segments of one flow. It holds
// the values needed to decide on the next join. Headers are read from the first
// packet and rebuilt once, at the end.
type run struct {
	head, tail int32 // first and last packet
	n          int
	most       int   // the limit of n
	payload    int   // of all packets, in bytes
	size       int   // of the first packet's payload: the GSOSize
	sealed     bool  // nothing can follow: the last packet has FIN or PSH, or is shorter than size
	older      int32 // index in runs of the flow's superpacket opened before this one, or none
	ordinal    int   // place among the superpackets opened by candidates, from 1
	layout

	// These describe the first packet, a candidate.
	ports  uint32 // compared first: they distinguish most flows
	atomic bool   // its ID has no meaning (AtomicIDs)
	id     uint16 // IPv4
	seq    uint32 // TCP
	ipSum  uint32 // of the IPv4 header without length, ID and checksum
	l4Sum  uint32 // of the pseudo-header without the length
}

// NewCoalescer returns a Coalescer, or an error that names the field of cfg that is
// out of range.
func NewCoalescer(cfg Config) (*Coalescer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Coalescer{cfg: cfg, table: newFlowTable()}, nil
}

// Coalesce joins the packets of a batch and returns the superpackets. Each packet
// starts with its IP header, and they are in the order in which they arrived.
// Coalesce never fails, whatever the packets contain, and takes any number of them
// (C7).
//
// pkts and the packets are borrowed and only read. They must stay unchanged until the
// next call of Coalesce, Add or Flush, and the result is valid until then.
// Coalesce(nil) releases them. Packets may share memory.
//
// Coalesce(pkts) is Add of each packet, then Flush: packets that were added before are
// in the batch too, in front.
//
// Why it is right: a packet joins exactly if cutting the joined superpacket gives back its
// packets. It joins only the superpacket of the latest packet it conflicts with, so no
// two conflicting packets change places (docs/design.md has the proof).
func (c *Coalescer) Coalesce(pkts [][]byte) []Superpacket {
	if c.adding {
		for _, pkt := range pkts {
			c.Add(pkt)
		}
		return c.Flush()
	}
	c.begin()
	c.pkts = pkts
	c.reasons = resize(c.reasons, len(pkts))
	c.next = resize(c.next, len(pkts))
	c.count(len(pkts))
	for i, pkt := range pkts {
		c.reasons[i] = c.place(int32(i), pkt)
	}
	return c.finish()
}

// Add adds a packet to the batch that Flush ends. It does the work of Coalesce for this
// packet: a caller that has just decrypted it has it in the cache. The first Add after
// Flush or Coalesce begins a batch.
//
// pkt is borrowed and only read. It must stay unchanged until the first call of
// Coalesce, Add or Flush after the Flush that ends its batch.
func (c *Coalescer) Add(pkt []byte) {
	if !c.adding {
		c.begin()
		c.adding = true
	}
	i := len(c.added)
	c.added = append(c.added, pkt)
	c.pkts = c.added
	c.next = append(c.next[:i], none)
	c.count(i + 1)
	c.reasons = append(c.reasons[:i], c.place(int32(i), pkt))
}

// Flush ends the batch that Add began, and returns its superpackets. They are what
// Coalesce returns for these packets, in the order in which they were added, and valid
// until the next call of Coalesce, Add or Flush. Without a packet there are none.
func (c *Coalescer) Flush() []Superpacket {
	if !c.adding {
		c.begin()
	}
	c.adding = false
	return c.finish()
}

// begin begins a batch, and releases the one before.
func (c *Coalescer) begin() {
	if c.cfg.MaxOpen == 0 { // the zero value
		c.cfg, _ = Config{}.withDefaults()
		c.table = newFlowTable()
	}
	clear(c.added)
	c.added = c.added[:0]
	c.pkts = nil
	c.reasons, c.next = c.reasons[:0], c.next[:0]
	c.runs, c.supers, c.known = c.runs[:0], c.supers[:0], 0
	c.opened, c.pairs = 0, false
	c.table.reset()
}

// count makes numbers at least n long.
func (c *Coalescer) count(n int) {
	for i := len(c.numbers); i < n; i++ {
		c.numbers = append(c.numbers, i)
	}
}

// place puts packet i where it belongs and returns its Reason.
func (c *Coalescer) place(i int32, pkt []byte) Reason {
	tried := none
	if len(c.table.slots) > 0 {
		tried = c.likely(i, pkt)
	}
	if tried != none && c.extends(&c.runs[tried], i, pkt) {
		c.table.slots[c.table.recent].last = i
		return Joined
	}
	var p parsed
	why := p.parse(pkt)
	if why == Joined {
		why = c.verify(pkt, &p)
	}
	if why != Joined {
		c.supers = append(c.supers, Superpacket{c, i})
		return why
	}
	c.catchUp()
	s := c.table.find(&p.key)
	keepOrder := c.keepsOrder(p.proto)
	lastOfFlow, lastOfPair := s.last, c.lastOfPair(&p.key)
	s.last = i
	if keepOrder && lastOfPair > lastOfFlow {
		s.super = none // the latest packet in conflict has no flow
	}
	r := c.push()
	c.start(r, i, pkt, &p)
	why = First
	if lastOfFlow != none || lastOfPair != none {
		why = c.settle(s.super, r, keepOrder, tried)
	}
	if why == Joined {
		c.runs = c.runs[:len(c.runs)-1]
		return Joined
	}
	c.open(s, r)
	return why
}

// keepsOrder reports whether packets of a protocol keep the order of their flow.
func (c *Coalescer) keepsOrder(proto uint8) bool {
	return c.cfg.Order == InOrder || proto == protoUDP
}

// likely returns the superpacket that packet i would join if it is of the flow that its
// ports suggest, or none. If packet i extends that superpacket, it is of the flow, and
// no later packet conflicts with it. The flow is then the table's recent one.
func (c *Coalescer) likely(i int32, pkt []byte) int32 {
	t := &c.table
	if t.recent != none {
		if s := &t.slots[t.recent]; s.last == i-1 && c.hasPorts(s, pkt) {
			return s.super
		}
	}
	guess := t.guess(pkt)
	if guess == none || !c.hasPorts(&t.slots[guess], pkt) {
		return none
	}
	c.catchUp()
	if c.pairs {
		return none // one of them may conflict, and be the latest
	}
	t.recent = guess
	return t.slots[guess].super
}

// hasPorts reports whether the flow has a superpacket to join, and pkt has its ports.
func (c *Coalescer) hasPorts(s *slot, pkt []byte) bool {
	if s.super == none {
		return false
	}
	q := &c.runs[s.super]
	return len(pkt) > q.hdrLen && be32(pkt[q.l4Off:]) == q.ports
}

// catchUp enters into the table the latest packets, which are not candidates.
func (c *Coalescer) catchUp() {
	for _, late := range c.supers[c.known:] {
		var p parsed
		p.parse(c.pkts[late.at])
		if !p.hasAddr {
			continue
		}
		s := c.table.find(&p.key)
		s.last = late.at
		if !p.hasFlow {
			c.pairs = true
		} else if c.keepsOrder(p.proto) {
			s.super = none
		}
	}
	c.known = len(c.supers)
}

// lastOfPair returns the latest packet without a flow that has the flow's addresses.
func (c *Coalescer) lastOfPair(key *flowKey) int32 {
	if !c.pairs {
		return none
	}
	return c.table.last(key.pair())
}

// push returns a new last element of runs. Its contents are undefined.
func (c *Coalescer) push() *run {
	n := len(c.runs)
	if n == cap(c.runs) {
		c.runs = append(c.runs, run{})
	}
	c.runs = c.runs[:n+1]
	return &c.runs[n]
}

// open makes r, a single packet and the last of runs, the superpacket that its flow
// opened last.
func (c *Coalescer) open(s *slot, r *run) {
	r.older = s.super
	c.opened++
	r.ordinal = c.opened
	s.super = int32(len(c.runs) - 1)
	c.supers = append(c.supers, Superpacket{c, ^s.super})
	c.known = len(c.supers)
}

// start sets r to a superpacket of only packet i, a candidate.
func (c *Coalescer) start(r *run, i int32, pkt []byte, p *parsed) {
	r.head, r.tail, r.n, r.most, r.older, r.ordinal = i, i, 1, c.cfg.MaxUDPSegments, none, 0
	r.layout = p.layout
	r.size = len(pkt) - p.hdrLen
	r.payload = r.size
	r.ports = be32(pkt[p.l4Off:])
	r.l4Sum = uint32(p.key.pseudoHeaderSum(p.proto, 0))
	r.id, r.atomic, r.ipSum = 0, false, 0
	if p.version == 4 {
		r.id = be16(pkt[4:])
		r.atomic = c.cfg.AtomicIDs && pkt[6]&(ipv4DF>>8) != 0
		r.ipSum = uint32(^be16(pkt[10:])) + neg(be16(pkt[2:])) + neg(r.id)
	}
	r.seq, r.sealed = 0, false
	if p.proto == protoTCP {
		r.seq = be32(pkt[p.l4Off+4:])
		r.sealed = pkt[p.l4Off+13]&(tcpFIN|tcpPSH) != 0
		if r.most = c.cfg.MaxSegments; r.size < minTCPGSOSize {
			r.most = 1
		}
	}
}

// settle joins r, a single packet, to the superpacket at index at. In Reorder it also
// tries those that the flow opened before. If none accepts, settle returns the Reason
// of the first refusal. tried is the superpacket that extends was asked for, or none.
func (c *Coalescer) settle(at int32, r *run, keepOrder bool, tried int32) Reason {
	why := Closed
	for try := 0; at != none; try++ {
		q := &c.runs[at]
		if !c.isOpen(q) || try == c.cfg.MaxPerFlow {
			break
		}
		refused := c.joins(q, r)
		if refused == Joined {
			invariant(at != tried, "extends refused what joins")
			c.add(q, r.head, r.payload, r.sealed)
			return Joined
		}
		if why == Closed {
			why = refused
		}
		if keepOrder {
			break
		}
		if c.joins(r, q) == Joined {
			c.prepend(q, r)
			return Joined
		}
		at = q.older
	}
	return why
}

// isOpen reports whether q may take more packets: MaxOpen is not reached.
func (c *Coalescer) isOpen(q *run) bool { return c.opened-q.ordinal < c.cfg.MaxOpen }

// add appends packet i, which joins, to q. sealed describes that packet alone.
func (c *Coalescer) add(q *run, i int32, payload int, sealed bool) {
	c.next[q.tail] = i
	q.tail = i
	q.sealed = sealed || payload < q.size
	q.n++
	q.payload += payload
}

// prepend joins r, a single packet, to q in front. The result starts with r's packet
// and replaces q.
func (c *Coalescer) prepend(q, r *run) {
	c.next[r.tail] = q.head
	r.tail, r.n, r.payload = q.tail, q.n+1, r.payload+q.payload
	r.sealed = q.sealed || q.n == 1 && q.payload < r.size
	r.older, r.ordinal = q.older, q.ordinal
	*q = *r
}

// joins reports whether the packets of b can follow a's in one superpacket. All of
// them are candidates of one flow. It returns Joined, Limit or Mismatch.
//
// Segment copies the headers of a's first packet. Fields that it copies must
// therefore be equal in both packets: sameHeaders compares them all. Fields that it
// sets must have the values that it sets: IDs and sequence numbers count up (S2, S4),
// FIN and PSH are only on the last packet (S4), and all payloads but a shorter last
// have one size (S1). It computes lengths and checksums, and admission has verified
// that each packet has the computed ones (C1). A packet equal to a's first is equal
// to all of a's, since those joined by the same tests.
func (c *Coalescer) joins(a, b *run) Reason {
	c.compared.add(1)
	if a.n+b.n > a.most || a.hdrLen+a.payload+b.payload > maxPacketLen {
		return Limit
	}
	if a.sealed || b.size > a.size || b.n > 1 && b.size != a.size || a.hdrLen != b.hdrLen ||
		a.version == 4 && !a.atomic && a.id+uint16(a.n) != b.id ||
		a.proto == protoTCP && a.seq+uint32(a.payload) != b.seq ||
		!sameHeaders(c.pkts[a.head], c.pkts[b.head], &a.layout) {
		return Mismatch
	}
	return Joined
}

// extends joins packet i to q, if it is a candidate of q's flow that joins, and
// reports whether it did. Otherwise it changes nothing. q was opened by a candidate
// and is the superpacket that the packet would join.
//
// It decides at once what parse, verify and joins decide. A packet whose headers
// equal q's in all that sameHeaders compares has q's flow. It also passes those tests
// of C1 that read only these bytes, because q's first packet passed them. The rest of
// C1 is lengths and checksums; the rest of joins is limits, sizes, ID and sequence
// number.
func (c *Coalescer) extends(q *run, i int32, pkt []byte) bool {
	c.compared.add(1)
	size := len(pkt) - q.hdrLen
	if size <= 0 || q.sealed || size > q.size || q.n >= q.most ||
		q.hdrLen+q.payload+size > maxPacketLen || !c.isOpen(q) || !sameHeaders(c.pkts[q.head], pkt, &q.layout) {
		return false
	}
	if q.version == 4 {
		id := be16(pkt[4:])
		if int(be16(pkt[2:])) != len(pkt) || id != q.id+uint16(q.n) && !q.atomic ||
			be16(pkt[10:]) != ^fold(q.ipSum+uint32(len(pkt))+uint32(id)) {
			return false
		}
	} else if int(be16(pkt[4:])) != len(pkt)-ipv6HdrLen {
		return false
	}
	l4 := pkt[q.l4Off:]
	sealed := false
	if q.proto == protoUDP {
		if int(be16(l4[4:])) != len(l4) {
			return false
		}
		if be16(l4[6:]) == 0 {
			if !c.mayBeAbsent(&q.layout) {
				return false
			}
			c.add(q, i, size, false)
			return true
		}
	} else {
		if be32(l4[4:]) != q.seq+uint32(q.payload) || be16(l4[16:]) == 0xFFFF {
			return false
		}
		sealed = l4[13]&(tcpFIN|tcpPSH) != 0
	}
	c.summed.add(len(l4))
	if Sum(l4, fold(q.l4Sum+uint32(len(l4)))) != 0xFFFF {
		return false
	}
	c.add(q, i, size, sealed)
	return true
}

// Reason returns the Reason of packet i of the last batch. Between Add and Flush it is that
// of packet i of the batch so far, and final. It panics if that batch has no packet i.
func (c *Coalescer) Reason(i int) Reason { return c.reasons[i] }

// resize returns a slice of length n, in b's memory if that is large enough. Its
// contents are undefined.
func resize[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n)
	}
	return b[:n]
}
