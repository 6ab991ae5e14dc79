// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// Fault is something that goes wrong between two captures.
type Fault struct {
	Name string
	// Apply returns the packets with the fault, and what must be found. ok is false if there
	// is no packet to which it can be applied.
	Apply func(r *rand.Rand, packets []pcap.Packet) (out []pcap.Packet, want []Want, ok bool)

	plain bool // what superpackets do not show
}

// Want is a finding that must be reported.
type Want struct {
	Packet      int // the number of the packet before
	Field, What string
}

// victim is a packet to which a fault is applied.
type victim struct {
	b []byte
	packet.Header
	l4 int
}

// choose returns the index of a random packet in the middle third that is as wanted, or -1.
// No other packet has its bytes or its payload, and its flow has others before and after it.
func choose(r *rand.Rand, packets []pcap.Packet, ok func(v victim) bool) int {
	var list []int
	copies := map[string]int{}
	payload := func(b []byte) string {
		h := packet.Parse(b)
		return string(b[min(max(h.PayloadOff, 40), len(b)):])
	}
	flows := map[packet.Flow][]int{}
	for i, p := range packets {
		f := packet.Parse(p.Data).Flow(p.Data)
		flows[f] = append(flows[f], i)
		copies[string(p.Data)]++
		if s := payload(p.Data); len(s) > 0 {
			copies[s]++
		}
	}
	for i := len(packets) / 3; i < 2*len(packets)/3; i++ {
		b := packets[i].Data
		h := packet.Parse(b)
		if f := flows[h.Flow(b)]; f[0] == i || f[len(f)-1] == i {
			continue
		}
		if copies[string(b)] == 1 && copies[payload(b)] <= 1 && ok(victim{b, h, h.L4Off}) {
			list = append(list, i)
		}
	}
	if list == nil {
		return -1
	}
	return list[r.IntN(len(list))]
}

func is4(v victim) bool    { return v.Version == 4 }
func is6(v victim) bool    { return v.Version == 6 }
func isTCP(v victim) bool  { return v.Proto == 6 && v.PayloadOff > 0 && !v.Fragment }
func isUDP(v victim) bool  { return v.Proto == 17 && v.PayloadOff > 0 && !v.Fragment }
func isPort(v victim) bool { return isTCP(v) || isUDP(v) }

// isData is TCP or UDP with so much payload that the packet can be recognised by it.
func isData(v victim) bool     { return isPort(v) && len(v.b)-v.PayloadOff >= 40 }
func isTCPData(v victim) bool  { return isTCP(v) && isData(v) }
func isUDPData(v victim) bool  { return isUDP(v) && isData(v) }
func isFragment(v victim) bool { return v.Fragment && len(v.b) > 70 }
func isAck(v victim) bool {
	return isTCP(v) && v.PayloadOff == len(v.b) && v.b[v.l4+13] == scenario.ACK
}

func both(list ...func(v victim) bool) func(v victim) bool {
	return func(v victim) bool {
		return !slices.ContainsFunc(list, func(f func(v victim) bool) bool { return !f(v) })
	}
}

// on is a fault in one packet. edit changes it in place, or returns another. The checksums
// are corrected if fix is set.
func on(name string, ok func(v victim) bool, field string, fix int, edit func(r *rand.Rand, v victim) []byte) Fault {
	return Fault{Name: name, Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		i := choose(r, packets, ok)
		if i < 0 {
			return nil, nil, false
		}
		out := slices.Clone(packets)
		b := bytes.Clone(out[i].Data)
		h := packet.Parse(b)
		b = edit(r, victim{b, h, h.L4Off})
		fix := fix
		if fix != 0 && packet.Checksum(packets[i].Data) == packet.Absent {
			fix &^= packet.FixL4Csum
		}
		packet.Fix(b, fix)
		if bytes.Equal(b, packets[i].Data) {
			return nil, nil, false
		}
		out[i].Data = b
		return renumbered(out), []Want{{packets[i].Number, field, Changed}}, true
	}}
}

// flip changes one random bit in a field of one packet. The checksums are corrected if fix
// is set.
func flip(name, field string, ok func(v victim) bool, fix int) Fault {
	return on(name, func(v victim) bool { return ok(v) && at(v.b, field).Len > 0 }, field, fix, func(r *rand.Rand, v victim) []byte {
		f := at(v.b, field)
		v.b[f.Off+r.IntN(f.Len)] ^= 1 << r.IntN(8)
		return v.b
	})
}

