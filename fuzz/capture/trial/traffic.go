// SPDX-License-Identifier: MIT

// Package trial puts the judges of captures on trial. It draws right traffic, in which a
// judge must find nothing. Then it plants a fault of its catalogue, and the judge must
// report that fault: the packet, the field, the kind and the cause, and nothing else.
package trial

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Traffic is a capture of right packets, and how it is to be checked.
type Traffic struct {
	Packets []pcap.Packet
	Config  check.Config
}

// start is the time of the first packet.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Draw returns random right traffic: up to four TCP and UDP flows of IPv4 and IPv6, both
// directions, in bursts, with options, tunnels, fragments, ICMP, padding, retransmissions,
// reordering and copies. If r draws so, some packets are superpackets or have a partial
// checksum. It depends on r alone.
func Draw(r *rand.Rand) *Traffic {
	d := &drawer{Rand: r, now: start}
	d.t.Config.Wire = r.IntN(4) == 0
	for range 1 + r.IntN(4) {
		d.flows = append(d.flows, d.newFlow(len(d.flows)))
	}
	d.burst(d.flows[0])
	for range 2 + r.IntN(12) {
		d.step()
	}
	for _, f := range d.flows {
		if f.data > 0 && !f.there.UDP && d.one(2) {
			d.next(f, &f.there, 1+d.IntN(f.size))
			f.there.Flags |= scenario.FIN | scenario.PSH
			d.add(d.finish(&f.there), "")
		}
	}
	d.disturb()
	for i := range d.t.Packets {
		d.t.Packets[i].Number = i + 1
	}
	return &d.t
}

// drawer draws traffic.
type drawer struct {
	*rand.Rand
	t     Traffic
	flows []*flow
	now   time.Time
}

// flow is a connection: its latest packets in both directions.
type flow struct {
	there, back scenario.Packet
	size        int // payload bytes of a full segment
	ids         int // one of the policies below
	data        int // packets with data sent so far
}

// How a sender counts IPv4 IDs.
const (
	counted  = iota // one more for each packet
	zero            // 0, with DF
	atRandom        // any, with DF
	constant        // the same, also without DF: of small datagrams only
	policies
)

// one reports true once in n calls.
func (d *drawer) one(n int) bool { return d.IntN(n) == 0 }

// newFlow returns a new flow with its own ports.
func (d *drawer) newFlow(index int) *flow {
	p := scenario.TCP4(0)
	p.V6, p.UDP = d.one(2), d.one(3)
	p.Src, p.Dst, p.SrcNet, p.DstNet = byte(1+d.IntN(200)), byte(201+d.IntN(50)), byte(d.Uint32()), byte(d.Uint32())
	p.SrcPort, p.DstPort = uint16(20000+1000*index+d.IntN(1000)), uint16(8000+index)
	p.TTL, p.TOS, p.Label = byte(3+d.IntN(250)), byte(d.IntN(64)<<2), d.Uint32()&0xFFFFF
	p.Seq, p.Ack, p.Window = d.Uint32(), d.Uint32(), uint16(d.Uint32())
	p.ID = uint16(d.Uint32())
	f := &flow{size: []int{1448, 1448, 1398, 1000, 777, 536, 100, 33, 2, 1}[d.IntN(10)], ids: d.IntN(policies)}
	if f.ids == constant && (!p.UDP || f.size > 100) {
		f.ids = counted
	}
	if d.one(3) && f.ids == counted || f.ids == constant {
		p.Frag = 0
	}
	if !p.UDP && d.one(2) {
		p.Options = bytes.Clone(scenario.Timestamps)
		binary.BigEndian.PutUint32(p.Options[4:], d.Uint32())
	}
	if d.one(6) && !p.V6 {
		p.IPOptions = []byte{0x94, 4, 0, 0}
	}
	if d.one(6) && p.V6 {
		p.ExtType, p.Extensions = 0, []byte{0, 0, 5, 2, 0, 0, 1, 0}
	}
	f.there, f.back = p, p
	f.back.Src, f.back.Dst, f.back.SrcNet, f.back.DstNet = p.Dst, p.Src, p.DstNet, p.SrcNet
	f.back.SrcPort, f.back.DstPort = p.DstPort, p.SrcPort
	f.back.Seq, f.back.Ack, f.back.ID = p.Ack, p.Seq, uint16(d.Uint32())
	return f
}

// add appends a packet to the capture.
func (d *drawer) add(b []byte, comment string) {
	d.now = d.now.Add(time.Duration(1+d.IntN(200)) * time.Microsecond / 4)
	d.t.Packets = append(d.t.Packets, pcap.Packet{Time: d.now, Data: b, Comment: comment})
}

