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

// BatchReport says what production makes of a batch.
type BatchReport struct {
	Packets []PacketReport `json:"packets"`
	Supers  []SuperReport  `json:"superpackets"`
}

// PacketReport says what became of one packet.
type PacketReport struct {
	Line     string `json:"packet"`
	Checksum string `json:"checksum,omitempty"` // TCP's or UDP's: right, partial, wrong or absent
	Reason   string `json:"reason"`
	// Of a Mismatch: the packet that would have come back changed, and how.
	Changed int                 `json:"changed,omitempty"`
	Fields  []packet.Difference `json:"fields,omitempty"`
}

// Why is the Reason, with the fields of a Mismatch.
func (p PacketReport) Why() string {
	var fields []string
	for _, f := range p.Fields {
		if len(p.Fields) > 1 && strings.HasSuffix(f.Field, ".checksum") {
			continue // follows from the others
		}
		fields = append(fields, f.Field+" "+f.GotText+", not "+f.WantText)
	}
	if fields == nil {
		return p.Reason
	}
	return fmt.Sprintf("%s: packet %d would come back with %s", p.Reason, p.Changed, strings.Join(fields, "; "))
}

// SuperReport says what a superpacket is, or what production makes of it.
type SuperReport struct {
	Packets  []int        `json:"packets,omitempty"`
	Vnet     pkts.VnetHdr `json:"vnet"`
	Line     string       `json:"packet"`
	Refused  string       `json:"refused,omitempty"`
	Segments []string     `json:"segments,omitempty"`

	Data     []byte   `json:"-"` // of the superpacket
	Produced [][]byte `json:"-"` // the segments
}

// Explain runs a scenario through production and says what came of it.
func Explain(s scenario.Scenario) ([]BatchReport, []SuperReport) {
	var batches []BatchReport
	co := law.NewCoalescer(s.Config)
	for _, batch := range s.Batches {
		var r BatchReport
		supers, reasons := law.Coalesce(co, batch)
		for i, b := range batch {
			p := PacketReport{Line: packet.Line(b), Checksum: packet.Checksum(b).String(), Reason: reasons[i]}
			if p.Reason == offload.Mismatch.String() {
				p.Changed, p.Fields = mismatch(s.Config, batch, i)
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

// mismatch joins packet i to the superpacket that was open to it, cuts that, and
// says how what comes back differs: of packet i, or, if it comes back unharmed,
// of the first member that does not.
func mismatch(c pkts.Config, batch [][]byte, i int) (int, []packet.Difference) {
	before, reasons := model.Coalesce(law.ModelConfig(c), batch[:i])
	id := model.Identify(batch[i])
	for k := len(before) - 1; k >= 0; k-- {
		members := before[k].Members
		latest := members[0]
		for _, m := range members {
			latest = max(latest, m)
		}
		if !id.Conflicts(model.Identify(batch[latest])) || slices.Contains(law.AdmissionReasons, reasons[latest]) {
			continue // not of its flow, or never open
		}
		members = append(append([]int(nil), members...), i)
		h, whole := model.Join(batch, members)
		segments, err := model.Segment(h, whole)
		if err != nil || len(segments) != len(members) {
			return i, []packet.Difference{{Field: "other boundaries", WantText: fmt.Sprintf("%d segments", len(members)), GotText: fmt.Sprint(len(segments))}}
		}
		for n := len(members) - 1; n >= 0; n-- {
			if d := packet.Diff(batch[members[n]], segments[n]); d != nil {
				return members[n], d
			}
		}
	}
	return i, nil
}
