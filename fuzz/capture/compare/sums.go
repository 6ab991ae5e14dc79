// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// spoiled returns the checksums that are right in u and wrong for the packet that they are in
// in w. No field that may differ excuses these.
func spoiled(u, w *unit) (fields []string) {
	if packet.HeaderRight(u.b) && !packet.HeaderRight(w.b) {
		fields = append(fields, "ip.checksum")
	}
	if packet.Checksum(u.b) == packet.Right && packet.Checksum(w.b) == packet.Wrong {
		fields = append(fields, l4Field(w))
	}
	return fields
}

// l4Field returns the name of the checksum of TCP or UDP.
func l4Field(u *unit) string {
	if u.Proto == 6 {
		return "tcp.checksum"
	}
	return "udp.checksum"
}

// outcome returns what changed packets must have in common to be reported alike, beside their
// fields: whether their checksums are right, and how much was taken from the TTL.
func outcome(u, w *unit, fields []packet.Difference) string {
	return fmt.Sprint(packet.HeaderRight(w.b), packet.Checksum(w.b), spoiled(u, w), fell(fields))
}

// hidden returns the differences of two units that are equal but for fields that may differ,
// if one of these is a checksum that became wrong. Of a superpacket that was cut, the checksum
// is not that of a packet.
func (m *Matcher) hidden(u, w *unit) (fields []packet.Difference) {
	if len(m.cfg.Ignore) == 0 || w.of != nil {
		return nil
	}
	bad := spoiled(u, w)
	if bad == nil {
		return nil
	}
	fields = slices.DeleteFunc(packet.Diff(u.b, w.b), func(d packet.Difference) bool { return !slices.Contains(bad, d.Field) })
	return withKept(u, w, fields, bad)
}

// withKept adds to differences the checksums that became wrong because they were kept.
func withKept(u, w *unit, fields []packet.Difference, bad []string) []packet.Difference {
	for _, f := range packet.Fields(w.b) {
		if !slices.Contains(bad, f.Name) || slices.ContainsFunc(fields, func(d packet.Difference) bool { return d.Field == f.Name }) {
			continue
		}
		was, is := u.b[f.Off:f.Off+f.Len], w.b[f.Off:f.Off+f.Len]
		fields = append(fields, packet.Difference{Field: f.Name, Off: f.Off, Want: was, Got: is, WantText: fmt.Sprintf("%x", was), GotText: fmt.Sprintf("%x", is)})
	}
	return fields
}

// headerSum returns the sum of an IPv4 header without its checksum.
func headerSum(b []byte) uint16 {
	return uint16(model.Sum(b[:10], b[12:min(len(b), 4*int(b[0]&15))]))
}

// headerChanges returns the words of the IPv4 header that changed beside the addresses.
func headerChanges(u, w []byte) (list []change) {
	for _, x := range []struct {
		name string
		at   int
	}{{"type of service", 0}, {"total length", 2}, {"ID", 4}, {"DF", 6}, {"TTL", 8}} {
		if a, b := u[x.at:x.at+2], w[x.at:x.at+2]; !bytes.Equal(a, b) {
			list = append(list, change{x.name, x.at, a, b})
		}
	}
	return list
}

// tellSums says of the checksums among the fields in which two units differ whether they are
// right after all that changed in the packet, and if not, what they should be. Those of a flow
// that was translated become those that w has in the capture. text is what a wrong one looks
// like.
func (m *Matcher) tellSums(u, w *unit, fields []packet.Difference) (sums map[string]string, text string) {
	sums = map[string]string{}
	raw := w.b       // what is in the capture
	var all []change // of addresses and ports
	to, translated := m.nat.to[w.flow.key]
	if translated {
		_, off := upper(w.b)
		raw, all = retarget(w.b, w.flow.key, to), changesOf(w.flow.key, to, off)
	}
	for i, d := range fields {
		if !strings.HasSuffix(d.Field, ".checksum") || len(d.Want) != 2 || len(d.Got) != 2 {
			continue
		}
		list := all
		was, got := binary.BigEndian.Uint16(u.b[d.Off:]), binary.BigEndian.Uint16(raw[d.Off:])
		var want uint16
		var right, changed bool
		switch {
		case d.Field == "ip.checksum":
			list = slices.DeleteFunc(slices.Clone(all), func(c change) bool { return strings.HasSuffix(c.name, "port") })
			list = append(list, headerChanges(u.b, raw)...)
			// What the checksum was wrong by before, it may be wrong by now.
			want = ^uint16(model.Sum(words(^was, ^headerSum(u.b), headerSum(raw))))
			right, changed = packet.HeaderRight(u.b) && packet.HeaderRight(raw), len(list) > 0
		case translated && d.Field == "udp.checksum" && was == 0:
			text = "the datagram had no checksum, and it was updated as if it had one"
			changed = true
		case translated && d.Field == "udp.checksum" && got == 0:
			text, want = "the datagram had a checksum, and has none", updated(was, list)
			changed = true
		case packet.Checksum(u.b) == packet.Right && slices.Contains([]packet.Class{packet.Right, packet.Wrong}, packet.Checksum(raw)):
			_, want, _ = packet.RightSum(raw)
			right, changed = packet.Checksum(raw) == packet.Right, true
		default:
			want, changed = updated(was, list), translated
		}
		fields[i].WantText, fields[i].GotText = fmt.Sprintf("%04x", was), fmt.Sprintf("%04x", got)
		if translated {
			fields[i].Want, fields[i].Got = words(want), words(got)
		}
		switch {
		case !changed && slices.Contains(spoiled(u, w), d.Field):
			sums[d.Field] = "wrong for its packet"
		case !changed:
		case right && d.Field == "ip.checksum":
			sums[d.Field] = "right for the new header"
		case right:
			sums[d.Field] = "right for the new packet"
		default:
			if cause := missedUpdate(was, got, list); cause != "" && text == "" {
				text = cause
			}
			if want == was {
				sums[d.Field] = "wrong for its packet"
			} else {
				sums[d.Field] = fmt.Sprintf("should have become %04x", want)
			}
		}
	}
	return sums, text
}

// words returns 16-bit numbers as bytes.
func words(list ...uint16) (b []byte) {
	for _, v := range list {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}
