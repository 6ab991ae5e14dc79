// Package replay shows what production makes of the packets of a file, and whether that
// is right.
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
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/engine/crasher"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/kernel"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// Run is one run of replay: what is asked for, and what it found.
type Run struct {
	Ctx      context.Context
	In       io.Reader   // what the name "-" reads
	Out, Err io.Writer   // reports, progress
	Batch    int         // packets of a capture to a batch
	Config   pkts.Config // of captures; a case has its own
	Target   string      // of crashers, "" to take it from the directory's name
	Complete bool        // fill in partial checksums
	Quiet    bool        // show only what is violated
	JSON     bool
	CaseFile string       // where a case is written, "" for none
	Pcap     *pcap.Writer // where packets are written, nil for none
	// Kernel is the parts that ask the kernel, nil if it is not asked.
	Kernel []kernel.Part
	// Properties are those that are checked, nil for all.
	Properties []law.Property

	violated *scenario.Scenario // the first scenario that violates a property, for CaseFile
	by       law.Property
	small    *scenario.Scenario // all that was read, as long as nothing is violated
	tooMany  bool               // more than a case holds
	stated   bool               // a case states what is not so
}

// Files replays files and returns the exit code.
func (r *Run) Files(names []string) (int, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // what a batch takes is soon garbage
	code, judged := record.ExitHolds, 0
	for _, name := range names {
		rep, err := r.file(name)
		if rep != nil {
			judged += rep.Record.Count
			if rep.Record.Result == record.Violated {
				code = record.ExitViolation
			}
			if e := r.write(rep); err == nil {
				err = e
			}
		}
		if err != nil {
			return 0, err
		}
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

// file finds out what a file is, and judges what is in it. With an error the
// report, if there is one, is of what came before.
func (r *Run) file(name string) (*Report, error) {
	f, err := capture.OpenFile(name, r.In)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rep := newReport(name)
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
		err = r.judgeCase(rep, c)
		rep.finish(start)
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

// judgeCrasher runs the target that the file is of.
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
		return fmt.Errorf("%s: no fuzz target %q; -target says which it is of", rep.File, name)
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
	}
	return nil
}

// judgeCase checks what a case states, then its input.
func (r *Run) judgeCase(rep *Report, c *pkts.Case) error {
	rep.violate(law.Attempt(func() error { return law.Case(c, nil) }))
	s := scenario.FromCase(c)
	if len(rep.Violations) > 0 {
		r.stated = true
	}
	r.gather(s)
	err := r.askKernel(rep, s)
	rep.show(s)
	for _, b := range c.Batches {
		rep.Record.Count += len(b.In)
	}
	return errors.Join(err, r.writePackets(rep.part))
}

// judgePackets checks every property of the packets of a capture, batch by batch.
// Those with a VnetHdr are segmented, the others coalesced.
func (r *Run) judgePackets(rep *Report, in *capture.Source) error {
	progress := capture.NewProgress(r.Err, "replay", in)
	for {
		s := scenario.Scenario{Config: r.Config}
		var batch [][]byte
		var numbers, supers []int
		var times [2][]time.Time // of both
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
			if err := progress.Step(r.Ctx, len(rep.Violations)); err != nil {
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

// judgePart checks every property of a scenario and shows it.
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
	if !r.Quiet || r.Pcap != nil || len(rep.part.Violations) > 0 {
		rep.show(s)
	}
	err = errors.Join(err, r.writePackets(rep.part))
	if !r.Quiet || len(rep.part.Violations) > 0 {
		err = errors.Join(err, r.write(&rep.part))
	}
	rep.part = part{}
	return err
}

// check checks the properties of a scenario, which they only read, side by side.
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

// askKernel asks the kernel about a scenario, if that is wanted.
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

// writePackets writes what was made of the packets: superpackets with their
// VnetHdr, segments.
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

// write shows a report or a part of one.
func (r *Run) write(p interface{ print(io.Writer) }) error {
	if r.JSON {
		return json.NewEncoder(r.Out).Encode(p)
	}
	p.print(r.Out)
	return nil
}

// laws are the properties that are checked.
func (r *Run) laws() []law.Property {
	if r.Properties == nil {
		return law.Properties
	}
	return r.Properties
}
