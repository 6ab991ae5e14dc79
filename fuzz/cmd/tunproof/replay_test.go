// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/replay"

	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
)

// piped runs the command line with a text on standard input.
func piped(t *testing.T, in string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), streams{strings.NewReader(in), &out, &err}, args)
	return out.String(), err.String(), code
}

// captureNG writes packets with their comments to a pcapng file and returns its path.
func captureNG(t *testing.T, packets ...pcap.Packet) string {
	t.Helper()
	var b bytes.Buffer
	w, err := pcap.NewWriter(&b, pcap.NG)
	for _, p := range packets {
		if err == nil {
			err = w.Write(p)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return testFile(t, "x.pcapng", b.String())
}

// TestReplayText replays packets as text: plain hex, a dump, a Go slice, and a superpacket
// with a VnetHdr.
func TestReplayText(t *testing.T) {
	p := scenario.TCP4(30)
	b := p.Bytes()
	h, super := p.Super(10)
	var list []string
	for _, x := range b {
		list = append(list, fmt.Sprintf("0x%02x", x))
	}
	for _, test := range []struct{ name, in, want string }{
		{"plain", hex.EncodeToString(b) + "\n", "packet 1: IPv4 192.0.2.1 > 192.0.2.2 id 1000 ttl 64 DF TCP 1500 > 8000 seq 1 ack 1 win 512 ACK, 30 bytes\n    First"},
		{"dump", fmt.Sprintf("0000  % x\n", b), "packet 1: IPv4 192.0.2.1"},
		{"Go", "[]byte{" + strings.Join(list, ", ") + "}", "packet 1: IPv4 192.0.2.1"},
		{"partial", hex.EncodeToString(super), "30 bytes, checksum partial\n    L4Checksum"},
		{"superpacket", "# " + pcap.VnetComment(h) + "\n" + hex.EncodeToString(super), "segment 2: IPv4 192.0.2.1 > 192.0.2.2 id 1002 ttl 64 DF TCP 1500 > 8000 seq 21 ack 1 win 512 ACK, 10 bytes"},
	} {
		if out, stderr, code := piped(t, test.in, "replay", "-"); code != record.ExitHolds || !strings.Contains(out, test.want) {
			t.Errorf("%s: exit code %d\n%s%s", test.name, code, out, stderr)
		}
	}
	if out, _, code := piped(t, hex.EncodeToString(super), "replay", "-complete", "-"); code != record.ExitHolds || !strings.Contains(out, "30 bytes\n    First") {
		t.Errorf("-complete: exit code %d\n%s", code, out)
	}
}

// TestReplayWrites writes superpackets to a file and replays that file. The segments are
// the packets of the original capture.
func TestReplayWrites(t *testing.T) {
	dir := t.TempDir()
	supers, segments := filepath.Join(dir, "supers.pcapng"), filepath.Join(dir, "segments.pcapng")
	original := corpusDir + "captures/mixed-flows.pcap"
	for _, step := range [][]string{{supers, original}, {segments, supers}} {
		if out, stderr, code := call(t, "replay", "-q", "-pcap", step[0], step[1]); code != record.ExitHolds {
			t.Fatalf("exit code %d\n%s%s", code, out, stderr)
		}
	}
	read := func(name string) (list []pcap.Packet) {
		b, err := os.ReadFile(name)
		if err == nil {
			list, _, err = pcap.ReadAll(bytes.NewReader(b))
		}
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want, joined, got := read(original), read(supers), read(segments)
	if len(joined) >= len(want) || !strings.Contains(joined[1].Comment, "\nvnet flags=") || !strings.Contains(got[0].Comment, "segment 0 of superpacket 1") {
		t.Errorf("%d superpackets, the second with comment %q", len(joined), joined[1].Comment)
	}
	sorted := func(list []pcap.Packet) (s []string) {
		for _, p := range list {
			s = append(s, string(p.Data))
		}
		slices.Sort(s)
		return s
	}
	if !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("%d packets come back, of %d", len(got), len(want))
	}
	if out, _, code := call(t, "compare", original, supers); code != record.ExitHolds || !strings.Contains(out, "319 segments came through") {
		t.Errorf("compare: exit code %d\n%s", code, out)
	}
}

// TestReplayCase replays a capture with a property that two packets with PSH violate. The
// case that is written has only two packets.
func TestReplayCase(t *testing.T) {
	name := filepath.Join(t.TempDir(), "found.pkts")
	r := &replay.Run{Ctx: context.Background(), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Batch: 64, CaseFile: name, Quiet: true,
		Properties: []law.Property{{Property: record.PropertyOf("P2"), Batches: true, Body: func(_ law.Subject, s *scenario.Scenario, _ *law.Tally) error {
			psh := 0
			for _, batch := range s.Batches {
				for _, b := range batch {
					if len(b) > 33 && b[33]&scenario.PSH != 0 {
						psh++
					}
				}
			}
			if psh > 1 {
				return law.Violatedf("P2", "%d packets have PSH", psh)
			}
			return nil
		}}}}
	code, err := r.Files([]string{corpusDir + "captures/tcp4-bulk.pcap"})
	if code != record.ExitViolation || err != nil {
		t.Fatal(code, err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pkts.Parse(name, text)
	if err != nil || len(c.Batches) != 1 || len(c.Batches[0].In) != 2 || len(c.Batches[0].Out) == 0 {
		t.Errorf("%v: %+v", err, c)
	}
}

// TestVnetComments checks superpackets of a pcapng file, some with a wrong VnetHdr.
func TestVnetComments(t *testing.T) {
	h, b := scenario.TCP4(3000).Super(1000)
	wrong, hint := h, h
	wrong.GSOSize, hint.HdrLen = 0, 3040
	name := captureNG(t, pcap.Packet{Data: b, Comment: pcap.VnetComment(h)}, pcap.Packet{Data: b, Comment: "x\n" + pcap.VnetComment(wrong)},
		pcap.Packet{Data: b, Comment: pcap.VnetComment(hint)})
	out, _, code := call(t, "check", name)
	for _, want := range []string{"packet 2: vnet.gso_size is 0: no kernel cuts 3040 bytes with flags=1 gso_type=1 hdr_len=40 gso_size=0", "csum_offset=16 [V4.gso_size]\n  like: nebula before 637497b9 wrote 0, which wireguard-go and tailscale cut",
		"packet 3: vnet.hdr_len is 3040, want 40", "VIOLATED: 2 findings in 3 packets"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit code %d, no %q in\n%s", code, want, out)
		}
	}
	if out, _, code := call(t, "replay", name); code != record.ExitHolds || !strings.Contains(out, "refused: GSOSize") || !strings.Contains(out, "segment 2:") {
		t.Errorf("replay: exit code %d\n%s", code, out)
	}
	bad := captureNG(t, pcap.Packet{Data: b, Comment: "vnet flags=1"})
	for _, command := range []string{"check", "replay"} {
		if _, stderr, code := call(t, command, bad); code != record.ExitUsage || !strings.Contains(stderr, "x.pcapng: packet 1: comment") {
			t.Errorf("%s: exit code %d: %s", command, code, stderr)
		}
	}
}

// TestCutShort reads a capture that ends in the middle of a record, and one with a record
// that was cut when it was captured. Complete packets are judged, and the place of the cut
// is reported.
func TestCutShort(t *testing.T) {
	b, err := os.ReadFile(corpusDir + "captures/tcp4-bulk.pcap")
	if err != nil {
		t.Fatal(err)
	}
	whole := corpusDir + "captures/tcp4-bulk.pcap"
	name := testFile(t, "short.pcap", string(b[:100_000]))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"check", name}, "holds: 67 packets, nothing found"},
		{[]string{"replay", "-q", name}, "holds: 67 packets, every property of offload"},
	} {
		out, stderr, code := call(t, test.args...)
		if code != record.ExitHolds || !strings.Contains(out, test.want) || !strings.Contains(out, "the file is cut, inside its last record: offset 98708: ") {
			t.Errorf("%v: exit code %d\n%s%s", test.args, code, out, stderr)
		}
	}
	b = bytes.Clone(b)
	b[24+12]++ // the first record is one byte longer than what was captured
	name = testFile(t, "snap.pcap", string(b))
	for _, args := range [][]string{{"check", name}, {"replay", "-q", name}, {"compare", whole, name}, {"anonymise", "-o", t.TempDir(), name}} {
		out, stderr, code := call(t, args...)
		if !strings.Contains(out, "record 1 left out: cut by the capture") || code == record.ExitUsage {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out, stderr)
		}
	}
}

