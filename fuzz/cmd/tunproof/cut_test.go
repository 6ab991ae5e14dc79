// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// cutPackets returns datagrams, a millisecond apart.
func cutPackets(n int) (list []pcap.Packet) {
	p := scenario.UDP4(200)
	for i := range n {
		p = p.Next(200)
		binary.BigEndian.PutUint64(p.Payload, uint64(i))
		list = append(list, pcap.Packet{Time: time.Unix(1_700_000_000, int64(i)*1e6), Data: p.Bytes()})
	}
	return list
}

// inFormat returns a capture in a format, and its length without the last packet.
func inFormat(t *testing.T, ng bool, list []pcap.Packet) (file []byte, last int) {
	t.Helper()
	format := pcap.Classic
	if ng {
		format = pcap.NG
	}
	var b bytes.Buffer
	w, err := pcap.NewWriter(&b, format)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		last = b.Len()
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes(), last
}

// TestCutFile compares and anonymises captures that end inside their last record. The packets
// before it are compared to the end, and the tail of the other capture is not lost. A capture
// that is damaged before its end is an error.
func TestCutFile(t *testing.T) {
	list := cutPackets(40)
	for _, ng := range []bool{false, true} {
		whole, last := inFormat(t, ng, list)
		name := testFile(t, "whole", string(whole))
		changed := append([]pcap.Packet(nil), list...)
		changed[20].Data = bytes.Clone(changed[20].Data)
		changed[20].Data[100] ^= 1
		other, _ := inFormat(t, ng, append(changed[:10:10], changed[11:]...))
		otherName := testFile(t, "other", string(other))
		for _, at := range []int{last + 1, last + 15, last + 60, len(whole) - 1} {
			cut := testFile(t, "cut", string(whole[:at]))
			for _, x := range []struct {
				args []string
				code int
				want string
			}{
				{[]string{"compare", name, cut}, record.ExitHolds, "holds: 39 segments"},
				{[]string{"compare", cut, name}, record.ExitHolds, "holds: 39 segments"},
				{[]string{"compare", cut, otherName}, record.ExitViolation, "1 changed, 1 lost"},
				{[]string{"anonymise", "-o", filepath.Join(t.TempDir(), "d"), cut}, record.ExitHolds, ": 39 packets"},
			} {
				out, stderr, code := call(t, x.args...)
				if code != x.code || !strings.Contains(out, x.want) || !strings.Contains(out, "the file is cut, inside its last record") {
					t.Errorf("pcapng %v, %d of %d bytes, %v: exit code %d\n%s%s", ng, at, len(whole), x.args[0], code, out, stderr)
				}
			}
			if out, stderr, code := call(t, "compare", "-o", filepath.Join(t.TempDir(), "x"), cut, otherName); code != record.ExitViolation || !strings.Contains(stderr, "x-before.pcapng: ") {
				t.Errorf("-o: exit code %d\n%s%s", code, out, stderr)
			}
		}
		damaged := bytes.Clone(whole)
		start := len(whole) - 20*(len(whole)-last) // of a record
		at := start + 8                            // of its length
		if ng {
			at = start + 4
		}
		binary.LittleEndian.PutUint32(damaged[at:], 0x7000_0000)
		if out, stderr, code := call(t, "compare", name, testFile(t, "damaged", string(damaged))); code != record.ExitUsage || !strings.Contains(stderr, fmt.Sprintf("offset %d", start)) {
			t.Errorf("damaged, pcapng %v: exit code %d\n%s%s", ng, code, out, stderr)
		}
		if !ng { // a length that is longer than the packet was
			damaged = bytes.Clone(whole)
			binary.LittleEndian.PutUint32(damaged[at:], 60_000)
			if out, stderr, code := call(t, "compare", name, testFile(t, "damaged", string(damaged))); code != record.ExitUsage {
				t.Errorf("damaged: exit code %d\n%s%s", code, out, stderr)
			}
		}
	}
}

