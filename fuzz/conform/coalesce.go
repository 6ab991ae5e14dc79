// SPDX-License-Identifier: MIT

package conform

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/model"
)

// hdrLen is the length of a virtio_net_hdr.
const hdrLen = 10

// room is the capacity of each packet of a batch.
const room = 65535

// batches joins batches one after another with one Coalesce. It returns the violations
// and the number of batches that were joined.
func (i Impl) batches(batches [][][]byte) (list []Violation, n int) {
	join := i.NewCoalescer()
	var in, out [][]byte // all batches of a stack: it may keep packets until the next batch
	for _, batch := range batches {
		batch, ok := i.given(batch)
		if !ok {
			continue
		}
		n++
		given := make([][]byte, len(batch))
		for k, p := range batch {
			given[k] = append(make([]byte, 0, room+hdrLen), p...)
		}
		frames, err := join(given)
		switch {
		case err != nil:
			list = append(list, Violation{Property: "P2", What: "an error loses the batch: " + unnumbered(err.Error()), Text: fmt.Sprintf("of %d packets", len(batch)), Rule: "A1"})
		case i.Stack:
			in = append(in, batch...)
			for _, f := range frames {
				out = append(out, bytes.Clone(f))
			}
		default:
			list = append(list, i.judge(batch, frames)...)
		}
	}
	return append(list, streams(in, out)...), n
}

// judge cuts the frames that a batch was joined to, and compares the packets with those
// of the batch.
func (i Impl) judge(batch, frames [][]byte) (list []Violation) {
	var out [][]byte
	for k, f := range frames {
		if len(f) < hdrLen {
			list = append(list, Violation{Property: "P11", What: "no VnetHdr", Text: fmt.Sprintf("frame %d has %d bytes", k, len(f))})
			continue
		}
		h, pkt := Split(f)
		segments, err := model.Segment(model.VnetHdr(h), pkt)
		if err != nil {
			if h == (pkts.VnetHdr{}) || h.GSOType == 0 && h.Flags&packet.NeedsCsum == 0 { // a packet that was not joined, of any content
				out = append(out, pkt)
				continue
			}
			list = append(list, Violation{Property: "P11", What: "a superpacket that is refused: " + string(err.(model.Refusal)), Text: fmt.Sprintf("frame %d: %v, %s", k, h, packet.Line(pkt)), Rule: "S5"})
			continue
		}
		out = append(out, segments...)
	}
	place := pair(batch, out)
	at := make([]int, 0, len(batch)) // indices in batch, in the order of out
	for n, k := range place {
		if k < 0 {
			list = append(list, Violation{Property: "P2", What: "a packet that nobody sent", Text: fmt.Sprintf("%d: %s", n, packet.Line(out[n])), Rule: "E"})
			continue
		}
		at = append(at, k)
		if !bytes.Equal(batch[k], out[n]) && !(i.AtomicIDs && otherID(batch[k], out[n])) {
			list = append(list, changed(batch[k], out[n], k))
		}
	}
	lost := false
	for k := range batch {
		if !slices.Contains(at, k) {
			lost = true
			list = append(list, Violation{Property: "P2", What: "lost: " + kind(batch[k]), Text: fmt.Sprintf("packet %d: %s", k, packet.Line(batch[k])), Rule: "E"})
		}
	}
	if !lost {
		list = append(list, overtakes(batch, at)...)
	}
	return list
}

// pair returns for each packet of out the index of its packet in the batch: the first
// equal one, otherwise the one of the same flow with the fewest differences, or -1.
func pair(batch, out [][]byte) []int {
	place := make([]int, len(out))
	used := make([]bool, len(batch))
	for n, b := range out {
		place[n] = -1
		for k, p := range batch {
			if !used[k] && bytes.Equal(p, b) {
				place[n], used[k] = k, true
				break
			}
		}
	}
	for n, b := range out {
		if place[n] >= 0 {
			continue
		}
		best, least := -1, 0
		for k, p := range batch {
			if used[k] || !likely(p, b) {
				continue
			}
			if d := distance(p, b); best < 0 || d < least {
				best, least = k, d
			}
		}
		if best >= 0 {
			place[n], used[best] = best, true
		}
	}
	return place
}

// likely reports whether b may be a changed p: both have the same flow or addresses.
func likely(p, b []byte) bool { return model.Identify(p).Conflicts(model.Identify(b)) }

// distance counts the bytes that differ. A different payload counts most, since offloads
// do not change it.
func distance(p, b []byte) int {
	n := 0
	for _, d := range packet.Diff(p, b) {
		switch d.Field {
		case "payload":
			n += 1000
		case "tcp.seq":
			n += 100
		default:
			n += max(1, len(d.Want))
		}
	}
	return n
}

