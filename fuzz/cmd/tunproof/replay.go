package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/campaign"
	"tunproof/fuzz/check"
	"tunproof/fuzz/live"
	"tunproof/fuzz/pcap"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
	"tunproof/tunlive"
)

// replayer is one run of replay.
type replayer struct {
	ctx        context.Context
	streams    streams
	batch      int
	config     pkts.Config // of captures; a case has its own
	target     string      // of crashers
	complete   bool        // fill in partial checksums
	quiet      bool
	asJSON     bool
	properties []target.Property
	kernel     *live.Kernel // nil if it is not asked
	out        *pcap.Writer // nil if nothing is written
	caseFile   string

	violated *scenario.Scenario // the first that a property does not hold of, for caseFile
	by       target.Property
	small    *scenario.Scenario // else all that was read, unless it is
	tooMany  bool               // more than a case holds
	stated   bool               // a case states what is not so
}

func replay(ctx context.Context, s streams, args []string) (int, error) {
	r := &replayer{ctx: ctx, streams: s, properties: target.Properties}
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.IntVar(&r.batch, "batch", 64, "packets of a capture to a batch")
	order := flags.String("order", "inorder", "of a capture: inorder or reorder")
	flags.BoolVar(&r.config.AtomicIDs, "atomic", false, "of a capture: AtomicIDs")
	flags.StringVar(&r.target, "target", "", "of a crasher; by default its directory's name says it")
	flags.BoolVar(&r.complete, "complete", false, "fill in partial checksums of packets without a VnetHdr, as a receiver with offload takes them for right")
	flags.BoolVar(&r.quiet, "q", false, "show no packets, only what is violated and how many were judged")
	flags.BoolVar(&r.asJSON, "json", false, "write JSON objects, one a line: for each batch of a capture, then for each file")
	kernel := flags.Bool("kernel", false, "ask this machine's kernel too, in network namespaces of its own")
	out := flags.String("pcap", "", "write what is made of the packets to a pcapng file; - is the standard output, and what is said goes to the standard error")
	flags.StringVar(&r.caseFile, "o", "", "write a case of what is violated, with as few packets as show it, or of all packets if nothing is")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	r.config.Reorder = *order == "reorder"
	switch {
	case *order != "reorder" && *order != "inorder":
		return 0, fmt.Errorf("%w: -order is inorder or reorder, not %q", errUsage, *order)
	case r.batch < 1:
		return 0, fmt.Errorf("%w: -batch must be positive", errUsage)
	case r.caseFile == "-":
		return 0, fmt.Errorf("%w: -o writes to files, not to the standard output", errUsage)
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: which file? - is the standard input", errUsage)
	}
	for _, name := range flags.Args() {
		for _, to := range []string{*out, r.caseFile} {
			if to != "" && same(name, to) {
				return 0, fmt.Errorf("%w: %s would be written over what is read", errUsage, to)
			}
		}
	}
	if *kernel {
		if err := r.openKernel(); err != nil {
			return 0, err
		}
		defer r.kernel.Close()
	}
	code, err := 0, error(nil)
	switch {
	case *out == "":
		return r.files(flags.Args())
	case isStdout(*out):
		r.streams.out = s.err
		if r.out, err = pcap.NewWriter(s.out, pcap.NG); err != nil {
			return 0, err
		}
		return r.files(flags.Args())
	}
	f, err := createFile(*out)
	if err != nil {
		return 0, err
	}
	if r.out, err = pcap.NewWriter(f, pcap.NG); err == nil {
		code, err = r.files(flags.Args())
	}
	return code, f.finish(err)
}

func (r *replayer) openKernel() error {
	if err := tunlive.Enter(); err != nil {
		return fmt.Errorf("-kernel: %w", err)
	}
	k, err := live.Open()
	if err != nil {
		return fmt.Errorf("-kernel: %w", err)
	}
	r.kernel = k
	return nil
}

// files replays all of them and returns the exit code.
func (r *replayer) files(names []string) (int, error) {
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
	if r.caseFile != "" {
		if err := r.writeCase(); err != nil {
			return 0, err
		}
	}
	if judged == 0 && code == record.ExitHolds {
		return record.ExitNothing, nil
	}
	return code, nil
}

const caseMagic = "# format:"

// file finds out what a file is, and judges what is in it. With an error the
// report, if there is one, is of what came before.
func (r *replayer) file(name string) (*report, error) {
	f, size, head, in, err := openFile(name, r.streams.in)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rep := newReport(name)
	start := time.Now()
	switch {
	case bytes.HasPrefix(head, []byte(caseMagic)):
		text, err := readText(name, in)
		if err != nil {
			return nil, err
		}
		c, err := pkts.Parse(name, text)
		if err != nil {
			return nil, err
		}
		rep.Kind = "case"
		rep.Notes = append(rep.Notes, "why: "+c.Why, "source: "+c.Source)
		err = r.judgeCase(rep, c)
		rep.finish(start)
		return rep, err
	case campaign.IsNative(head):
		text, err := readText(name, in)
		if err != nil {
			return nil, err
		}
		input, err := campaign.ParseNative(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
		rep.Kind = "crasher"
		if err := r.judgeCrasher(rep, input); err != nil {
			return nil, err
		}
		rep.finish(start)
		return rep, nil
	}
	packets, err := newInput(name, f, size, head, in)
	if err != nil {
		return nil, err
	}
	rep.Kind = packets.kind
	err = r.judgePackets(rep, packets)
	rep.Notes = append(rep.Notes, packets.notes()...)
	rep.finish(start)
	stopped(&rep.Record, err)
	return rep, err
}

// judgeCrasher runs the target that the file is of.
func (r *replayer) judgeCrasher(rep *report, input []byte) error {
	name := r.target
	if name == "" {
		abs, err := filepath.Abs(rep.File)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(filepath.Base(filepath.Dir(abs)), "Fuzz")
	}
	t, ok := target.Named(name)
	if !ok {
		return fmt.Errorf("%s: no fuzz target %q; -target says which it is of", rep.File, name)
	}
	rep.Notes = append(rep.Notes, fmt.Sprintf("input of fuzz target %s, %d bytes", t.Name, len(input)))
	rep.Record.Count, rep.Record.Unit = 1, "inputs"
	rep.violate(guarded(func() error { return t.Body(input, nil) }))
	for _, p := range target.Properties {
		if p.Name == t.Name {
			s := scenario.Decode(input)
			if len(rep.Violations) > 0 {
				r.keep(s, p)
			}
			rep.show(s)
		}
	}
	return nil
}

// guarded turns a panic of what is judged into a violation of P1.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &target.Violation{Property: "P1", Msg: fmt.Sprintf("panic: %v", p)}
		}
	}()
	return f()
}

