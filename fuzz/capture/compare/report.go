// SPDX-License-Identifier: MIT

package compare

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// Report is the result of comparing two captures.
type Report struct {
	Before    string         `json:"before"`
	After     string         `json:"after"`
	Ignored   []string       `json:"ignored,omitempty"` // fields that -ignore left out
	Notes     []string       `json:"notes,omitempty"`
	Told      []Told         `json:"told,omitempty"`
	Summary   Summary        `json:"summary"`
	NotJudged []NotJudged    `json:"not_judged,omitempty"`
	What      map[string]int `json:"what,omitempty"` // the number of findings, by what happened
	Findings  []Finding      `json:"findings,omitempty"`
	Record    record.Result  `json:"record"`

	kinds   []Kind
	loss    loss
	more    int // findings that are not in Findings
	size    int // Config.Size
	all     int // segments before that came through, changed or not, or are lost
	cut     int // records that a capture cut, if it has fewer others
	whyCut  string
	stopped bool // an error ended the comparison early
}

// NotJudged is something that the captures do not show, with the number of packets or
// segments that it is about.
type NotJudged struct {
	What  string `json:"what"`
	Count int    `json:"count"`
}

const sameChanges = 20 // least changes in the same fields that get a note

// Translations compares two captures and returns the flows of the second whose addresses or
// ports are others in the first, with what they are there. It calls each with each finding.
func Translations(ctx context.Context, in [2]*capture.Source, each func(Finding)) (map[packet.Flow]packet.Flow, error) {
	m := New(Config{}, each)
	c := newClock(in, DefaultAhead, m.cfg.FarBehind())
	err := m.readAll(ctx, in, c, capture.NewProgress(io.Discard, "compare", in[0], in[1]), func() int { return 0 })
	return m.nat.from, err
}

// readAll takes the packets of two captures, in the order of their times. found returns the
// number of findings so far.
func (m *Matcher) readAll(ctx context.Context, in [2]*capture.Source, c *clock, progressed *capture.Progress, found func() int) error {
	for {
		side, p, err := c.take(m)
		if err != nil {
			return err
		}
		if p == nil {
			break
		}
		m.cuts = [2]pcap.Cuts{in[0].Cuts(), in[1].Cuts()}
		if err := m.Add(side, *p); err != nil {
			return fmt.Errorf("%s: packet %d: %w", in[side].Name, p.Number, err)
		}
		if err := progressed.Step(ctx, found()); err != nil {
			return err
		}
	}
	m.cuts = [2]pcap.Cuts{in[0].Cuts(), in[1].Cuts()}
	if m.Finish(ctx) != nil {
		return capture.ErrInterrupted
	}
	return nil
}

// Files compares two captures. The report has at most most findings. If there is an
// error, the report covers the packets before it. An interrupt ends a stream like its end,
// and the packets of the other capture are read to theirs. Two files it ends with an error.
func Files(ctx context.Context, progress io.Writer, in [2]*capture.Source, cfg Config, most int) (*Report, error) {
	start := time.Now()
	found := newFolder(most)
	add := func(f Finding) {
		if cfg.Each != nil {
			cfg.Each(f)
		}
		found.add(f)
	}
	m := New(cfg, add)
	ctx = capture.Until(ctx, in[:]...)
	c := newClock(in, cmp.Or(cfg.Ahead, DefaultAhead), cfg.FarBehind())
	err := m.readAll(ctx, in, c, capture.NewProgress(progress, "compare", in[0], in[1]), found.total)
	for side, n := range m.Summary.Packets {
		if n > 0 && m.Summary.Packets[1-side] == 0 && m.cuts[1-side].N == 0 && err == nil && found.total() == 0 {
			f := Finding{What: [...]string{Lost, Extra}[side], Count: n, Rule: "P2", Text: "every packet of this capture; the other one is empty"}
			f.Packets[side] = 1
			add(f)
		}
	}
	r := &Report{Before: in[0].Name, After: in[1].Name, Ignored: cfg.Ignore, Summary: m.Summary, Told: m.Told(), What: found.what, Findings: found.findings(),
		kinds: found.sortedKinds(), loss: found.loss, more: found.more, size: cfg.Size, stopped: err != nil,
		Record: record.New("compare", "P2", "captures", "model", m.Summary.came(), "segments", start)}
	r.all = m.Summary.Segments + found.what[Changed] - found.flaws + found.what[Lost]
	r.note(in, c, found, m)
	r.NotJudged = r.notJudged(in)
	if cuts := [2]int{in[0].Cuts().N, in[1].Cuts().N}; cuts[0] > m.Summary.Packets[0] || cuts[1] > m.Summary.Packets[1] {
		r.cut, r.whyCut = cuts[0]+cuts[1], in[0].WhyCut()
		if cuts[0] == 0 {
			r.whyCut = in[1].WhyCut()
		}
	}
	switch n := r.leftOut(); {
	case r.Summary.came() == 0:
		r.Record.Result, r.Record.Detail = record.NotRun, "no packet is in both captures"
	case r.cut > 0:
		r.Record.Result, r.Record.Detail = record.NotRun, fmt.Sprintf("%s came through unchanged, but %s were %s", record.Count(r.Summary.came(), "segment"), record.Count(r.cut, "record"), r.whyCut)
	case n > r.Summary.came():
		r.Record.Result, r.Record.Detail = record.NotRun, fmt.Sprintf("%s came through unchanged, but %s were not compared", record.Count(r.Summary.came(), "segment"), units(n))
	}
	record.JudgeFindings(&r.Record, found.total(), r.Findings, err)
	return r, err
}

