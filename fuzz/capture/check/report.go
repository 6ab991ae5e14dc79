// SPDX-License-Identifier: MIT

package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/record"
)

// Report is the result of judging one capture.
type Report struct {
	File     string         `json:"file"`
	Notes    []string       `json:"notes,omitempty"`
	Seen     Seen           `json:"seen"`
	Kinds    map[string]int `json:"kinds,omitempty"` // findings by kind
	Findings []Finding      `json:"findings,omitempty"`
	Record   record.Result  `json:"record"`

	total  int
	folded []*group
	cut    int // records that the capture cut, or that were left out of a text
	whyCut string
	more   int  // findings that are not in folded
	live   bool // the findings were printed as they came
}

// group is a finding, with all others of its kind, field and cause.
type group struct {
	Finding
	count  int
	runs   []capture.Run // their packets
	differ bool          // in values
}

// String returns the first of the findings, with the packets of all.
func (f *group) String() string {
	if f.count == 1 {
		return f.Finding.String()
	}
	packets := "packets"
	if len(f.runs) == 1 && f.runs[0][0] == f.runs[0][1] {
		packets = "packet"
	}
	text := fmt.Sprintf("%s %s (%d times): %s", packets, capture.RunsText(f.runs), f.count, f.about())
	if f.differ {
		text += fmt.Sprintf(", with the values of packet %d", f.Packet)
	}
	return text
}

// values matches what differs between findings with one cause.
var values = regexp.MustCompile(`off by [0-9a-f]{4}|[0-9a-f:.]*[0-9][0-9a-f:.]*`)

// unknown matches what is said of a checksum without a known cause. Only those that are off
// by as much may have one cause.
var unknown = regexp.MustCompile(`^off by [0-9a-f]{4}$`)

// groups folds findings: at most most of each kind.
type groups struct {
	most  int
	by    map[string]*group
	kinds map[string]int // folds by kind
	list  []*group
	more  int
}

// add takes a finding.
func (d *groups) add(f Finding) {
	key := f.Name + " " + f.Field + " " + values.ReplaceAllString(f.Text, "")
	if unknown.MatchString(f.Text) {
		key += f.Text
	}
	if first := d.by[key]; first != nil {
		first.runs, first.count = capture.AddRun(first.runs, f.Packet), first.count+1
		first.differ = first.differ || f.Got != first.Got || f.Want != first.Want || f.Text != first.Text
		if f.Packet < first.Packet {
			first.Finding = f
		}
		return
	}
	if d.kinds[f.Name] == d.most {
		d.more++
		return
	}
	d.kinds[f.Name]++
	d.by[key] = &group{Finding: f, runs: []capture.Run{{f.Packet, f.Packet}}, count: 1}
	d.list = append(d.list, d.by[key])
}

// Options are how File judges.
type Options struct {
	Config
	Certain bool      // leave out suspect findings
	Most    int       // the number of findings of each kind that are kept
	Live    io.Writer // write each finding as it comes, unless it is nil

	Each func(Finding) // is called with each finding, before findings are folded; nil: nothing is
}

// File judges a capture. If there is an error, the report covers the packets before it. An
// interrupt ends a stream like its end, and a file with an error.
func File(ctx context.Context, progress io.Writer, in *capture.Source, o Options) (*Report, error) {
	found := record.Findings[Finding]{Most: o.Most, Each: true}
	folded := groups{most: o.Most, by: map[string]*group{}, kinds: map[string]int{}}
	start := time.Now()
	c := New(o.Config, func(f Finding) {
		if o.Certain && f.Suspect {
			return
		}
		if o.Each != nil {
			o.Each(f)
		}
		found.Add(f.Name, 1, f)
		folded.add(f)
		if o.Live != nil && found.Kinds[f.Name] <= o.Most {
			fmt.Fprintln(o.Live, f)
		}
	})
	ctx = capture.Until(ctx, in)
	progressed := capture.NewProgress(progress, "check", in)
	err := func() error {
		for {
			p, err := in.Next()
			if errors.Is(err, io.EOF) {
				c.Finish()
				return nil
			}
			if err == nil {
				if err = c.Packet(p); err != nil {
					err = fmt.Errorf("%s: %w", in.Name, err)
				}
			}
			if err == nil && o.Live == nil {
				err = progressed.Step(ctx, c.Seen.Findings)
			}
			if err != nil {
				return err
			}
		}
	}()
	slices.SortStableFunc(found.Kept, func(a, b Finding) int { return a.Packet - b.Packet })
	slices.SortStableFunc(folded.list, func(a, b *group) int { return a.Packet - b.Packet })
	r := &Report{File: in.Name, Notes: append(in.Notes(), c.notes()...), Seen: c.Seen, Kinds: found.Kinds, Findings: found.Kept,
		total: found.Total(), folded: folded.list, more: folded.more, live: o.Live != nil,
		Record: record.New("check", "wire", string(in.Kind), "rules", c.Seen.Packets, "packets", start)}
	found.Judge(&r.Record, err)
	r.cut, r.whyCut = in.Cuts().N, in.WhyCut()
	if r.MostCut() && err == nil && r.total == 0 {
		r.Record.Result, r.Record.Detail = record.NotRun, "most records were "+r.whyCut
	}
	return r, err
}

