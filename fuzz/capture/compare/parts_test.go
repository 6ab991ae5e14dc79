// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestRuns adds numbers in any order, and compares the runs with the set of the numbers.
func TestRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var runs []Run
		set := map[int]bool{}
		for range r.IntN(30) {
			n := 1 + r.IntN(40)
			runs, set[n] = capture.AddRun(runs, n), true
		}
		var want []Run
		for n := 1; n <= 41; n++ {
			switch {
			case !set[n]:
			case set[n-1]:
				want[len(want)-1][1] = n
			default:
				want = append(want, Run{n, n})
			}
		}
		if !slices.Equal(runs, want) {
			t.Fatalf("%v, want %v", runs, want)
		}
		var text []string
		for _, x := range want[:min(len(want), capture.ShownRuns)] {
			if x[0] == x[1] {
				text = append(text, fmt.Sprint(x[0]))
			} else {
				text = append(text, fmt.Sprint(x[0], "-", x[1]))
			}
		}
		s := strings.Join(text, ", ")
		if len(want) > capture.ShownRuns {
			s += " and others"
		}
		if got := capture.RunsText(runs); got != s {
			t.Fatalf("%q, want %q", got, s)
		}
	}
	var runs []Run
	for n := range 3 * capture.MaxRuns {
		runs = capture.AddRun(runs, 2*n)
	}
	if len(runs) != capture.MaxRuns || runs[capture.MaxRuns-1] != (Run{2*capture.MaxRuns - 2, 2*capture.MaxRuns - 2}) {
		t.Errorf("%d runs, the last %v", len(runs), runs[len(runs)-1])
	}
	if runs = capture.AddRun(runs, 1); len(runs) != capture.MaxRuns-1 || runs[0] != (Run{0, 2}) {
		t.Errorf("a number between two runs: %d runs, the first %v", len(runs), runs[0])
	}
}

// TestPeriod compares period with a search of all lengths.
func TestPeriod(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	found := 0
	for range 20_000 {
		part := make([]byte, 1+r.IntN(12))
		for i := range part {
			part[i] = byte(r.IntN(3))
		}
		b := bytes.Repeat(part, 5)[:1+r.IntN(4*len(part))]
		if r.IntN(4) == 0 {
			b[r.IntN(len(b))] ^= 1
		}
		want := 0
		for n := 1; n <= len(b)/2 && want == 0; n++ {
			if bytes.Equal(b[n:], b[:len(b)-n]) {
				want = n
			}
		}
		if got := period(b); got != want {
			t.Fatalf("%v: %d, want %d", b, got, want)
		}
		if want > 0 {
			found++
		}
	}
	if found < 5000 {
		t.Errorf("only %d have a period", found)
	}
}

// TestMostlyEqual compares bytes of which some differ.
func TestMostlyEqual(t *testing.T) {
	for n := range 30 {
		for differ := range n + 1 {
			for _, cut := range []int{0, 1, 5} {
				a := bytes.Repeat([]byte{1}, n)
				b := append(bytes.Repeat([]byte{2}, differ), a[differ:]...)
				a = append(a, make([]byte, cut)...)
				want := 4*(n-differ) >= 3*(n+cut)
				if differ == 0 {
					want = n > 0
				}
				if got, back := mostlyEqual(a, b), mostlyEqual(b, a); got != want || back != want {
					t.Errorf("%d of %d differ, %d more: %v and %v, want %v", differ, n, cut, got, back, want)
				}
			}
		}
	}
}

// TestNumbers checks gcd, agreed, firstOther and abs.
func TestNumbers(t *testing.T) {
	for a := range 40 {
		for b := range 40 {
			want := 0
			for n := 1; n <= max(a, b); n++ {
				if a%n == 0 && b%n == 0 {
					want = n
				}
			}
			if got := gcd(a, b); got != want {
				t.Errorf("gcd(%d, %d) is %d, want %d", a, b, got, want)
			}
		}
	}
	for _, c := range [][3]int{{0, 5, 5}, {5, 5, 5}, {5, 6, -1}, {-1, 5, -1}, {5, -1, -1}, {-1, -1, -1}, {0, 0, 0}} {
		if got := agreed(c[0], c[1]); got != c[2] {
			t.Errorf("agreed(%d, %d) is %d, want %d", c[0], c[1], got, c[2])
		}
	}
	for n := range 5 {
		a, b := make([]byte, 5), make([]byte, 5)
		b[n] = 1
		if got := firstOther(a, b); got != n {
			t.Errorf("firstOther is %d, want %d", got, n)
		}
	}
	if firstOther([]byte{1}, []byte{1}) != -1 || abs(-3) != 3 || abs(3) != 3 || abs(0) != 0 {
		t.Error("firstOther or abs")
	}
}

