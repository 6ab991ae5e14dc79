// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// These are the values of Finding.What.
const (
	Changed    = "changed"    // it has other bytes after the offload
	Lost       = "lost"       // it is only in the capture before
	Duplicated = "duplicated" // it is in the capture after more often than before
	Extra      = "extra"      // it is only in the capture after
	Reordered  = "reordered"  // it changed places with packets of its flow
)

// Finding is a packet that did not come through unchanged and in its place, or several
// packets that are reported alike.
type Finding struct {
	What     string              `json:"what"`
	Packets  [2]int              `json:"packets"`         // numbers in the captures, before and after, from 1; 0 where there is none
	Segments [2]int              `json:"segments"`        // the numbers of segments, from 1, if the packets are superpackets that were cut; 0 if not
	Count    int                 `json:"count"`           // packets and segments that are reported alike; the rest is about the first
	Runs     [2][]Run            `json:"runs"`            // the numbers of their packets, before and after
	Bytes    int                 `json:"bytes,omitempty"` // of all that is lost or extra
	Fields   []packet.Difference `json:"fields,omitempty"`
	Sums     map[string]string   `json:"sums,omitempty"` // what is said of the checksums among the fields
	Rule     string              `json:"rule"`
	Text     string              `json:"text,omitempty"`
	Packet   string              `json:"packet,omitempty"` // the lost or extra packet in words
	Data     [2][]byte           `json:"-"`                // the packet or segment, before and after; nil if only the packet's number is known

	flow packet.Flow
	at   int  // which packet of its flow it is; 0 if it has no place there
	of   int  // the number of segments of its superpacket, 0 if it was not cut
	part bool // only some of its bytes
	flaw bool // of a superpacket whose segments came through
	// hop reports whether a hop between the captures can have made the change: it is in
	// fields that hops change, and the checksums are as right as before.
	hop     bool
	spoiled []string // the checksums that were right and are wrong
	outcome string   // of a change: what those have in common that are reported alike
}

// FieldNames returns the names of the fields that changed.
func (f Finding) FieldNames() []string {
	var names []string
	for _, d := range f.Fields {
		names = append(names, d.Field)
	}
	return names
}

// String returns the finding as the report shows it: one line, and one for each
// field that changed.
func (f Finding) String() string {
	var places []string
	for side, name := range [...]string{"before", "after"} {
		if f.Packets[side] == 0 {
			continue
		}
		place := fmt.Sprint(name, " ", f.Packets[side])
		if r := f.Runs[side]; len(r) > 1 || len(r) == 1 && r[0][0] < r[0][1] {
			place = name + " " + capture.RunsText(f.Runs[side])
		} else if f.Segments[side] > 0 {
			place += fmt.Sprint(" segment ", f.Segments[side])
		}
		places = append(places, place)
	}
	s := strings.Join(places, ", ") + ": " + f.What
	if f.Count > 1 {
		s += fmt.Sprintf(" (%d times)", f.Count)
		if len(f.Fields) > 0 {
			s += ", with the values of the first"
		}
		if f.Bytes > 0 {
			s += ", " + record.Count(f.Bytes, "byte")
		}
	}
	text := f.Text
	if f.What == Duplicated && f.Count > 1 && text != "" {
		text = "for example " + text
	}
	for _, text := range []string{text, f.Packet} {
		if text != "" {
			s += ": " + text
		}
	}
	for _, d := range f.Fields {
		s += fmt.Sprintf("\n  %s (offset %d): %s", d.Field, d.Off, d.GotText)
		switch sum := f.Sums[d.Field]; {
		case sum == "":
			s += ", was " + d.WantText
		case !strings.HasPrefix(sum, "should"):
			s += fmt.Sprintf(" (%s), was %s", sum, d.WantText)
		default:
			s += fmt.Sprintf(", was %s, which %s", d.WantText, sum)
		}
	}
	return s + " [" + f.Rule + "]"
}

// hopFields are the fields that a router changes, with the checksum that follows from them.
var hopFields = []string{"ip.ttl", "ip.hop_limit", "ip.tos", trafficClass, "ip.checksum"}

// trafficClass is the IPv6 field that has the traffic class. It also has the flow label,
// which no router changes.
const trafficClass = "ip.version_tc_label"

// byHop reports whether a hop between the captures can have changed u to w. A checksum
// alone is no hop's change, and no hop makes a right one wrong.
func byHop(u, w *unit, fields []packet.Difference) bool {
	other := false
	for _, d := range fields {
		if !slices.Contains(hopFields, d.Field) || d.Field == trafficClass && !onlyClass(d) {
			return false
		}
		other = other || d.Field != "ip.checksum"
	}
	return other && packet.Checksum(u.b) == packet.Checksum(w.b) && (packet.HeaderRight(w.b) || !packet.HeaderRight(u.b))
}

// onlyClass reports whether the version and the flow label of an IPv6 header are unchanged.
func onlyClass(d packet.Difference) bool {
	was, is := binary.BigEndian.Uint32(d.Want), binary.BigEndian.Uint32(d.Got)
	return (was^is)&0xF00FFFFF == 0
}

