// SPDX-License-Identifier: MIT

package conform

import (
	"bytes"
	"fmt"
	"slices"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// supers cuts superpackets one after another with one Segment. It returns the violations
// and how many superpackets were given and how many compared. Those that no kernel hands
// out are given but not compared: they must only not panic.
func (i Impl) supers(supers []scenario.Super) (list []Violation, given, compared int) {
	cut := i.NewSegmenter()
	for k, s := range supers {
		want, refused := model.Segment(model.VnetHdr(s.Hdr), s.Data)
		judged := refused == nil && handedOut(s) && !(i.NoECN && s.Hdr.GSOType&0x80 != 0)
		tooLong := func(p []byte) bool { return i.MaxPacket > 0 && len(p) > i.MaxPacket }
		switch {
		case len(s.Data) > room || slices.ContainsFunc(want, tooLong):
			continue // no kernel hands out more, and longer segments have no room
		case i.Takes != nil && (!judged || len(want) < 2 || s.Hdr.GSOSize < 8 || slices.ContainsFunc(want, func(p []byte) bool { return !i.Takes(p) })):
			continue
		}
		given++
		segments, err := cut(Frame(s.Hdr, s.Data))
		if !judged {
			continue
		}
		compared++
		place := fmt.Sprintf("superpacket %d: %v, %s", k, s.Hdr, packet.Line(s.Data))
		switch {
		case err != nil:
			list = append(list, Violation{Property: "P4", What: "refuses what a kernel hands out: " + unnumbered(err.Error()), Text: place, Rule: "S"})
		case len(segments) != len(want):
			list = append(list, Violation{Property: "P4", What: "another number of segments", Text: fmt.Sprintf("%s: %d segments, want %d", place, len(segments), len(want)), Rule: "S1"})
		default:
			for n := range want {
				if !bytes.Equal(want[n], segments[n]) {
					fields := packet.Diff(want[n], segments[n])
					list = append(list, Violation{Property: "P4", What: first(fields) + " is another" + cause(want[n], segments[n], fields), Text: fmt.Sprintf("%s: segment %d of %d", place, n, len(want)), Rule: "S", Want: want[n], Got: segments[n]})
					break
				}
			}
		}
	}
	return list, given, compared
}

// handedOut reports whether a kernel hands out such a superpacket: its VnetHdr matches the
// headers, lengths and header checksum are right, and the checksum is partial.
func handedOut(s scenario.Super) bool {
	h := packet.DeriveVnet(s.Data, s.Hdr.GSOSize)
	h.GSOType |= s.Hdr.GSOType & 0x80
	right := bytes.Clone(s.Data)
	packet.Fix(right, packet.FixAll&^packet.FixL4Csum|packet.FixPartial)
	return s.Hdr.GSOType != 0 && s.Hdr == h && bytes.Equal(right, s.Data)
}
