// SPDX-License-Identifier: MIT

// Package replay runs the packets of a file through production. It shows what becomes of
// each packet, and checks every property on them. Files are captures, cases, and inputs
// of fuzz targets.
package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/page"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/internal/crasher"
	"tunproof/fuzz/kernel"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// Run is one run of replay: its settings, and the violations that it found.
type Run struct {
	Ctx      context.Context
	In       io.Reader    // is read for the name "-"
	Out, Err io.Writer    // for reports, for progress
	Batch    int          // number of a capture's packets in a batch
	Config   pkts.Config  // for captures; a case has its own
	Target   string       // fuzz target of crashers, "" to take it from the directory's name
	Complete bool         // complete partial checksums before use
	Quiet    bool         // show only batches with violations
	JSON     bool         // write reports as JSON
	CaseFile string       // file to write a case to, "" for none
	Pcap     *pcap.Writer // gets the superpackets and segments, nil for none
	Page     *page.Page   // gets a section for each file, nil for none
	// Kernel are the questions to ask the kernel, nil for none.
	Kernel []kernel.Part
	// Properties are the properties to check, nil for all.
	Properties []law.Property

	violated *scenario.Scenario // the first scenario that violates a property, for CaseFile
	by       law.Property       // that property
	small    *scenario.Scenario // everything read, as long as nothing is violated
	tooMany  bool               // more packets were read than a case may have
	stated   bool               // a case failed, perhaps only the results that it states
}

// Files replays the files and returns the exit code of package record. err is a failure to
// read, write or ask the kernel. After a file that cannot be read come the others.
func (r *Run) Files(names []string) (int, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // each batch leaves much garbage, so collect it less often
	code, judged := record.ExitHolds, 0
	var failed []error
	for i, name := range names {
		rep, err := r.file(name)
		if rep != nil {
			judged += rep.Record.Count
			if rep.Record.Result == record.Violated {
				code = record.ExitViolation
			}
			if e := r.write(rep); e != nil {
				return 0, errors.Join(append(failed, err, e)...)
			}
			if r.Page != nil {
				r.Page.Sections = append(r.Page.Sections, rep.section(err))
			}
		}
		if err != nil {
			failed = append(failed, err)
		}
		if r.Ctx.Err() != nil && i < len(names)-1 {
			failed = append(failed, capture.ErrInterrupted)
			break
		}
	}
	if err := errors.Join(failed...); err != nil {
		return code, err
	}
	if r.CaseFile != "" {
		if err := r.writeCase(); err != nil {
			return 0, err
		}
	}
	if judged == 0 && code == record.ExitHolds {
		return record.ExitNothing, nil
	}
	return code, nil
}

// file detects the kind of a file and judges its contents. If it returns an error, the
// report, if there is one, covers the packets before the error.
func (r *Run) file(name string) (*Report, error) {
	f, err := capture.OpenFile(name, r.In)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rep := newReport(f.Name)
	if r.Page != nil {
		rep.gathered = newGathered()
	}
	start := time.Now()
	switch f.Kind {
	case capture.Case:
		text, err := f.Text()
		if err != nil {
			return nil, err
		}
		c, err := pkts.Parse(name, text)
		if err != nil {
			return nil, err
		}
		rep.Kind = f.Kind
		rep.Notes = append(rep.Notes, "why: "+c.Why, "source: "+c.Source)
		if _, bug, planted := strings.Cut(c.Source, scenario.WithPlant); planted {
			rep.Notes = append(rep.Notes, "note: the case shows the planted bug "+bug+"; \"tunproof replay -plant "+bug+" "+name+"\" runs offload with it (and -bugs FILE if it is one of your own), and without -plant offload has no such bug")
		}
		if _, other, is := strings.Cut(c.Source, scenario.OfAnother); is {
			name, _, _ := strings.Cut(other, ",")
			rep.Notes = append(rep.Notes, "note: the case shows a violation of "+name+"; this command runs tunproof's offload, and shows what is right")
		}
		err = r.judgeCase(rep, c)
		rep.finish(start)
		if r.Quiet && rep.Violations == nil {
			rep.Batches, rep.Supers = nil, nil
		}
		return rep, err
	case capture.Crasher:
		text, err := f.Text()
		if err != nil {
			return nil, err
		}
		input, err := crasher.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
		rep.Kind = f.Kind
		if err := r.judgeCrasher(rep, input); err != nil {
			return nil, err
		}
		rep.finish(start)
		return rep, nil
	}
	packets, err := f.Packets()
	if err != nil {
		return nil, err
	}
	rep.Kind = packets.Kind
	err = r.judgePackets(rep, packets)
	rep.Notes = append(rep.Notes, packets.Notes()...)
	rep.finish(start)
	record.Stopped(&rep.Record, err)
	return rep, err
}

