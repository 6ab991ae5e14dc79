// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"pgregory.net/rapid"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
	"tunproof/offload"
)

// placeOf is a place in a capture: the number of a packet, and that of a segment in it, from
// 1; 0 if the packet is not a superpacket.
type placeOf struct{ number, segment int }

// coalesced returns the superpackets that Coalesce makes of packets, in batches of n, with
// or without their VnetHdrs as comments, and where each packet went.
func coalesced(t rapid.TB, packets []pcap.Packet, cfg offload.Config, n int, vnet bool) (list []pcap.Packet, at map[int]placeOf) {
	t.Helper()
	co, err := offload.NewCoalescer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at = map[int]placeOf{}
	for part := range slices.Chunk(packets, n) {
		var batch [][]byte
		for _, p := range part {
			batch = append(batch, p.Data)
		}
		for _, s := range co.Coalesce(batch) {
			p := pcap.Packet{Number: len(list) + 1, Time: part[len(part)-1].Time, Data: s.AppendTo(nil)[offload.VnetHdrLen:]}
			members := s.Packets()
			if h := s.VnetHdr(); vnet && h.GSOType != 0 {
				p.Comment = pcap.VnetComment(pkts.VnetHdr{Flags: uint8(h.Flags), GSOType: uint8(h.GSOType), HdrLen: h.HdrLen, GSOSize: h.GSOSize, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset})
			}
			for i, m := range members {
				at[part[m].Number] = placeOf{p.Number, i + 1}
				if len(members) == 1 {
					at[part[m].Number] = placeOf{p.Number, 0}
				}
			}
			list = append(list, p)
		}
	}
	return list, at
}

// byKernel returns the superpackets that a kernel's GRO makes: up to 17 packets of a
// flow, which leave when the flow's superpacket is complete, or all after each 64 packets. It
// also joins packets with DF whose IDs are all the same.
func byKernel(packets []pcap.Packet, vnet bool) (list []pcap.Packet) {
	held := map[packet.Flow][][]byte{}
	leave := func(f packet.Flow, at time.Time) {
		batch := held[f]
		delete(held, f)
		switch len(batch) {
		case 0:
			return
		case 1:
			list = append(list, pcap.Packet{Time: at, Data: batch[0]})
			return
		}
		h, b := joinAll(batch)
		p := pcap.Packet{Time: at, Data: b}
		if vnet {
			p.Comment = pcap.VnetComment(h)
		}
		list = append(list, p)
	}
	for i, p := range packets {
		h := packet.Parse(p.Data)
		f := h.Flow(p.Data)
		for _, q := range packets[max(0, i-1)/64*64 : i] { // in a fixed order
			other := packet.Parse(q.Data).Flow(q.Data)
			if i%64 == 0 || !f.HasPorts() && other.Pair() == f.Pair() {
				leave(other, p.Time)
			}
		}
		if !f.HasPorts() {
			list = append(list, p)
			continue
		}
		if batch := append(slices.Clone(held[f]), p.Data); len(batch) > 1 {
			if !kernelJoins(batch) {
				leave(f, p.Time)
			}
		}
		held[f] = append(held[f], p.Data)
		if len(held[f]) == 17 {
			leave(f, p.Time)
		}
	}
	for _, p := range packets[max(0, len(packets)-64):] {
		leave(packet.Parse(p.Data).Flow(p.Data), packets[len(packets)-1].Time)
	}
	return renumbered(list)
}

// joinAll returns the superpacket of packets.
func joinAll(batch [][]byte) (pkts.VnetHdr, []byte) {
	var members []int
	for i := range batch {
		members = append(members, i)
	}
	h, b := model.Join(batch, members)
	return pkts.VnetHdr(h), b
}

// kernelJoins reports whether a kernel joins packets: cutting gives them back, except that
// the IDs of packets with DF may all be the same.
func kernelJoins(batch [][]byte) bool {
	for _, b := range batch {
		if h := packet.Parse(b); h.PayloadOff == 0 || h.PayloadOff == len(b) || packet.Checksum(b) != packet.Right || h.Proto == 6 && b[h.L4Off+13]&(scenario.CWR|scenario.SYN) != 0 {
			return false
		}
	}
	h, b := joinAll(batch)
	list, err := model.Segment(model.VnetHdr(h), b)
	if err != nil || len(list) != len(batch) {
		return false
	}
	for i, s := range list {
		if s[0]>>4 == 4 && s[6]&0x40 != 0 && bytes.Equal(batch[0][4:6], batch[i][4:6]) {
			copy(s[4:6], batch[i][4:6])
			packet.Fix(s, packet.FixIPCsum)
		}
		if !bytes.Equal(s, batch[i]) {
			return false
		}
	}
	return true
}