// TestRules checks which rule protects each field of every kind of packet.
func TestRules(t *testing.T) {
	want := map[string]string{"ip.id": "E.id", "ip.tos": "E.tos", "ip.ttl": "E.ttl", "ip.hop_limit": "E.ttl", "ip.frag": "E.df", "ip.version_tc_label": "E.label",
		"ip.total_length": "C1.length", "ip.payload_length": "C1.length", "ip.checksum": "C1.ip_checksum", "ip.extension": "S3.extension", "tcp.seq": "E.seq", "tcp.ack": "E.ack",
		"tcp.window": "E.window", "tcp.doff": "E.reserved", "tcp.urgent_pointer": "E.urgent", "tcp.options": "E.options", "tcp.checksum": "C1.l4_checksum",
		"udp.checksum": "C1.l4_checksum", "udp.length": "C1.udp_length", "length": "C1.length", "tcp.flags": "E.flags", "payload": "", "ip.src": "", "tcp.sport": ""}
	for name, rule := range want {
		if got := ruleOf(packet.Difference{Field: name, Want: []byte{1, 2}, Got: []byte{3, 4}}); got != rule {
			t.Errorf("%s: %q, want %q", name, got, rule)
		}
	}
	for _, c := range []struct {
		want, got []byte
		rule      string
	}{
		{[]byte{0xFF, 0xFF}, []byte{1, 2}, "C1.zero"}, {[]byte{1, 2}, []byte{0, 0}, "C1.zero"}, {[]byte{0, 0}, []byte{1, 2}, "C1.l4_checksum"}, {[]byte{1, 2}, []byte{0xFF, 0xFF}, "C1.l4_checksum"},
	} {
		if got := ruleOf(packet.Difference{Field: "tcp.checksum", Want: c.want, Got: c.got}); got != c.rule {
			t.Errorf("a checksum %x, was %x: %q, want %q", c.got, c.want, got, c.rule)
		}
	}
	for x := range 256 {
		rule := "E.flags"
		switch x {
		case 0, 1, 8, 9:
			rule = "E.last"
		case 0x80:
			rule = "S4.cwr"
		}
		if got := ruleOf(packet.Difference{Field: "tcp.flags", Want: []byte{0x55}, Got: []byte{0x55 ^ byte(x)}}); got != rule {
			t.Errorf("flags %02x: %q, want %q", x, got, rule)
		}
	}
}