// TestCutCompressed compares a compressed capture without its end.
func TestCutCompressed(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	whole, _ := inFormat(t, false, cutPackets(400))
	if _, err := w.Write(whole); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := testFile(t, "whole", string(whole))
	for _, less := range []int{1, 9, packed.Len() / 8, packed.Len() / 3} {
		cut := testFile(t, "cut.gz", string(packed.Bytes()[:packed.Len()-less]))
		out, stderr, code := call(t, "compare", name, cut)
		if code == record.ExitUsage || code == record.ExitViolation || !strings.Contains(out, "the file is cut, inside its last record") {
			t.Errorf("%d bytes less: exit code %d\n%s%s", less, code, out, stderr)
		}
	}
	damaged := packed.Bytes()
	damaged[len(damaged)/2] ^= 0x55
	damaged[len(damaged)-5] ^= 0x55 // the checksum, if the rest can be read
	if out, stderr, code := call(t, "compare", name, testFile(t, "damaged.gz", string(damaged))); code != record.ExitUsage {
		t.Errorf("damaged: exit code %d\n%s%s", code, out, stderr)
	}
}

// TestCompareLive compares a file with a capture that still goes on, from either side. An
// interrupt ends the capture, and what was read is judged.
func TestCompareLive(t *testing.T) {
	list := cutPackets(40)
	whole, _ := inFormat(t, false, list)
	name := testFile(t, "whole", string(whole))
	changed := append([]pcap.Packet(nil), list...)
	changed[10].Data = bytes.Clone(changed[10].Data)
	changed[10].Data[100] ^= 1
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"compare", name, "-"}, "1 changed, 1 lost"},
		{[]string{"compare", "-", name}, "1 changed, 1 extra"},
	} {
		live, last := inFormat(t, false, append(changed[:20:20], changed[21:30]...))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		in, capture := io.Pipe()
		var out, stderr bytes.Buffer
		code := make(chan int)
		go func() { code <- run(ctx, streams{in, &out, &stderr}, x.args) }()
		for _, part := range [][]byte{live, live[last : last+9]} { // the second is read once all of the first was taken
			if _, err := capture.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if got := <-code; got != record.ExitViolation || !strings.Contains(out.String(), x.want) || strings.Contains(out.String(), "stopped") {
			t.Errorf("%v: exit code %d\n%s%s", x.args, got, &out, &stderr)
		}
	}
}

// snapped returns a capture that keeps only the first n bytes of each packet.
func snapped(t *testing.T, list []pcap.Packet, n int) string {
	t.Helper()
	whole, _ := inFormat(t, false, nil)
	for _, p := range list {
		kept := p.Data[:min(n, len(p.Data))]
		for _, v := range []int{int(p.Time.Unix()), p.Time.Nanosecond(), len(kept), len(p.Data)} {
			whole = binary.LittleEndian.AppendUint32(whole, uint32(v))
		}
		whole = append(whole, kept...)
	}
	return testFile(t, "snapped", string(whole))
}

