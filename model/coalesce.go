// SPDX-License-Identifier: MIT

package model

import "slices"

// Config is offload's Config with all defaults filled in.
type Config struct {
	Reorder, AtomicIDs, AbsentChecksums              bool
	MaxSegments, MaxUDPSegments, MaxOpen, MaxPerFlow int
	Disabled                                         []uint8 // GSO types
}

// Superpacket is one packet of the batch, or several that were joined.
type Superpacket struct {
	Hdr     VnetHdr
	Bytes   []byte
	Members []int  // indices into the batch
	flow    string // of the candidate that opened it; "" if none did
	number  int    // its number among those that candidates opened
}

// Coalesce joins the packets of a batch and returns the superpackets and the Reason
// of each packet (C8).
func Coalesce(cfg Config, batch [][]byte) ([]*Superpacket, []string) {
	c := coalescer{cfg: cfg, batch: batch}
	reasons := make([]string, len(batch))
	for i, b := range batch {
		c.ids = append(c.ids, Identify(b))
		own := &Superpacket{Bytes: slices.Clone(b), Members: []int{i}}
		q, why := own, admission(cfg, b)
		if why == "" {
			q, why = c.settle(i, own)
		}
		if q == own {
			c.supers = append(c.supers, own)
		}
		c.superOf, reasons[i] = append(c.superOf, q), why
	}
	return c.supers, reasons
}

// coalescer is a batch, of which some packets have been placed.
type coalescer struct {
	cfg             Config
	batch           [][]byte
	ids             []Identity     // of the packets so far
	supers, superOf []*Superpacket // in the order of opening; the one of each packet so far
	opened          int            // number of supers that candidates opened
}

// settle joins packet i, a candidate, to an open superpacket. If none takes it, settle
// opens own, the superpacket of packet i alone. It returns the superpacket that has the
// packet, and the packet's Reason.
func (c *coalescer) settle(i int, own *Superpacket) (*Superpacket, string) {
	latest := i - 1
	for latest >= 0 && !c.ids[latest].Conflicts(c.ids[i]) {
		latest--
	}
	tries, ways, reason := c.superOf[max(0, latest):latest+1], 1, "Closed"
	if latest < 0 {
		reason = "First"
	}
	if c.cfg.Reorder && c.ids[i].proto == tcp {
		tries, ways = newest(c.supers, c.ids[i].flow, c.cfg.MaxPerFlow), 2
	}
	for _, q := range tries {
		if q.flow == "" || c.opened-q.number >= c.cfg.MaxOpen {
			break
		}
		after, before := slices.Concat(q.Members, own.Members), slices.Concat(own.Members, q.Members)
		for _, members := range [][]int{after, before}[:ways] {
			h, whole, why := verdict(c.cfg, c.batch, members)
			if why == "Joined" {
				q.Hdr, q.Bytes, q.Members = h, whole, members
				return q, why
			}
			if reason == "Closed" {
				reason = why // the first refusal
			}
		}
	}
	c.opened++
	own.flow, own.number = c.ids[i].flow, c.opened
	return own, reason
}

// newest returns the last n superpackets that a flow opened, newest first (C5).
func newest(supers []*Superpacket, flow string, n int) []*Superpacket {
	found := slices.DeleteFunc(slices.Clone(supers), func(s *Superpacket) bool { return s.flow != flow })
	slices.Reverse(found)
	return found[:min(n, len(found))]
}

// verdict is the equation: within the limits (C2), packets join if and only if the
// joined superpacket is cut into exactly these packets.
func verdict(cfg Config, batch [][]byte, members []int) (VnetHdr, []byte, string) {
	h, whole := Join(batch, members)
	most, least := cfg.MaxSegments, 8
	if h.GSOType == gsoUDPL4 {
		most, least = cfg.MaxUDPSegments, 1
	}
	if len(whole) > 65535 || len(members) > most || int(h.GSOSize) < least {
		return h, whole, "Limit"
	}
	segments, err := Segment(h, whole)
	same := func(segment []byte, m int) bool { return cfg.same(segment, batch[m]) }
	if err != nil || !slices.EqualFunc(segments, members, same) {
		return h, whole, "Mismatch"
	}
	return h, whole, "Joined"
}

// same compares a segment with a packet, with AtomicIDs (C6) all but four of their bytes.
func (cfg Config) same(a, b []byte) bool {
	b = cfg.filled(b)
	if cfg.AtomicIDs && b[0]>>4 == 4 && dontFragment(b) {
		a = slices.Concat(a[:4], b[4:6], a[6:10], b[10:12], a[12:])
	}
	return string(a) == string(b)
}

// filled returns b with the right checksum if b has none and needs none (C11). Otherwise it
// returns b as it is.
func (cfg Config) filled(b []byte) []byte {
	p, _ := parse(b)
	if !cfg.AbsentChecksums || p.version != 4 || p.proto != udp || get16(p.l4, 6) != 0 {
		return b
	}
	p, b = p.with(p.payload)
	put16(p.l4, 6, p.finished(p.pseudoSum(p.l4Len())))
	return b
}

// Join returns the superpacket of two or more candidates of one flow.
func Join(batch [][]byte, members []int) (VnetHdr, []byte) {
	first, _ := parse(batch[members[0]])
	var last packet
	var payload []byte
	for _, m := range members {
		last, _ = parse(batch[m])
		payload = append(payload, last.payload...)
	}
	whole, b := first.with(payload)
	if first.proto == tcp {
		whole.l4[13] = whole.l4[13]&^(fin|psh) | last.l4[13]&(fin|psh)
	}
	whole.setLengths()
	put16(whole.l4, whole.csumAt, whole.pseudoSum(whole.l4Len()))
	return VnetHdr{
		Flags: needsCsum, GSOType: first.gsoType,
		HdrLen: uint16(len(first.ip) + len(first.l4)), GSOSize: uint16(len(first.payload)),
		CsumStart: uint16(len(first.ip)), CsumOffset: uint16(first.csumAt),
	}, b
}
