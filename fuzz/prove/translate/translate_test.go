// SPDX-License-Identifier: MIT

package translate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"tunproof/fuzz/prove/smt"
	"tunproof/fuzz/prove/translate"
	"tunproof/offload"
)

var source = sync.OnceValues(func() (*translate.Source, error) { return translate.Load("../../..", "amd64") })

func program(t *testing.T, edit func(path, text string) string) *translate.Program {
	t.Helper()
	src, err := source()
	if err != nil {
		t.Fatal(err)
	}
	p, err := src.Program(edit)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func unchanged(_, text string) string { return text }

// TestParse compares the translation of parse with the compiled code, on packets that
// differ from a candidate in a few bytes and in their length.
func TestParse(t *testing.T) {
	p := program(t, unchanged)
	m := p.NewMachine()
	n := smt.Var("len(P)", p.IntWidth())
	cell := translate.Cell("parsed", m.Zero(p.Type("parsed")))
	v, _, err := m.Call("parsed.parse", translate.NewState(), cell, translate.Packet("P", n))
	if err != nil {
		t.Fatal(err)
	}
	why := v.(*smt.Term)
	rnd := rand.New(rand.NewPCG(1, 2))
	var seen [offload.NumReasons]int
	for range 400 {
		b := make([]byte, rnd.IntN(120))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		if len(b) > 60 && rnd.IntN(8) > 0 {
			b[0], b[6], b[7], b[9], b[32] = 0x45, 0x40, 0, 6, 0x50
			if rnd.IntN(2) == 0 {
				b[0], b[6], b[52] = 0x60, 17, 0x50
			}
			for range rnd.IntN(3) {
				b[rnd.IntN(54)] = byte(rnd.Uint32())
			}
		}
		values := map[string]uint64{"len(P)": uint64(len(b))}
		for i, v := range b {
			values[fmt.Sprintf("P[%d]", i)] = uint64(v)
		}
		var c offload.Coalescer
		c.Coalesce([][]byte{b})
		got, want := offload.Reason(smt.Evaluate(why, values)), c.Reason(0)
		if want > offload.Truncated {
			want = offload.Joined // verify's
		}
		if got != want {
			t.Fatalf("% x: the translation gives %v, the code %v", b, got, want)
		}
		seen[got]++
	}
	for _, r := range []offload.Reason{offload.Joined, offload.NoAddresses, offload.Header, offload.Fragment, offload.Truncated} {
		if seen[r] == 0 {
			t.Errorf("no packet with Reason %v", r)
		}
	}
}

// TestRefused: what the translator does not know it refuses, and names the place.
func TestRefused(t *testing.T) {
	p := program(t, func(path, text string) string {
		if strings.HasSuffix(path, "/checksum.go") {
			text += `
func prLoop(n int) (s int) {
	for i := 0; i < n; i++ {
		s += i
	}
	return s
}
func prMap(m map[int]int) int        { return m[1] }
func prCall(f func() int) int        { return f() }
func prByte(b []byte, i int) byte    { return b[i] }
func prChan(c chan int) int          { return <-c }
func prFloat(x float64) bool         { return x > 1 }
func prString(s string) byte         { return s[0] }
func prIface(x interface{ F() int }) int { return x.F() }
func prVar() int                     { return prGlobal }
var prGlobal = 1
func prSet()                         { prGlobal = 2 }
`
		}
		return text
	})
	for _, name := range []string{"prLoop", "prMap", "prCall", "prByte", "prChan", "prFloat", "prString", "prIface", "prVar", "Segmenter.inPlace", "Sum"} {
		m := p.NewMachine()
		var args []translate.Value
		for i, typ := range p.Params(name) {
			args = append(args, p.Symbolic(fmt.Sprint("x", i), typ))
		}
		_, _, err := m.Call(name, translate.NewState(), args...)
		var r *translate.Refusal
		if !errors.As(err, &r) || !strings.Contains(r.Place, ".go:") {
			t.Errorf("%s: %v, want a Refusal with a place", name, err)
		}
	}
}

// TestObligations: an access that may be out of range, a division that may be by zero and
// an overflow are obligations, and hold exactly where the code does not panic.
func TestObligations(t *testing.T) {
	p := program(t, func(path, text string) string {
		if strings.HasSuffix(path, "/checksum.go") {
			text += `
func prIndex(b []byte, cut int) byte { return b[cut:][3] }
func prDivide(x, y int) int          { return x / y }
`
		}
		return text
	})
	w := p.IntWidth()
	m := p.NewMachine()
	if _, _, err := m.Call("prDivide", translate.NewState(), smt.Var("x", w), smt.Var("y", w)); err != nil {
		t.Fatal(err)
	}
	if len(m.Obligations) != 1 || smt.Evaluate(m.Obligations[0].Holds, map[string]uint64{"y": 0}) != 0 || smt.Evaluate(m.Obligations[0].Holds, map[string]uint64{"y": 3}) != 1 {
		t.Errorf("division: %v", m.Obligations)
	}
	for cut := range 9 {
		m := p.NewMachine()
		if _, _, err := m.Call("prIndex", translate.NewState(), translate.Packet("P", smt.Var("n", w)), smt.Const(w, uint64(cut))); err != nil {
			t.Fatal(err)
		}
		for n := range uint64(14) {
			holds := uint64(1)
			for _, o := range m.Obligations {
				holds &= smt.Evaluate(o.Holds, map[string]uint64{"n": n})
			}
			if (holds == 1) != (cut+3 < int(n)) {
				t.Errorf("byte 3 from %d on of %d: obligations hold: %d", cut, n, holds)
			}
		}
	}
}
