// SPDX-License-Identifier: MIT

package trial

import (
	"bytes"
	"math/rand/v2"
	"time"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/packet"
)

// Mistakes that show only from packet to packet.

// run returns the packets of a random run of full segments of one flow, one after another
// in the capture and in sequence, at least n; nil if there is none.
func run(r *rand.Rand, t *Traffic, n int, fits func(s *spot) bool) []*spot {
	var runs [][]*spot
	var now []*spot
	end := func() {
		if len(now) >= n {
			runs = append(runs, now)
		}
		now = nil
	}
	for at := range t.Packets {
		s := spotOf(t, at)
		ok := s.PayloadOff > 0 && complete(s) && !copied(t, at) && s.end == len(s.b) && len(s.payload()) > 0 && fits(s)
		if !ok {
			end()
			continue
		}
		if len(now) > 0 && !s.continues(now[len(now)-1]) {
			end()
		}
		now = append(now, s)
	}
	end()
	if len(runs) == 0 {
		return nil
	}
	list := runs[r.IntN(len(runs))]
	for _, s := range list {
		s.b = append([]byte{}, s.b...)
		t.Packets[s.at].Data = s.b
	}
	return list
}

// continues reports whether s is the next segment after l, of the same length, and at the
// same time.
func (s *spot) continues(l *spot) bool {
	p, q := s.t.Packets[s.at], s.t.Packets[l.at]
	return packetFlow(p) == packetFlow(q) && p.Time.Sub(q.Time) < time.Millisecond && len(l.payload()) == len(s.payload()) &&
		!bytes.Equal(l.payload(), s.payload()) && (s.Proto == 17 || l.seq()+uint32(len(l.payload())) == s.seq())
}

// seq returns the sequence number.
func (s *spot) seq() uint32 { return uint32(s.u16(s.L4Off+4))<<16 | uint32(s.u16(s.L4Off+6)) }

// fix puts the checksums of s right.
func (s *spot) fix() { packet.Fix(s.b, packet.FixL4Csum|packet.FixIPCsum) }

// rightBefore reports whether a packet of the flow of s is earlier, and has the right checksum.
// length is that of the TCP or UDP header and payload of the latest one, 0 without one.
func rightBefore(t *Traffic, s *spot) (right bool, length int) {
	for at := range s.at {
		if packetFlow(t.Packets[at]) == packetFlow(t.Packets[s.at]) {
			q := spotOf(t, at)
			right, length = right || complete(q), q.length()
		}
	}
	return right, length
}

