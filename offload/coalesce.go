package offload

import (
	"bytes"
	"fmt"
	"hash/maphash"
)

// Order says which order Coalesce keeps.
type Order uint8

const (
	// InOrder keeps the order of packets that conflict: of one flow, or of one
	// address pair where one of the two has no flow (C4).
	InOrder Order = iota
	// Reorder lets a TCP packet join any of the last superpackets of its flow,
	// behind or in front (C5). UDP stays in order.
	Reorder
)

// Config is how a Coalescer works. The zero value is safe everywhere.
type Config struct {
	Order Order

	// AtomicIDs leaves the ID and the header checksum of an IPv4 packet with DF
	// out of the comparison (C6): RFC 6864 section 4.1 gives such an ID no
	// meaning, and QUIC senders on Linux leave it 0. Segments then come back
	// with IDs that count up from the first packet's.
	AtomicIDs bool

	// MaxSegments bounds the packets of a TCP superpacket: 1 to 1,022, 0 means
	// 256. A TUN's queue holds 500 packets by default and writev(2) takes 1,024
	// pieces.
	MaxSegments int
	// MaxUDPSegments bounds the packets of a UDP superpacket: 1 to 128, 0 means
	// 64, which is what kernels before 6.9 take.
	MaxUDPSegments int
	// MaxOpen closes a superpacket when so many candidates opened theirs after
	// it: 1 to 65,535, 0 means 1,024.
	MaxOpen int
	// MaxPerFlow is how many superpackets of a TCP flow Reorder tries: 1 to 64,
	// 0 means 4.
	MaxPerFlow int

	// Packets of a type that is switched off pass as they are.
	DisableTCPv4, DisableTCPv6, DisableUDP bool
}

// disabled says whether the type of a superpacket is switched off.
func (c *Config) disabled(t GSOType) bool {
	switch t {
	case GSOTCPv4:
		return c.DisableTCPv4
	case GSOTCPv6:
		return c.DisableTCPv6
	}
	return c.DisableUDP
}

// withDefaults returns c with its zeros replaced, or what is wrong with it.
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

// Coalescer joins the packets of a batch into superpackets. NewCoalescer makes
// one; the zero value joins nothing. It keeps nothing from one batch to the next
// but memory, in proportion to the largest batch it was given. It is not safe
// for concurrent use.
type Coalescer struct {
	cfg     Config
	table   flowTable
	pkts    [][]byte // the batch, borrowed
	reasons []Reason // by packet
	next    []int32  // by packet: the next member of its superpacket
	runs    []run    // superpackets under construction, in order of opening
	opened  int      // how many of runs are of candidates
	pairs   bool     // the batch has packets with addresses but no flow

	supers  []Superpacket
	members []int
	hdrs    []byte
}

// run is a superpacket under construction: consecutive segments of one flow.
// It holds what deciding the next join takes; headers are read from the first
// packet, and rebuilt once, at the end.
type run struct {
	head, tail int32 // first and last packet
	n          int
	payload    int   // of all packets, in bytes
	size       int   // of the first packet's payload: the GSOSize
	sealed     bool  // the last packet has FIN or PSH, or is shorter than size
	older      int32 // the flow's superpacket opened before this one
	ordinal    int   // how many candidates had opened one when this was
	parsed
}

// NewCoalescer returns a Coalescer, or an error that names the field of cfg
// that is out of range.
func NewCoalescer(cfg Config) (*Coalescer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Coalescer{cfg: cfg, table: flowTable{seed: maphash.MakeSeed()}}, nil
}

// Coalesce returns the superpackets that the packets of a batch, IP packets
// from the header's first byte on, in the order in which they came, join to. It
// never fails, whatever the packets are, and takes any number of them (C7).
//
// pkts and what it holds are borrowed and only read. They must stay unchanged,
// and what is returned is valid, until the next call; Coalesce(nil) lets go of
// them. Packets may share memory.
//
// Why it is right: a packet joins only what settle and joins accept, which hold
// exactly if cutting the joined superpacket gives back its packets (see joins);
// and only the superpacket of the latest packet it conflicts with, so that no
// two conflicting packets change places (docs/design.md has the proof).
func (c *Coalescer) Coalesce(pkts [][]byte) []Superpacket {
	c.pkts = pkts
	c.reasons = resize(c.reasons, len(pkts))
	c.next = resize(c.next, len(pkts))
	c.runs = c.runs[:0]
	c.opened, c.pairs = 0, false
	c.table.reset(len(pkts))
	for i, pkt := range pkts {
		r := run{head: int32(i), tail: int32(i), n: 1, older: none}
		r.admit(pkt, &c.cfg)
		c.next[i] = none
		c.reasons[i] = c.place(int32(i), &r)
	}
	return c.finish()
}