// bits flips bits of a byte in a field.
func bits(name, field string, ok func(v victim) bool, fix, index int, mask byte) Fault {
	return on(name, func(v victim) bool { return ok(v) && at(v.b, field).Len > index }, field, fix, func(r *rand.Rand, v victim) []byte {
		v.b[at(v.b, field).Off+index] ^= mask
		return v.b
	})
}

// at returns the field of b with this name, or an empty one.
func at(b []byte, name string) packet.Field {
	for _, f := range packet.Fields(b) {
		if f.Name == name {
			return f
		}
	}
	return packet.Field{}
}

// without returns packets with those at some indices lost.
func without(packets []pcap.Packet, at []int) ([]pcap.Packet, []Want, bool) {
	out := slices.Clone(packets)
	var want []Want
	for _, i := range slices.Backward(at) {
		out = slices.Delete(out, i, i+1)
		want = append(want, Want{packets[i].Number, "", Lost})
	}
	return renumbered(out), want, true
}

// burst returns the indices of TCP or UDP data packets of one flow that a sender sends at
// once: at least n with consecutive sequence numbers or of one length. Other flows may come
// between them. More packets of the flow follow, because near the end of a capture the loss of
// a flow's last packets is not seen: the other capture may have ended.
func burst(r *rand.Rand, packets []pcap.Packet, n int, ok func(v victim) bool) []int {
	from := choose(r, packets, func(v victim) bool { return isData(v) && ok(v) })
	if from < 0 {
		return nil
	}
	h := packet.Parse(packets[from].Data)
	f := h.Flow(packets[from].Data)
	var list []int
	for i := from; i < len(packets)*3/4; i++ {
		b := packets[i].Data
		x := packet.Parse(b)
		if x.Flow(b).Pair() == f.Pair() && !x.Flow(b).HasPorts() {
			break
		}
		if x.Flow(b) != f {
			continue
		}
		if !isData(victim{b, x, x.L4Off}) || len(b) != len(packets[from].Data) || !ok(victim{b, x, x.L4Off}) {
			break
		}
		if len(list) > 0 && h.Proto == 6 && binary.BigEndian.Uint32(b[x.L4Off+4:]) != binary.BigEndian.Uint32(packets[list[len(list)-1]].Data[x.L4Off+4:])+uint32(len(b)-x.PayloadOff) {
			break
		}
		list = append(list, i)
	}
	more := func(p pcap.Packet) bool { return packet.Parse(p.Data).Flow(p.Data) == f }
	if len(list) < n || !slices.ContainsFunc(packets[list[len(list)-1]+1:], more) {
		return nil
	}
	return list
}

// onAll is a fault in the packets of a burst after the first. edit gets the first one too.
func onAll(name string, ok func(v victim) bool, field string, fix int, edit func(first, v victim, i int)) Fault {
	return Fault{Name: name, Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		list := burst(r, packets, 3, ok)
		if list == nil {
			return nil, nil, false
		}
		out := slices.Clone(packets)
		var want []Want
		h := packet.Parse(packets[list[0]].Data)
		first := victim{packets[list[0]].Data, h, h.L4Off}
		for k, i := range list[1:] {
			b := bytes.Clone(out[i].Data)
			fix := fix
			if packet.Checksum(b) == packet.Absent {
				fix &^= packet.FixL4Csum
			}
			edit(first, victim{b, packet.Parse(b), h.L4Off}, k+1)
			packet.Fix(b, fix)
			if bytes.Equal(b, out[i].Data) {
				return nil, nil, false
			}
			out[i].Data = b
			want = append(want, Want{packets[i].Number, field, Changed})
		}
		return renumbered(out), want, true
	}}
}

// flags is a fault in which the packets of a burst have a TCP flag.
func flags(name string, flag byte) Fault {
	return onAll(name, func(v victim) bool { return isTCP(v) && v.b[v.l4+13]&flag == 0 }, "tcp.flags", packet.FixAll, func(first, v victim, i int) { v.b[v.l4+13] |= flag })
}

// moved returns packets with the one at index i n packets of its flow later.
func moved(packets []pcap.Packet, i, n int) []pcap.Packet {
	f := packet.Parse(packets[i].Data).Flow(packets[i].Data)
	for to := i + 1; to < len(packets); to++ {
		if packet.Parse(packets[to].Data).Flow(packets[to].Data) != f {
			continue
		}
		if n--; n == 0 {
			p := packets[i]
			p.Time = packets[to].Time
			return renumbered(slices.Insert(slices.Delete(slices.Clone(packets), i, i+1), to, p))
		}
	}
	return nil
}

const fixIP, fixAll = packet.FixIPCsum, packet.FixAll

// faults are the faults that compare must find.
var faults = slices.Concat(fieldFaults, payloadFaults, packetFaults, runFaults)

