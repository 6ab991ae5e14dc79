package compare

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

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

// Finding is a packet that did not come through unchanged and in its place.
type Finding struct {
	What    string              `json:"what"`
	Packets [2]int              `json:"packets"` // numbers in the captures, before and after; 0 where there is none
	Segment int                 `json:"segment"` // index of the segment if a superpacket was cut, from 0
	Count   int                 `json:"count"`   // if over 1: the segments that changed alike, or the packets of a flow
	Fields  []packet.Difference `json:"fields,omitempty"`
	Rule    string              `json:"rule"`
	Text    string              `json:"text,omitempty"`

	of [2]int // the numbers of the packets that changed; 0 for segments that were cut
	// hop reports whether a hop between the captures can have made the change: it is in
	// fields that hops change, and the checksums are as right as before.
	hop bool
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
	var s string
	switch {
	case f.Packets[Before] == 0:
		s = fmt.Sprintf("after %d", f.Packets[After])
	case f.Packets[After] == 0:
		s = fmt.Sprintf("before %d", f.Packets[Before])
	default:
		s = fmt.Sprintf("before %d, after %d", f.Packets[Before], f.Packets[After])
	}
	s += ": " + f.What
	if f.Count > 1 {
		s += fmt.Sprintf(" (%d times)", f.Count)
	}
	if f.Text != "" {
		s += ": " + f.Text
	}
	for _, d := range f.Fields {
		s += fmt.Sprintf("\n  %s (offset %d): %s, was %s", d.Field, d.Off, d.GotText, d.WantText)
	}
	return s + " [" + f.Rule + "]"
}

// hopFields are the fields that a router or a translator changes, with the checksums that
// follow from them.
var hopFields = []string{"ip.ttl", "ip.hop_limit", "ip.tos", "ip.version_tc_label", "ip.checksum", "ip.src", "ip.dst",
	"tcp.sport", "tcp.dport", "udp.sport", "udp.dport", "tcp.checksum", "udp.checksum"}

// byHop reports whether a hop between the captures can have changed u to w. Checksums
// alone are no hop's change, and no hop makes a right one wrong.
func byHop(u, w *unit, fields []packet.Difference) bool {
	other := false
	for _, d := range fields {
		if !slices.Contains(hopFields, d.Field) {
			return false
		}
		other = other || !strings.HasSuffix(d.Field, ".checksum")
	}
	return other && packet.Checksum(u.b) == packet.Checksum(w.b) && (packet.HeaderRight(w.b) || !packet.HeaderRight(u.b))
}

// blame returns the rule that a change breaks, and what the change looks like. The
// rule is that of the first changed field that does not just follow from another.
func blame(u, w *unit, fields []packet.Difference) (rule, text string) {
	was, is := packet.Checksum(u.b), packet.Checksum(w.b)
	if was == packet.Wrong && is == packet.Right {
		return "C1.l4_checksum", "the checksum was wrong and is right: a receiver can no longer see the damage"
	}
	if was == packet.Absent && is == packet.Right {
		return "C1.absent", "the sender sent no checksum, and one was added"
	}
	for _, d := range fields {
		if d.Field == "ip.payload_length" && w.Extensions > 0 && len(w.b)-w.IPLen == w.Extensions {
			return "S3.extension", "the extension headers are not counted"
		}
		if rule := ruleOf(d); rule != "" && (len(fields) == 1 || d.Field != "ip.checksum" && d.Field != "tcp.checksum" && d.Field != "udp.checksum" && d.Field != "length") {
			return rule, shortened(u, w)
		}
	}
	return "P2", shortened(u, w)
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
	case "ip.version_tc_label":
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

// otherEmpty returns the finding for a capture of n packets if the other is empty.
func otherEmpty(side, n int) Finding {
	f := Finding{What: Lost, Count: n, Rule: "P2", Text: "every packet of this capture; the other one is empty"}
	if side == After {
		f.What = Extra
	}
	f.Packets[side] = 1
	return f
}

// sortFindings puts findings in the order of their packets.
func sortFindings(list []Finding) {
	slices.SortStableFunc(list, func(x, y Finding) int {
		return cmp.Compare(max(x.Packets[Before], x.Packets[After]), max(y.Packets[Before], y.Packets[After]))
	})
}