// otherID reports whether was has DF and is differs only in the ID and in the header
// checksum, which is right in both.
func otherID(was, is []byte) bool {
	return len(was) >= 20 && was[0]>>4 == 4 && was[6]&0x40 != 0 && packet.HeaderRight(was) && packet.HeaderRight(is) &&
		!slices.ContainsFunc(packet.Diff(was, is), func(d packet.Difference) bool { return d.Field != "ip.id" && d.Field != "ip.checksum" })
}

// changed returns the violation that packet k came out changed.
func changed(was, is []byte, k int) Violation {
	v := Violation{Property: "P2", Text: fmt.Sprintf("packet %d: %s", k, packet.Line(was)), Want: was, Got: is}
	fields := packet.Diff(was, is)
	v.What = first(fields) + " changes" + cause(was, is, fields)
	before, after := packet.Checksum(was), packet.Checksum(is)
	switch {
	case before == packet.Wrong && after == packet.Right:
		v.Property, v.What, v.Rule = "P5", l4(was)+" checksum repaired", "C1.l4_checksum"
	case before == packet.Absent && after != packet.Absent:
		v.Property, v.What, v.Rule = "P5", l4(was)+" checksum invented", "C1.absent"
	case before != packet.Absent && after == packet.Absent:
		v.Property, v.What, v.Rule = "P5", l4(was)+" checksum becomes none", "C1.zero"
	case !packet.HeaderRight(was) && packet.HeaderRight(is):
		v.Property, v.What, v.Rule = "P5", "IPv4 header checksum repaired", "C1.ip_checksum"
	}
	return v
}

// first returns the first field that does not merely follow from another, such as a
// checksum or a length.
func first(fields []packet.Difference) string {
	for _, d := range fields {
		switch d.Field {
		case "ip.checksum", "tcp.checksum", "udp.checksum", "length", "ip.total_length", "ip.payload_length", "udp.length":
		default:
			return d.Field
		}
	}
	for _, d := range fields {
		if d.Field != "ip.checksum" && d.Field != "length" {
			return d.Field
		}
	}
	return fields[0].Field
}

// cause returns a suffix for What that distinguishes different causes of a change of one
// field.
func cause(was, is []byte, fields []packet.Difference) string {
	switch f := first(fields); {
	case f == "ip.id" && len(was) >= 20:
		df := "without DF"
		if was[6]&0x40 != 0 {
			df = "with DF"
		}
		return fmt.Sprintf(", %s %s", l4(was), df)
	case f == "tcp.flags":
		return ": " + flags(was, is)
	case f == "tcp.checksum" || f == "udp.checksum":
		at := slices.IndexFunc(fields, func(d packet.Difference) bool { return d.Field == f })
		if x := fields[at].WantText; x == "ffff" || x == "0000" {
			return " from " + x
		}
	case f == "length" && len(was) > len(is) && bytes.Equal(was[:len(is)], is):
		return ": what is behind the IP packet is cut off"
	case f == "length" || f == "ip.total_length" || f == "ip.payload_length" || f == "udp.length":
		return fmt.Sprintf(", %s", l4(was))
	}
	return ""
}

// flags returns the names of the TCP flags that are lost or new.
func flags(was, is []byte) string {
	at := packet.Parse(was).L4Off
	if at == 0 || at+13 >= len(was) || at+13 >= len(is) {
		return "others"
	}
	s := ""
	for bit, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		switch x, y := was[at+13]>>bit&1, is[at+13]>>bit&1; {
		case x > y:
			s += " " + name + " lost"
		case x < y:
			s += " " + name + " new"
		}
	}
	if s == "" {
		return "others"
	}
	return s[1:]
}

// proto returns the protocol of the first header after IP and its extensions, or 255 if b
// is not an IP packet.
func proto(b []byte) byte {
	if h := packet.Parse(b); h.Version != 0 {
		return h.Proto
	}
	return 255
}

// l4 returns the name of the packet's protocol.
func l4(b []byte) string {
	switch proto(b) {
	case 6:
		return "TCP"
	case 17:
		return "UDP"
	}
	return "IP"
}

// overtakes returns a violation for each kind of conflicting packets that changed places.
// It ignores packets that are alike, because nothing shows which of them came out where.
func overtakes(batch [][]byte, at []int) (list []Violation) {
	ids := make([]model.Identity, len(batch))
	for k, p := range batch {
		ids[k] = model.Identify(p)
	}
	var twin []bool // computed when a packet overtakes another
	seen := map[string]bool{}
	for n, k := range at {
		for _, later := range at[:n] {
			if later < k || !ids[k].Conflicts(ids[later]) {
				continue
			}
			if twin == nil {
				twin = twins(batch)
			}
			if twin[k] || twin[later] {
				continue
			}
			what := kind(batch[later]) + " overtakes " + kind(batch[k])
			if !seen[what] {
				seen[what] = true
				list = append(list, Violation{Property: "P3", What: what, Text: fmt.Sprintf("packet %d leaves before packet %d", later, k), Rule: "C4"})
			}
		}
	}
	return list
}

