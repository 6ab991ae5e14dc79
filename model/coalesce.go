package model

import "slices"

// Config is offload's, defaults filled in.
type Config struct {
	Reorder, AtomicIDs                               bool
	MaxSegments, MaxUDPSegments, MaxOpen, MaxPerFlow int
	Disabled                                         []uint8 // GSO types
}

// Superpacket is one packet of the batch, or several joined.
type Superpacket struct {
	Hdr     VnetHdr
	Bytes   []byte
	Members []int  // indices into the batch
	flow    string // of its candidates; "" if no candidate opened it
	number  int    // among the candidates' superpackets, in order of opening
}

// Coalesce joins the packets of a batch, and says what became of each (C8).
func Coalesce(cfg Config, batch [][]byte) ([]*Superpacket, []string) {
	var supers []*Superpacket
	superOf := make([]*Superpacket, len(batch))
	ids := make([]Identity, len(batch))
	reasons := make([]string, len(batch))
	opened := 0
packets:
	for i, b := range batch {
		ids[i] = Identify(b)
		latest := i - 1
		for latest >= 0 && !ids[latest].Conflicts(ids[i]) {
			latest--
		}
		own := &Superpacket{Bytes: slices.Clone(b), Members: []int{i}}
		superOf[i] = own
		reasons[i] = admission(cfg, b)
		if reasons[i] == "" {
			var tries []*Superpacket
			reasons[i] = "First"
			if latest >= 0 {
				reasons[i] = "Closed"
				tries = superOf[latest : latest+1]
			}
			p, _ := parse(b)
			reorder := cfg.Reorder && p.proto == tcp
			if reorder {
				tries = newest(supers, ids[i].flow, cfg.MaxPerFlow)
			}
			for _, q := range tries {
				if q.flow == "" || opened-q.number >= cfg.MaxOpen {
					break
				}
				arrangements := [][]int{slices.Concat(q.Members, own.Members)}
				if reorder {
					arrangements = append(arrangements, slices.Concat(own.Members, q.Members))
				}
				for _, members := range arrangements {
					h, whole, why := verdict(cfg, batch, members)
					if reasons[i] == "Closed" || why == "Joined" {
						reasons[i] = why
					}
					if why == "Joined" {
						q.Hdr, q.Bytes, q.Members = h, whole, members
						superOf[i] = q
						continue packets
					}
				}
			}
			opened++
			own.flow, own.number = ids[i].flow, opened
		}
		supers = append(supers, own)
	}
	return supers, reasons
}

// newest are the last n superpackets that a flow opened, newest first (C5).
func newest(supers []*Superpacket, flow string, n int) []*Superpacket {
	var found []*Superpacket
	for _, s := range slices.Backward(supers) {
		if s.flow == flow && len(found) < n {
			found = append(found, s)
		}
	}
	return found
}

// verdict is the equation: packets join, within the limits (C2), if and only if
// what they join to is cut to exactly them.
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

// same compares two packets; with AtomicIDs (C6) all but four bytes of them.
func (cfg Config) same(a, b []byte) bool {
	if cfg.AtomicIDs && b[0]>>4 == 4 && dontFragment(b) {
		a = slices.Concat(a[:4], b[4:6], a[6:10], b[10:12], a[12:])
	}
	return string(a) == string(b)
}

// Join makes one superpacket of two or more candidates of one flow.
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
