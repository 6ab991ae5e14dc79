// SPDX-License-Identifier: MIT

package trial

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// pairOf draws the pair of a seed.
func pairOf(t *testing.T, seed uint64) *Pair {
	t.Helper()
	p, err := DrawPair(rand.New(rand.NewPCG(seed, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// judgedPair returns what compare finds.
func judgedPair(t *testing.T, p *Pair) []compare.Finding {
	t.Helper()
	list, err := JudgePair(p)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestRightPairs compares right pairs, either way round: nothing is found. In the capture after
// no packet is a superpacket with a VnetHdr, each is numbered and has a place before, and some
// were cut.
func TestRightPairs(t *testing.T) {
	cut := 0
	for seed := range uint64(300) {
		p := pairOf(t, seed)
		if list := judgedPair(t, p); len(list) > 0 {
			t.Fatalf("seed %d: found %v", seed, list)
		}
		if list := judgedPair(t, &Pair{Before: p.After, After: p.Before}); len(list) > 0 {
			t.Fatalf("seed %d, the other way round: found %v", seed, list)
		}
		last := place{}
		for i, q := range p.After {
			from := p.from[i]
			if q.Number != i+1 || q.Comment != "" || from.packet < last.packet || from.packet == last.packet && from.segment != last.segment+1 {
				t.Fatalf("seed %d: packet %d after has number %d, comment %q, and is %v before, after %v", seed, i+1, q.Number, q.Comment, from, last)
			}
			if from.segment > 0 {
				cut++
			} else if data := p.Before[from.packet-1].Data; packet.Checksum(data) != packet.Partial && !bytes.Equal(q.Data, data) {
				t.Fatalf("seed %d: packet %d is not packet %d before", seed, i+1, from.packet)
			}
			last = from
		}
	}
	if cut < 100 {
		t.Errorf("only %d segments were cut", cut)
	}
}

// TestBetween plants each fault of the catalogue between two captures: compare finds it in the
// right packets and field, nothing else, and the cause is right.
func TestBetween(t *testing.T) {
	names := map[string]bool{}
	for _, f := range Betweens() {
		if names[f.Name] || (f.Cause == "") == (f.Why == "") {
			t.Errorf("%q is there twice, or has a cause and a reason for none, or neither", f.Name)
		}
		names[f.Name] = true
		t.Run(f.Name, func(t *testing.T) {
			row := Row{Fault: Fault{Cause: f.Cause}}
			for seed := uint64(0); seed < 4000 && row.Drawn < 10; seed++ {
				if err := row.DrawBetween(f, seed); err != nil {
					t.Fatal(err)
				}
			}
			if row.Drawn < 10 || row.Packet < row.Drawn || row.Field < row.Drawn || row.Cause < row.Drawn || row.False > 0 || row.Wrong != "" || row.err() != nil {
				t.Errorf("planted %d times, %d packets, %d fields, %d causes, %d false: %s", row.Drawn, row.Packet, row.Field, row.Cause, row.False, row.Wrong)
			}
		})
	}
}

// TestPlace checks that a fault without a place changes nothing, and that one with a place
// changes only the packets that it names.
func TestPlace(t *testing.T) {
	same := func(p, q pcap.Packet) bool { return p.Number == q.Number && bytes.Equal(p.Data, q.Data) }
	for _, f := range Betweens() {
		planted, not := 0, 0
		for seed := uint64(0); seed < 4000 && (planted < 3 || not < 3); seed++ {
			p, q := pairOf(t, seed), pairOf(t, seed)
			want := f.Plant(rand.New(rand.NewPCG(seed, 3)), p)
			if want == nil {
				if not++; !slices.EqualFunc(p.After, q.After, same) || !slices.EqualFunc(p.Before, q.Before, same) {
					if f.Name != "a wrong checksum made right" && f.Name != "UDP checksum added" {
						t.Errorf("%s: seed %d has no place, and was changed", f.Name, seed)
					}
				}
				continue
			}
			if planted++; slices.EqualFunc(p.After, q.After, same) && slices.EqualFunc(p.Before, q.Before, same) {
				t.Errorf("%s: seed %d is as it was", f.Name, seed)
			}
			if len(p.After) != len(p.from) {
				t.Errorf("%s: %d packets, %d places", f.Name, len(p.After), len(p.from))
			}
			named := map[int]bool{}
			for _, w := range want {
				named[w.after] = true
			}
			if len(p.After) != len(q.After) || f.Name == "reordered" || f.Name == "UDP checksum added" {
				continue
			}
			for i := range p.After {
				if !same(p.After[i], q.After[i]) && !named[i+1] {
					t.Errorf("%s: seed %d changed packet %d, and names %v", f.Name, seed, i+1, want)
				}
			}
		}
		if planted < 3 || not < 3 {
			t.Errorf("%s: it had a place in %d pairs, and none in %d", f.Name, planted, not)
		}
	}
}

// TestShows checks which fields a finding may have besides the one that was changed.
func TestShows(t *testing.T) {
	for _, c := range []struct {
		field string
		names []string
		want  bool
	}{
		{"", nil, true},
		{"", []string{"ip.id"}, false},
		{"ip.id", nil, false},
		{"ip.id", []string{"ip.id"}, true},
		{"ip.id", []string{"ip.checksum"}, false},
		{"ip.id", []string{"ip.id", "ip.checksum"}, true},
		{"ip.id", []string{"ip.id", "ip.tos"}, false},
		{"payload", []string{"payload", "tcp.checksum"}, true},
	} {
		if got := (Change{Field: c.field}).shows(c.names); got != c.want {
			t.Errorf("%q in %q: %v, want %v", c.field, c.names, got, c.want)
		}
	}
}

// TestCounts plants a fault of which something else is expected than what compare finds: it is
// counted as missed, as another field or cause, or as false.
func TestCounts(t *testing.T) {
	fault := Betweens()[0] // the TTL
	plant := fault.Plant
	for name, c := range map[string]struct {
		change func(w []Change) []Change
		cause  string
		want   Row // of each drawing
	}{
		"right":            {func(w []Change) []Change { return w }, "", Row{Packet: 1, Field: 1, Cause: 1}},
		"nothing":          {func(w []Change) []Change { return []Change{} }, "", Row{Packet: 1, Field: 1, Cause: 1, False: 1}},
		"another packet":   {func(w []Change) []Change { w[0].after++; return w }, "", Row{False: 1}},
		"another before":   {func(w []Change) []Change { w[0].from.packet++; return w }, "", Row{False: 1}},
		"another segment":  {func(w []Change) []Change { w[0].from.segment++; return w }, "", Row{False: 1}},
		"another field":    {func(w []Change) []Change { w[0].Field = "ip.id"; return w }, "", Row{Packet: 1, Cause: 1}},
		"something else":   {func(w []Change) []Change { w[0].What = compare.Lost; return w }, "", Row{Packet: 1, Cause: 1}},
		"another cause":    {func(w []Change) []Change { return w }, "the moon", Row{Packet: 1, Field: 1}},
		"one more is lost": {func(w []Change) []Change { return append(w, Change{What: compare.Lost, from: place{1, 0}}) }, "", Row{}},
	} {
		f := fault
		f.Cause = c.cause
		f.Plant = func(r *rand.Rand, p *Pair) []Change {
			w := plant(r, p)
			if w == nil {
				return nil
			}
			return c.change(w)
		}
		const n = 3
		row := Row{}
		for seed := uint64(0); row.Drawn < n; seed++ {
			if err := row.DrawBetween(f, seed); err != nil {
				t.Fatal(err)
			}
		}
		if row.Packet != n*c.want.Packet || row.Field != n*c.want.Field || row.Cause != n*c.want.Cause || row.False != n*c.want.False || (row.Wrong == "") != (name == "right") {
			t.Errorf("%s: %+v, want %d times %+v", name, row, n, c.want)
		}
		if name != "another cause" && (row.err() == nil) != (name == "right") {
			t.Errorf("%s: %v", name, row.err())
		}
	}
}

// TestRun runs a small trial: it has a row for each fault of both catalogues and for right
// traffic, all hold, and the tables show them. Each row is the same if it runs alone.
func TestRun(t *testing.T) {
	run := func(only *regexp.Regexp) []record.Result {
		tr := Trial{Collector: record.NewCollector(context.Background(), "trial", io.Discard, only), Seed: 5, Draws: 5}
		if err := tr.Run(); err != nil {
			t.Fatal(err)
		}
		return tr.Rows
	}
	var names []string
	for _, f := range Faults() {
		names = append(names, f.Name)
	}
	names = append(names, right)
	for _, f := range Betweens() {
		names = append(names, between+f.Name)
	}
	names = append(names, rightPairs)
	rows := run(nil)
	var got []string
	for _, r := range rows {
		got = append(got, r.Method)
		count := 5
		switch {
		case r.Method == right:
			count *= len(Faults())
		case r.Method == rightPairs:
			count = len(Betweens())
		case strings.HasPrefix(r.Method, between):
			count = 1
		}
		if r.Property != "faults" || r.Count != count || r.Result != record.Holds || r.Counts["false"] != 0 || r.Counts["missed"] != 0 {
			t.Errorf("%+v", r)
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("rows %q, want %q", got, names)
	}
	for _, name := range []string{names[3], right, names[len(names)-5], rightPairs} {
		alone := run(regexp.MustCompile("^faults " + regexp.QuoteMeta(name) + "$"))
		i := slices.Index(names, name)
		if len(alone) != 1 || alone[0].Method != name || alone[0].Count != rows[i].Count || fmt.Sprint(alone[0].Counts) != fmt.Sprint(rows[i].Counts) {
			t.Errorf("alone %+v, with others %+v", alone, rows[i])
		}
	}
	var b bytes.Buffer
	if err := Table(&b, rows); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{
		"| TCP or UDP checksum: never filled in | 5 | 5 | 5 | 5 | 0 | 0 |\n",
		"| a byte of the payload changed | 5 | 5 | 5 | none: the sum shows by how much two bytes changed, not where | 0 | 0 |\n",
		fmt.Sprintf("| none: right traffic | %d | | | | | 0 |\n", 5*len(Faults())),
		"\nOf `compare`, with the fault between two captures:\n\n| fault | drawn |",
		"| doubled | 1 | 1 | 1 | 1 | 0 | 0 |\n",
		"| lost | 1 | 1 | 1 | none: a packet that is not there shows nothing | 0 | 0 |\n",
		fmt.Sprintf("| none: right pairs of captures | %d | | | | | 0 |\n", len(Betweens())),
		fmt.Sprintf("| all | %d | %d | %d | ", 5*len(Faults()), 5*len(Faults()), 5*len(Faults())),
		fmt.Sprintf("| all | %d | %d | %d | ", len(Betweens()), len(Betweens()), len(Betweens())),
		"\nSeed 5, tree",
	} {
		if strings.Count(text, want) != 1 {
			t.Errorf("the tables do not have %q once:\n%s", want, text)
		}
	}
	if len(strings.Split(text, "\n")) != len(rows)+12 { // two heads, two sums, six lines of text
		t.Errorf("%d lines:\n%s", len(strings.Split(text, "\n")), text)
	}
}

// TestInterrupted checks that an interrupt ends a trial, without rows that are half done.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	tr := Trial{Collector: record.NewCollector(ctx, "trial", io.Discard, nil), Seed: 5, Draws: 1000}
	if err := tr.Run(); err != nil || len(tr.Rows) > 0 {
		t.Errorf("%v, %d rows", err, len(tr.Rows))
	}
}