// twins reports for each packet of a batch whether the batch has another one alike.
func twins(batch [][]byte) []bool {
	twin := make([]bool, len(batch))
	for k, p := range batch {
		for j, q := range batch[:k] {
			if alike(p, q) {
				twin[j], twin[k] = true, true
			}
		}
	}
	return twin
}

// alike reports whether two packets cannot be told apart once their headers change. Their
// length, payload and TCP sequence number are the same.
func alike(p, q []byte) bool {
	return len(p) == len(q) && !slices.ContainsFunc(packet.Fields(p), func(f packet.Field) bool {
		end := f.Off + f.Len
		return (f.Name == "payload" || f.Name == "tcp.seq") && !bytes.Equal(p[f.Off:end], q[f.Off:end])
	})
}

// kind returns the kind of a packet, as violations of the order name it.
func kind(b []byte) string {
	h := packet.Parse(b)
	off := h.L4Off
	switch p := h.Proto; {
	case h.Version == 0:
		return "no IP packet"
	case h.Fragment:
		return "a fragment"
	case b[0]>>4 == 4 && b[0] != 0x45:
		return "a packet with IP options"
	case !packet.HeaderRight(b):
		return "a packet with a wrong header checksum"
	case !packet.WellFormed(b):
		return "a packet of another length"
	case p == 6 && packet.Checksum(b) == packet.Wrong:
		return "damaged TCP"
	case p == 17 && packet.Checksum(b) == packet.Wrong:
		return "a damaged datagram"
	case p == 6 && off > 0 && off+20 <= len(b):
		switch f := b[off+13]; {
		case f&2 != 0:
			return "a SYN"
		case f&4 != 0:
			return "a RST"
		case len(b) <= off+4*int(b[off+12]>>4):
			if f&1 != 0 {
				return "a FIN"
			}
			return "a pure ACK"
		}
		return "TCP data"
	case p == 17 && off > 0 && len(b) == off+8:
		return "an empty datagram"
	case p == 17 && off > 0 && off+8 <= len(b):
		return "a datagram"
	case p == 6 || p == 17:
		return "a cut packet"
	}
	return "another protocol"
}

// position is a byte of a TCP flow at its sequence number.
type position struct {
	flow string // addresses and ports
	seq  uint32
	b    byte
}

// carried counts the payload bytes of TCP packets, by position.
func carried(packets [][]byte) map[position]int {
	counts := map[position]int{}
	for _, b := range packets {
		h := packet.Parse(b)
		if h.Proto != 6 || h.PayloadOff == 0 {
			continue
		}
		off, addresses := h.L4Off, h.Addresses(b)
		flow, seq := string(addresses)+string(b[off:off+4]), binary.BigEndian.Uint32(b[off+4:])
		for i, c := range b[off+4*int(b[off+12]>>4):] {
			counts[position{flow, seq + uint32(i), c}]++
		}
	}
	return counts
}

// streams compares the payload of TCP flows, each byte at its sequence number, for an
// implementation that joins for its own stack: such a stack sorts the packets itself. A
// damaged packet may leave unchanged, since the stack drops it.
func streams(batch, frames [][]byte) (list []Violation) {
	damaged := func(b []byte) bool { return packet.Checksum(b) == packet.Wrong || !packet.WellFormed(b) }
	var out [][]byte
	for _, f := range frames {
		b := f[min(len(f), hdrLen):]
		if !damaged(b) || !slices.ContainsFunc(batch, func(p []byte) bool { return bytes.Equal(p, b) }) {
			out = append(out, b)
		}
	}
	was, is := carried(slices.DeleteFunc(slices.Clone(batch), damaged)), carried(out)
	missing, more := 0, 0
	for p, n := range was {
		missing += max(0, n-is[p])
	}
	for p, n := range is {
		more += max(0, n-was[p])
	}
	if missing > 0 {
		list = append(list, Violation{Property: "P2", What: "bytes of a TCP flow do not come out", Text: fmt.Sprintf("%d of them", missing)})
	}
	if more > 0 {
		list = append(list, Violation{Property: "P2", What: "bytes of a TCP flow come out that nobody sent", Text: fmt.Sprintf("%d of them", more)})
	}
	return list
}