// TestAnonymiseFiles anonymises both sides of an offload in one run. Comparing the copies
// gives the same result.
func TestAnonymiseFiles(t *testing.T) {
	dir := t.TempDir()
	supers := filepath.Join(dir, "supers.pcapng")
	original := corpusDir + "captures/tcp6-reordered.pcap"
	if _, stderr, code := call(t, "replay", "-q", "-pcap", supers, original); code != record.ExitHolds {
		t.Fatal(stderr)
	}
	out := filepath.Join(dir, "out")
	if stdout, stderr, code := call(t, "anonymise", "-o", out, original, supers); code != record.ExitHolds || !strings.Contains(stdout, "261 packets") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	a, b := filepath.Join(out, "tcp6-reordered.pcap"), filepath.Join(out, "supers.pcapng")
	if stdout, stderr, code := call(t, "compare", a, b); code != record.ExitHolds || !strings.Contains(stdout, "261 segments") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if _, stderr, code := call(t, "anonymise", "-o", out, a); code != record.ExitUsage || !strings.Contains(stderr, "exists already") {
		t.Errorf("over itself: exit code %d: %s", code, stderr)
	}
	if left, err := filepath.Glob(filepath.Join(out, "*.new")); err != nil || left != nil {
		t.Error(left, err)
	}
}

