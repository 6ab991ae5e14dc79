// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// filed compares two captures as files, and returns the report and what it prints.
func filed(t *testing.T, cfg Config, most int, captures ...[]pcap.Packet) (*Report, string) {
	t.Helper()
	var in [2]*capture.Source
	for side, list := range captures {
		var b bytes.Buffer
		w, err := pcap.NewWriter(&b, pcap.NG)
		for _, p := range list {
			if err == nil {
				err = w.Write(p)
			}
		}
		name := filepath.Join(t.TempDir(), fmt.Sprint(side, ".pcapng"))
		if err == nil {
			err = os.WriteFile(name, b.Bytes(), 0o666)
		}
		if err == nil {
			in[side], err = capture.Open(name, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer in[side].Close()
	}
	r, err := Files(t.Context(), io.Discard, in, cfg, most)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r.Print(&b)
	text := b.String()
	for side := range in {
		text = strings.ReplaceAll(text, in[side].Name, [...]string{"A", "B"}[side])
	}
	return r, text
}

// flowOf returns n packets of 100 bytes of one flow, one each millisecond. Each has a payload of
// its own.
func flowOf(p scenario.Packet, n int) []pcap.Packet {
	var list [][]byte
	for i := range n {
		b := p.Bytes()
		copy(b[len(b)-8:], fmt.Sprintf("%08d", i))
		packet.Fix(b, packet.FixAll)
		list = append(list, b)
		p = p.Next(100)
	}
	return timed(list)
}

// changedIn returns packets of which some are changed.
func changedIn(list []pcap.Packet, change func(i int, b []byte)) (out []pcap.Packet) {
	for i, p := range list {
		p.Data = bytes.Clone(p.Data)
		change(i, p.Data)
		out = append(out, p)
	}
	return out
}

// TestReport compares captures, and checks the verdict, the result and the lines of the report.
func TestReport(t *testing.T) {
	all := flowOf(scenario.UDP4(100), 50)
	hop := func(b []byte, fix int) { b[8]--; packet.Fix(b, fix) }
	for name, c := range map[string]struct {
		cfg      Config
		most     int
		captures [2][]pcap.Packet
		result   string
		says     []string
		not      []string
	}{
		"the same": {Config{}, 10, [2][]pcap.Packet{all, all}, record.Holds,
			[]string{"holds: 50 segments came through unchanged, in order\nbefore: A: 50 packets, 0 superpackets cut into segments\nafter:  B: 50 packets, 0 superpackets"}, []string{"not judged", "lost"}},
		"one lost": {Config{}, 10, [2][]pcap.Packet{all, append(all[:20:20], all[21:]...)}, record.Violated,
			[]string{"VIOLATED: 1 lost; 49 of 50 segments came through unchanged\n", "before 21: lost: IPv4"}, []string{"lost: 1 packet", "1  lost"}},
		"two runs lost": {Config{}, 10, [2][]pcap.Packet{all, append(append(all[:10:10], all[12:20]...), all[25:]...)}, record.Violated,
			[]string{"VIOLATED: 7 lost; 43 of 50 segments", "\nlost: 7 packets, 896 bytes, in 2 runs, the longest of 5 packets\n", "before 11-12, 21-25: lost (7 times), 896 bytes"}, nil},
		"one extra": {Config{}, 10, [2][]pcap.Packet{append(all[:20:20], all[21:]...), all}, record.Violated, []string{"VIOLATED: 1 extra; 49 of 49 segments", "after 21: extra: IPv4"}, nil},
		"all lost":  {Config{}, 10, [2][]pcap.Packet{all, nil}, record.Violated, []string{"VIOLATED: 50 lost; 0 of 50 segments", "every packet of this capture; the other one is empty"}, nil},
		"nothing":   {Config{}, 10, [2][]pcap.Packet{nil, nil}, record.NotRun, []string{"nothing to judge: no packet is in both captures"}, nil},
		"changed": {Config{}, 10, [2][]pcap.Packet{all, changedIn(all, func(i int, b []byte) {
			if i >= 20 && i < 30 {
				hop(b, packet.FixIPCsum)
			}
		})}, record.Violated, []string{"VIOLATED: 10 changed; 40 of 50 segments", "before 21-30, after 21-30: changed (10 times), with the values of the first\n  ip.ttl (offset 8): "}, []string{"as if a router"}},
		"twenty by a router": {Config{}, 10, [2][]pcap.Packet{all, changedIn(all, func(i int, b []byte) {
			if i >= 20 && i < 40 {
				hop(b, packet.FixIPCsum)
			}
		})}, record.Violated, []string{"  20 of 20 changes are in ip.ttl,ip.checksum, as if a router between the captures had made them; -ignore ip.ttl,ip.checksum leaves them out\n"}, nil},
		"one of them by two": {Config{}, 10, [2][]pcap.Packet{all, changedIn(all, func(i int, b []byte) {
			if i >= 20 && i < 40 {
				hop(b, packet.FixIPCsum)
			}
			if i == 45 {
				b[8]--
				hop(b, packet.FixIPCsum)
			}
		})}, record.Violated, []string{"  20 of 21 changes are in ip.ttl,ip.checksum, as if a router between the captures had made them; -ignore ip.ttl,ip.checksum leaves them out, and hides 1 whose TTL changed by another number\n"}, nil},
		"a payload changed, and its checksum ignored": {Config{Ignore: []string{"tcp.checksum"}}, 10, [2][]pcap.Packet{all, changedIn(all, func(i int, b []byte) {
			if i == 20 {
				b[len(b)-1] ^= 1
				packet.Fix(b, packet.FixL4Csum)
			}
		})}, record.Violated, []string{"the checksum was computed again and is right"}, nil},
		"nineteen by a router": {Config{}, 10, [2][]pcap.Packet{all, changedIn(all, func(i int, b []byte) {
			if i >= 20 && i < 39 {
				hop(b, packet.FixIPCsum)
			}
		})}, record.Violated, nil, []string{"as if a router"}},
		"ignored": {Config{Ignore: []string{"ip.ttl", "ip.checksum"}}, 10, [2][]pcap.Packet{all, changedIn(all, func(i int, b []byte) { hop(b, packet.FixIPCsum) })}, record.Holds,
			[]string{"holds but for what was ignored: 50 segments came through in order, unchanged except perhaps in ip.ttl, ip.checksum"}, nil},
		"two kinds": {Config{}, 10, [2][]pcap.Packet{all, append(changedIn(all[:30], func(i int, b []byte) {
			if i == 20 || i == 22 {
				hop(b, packet.FixIPCsum)
			}
		}), all[31:]...)}, record.Violated, []string{"VIOLATED: 2 changed, 1 lost; 47 of 50 segments", "\n      2  changed: ip.ttl, ip.checksum [E.ttl]\n      1  lost [P2]\n"}, nil},
		"more than are shown": {Config{}, 1, [2][]pcap.Packet{all, append(changedIn(all[:30], func(i int, b []byte) {
			if i == 20 {
				hop(b, packet.FixIPCsum)
			}
		}), all[31:]...)}, record.Violated, []string{"VIOLATED: 1 changed, 1 lost", "\nand 1 more; -max shows more\n"}, nil},
		"started later": {Config{}, 10, [2][]pcap.Packet{all, all[10:]}, record.Holds,
			[]string{"holds: 40 segments came through unchanged, in order; not judged: packets or segments outside the time that both captures have (10)",
				"  A: not compared: 10 packets or segments before the first or after the last one that is in both captures; if both captures were running then, count this as lost\n"}, []string{"count this as extra"}},
		"ended earlier": {Config{}, 10, [2][]pcap.Packet{all[:49], all}, record.Holds,
			[]string{"not judged: packets or segments outside the time that both captures have (1)", "  B: not compared: 1 packet or segment before", "count this as extra\n"}, []string{"count this as lost"}},
		"half of it": {Config{}, 10, [2][]pcap.Packet{all, all[25:]}, record.Holds, []string{"holds: 25 segments"}, []string{"no verdict"}},
		"less than half of it": {Config{}, 10, [2][]pcap.Packet{all, all[26:]}, record.NotRun,
			[]string{"no verdict: 24 segments came through unchanged, but 26 packets or segments were not compared, which is more; not judged: "}, nil},
		"a size without effect": {Config{Size: 30}, 10, [2][]pcap.Packet{all, all}, record.Holds, []string{"  -size 30 had no effect: no superpacket was cut\n"}, nil},
	} {
		r, text := filed(t, c.cfg, c.most, c.captures[0], c.captures[1])
		if r.Record.Result != c.result {
			t.Errorf("%s: %s, want %s", name, r.Record.Result, c.result)
		}
		for _, s := range c.says {
			if !strings.Contains(text, s) {
				t.Errorf("%s: it does not say %q:\n%s", name, s, text)
			}
		}
		for _, s := range c.not {
			if strings.Contains(text, s) {
				t.Errorf("%s: it says %q:\n%s", name, s, text)
			}
		}
		lost, n := 0, r.More()
		for _, f := range r.Findings {
			n += f.Count
		}
		for _, k := range r.What {
			lost += k
		}
		kinds := 0
		for _, k := range r.Kinds() {
			kinds += k.N
		}
		if n != lost || kinds != lost || (lost > 0) != (c.result == record.Violated) {
			t.Errorf("%s: %d findings, %d of all kinds, %v", name, n, kinds, r.What)
		}
	}
}

// eights joins each eight packets of a flow to a superpacket.
func eights(all []pcap.Packet) (supers []pcap.Packet) {
	for i := 0; i < len(all); i += 8 {
		var batch [][]byte
		for _, p := range all[i : i+8] {
			batch = append(batch, p.Data)
		}
		h, b := joinAll(batch)
		supers = append(supers, pcap.Packet{Number: len(supers) + 1, Time: all[i+7].Time, Data: b, Comment: pcap.VnetComment(h)})
	}
	return supers
}

// TestSuperpacketReport checks what a report says of superpackets: how many were cut, which of
// their segments are lost, and which were not compared.
func TestSuperpacketReport(t *testing.T) {
	all := flowOf(scenario.TCP4(100), 64)
	supers := eights(all)
	without := func(from, to int) []pcap.Packet { return append(all[:from:from], all[to:]...) }
	for name, c := range map[string]struct {
		after []pcap.Packet
		says  []string
	}{
		"cut":                  {all, []string{"holds: 64 segments", "before: A: 8 packets, 8 superpackets cut into segments"}},
		"the same":             {supers, []string{"holds: 8 segments came through unchanged, in order; not judged: superpackets that were not cut, as to IDs and flags inside (8)"}},
		"a last segment lost":  {without(23, 24), []string{"VIOLATED: 1 lost", "before 3 segment 8: lost"}},
		"last segments lost":   {without(22, 24), []string{"VIOLATED: 2 lost", "\nlost: 2 packets, 280 bytes, in 1 run; the last segments of superpackets\n"}},
		"first segments lost":  {without(24, 27), []string{"VIOLATED: 3 lost", "in 1 run; the first segments of superpackets\n"}},
		"a whole one is lost":  {without(24, 32), []string{"lost", "whole superpackets"}},
		"some from the middle": {without(26, 29), []string{"VIOLATED: 3 lost", "in 1 run; segments scattered over superpackets\n"}},
	} {
		_, text := filed(t, Config{}, 10, supers, c.after)
		for _, s := range c.says {
			if !strings.Contains(text, s) && !(name == "a whole one is lost" && strings.Contains(text, "before 4: lost")) {
				t.Errorf("%s: it does not say %q:\n%s", name, s, text)
			}
		}
	}
}

// TestTwiceAfterCut checks which packets a duplicate is said to be of, if the captures count
// packets otherwise: before has superpackets.
func TestTwiceAfterCut(t *testing.T) {
	all := flowOf(scenario.TCP4(100), 64)
	supers := eights(all)
	twice := slices.Insert(slices.Clone(all), 30, all[29])
	for i := range twice {
		twice[i].Number = i + 1
	}
	_, text := filed(t, Config{}, 10, supers, twice)
	if want := "came twice: after 30 and after 31"; !strings.Contains(text, want) {
		t.Errorf("it does not say %q:\n%s", want, text)
	}
	_, text = filed(t, Config{}, 10, twice, supers)
	if want := "it is a copy of before 30"; !strings.Contains(text, want) && !strings.Contains(text, "it is a copy of before 31") {
		t.Errorf("it does not say %q:\n%s", want, text)
	}
}

// TestToldText checks what is said of flows that were translated, cut elsewhere, or fragmented
// otherwise.
func TestToldText(t *testing.T) {
	all := flowOf(scenario.TCP4(100), 40)
	_, text := filed(t, Config{}, 10, all, translated(all, true))
	if want := "addresses and ports were translated: TCP 192.0.2.1:1500 > 192.0.2.2:8000 became TCP 192.0.77.41:6500 > 192.0.2.2:8000 (40 packets)"; !strings.Contains(text, want) {
		t.Errorf("it does not say %q:\n%s", want, text)
	}
	for size, longer := range map[int]bool{70: false, 100: false, 130: true} {
		_, text = filed(t, Config{}, 10, all, cutElsewhere(all, size))
		if want := fmt.Sprintf("the stream came through cut elsewhere: 40 packets of up to 100 bytes became %d of up to %d", (4000+size-1)/size, size); size != 100 && !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
		if got := strings.Contains(text, ", longer than any before: a link with a smaller MTU drops those"); got != longer {
			t.Errorf("cut at %d: longer %v:\n%s", size, got, text)
		}
	}
}

// TestClockOffset compares captures of clocks that differ, by any time: all packets are found,
// and with a wrong offset no packet would wait for so many others.
func TestClockOffset(t *testing.T) {
	all := flowOf(scenario.UDP4(100), 1200)
	for _, shift := range []time.Duration{0, time.Second, -time.Second, 30 * time.Minute, 2 * time.Hour, -48 * time.Hour} {
		for _, from := range []int{0, 400} {
			late := changedIn(all[from:], func(int, []byte) {})
			for i := range late {
				late[i].Time = late[i].Time.Add(shift)
			}
			for _, ahead := range []int{100, 20_000} {
				r, text := filed(t, Config{Pending: 600, Ahead: ahead}, 10, all, late)
				if r.Summary.Segments != len(late) || len(r.What) > 0 || strings.Contains(text, "rates") {
					t.Errorf("shift %v, from %d, %d read ahead: %+v\n%s", shift, from, ahead, r.Summary, text)
				}
			}
		}
	}
}

// TestInvented compares a capture with one whose times are all the same, or run backwards: all
// packets are found all the same.
func TestInvented(t *testing.T) {
	all := flowOf(scenario.UDP4(100), 1200)
	for name, at := range map[string]func(i int) time.Time{
		"all the same": func(int) time.Time { return time.Unix(1_700_000_000, 0) },
		"backwards":    func(i int) time.Time { return time.Unix(1_700_000_000, int64(-i)*1_000_000) },
		"100 times":    func(i int) time.Time { return time.Unix(1_700_000_000, int64(i)*100_000_000) },
	} {
		other := changedIn(all, func(int, []byte) {})
		for i := range other {
			other[i].Time = at(i)
		}
		for _, captures := range [][2][]pcap.Packet{{all, other}, {other, all}} {
			r, text := filed(t, Config{Pending: 600}, 10, captures[0], captures[1])
			if r.Summary.Segments != len(all) || len(r.What) > 0 {
				t.Errorf("%s: %+v\n%s", name, r.Summary, text)
			}
			if said := strings.Contains(text, "the clocks of the captures run at different rates, or one capture has invented times"); said != (name != "all the same") {
				t.Errorf("%s: it says so: %v\n%s", name, said, text)
			}
		}
	}
}

// TestToldSegments cuts superpackets at another size than their VnetHdrs say. The report has
// the lengths of the segments, and warns that they may be too long for a link.
func TestToldSegments(t *testing.T) {
	var before, after []pcap.Packet
	p := scenario.TCP4(3600)
	for i := range 3 {
		p.Payload = scenario.Fill(3600, byte(7*i))
		b := p.Bytes()
		packet.Fix(b, packet.FixPartial)
		at := time.Unix(1_700_000_000, int64(i)*1e6)
		before = append(before, pcap.Packet{Number: i + 1, Time: at, Data: b, Comment: pcap.VnetComment(packet.DeriveVnet(b, 1200))})
		for from := 0; from < 3600; from += 1300 {
			q := p
			q.Seq += uint32(from)
			q.ID += uint16(from / 1300)
			q.Payload = p.Payload[from:min(from+1300, 3600)]
			after = append(after, pcap.Packet{Number: len(after) + 1, Time: at.Add(time.Microsecond), Data: q.Bytes()})
		}
		p = p.Next(3600)
	}
	m := New(Config{}, func(f Finding) { t.Error(f) })
	for side, list := range [2][]pcap.Packet{before, after} {
		for _, p := range list {
			if err := m.Add(side, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	const want = "3 superpackets with segments of up to 1200 bytes became 9 of up to 1300, longer than any before: a link with a smaller MTU drops those"
	if told := m.Told(); len(told) != 1 || !strings.HasSuffix(told[0].Text, want) {
		t.Errorf("%v", told)
	}
}