// payload returns n random bytes.
func (d *drawer) payload(n int) []byte {
	b := make([]byte, n, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:i+8:i+8], d.Uint64())
	}
	return b
}

// next makes p the packet that follows it in its flow, with n bytes of payload.
func (d *drawer) next(f *flow, p *scenario.Packet, n int) {
	p.Seq += uint32(len(p.Payload))
	p.Flags &^= scenario.PSH | scenario.FIN | scenario.CWR | scenario.SYN
	p.Payload = d.payload(n)
	switch f.ids {
	case counted:
		p.ID++
	case zero:
		p.ID = 0
	case atRandom:
		p.ID = uint16(d.Uint32())
	}
}

// step adds a burst of a flow, or something else.
func (d *drawer) step() {
	d.now = d.now.Add(time.Duration(d.IntN(20)) * time.Millisecond)
	f := d.flows[d.IntN(len(d.flows))]
	switch d.IntN(14) {
	case 0:
		d.fragments(f)
	case 1:
		d.other(f)
	case 2:
		d.tunnelled(f)
	case 5:
		d.probe(f)
	case 6:
		d.merged(f)
	case 3, 4:
		if !d.t.Config.Wire {
			d.super(f)
			return
		}
		fallthrough
	default:
		d.burst(f)
	}
}

// burst adds data of a flow, then mostly an answer.
func (d *drawer) burst(f *flow) {
	p := &f.there
	if f.data == 0 && !p.UDP && d.one(2) {
		syn := *p
		syn.Flags, syn.Seq, syn.Payload, syn.Ack = scenario.SYN, p.Seq-1, nil, 0
		d.add(syn.Bytes(), "")
		if f.ids == counted {
			p.ID++
		}
	}
	n := 2 + d.IntN(6)
	for i := range n {
		size := f.size
		if i == n-1 && d.one(2) {
			size = 1 + d.IntN(f.size)
		}
		d.next(f, p, size)
		if i == n-1 && size < f.size {
			p.Flags |= scenario.PSH
		}
		if i == 0 && !p.UDP && f.data > 0 && d.one(8) {
			p.Flags |= scenario.CWR
		}
		f.data++
		d.add(d.finish(p), "")
	}
	if !d.one(3) {
		d.answer(f)
	}
}

// probe adds a keep-alive, or a probe of a closed window: one byte that was sent before, or
// none (RFC 9293, 3.8.4 and 3.8.6.1).
func (d *drawer) probe(f *flow) {
	p := f.there
	if p.UDP || len(p.Payload) == 0 {
		return
	}
	p.Seq += uint32(len(p.Payload)) - 1
	p.Payload = d.payload(d.IntN(2))
	if f.ids == counted {
		f.there.ID++
		p.ID++
	}
	p.Flags &^= scenario.PSH | scenario.CWR
	d.add(d.finish(&p), "")
}

// merged adds segments that a network card merged: a long packet with a right checksum. With
// a VnetHdr it says that the checksum was verified.
func (d *drawer) merged(f *flow) {
	p := &f.there
	if p.UDP {
		return
	}
	n := 2 + d.IntN(4)
	d.next(f, p, n*f.size)
	if f.ids == counted {
		p.ID += uint16(n - 1)
	}
	f.data += n
	comment := ""
	if d.one(2) {
		comment = "vnet flags=2 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0"
	}
	d.add(p.Bytes(), comment)
}

// finish returns the bytes of a packet, at times with padding behind it.
func (d *drawer) finish(p *scenario.Packet) []byte {
	b := p.Bytes()
	if len(b) < 46 && d.one(2) {
		b = append(b, make([]byte, 46-len(b))...)
	}
	return b
}

// answer adds an acknowledgement, or a datagram of the other side.
func (d *drawer) answer(f *flow) {
	q := &f.back
	q.Ack = f.there.Seq + uint32(len(f.there.Payload))
	n := 0
	if q.UDP {
		n = 1 + d.IntN(200)
	}
	d.next(f, q, n)
	d.add(d.finish(q), "")
	f.there.Ack = q.Seq + uint32(len(q.Payload))
}

// super adds a superpacket, or a packet with a partial checksum, mostly with its VnetHdr.
func (d *drawer) super(f *flow) {
	p := &f.there
	n := 1
	if !d.one(4) && len(p.IPOptions) == 0 {
		n = 2 + d.IntN(5)
	}
	last := 1 + d.IntN(f.size)
	d.next(f, p, (n-1)*f.size+last)
	b := p.Bytes()
	packet.Fix(b, packet.FixPartial)
	h := packet.DeriveVnet(b, uint16(f.size))
	if n == 1 {
		h.GSOType, h.GSOSize, h.HdrLen = 0, 0, 0
	}
	comment := ""
	if !d.one(4) {
		comment = pcap.VnetComment(h)
	}
	d.add(b, comment)
	f.data += n
	if f.ids == counted {
		p.ID += uint16(n - 1)
	}
}

