// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/record"
	"tunproof/fuzz/replay"
	"tunproof/fuzz/scenario"
)

// call runs the command line and returns what it wrote and its exit code.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), streams{strings.NewReader(""), &out, &err}, args)
	return out.String(), err.String(), code
}

const corpusDir = "../../../corpus/"

// absent is a UDP packet over IPv6 without a checksum, in hex.
var absent = func() string {
	b := scenario.UDP6(20).Bytes()
	b[46], b[47] = 0, 0
	return hex.EncodeToString(b)
}()

// edited writes a copy of a case with one string replaced, and returns its path.
func edited(t *testing.T, id, from, to string) string {
	t.Helper()
	b, err := os.ReadFile(corpusDir + id + ".pkts")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), from) {
		t.Fatalf("%s has no %q", id, from)
	}
	name := filepath.Join(t.TempDir(), "edited.pkts")
	if err := os.WriteFile(name, []byte(strings.Replace(string(b), from, to, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// testFile writes a file and returns its path.
func testFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExitCodes checks the exit code and the output of each kind of outcome.
func TestExitCodes(t *testing.T) {
	crasher := func(target, input string) string {
		return testFile(t, "Fuzz"+target+"/0123", "go test fuzz v1\n[]byte("+input+")\n")
	}
	for _, test := range []struct {
		name string
		args []string
		code int
		want string // part of the output
	}{
		{"no command", nil, 2, "usage: tunproof COMMAND"},
		{"help", []string{"help"}, 0, "Exit codes: 0 holds"},
		{"unknown command", []string{"prove"}, 2, `unknown command "prove"`},
		{"unknown flag", []string{"verify", "-x"}, 2, "usage: tunproof verify"},
		{"bad regexp", []string{"verify", "-run", "("}, 2, "-run"},
		{"bad count", []string{"verify", "-checks", "0"}, 2, "-checks must be positive"},
		{"verify nothing", []string{"verify", "-run", "no such row"}, 3, "nothing ran"},
		{"verify not run only", []string{"verify", "-live", "0", "-run", "K1"}, 3, "not run: K1 (live)"},
		{"bad time", []string{"live", "-time", "0s"}, 2, "-time must be positive"},
		{"state without count", []string{"live", "-state", "x"}, 2, "-state and -superpackets need -count"},
		{"live with an argument", []string{"live", "x"}, 2, "it takes no arguments"},
		{"verify one", []string{"verify", "-seed", "1", "-checks", "50", "-fuzz", "0", "-run", "P2 rapid"}, 0, "all holds (1 row)"},
		{"replay nothing", []string{"replay"}, 2, "no file given"},
		{"replay no file", []string{"replay", "/nonexistent"}, 2, "no such file"},
		{"replay an odd file", []string{"replay", testFile(t, "x", "hello")}, 2, "x: neither a capture, nor packets as text: line 1: "},
		{"replay a bad case", []string{"replay", testFile(t, "x.pkts", "# format: 1\n# colour: red\n")}, 2, "x.pkts:2: key \"colour\" before the head"},
		{"replay a bad crasher", []string{"replay", testFile(t, "FuzzTotal/x", "go test fuzz v1\nstring(\"\")\n")}, 2, "x:2: want one line"},
		{"replay a crasher of nothing", []string{"replay", crasher("Nothing", `"\x01"`)}, 2, `no fuzz target "Nothing"`},
		{"replay a case", []string{"replay", corpusDir + "coalesce/id-gap-tcp4.pkts"}, 0, "Mismatch: packet 1 would come back with ip.id 0065, not 0007"},
		{"replay a capture", []string{"replay", "-batch", "32", "-order", "reorder", "-atomic", corpusDir + "captures/tcp4-reordered.pcap"}, 0, "holds: 261 packets"},
		{"replay names packets of a capture by number", []string{"replay", corpusDir + "captures/udp4-quic-like.pcap"}, 0, "    Mismatch: packet 2 would come back with ip.id 0001, not 0000\n  packet 3:"},
		{"replay a packet that changes the number of segments", []string{"replay", corpusDir + "captures/udp4-quic-like.pcap"}, 0, "Mismatch: the superpacket would be cut into 3 segments, not 2"},
		{"replay a crasher", []string{"replay", crasher("Equation", `"\x01\x00\x01\x00\x10\x00\x02\x00\x10\x00"`)}, 0, "input of fuzz target Equation"},
		{"replay a crasher with CRLF", []string{"replay", testFile(t, "FuzzEquation/0123", "go test fuzz v1\r\n[]byte(\"\\x01\\x00\")\r\n")}, 0, "input of fuzz target Equation, 2 bytes"},
		{"replay an empty case", []string{"replay", corpusDir + "coalesce/empty-batch.pkts"}, 3, "nothing to judge"},
		{"a wrong Reason", []string{"replay", edited(t, "coalesce/id-gap-tcp4", "in: Mismatch", "in: Joined")}, 1, "packet 1: the case states Reason Joined, the model gives Mismatch"},
		{"a wrong field", []string{"replay", edited(t, "coalesce/data-same-tcp4", "hdr_len=40 gso_size=100 csum_start=20 csum_offset=16\n0000  45 00 00 f0", "hdr_len=40 gso_size=100 csum_start=20 csum_offset=16\n0000  45 00 00 f1")}, 1, "ip.total_length (offset 2)"},
		{"a wrong error class", []string{"replay", edited(t, "segment/refuse-segments-129-udp4", "error: Segments", "error: Fragment")}, 1, `the case states error class "Fragment", the model gives "Segments"`},
		{"a wrong sum", []string{"replay", edited(t, "checksum/rfc1071-example", "sum: 0xddf2", "sum: 0xddf3")}, 1, "the case states sum 0xddf3"},
		{"check an empty file", []string{"check", testFile(t, "x", "")}, 2, "x: empty file"},
		{"check nothing", []string{"check"}, 2, "no capture given"},
		{"check flag behind", []string{"check", "x.pcap", "-max", "3"}, 2, "-max comes after x.pcap: flags come first"},
		{"check no file", []string{"check", "/nonexistent"}, 2, "no such file"},
		{"check a directory", []string{"check", "."}, 2, "is a directory"},
		{"check a bad MTU", []string{"check", "-mtu", "-1", "x"}, 2, "must not be negative"},
		{"check an empty capture", []string{"check", captureFile(t, "x", nil)}, 3, "nothing to judge"},
		{"check a capture", []string{"check", "-wire", "-mtu", "1500", corpusDir + "captures/mixed-flows.pcap"}, 0, "holds: 319 packets, nothing found"},
		{"check with a small MTU", []string{"check", "-mtu", "1499", corpusDir + "captures/tcp4-bulk.pcap"}, 1, "length is 1500 bytes, want at most 1499"},
		{"check without what is suspect", []string{"check", "-certain", testFile(t, "x", absent)}, 0, "nothing found"},
		{"check what is suspect", []string{"check", testFile(t, "x", absent)}, 1, "[C1.absent] (suspect)"},
		{"compare one", []string{"compare", "x"}, 2, "give two captures"},
		{"compare an unknown field", []string{"compare", "-ignore", "ip.colour", "x", "y"}, 2, `no field "ip.colour"`},
		{"compare unrelated captures", []string{"compare", corpusDir + "captures/tcp4-bulk.pcap", corpusDir + "captures/tcp6-bulk.pcap"}, 3, "no packet is in both captures"},
		{"compare the same", []string{"compare", corpusDir + "captures/tcp4-bulk.pcap", corpusDir + "captures/tcp4-bulk.pcap"}, 0, "holds: 261 segments"},
		{"anonymise to nowhere", []string{"anonymise", "x"}, 2, "no directory given: -o DIR"},
		{"anonymise nothing", []string{"anonymise", "-o", t.TempDir()}, 2, "no capture given"},
		{"anonymise an empty capture", []string{"anonymise", "-o", t.TempDir(), captureFile(t, "x", nil)}, 3, "0 packets"},
		{"replay to a case without a name", []string{"replay", "-o", "-", "x"}, 2, "-o writes to a file"},
		{"anonymise to no directory", []string{"anonymise", "-o", "-", "x"}, 2, "no directory given: -o DIR"},
		{"replay a bad batch", []string{"replay", "-batch", "0", "x"}, 2, "-batch must be positive"},
		{"replay to nowhere", []string{"replay", "-pcap", "/nonexistent/x", "x"}, 2, "no such file"},
		{"corpus check of all cases", []string{"corpus", "check"}, 0, "0 differ"},
		{"corpus of a wrong case", []string{"corpus", "check", edited(t, "coalesce/id-gap-tcp4", "in: Mismatch", "in: Joined")}, 1, "differs from what the model gives"},
		{"corpus of a bad case", []string{"corpus", "check", testFile(t, "x.pkts", "x\n")}, 2, "x.pkts:1:"},
		{"corpus without a part", []string{"corpus"}, 2, "no part given"},
		{"corpus of an unknown part", []string{"corpus", "shuffle"}, 2, `corpus has no part "shuffle"`},
		{"corpus help", []string{"corpus", "-h"}, 0, "corpus minimise"},
		{"export to nowhere", []string{"corpus", "export"}, 2, "corpus export -o DIR"},
		{"export in an unknown form", []string{"corpus", "export", "-o", "x", "-form", "xml"}, 2, "corpus export -o DIR"},
		{"import into nothing", []string{"corpus", "import", "x"}, 2, "no directory given: -dir DIR"},
		{"import of an unknown target", []string{"corpus", "import", "-dir", t.TempDir(), testFile(t, "FuzzNone/x", "x")}, 2, `x: no fuzz target "None"`},
		{"import a cut input", []string{"corpus", "import", "-dir", t.TempDir(), testFile(t, "FuzzPkts/x", "go test fuzz v1\n[]byte(")}, 2, "x:2: want one line"},
		{"import a bad case", []string{"corpus", "import", "-dir", t.TempDir(), testFile(t, "FuzzAgree/x", "# format: 1\n# op: dance\n")}, 2, "x:2:"},
		{"minimise nothing", []string{"corpus", "minimise", "-dir", t.TempDir(), "-run", "none"}, 2, "matches no target"},
		{"fuzz with no engine", []string{"fuzz", "-engine", "steam"}, 2, `-engine must be native or libfuzzer, not "steam"`},
		{"fuzz no target", []string{"fuzz", "-run", "none"}, 2, "-run matches no target"},
		{"fuzz with no bug", []string{"fuzz", "-plant", "none"}, 2, `no bug "none"`},
		{"fuzz for a negative time", []string{"fuzz", "-time", "-1s"}, 2, "must not be negative"},
		{"detect nothing", []string{"detect", "-run", "none"}, 3, ""},
		{"rules with an argument", []string{"rules", "x"}, 2, "it takes no arguments"},
	} {
		t.Run(test.name, func(t *testing.T) {
			stdout, stderr, code := call(t, test.args...)
			if code != test.code || !strings.Contains(stdout+stderr, test.want) {
				t.Errorf("exit code %d, want %d with %q in\n%s%s", code, test.code, test.want, stdout, stderr)
			}
		})
	}
}

// TestHelp checks the help of each command and of each part of corpus: it states the exit
// codes, and the usage line has exactly the flags that are listed. Nested programs print
// their own help.
func TestHelp(t *testing.T) {
	flagName := regexp.MustCompile(`(?:^|[\[ ])-([a-z-]+)`)
	names := func(text string) []string {
		var list []string
		for _, m := range flagName.FindAllStringSubmatch(text, -1) {
			list = append(list, m[1])
		}
		slices.Sort(list)
		return slices.Compact(list)
	}
	unused := regexp.MustCompile(`(?m)^  -.*\n.*has no effect here\n`)
	for _, c := range slices.Concat(commands, corpusParts()) {
		if c.help == "" {
			continue
		}
		out, stderr, code := call(t, append(strings.Fields(c.name), "-h")...)
		if code != record.ExitHolds || stderr != "" || !strings.HasPrefix(out, "usage: tunproof "+c.name) || !strings.Contains(out, "Exit codes: 0 ") {
			t.Errorf("%s: exit code %d\n%s%s", c.name, code, out, stderr)
		}
		_, flags, _ := strings.Cut(out, "\nFlags:\n")
		flags, _, _ = strings.Cut(unused.ReplaceAllString(flags, ""), "\n\nExit codes")
		var listed []string
		for line := range strings.Lines(flags) {
			if strings.HasPrefix(line, "  -") {
				listed = append(listed, names(line)...)
			}
		}
		slices.Sort(listed)
		if diff := cmp.Diff(names(c.args), listed, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: flags (-usage line +listed):\n%s", c.name, diff)
		}
	}
}

func TestCorpusWrite(t *testing.T) {
	name := edited(t, "coalesce/id-gap-tcp4", "in: Mismatch", "in: Joined")
	if out, _, code := call(t, "corpus", "fmt", name); code != 0 || !strings.Contains(out, "written") {
		t.Errorf("exit code %d: %s", code, out)
	}
	want, err := os.ReadFile(corpusDir + "coalesce/id-gap-tcp4.pkts")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-corpus +written):\n%s", diff)
	}
}

// resultsOf reads the result records that a command wrote, by row.
func resultsOf(t *testing.T, out string) map[string]record.Result {
	t.Helper()
	list, err := record.Read(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]record.Result{}
	for _, r := range list {
		rows[r.Property+" "+r.Method] = r
	}
	return rows
}

// TestJSON checks the records of verify and the report of replay.
func TestJSON(t *testing.T) {
	out, _, _ := call(t, "verify", "-seed", "7", "-checks", "20", "-fuzz", "0", "-live", "0", "-run", "P3|K2", "-json")
	results := resultsOf(t, out)
	if r := results["P3 rapid"]; r.Result != record.Holds || r.Count != 20 || r.Seed != 7 || r.Tree == "" || r.Env.Go == "" || r.Format != 1 {
		t.Errorf("P3 rapid: %+v", r)
	}
	if r := results["K2 live"]; r.Result != record.NotRun || r.Detail == "" {
		t.Errorf("K2 live: %+v", r)
	}
	if r := results["P3 captures"]; r.Count != 19512 || r.Result != record.Holds {
		t.Errorf("P3 captures: %+v", r)
	}

	out, _, code := call(t, "replay", "-json", edited(t, "coalesce/data-same-tcp4", "hdr_len=40 gso_size=100 csum_start=20 csum_offset=16\n0000  45 00 00 f0", "hdr_len=40 gso_size=100 csum_start=20 csum_offset=16\n0000  45 00 00 f1"))
	var r replay.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	if len(r.Violations) != 1 || len(r.Violations[0].Fields) != 1 || r.Violations[0].Fields[0].Field != "ip.total_length" || len(r.Batches) != 1 || r.Record.Result != record.Violated {
		t.Errorf("%+v", r)
	}
}

// TestInterrupted checks that an interrupted run ends with the rows that ran, and reports
// the interrupt.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, err bytes.Buffer
	code := run(ctx, streams{strings.NewReader(""), &out, &err}, []string{"verify", "-fuzz", "0"})
	if code != record.ExitNothing || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("exit code %d:\n%s", code, out.String())
	}
}