var fieldFaults = []Fault{
	bits("IHL", "ip.version_ihl", both(is4, isData), 0, 0, 1),
	flip("TOS", "ip.tos", isData, fixIP),
	flip("TOS, checksum not corrected", "ip.tos", isData, 0),
	flip("total length", "ip.total_length", isData, 0),
	flip("total length, checksum corrected", "ip.total_length", isData, fixIP),
	flip("ID", "ip.id", both(isData, func(v victim) bool { return v.b[6]&0x40 == 0 }), fixIP),
	bits("DF", "ip.frag", isData, fixIP, 0, 0x40),
	bits("evil bit", "ip.frag", isData, fixIP, 0, 0x80),
	bits("MF", "ip.frag", isData, fixIP, 0, 0x20),
	bits("fragment offset", "ip.frag", isData, fixIP, 1, 2),
	flip("TTL", "ip.ttl", isData, fixIP),
	flip("TTL, checksum not corrected", "ip.ttl", isData, 0),
	flip("protocol", "ip.protocol", isData, fixIP),
	flip("header checksum", "ip.checksum", isData, 0),
	flip("header checksum of an acknowledgement", "ip.checksum", isAck, 0),
	flip("source address", "ip.src", isData, 0),
	flip("destination address, checksums corrected", "ip.dst", isData, fixAll),
	bits("traffic class", "ip.version_tc_label", both(is6, isData), 0, 1, 0x20),
	bits("flow label", "ip.version_tc_label", both(is6, isData), 0, 3, 0x10),
	flip("payload length", "ip.payload_length", isData, 0),
	flip("next header", "ip.next_header", isData, 0),
	flip("hop limit", "ip.hop_limit", isData, 0),
	flip("source port", "tcp.sport", isData, fixAll),
	flip("destination port, checksum not corrected", "tcp.dport", isData, 0),
	flip("UDP source port", "udp.sport", isData, fixAll),
	flip("UDP destination port", "udp.dport", isData, 0),
	flip("sequence number", "tcp.seq", isData, fixAll),
	flip("sequence number, checksum not corrected", "tcp.seq", isData, 0),
	flip("acknowledgement number", "tcp.ack", isData, fixAll),
	bits("reserved bits", "tcp.doff", isData, fixAll, 0, 4),
	bits("data offset", "tcp.doff", isData, 0, 0, 0x10),
	bits("FIN", "tcp.flags", isData, fixAll, 0, scenario.FIN),
	bits("SYN", "tcp.flags", isData, fixAll, 0, scenario.SYN),
	bits("RST", "tcp.flags", isData, fixAll, 0, scenario.RST),
	bits("PSH", "tcp.flags", isData, fixAll, 0, scenario.PSH),
	bits("ACK", "tcp.flags", isData, fixAll, 0, scenario.ACK),
	bits("URG", "tcp.flags", isData, fixAll, 0, scenario.URG),
	bits("ECE", "tcp.flags", isData, fixAll, 0, scenario.ECE),
	bits("CWR", "tcp.flags", isData, fixAll, 0, scenario.CWR),
	flip("window", "tcp.window", isData, fixAll),
	flip("window of an acknowledgement", "tcp.window", isAck, fixAll),
	flip("checksum", "tcp.checksum", isData, 0),
	flip("checksum of an acknowledgement", "tcp.checksum", isAck, 0),
	flip("urgent pointer", "tcp.urgent_pointer", isData, fixAll),
	flip("options", "tcp.options", isData, fixAll),
	flip("UDP length", "udp.length", isData, 0),
	flip("UDP checksum", "udp.checksum", both(isUDPData, func(v victim) bool { return packet.Checksum(v.b) == packet.Right }), 0),
	on("UDP checksum absent", both(isUDPData, func(v victim) bool { return packet.Checksum(v.b) == packet.Right }), "udp.checksum", 0, func(_ *rand.Rand, v victim) []byte {
		v.b[v.l4+6], v.b[v.l4+7] = 0, 0
		return v.b
	}),
	on("UDP checksum added", both(isUDPData, func(v victim) bool { return packet.Checksum(v.b) == packet.Absent }), "udp.checksum", 0, func(_ *rand.Rand, v victim) []byte {
		packet.Fix(v.b, packet.FixL4Csum)
		return v.b
	}),
}