// judgeCase checks what a case states, then its input.
func (r *replayer) judgeCase(rep *report, c *pkts.Case) error {
	rep.violate(guarded(func() error { return target.Case(c, nil) }))
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
func (r *replayer) judgePackets(rep *report, in *input) error {
	tell := newProgress(r.streams.err, "replay", in)
	for {
		s := scenario.Scenario{Config: r.config}
		var batch [][]byte
		var numbers, supers []int
		var times [2][]time.Time // of both
		var end error
		for len(batch)+len(s.Supers) < r.batch && end == nil {
			var p pcap.Packet
			if p, end = in.next(); end != nil {
				break
			}
			h, has, err := check.Vnet(p.Comment)
			switch {
			case err != nil:
				return fmt.Errorf("%s: packet %d: %w", in.name, p.Number, err)
			case has:
				s.Supers, supers = append(s.Supers, scenario.Super{Hdr: h, Data: p.Data}), append(supers, p.Number)
				times[1] = append(times[1], p.Time)
			default:
				if r.complete && check.Checksum(p.Data) == "partial" {
					scenario.Fix(p.Data, scenario.FixL4Csum)
				}
				batch, numbers = append(batch, p.Data), append(numbers, p.Number)
				times[0] = append(times[0], p.Time)
			}
			if err := tell.tell(r.ctx, len(rep.Violations)); err != nil {
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
func (r *replayer) judgePart(rep *report, s scenario.Scenario, p part) error {
	rep.part = p
	for i, err := range r.check(&s) {
		if err != nil {
			rep.violate(err)
			r.keep(s, r.properties[i])
		}
	}
	err := r.askKernel(rep, s)
	rep.Record.Count += len(p.packets) + len(p.supers)
	r.gather(s)
	if !r.quiet || r.out != nil || len(rep.part.Violations) > 0 {
		rep.show(s)
	}
	err = errors.Join(err, r.writePackets(rep.part))
	if !r.quiet || len(rep.part.Violations) > 0 {
		err = errors.Join(err, r.write(&rep.part))
	}
	rep.part = part{}
	return err
}

// check checks the properties of a scenario, which they only read, side by side.
func (r *replayer) check(s *scenario.Scenario) []error {
	violations := make([]error, len(r.properties))
	var all sync.WaitGroup
	for i, p := range r.properties {
		if (!p.Batches || s.Batches == nil) && (!p.Supers || s.Supers == nil) {
			continue
		}
		all.Add(1)
		go func() {
			defer all.Done()
			violations[i] = guarded(func() error { return p.Check(s, nil) })
		}()
	}
	all.Wait()
	return violations
}

// askKernel asks the kernel about a scenario, if that is wanted.
func (r *replayer) askKernel(rep *report, s scenario.Scenario) error {
	if r.kernel == nil {
		return nil
	}
	for _, p := range r.kernel.Parts() {
		if p.Oracle.Missing != nil || p.Supers && s.Supers == nil || !p.Supers && s.Batches == nil {
			continue
		}
		var t live.Tally
		err := p.Check(&s, &t)
		if !isViolation(err) {
			return err
		}
		rep.asked[p.Property+" "+strings.TrimPrefix(p.Method(), "random, ")] += t.Rounds
		if err != nil {
			rep.violate(err)
			r.keep(s, target.Property{ID: p.Property, Check: func(s *scenario.Scenario, _ *target.Tally) error {
				if err := p.Check(s, &live.Tally{}); isViolation(err) {
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
func (r *replayer) writePackets(p part) error {
	if r.out == nil {
		return nil
	}
	for i, b := range p.Batches {
		for _, s := range b.Supers {
			comment := fmt.Sprintf("packets %s", indices(p.numbersOf(i, s.Packets)))
			if err := r.out.Write(pcap.Packet{Time: p.time(0, s.Packets[0]), Data: s.Data, Comment: comment + "\n" + check.VnetComment(s.Vnet)}); err != nil {
				return err
			}
		}
	}
	for i, s := range p.Supers {
		for k, b := range s.Produced {
			if err := r.out.Write(pcap.Packet{Time: p.time(1, i), Data: b, Comment: fmt.Sprintf("segment %d of superpacket %d", k, p.superNumber(i))}); err != nil {
				return err
			}
		}
	}
	return nil
}

// write shows a report or a part of one.
func (r *replayer) write(p interface{ print(io.Writer) }) error {
	if r.asJSON {
		return json.NewEncoder(r.streams.out).Encode(p)
	}
	p.print(r.streams.out)
	return nil
}