// blame returns the rule that a change breaks, and what the change looks like. The
// rule is that of the first changed field that does not just follow from another; one that a
// hop changes comes after all others.
func blame(u, w *unit, fields []packet.Difference) (rule, text string) {
	was, is := packet.Checksum(u.b), packet.Checksum(w.b)
	if was == packet.Wrong && is == packet.Right {
		return "C1.l4_checksum", "the checksum was wrong and is right: a receiver can no longer see the damage"
	}
	if was == packet.Absent && is == packet.Right {
		return "C1.absent", "the sender sent no checksum, and one was added"
	}
	for _, hop := range []bool{false, true} {
		for _, d := range fields {
			if d.Field == "ip.payload_length" && w.Extensions > 0 && len(w.b)-w.IPLen == w.Extensions {
				return "S3.extension", "the extension headers are not counted"
			}
			follows := len(fields) > 1 && slices.Contains([]string{"ip.checksum", "tcp.checksum", "udp.checksum", "length"}, d.Field)
			if rule := ruleOf(d); rule != "" && !follows && slices.Contains(hopFields, d.Field) == hop {
				return rule, andAlso(shortened(u, w), received(u, w, fields))
			}
		}
	}
	return "P2", andAlso(shortened(u, w), received(u, w, fields))
}

// andAlso returns two texts as one; either may be "".
func andAlso(a, b string) string {
	if a != "" && b != "" {
		a += "; "
	}
	return a + b
}

// received returns what a receiver sees of a payload that changed: whether the checksum
// betrays it. It is "" if the payload did not change, or the checksum was wrong before.
func received(u, w *unit, fields []packet.Difference) string {
	if !slices.ContainsFunc(fields, func(d packet.Difference) bool {
		return d.Field == "payload" || d.Field == "length" && packet.WellFormed(w.b)
	}) {
		return ""
	}
	was, is := packet.Checksum(u.b), packet.Checksum(w.b)
	kept := !slices.ContainsFunc(packet.Diff(u.b, w.b), func(d packet.Difference) bool { return d.Field == l4Field(w) }) // also if it is ignored
	switch {
	case is == packet.Absent:
		return "there is no checksum: the receiver takes it"
	case was != packet.Right:
		return ""
	case w.partial():
		return "the checksum is partial, and whatever completes it covers the change: the receiver takes it"
	case is == packet.Wrong && kept:
		return "the checksum was kept: the receiver drops it"
	case is == packet.Wrong:
		return "the checksum was changed, and is wrong: the receiver drops it"
	case is == packet.Right && kept:
		return "the checksum was kept, and is right even so: the receiver takes it"
	case is == packet.Right:
		return "the checksum was computed again and is right: the receiver takes it"
	}
	return ""
}

// shortened returns how much of the payload's end is missing, or "" if the payload
// changed otherwise.
func shortened(u, w *unit) string {
	n := len(u.payload()) - len(w.payload())
	if n <= 0 || len(w.payload()) == 0 || !bytes.HasPrefix(u.payload(), w.payload()) {
		return ""
	}
	return "missing at the end of the payload: " + record.Count(n, "byte")
}

// ruleOf returns the rule in docs/rules.md that protects a field, or "".
func ruleOf(d packet.Difference) string {
	switch d.Field {
	case "ip.id":
		return "E.id"
	case "ip.tos":
		return "E.tos"
	case "ip.ttl", "ip.hop_limit":
		return "E.ttl"
	case "ip.frag":
		return "E.df"
	case trafficClass:
		return "E.label"
	case "ip.total_length", "ip.payload_length":
		return "C1.length"
	case "ip.checksum":
		return "C1.ip_checksum"
	case "ip.extension":
		return "S3.extension"
	case "tcp.seq":
		return "E.seq"
	case "tcp.ack":
		return "E.ack"
	case "tcp.window":
		return "E.window"
	case "tcp.doff":
		return "E.reserved"
	case "tcp.urgent_pointer":
		return "E.urgent"
	case "tcp.options":
		return "E.options"
	case "tcp.checksum", "udp.checksum":
		if bytes.Equal(d.Want, []byte{0xFF, 0xFF}) || bytes.Equal(d.Got, []byte{0, 0}) {
			return "C1.zero"
		}
		return "C1.l4_checksum"
	case "udp.length":
		return "C1.udp_length"
	case "tcp.flags":
		if len(d.Want) == 1 && len(d.Got) == 1 {
			switch x := d.Want[0] ^ d.Got[0]; {
			case x&^9 == 0:
				return "E.last"
			case x == 0x80:
				return "S4.cwr"
			}
		}
		return "E.flags"
	case "length":
		return "C1.length"
	}
	return ""
}

// sortFindings puts findings in the order of their packets.
func sortFindings(list []Finding) { slices.SortStableFunc(list, Order) }

// Order compares two findings by their places in a report.
func Order(f, g Finding) int {
	return cmp.Compare(max(f.Packets[Before], f.Packets[After]), max(g.Packets[Before], g.Packets[After]))
}