// TestHop checks which changes a router between the captures can have made.
func TestHop(t *testing.T) {
	for name, c := range map[string]struct {
		v6     bool
		change func(b []byte)
		fix    bool
		want   bool
	}{
		"the TTL":                             {false, func(b []byte) { b[8]-- }, true, true},
		"the TTL, checksum not updated":       {false, func(b []byte) { b[8]-- }, false, false},
		"the TOS":                             {false, func(b []byte) { b[1] ^= 4 }, true, true},
		"the hop limit":                       {true, func(b []byte) { b[7]-- }, false, true},
		"the traffic class":                   {true, func(b []byte) { b[1] ^= 0x10 }, false, true},
		"the upper half of the traffic class": {true, func(b []byte) { b[0] ^= 1 }, false, true},
		"the flow label":                      {true, func(b []byte) { b[3] ^= 1 }, false, false},
		"the flow label's first bits":         {true, func(b []byte) { b[1] ^= 1 }, false, false},
		"the ID":                              {false, func(b []byte) { b[5]++ }, true, false},
		"the header checksum alone":           {false, func(b []byte) { b[10]++ }, false, false},
		"the TTL and the payload":             {false, func(b []byte) { b[8]--; b[len(b)-1]++ }, true, false},
	} {
		p := scenario.TCP4(50)
		p.V6 = c.v6
		u := &unit{b: p.Bytes()}
		w := &unit{b: p.Bytes()}
		c.change(w.b)
		if c.fix {
			packet.Fix(w.b, packet.FixIPCsum)
		}
		if got := byHop(u, w, packet.Diff(u.b, w.b)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	damaged := scenario.TCP4(50).Bytes()
	damaged[10]++
	lower := bytes.Clone(damaged)
	lower[8]--
	if !byHop(&unit{b: damaged}, &unit{b: lower}, packet.Diff(damaged, lower)) {
		t.Error("a header checksum that was wrong before")
	}
}

// TestFindingText checks how findings are printed.
func TestFindingText(t *testing.T) {
	d := packet.Difference{Field: "ip.ttl", Off: 8, WantText: "40", GotText: "3f"}
	for _, c := range []struct {
		f    Finding
		want string
	}{
		{Finding{What: Lost, Packets: [2]int{7, 0}, Rule: "P2", Packet: "IPv4"}, "before 7: lost: IPv4 [P2]"},
		{Finding{What: Extra, Packets: [2]int{0, 7}, Segments: [2]int{0, 3}, Rule: "P2"}, "after 7 segment 3: extra [P2]"},
		{Finding{What: Changed, Packets: [2]int{7, 8}, Segments: [2]int{2, 0}, Fields: []packet.Difference{d}, Text: "why", Rule: "E.ttl"}, "before 7 segment 2, after 8: changed: why\n  ip.ttl (offset 8): 3f, was 40 [E.ttl]"},
		{Finding{What: Changed, Packets: [2]int{7, 8}, Count: 3, Runs: [2][]Run{{{7, 9}}, {{8, 8}, {10, 11}}}, Fields: []packet.Difference{d}, Rule: "E.ttl"},
			"before 7-9, after 8, 10-11: changed (3 times), with the values of the first\n  ip.ttl (offset 8): 3f, was 40 [E.ttl]"},
		{Finding{What: Lost, Packets: [2]int{7, 0}, Count: 2, Runs: [2][]Run{{{7, 8}}}, Bytes: 300, Rule: "P2"}, "before 7-8: lost (2 times), 300 bytes [P2]"},
		{Finding{What: Lost, Packets: [2]int{7, 0}, Count: 1, Runs: [2][]Run{{{7, 7}}}, Segments: [2]int{4, 0}, Bytes: 300, Rule: "P2"}, "before 7 segment 4: lost [P2]"},
		{Finding{What: Lost, Packets: [2]int{7, 0}, Count: 2, Runs: [2][]Run{{{7, 7}}}, Bytes: 1, Rule: "P2"}, "before 7: lost (2 times), 1 byte [P2]"},
	} {
		if got := c.f.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestLoss describes which segments of superpackets were lost, and in which runs.
func TestLoss(t *testing.T) {
	flows := [2]packet.Flow{{Version: 4, Proto: 6, SrcPort: 1}, {Version: 4, Proto: 6, SrcPort: 2}}
	lost := func(flow, number, at, segment, of, size int) Finding {
		return Finding{What: Lost, Packets: [2]int{number, 0}, Segments: [2]int{segment, 0}, Count: 1, Bytes: size, flow: flows[flow], at: at, of: of}
	}
	for name, c := range map[string]struct {
		list                          []Finding
		packets, bytes, runs, longest int
		where                         string
	}{
		"one":                        {[]Finding{lost(0, 5, 3, 0, 0, 10)}, 1, 10, 1, 1, ""},
		"two in a row":               {[]Finding{lost(0, 5, 3, 0, 0, 10), lost(0, 9, 4, 0, 0, 20)}, 2, 30, 1, 2, ""},
		"two apart":                  {[]Finding{lost(0, 5, 3, 0, 0, 10), lost(0, 9, 5, 0, 0, 20)}, 2, 30, 2, 1, ""},
		"of two flows":               {[]Finding{lost(0, 5, 3, 0, 0, 10), lost(1, 6, 4, 0, 0, 20)}, 2, 30, 2, 1, ""},
		"two flows, each in a row":   {[]Finding{lost(0, 5, 3, 0, 0, 1), lost(1, 6, 8, 0, 0, 1), lost(0, 7, 4, 0, 0, 1), lost(1, 8, 9, 0, 0, 1), lost(0, 9, 5, 0, 0, 1)}, 5, 5, 2, 3, ""},
		"without places":             {[]Finding{lost(0, 5, 0, 0, 0, 1), lost(0, 6, 0, 0, 0, 1)}, 2, 2, 2, 1, ""},
		"a whole superpacket":        {[]Finding{lost(0, 5, 3, 1, 2, 1), lost(0, 5, 3, 2, 2, 1)}, 2, 2, 1, 2, "whole superpackets"},
		"two whole ones in a row":    {[]Finding{lost(0, 5, 3, 1, 2, 1), lost(0, 5, 3, 2, 2, 1), lost(0, 8, 4, 1, 2, 1), lost(0, 8, 4, 2, 2, 1)}, 4, 4, 1, 4, "whole superpackets"},
		"the last segments":          {[]Finding{lost(0, 5, 3, 3, 4, 1), lost(0, 5, 3, 4, 4, 1)}, 2, 2, 1, 2, "the last segments of superpackets"},
		"the first segments":         {[]Finding{lost(0, 5, 3, 1, 4, 1), lost(0, 5, 3, 2, 4, 1)}, 2, 2, 1, 2, "the first segments of superpackets"},
		"whole ones and last ones":   {[]Finding{lost(0, 5, 3, 1, 2, 1), lost(0, 5, 3, 2, 2, 1), lost(0, 9, 9, 4, 4, 1)}, 3, 3, 2, 2, "whole superpackets, and the last segments of others"},
		"one from the middle":        {[]Finding{lost(0, 5, 3, 2, 4, 1)}, 1, 1, 1, 1, "segments scattered over superpackets"},
		"two that are not in a row":  {[]Finding{lost(0, 5, 3, 1, 4, 1), lost(0, 5, 3, 3, 4, 1)}, 2, 2, 2, 1, "segments scattered over superpackets"},
		"first ones and last ones":   {[]Finding{lost(0, 5, 3, 1, 4, 1), lost(0, 9, 9, 4, 4, 1)}, 2, 2, 2, 1, "segments scattered over superpackets"},
		"the end and the next start": {[]Finding{lost(0, 5, 3, 4, 4, 1), lost(0, 6, 4, 1, 4, 1)}, 2, 2, 1, 2, "segments scattered over superpackets"},
		"the end and a packet":       {[]Finding{lost(0, 5, 3, 4, 4, 1), lost(0, 6, 4, 0, 0, 1)}, 2, 2, 1, 2, "the last segments of superpackets"},
	} {
		var l loss
		for _, f := range c.list {
			l.add(f)
		}
		if l.packets != c.packets || l.bytes != c.bytes || l.runs != c.runs || l.longest != c.longest || l.where() != c.where {
			t.Errorf("%s: %d packets, %d bytes, %d runs, the longest %d, %q; want %d, %d, %d, %d, %q", name, l.packets, l.bytes, l.runs, l.longest, l.where(), c.packets, c.bytes, c.runs, c.longest, c.where)
		}
	}
}

// TestFold folds findings: those of one kind, with the same fields and text, are one.
func TestFold(t *testing.T) {
	flows := [2]packet.Flow{{Version: 4, Proto: 6, SrcPort: 1}, {Version: 4, Proto: 6, SrcPort: 2}}
	find := func(what string, flow, before, after int, fields ...string) Finding {
		f := Finding{What: what, Packets: [2]int{before, after}, Rule: "R", flow: flows[flow], Bytes: 10}
		for _, name := range fields {
			f.Fields = append(f.Fields, packet.Difference{Field: name})
		}
		return f
	}
	text := func(f Finding, s string) Finding { f.Text = s; return f }
	for name, c := range map[string]struct {
		list []Finding
		want []int // how many are in each
	}{
		"changes in the same fields":       {[]Finding{find(Changed, 0, 1, 1, "ip.id"), find(Changed, 1, 2, 2, "ip.id")}, []int{2}},
		"changes in others":                {[]Finding{find(Changed, 0, 1, 1, "ip.id"), find(Changed, 0, 2, 2, "ip.ttl")}, []int{1, 1}},
		"changes with another text":        {[]Finding{find(Changed, 0, 1, 1, "ip.id"), text(find(Changed, 0, 2, 2, "ip.id"), "x")}, []int{1, 1}},
		"lost of one flow":                 {[]Finding{find(Lost, 0, 1, 0), find(Lost, 0, 2, 0), find(Lost, 0, 3, 0)}, []int{3}},
		"lost of two flows":                {[]Finding{find(Lost, 0, 1, 0), find(Lost, 1, 2, 0)}, []int{1, 1}},
		"lost with another text":           {[]Finding{find(Lost, 0, 1, 0), text(find(Lost, 0, 2, 0), "x")}, []int{1, 1}},
		"copies of one flow, of any text":  {[]Finding{find(Duplicated, 0, 1, 5), text(find(Duplicated, 0, 2, 6), "x")}, []int{2}},
		"copies of two flows":              {[]Finding{find(Duplicated, 0, 1, 5), find(Duplicated, 1, 2, 6)}, []int{1, 1}},
		"more kinds than are kept":         {[]Finding{find(Lost, 0, 1, 0), find(Lost, 1, 2, 0), find(Extra, 0, 0, 3), find(Extra, 1, 0, 4)}, []int{1, 1, 1}},
		"the same after more than is kept": {[]Finding{find(Lost, 0, 1, 0), find(Lost, 1, 2, 0), find(Extra, 0, 0, 3), find(Extra, 1, 0, 4), find(Lost, 0, 5, 0)}, []int{2, 1, 1}},
	} {
		folder := newFolder(3)
		for _, f := range c.list {
			folder.add(f)
		}
		var got []int
		kept := 0
		for _, f := range folder.findings() {
			got = append(got, f.Count)
			kept += f.Count
			n := 0
			for _, side := range f.Runs {
				for _, r := range side {
					n = max(n, r[1]-r[0]+1)
				}
			}
			if f.Bytes != 10*f.Count || n == 0 {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if !slices.Equal(got, c.want) || folder.total() != len(c.list) || folder.more != len(c.list)-kept {
			t.Errorf("%s: %v and %d more, want %v; %d in all", name, got, folder.more, c.want, folder.total())
		}
		kinds := 0
		for i, k := range folder.sortedKinds() {
			if kinds += k.N; i > 0 && k.N > folder.sortedKinds()[i-1].N {
				t.Errorf("%s: kinds %v", name, folder.sortedKinds())
			}
		}
		if kinds != len(c.list) {
			t.Errorf("%s: %d of all kinds", name, kinds)
		}
	}
}

// TestMissedUpdate updates a checksum for some of several changes.
func TestMissedUpdate(t *testing.T) {
	list := []change{{"source address", 12, []byte{192, 0, 2, 1}, []byte{10, 9, 8, 7}}, {"destination address", 16, []byte{192, 0, 2, 2}, []byte{172, 16, 3, 4}}, {"source port", 20, []byte{5, 6}, []byte{77, 88}}}
	const was = 0x1234
	for mask := range 1 << len(list) {
		var done, missed []change
		for i, c := range list {
			if mask>>i&1 == 1 {
				missed = append(missed, c)
			} else {
				done = append(done, c)
			}
		}
		want := ""
		if len(missed) > 0 {
			want = "the checksum was not updated for the new " + names(missed)
		}
		if got := missedUpdate(was, updated(was, done), list); got != want {
			t.Errorf("%d of %d missed: %q, want %q", len(missed), len(list), got, want)
		}
	}
	if got := missedUpdate(was, updated(updated(was, list), list), list); got != "the checksum was updated twice for the new source address, destination address, source port" {
		t.Errorf("%q", got)
	}
	if got := missedUpdate(was, was+1, list); got != "" {
		t.Errorf("any other value: %q", got)
	}
	if got := missedUpdate(was, was, nil); got != "" {
		t.Errorf("without a change: %q", got)
	}
}

// TestLayer checks that layer takes strips that do not overlap, in order, and leaves the others.
func TestLayer(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		var list []strip
		for range r.IntN(10) {
			from := r.IntN(30)
			list = append(list, strip{&unit{}, from, from + 1 + r.IntN(8), nil})
		}
		taken, rest := layer(slices.Clone(list))
		if len(taken)+len(rest) != len(list) || len(list) > 0 && len(taken) == 0 {
			t.Fatalf("%d taken and %d left of %d", len(taken), len(rest), len(list))
		}
		for i := 1; i < len(taken); i++ {
			if taken[i].from < taken[i-1].to {
				t.Fatalf("%v overlaps %v", taken[i], taken[i-1])
			}
		}
		for _, s := range rest {
			if !slices.ContainsFunc(taken, func(x strip) bool { return x.from < s.to && s.from < x.to }) {
				t.Fatalf("%v is left, and overlaps nothing of %v", s, taken)
			}
		}
	}
}

// TestEndFlags checks the flags that belong to the ends of packets, for all places of two strips.
func TestEndFlags(t *testing.T) {
	p := scenario.TCP4(10)
	at := func(from, to int, flags byte) strip {
		b := p.Bytes()
		b[33] = flags
		return strip{&unit{b: b, Header: packet.Parse(b)}, from, to, b[40:]}
	}
	const fin, psh, cwr, ack = scenario.FIN, scenario.PSH, scenario.CWR, scenario.ACK
	for _, c := range []struct {
		b, a strip
		want string
	}{
		{at(0, 10, ack), at(0, 10, ack), ""},
		{at(0, 10, ack), at(0, 10, ack|psh), "both packets end with the same byte"},
		{at(0, 10, ack|fin), at(5, 10, ack), "both packets end with the same byte"},
		{at(0, 10, ack|cwr), at(0, 5, ack), "both packets start with the same byte"},
		{at(0, 10, ack), at(0, 5, ack|cwr), "both packets start with the same byte"},
		{at(0, 10, ack|cwr), at(5, 8, ack), ""},
		{at(0, 10, ack|psh), at(0, 5, ack), ""},
		{at(0, 10, ack|psh), at(0, 5, ack|psh), "PSH is not at the end of a packet"},
		{at(0, 10, ack|fin), at(0, 5, ack|fin), "FIN is not at the end of the stream"},
		{at(0, 5, ack), at(0, 10, ack|psh|fin), ""},
	} {
		if got := endFlags(c.b, c.a); got != c.want {
			t.Errorf("%d-%d %02x, %d-%d %02x: %q, want %q", c.b.from, c.b.to, c.b.b[33], c.a.from, c.a.to, c.a.b[33], got, c.want)
		}
	}
	d := scenario.UDP4(10).Bytes()
	u := strip{&unit{b: d, Header: packet.Parse(d)}, 0, 10, d[28:]}
	if got := endFlags(u, u); got != "" {
		t.Errorf("of datagrams: %q", got)
	}
}

// TestSizesByLast checks the sizes that a last segment shows.
func TestSizesByLast(t *testing.T) {
	long := func(v6 bool, id uint16, sizes ...int) *unit {
		p := scenario.TCP4(3000)
		p.V6, p.ID = v6, id
		b := p.Bytes()
		return &unit{b: b, Header: packet.Parse(b), flow: &flow{sizes: sizes}}
	}
	short := func(v6 bool, id uint16, n int) *unit {
		p := scenario.TCP4(n)
		p.V6, p.ID = v6, id
		b := p.Bytes()
		return &unit{b: b, Header: packet.Parse(b)}
	}
	for name, c := range map[string]struct {
		long, short *unit
		at          int
		want        []int
	}{
		"IDs":                        {long(false, 7), short(false, 9, 100), 2000, []int{1000}},
		"IDs that do not divide":     {long(false, 7), short(false, 10, 100), 2000, nil},
		"IDs that count down":        {long(false, 7), short(false, 6, 100), 2000, nil},
		"IDs of too small a size":    {long(false, 7), short(false, 47, 100), 2000, nil},
		"a size of the flow":         {long(true, 0, 500, 300), short(true, 0, 100), 2000, []int{500}},
		"a size that is too small":   {long(true, 0, 50), short(true, 0, 100), 2000, nil},
		"a usual size":               {long(false, 7), short(false, 7, 100), 2920, []int{1460}},
		"as long as the others":      {long(true, 0), short(true, 0, 1000), 2000, []int{1000}},
		"536 bytes":                  {long(true, 0), short(true, 0, 536), 536, []int{536}},
		"535 bytes":                  {long(true, 0), short(true, 0, 535), 535, nil},
		"a length that is no divide": {long(true, 0), short(true, 0, 900), 2000, nil},
	} {
		if got := sizesByLast(c.long, c.short, c.at); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestFirstFit checks the bounds of a size: it divides the distances, and does not give too many
// segments.
func TestFirstFit(t *testing.T) {
	of := func(p scenario.Packet) *unit {
		b := p.Bytes()
		return &unit{b: b, Header: packet.Parse(b)}
	}
	for _, c := range []struct {
		u       *unit
		sizes   []int
		divisor int
		want    int
	}{
		{of(scenario.TCP4(3000)), []int{700, 500, 250}, 1000, 500},
		{of(scenario.TCP4(3000)), []int{700}, 1000, 0},
		{of(scenario.TCP4(3000)), []int{0, -5, 500}, 1000, 500},
		{of(scenario.TCP4(3000)), []int{500}, 0, 0},
		{of(scenario.TCP4(2560)), []int{10}, 1000, 10},
		{of(scenario.TCP4(2561)), []int{10}, 1000, 0},
		{of(scenario.UDP4(1280)), []int{10}, 1000, 10},
		{of(scenario.UDP4(1281)), []int{10}, 1000, 0},
	} {
		if got := firstFit(c.u, c.sizes, c.divisor); got != c.want {
			t.Errorf("%d bytes, sizes %v, divisor %d: %d, want %d", len(c.u.payload()), c.sizes, c.divisor, got, c.want)
		}
	}
}
