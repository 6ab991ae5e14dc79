// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// talker is one sender of random traffic. It sends in bursts.
type talker struct {
	burst func() [][]byte
	queue [][]byte
}

// mixed returns n packets of several talkers of every kind, interleaved, with times. The
// traffic is that of correct senders. net is part of all addresses, so traffic with
// different nets is disjoint.
func mixed(r *rand.Rand, n int, net byte) []pcap.Packet {
	var talkers []*talker
	port := uint16(2000)
	for _, v6 := range []bool{false, true} {
		for range 1 + r.IntN(2) {
			base := scenario.Packet{V6: v6, Src: byte(1 + r.IntN(3)), Dst: 9, SrcNet: net, DstNet: net, DstPort: 8000, TTL: 64, Label: uint32(r.IntN(1 << 20)), TOS: byte(r.IntN(3)) << 1}
			port++
			base.SrcPort = port
			talkers = append(talkers, tcpTalkers(r, base)...)
			port++
			base.SrcPort, base.UDP = port, true
			talkers = append(talkers, udpTalker(r, base))
		}
		base := scenario.Packet{V6: v6, Src: 1, Dst: 9, SrcNet: net, DstNet: net, SrcPort: 4000, DstPort: 53, TTL: 61, UDP: true}
		talkers = append(talkers, fragmentTalker(r, base), echoTalker(r, base), tunnelTalker(r, base), vxlanTalker(r, base))
	}
	at := time.Unix(1_700_000_000, 0)
	var list []pcap.Packet
	for len(list) < n {
		t := talkers[r.IntN(len(talkers))]
		for k := 1 + r.IntN(9); k > 0; k-- {
			if len(t.queue) == 0 {
				t.queue = t.burst()
			}
			at = at.Add(time.Duration(1+r.IntN(200)) * time.Microsecond)
			list = append(list, pcap.Packet{Time: at, Data: t.queue[0]})
			t.queue = t.queue[1:]
		}
	}
	return renumbered(list[:n])
}

// renumbered numbers packets from 1. It changes list and returns it.
func renumbered(list []pcap.Packet) []pcap.Packet {
	for i := range list {
		list[i].Number = i + 1
	}
	return list
}

// noise returns n random bytes.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// idRule returns a function that sets the ID and DF of the next IPv4 packet, as one of the
// usual senders does: counting up, or without a meaning in packets with DF.
func idRule(r *rand.Rand) func(p *scenario.Packet) {
	id := uint16(r.Uint32())
	switch r.IntN(4) {
	case 0:
		return func(p *scenario.Packet) { p.ID, p.Frag = 0, 0x4000 }
	case 1:
		return func(p *scenario.Packet) { p.ID, p.Frag = uint16(r.Uint32()), 0x4000 }
	case 2:
		return func(p *scenario.Packet) { p.ID, p.Frag, id = id, 0x4000, id+1 }
	}
	return func(p *scenario.Packet) { p.ID, p.Frag, id = id, 0, id+1 }
}

// tcpTalkers returns both directions of a TCP connection: data, and acknowledgements.
func tcpTalkers(r *rand.Rand, p scenario.Packet) []*talker {
	p.Seq, p.Ack, p.Window, p.Flags = r.Uint32(), r.Uint32(), uint16(r.Uint32()), scenario.ACK
	stamps := r.IntN(2) == 0
	q := p
	q.Src, q.Dst, q.SrcPort, q.DstPort, q.TTL = p.Dst, p.Src, p.DstPort, p.SrcPort, 57
	setID, setBackID := idRule(r), idRule(r)
	clock := r.Uint32()
	stamp := func(p *scenario.Packet) {
		if stamps {
			clock += uint32(r.IntN(3))
			p.Options = bytes.Clone(scenario.Timestamps)
			binary.BigEndian.PutUint32(p.Options[4:], clock)
			binary.BigEndian.PutUint32(p.Options[8:], clock-5)
		}
	}
	size := 60 + r.IntN(400)
	syn := true
	data := func() (list [][]byte) {
		if syn {
			syn = false
			s := p
			s.Flags = scenario.SYN
			setID(&s)
			p.Seq++
			return [][]byte{s.Bytes()}
		}
		stamp(&p)
		if r.IntN(3) == 0 {
			p.Ack += uint32(r.IntN(3000))
			p.Window = uint16(r.Uint32())
		}
		var last scenario.Packet
		for k := 1 + r.IntN(30); k > 0; k-- {
			n := size
			if k == 1 {
				n = 1 + r.IntN(size)
				p.Flags |= scenario.PSH
			}
			p.Payload = noise(r, n)
			setID(&p)
			list = append(list, p.Bytes())
			last = p
			p.Seq += uint32(n)
			p.Flags = scenario.ACK
		}
		switch r.IntN(8) {
		case 0: // a retransmission
			stamp(&last)
			setID(&last)
			list = append(list, last.Bytes())
		case 1:
			p.Flags |= scenario.CWR
		case 2:
			p.Flags |= scenario.ECE
		}
		return list
	}
	acks := func() (list [][]byte) {
		stamp(&q)
		q.Seq = p.Ack
		for range 1 + r.IntN(3) {
			q.Ack += uint32(1 + r.IntN(3000))
			setBackID(&q)
			list = append(list, q.Bytes())
		}
		if r.IntN(5) == 0 { // again, which may be byte for byte the same
			setBackID(&q)
			list = append(list, q.Bytes())
		}
		return list
	}
	return []*talker{{burst: data}, {burst: acks}}
}