// TestRulesDoc checks that docs/rules.md is the page that the command prints.
func TestRulesDoc(t *testing.T) {
	want, _, _ := call(t, "rules")
	got, err := os.ReadFile("../../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/rules.md is not what tunproof rules prints (-want +got):\n%s", diff)
	}
}

func TestTree(t *testing.T) {
	root, err := record.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	a, err := record.Tree(root)
	if err != nil || len(a) != 16 {
		t.Fatal(a, err)
	}
	dir := t.TempDir()
	if _, err := record.Root(dir); err == nil {
		t.Error("a temporary directory is a checkout")
	}
	b, err := record.Tree(dir)
	if err != nil || a == b {
		t.Errorf("%s and %s: %v", a, b, err)
	}
}

// TestExplainClosed replays a batch in which a packet that ends inside its header comes
// before a packet that does not match. The explanation must name the first packet, since
// the short one never opened a superpacket.
func TestExplainClosed(t *testing.T) {
	a := scenario.TCP4(100)
	b := a.Next(100)
	b.Ack++
	c := &pkts.Case{Op: pkts.OpCoalesce, Why: "w", Source: "s", Config: pkts.Config{Reorder: true},
		Batches: []pkts.Batch{{In: []pkts.In{{Data: a.Bytes()}, {Data: a.Bytes()[:24]}, {Data: b.Bytes()}}}}}
	name := testFile(t, "x.pkts", string(pkts.Format(c)))
	if out, _, code := call(t, "replay", name); code != 0 || !strings.Contains(out, "Mismatch: packet 2 would come back with tcp.ack") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

// TestCorpora exports inputs in both forms and imports them again.
func TestCorpora(t *testing.T) {
	for _, form := range []string{"raw", "native"} {
		out, dir := t.TempDir(), t.TempDir()
		if stdout, stderr, code := call(t, "corpus", "export", "-o", out, "-form", form, "-run", "P4|pcap"); code != 0 {
			t.Fatalf("%s%s", stdout, stderr)
		}
		stdout, stderr, code := call(t, "corpus", "import", "-dir", dir, out)
		if code != 0 {
			t.Fatalf("%s%s", stdout, stderr)
		}
		for _, name := range []string{"Agree", "Pcap"} {
			files, err := filepath.Glob(filepath.Join(out, name, "*"))
			if err != nil || len(files) < 100 || !strings.Contains(stdout, fmt.Sprintf("%-11s %6d read, %d new, 0 stored before, 0 mean nothing", name, len(files), len(files))) {
				t.Errorf("%s, %s: %d files, %v\n%s", form, name, len(files), err, stdout)
			}
		}
		if stdout, _, _ := call(t, "corpus", "import", "-dir", dir, out); !strings.Contains(stdout, " 0 new") {
			t.Errorf("again: %s", stdout)
		}
	}
	dir := t.TempDir()
	if stdout, stderr, code := call(t, "corpus", "import", "-dir", dir, "-target", "Agree", corpusDir+"coalesce/id-gap-tcp4.pkts"); code != 0 || !strings.Contains(stdout, "1 new") {
		t.Errorf("%s%s", stdout, stderr)
	}
}
