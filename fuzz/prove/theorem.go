// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tunproof/fuzz/prove/smt"
	"tunproof/fuzz/prove/translate"
)

// Theorem says that Goal holds for all values that satisfy the hypotheses, and that what
// was translated for it neither panics nor overflows then.
type Theorem struct {
	Name  string
	Group string // the name of its record, "" for that before the first colon or comma of Name
	Says  string // in words
	// Hyps are facts about the input. Each must be true of all that can reach the code.
	Hyps        []*smt.Term
	Goal        *smt.Term
	More        []*smt.Term // more goals, which are asked one by one, with the lemmas
	Lemmas      []*smt.Term
	Obligations []translate.Obligation
	// Witness can be true together with the hypotheses: the theorem is not vacuous.
	Witness *smt.Term
	// Small makes a counterexample easier to read, if there is one with it.
	Small []*smt.Term
	// Case makes a case of the corpus from a counterexample; nil if there is no way.
	Case func(values map[string]uint64) (*caseFile, error)
	Fast bool // proved in every run
}

// questions returns what z3 is asked.
func (t *Theorem) questions() []question {
	comment := t.Name + "\n" + t.Says
	qs := []question{{"goal", "unsat", append(append([]*smt.Term{}, t.Hyps...), smt.Not(t.Goal)), nil, ""}}
	for _, g := range t.More {
		qs = append(qs, question{"goal", "unsat", append(append(append([]*smt.Term{}, t.Hyps...), t.Lemmas...), smt.Not(g)), nil, ""})
	}
	if len(t.Obligations) > 0 {
		var all []*smt.Term
		for _, o := range t.Obligations {
			all = append(all, o.Holds)
		}
		qs = append(qs, question{"no panic", "unsat", append(append([]*smt.Term{}, t.Hyps...), smt.Not(smt.All(all...))), t.Obligations, ""})
	}
	if t.Witness != nil {
		qs = append(qs, question{"not vacuous", "sat", append(append(append([]*smt.Term{}, t.Hyps...), t.Lemmas...), t.Witness), nil, ""})
	}
	for i := range qs {
		qs[i].comment = comment
	}
	return qs
}

// question is one script for z3.
type question struct {
	what, want string
	assertions []*smt.Term
	duties     []translate.Obligation
	comment    string
}

func (q question) script(extra ...*smt.Term) string {
	return smt.Script(q.comment+"\n"+q.what+": want "+q.want, append(append([]*smt.Term{}, q.assertions...), extra...), true)
}

// verdict is the answer for one theorem.
type verdict struct {
	theorem *Theorem
	seconds float64
	cached  bool
	failed  string            // the question that has another answer than wanted; "" if it is proved
	answer  string            // z3's, to the question that failed
	values  map[string]uint64 // the counterexample
}

// refuted reports whether z3 has a counterexample, or no example of the hypotheses: it
// answered, and not as wanted.
func (v *verdict) refuted() bool { return v.answer == "sat" || v.answer == "unsat" }

// prove asks all questions of a theorem.
func (o *options) prove(ctx context.Context, t *Theorem) verdict {
	v := verdict{theorem: t, cached: true}
	for i, q := range t.questions() {
		script := q.script()
		if o.out != "" {
			name := strings.NewReplacer(" ", "-", ":", "", ",", "").Replace(t.Name)
			os.WriteFile(filepath.Join(o.out, fmt.Sprintf("%s-%d.smt2", name, i)), []byte(script), 0o644)
		}
		if s, ok := o.cache.get(o.z3 + script); ok {
			v.seconds += s
			continue
		}
		v.cached = false
		start := time.Now()
		a := smt.Ask(ctx, script, o.limit)
		took := time.Since(start).Seconds()
		v.seconds += took
		if a.Result == q.want {
			o.cache.put(o.z3+script, took)
			continue
		}
		v.answer, v.values = a.Result, a.Values
		v.failed = fmt.Sprintf("%s: %s, want %s", q.what, a.Result, q.want)
		if a.Result == "sat" && len(t.Small) > 0 {
			if s := smt.Ask(ctx, q.script(t.Small...), o.limit); s.Result == "sat" {
				v.values = s.Values
			}
		}
		for _, d := range q.duties {
			if a.Result == "sat" && smt.Evaluate(d.Holds, a.Values) == 0 {
				v.failed += fmt.Sprintf(" (%s: %s)", d.Place, d.What)
				break
			}
		}
		break
	}
	return v
}

// layout is a kind of packet: what the headers of a candidate are.
type layout struct{ version, proto, hdrLen int }

const tcp, udp = 6, 17

// fastOnly leaves out theorems that are not Fast.
var fastOnly bool

// layouts has every kind of candidate: TCP with each data offset, and UDP, over IPv4
// without options and IPv6 without extension headers.
func layouts() []layout {
	var ls []layout
	for _, ip := range []layout{{version: 4, hdrLen: 20}, {version: 6, hdrLen: 40}} {
		ls = append(ls, layout{ip.version, udp, ip.hdrLen + 8})
		for doff := 5; doff <= 15; doff++ {
			ls = append(ls, layout{ip.version, tcp, ip.hdrLen + 4*doff})
		}
	}
	if fastOnly {
		ls = slices.DeleteFunc(ls, func(l layout) bool { return !l.fast() })
	}
	return ls
}

func (l layout) ip() int {
	if l.version == 4 {
		return 20
	}
	return 40
}

func (l layout) String() string {
	if l.proto == udp {
		return fmt.Sprintf("udp%d", l.version)
	}
	return fmt.Sprintf("tcp%d with data offset %d", l.version, (l.hdrLen-l.ip())/4)
}

// fast reports whether the layout is one of those that every run proves: the shortest and
// the longest headers.
func (l layout) fast() bool {
	return l.proto == udp || l.hdrLen == l.ip()+20 || l.hdrLen == l.ip()+60
}

// symbols names the bytes of a packet.
type symbols string

func (p symbols) byte(i int) *smt.Term { return smt.Var(fmt.Sprintf("%s[%d]", string(p), i), 8) }
func (p symbols) be16(i int) *smt.Term { return smt.Concat(p.byte(i), p.byte(i+1)) }
func (p symbols) be32(i int) *smt.Term { return smt.Concat(p.be16(i), p.be16(i+2)) }

func c8(v int) *smt.Term  { return smt.Const(8, uint64(v)) }
func c16(v int) *smt.Term { return smt.Const(16, uint64(v)) }

// bitsOf returns b & mask == want.
func bitsOf(b *smt.Term, mask, want int) *smt.Term {
	return smt.Eq(smt.And(b, c8(mask)), c8(want))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// words of a theorem's text on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