// TestReports checks the JSON of each command that reads captures.
func TestReports(t *testing.T) {
	name := corpusDir + "captures/tcp4-bulk.pcap"
	for _, args := range [][]string{{"check", "-json", name}, {"compare", "-json", name, name}, {"replay", "-json", "-batch", "100", name}} {
		out, stderr, code := call(t, args...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if want := map[string]int{"replay": 4}[args[0]]; code != record.ExitHolds || len(lines) != max(1, want) {
			t.Errorf("%v: exit code %d, %d lines: %s", args, code, len(lines), stderr)
		}
		for i, line := range lines {
			var r struct {
				Record *record.Result `json:"record"`
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Errorf("%v: line %d: %v", args, i+1, err)
			} else if last := i == len(lines)-1; last && (r.Record == nil || r.Record.Count != 261 || r.Record.Command != args[0] || r.Record.Result != record.Holds) {
				t.Errorf("%v: %s", args, line)
			}
		}
	}
}

// TestStopped interrupts each command that reads captures.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	name := filepath.Join(t.TempDir(), "stream.pcap")
	writeStream(t, name, 1)
	dir := t.TempDir()
	for _, args := range [][]string{{"check", name}, {"compare", name, name}, {"replay", "-q", name}, {"anonymise", "-o", dir, name}} {
		var out, err bytes.Buffer
		if code := run(ctx, streams{nil, &out, &err}, args); code != record.ExitUsage || !strings.Contains(err.String(), "interrupted") {
			t.Errorf("%v: exit code %d\n%s%s", args, code, out.String(), err.String())
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// TestStoppedStreams interrupts each command while it waits for more of a capture on standard
// input. The packets so far get their verdict.
func TestStoppedStreams(t *testing.T) {
	name := corpusDir + "captures/tcp4-bulk.pcap"
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"check", "-"}, "holds: "},
		{[]string{"check", "-json", "-"}, `"result":"holds"`},
		{[]string{"compare", name, "-"}, "holds: "},
		{[]string{"compare", "-json", "-", name}, `"result":"holds"`},
		{[]string{"replay", "-q", "-"}, "holds: "},
		{[]string{"replay", "-json", "-"}, `"result":"holds"`},
		{[]string{"anonymise", "-o", dir, "-"}, "stdin.pcapng: "},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		from, to := io.Pipe()
		go func() {
			to.Write(b)
			cancel()
		}()
		var out, errs bytes.Buffer
		if code := run(ctx, streams{from, &out, &errs}, test.args); code != record.ExitHolds || !strings.Contains(out.String(), test.want) {
			t.Errorf("%v: exit code %d\n%s%s", test.args, code, out.String(), errs.String())
		}
		to.Close()
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Error(left, err)
	}
}

// TestReplayKernel replays a capture and a case with -kernel.
func TestReplayKernel(t *testing.T) {
	canAsk(t)
	out, stderr, state := ownProcess(t, nil, "replay", "-kernel", "-q", corpusDir+"captures/udp6-quic-like.pcap", corpusDir+"segment/cwr-tcp4.pkts")
	if state.ExitCode() != record.ExitHolds || !strings.Contains(out, "asked the kernel: K2 veth: ") || !strings.Contains(out, "asked the kernel: K1 veth: 1") {
		t.Errorf("exit code %d\n%s%s", state.ExitCode(), out, stderr)
	}
}