// complete gives every superpacket a complete checksum, as receive offload of a network
// card does. UDP keeps its partial ones.
func complete(packets []pcap.Packet) []pcap.Packet {
	list := slices.Clone(packets)
	for i, p := range list {
		if h := packet.Parse(p.Data); h.Proto == 6 && packet.Checksum(p.Data) == packet.Partial {
			list[i].Data, list[i].Comment = bytes.Clone(p.Data), ""
			packet.Fix(list[i].Data, packet.FixL4Csum)
		}
	}
	return list
}

// cutElsewhere cuts the TCP data of packets at other places, as a proxy or a middlebox does. It
// joins neighbours of a flow that have the same headers and cuts the result into pieces of
// size bytes.
func cutElsewhere(packets []pcap.Packet, size int) (list []pcap.Packet) {
	type held struct {
		head []byte // without length, ID, sequence number, flags and checksums
		b    []byte
		rest []byte
		seq  uint32
		last byte
	}
	flows := map[packet.Flow]*held{}
	var order []packet.Flow // so that the result is always the same
	id := uint16(7)
	leave := func(f packet.Flow, at time.Time) {
		x := flows[f]
		if x == nil {
			return
		}
		delete(flows, f)
		h := packet.Parse(x.b)
		if len(x.rest) == len(x.b)-h.PayloadOff && len(x.rest) <= size {
			list = append(list, pcap.Packet{Time: at, Data: x.b}) // it stays as it is
			return
		}
		for from := 0; from < len(x.rest); from += size {
			end := min(from+size, len(x.rest))
			b := append(bytes.Clone(x.b[:h.PayloadOff]), x.rest[from:end]...)
			binary.BigEndian.PutUint32(b[h.L4Off+4:], x.seq+uint32(from))
			b[h.L4Off+13] &^= scenario.PSH
			if end == len(x.rest) {
				b[h.L4Off+13] |= x.last & scenario.PSH
			}
			if h.Version == 4 {
				binary.BigEndian.PutUint16(b[4:], id)
				id++
			}
			packet.Fix(b, packet.FixAll)
			list = append(list, pcap.Packet{Time: at, Data: b})
		}
	}
	for _, p := range packets {
		h := packet.Parse(p.Data)
		f := h.Flow(p.Data)
		for _, other := range order {
			if !f.HasPorts() && other.Pair() == f.Pair() {
				leave(other, p.Time)
			}
		}
		if h.Proto != 6 || !f.HasPorts() || h.PayloadOff == len(p.Data) || packet.Checksum(p.Data) != packet.Right || p.Data[h.L4Off+13]&^(scenario.PSH|scenario.ACK) != 0 {
			leave(f, p.Time)
			list = append(list, p)
			continue
		}
		head := bytes.Clone(p.Data[:h.PayloadOff])
		clear(head[h.L4Off+4 : h.L4Off+8])
		clear(head[h.L4Off+16 : h.L4Off+18])
		head[h.L4Off+13] = 0
		if h.Version == 4 {
			clear(head[2:6])
			clear(head[10:12])
		} else {
			clear(head[4:6])
		}
		seq := binary.BigEndian.Uint32(p.Data[h.L4Off+4:])
		if x := flows[f]; x != nil && (!bytes.Equal(x.head, head) || seq != x.seq+uint32(len(x.rest)) || x.last&scenario.PSH != 0) {
			leave(f, p.Time)
		}
		if flows[f] == nil {
			flows[f] = &held{head: head, b: p.Data, seq: seq}
			if !slices.Contains(order, f) {
				order = append(order, f)
			}
		}
		x := flows[f]
		x.rest, x.last = append(x.rest, p.Data[h.PayloadOff:]...), p.Data[h.L4Off+13]
	}
	for _, f := range order {
		leave(f, packets[len(packets)-1].Time)
	}
	return renumbered(list)
}

// datagramOf returns which datagram a fragment is of, and its place in it.
func datagramOf(b []byte) (key string, at int, more bool) {
	if b[0]>>4 == 4 {
		return string(b[12:20]) + string(b[4:6]), 8 * int(binary.BigEndian.Uint16(b[6:])&0x1FFF), b[6]&0x20 != 0
	}
	return string(b[8:40]) + string(b[44:48]), int(binary.BigEndian.Uint16(b[42:]) &^ 7), b[43]&1 != 0
}

