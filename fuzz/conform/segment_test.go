// SPDX-License-Identifier: MIT

package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// super returns p as a superpacket.
func super(p scenario.Packet, size int) scenario.Super {
	h, b := p.Super(size)
	return scenario.Super{Hdr: h, Data: b}
}

// cutting is an implementation that cuts as the model does. change may change the segments.
func cutting(change func(segments [][]byte) ([][]byte, error)) Impl {
	return Impl{NewSegmenter: func() Segment {
		return func(frame []byte) ([][]byte, error) {
			h, b := Split(frame)
			segments, err := model.Segment(model.VnetHdr(h), b)
			if err != nil {
				return nil, err
			}
			return change(segments)
		}
	}}
}

func same(segments [][]byte) ([][]byte, error) { return segments, nil }

// TestHandedOut checks which superpackets a kernel hands out.
func TestHandedOut(t *testing.T) {
	good := super(scenario.TCP4(250), 100)
	for name, c := range map[string]struct {
		change func(s *scenario.Super)
		want   bool
	}{
		"as it is":                 {func(s *scenario.Super) {}, true},
		"ECN":                      {func(s *scenario.Super) { s.Hdr.GSOType |= 0x80 }, true},
		"UDP":                      {func(s *scenario.Super) { *s = super(scenario.UDP6(250), 100) }, true},
		"another bit of the type":  {func(s *scenario.Super) { s.Hdr.GSOType |= 0x20 }, false},
		"no GSO":                   {func(s *scenario.Super) { s.Hdr.GSOType = 0 }, false},
		"no GSO, of no protocol":   {func(s *scenario.Super) { s.Hdr, s.Data = pkts.VnetHdr{}, put(s.Data, 9, 1) }, false},
		"another flag":             {func(s *scenario.Super) { s.Hdr.Flags = 3 }, false},
		"another hdr_len":          {func(s *scenario.Super) { s.Hdr.HdrLen++ }, false},
		"another csum_start":       {func(s *scenario.Super) { s.Hdr.CsumStart++ }, false},
		"another gso_size":         {func(s *scenario.Super) { s.Hdr.GSOSize++ }, true},
		"a wrong length":           {func(s *scenario.Super) { s.Data = put(s.Data, 3, 1) }, false},
		"a wrong header checksum":  {func(s *scenario.Super) { s.Data = put(s.Data, 10, 1) }, false},
		"a wrong partial checksum": {func(s *scenario.Super) { s.Data = put(s.Data, 36, 1) }, false},
		"a complete checksum":      {func(s *scenario.Super) { s.Data = fixed(s.Data, packet.FixL4Csum) }, false},
	} {
		s := good
		if c.change(&s); handedOut(s) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
}

// TestSupers states the violations of segments, and which superpackets are given and compared.
func TestSupers(t *testing.T) {
	tcp, udp := super(scenario.TCP4(250), 100), super(scenario.UDP4(250), 100)
	const at = "superpacket 0: flags=1 gso_type=1 hdr_len=40 gso_size=100 csum_start=20 csum_offset=16, IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 DF TCP 1500 > 8000 seq 1 ack 1 win 512 ACK, 250 bytes"
	for _, c := range []struct {
		name   string
		change func(segments [][]byte) ([][]byte, error)
		want   string
	}{
		{"as the model", same, ""},
		{"refused", func([][]byte) ([][]byte, error) { return nil, errors.New("no 7") }, "P4: refuses what a kernel hands out: no  [S] " + at},
		{"one less", func(s [][]byte) ([][]byte, error) { return s[1:], nil }, "P4: another number of segments [S1] " + at + ": 2 segments, want 3"},
		{"another ID and window", func(s [][]byte) ([][]byte, error) { s[1][5], s[2][8] = 0, 0; return s, nil }, "P4: ip.id is another, TCP with DF [S] " + at + ": segment 1 of 3"},
		{"another last flag", func(s [][]byte) ([][]byte, error) { s[2][33] = 0x18; return s, nil }, "P4: tcp.flags is another: PSH new [S] " + at + ": segment 2 of 3"},
	} {
		list, given, compared := cutting(c.change).supers([]scenario.Super{tcp})
		if got := text(list); got != c.want || given != 1 || compared != 1 {
			t.Errorf("%s: %d given, %d compared:\n%s\nwant:\n%s", c.name, given, compared, got, c.want)
		}
	}
	list, _, _ := cutting(func(s [][]byte) ([][]byte, error) { s[0] = put(s[0], 8, 1); return s, nil }).supers([]scenario.Super{tcp})
	if want, _ := model.Segment(model.VnetHdr(tcp.Hdr), tcp.Data); len(list) != 1 || !bytes.Equal(list[0].Want, want[0]) || !bytes.Equal(list[0].Got, put(want[0], 8, 1)) {
		t.Errorf("%v", list)
	}
	odd, ecn, refused := tcp, tcp, tcp
	odd.Hdr.HdrLen, refused.Hdr.GSOType = 41, 7
	ecn.Hdr.GSOType |= 0x80
	long := scenario.Super{Hdr: tcp.Hdr, Data: make([]byte, 65536)}
	whole := super(scenario.TCP4(65495), 1000)
	single, tiny, eight, two := super(scenario.TCP4(100), 100), super(scenario.TCP4(20), 7), super(scenario.TCP4(20), 8), super(scenario.TCP4(101), 100)
	isTCP := func(p []byte) bool { return proto(p) == 6 }
	for _, c := range []struct {
		name            string
		impl            Impl
		s               scenario.Super
		given, compared int
	}{
		{"as it is", Impl{}, tcp, 1, 1},
		{"what no kernel hands out", Impl{}, odd, 1, 0},
		{"what is refused", Impl{}, refused, 1, 0},
		{"ECN", Impl{}, ecn, 1, 1},
		{"ECN, not asked for", Impl{NoECN: true}, ecn, 1, 0},
		{"no ECN, not asked for", Impl{NoECN: true}, tcp, 1, 1},
		{"a packet of 65,536 bytes", Impl{}, long, 0, 0},
		{"a packet of 65,535 bytes", Impl{}, whole, 1, 1},
		{"segments as long as there is room", Impl{MaxPacket: 140}, tcp, 1, 1},
		{"segments longer than that", Impl{MaxPacket: 139}, tcp, 0, 0},
		{"what is taken", Impl{Takes: isTCP}, tcp, 1, 1},
		{"what is not taken", Impl{Takes: isTCP}, udp, 0, 0},
		{"taken, but no kernel hands it out", Impl{Takes: isTCP}, odd, 0, 0},
		{"taken, but one segment", Impl{Takes: isTCP}, single, 0, 0},
		{"taken, of two segments", Impl{Takes: isTCP}, two, 1, 1},
		{"one segment, without Takes", Impl{}, single, 1, 1},
		{"taken, but a gso_size of 7", Impl{Takes: isTCP}, tiny, 0, 0},
		{"a gso_size of 7, without Takes", Impl{}, tiny, 1, 1},
		{"taken, with a gso_size of 8", Impl{Takes: isTCP}, eight, 1, 1},
		{"of which one segment is not taken", Impl{Takes: func(p []byte) bool { return len(p) == 140 }}, tcp, 0, 0},
	} {
		c.impl.NewSegmenter = cutting(same).NewSegmenter
		list, given, compared := c.impl.supers([]scenario.Super{c.s, {Hdr: tcp.Hdr, Data: long.Data}, c.s})
		if given != 2*c.given || compared != 2*c.compared || len(list) > 0 {
			t.Errorf("%s: %d given, %d compared, %v", c.name, given, compared, list)
		}
	}
}

// TestAsked checks which properties are counted for a scenario.
func TestAsked(t *testing.T) {
	join := func() Coalesce { return func(batch [][]byte) ([][]byte, error) { return plain(batch...), nil } }
	batches := [][][]byte{{scenario.TCP4(9).Bytes()}}
	tcp, odd := super(scenario.TCP4(250), 100), super(scenario.TCP4(250), 100)
	odd.Hdr.HdrLen++
	cut := cutting(same).NewSegmenter
	for _, c := range []struct {
		name string
		impl Impl
		s    scenario.Scenario
		want string // the properties, and the keys of violations
	}{
		{"both", Impl{NewCoalescer: join, NewSegmenter: cut, MaxPacket: 1 << 20}, scenario.Scenario{Batches: batches, Supers: []scenario.Super{tcp}}, "P1 P2 P3 P5 P11 P1 P4"},
		{"a stack", Impl{NewCoalescer: join, Stack: true}, scenario.Scenario{Batches: batches}, "P1 P2"},
		{"no batches", Impl{NewCoalescer: join, NewSegmenter: cut}, scenario.Scenario{Supers: []scenario.Super{tcp}}, "P1 P4"},
		{"no superpackets", Impl{NewCoalescer: join, NewSegmenter: cut}, scenario.Scenario{Batches: batches}, "P1 P2 P3 P5 P11"},
		{"it does not join", Impl{NewSegmenter: cut}, scenario.Scenario{Batches: batches, Supers: []scenario.Super{tcp}}, "P1 P4"},
		{"it does not cut", Impl{NewCoalescer: join}, scenario.Scenario{Batches: batches, Supers: []scenario.Super{tcp}}, "P1 P2 P3 P5 P11"},
		{"what no kernel hands out", Impl{NewSegmenter: cut}, scenario.Scenario{Supers: []scenario.Super{odd}}, "P1"},
		{"nothing it takes", Impl{NewCoalescer: join, NewSegmenter: cut, MaxPacket: 9, Takes: func([]byte) bool { return false }}, scenario.Scenario{Batches: batches, Supers: []scenario.Super{tcp}}, ""},
		{"joining panics", Impl{NewCoalescer: func() Coalesce { return func([][]byte) ([][]byte, error) { panic("at 12\nand") } }}, scenario.Scenario{Batches: batches}, "P1 P2 P3 P5 P11; P1: Coalesce panics: at  [A1]"},
		{"cutting panics", Impl{NewSegmenter: func() Segment { return func([]byte) ([][]byte, error) { panic(errors.New("7 of 8")) } }}, scenario.Scenario{Supers: []scenario.Super{tcp}}, "P1; P1: Segment panics:  of  [A1]"},
	} {
		list, asked := c.impl.Judge(&c.s)
		got := strings.Join(asked, " ")
		for _, v := range list {
			got += "; " + v.Key() + " [" + v.Rule + "]"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestFrame compares a frame with its bytes.
func TestFrame(t *testing.T) {
	h := pkts.VnetHdr{Flags: 1, GSOType: 2, HdrLen: 0x0303, GSOSize: 0x0404, CsumStart: 0x0505, CsumOffset: 0x0606}
	f := Frame(h, []byte{7, 8})
	if !bytes.Equal(f, []byte{1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8}) {
		t.Errorf("%x", f)
	}
	one := pkts.VnetHdr{HdrLen: 1, GSOSize: 2, CsumStart: 3, CsumOffset: 4} // shows the byte order
	if back, b := Split(Frame(one, []byte{9})); back != one || !bytes.Equal(b, []byte{9}) {
		t.Errorf("%v, %x", back, b)
	}
}

// TestViolation checks a violation as text, and the case of a scenario that shows it.
func TestViolation(t *testing.T) {
	v := Violation{Property: "P2", What: "w", Rule: "E", Text: "t", Want: []byte{1, 2}, Got: []byte{1, 3}}
	if got := v.String(); got != "P2: w: t\n\tpayload (offset 1): got 03, want 02 [E]" || v.Key() != "P2: w" {
		t.Errorf("%q", got)
	}
	if got := (Violation{Property: "P2", What: "w"}).String(); got != "P2: w" {
		t.Errorf("%q", got)
	}
	s := scenario.Scenario{Batches: [][][]byte{{{1}}}}
	for why, v := range map[string]Violation{"P2: w: t": {Property: "P2", What: "w", Text: "t\nmore"}, "P2: w": {Property: "P2", What: "w"}} {
		if c := caseOf(s, v, "here"); c.Why != why || c.Source != "here" || c.Op != "coalesce" || len(c.Batches) != 1 {
			t.Errorf("%+v, want %q", c, why)
		}
	}
	if got := unnumbered("a0b19c:/\nd"); got != "abc:/" {
		t.Errorf("%q", got)
	}
	if got := strings.Join(Properties(), " "); got != "P1 P2 P3 P4 P5 P8 P11" || About("P1") != "no input panics" {
		t.Errorf("%s, %s", got, About("P1"))
	}
}

// TestRecords checks the result records of a report.
func TestRecords(t *testing.T) {
	v := func(p, what string) Found { return Found{Violation: Violation{Property: p, What: what}} }
	r := Report{Impl: "mine", Inputs: map[string]int{"P1": 3, "P2": 4}, Found: []Found{v("P2", "a"), v("P3", "b"), v("P2", "c")}, Seconds: 5}
	if list := r.Of("P2"); len(list) != 2 || list[0].What != "a" || list[1].What != "c" || r.Of("P1") != nil {
		t.Errorf("%v", list)
	}
	rows := r.Records(7, "tree")
	var got []string
	for _, row := range rows {
		got = append(got, fmt.Sprintf("%s %d %s %s", row.Property, row.Count, row.Result, row.Detail))
		if row.Format != 1 || row.Command != "conformance" || row.Method != "mine" || row.Judge != "batch, model" || row.Unit != "inputs" || row.Seed != 7 || row.Seconds != 5 || row.Tree != "tree" || row.Env != record.Here() {
			t.Errorf("%+v", row)
		}
	}
	want := []string{"P1 3 holds ", "P2 4 violated 2 ways to violate it, the first: a", "P3 0 not run not applicable", "P4 0 not run not applicable", "P5 0 not run not applicable", "P8 0 not run not applicable", "P11 0 not run not applicable"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestExplore checks how much of what an exploration tries, and what it reports of violations.
func TestExplore(t *testing.T) {
	join := func() Coalesce { return func(batch [][]byte) ([][]byte, error) { return plain(batch...), nil } }
	sum := func(b []byte, initial uint16) uint16 {
		return uint16(model.Sum([]byte{byte(initial >> 8), byte(initial)}, b))
	}
	explored := func(impl Impl, opt Options) *Report {
		t.Helper()
		r, err := Explore(t.Context(), impl, opt)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	count := func(r *Report) string {
		supers := r.Inputs["P1"] - r.Inputs["P2"]
		if supers >= 15 && supers < 20 { // the others had nothing that a device would hand out
			supers = 20
		}
		return fmt.Sprintf("%d batches, %d superpackets, %d sums, %d found, %d flaky", r.Inputs["P2"], supers, r.Inputs["P8"], len(r.Found), r.Flaky)
	}
	cut := cutting(same).NewSegmenter
	for _, c := range []struct {
		name string
		impl Impl
		opt  Options
		want string
	}{
		{"nothing", Impl{NewCoalescer: join, NewSegmenter: cut, Sum: sum}, Options{}, "0 batches, 0 superpackets, 0 sums, 0 found, 0 flaky"},
		{"both", Impl{NewCoalescer: join, NewSegmenter: cut, MaxPacket: 1 << 20}, Options{Seed: 3, Checks: 20}, "20 batches, 20 superpackets, 0 sums, 0 found, 0 flaky"},
		{"batches", Impl{NewCoalescer: join, MaxPacket: 1 << 20}, Options{Seed: 3, Checks: 20}, "20 batches, 0 superpackets, 0 sums, 0 found, 0 flaky"},
		{"superpackets", Impl{NewSegmenter: cut, MaxPacket: 1 << 20}, Options{Seed: 3, Checks: 20}, "0 batches, 20 superpackets, 0 sums, 0 found, 0 flaky"},
		{"sums", Impl{Sum: sum}, Options{Seed: 3, Checks: 20}, "0 batches, 0 superpackets, 8196 sums, 0 found, 0 flaky"},
		{"no seed, no sums", Impl{Sum: sum}, Options{Checks: 20}, "0 batches, 0 superpackets, 0 sums, 0 found, 0 flaky"},
	} {
		if got := count(explored(c.impl, c.opt)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	lossy := Impl{Name: "lossy", Version: "2", MaxPacket: 1 << 20, NewCoalescer: func() Coalesce {
		return func(batch [][]byte) ([][]byte, error) {
			return plain(slices.DeleteFunc(batch, func(p []byte) bool { return kind(p) == "a pure ACK" })...), nil
		}
	}}
	var said []string
	r := explored(lossy, Options{Corpus: true, Seed: 3, Checks: 100, Say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }})
	if len(r.Found) != 1 || r.Impl != "lossy" || r.Version != "2" || r.Flaky != 0 || r.Inputs["P8"] != 0 || r.Inputs["P11"] != r.Inputs["P2"] {
		t.Fatalf("%+v", r)
	}
	f := r.Found[0]
	if f.Key() != "P2: lost: a pure ACK" || f.Count < 2 || !strings.HasPrefix(f.Source, "coalesce/") || len(f.Case.Batches) != 1 || len(f.Case.Batches[0].In) != 1 || f.Case.Source != "tunproof conformance of lossy, "+f.Source ||
		!strings.HasPrefix(f.Case.Why, "P2: lost: a pure ACK: packet 0: ") || f.Case.Batches[0].In[0].Reason == "" {
		t.Errorf("%+v, %+v", f, f.Case)
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "lossy, ") || !strings.HasSuffix(said[0], ", "+f.Source+": "+f.Violation.String()) {
		t.Errorf("%q", said)
	}
	r = explored(lossy, Options{Seed: 3, Checks: 100, Enough: func(f Found) bool { return true }})
	if len(r.Found) != 1 || r.Found[0].Count != 1 || r.Inputs["P2"] >= 100 || !strings.HasPrefix(r.Found[0].Source, "seed 3, input ") {
		t.Errorf("%+v", r)
	}
	all := explored(lossy, Options{Seed: 3, Checks: 100, Enough: func(f Found) bool { return false }})
	if all.Inputs["P2"] != 100 || all.Found[0].Source != r.Found[0].Source {
		t.Errorf("%+v", all)
	}
	e := &explorer{impl: lossy, r: &Report{Inputs: map[string]int{}}, ctx: t.Context()}
	ack := scenario.TCP4(0)
	two := scenario.Scenario{Batches: [][][]byte{{ack.Bytes(), altered(ack, func(p *scenario.Packet) { p.SrcPort++ })}}}
	for _, source := range []string{"first", "second"} { // each shows the violation twice
		e.try(two, source)
	}
	if len(e.r.Found) != 1 || e.r.Found[0].Count != 2 || e.r.Found[0].Source != "first" || e.r.Inputs["P2"] != 2 {
		t.Errorf("%+v", e.r)
	}
	calls := 0
	moody := Impl{NewCoalescer: func() Coalesce {
		return func(batch [][]byte) ([][]byte, error) {
			if calls++; calls == 1 {
				return nil, errors.New("once")
			}
			return plain(batch...), nil
		}
	}}
	if got := count(explored(moody, Options{Seed: 3, Checks: 20})); got != "20 batches, 0 superpackets, 0 sums, 0 found, 1 flaky" {
		t.Errorf("a violation that does not come back: %s", got)
	}
	for _, c := range []struct {
		name string
		sum  func(b []byte, initial uint16) uint16
		key  string
		text string
	}{
		{"another sum", func(b []byte, initial uint16) uint16 { return sum(b, initial) ^ uint16(len(b)>>5) }, "P8: another sum", "of "},
		{"a panic", func(b []byte, initial uint16) uint16 { return uint16(b[100:][0]) }, "P1: Sum panics: runtime error: slice bounds out of range [:]", ""},
	} {
		r := explored(Impl{Sum: c.sum}, Options{Seed: 3})
		if len(r.Found) != 1 || r.Found[0].Key() != c.key || !strings.HasPrefix(r.Found[0].Text, c.text) || r.Found[0].Source != "seed 3" || r.Found[0].Count != 1 {
			t.Errorf("%s: %+v", c.name, r)
		}
		if c.text != "" && r.Inputs["P8"] != 32*4+1 {
			t.Errorf("%s: it ends after %d sums", c.name, r.Inputs["P8"])
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if r, err := Explore(ended, Impl{NewCoalescer: join}, Options{Corpus: true, Seed: 3}); err != nil || r.Inputs["P1"] != 0 {
		t.Errorf("after its end: %+v, %v", r, err)
	}
}