// place puts packet i, alone in r, where it belongs and says why there.
func (c *Coalescer) place(i int32, r *run) Reason {
	if !r.hasFlow {
		if r.hasAddr {
			c.table.find(&r.key).last = i
			c.pairs = true
		}
		c.open(r)
		return r.why
	}
	lastOfPair := none
	if c.pairs {
		lastOfPair = c.table.last(r.key.pair())
	}
	s := c.table.find(&r.key)
	lastOfFlow := s.last
	s.last = i
	keepOrder := c.cfg.Order == InOrder || r.proto == protoUDP
	if keepOrder && lastOfPair > lastOfFlow {
		s.super = none // the latest packet in conflict has no flow
	}
	if r.why != Joined {
		if keepOrder {
			s.super = none
		}
		c.open(r)
		return r.why
	}
	r.size = len(c.pkts[i]) - r.hdrLen
	r.payload = r.size
	r.sealed = r.proto == protoTCP && c.pkts[i][r.l4Off+13]&(tcpFIN|tcpPSH) != 0

	why := First
	if lastOfFlow != none || lastOfPair != none {
		why = c.settle(s.super, r, keepOrder)
		if why == Joined {
			return Joined
		}
	}
	r.older = s.super
	c.opened++
	r.ordinal = c.opened
	s.super = int32(len(c.runs))
	c.open(r)
	return why
}

func (c *Coalescer) open(r *run) { c.runs = append(c.runs, *r) }

// settle joins r, one packet, to the superpacket at index at or, in Reorder, to
// one that its flow opened before; or says why the first of them refused.
func (c *Coalescer) settle(at int32, r *run, keepOrder bool) Reason {
	why := Closed
	for try := 0; at != none; try++ {
		q := &c.runs[at]
		if c.opened-q.ordinal >= c.cfg.MaxOpen || try == c.cfg.MaxPerFlow {
			break
		}
		refused := c.joins(q, r)
		if refused == Joined {
			c.next[q.tail] = r.head
			q.tail = r.tail
			q.sealed = r.sealed || r.payload < q.size
			q.n++
			q.payload += r.payload
			return Joined
		}
		if why == Closed {
			why = refused
		}
		if keepOrder {
			break
		}
		if c.joins(r, q) == Joined {
			c.next[r.tail] = q.head
			q.head = r.head
			q.sealed = q.sealed || q.n == 1 && q.payload < r.size
			q.size = r.size
			q.n++
			q.payload += r.payload
			return Joined
		}
		at = q.older
	}
	return why
}

// joins says whether the packets of b, of the same flow as those of a and all
// of them candidates, can follow a's in one superpacket: Joined, Limit or
// Mismatch.
//
// Segment copies a's first headers, so what it does not set must be equal in
// both: versions and header lengths, TOS or traffic class and flow label, DF,
// TTL, ACK number, all flags but FIN and PSH, window, urgent pointer, options.
// What it sets must be what the packets have: IDs and sequence numbers count on
// (S2, S4); FIN and PSH are on the last packet only (S4); payloads are of one
// size but for a shorter last (S1). Lengths and checksums it computes, and
// admission has seen that each packet has what it computes (C1). Equality with
// a's first packet is equality with all of a's, which joined the same way.
func (c *Coalescer) joins(a, b *run) Reason {
	maxSegments := c.cfg.MaxSegments
	if a.proto == protoUDP {
		maxSegments = c.cfg.MaxUDPSegments
	}
	if a.n+b.n > maxSegments || a.hdrLen+a.payload+b.payload > maxPacketLen ||
		a.proto == protoTCP && a.size < minTCPGSOSize {
		return Limit
	}
	if a.sealed || b.size > a.size || b.n > 1 && b.size != a.size || a.hdrLen != b.hdrLen {
		return Mismatch
	}
	pa, pb := c.pkts[a.head], c.pkts[b.head]
	if a.version == 4 {
		if pa[1] != pb[1] || [4]byte(pa[6:10]) != [4]byte(pb[6:10]) {
			return Mismatch // TOS; DF, TTL
		}
		atomic := c.cfg.AtomicIDs && pa[6]&(ipv4DF>>8) != 0
		if !atomic && be16(pa[4:])+uint16(a.n) != be16(pb[4:]) {
			return Mismatch
		}
	} else if [4]byte(pa[:4]) != [4]byte(pb[:4]) || pa[7] != pb[7] {
		return Mismatch // traffic class and flow label; hop limit
	}
	if a.proto == protoUDP {
		return Joined
	}
	ta, tb := pa[a.l4Off:a.hdrLen], pb[b.l4Off:b.hdrLen]
	if be32(ta[4:])+uint32(a.payload) != be32(tb[4:]) ||
		[5]byte(ta[8:13]) != [5]byte(tb[8:13]) ||
		(ta[13]^tb[13])&^(tcpFIN|tcpPSH) != 0 ||
		[2]byte(ta[14:16]) != [2]byte(tb[14:16]) ||
		!bytes.Equal(ta[18:], tb[18:]) {
		return Mismatch // sequence; ACK number, doff; flags; window; urgent pointer, options
	}
	return Joined
}

// Reason says what became of packet i of the last batch. It panics if that has
// no packet i.
func (c *Coalescer) Reason(i int) Reason { return c.reasons[i] }

// resize returns a slice of length n, b's memory if that is enough. Its
// contents are of no meaning.
func resize[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n)
	}
	return b[:n]
}