// refragmented cuts each datagram that came in fragments into fragments of another size.
// With size 0 it puts the datagrams together. Those stay that are not complete, or whose
// fragments come between others of their addresses.
func refragmented(packets []pcap.Packet, size int) (list []pcap.Packet) {
	whole := map[string]bool{}
	under := map[packet.Flow]string{} // the datagram whose fragments came last
	for _, p := range packets {
		h := packet.Parse(p.Data)
		pair := h.Flow(p.Data).Pair()
		if !h.Fragment {
			delete(under, pair)
			continue
		}
		key, at, more := datagramOf(p.Data)
		if at == 0 {
			under[pair] = key
		}
		whole[key] = !more && under[pair] == key
	}
	data := map[string][]byte{}
	for _, p := range packets {
		if !packet.Parse(p.Data).Fragment {
			list = append(list, p)
			continue
		}
		key, at, more := datagramOf(p.Data)
		if !whole[key] {
			list = append(list, p)
			continue
		}
		head := 20
		if p.Data[0]>>4 == 6 {
			head = 48
		}
		switch {
		case at > 0:
			data[key] = append(data[key], p.Data[head:]...)
		case head == 20:
			data[key] = bytes.Clone(p.Data)
			data[key][6] &^= 0x20
		default:
			data[key] = append(bytes.Clone(p.Data[:40]), p.Data[48:]...)
			data[key][6] = p.Data[40]
		}
		if more {
			continue
		}
		packet.Fix(data[key], packet.FixIPLen|packet.FixIPCsum)
		out := [][]byte{data[key]}
		if size > 0 {
			out = fragments(data[key], binary.BigEndian.Uint32([]byte("\x00\x00" + key)[len(key)-2:]), size)
		}
		for _, b := range out {
			list = append(list, pcap.Packet{Time: p.Time, Data: b})
		}
	}
	return renumbered(list)
}

// later returns packets with times that are d later.
func later(packets []pcap.Packet, d time.Duration) []pcap.Packet {
	list := slices.Clone(packets)
	for i := range list {
		list[i].Time = list[i].Time.Add(d)
	}
	return list
}

// edited returns packets with f applied to copies of their data.
func edited(packets []pcap.Packet, f func(b []byte)) []pcap.Packet {
	list := slices.Clone(packets)
	for i := range list {
		list[i].Data = bytes.Clone(list[i].Data)
		f(list[i].Data)
	}
	return list
}

// set writes a value into a field of b and changes the checksum at offset sum by the
// difference. A checksum that was wrong stays wrong by as much. With sum 0 there is none.
func set(b []byte, at int, value []byte, sums ...int) {
	for _, sum := range sums {
		old := binary.BigEndian.Uint16(b[sum:])
		binary.BigEndian.PutUint16(b[sum:], adjusted(old, b[at:at+len(value)], value))
	}
	copy(b[at:], value)
}

// adjusted returns a checksum that is right after bytes that it covers were replaced.
func adjusted(sum uint16, from, to []byte) uint16 {
	total := uint32(^sum)
	for i := 0; i < len(from); i += 2 {
		total += uint32(^binary.BigEndian.Uint16(from[i:])) + uint32(binary.BigEndian.Uint16(to[i:]))
	}
	for total > 0xFFFF {
		total = total>>16 + total&0xFFFF
	}
	return ^uint16(total)
}

// l4 returns the offsets of the TCP or UDP header of b and of its checksum, also in the first
// fragment of a datagram. They are 0 if there is none; a checksum of UDP may be absent.
func l4(b []byte) (off, sum int) {
	h := packet.Parse(b)
	proto, off := h.Proto, h.L4Off
	if proto == 44 && len(b) >= 56 && binary.BigEndian.Uint16(b[42:])&^7 == 0 {
		proto, off = b[40], 48
	}
	switch {
	case off == 0:
		return 0, 0
	case proto == 6:
		return off, off + 16
	case proto == 17 && binary.BigEndian.Uint16(b[off+6:]) != 0:
		return off, off + 6
	}
	return off, 0
}

// translated replaces the source address and port of all packets to 9, and the destination
// of those from 9, as a NAT does. Complete checksums are updated if update is true.
func translated(packets []pcap.Packet, update bool) []pcap.Packet {
	return edited(packets, func(b []byte) {
		h := packet.Parse(b)
		if h.Version == 0 {
			return
		}
		src, n := 12, 4
		if h.Version == 6 {
			src, n = 8, 16
		}
		off, sum := l4(b)
		if packet.Checksum(b) == packet.Partial { // that of a superpacket is the pseudo-header's sum
			defer packet.Fix(b, packet.FixPartial)
			sum = 0
		}
		at, port := src, off
		if b[src+n-1] == 9 {
			at, port = src+n, off+2
		}
		var sums []int
		if sum > 0 && update {
			sums = []int{sum}
		}
		if off > 0 {
			v := binary.BigEndian.Uint16(b[port:])
			set(b, port, binary.BigEndian.AppendUint16(nil, v+5000), sums...)
		}
		address := bytes.Clone(b[at : at+n])
		address[n-2], address[n-1] = 77, address[n-1]+40
		if h.Version == 4 {
			sums = append(sums, 10)
		} else if h.Proto == 58 {
			sums = append(sums, 42)
		}
		set(b, at, address, sums...)
		if sum > 0 && sum == off+6 && b[sum] == 0 && b[sum+1] == 0 {
			b[sum], b[sum+1] = 0xFF, 0xFF
		}
	})
}