// fragments adds a datagram in two fragments.
func (d *drawer) fragments(f *flow) {
	p := f.there
	p.UDP, p.Options, p.IPOptions, p.Extensions, p.Frag = true, nil, nil, nil, 0
	p.ID = uint16(d.Uint32())
	p.Payload = d.payload(24 + 8*d.IntN(100))
	whole := p.Bytes()
	l4 := p.L4Off()
	cut := l4 + 8*(1+d.IntN((len(whole)-l4)/8-1))
	for i, part := range [][]byte{whole[l4:cut], whole[cut:]} {
		b := bytes.Clone(whole[:l4])
		offset := uint16(0)
		if i == 1 {
			offset = uint16(cut - l4)
		}
		more := uint16(1 - i)
		if p.V6 {
			b[6] = 44
			b = append(b, 17, 0)
			b = binary.BigEndian.AppendUint16(b, offset|more)
			b = binary.BigEndian.AppendUint32(b, uint32(p.ID))
		} else {
			binary.BigEndian.PutUint16(b[6:], more<<13|offset/8)
		}
		b = append(b, part...)
		packet.Fix(b, packet.FixIPLen|packet.FixIPCsum)
		d.add(b, "")
	}
}

// other adds a packet that is neither TCP nor UDP.
func (d *drawer) other(f *flow) {
	p := f.there
	p.UDP, p.Options, p.IPOptions, p.Extensions = true, nil, nil, nil
	p.Payload = d.payload(8 + d.IntN(500))
	b := p.Bytes()
	proto := []byte{1, 50, 47, 58, 132}[d.IntN(5)]
	if p.V6 {
		b[6] = proto
	} else {
		b[9] = proto
		packet.Fix(b, packet.FixIPCsum)
	}
	d.add(b, "")
}

// tunnelled adds a packet inside VXLAN or Geneve, whose UDP checksum may be absent.
func (d *drawer) tunnelled(f *flow) {
	inner := f.there
	inner.Payload = d.payload(1 + d.IntN(200))
	outer := scenario.UDP4(0)
	outer.V6, outer.DstPort = d.one(2), []uint16{4789, 6081, 2152}[d.IntN(3)]
	outer.SrcPort, outer.ID = uint16(d.Uint32()), uint16(d.Uint32())
	outer.Payload = append(d.payload(8+14), inner.Bytes()...)
	b := outer.Bytes()
	if d.one(2) {
		at, _, _ := packet.RightSum(b)
		b[at], b[at+1] = 0, 0
	}
	d.add(b, "")
}

// disturb does to the capture what networks do: it copies, moves and drops packets, and the
// senders send some again.
func (d *drawer) disturb() {
	for range d.IntN(3) {
		list := d.t.Packets
		at := d.IntN(len(list))
		switch d.IntN(3) {
		case 0: // a copy
			again := list[at]
			again.Data = bytes.Clone(again.Data)
			d.insert(at+1, again)
		case 1: // two packets of different flows change places
			if at > 0 && packetFlow(list[at]) != packetFlow(list[at-1]) {
				list[at].Data, list[at-1].Data = list[at-1].Data, list[at].Data
				list[at].Comment, list[at-1].Comment = list[at-1].Comment, list[at].Comment
			}
		case 2: // TCP data again, later, with another ID
			again := list[at]
			h := packet.Parse(again.Data)
			if h.Proto != 6 || h.PayloadOff == 0 || again.Comment != "" {
				continue
			}
			again.Data = bytes.Clone(again.Data)
			if h.Version == 4 && again.Data[6]&0x40 != 0 {
				binary.BigEndian.PutUint16(again.Data[4:], uint16(d.Uint32()))
				packet.Fix(again.Data, packet.FixIPCsum)
			}
			d.insert(at+d.IntN(len(list)-at)+1, again)
		}
	}
}

// insert puts a packet at an index, at the time of the packet before it.
func (d *drawer) insert(at int, p pcap.Packet) {
	list := d.t.Packets
	p.Time = list[at-1].Time
	d.t.Packets = append(list[:at:at], append([]pcap.Packet{p}, list[at:]...)...)
}

// packetFlow returns the flow of a packet.
func packetFlow(p pcap.Packet) packet.Flow { return packet.Parse(p.Data).Flow(p.Data) }
