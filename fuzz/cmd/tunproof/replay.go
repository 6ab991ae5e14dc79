package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/compare"
	"tunproof/fuzz/pcap"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
)

// replayFlags are how a file is replayed.
type replayFlags struct {
	batch  int
	config pkts.Config // of captures; a case has its own
	target string      // of crashers
}

// report is what replay says of one file.
type report struct {
	File       string               `json:"file"`
	Kind       string               `json:"kind"` // case, capture or crasher
	Notes      []string             `json:"notes,omitempty"`
	Batches    []target.BatchReport `json:"batches,omitempty"`
	Supers     []target.SuperReport `json:"superpackets,omitempty"`
	Violations []violation          `json:"violations,omitempty"`
	Record     record.Result        `json:"record"`
}

// violation is a property that does not hold of a file, and in which fields.
type violation struct {
	Property string               `json:"property"`
	Text     string               `json:"text"`
	Fields   []compare.Difference `json:"fields,omitempty"`
}

func replay(ctx context.Context, s streams, args []string) (int, error) {
	var f replayFlags
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.IntVar(&f.batch, "batch", 64, "packets of a capture to a batch")
	order := flags.String("order", "inorder", "of a capture: inorder or reorder")
	flags.BoolVar(&f.config.AtomicIDs, "atomic", false, "of a capture: AtomicIDs")
	flags.StringVar(&f.target, "target", "", "of a crasher; by default its directory's name says it")
	asJSON := flags.Bool("json", false, "write a JSON object for each file")
	if err := parse(flags, args); err != nil {
		return 0, err
	}
	f.config.Reorder = *order == "reorder"
	switch {
	case *order != "reorder" && *order != "inorder":
		return 0, fmt.Errorf("%w: -order is inorder or reorder, not %q", errUsage, *order)
	case f.batch < 1:
		return 0, fmt.Errorf("%w: -batch must be positive", errUsage)
	case flags.NArg() == 0:
		return 0, fmt.Errorf("%w: which file?", errUsage)
	}
	code := record.ExitHolds
	judged := 0
	for _, name := range flags.Args() {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		r, err := replayFile(name, f)
		if err != nil {
			return 0, err
		}
		judged += r.Record.Count
		if len(r.Violations) > 0 {
			code = record.ExitViolation
		}
		if *asJSON {
			err = json.NewEncoder(s.out).Encode(r)
		} else {
			r.print(s.out)
		}
		if err != nil {
			return 0, err
		}
	}
	if judged == 0 && code == record.ExitHolds {
		return record.ExitNothing, nil
	}
	return code, nil
}

const fuzzMagic = "go test fuzz v1\n"

