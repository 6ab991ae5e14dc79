// SPDX-License-Identifier: MIT

package replay

import (
	"fmt"
	"slices"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
	"tunproof/offload"
)

// BatchReport is the result of production for one batch.
type BatchReport struct {
	Packets []PacketReport `json:"packets"`
	Supers  []SuperReport  `json:"superpackets"`
}

// PacketReport is the result of production for one packet of a batch.
type PacketReport struct {
	Line     string `json:"packet"`
	Checksum string `json:"checksum,omitempty"` // of TCP or UDP: right, partial, wrong or absent
	Reason   string `json:"reason"`
	// Changed and Fields explain a Mismatch: if the packet had joined, packet Changed would
	// have come back with these fields changed.
	Changed int                 `json:"changed,omitempty"`
	Fields  []packet.Difference `json:"fields,omitempty"`
	Back    []byte              `json:"-"` // packet Changed as it would have come back; nil if no packet would
}

// Why returns the Reason, and for a Mismatch the fields that would have changed.
func (p PacketReport) Why() string {
	var fields []string
	for _, f := range p.Fields {
		if f.Field == segmentCount {
			return fmt.Sprintf("%s: the superpacket would be cut into %s segments, not %s", p.Reason, f.GotText, f.WantText)
		}
		if len(p.Fields) > 1 && strings.HasSuffix(f.Field, ".checksum") {
			continue // a checksum changes with any other field
		}
		fields = append(fields, f.Field+" "+f.GotText+", not "+f.WantText)
	}
	if fields == nil {
		return p.Reason
	}
	return fmt.Sprintf("%s: packet %d would come back with %s", p.Reason, p.Changed, strings.Join(fields, "; "))
}

// segmentCount is the Field of a Difference that is not in a packet: the superpacket is cut
// into another number of segments than it has packets.
const segmentCount = "number of segments"

// SuperReport is a superpacket: one that production made of a batch, with its Packets, or
// one that production was to cut, with its Segments or the error class.
type SuperReport struct {
	Packets  []int        `json:"packets,omitempty"`
	Vnet     pkts.VnetHdr `json:"vnet"`
	Line     string       `json:"packet"`
	Refused  string       `json:"refused,omitempty"`
	Segments []string     `json:"segments,omitempty"`

	Data     []byte   `json:"-"` // the superpacket
	Produced [][]byte `json:"-"` // the segments
}

// Explain runs a scenario through production and returns a report for each batch and for
// each superpacket.
func Explain(s scenario.Scenario) ([]BatchReport, []SuperReport) {
	var batches []BatchReport
	co := law.NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		var r BatchReport
		supers, reasons := law.Coalesce(co, batch)
		for i, b := range batch {
			p := PacketReport{Line: packet.Line(b), Checksum: packet.Checksum(b).String(), Reason: reasons[i]}
			if p.Reason == offload.Mismatch.String() {
				p.Changed, p.Fields, p.Back = mismatch(s.Config, batch, i)
			}
			r.Packets = append(r.Packets, p)
		}
		for _, p := range supers {
			r.Supers = append(r.Supers, SuperReport{Packets: p.Members, Vnet: p.Hdr, Line: packet.Line(p.Data), Data: p.Data})
		}
		batches = append(batches, r)
	}
	var list []SuperReport
	var seg offload.Segmenter
	for _, p := range s.Supers {
		r := SuperReport{Vnet: p.Hdr, Line: packet.Line(p.Data), Data: p.Data}
		segments, refused, err := law.Segment(&seg, p)
		if err != nil {
			refused = err.Error()
		}
		r.Refused, r.Produced = refused, segments
		for _, b := range segments {
			r.Segments = append(r.Segments, packet.Line(b))
		}
		list = append(list, r)
	}
	return batches, list
}

// mismatch explains why packet i of a batch has Reason Mismatch. It joins the packet to the
// superpacket that was open to it, cuts that, and compares the segments with the packets.
// It returns the last packet that comes back changed, the fields that differ, and the packet
// as it comes back.
func mismatch(c pkts.Config, batch [][]byte, i int) (changed int, fields []packet.Difference, back []byte) {
	before, reasons := model.Coalesce(law.ModelConfig(c), batch[:i])
	id := model.Identify(batch[i])
	for k := len(before) - 1; k >= 0; k-- {
		members := before[k].Members
		latest := members[0]
		for _, m := range members {
			latest = max(latest, m)
		}
		if !id.Conflicts(model.Identify(batch[latest])) || slices.Contains(law.AdmissionReasons, reasons[latest]) {
			continue // of another flow, or never open
		}
		members = append(append([]int(nil), members...), i)
		h, whole := model.Join(batch, members)
		segments, err := model.Segment(h, whole)
		if err != nil || len(segments) != len(members) {
			return i, []packet.Difference{{Field: segmentCount, WantText: fmt.Sprint(len(members)), GotText: fmt.Sprint(len(segments))}}, nil
		}
		for n := len(members) - 1; n >= 0; n-- {
			if d := packet.Diff(batch[members[n]], segments[n]); d != nil {
				return members[n], d, segments[n]
			}
		}
	}
	return i, nil, nil
}