// TestCompareClocks compares captures whose clocks differ, where one starts later than
// compare reads ahead. Packets of both captures came through, and the rest is not compared.
// Then it compares captures from which a flow, nearly all, the end, or all packets are lost.
func TestCompareClocks(t *testing.T) {
	const ahead = 3_000
	var packets []pcap.Packet
	p, q := scenario.UDP4(8), scenario.UDP6(8)
	q.SrcPort++
	for i := range ahead + 2_000 {
		f := &p
		if i%3 == 0 {
			f = &q
		}
		f.ID++
		f.Payload = fmt.Appendf(nil, "%08d", i)
		packets = append(packets, pcap.Packet{Time: time.Unix(1_700_000_000, int64(i)*1000), Data: f.Bytes()})
	}
	write := func(shift time.Duration, list []pcap.Packet) string {
		var b bytes.Buffer
		w, err := pcap.NewWriter(&b, pcap.Classic)
		for _, p := range list {
			if err == nil {
				p.Time = p.Time.Add(shift)
				err = w.Write(p)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return testFile(t, "x.pcap", b.String())
	}
	all := write(0, packets)
	for _, shift := range []time.Duration{0, 30 * time.Second, -3 * time.Hour} {
		late := write(shift, packets[ahead+500:])
		for _, names := range [][2]string{{all, late}, {late, all}} {
			out, stderr, code := compareAhead(t, names, ahead, compare.Config{})
			if code != record.ExitNothing || !strings.Contains(out, "no verdict: 1500 segments came through unchanged, but 3500 packets or segments were not compared") {
				t.Errorf("shift %v: exit code %d\n%.1000s%s", shift, code, out, stderr)
			}
		}
	}
	var one []pcap.Packet
	for i, p := range packets[:3000] {
		if i%3 != 0 || i == 0 {
			one = append(one, p)
		}
	}
	for _, test := range []struct {
		name  string
		after []pcap.Packet
		code  int
		want  string
	}{
		{"a flow", one, record.ExitViolation, "VIOLATED: 999 lost"},
		{"nearly all", packets[:5], record.ExitNothing, "not compared: 2995 packets or segments before the first or after the last one that is in both captures; if both captures were running then, count this as lost"},
		{"the end", packets[:2990], record.ExitHolds, "2990 segments came through unchanged, in order; not judged: packets or segments outside the time that both captures have (10)"},
		{"everything", nil, record.ExitViolation, "VIOLATED: 3000 lost"},
	} {
		out, stderr, code := call(t, "compare", write(0, packets[:3000]), write(0, test.after))
		if code != test.code || !strings.Contains(out, test.want) {
			t.Errorf("%s is lost: exit code %d\n%.1000s%s", test.name, code, out, stderr)
		}
	}
}

// compareAhead compares two captures, reading at most ahead packets ahead, with the limits
// of cfg.
func compareAhead(t *testing.T, names [2]string, ahead int, cfg compare.Config) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	var in [2]*capture.Source
	for side, name := range names {
		var err error
		if in[side], err = capture.Open(name, nil); err != nil {
			t.Fatal(err)
		}
		defer in[side].Close()
	}
	cfg.Ahead = ahead
	r, err := compare.Files(t.Context(), &errs, in, cfg, 1000)
	if err != nil {
		t.Fatal(err)
	}
	r.Print(&out)
	return out.String(), errs.String(), map[string]int{record.Holds: record.ExitHolds, record.Violated: record.ExitViolation, record.NotRun: record.ExitNothing}[r.Record.Result]
}

// TestCompareRates compares captures whose clocks run at different rates. The difference is
// reported, and the only finding is the packet that is lost.
func TestCompareRates(t *testing.T) {
	n, pending, ahead := 4_700, 1<<11, 625 // n is far more than the other two, which limit memory
	if os.Getenv("LONG") == "1" {
		n, pending, ahead = 150_000, 0, compare.DefaultAhead
	}
	write := func(rate float64, lost int) string {
		var b bytes.Buffer
		w, err := pcap.NewWriter(&b, pcap.Classic)
		p := scenario.UDP4(8)
		for i := range n {
			p.ID++
			p.Payload = fmt.Appendf(nil, "%08d", i)
			if err == nil && i != lost {
				err = w.Write(pcap.Packet{Time: time.Unix(1_700_000_000, int64(float64(i)*rate*20_000)), Data: p.Bytes()})
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return testFile(t, "x.pcap", b.String())
	}
	before := write(1, -1)
	for _, rate := range []float64{1, 1.0001, 0.5, 0.001, 0.00001, 10} {
		out, stderr, code := compareAhead(t, [2]string{before, write(rate, n-ahead)}, ahead, compare.Config{Pending: pending})
		said := strings.Contains(out, "the clocks of the captures run at different rates")
		if code != record.ExitViolation || !strings.Contains(out, fmt.Sprintf("VIOLATED: 1 lost; %d of %d segments", n-1, n)) || said != (rate < 0.9 || rate > 1.1) {
			t.Errorf("rate %g: exit code %d\n%.1000s%s", rate, code, out, stderr)
		}
	}
}

// TestCompareHop compares captures from before and after something between them that
// changed all packets alike. The report advises -ignore for what a hop does, with every
// checksum as right as before, and never for a fault of the offload.
func TestCompareHop(t *testing.T) {
	before := corpusDir + "captures/tcp4-bulk.pcap"
	for name, c := range map[string]struct {
		change func(b []byte)
		ignore string // "" where there must be no advice
	}{
		"TTL":                 {func(b []byte) { b[8]--; packet.Fix(b, packet.FixIPCsum) }, "ip.ttl,ip.checksum"},
		"ECN and DSCP":        {func(b []byte) { b[1] ^= 0x2B; packet.Fix(b, packet.FixIPCsum) }, "ip.tos,ip.checksum"},
		"TTL, sum not mended": {func(b []byte) { b[8]-- }, ""},
		"broken checksums":    {func(b []byte) { b[36] ^= 0x55 }, ""},
		"sequence numbers":    {func(b []byte) { b[27] ^= 1; packet.Fix(b, packet.FixL4Csum) }, ""},
		"flags":               {func(b []byte) { b[33] ^= scenario.PSH; packet.Fix(b, packet.FixL4Csum) }, ""},
		"IDs":                 {func(b []byte) { b[4] ^= 0x40; packet.Fix(b, packet.FixIPCsum) }, ""},
		"window":              {func(b []byte) { b[34] ^= 0x40; packet.Fix(b, packet.FixL4Csum) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			list := packetsOf(t, "tcp4-bulk")
			for _, b := range list {
				c.change(b)
			}
			after := captureFile(t, "after.pcap", list)
			out, _, code := call(t, "compare", before, after)
			if advised := strings.Contains(out, "-ignore "+c.ignore+" leaves"); code != record.ExitViolation || advised != (c.ignore != "") || c.ignore == "" && strings.Contains(out, "-ignore") {
				t.Errorf("exit code %d, advice %v:\n%.700s", code, advised, out)
			}
			if c.ignore == "" {
				return
			}
			out, _, code = call(t, "compare", "-ignore", c.ignore, before, after)
			if want := "unchanged except perhaps in " + strings.ReplaceAll(c.ignore, ",", ", "); code != record.ExitHolds || !strings.Contains(out, want) {
				t.Errorf("-ignore: exit code %d, no %q in\n%.500s", code, want, out)
			}
		})
	}
	for _, field := range compare.Matched {
		if out, stderr, code := call(t, "compare", "-ignore", field, before, before); code != record.ExitUsage || !strings.Contains(stderr, "packets are matched by") {
			t.Errorf("-ignore %s: exit code %d\n%s%s", field, code, out, stderr)
		}
	}
}

// TestAnonymiseCase checks that the copy of a case keeps the VnetHdr, so that its packets
// are cut and joined as before.
func TestAnonymiseCase(t *testing.T) {
	for name, want := range map[string]string{"segment/all-flags-tcp4": "segment 2", "coalesce/data-same-tcp4": "gso_size=100"} {
		out := t.TempDir()
		if stdout, stderr, code := call(t, "anonymise", "-o", out, corpusDir+name+".pkts"); code != 0 {
			t.Fatalf("%s%s", stdout, stderr)
		}
		stdout, stderr, code := call(t, "replay", filepath.Join(out, path.Base(name)+".pcapng"))
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%s: %d\n%s%s", name, code, stdout, stderr)
		}
	}
}