// runs are the mistakes of a program that cuts a superpacket into segments.
func runs() []Fault {
	full := func(s *spot) bool { return len(s.payload()) >= 512 }
	tcp := func(s *spot) bool { return s.Proto == 6 && full(s) }
	all := func(list []*spot, from int, field string, kind check.Kind) []Want {
		var want []Want
		for _, s := range list[from:] {
			want = append(want, s.want(field, kind)...)
		}
		return want
	}
	return []Fault{
		{Name: "segments: all have the ID of the first", Cause: "has the same ID", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 2, func(s *spot) bool { return s.Version == 4 && full(s) && s.b[6]&0x40 == 0 })
			if list == nil {
				return nil
			}
			for _, s := range list {
				s.put(4, list[0].u16(4))
				s.fix()
			}
			return all(list, 1, "ip.id", check.IDConstant)
		}},
		{Name: "segments: all have the sequence number of the first", Cause: "the sequence number does not advance", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 2, tcp)
			if list == nil {
				return nil
			}
			for _, s := range list[1:] {
				copy(s.b[s.L4Off+4:], list[0].b[s.L4Off+4:s.L4Off+8])
				s.fix()
			}
			return all(list, 1, "tcp.seq", check.SeqConstant)
		}},
		{Name: "segments: the checksums are of the sequence number of the first", Cause: "the sequence number was packet", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 2, tcp)
			if list == nil {
				return nil
			}
			first := list[0].b[list[0].L4Off+4 : list[0].L4Off+8]
			for _, s := range list[1:] {
				v := s.as(s.L4Off+4, first...)
				if !wrong(s, v) {
					return nil
				}
				s.put(s.sumAt(), v)
			}
			return all(list, 1, "tcp.checksum", check.L4Checksum)
		}},
		{Name: "segments: all have the sequence number of the first, under the checksums of their own", Cause: "tcp.seq is wrong", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 2, tcp)
			if list == nil {
				return nil
			}
			list = list[:min(len(list), 64)]
			for _, s := range list[1:] {
				sum := s.u16(s.sumAt())
				copy(s.b[s.L4Off+4:], list[0].b[s.L4Off+4:s.L4Off+8])
				if s.fix(); !wrong(s, sum) {
					return nil
				}
				s.put(s.sumAt(), sum)
			}
			return all(list, 1, "tcp.checksum", check.L4Checksum)
		}},
		{Name: "segments: the checksums have the length of the superpacket", Cause: "as of a superpacket", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 2, full)
			if list == nil {
				return nil
			}
			list = list[:min(len(list), 65535/len(list[0].payload())-1)]
			whole := list[0].length() + (len(list)-1)*len(list[0].payload())
			if right, length := rightBefore(t, list[0]); !right || length == whole {
				return nil // all may be translated, or it may be the length of that packet
			}
			for _, s := range list {
				v := ^sum(s.addresses(), word(int(s.Proto)), word(whole), s.body())
				if !wrong(s, v) {
					return nil
				}
				s.put(s.sumAt(), v)
			}
			return all(list, 0, list[0].l4("checksum"), check.L4Checksum)
		}},
		{Name: "segments: all have FIN", Cause: "goes on where it ends", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 3, tcp)
			if list == nil {
				return nil
			}
			for _, s := range list[:len(list)-1] { // more may follow the last one
				s.b[s.L4Off+13] |= 1
				s.fix()
			}
			return all(list[:len(list)-1], 0, "tcp.flags", check.TCPFIN)
		}},
		{Name: "segments: all have PSH", Cause: "each segment of", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 3, func(s *spot) bool { return tcp(s) && s.b[s.L4Off+13]&8 == 0 })
			if list == nil || list[0].Version == 4 && list[2].u16(4) != list[0].u16(4)+2 {
				return nil // the IDs do not count
			}
			for _, s := range list {
				s.b[s.L4Off+13] |= 8
				s.fix()
			}
			return list[0].want("tcp.flags", check.TCPPSH)
		}},
		{Name: "segments: all have CWR", Cause: "the segment before it, has it too", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 4, func(s *spot) bool { return tcp(s) && s.b[s.L4Off+13]&0x80 == 0 })
			if list == nil {
				return nil
			}
			list = list[1 : len(list)-1] // a packet before or after may have it, and be the first of its own
			for _, s := range list {
				s.b[s.L4Off+13] |= 0x80
				s.fix()
			}
			want := all(list, 1, "tcp.flags", check.TCPCWRSuspect)
			for i, s := range list[1:] { // with its SYN in the capture, a flow cannot be one with accurate ECN
				if opened(t, s) && (s.Version == 6 || s.u16(4) == list[i].u16(4)+1) {
					want[i].Kind = check.TCPCWR
				}
			}
			return want
		}},
		{Name: "segments: IDs count down", Cause: "against the sequence numbers", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 3, func(s *spot) bool { return s.Version == 4 && tcp(s) })
			if list == nil {
				return nil
			}
			first, from := list[0].u16(4)-1000, 0
			if list[0].b[6]&0x40 != 0 { // the first two count up, which shows that they are no random numbers
				first, from = list[0].u16(4)+1, 1
			}
			for i, s := range list[from:] {
				s.put(4, first-uint16(i))
				s.fix()
			}
			return all(list, from+1, "ip.id", check.IDDescending)
		}},
		{Name: "segments: the IDs start again in each batch", Cause: "the IDs start again", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 4, func(s *spot) bool { return s.Version == 4 && tcp(s) && s.b[6]&0x40 == 0 })
			if list == nil {
				return nil
			}
			half := len(list) / 2
			for i, s := range list {
				s.put(4, list[0].u16(4)+uint16(i%half))
				if i >= 2*half {
					s.put(4, list[0].u16(4)+uint16(i))
				}
				s.fix()
			}
			return all(list[:2*half], half, "ip.id", check.IDRepeated)
		}},
		{Name: "segments: the IDs count in the wrong byte order", Cause: "count up with their bytes swapped", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 4, func(s *spot) bool { return s.Version == 4 && tcp(s) })
			if list == nil {
				return nil
			}
			first := uint16(r.IntN(0x8000)) | 1
			for i, s := range list {
				if hasID(t, swapped(first+uint16(i))) {
					return nil // a second finding, and a right one
				}
				s.put(4, swapped(first+uint16(i)))
				s.fix()
			}
			return list[3].want("ip.id", check.IDSwapped)
		}},
		{Name: "segments: one was lost before IDs were assigned", Cause: "the IPv4 IDs count on", Plant: func(r *rand.Rand, t *Traffic) []Want {
			list := run(r, t, 3, func(s *spot) bool { return s.Version == 4 && tcp(s) })
			if list == nil || steady(t, list[len(list)-1]) {
				return nil
			}
			at := 1 + r.IntN(len(list)-2)
			for i, s := range list { // its IDs count, also if they did not
				s.put(4, list[0].u16(4)+uint16(i))
				if i > at {
					s.put(4, list[0].u16(4)+uint16(i)-1)
				}
				s.fix()
			}
			t.Packets = append(t.Packets[:list[at].at:list[at].at], t.Packets[list[at].at+1:]...)
			for i := range t.Packets {
				t.Packets[i].Number = i + 1
			}
			s := list[at+1]
			s.at--
			return s.want("tcp.seq", check.SeqGap)
		}},
	}
}

// hasID reports whether a packet of the traffic has this IPv4 ID.
func hasID(t *Traffic, id uint16) bool {
	for at := range t.Packets {
		if s := spotOf(t, at); s.Version == 4 && s.u16(4) == id {
			return true
		}
	}
	return false
}

// opened reports whether the traffic has a SYN of the flow of s, before s.
func opened(t *Traffic, s *spot) bool {
	for at := range s.at {
		if o := spotOf(t, at); packetFlow(t.Packets[at]) == packetFlow(t.Packets[s.at]) && o.b[o.L4Off+13]&2 != 0 {
			return true
		}
	}
	return false
}

// steady reports whether the packet after s in its flow has an ID that a new ID of s could
// collide with: the flow's IDs do not count.
func steady(t *Traffic, s *spot) bool {
	for at := s.at + 1; at < len(t.Packets); at++ {
		if packetFlow(t.Packets[at]) == packetFlow(t.Packets[s.at]) {
			return spotOf(t, at).u16(4) != s.u16(4)+1
		}
	}
	return false
}
