// Package native holds the native fuzz functions, apart from what else is
// tested: an engine instruments all that is linked.
package native

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/pcap"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/target"
)

// fuzz runs a target natively, from the corpus.
func fuzz(f *testing.F, name string) {
	for _, t := range target.Targets() {
		if t.Name != name {
			continue
		}
		for _, b := range seeds(f, name) {
			f.Add(b)
		}
		reach := newReach(name)
		f.Fuzz(func(t2 *testing.T, b []byte) {
			if err := t.Body(b, reach.tally); err != nil {
				t2.Fatal(err)
			}
			reach.executed()
		})
		return
	}
	f.Fatalf("no target %s", name)
}

// reach counts what the executions of one process met, for who asks by naming a
// directory in TUNPROOF_REACH: engines run in several processes, and are killed.
type reach struct {
	file  string
	tally *target.Tally // nil if nobody asks
	n     int
}

func newReach(name string) *reach {
	dir := os.Getenv("TUNPROOF_REACH")
	if dir == "" {
		return &reach{}
	}
	return &reach{file: filepath.Join(dir, fmt.Sprintf("%s-%d.json", name, os.Getpid())), tally: target.NewTally()}
}

// executed writes the tally now and then; what came after the last time is lost.
func (r *reach) executed() {
	if r.n++; r.tally == nil || r.n%1000 != 0 {
		return
	}
	// Beside it first: a process that is killed leaves a whole file or none. A
	// count that is missing changes no verdict.
	if b, err := json.Marshal(r.tally); err == nil && os.WriteFile(r.file+".new", b, 0o644) == nil {
		_ = os.Rename(r.file+".new", r.file)
	}
}

// Large seeds slow an engine down more than they teach it: of those above
// maxSeed bytes, or maxSeedPackets as packets, only the shortest batches are
// seeds. The corpus test runs them all.
const maxSeed, maxSeedPackets = 512, 2048

func quick(s scenario.Scenario) bool {
	n, total := 0, 0
	for _, batch := range s.Batches {
		for _, p := range batch {
			n, total = n+1, total+len(p)
		}
	}
	for _, p := range s.Supers {
		total += len(p.Data)
	}
	return total <= maxSeedPackets || n == 2
}

// TestMain lets the collector wait: an execution leaves little behind.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

// seeds returns the corpus in the form that a target reads.
func seeds(f *testing.F, name string) [][]byte {
	cases, err := corpus.Cases()
	if err != nil {
		f.Fatal(err)
	}
	var list [][]byte
	for _, c := range cases {
		var b []byte
		switch {
		case name == "Pkts", name == "Hexdump":
			b = pkts.Format(c.Case)
		case name == "Checksum" && c.Op == pkts.OpChecksum:
			in := c.Batches[0].In[0]
			b = append([]byte{byte(in.Seed), byte(in.Seed >> 8), 0}, in.Data...)
		case name == "Pcap" && c.Op == pkts.OpCoalesce:
			b = capture(f, c.Case, len(list)%2 == 0)
		case name != "Checksum" && name != "Pcap" && c.Op != pkts.OpChecksum:
			b = scenario.Encode(scenario.FromCase(c.Case))
		}
		if b != nil && len(b) <= maxSeed && quick(scenario.FromCase(c.Case)) {
			list = append(list, b)
		}
	}
	return list
}

// capture is a case's packets as a pcap file, or as a pcapng file with a comment.
func capture(f *testing.F, c *pkts.Case, ng bool) []byte {
	format := pcap.Classic
	if ng {
		format = pcap.NG
	}
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, format)
	for _, in := range c.Batches[0].In {
		if err == nil {
			err = w.Write(pcap.Packet{Data: in.Data, Comment: "c"})
		}
	}
	if err != nil {
		f.Fatal(err)
	}
	return file.Bytes()
}

func FuzzTotal(f *testing.F)      { fuzz(f, "Total") }
func FuzzEquation(f *testing.F)   { fuzz(f, "Equation") }
func FuzzOrder(f *testing.F)      { fuzz(f, "Order") }
func FuzzAgree(f *testing.F)      { fuzz(f, "Agree") }
func FuzzRepair(f *testing.F)     { fuzz(f, "Repair") }
func FuzzInterleave(f *testing.F) { fuzz(f, "Interleave") }
func FuzzBuffers(f *testing.F)    { fuzz(f, "Buffers") }
func FuzzWellFormed(f *testing.F) { fuzz(f, "WellFormed") }
func FuzzChecksum(f *testing.F)   { fuzz(f, "Checksum") }
func FuzzCodec(f *testing.F)      { fuzz(f, "Codec") }
func FuzzPkts(f *testing.F)       { fuzz(f, "Pkts") }
func FuzzPcap(f *testing.F)       { fuzz(f, "Pcap") }
func FuzzHexdump(f *testing.F)    { fuzz(f, "Hexdump") }
func FuzzJudges(f *testing.F)     { fuzz(f, "Judges") }

// TestTargets checks that each target has its native fuzz function.
func TestTargets(t *testing.T) {
	src, err := os.ReadFile("native_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, tg := range target.Targets() {
		want := "func Fuzz" + tg.Name + "(f *testing.F)"
		if !strings.Contains(string(src), want) {
			t.Errorf("no %s", want)
		}
	}
}