// replayFile finds out what a file is, and judges what is in it.
func replayFile(name string, f replayFlags) (*report, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := &report{File: name}
	r.Record = record.Result{Format: 1, Command: "replay", Property: "all", Method: "replay", Judge: "model", Env: record.Here()}
	switch {
	case bytes.HasPrefix(b, []byte("# format:")):
		c, err := pkts.Parse(name, b)
		if err != nil {
			return nil, err
		}
		r.Kind = "case"
		r.Notes = append(r.Notes, "why: "+c.Why, "source: "+c.Source)
		r.judgeCase(c)
	case pcap.IsPcap(b):
		packets, skipped, err := pcap.ReadAll(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Kind = "capture"
		for _, k := range skipped {
			r.Notes = append(r.Notes, fmt.Sprintf("record %d left out: %s", k.Number, k.Why))
		}
		r.judge(target.Capture(packets, f.batch, f.config))
	case bytes.HasPrefix(b, []byte(fuzzMagic)):
		input, err := crasher(b)
		if err != nil {
			return nil, fmt.Errorf("%s:%w", name, err)
		}
		r.Kind = "crasher"
		if err := r.judgeCrasher(name, f.target, input); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%s: neither a .pkts case, nor a classic pcap file, nor a fuzz crasher", name)
	}
	r.Record.Result = record.Holds
	if len(r.Violations) > 0 {
		r.Record.Result, r.Record.Detail = record.Violated, r.Violations[0].Text
	}
	return r, nil
}

// crasher reads the one []byte of a fuzz input file.
func crasher(b []byte) ([]byte, error) {
	text, ok0 := strings.CutPrefix(string(b), fuzzMagic)
	quoted, ok := strings.CutPrefix(strings.TrimSuffix(text, "\n"), "[]byte(")
	quoted, ok2 := strings.CutSuffix(quoted, ")")
	s, err := strconv.Unquote(quoted)
	if !ok0 || !ok || !ok2 || err != nil {
		return nil, errors.New("2: want one line []byte(\"...\")")
	}
	return []byte(s), nil
}

// judgeCrasher runs the target that the file is of.
func (r *report) judgeCrasher(name, targetName string, input []byte) error {
	if targetName == "" {
		abs, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		targetName = strings.TrimPrefix(filepath.Base(filepath.Dir(abs)), "Fuzz")
	}
	for _, t := range target.Targets() {
		if t.Name != targetName {
			continue
		}
		r.Notes = append(r.Notes, fmt.Sprintf("input of fuzz target %s, %d bytes", t.Name, len(input)))
		r.Record.Count, r.Record.Unit = 1, "inputs"
		r.violate(guarded(func() error { return t.Body(input, nil) }))
		if len(r.Violations) == 0 || t.ID != "P8" && t.ID != "pkts" && t.ID != "pcap" {
			r.show(scenario.Decode(input))
		}
		return nil
	}
	return fmt.Errorf("%s: no fuzz target %q; -target says which it is of", name, targetName)
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
func (r *report) judgeCase(c *pkts.Case) {
	r.violate(guarded(func() error { return target.Case(c, nil) }))
	s := scenario.FromCase(c)
	r.show(s)
	for _, b := range c.Batches {
		r.Record.Count += len(b.In)
	}
	r.Record.Unit = "packets"
}

// judge checks every property of a scenario.
func (r *report) judge(s scenario.Scenario) {
	for _, p := range target.Properties {
		r.violate(guarded(func() error { return p.Check(&s, nil) }))
	}
	r.show(s)
	for _, b := range s.Batches {
		r.Record.Count += len(b)
	}
	r.Record.Unit = "packets"
}

// show adds what becomes of the packets.
func (r *report) show(s scenario.Scenario) {
	r.violate(guarded(func() error {
		r.Batches, r.Supers = target.Explain(s)
		return nil
	}))
}

func (r *report) violate(err error) {
	if err == nil {
		return
	}
	v := violation{Property: "P1", Text: err.Error()}
	var tv *target.Violation
	if errors.As(err, &tv) {
		v.Property, v.Fields = tv.Property, tv.Fields()
	}
	r.Violations = append(r.Violations, v)
}

// print writes the report for people.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", r.File, r.Kind)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
	for i, b := range r.Batches {
		fmt.Fprintf(w, "batch %d\n", i)
		for k, p := range b.Packets {
			fmt.Fprintf(w, "  packet %d: %s\n    %s\n", k, p.Line, p.Why())
		}
		for k, s := range b.Supers {
			fmt.Fprintf(w, "  superpacket %d: packets %s\n", k, indices(s.Packets))
			fmt.Fprintf(w, "    %v\n    %s\n", s.Vnet, s.Line)
		}
	}
	for i, s := range r.Supers {
		fmt.Fprintf(w, "superpacket %d: %v\n  %s\n", i, s.Vnet, s.Line)
		if s.Refused != "" {
			fmt.Fprintf(w, "  refused: %s\n", s.Refused)
		}
		for k, line := range s.Segments {
			fmt.Fprintf(w, "  segment %d: %s\n", k, line)
		}
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "VIOLATED %s: %s\n", v.Property, v.Text)
	}
	switch {
	case len(r.Violations) > 0:
	case r.Record.Count == 0:
		fmt.Fprintln(w, "nothing to judge")
	default:
		fmt.Fprintf(w, "holds: %d %s, every property\n", r.Record.Count, r.Record.Unit)
	}
}

// indices writes 0-3,5.
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