// judgeCrasher runs the fuzz target that an input belongs to.
func (r *Run) judgeCrasher(rep *Report, input []byte) error {
	name := r.Target
	if name == "" {
		abs, err := filepath.Abs(rep.File)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(filepath.Base(filepath.Dir(abs)), "Fuzz")
	}
	t, ok := targets.Named(name)
	if !ok {
		return fmt.Errorf("%s: no fuzz target %q; give one with -target: %s", rep.File, name, strings.Join(targets.Names(), ", "))
	}
	rep.Notes = append(rep.Notes, fmt.Sprintf("input of fuzz target %s, %d bytes", t.Name, len(input)))
	rep.Record.Count, rep.Record.Unit = 1, "inputs"
	rep.violate(law.Attempt(func() error { return t.Body(input, nil) }))
	if at := slices.IndexFunc(law.Properties, func(p law.Property) bool { return p.ID == t.ID }); at >= 0 {
		s := scenario.Decode(input)
		if len(rep.Violations) > 0 {
			r.keep(s, law.Properties[at])
		}
		rep.show(s)
		rep.gathered.add(&rep.part, s)
		return nil
	}
	rep.gathered.add(&rep.part, scenario.Scenario{})
	return nil
}

// judgeCase checks the results that a case states, and every property on its input.
func (r *Run) judgeCase(rep *Report, c *pkts.Case) error {
	rep.violate(law.Attempt(func() error { return law.Case(c, nil) }))
	s := scenario.FromCase(c)
	if len(rep.Violations) > 0 {
		r.stated = true
	}
	r.gather(s)
	err := r.askKernel(rep, s)
	rep.show(s)
	rep.gathered.add(&rep.part, s)
	for _, b := range c.Batches {
		rep.Record.Count += len(b.In)
	}
	return errors.Join(err, r.writePackets(rep.part))
}

// judgePackets checks every property on the packets of a capture, batch by batch. Packets
// with a VnetHdr in their comment are segmented, the others coalesced.
func (r *Run) judgePackets(rep *Report, in *capture.Source) error {
	ctx, progress := capture.Until(r.Ctx, in), capture.NewProgress(r.Err, "replay", in)
	for {
		s := scenario.Scenario{Config: r.Config}
		var batch [][]byte
		var numbers, supers []int
		var times [2][]time.Time // of packets, of superpackets
		var end error
		for len(batch)+len(s.Supers) < r.Batch && end == nil {
			var p pcap.Packet
			if p, end = in.Next(); end != nil {
				break
			}
			h, has, err := pcap.Vnet(p.Comment)
			switch {
			case err != nil:
				return fmt.Errorf("%s: packet %d: %w", in.Name, p.Number, err)
			case has:
				s.Supers, supers = append(s.Supers, scenario.Super{Hdr: h, Data: p.Data}), append(supers, p.Number)
				times[1] = append(times[1], p.Time)
			default:
				if r.Complete && packet.Checksum(p.Data) == packet.Partial {
					packet.Fix(p.Data, packet.FixL4Csum)
				}
				batch, numbers = append(batch, p.Data), append(numbers, p.Number)
				times[0] = append(times[0], p.Time)
			}
			if err := progress.Step(ctx, len(rep.Violations)); err != nil {
				return err
			}
		}
		if len(batch) > 0 {
			s.Batches = [][][]byte{batch}
		}
		if len(batch)+len(s.Supers) > 0 {
			if err := r.judgePart(rep, s, part{File: rep.File, packets: numbers, supers: supers, times: times}); err != nil {
				return err
			}
		}
		if errors.Is(end, io.EOF) {
			return nil
		} else if end != nil {
			return end
		}
	}
}

