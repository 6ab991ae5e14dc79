// Package native holds the native fuzz functions, apart from what else is
// tested: an engine instruments all that is linked.
package native

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/execute"
	"tunproof/fuzz/seeds"
	"tunproof/fuzz/target"
)

// fuzz runs a target natively, from the corpus unless TUNPROOF_SEEDS is "none": who
// runs it then gives it its inputs.
func fuzz(f *testing.F, name string) {
	t, ok := target.Named(name)
	if !ok {
		f.Fatalf("no target %s", name)
	}
	if os.Getenv("TUNPROOF_SEEDS") != "none" {
		list, err := seeds.Of(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, b := range list {
			f.Add(b)
		}
	}
	reach := newReach(name)
	limit, _ := time.ParseDuration(os.Getenv(execute.EnvTime)) // without it the engine's own
	f.Fuzz(func(t2 *testing.T, b []byte) {
		if limit > 0 {
			late := time.AfterFunc(limit, func() { panic("it takes too long") })
			defer late.Stop()
		}
		if err := t.Body(b, reach.tally); err != nil {
			t2.Fatal(err)
		}
		reach.executed()
	})
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