var payloadFaults = []Fault{
	flip("payload", "payload", isData, 0),
	flip("payload, checksum corrected", "payload", isData, fixAll),
	flip("payload of a fragment", "payload", both(is4, isFragment), 0),
	on("payload of an IPv6 fragment", both(is6, isFragment), "payload", 0, func(r *rand.Rand, v victim) []byte {
		v.b[48+r.IntN(len(v.b)-48)] ^= 1 << r.IntN(8)
		return v.b
	}),
	flip("payload of a packet without ports", "payload", func(v victim) bool { return !isPort(v) && !v.Fragment && len(v.b) > 70 }, 0),
	on("first byte", isData, "payload", fixAll, func(_ *rand.Rand, v victim) []byte { v.b[v.PayloadOff]++; return v.b }),
	on("last byte", isData, "payload", fixAll, func(_ *rand.Rand, v victim) []byte { v.b[len(v.b)-1]++; return v.b }),
	on("tail zero", isData, "payload", fixAll, func(r *rand.Rand, v victim) []byte { clear(v.b[len(v.b)-8:]); return v.b }),
	on("other payload", isTCPData, "payload", fixAll, func(r *rand.Rand, v victim) []byte {
		copy(v.b[v.PayloadOff:], noise(r, len(v.b)-v.PayloadOff))
		return v.b
	}),
	on("truncated", isData, "length", 0, func(r *rand.Rand, v victim) []byte { return v.b[:len(v.b)-1-r.IntN(8)] }),
	on("truncated, lengths corrected", isData, "length", fixAll|packet.FixUDPLen, func(r *rand.Rand, v victim) []byte { return v.b[:len(v.b)-1-r.IntN(8)] }),
	on("longer", isData, "length", 0, func(r *rand.Rand, v victim) []byte { return append(v.b, noise(r, 6)...) }),
	on("longer, lengths corrected", isData, "length", fixAll, func(r *rand.Rand, v victim) []byte { return append(v.b, noise(r, 6)...) }),
	on("truncated fragment", isFragment, "length", 0, func(r *rand.Rand, v victim) []byte { return v.b[:len(v.b)-8] }),
}

// anywhere is any packet that can be recognised.
func anywhere(v victim) bool { return isData(v) || isAck(v) || isFragment(v) || len(v.b) > 60 }

var packetFaults = []Fault{
	{Name: "lost", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		i := choose(r, packets, anywhere)
		return renumbered(slices.Delete(slices.Clone(packets), i, i+1)), []Want{{packets[i].Number, "", Lost}}, true
	}},
	{Name: "two lost", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		list := burst(r, packets, 4, func(victim) bool { return true })
		if list == nil {
			return nil, nil, false
		}
		i, j := list[1], list[2]
		return renumbered(slices.Delete(slices.Delete(slices.Clone(packets), j, j+1), i, i+1)), []Want{{packets[i].Number, "", Lost}, {packets[j].Number, "", Lost}}, true
	}},
	{Name: "duplicated", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		i := choose(r, packets, anywhere)
		p := packets[i]
		to := min(i+1+r.IntN(40), max(i+1, 2*len(packets)/3)) // the copy too is far from the ends
		p.Time = packets[to-1].Time
		return renumbered(slices.Insert(slices.Clone(packets), to, p)), []Want{{p.Number, "", Duplicated}}, true
	}},
	{Name: "moved", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		i := choose(r, packets, isData)
		out := moved(packets, i, 3)
		return out, []Want{{packets[i].Number, "", Reordered}}, out != nil
	}},
	{Name: "added to a flow", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		i := choose(r, packets, isUDPData)
		if i < 0 {
			return nil, nil, false
		}
		p := packets[i]
		p.Data = bytes.Clone(p.Data)
		h := packet.Parse(p.Data)
		copy(p.Data[h.PayloadOff:], noise(r, len(p.Data)))
		if h.Version == 4 {
			p.Data[4] ^= 0x55
		}
		packet.Fix(p.Data, fixAll)
		return renumbered(slices.Insert(slices.Clone(packets), i+1, p)), []Want{{0, "", Extra}}, true
	}},
	{Name: "a new flow", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		q := scenario.UDP4(50)
		q.SrcNet, q.Payload = 99, noise(r, 50)
		i := len(packets) / 2
		return renumbered(slices.Insert(slices.Clone(packets), i, pcap.Packet{Time: packets[i].Time, Data: q.Bytes()})), []Want{{0, "", Extra}}, true
	}},
	{Name: "datagrams glued", plain: true, Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		list := burst(r, packets, 2, isUDP)
		if list == nil {
			return nil, nil, false
		}
		i, j := list[0], list[1]
		p := packets[i]
		p.Data = append(bytes.Clone(p.Data), packets[j].Data[packet.Parse(p.Data).PayloadOff:]...)
		absent := packet.Checksum(packets[i].Data) == packet.Absent
		packet.Fix(p.Data, fixAll)
		out := slices.Delete(slices.Clone(packets), j, j+1)
		out[i] = p
		return renumbered(out), []Want{{packets[i].Number, "udp.length", Changed}}, !absent
	}},
	{Name: "a datagram split", plain: true, Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		i := choose(r, packets, func(v victim) bool { return isUDPData(v) && packet.Checksum(v.b) == packet.Right })
		if i < 0 {
			return nil, nil, false
		}
		out := split(packets, i)
		return out, []Want{{packets[i].Number, "udp.length", Changed}}, true
	}},
	{Name: "a segment split", plain: true, Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		i := choose(r, packets, isTCPData)
		if i < 0 {
			return nil, nil, false
		}
		return split(packets, i), nil, true // it is no fault
	}},
}