// TestSnapLength judges captures with a snap length. Packets whose counterpart may be a record
// that was cut are neither lost nor extra. If most records were cut, there is no verdict,
// unless something else is wrong.
func TestSnapLength(t *testing.T) {
	var list []pcap.Packet
	p := scenario.TCP4(400)
	for i := range 60 {
		p.Payload = bytes.Repeat([]byte{byte(i)}, 400)
		if i%3 == 2 {
			p.Payload = nil // a pure ACK
		}
		p.Ack++
		list = append(list, pcap.Packet{Time: time.Unix(1_700_000_000, int64(i)*1e6), Data: p.Bytes()})
		p = p.Next(400)
	}
	without := func(i int) []pcap.Packet { return append(list[:i:i], list[i+1:]...) }
	wrong := append([]pcap.Packet(nil), list...)
	wrong[5].Data = bytes.Clone(wrong[5].Data)
	wrong[5].Data[11] ^= 1
	mixed := snapped(t, list[:6], 96) // 4 of 60 are cut
	rest, err := os.ReadFile(snapped(t, list[6:], 1000))
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(mixed)
	if err != nil {
		t.Fatal(err)
	}
	mixed = testFile(t, "mixed", string(first)+string(rest[24:]))
	whole, most := snapped(t, list, 1000), snapped(t, list, 96)
	hex := func(bad ...int) string { // of the first six; the length of some is wrong
		text := ""
		for i, p := range list[:6] {
			b := bytes.Clone(p.Data)
			if slices.Contains(bad, i) {
				b[3] ^= 1
			}
			text += fmt.Sprintf("%x\n", b)
		}
		return testFile(t, "hex", text)
	}
	six := snapped(t, list[:6], 1000)
	folded := "40 of the 59 records 1-59 left out: cut by the capture to 96 bytes (snap length): take it again with tcpdump -s 0"
	for name, x := range map[string]struct {
		args []string
		code int
		want []string
		not  string
	}{
		"after":          {[]string{"compare", whole, most}, record.ExitNothing, []string{"no verdict: 20 segments", "40 records were cut", folded}, ": lost"},
		"before":         {[]string{"compare", most, whole}, record.ExitNothing, []string{"no verdict: 20 segments", "40 records were cut", folded}, ": extra"},
		"both":           {[]string{"compare", most, most}, record.ExitNothing, []string{"no verdict: ", folded}, ""},
		"none whole":     {[]string{"compare", whole, snapped(t, list[:2], 96)}, record.ExitNothing, []string{"nothing to judge: ", "2 records were cut"}, ": lost"},
		"an ACK lost":    {[]string{"compare", whole, snapped(t, without(20), 96)}, record.ExitViolation, []string{"VIOLATED: 1 lost; ", "40 records not judged: cut"}, "2 lost"},
		"data lost":      {[]string{"compare", whole, snapped(t, without(21), 96)}, record.ExitNothing, []string{"no verdict: 20 segments", "39 records were cut"}, ": lost"},
		"few":            {[]string{"compare", whole, mixed}, record.ExitHolds, []string{"holds: 56 segments", "not judged: "}, ": lost"},
		"check":          {[]string{"check", most}, record.ExitNothing, []string{"no verdict: 40 records not judged", folded}, ""},
		"check, wrong":   {[]string{"check", snapped(t, wrong, 96)}, record.ExitViolation, []string{"VIOLATED: ", "40 records not judged"}, ""},
		"check, few":     {[]string{"check", mixed}, record.ExitHolds, []string{"holds: 56 packets", "4 of the 5 records 1-5 left out"}, ""},
		"check, text":    {[]string{"check", hex(2)}, record.ExitHolds, []string{"holds: 5 packets, nothing found; 1 record not judged: left out of the text", "packet 3, of line 3, left out: "}, ""},
		"most of a text": {[]string{"check", hex(0, 2, 3, 5)}, record.ExitNothing, []string{"no verdict: 4 records not judged: left out of the text"}, ""},
		"compare, text":  {[]string{"compare", six, hex(2)}, record.ExitHolds, []string{"holds: 5 segments", "not judged: "}, ": lost"},
		"text, compare":  {[]string{"compare", hex(2), six}, record.ExitHolds, []string{"holds: 5 segments", "not judged: "}, ": extra"},
		"check, before":  {[]string{"check", whole, most}, record.ExitNothing, []string{"holds: 60 packets", "no verdict: "}, ""},
	} {
		out, stderr, code := call(t, x.args...)
		bad := code != x.code || x.not != "" && strings.Contains(out, x.not)
		for _, want := range x.want {
			bad = bad || !strings.Contains(out, want)
		}
		if bad {
			t.Errorf("%s: exit code %d, want %q\n%s%s", name, code, x.want, out, stderr)
		}
	}
}

// TestFormsNamed checks that help and docs/symptoms.md name the forms in which a capture may
// be given, and that check reads those that need no other program.
func TestFormsNamed(t *testing.T) {
	help, _, _ := call(t, "help", "check")
	doc, err := os.ReadFile("../../../docs/symptoms.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"gz", "bz2", "zst", "xz", "lz4", "tcpdump -x"} {
		if !strings.Contains(help, form) || !strings.Contains(string(doc), form) {
			t.Errorf("help check or docs/symptoms.md does not name %s", form)
		}
	}
	b := scenario.UDP4(20).Bytes()
	text := "12:00:00.000001 IP 192.0.2.1.1500 > 192.0.2.2.8000: UDP, length 20\n"
	for i := 0; i < len(b); i += 16 {
		text += fmt.Sprintf("\t0x%04x: ", i)
		for at := i; at < min(len(b), i+16); at += 2 {
			text += fmt.Sprintf(" %x", b[at:min(len(b), at+2)])
		}
		text += "\n"
	}
	whole, _ := inFormat(t, false, cutPackets(3))
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(whole); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"dump.txt": text, "x.pcap.gz": packed.String()} {
		if out, stderr, code := call(t, "check", testFile(t, name, file)); code != record.ExitHolds {
			t.Errorf("%s: exit code %d\n%s%s", name, code, out, stderr)
		}
	}
}