// notes returns what people should know of the packets besides the findings.
func (c *Checker) notes() []string {
	var list []string
	if n := c.Seen.Other; n > 0 {
		list = append(list, fmt.Sprintf("%s not judged beyond the IP header: fragments, or neither TCP nor UDP", record.Count(n, "packet")))
	}
	if n := c.Seen.Tunnels; n > 0 {
		list = append(list, fmt.Sprintf("%s of VXLAN, Geneve or GTP: a packet inside is judged only where a VnetHdr describes it", record.Count(n, "datagram")))
	}
	if n := c.Seen.Absent; n > 0 {
		list = append(list, fmt.Sprintf("%s without a checksum", record.Count(n, "datagram")))
	}
	if n := c.Seen.Partial; n > 0 {
		s := record.Count(n, "packet") + " with a partial checksum, which an offload still has to complete"
		if !c.cfg.Wire {
			s += "; with -wire each is a finding"
		}
		list = append(list, s)
	}
	if n := c.Seen.Big; n > 0 {
		list = append(list, fmt.Sprintf("%s without a length in the header, presumed BIG TCP; the checksum was not judged", record.Count(n, "packet")))
	}
	if n := c.Seen.Padded; n > 0 {
		list = append(list, fmt.Sprintf("%s with padding or an FCS after the end, which was cut off as a kernel does", record.Count(n, "packet")))
	}
	if c.Seen.Long > 0 && !c.cfg.Wire && c.cfg.MTU == 0 {
		list = append(list, fmt.Sprintf("%s longer than %d bytes: packet %d has %d. Where no offload follows, -wire -mtu %d reports each", record.Count(c.Seen.Long, "packet"), ethernet, c.longest, c.longestLen, ethernet))
	}
	return list
}

// Print writes the report for people: the verdict, the kinds of findings, then the
// findings. Where the findings were printed as they came, the verdict is last.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", r.File, r.Counted())
	if r.live {
		r.summary(w)
		fmt.Fprintln(w, r.Verdict())
		return
	}
	fmt.Fprintln(w, r.Verdict())
	r.summary(w)
	folded, more := r.Folded()
	for _, f := range folded {
		fmt.Fprintln(w, f.Text)
		if f.Hint != "" {
			fmt.Fprintf(w, "  %s\n", f.Hint)
		}
	}
	if more > 0 {
		fmt.Fprintf(w, "and %s; -max shows more of each kind\n", record.Count(more, "more finding"))
	}
}

// Counted returns what was judged: the packets by type.
func (r *Report) Counted() string {
	return fmt.Sprintf("%s: %d TCP, %d UDP, %d other", record.Count(r.Seen.Packets, "packet"), r.Seen.TCP, r.Seen.UDP, r.Seen.Other)
}

// Folded is a finding as it is printed, with all others of its kind, field and cause. Its
// Finding is that of the first packet.
type Folded struct {
	Finding
	Text string // with the packets of all
	Hint string // what is known to cause it; "" but for the first of which that is known
}

// Folded returns the findings as they are printed, and the number of those that are not
// among them.
func (r *Report) Folded() (list []Folded, more int) {
	shown := map[string]bool{}
	for _, f := range r.folded {
		hint := ""
		if !shown[f.Name+f.Like] && f.Like != "" && !f.Suspect {
			hint = fmt.Sprintf("like: %s; see corpus/%s.pkts", f.Like, f.Case)
		}
		shown[f.Name+f.Like] = true
		list = append(list, Folded{f.Finding, f.String(), hint})
	}
	return list, r.more
}

// summary writes a table of the kinds of findings, and the notes.
func (r *Report) summary(w io.Writer) {
	for _, k := range Kinds() {
		if n := r.Kinds[k.Name]; n > 0 {
			suspect := ""
			if k.Suspect {
				suspect = " (suspect)"
			}
			fmt.Fprintf(w, "  %6d %s [%s]%s\n", n, k.Name, k.Rule, suspect)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
}

// Verdict returns the verdict, with what it is about.
func (r *Report) Verdict() string {
	packets, findings, cut := record.Count(r.Seen.Packets, "packet"), record.Count(r.total, "finding"), ""
	if r.cut > 0 {
		cut = fmt.Sprintf("; %s not judged: %s", record.Count(r.cut, "record"), r.whyCut)
	}
	switch {
	case r.total == 0 && r.MostCut():
		return fmt.Sprintf("no verdict: %s; nothing found in the other %s", cut[2:], packets)
	case r.total == 0 && r.Record.Result == record.NotRun:
		return "stopped: nothing found in " + packets
	case r.Seen.Packets == 0:
		return "nothing to judge: no packet in the capture"
	case r.total == 0:
		return "holds: " + packets + ", nothing found" + cut
	case r.Suspect():
		return "SUSPECT: " + findings + " in " + packets + cut + ", none certain; -certain leaves out what is not certain"
	}
	return "VIOLATED: " + findings + " in " + packets + cut
}

// MostCut reports whether more records were cut by the capture than were judged.
func (r *Report) MostCut() bool { return r.cut > r.Seen.Packets }

// Suspect reports whether there are findings and none of them is certain.
func (r *Report) Suspect() bool {
	return r.total > 0 && !slices.ContainsFunc(Kinds(), func(k Kind) bool { return !k.Suspect && r.Kinds[k.Name] > 0 })
}