// split returns packets with the one at index i cut in two.
func split(packets []pcap.Packet, i int) []pcap.Packet {
	p, q := packets[i], packets[i]
	h := packet.Parse(p.Data)
	at := h.PayloadOff + (len(p.Data)-h.PayloadOff)/2
	q.Data = append(bytes.Clone(p.Data[:h.PayloadOff]), p.Data[at:]...)
	p.Data = bytes.Clone(p.Data[:at])
	if h.Proto == 6 {
		binary.BigEndian.PutUint32(q.Data[h.L4Off+4:], binary.BigEndian.Uint32(q.Data[h.L4Off+4:])+uint32(at-h.PayloadOff))
		p.Data[h.L4Off+13] &^= scenario.PSH
		q.Data[h.L4Off+13] &^= scenario.CWR
	}
	packet.Fix(p.Data, fixAll)
	packet.Fix(q.Data, fixAll)
	out := slices.Insert(slices.Clone(packets), i+1, q)
	out[i] = p
	return renumbered(out)
}

var runFaults = []Fault{
	onAll("the first one's window in all", isTCP, "tcp.window", fixAll, func(first, v victim, i int) { v.b[v.l4+14] ^= 0x55 }),
	onAll("IDs constant", func(v victim) bool { return v.Version == 4 && v.b[6]&0x40 == 0 }, "ip.id", fixIP, func(first, v victim, i int) { copy(v.b[4:6], first.b[4:6]) }),
	onAll("sequence numbers not advancing", isTCP, "tcp.seq", fixAll, func(first, v victim, i int) { copy(v.b[v.l4+4:v.l4+8], first.b[v.l4+4:]) }),
	onAll("sequence numbers counting segments", isTCP, "tcp.seq", fixAll, func(first, v victim, i int) {
		binary.BigEndian.PutUint32(v.b[v.l4+4:], binary.BigEndian.Uint32(first.b[v.l4+4:])+uint32(i))
	}),
	onAll("checksums of the first", func(v victim) bool { return packet.Checksum(v.b) == packet.Right }, "", 0, func(first, v victim, i int) {
		_, sum := l4(v.b)
		copy(v.b[sum:sum+2], first.b[sum:])
	}),
	onAll("checksums off by one", isTCP, "tcp.checksum", 0, func(first, v victim, i int) { v.b[v.l4+17]++ }),
	onAll("lengths of the superpacket", isData, "", fixIP, func(first, v victim, i int) {
		if v.Version == 4 {
			v.b[2] ^= 8
		} else {
			v.b[4] ^= 8
		}
	}),
	flags("PSH on all", scenario.PSH),
	flags("FIN on all", scenario.FIN),
	flags("CWR on all", scenario.CWR),
	{Name: "the last segments lost", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		list := burst(r, packets, 4, func(victim) bool { return true })
		if list == nil {
			return nil, nil, false
		}
		return without(packets, list[len(list)-2:])
	}},
	{Name: "a burst lost", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		list := burst(r, packets, 3, func(victim) bool { return true })
		if list == nil {
			return nil, nil, false
		}
		return without(packets, list)
	}},
	{Name: "a burst again", Apply: func(r *rand.Rand, packets []pcap.Packet) ([]pcap.Packet, []Want, bool) {
		list := burst(r, packets, 3, func(victim) bool { return true })
		if list == nil {
			return nil, nil, false
		}
		to := list[len(list)-1] + 1
		out := slices.Clone(packets)
		var want []Want
		for _, i := range slices.Backward(list) {
			p := packets[i]
			p.Time = packets[to-1].Time.Add(time.Nanosecond)
			out = slices.Insert(out, to, p)
			want = append(want, Want{p.Number, "", Duplicated})
		}
		return renumbered(out), want, true
	}},
}