// came returns how many packets and segments came through.
func (s *Summary) came() int { return s.Segments + max(s.Recut[Before], s.Recut[After]) }

// note adds the notes: what must be known about the captures and the comparison.
func (r *Report) note(in [2]*capture.Source, c *clock, found *folder, m *Matcher) {
	add := func(format string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) }
	for _, i := range in {
		for _, n := range i.Notes() {
			add("%s: %s", i.Name, n)
		}
	}
	if in[Before].Name == in[After].Name {
		add("both captures are the same file")
	}
	switch n := m.sized; {
	case n[1] > 0:
		add("-size %d is not the size of %s: the captures show another", r.size, record.Count(n[1], "superpacket"))
	case r.size > 0 && n[0] == 0:
		add("-size %d had no effect: no superpacket was cut", r.size)
	}
	if n := m.presumed; n > 0 {
		add("%s with a partial checksum taken for UDP superpackets; where the VnetHdr has no GSO type, each is one datagram", record.Count(n, "packet"))
	}
	if note := c.note(); note != "" {
		add("%s", note)
	}
	for _, t := range r.Told {
		add("%s", t.Text)
	}
	for side, n := range r.Summary.Outside {
		switch {
		case n == 0:
		case r.Summary.came() == 0:
			add("%s: not compared: %s, because none is in both captures", in[side].Name, units(n))
		default:
			add("%s: not compared: %s before the first or after the last one that is in both captures; if both captures were running then, count this as %s", in[side].Name, units(n), [...]string{Lost, Extra}[side])
		}
	}
	for side, n := range r.Summary.Snapped {
		if n > 0 {
			add("%s: not compared: %s that may be among the records that the other capture cut or left out", in[side].Name, units(n))
		}
	}
	if n := r.Summary.Unresolved; n > 0 {
		add("not compared: %s that the other capture has with other boundaries; nothing shows how long their segments are; -size N sets it", record.Count(n, "superpacket"))
	}
	for _, names := range slices.Sorted(maps.Keys(found.hops)) {
		n, all := 0, 0
		for _, k := range found.hops[names] {
			n, all = max(n, k), all+k
		}
		if n < sameChanges || 2*n <= r.What[Changed] {
			continue
		}
		advice := "-ignore " + names + " leaves them out"
		if all > n {
			advice += fmt.Sprintf(", and hides %d whose TTL changed by another number", all-n)
		}
		if strings.Contains(names, trafficClass) {
			advice = "only the traffic class differs"
		}
		add("%d of %d changes are in %s, as if a router between the captures had made them; %s", n, r.What[Changed], names, advice)
	}
}

// notJudged returns what the captures do not show.
func (r *Report) notJudged(in [2]*capture.Source) (list []NotJudged) {
	s := &r.Summary
	for _, x := range []struct {
		n    int
		what string
	}{
		{s.Outside[Before] + s.Outside[After], "packets or segments outside the time that both captures have"},
		{s.Snapped[Before] + s.Snapped[After], "packets or segments that may be among records that were cut or left out"},
		{s.Unresolved, "superpackets of unknown segment size"},
		{in[Before].Left() + in[After].Left(), "records that were left out"},
		{s.Copies, "equal packets, as to their order"},
		{s.Whole, "superpackets that were not cut, as to IDs and flags inside"},
		{s.AtomicIDs, "segments with DF, as to their IDs"},
		{s.Uncompleted, "packets whose checksum is only partial after, as to whether something completes it"},
	} {
		if x.n > 0 {
			list = append(list, NotJudged{x.what, x.n})
		}
	}
	return list
}