// judgePart checks every property on a scenario, a part of a capture, and shows the results.
func (r *Run) judgePart(rep *Report, s scenario.Scenario, p part) error {
	rep.part = p
	for i, err := range r.check(&s) {
		if err != nil {
			rep.violate(err)
			r.keep(s, r.laws()[i])
		}
	}
	err := r.askKernel(rep, s)
	rep.Record.Count += len(p.packets) + len(p.supers)
	r.gather(s)
	if !r.Quiet || r.Pcap != nil || r.Page != nil || len(rep.part.Violations) > 0 {
		rep.show(s)
	}
	rep.gathered.add(&rep.part, s)
	err = errors.Join(err, r.writePackets(rep.part))
	if !r.Quiet || len(rep.part.Violations) > 0 {
		err = errors.Join(err, r.write(&rep.part))
	}
	rep.part = part{}
	return err
}

// check checks the properties on a scenario, all at the same time: they only read it. It
// returns an error or nil for each.
func (r *Run) check(s *scenario.Scenario) []error {
	violations := make([]error, len(r.laws()))
	var all sync.WaitGroup
	for i, p := range r.laws() {
		if (!p.Batches || s.Batches == nil) && (!p.Supers || s.Supers == nil) {
			continue
		}
		all.Add(1)
		go func() {
			defer all.Done()
			violations[i] = law.Attempt(func() error { return p.Check(s, nil) })
		}()
	}
	all.Wait()
	return violations
}

// askKernel asks the kernel those questions of r.Kernel that apply to a scenario.
func (r *Run) askKernel(rep *Report, s scenario.Scenario) error {
	for _, p := range r.Kernel {
		if p.Oracle.Missing != nil || p.Supers && s.Supers == nil || !p.Supers && s.Batches == nil {
			continue
		}
		var t kernel.Tally
		err := p.Check(&s, &t)
		if err != nil && !law.IsViolation(err) {
			return err
		}
		rep.asked[p.Property+" "+strings.TrimPrefix(p.Method(), "random, ")] += t.Rounds
		if err != nil {
			rep.violate(err)
			r.keep(s, law.Property{Property: record.PropertyOf(p.Property), Body: func(_ law.Subject, s *scenario.Scenario, _ *law.Tally) error {
				if err := p.Check(s, &kernel.Tally{}); law.IsViolation(err) {
					return err
				}
				return nil
			}})
		}
	}
	return nil
}

// writePackets writes the superpackets, with their VnetHdr in a comment, and the segments
// to Pcap.
func (r *Run) writePackets(p part) error {
	if r.Pcap == nil {
		return nil
	}
	for i, b := range p.Batches {
		for _, s := range b.Supers {
			comment := fmt.Sprintf("packets %s", indices(p.numbersOf(i, s.Packets)))
			if err := r.Pcap.Write(pcap.Packet{Time: p.time(0, s.Packets[0]), Data: s.Data, Comment: comment + "\n" + pcap.VnetComment(s.Vnet)}); err != nil {
				return err
			}
		}
	}
	for i, s := range p.Supers {
		for k, b := range s.Produced {
			if err := r.Pcap.Write(pcap.Packet{Time: p.time(1, i), Data: b, Comment: fmt.Sprintf("segment %d of superpacket %d", k, p.superNumber(i))}); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes a report, or a part of one, as JSON or as text.
func (r *Run) write(p interface{ print(io.Writer) }) error {
	if r.JSON {
		return json.NewEncoder(r.Out).Encode(p)
	}
	p.print(r.Out)
	return nil
}

// laws returns the properties to check.
func (r *Run) laws() []law.Property {
	if r.Properties == nil {
		return law.Properties
	}
	return r.Properties
}
