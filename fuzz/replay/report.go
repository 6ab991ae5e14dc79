// SPDX-License-Identifier: MIT

package replay

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// Report is the result of replaying one file.
type Report struct {
	File   string        `json:"file"`
	Kind   capture.Kind  `json:"kind"`
	Notes  []string      `json:"notes,omitempty"`
	part                 // for a case or a crasher; the parts of a capture are written before
	Asked  []string      `json:"asked,omitempty"` // the questions that the kernel answered, with their number
	Record record.Result `json:"record"`

	asked    map[string]int // the questions for Asked
	gathered *gathered      // for a page, nil without one
}

// part is the result for some packets of a file.
type part struct {
	File       string        `json:"-"`
	Batches    []BatchReport `json:"batches,omitempty"`
	Supers     []SuperReport `json:"superpackets,omitempty"`
	Violations []violation   `json:"violations,omitempty"`

	packets, supers []int          // the numbers of packets and superpackets in a capture
	times           [2][]time.Time // of packets, of superpackets
}

// violation is a property that does not hold, and the fields that differ.
type violation struct {
	Property string              `json:"property"`
	Text     string              `json:"text"`
	Fields   []packet.Difference `json:"fields,omitempty"`

	want, got []byte // the packets that were compared, nil if none were
}

// String returns the violation as it is printed.
func (v violation) String() string { return fmt.Sprintf("VIOLATED %s: %s", v.Property, v.Text) }

// newReport returns the report of a file, with a record that holds so far.
func newReport(name string) *Report {
	return &Report{File: name, asked: map[string]int{}, Record: record.New("replay", "all", "replay", "model", 0, "packets", time.Now())}
}

// violate adds err, if it is not nil, as a violation. The record has the first one.
func (r *Report) violate(err error) {
	if err == nil {
		return
	}
	v := violation{Property: "P1", Text: err.Error()}
	var tv *law.Violation
	if errors.As(err, &tv) {
		v.Property, v.Fields, v.want, v.got = tv.Property, tv.Fields(), tv.Want, tv.Got
	}
	r.Violations = append(r.Violations, v)
	if r.Record.Result != record.Violated {
		r.Record.Result, r.Record.Detail = record.Violated, v.Text
	}
}

// show adds the results for the packets of a scenario. If production panics, it adds a
// violation.
func (r *Report) show(s scenario.Scenario) {
	r.violate(law.Attempt(func() error {
		r.Batches, r.Supers = Explain(s)
		return nil
	}))
}

// finish completes the record and the list of questions.
func (r *Report) finish(start time.Time) {
	r.Record.Seconds = time.Since(start).Seconds()
	r.Record.Method = string(r.Kind)
	for _, what := range slices.Sorted(maps.Keys(r.asked)) {
		r.Asked = append(r.Asked, fmt.Sprintf("%s: %d", what, r.asked[what]))
	}
	if len(r.Asked) > 0 {
		r.Record.Judge = "model, kernel"
	}
}

// print writes the report for people.
func (r *Report) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", r.File, r.Kind)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	r.part.print(w)
	for _, a := range r.Asked {
		fmt.Fprintf(w, "asked the kernel: %s\n", a)
	}
	fmt.Fprintln(w, r.verdict())
}

// verdict returns the verdict.
func (r *Report) verdict() string {
	switch {
	case r.Record.Result == record.Violated:
		return "VIOLATED: " + r.Record.Detail
	case r.Record.Result == record.NotRun:
		return fmt.Sprintf("stopped: every property holds for %s", record.Count(r.Record.Count, strings.TrimSuffix(r.Record.Unit, "s")))
	case r.Record.Count == 0:
		return "nothing to judge"
	}
	return fmt.Sprintf("holds: %s, every property of offload (tunproof check judges the packets themselves)", record.Count(r.Record.Count, strings.TrimSuffix(r.Record.Unit, "s")))
}

// print writes the part for people.
func (p *part) print(w io.Writer) {
	for i, b := range p.Batches {
		if p.packets == nil {
			fmt.Fprintf(w, "batch %d\n", i)
		} else {
			fmt.Fprintf(w, "batch of packets %s\n", indices(p.packets))
		}
		for k := range b.Packets {
			line, why := p.packetText(i, k)
			fmt.Fprintf(w, "  %s\n    %s\n", line, why)
		}
		for k, s := range b.Supers {
			fmt.Fprintf(w, "  %s\n    %v\n    %s\n", p.joinedText(i, k), s.Vnet, s.Line)
		}
	}
	for i := range p.Supers {
		line, more := p.superText(i)
		fmt.Fprintf(w, "%s\n  %s\n", line, strings.Join(more, "\n  "))
	}
	for _, v := range p.Violations {
		fmt.Fprintln(w, v)
	}
}

// packetText describes packet k of a batch, and says what became of it.
func (p *part) packetText(batch, k int) (line, why string) {
	packet := p.Batches[batch].Packets[k]
	packet.Changed = p.numbersOf(batch, []int{packet.Changed})[0]
	return fmt.Sprintf("packet %d: %s%s", p.numbersOf(batch, []int{k})[0], packet.Line, checksum(packet.Checksum)), packet.Why()
}

// joinedText names the packets of superpacket k of a batch.
func (p *part) joinedText(batch, k int) string {
	return fmt.Sprintf("superpacket %d: packets %s", k, indices(p.numbersOf(batch, p.Batches[batch].Supers[k].Packets)))
}

// superText describes superpacket i, and in more what became of it.
func (p *part) superText(i int) (line string, more []string) {
	s := p.Supers[i]
	more = []string{s.Line}
	if s.Refused != "" {
		more = append(more, "refused: "+s.Refused)
	}
	for k, segment := range s.Segments {
		more = append(more, fmt.Sprintf("segment %d: %s", k, segment))
	}
	return fmt.Sprintf("superpacket %d: %v", p.superNumber(i), s.Vnet), more
}

// checksum returns a note about a checksum that is not right, else "".
func checksum(class string) string {
	if class == "right" || class == "" {
		return ""
	}
	return ", checksum " + class
}

// numbersOf returns the numbers in the capture of packets of a batch, given their indices.
// For a case it returns the indices.
func (p *part) numbersOf(batch int, packets []int) []int {
	if p.packets == nil {
		return packets
	}
	var list []int
	for _, i := range packets {
		list = append(list, p.packets[i])
	}
	return list
}

// time returns the time at which packet i (kind 0) or superpacket i (kind 1) was captured.
func (p *part) time(kind, i int) time.Time {
	if i < len(p.times[kind]) {
		return p.times[kind][i]
	}
	return time.Unix(0, 0)
}

// superNumber returns the number of superpacket i in the capture; for a case, i.
func (p *part) superNumber(i int) int {
	if p.supers == nil {
		return i
	}
	return p.supers[i]
}

// indices returns a list of numbers with its ranges joined, such as "0-3,5".
func indices(list []int) string {
	var b strings.Builder
	for i := 0; i < len(list); i++ {
		first := i
		for i+1 < len(list) && list[i+1] == list[i]+1 {
			i++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d", list[first])
		if i > first {
			fmt.Fprintf(&b, "-%d", list[i])
		}
	}
	return b.String()
}