// units returns a number of packets or segments as text.
func units(n int) string {
	if n == 1 {
		return "1 packet or segment"
	}
	return fmt.Sprint(n, " packets or segments")
}

// leftOut returns how many packets and segments were not compared. If they are more
// than those that were compared, there is no verdict.
func (r *Report) leftOut() int {
	return r.Summary.Outside[0] + r.Summary.Outside[1] + r.Summary.Snapped[0] + r.Summary.Snapped[1] + r.Summary.Unresolved
}

// Print writes the report for people: the verdict, what it is about, and the findings.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintln(w, r.Verdict())
	counted := r.Counted()
	for _, line := range counted[:2] {
		fmt.Fprintln(w, line)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	if len(r.kinds) > 1 {
		for _, k := range r.kinds {
			fmt.Fprintf(w, "%7d  %s [%s]\n", k.N, k.Name, k.Rule)
		}
	}
	for _, line := range counted[2:] {
		fmt.Fprintln(w, line)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%v\n", f)
	}
	if r.more > 0 {
		fmt.Fprintf(w, "and %d more; -max shows more\n", r.more)
	}
}

// Counted returns lines about what was compared: one for each capture and, if packets were
// lost, one about these.
func (r *Report) Counted() (lines []string) {
	read := ""
	if r.stopped {
		read = " read"
	}
	for side, name := range [...]string{r.Before, r.After} {
		lines = append(lines, fmt.Sprintf("%-7s %s: %s%s, %s cut into segments", [...]string{"before:", "after:"}[side], name, record.Count(r.Summary.Packets[side], "packet"), read, record.Count(r.Summary.Cut[side], "superpacket")))
	}
	if l := r.loss; l.packets > 1 {
		line := fmt.Sprintf("lost: %s, %s, in %s", record.Count(l.packets, "packet"), record.Count(l.bytes, "byte"), record.Count(l.runs, "run"))
		if l.runs > 1 {
			line += fmt.Sprintf(", the longest of %s", record.Count(l.longest, "packet"))
		}
		if where := l.where(); where != "" {
			line += "; " + where
		}
		lines = append(lines, line)
	}
	return lines
}

// Kinds returns the kinds of findings, the most frequent first.
func (r *Report) Kinds() []Kind { return r.kinds }

// More returns the number of findings that are not in r.Findings.
func (r *Report) More() int { return r.more }

// Verdict returns the verdict, with what it is about.
func (r *Report) Verdict() string {
	segments := record.Count(r.Summary.Segments, "segment")
	came := segments + " came through unchanged, in order"
	if recut := r.Summary.Recut; recut != [2]int{} {
		came += fmt.Sprintf("; %s came through as %d with other boundaries", record.Count(recut[Before], "packet"), recut[After])
		if r.Summary.Segments == 0 {
			came = came[strings.Index(came, "; ")+2:]
		}
	}
	s := ""
	switch {
	case len(r.What) > 0:
		var list []string
		for _, what := range []string{Changed, Lost, Duplicated, Extra, Reordered} {
			if n := r.What[what]; n > 0 {
				list = append(list, fmt.Sprint(n, " ", what))
			}
		}
		s = fmt.Sprintf("VIOLATED: %s; %d of %s came through unchanged", strings.Join(list, ", "), r.Summary.Segments, record.Count(r.all, "segment"))
		if _, recut, cut := strings.Cut(came, "; "); cut {
			s += "; " + recut
		}
		if r.cut > 0 {
			s += fmt.Sprintf("; %s not judged: %s", record.Count(r.cut, "record"), r.whyCut)
		}
	case r.stopped:
		return fmt.Sprintf("stopped: %s came through unchanged; there was no search for lost or extra packets", segments)
	case r.Summary.came() == 0 && r.cut > 0:
		return fmt.Sprintf("nothing to judge: no packet is in both captures; %s were %s", record.Count(r.cut, "record"), r.whyCut)
	case r.Summary.came() == 0:
		return "nothing to judge: no packet is in both captures"
	case r.Record.Result == record.NotRun:
		s = fmt.Sprintf("no verdict: %s, which is more", r.Record.Detail)
	case len(r.Ignored) > 0:
		s = fmt.Sprintf("holds but for what was ignored: %s came through in order, unchanged except perhaps in %s", segments, strings.Join(r.Ignored, ", "))
	default:
		s = "holds: " + came
	}
	var not []string
	for _, x := range r.NotJudged {
		not = append(not, fmt.Sprintf("%s (%d)", x.What, x.Count))
	}
	if not != nil {
		s += "; not judged: " + strings.Join(not, ", ")
	}
	return s
}