// udpTalker sends runs of datagrams of one length.
func udpTalker(r *rand.Rand, p scenario.Packet) *talker {
	setID := idRule(r)
	absent := !p.V6 && r.IntN(4) == 0
	return &talker{burst: func() (list [][]byte) {
		size := 40 + r.IntN(400)
		equal := r.IntN(10) == 0
		p.Payload = noise(r, size)
		for k := 1 + r.IntN(30); k > 0; k-- {
			if n := r.IntN(size); k == 1 && !equal {
				p.Payload = noise(r, n)
			} else if !equal {
				p.Payload = noise(r, size)
			}
			setID(&p)
			b := p.Bytes()
			if absent {
				b[p.L4Off()+6], b[p.L4Off()+7] = 0, 0
			}
			list = append(list, b)
		}
		return list
	}}
}

// fragmentTalker sends datagrams in fragments.
func fragmentTalker(r *rand.Rand, p scenario.Packet) *talker {
	id := r.Uint32()
	return &talker{burst: func() [][]byte {
		p.Payload = noise(r, 100+r.IntN(600))
		p.ID = uint16(id)
		id++
		return fragments(p.Bytes(), id, 8*(4+r.IntN(20)))
	}}
}

// fragments cuts a packet into fragments with size bytes each, a multiple of 8. In IPv6 id
// is their ID.
func fragments(b []byte, id uint32, size int) (list [][]byte) {
	head := 20
	if b[0]>>4 == 6 {
		head = 40
	}
	for rest, at := b[head:], 0; len(rest) > 0; at += size {
		n := min(size, len(rest))
		f := bytes.Clone(b[:head])
		more := n < len(rest)
		if head == 20 {
			frag := uint16(at / 8)
			if more {
				frag |= 0x2000
			}
			binary.BigEndian.PutUint16(f[6:], frag)
		} else {
			f = append(f, f[6], 0, 0, byte(at), 0, 0, 0, 0)
			binary.BigEndian.PutUint16(f[42:], uint16(at))
			if more {
				f[43] |= 1
			}
			binary.BigEndian.PutUint32(f[44:], id)
			f[6] = 44
		}
		f = append(f, rest[:n]...)
		packet.Fix(f, packet.FixIPLen|packet.FixIPCsum)
		list, rest = append(list, f), rest[n:]
	}
	return list
}

// wrapped returns an IP packet with the headers of p, another protocol and any payload.
func wrapped(p scenario.Packet, proto byte, payload []byte) []byte {
	p.Payload = nil
	b := p.Bytes()
	n := 20
	if p.V6 {
		n, b[6] = 40, proto
	} else {
		b[9] = proto
	}
	b = append(b[:n], payload...)
	packet.Fix(b, packet.FixIPLen|packet.FixIPCsum)
	return b
}

// echoTalker sends ICMP echo requests.
func echoTalker(r *rand.Rand, p scenario.Packet) *talker {
	seq := uint16(0)
	setID := idRule(r)
	return &talker{burst: func() [][]byte {
		seq++
		setID(&p)
		b := append([]byte{8, 0, 0, 0, 1, 2, byte(seq >> 8), byte(seq)}, noise(r, 16+r.IntN(40))...)
		if p.V6 {
			b[0] = 128
			return [][]byte{wrapped(p, 58, b)}
		}
		return [][]byte{wrapped(p, 1, b)}
	}}
}

// tunnelTalker sends IP in IP.
func tunnelTalker(r *rand.Rand, p scenario.Packet) *talker {
	inner := scenario.TCP4(50)
	return &talker{burst: func() (list [][]byte) {
		for range 1 + r.IntN(4) {
			p.ID++
			inner = inner.Next(50)
			list = append(list, wrapped(p, 4, inner.Bytes()))
		}
		return list
	}}
}

// vxlanTalker sends Ethernet frames in UDP without a checksum.
func vxlanTalker(r *rand.Rand, p scenario.Packet) *talker {
	inner := scenario.TCP4(50)
	p.DstPort = 4789
	return &talker{burst: func() (list [][]byte) {
		for range 1 + r.IntN(6) {
			p.ID++
			inner = inner.Next(50 + r.IntN(5))
			p.Payload = append([]byte{8, 0, 0, 0, 0, 0, 7, 0, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 8, 0}, inner.Bytes()...)
			b := p.Bytes()
			b[p.L4Off()+6], b[p.L4Off()+7] = 0, 0
			list = append(list, b)
		}
		return list
	}}
}
