// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive"
)

// The kernel's answer does not depend on which implementation it judges. So each question
// is asked once, and the same answer judges production and the model.

// judgement is one check by one oracle of production, of the model, or of both.
type judgement struct {
	Part
	subjects []string
	checks   map[string]Part // by subject
	tallies  map[string]*Tally
}

// chosen returns the judgements that -run matches: k judges production, m the model. All
// parts share the same scenarios, which are drawn once. So a subtest only chooses a
// judgement: TestRandom/K1_random,_tun/model chooses the model, judged by the first
// oracle. Without a subject in -run both are judged.
func chosen(t *testing.T, k, m *Kernel, list func(*Kernel) []Part) (all []*judgement) {
	models := list(m)
	for i, p := range list(k) {
		j := &judgement{Part: p, checks: map[string]Part{"production": p, "model": models[i]}, tallies: map[string]*Tally{}}
		t.Run(p.Property+" "+p.Method(), func(t *testing.T) {
			need(t, k, p.Oracle)
			for _, name := range []string{"production", "model"} {
				t.Run(name, func(*testing.T) {
					j.subjects = append(j.subjects, name)
					j.tallies[name] = &Tally{}
				})
			}
			all = append(all, j)
		})
	}
	return all
}

// check checks a scenario for each subject. If the second subject needs the answer to a
// question of the first, it gets the same answer. check returns the errors of both.
func (j *judgement) check(s *scenario.Scenario) error {
	var memory remembers
	switch {
	case j.Oracle.segmenter != nil:
		memory = j.Oracle.segmenter.(*cuts)
	case j.Oracle.gro != nil:
		memory = j.Oracle.gro.(*joins)
	default:
		memory = &answered[any]{} // no two answers are equal: each superpacket has another outer ID
	}
	defer memory.end()
	var errs []error
	for i, name := range j.subjects {
		memory.begin(i)
		if err := j.checks[name].Check(s, j.tallies[name]); err != nil {
			errs = append(errs, fmt.Errorf("%s %s, %s: %w", j.Property, j.Method(), name, err))
		}
	}
	return errors.Join(errs...)
}

// compared checks that packets were compared, and logs the counts.
func (j *judgement) compared(t *testing.T) {
	t.Helper()
	for _, name := range j.subjects {
		tally, what := j.tallies[name], fmt.Sprintf("%s %s, %s", j.Property, j.Method(), name)
		if tally.Rounds == 0 || tally.Segments == 0 {
			t.Errorf("%s: %d rounds, %d segments compared", what, tally.Rounds, tally.Segments)
		}
		t.Logf("%s: %d %s, %d packets compared\n%s", what, tally.Rounds, j.Unit, tally.Segments, strings.Join(tally.Lines(), "\n"))
	}
}

// remembers is an oracle that remembers its answers between begin and end.
type remembers interface {
	begin(subject int)
	end()
}

// open opens the kernel with oracles that remember.
func open() (*Kernel, error) {
	k, err := Open()
	if err != nil {
		return nil, err
	}
	for _, o := range k.oracles() {
		if o.Missing == nil && o.segmenter != nil {
			o.segmenter = &cuts{Segmenter: o.segmenter}
		}
		if o.Missing == nil && o.gro != nil {
			o.gro = &joins{GRO: o.gro}
		}
	}
	return k, nil
}

// answered holds an oracle's answers to the questions of the first subject. A question
// that was asked twice has two answers, in order. The second subject takes them. The
// kernel is asked again only for other questions.
type answered[A any] struct {
	kept   map[string][]A
	second bool
	n      [2]int // questions asked of the kernel, by subject
}

func (a *answered[A]) begin(subject int) {
	if a.second = subject > 0; !a.second {
		a.kept = map[string][]A{}
	}
}

func (a *answered[A]) end() { a.kept = nil }

func (a *answered[A]) answer(question []byte, ask func() A) A {
	list := a.kept[string(question)]
	if a.second && len(list) > 0 {
		a.kept[string(question)] = list[1:]
		return list[0]
	}
	got := ask()
	if a.second {
		a.n[1]++
		return got
	}
	a.n[0]++
	a.kept[string(question)] = append(list, got)
	return got
}

// cuts is an oracle that cuts and remembers.
type cuts struct {
	tunlive.Segmenter
	answered[cutAnswer]
}

type cutAnswer struct {
	tunlive.Answer
	err error
}

func (c *cuts) Segment(h tunlive.VnetHdr, packet []byte) (tunlive.Answer, error) {
	if c.kept == nil {
		return c.Segmenter.Segment(h, packet)
	}
	question := append(fmt.Appendf(nil, "%v:", h), packet...)
	a := c.answer(question, func() cutAnswer {
		got, err := c.Segmenter.Segment(h, packet)
		got.Segments = cloned(got.Segments)
		return cutAnswer{got, err}
	})
	return a.Answer, a.err
}

// joins is an oracle that joins and remembers.
type joins struct {
	tunlive.GRO
	answered[joinAnswer]
}

type joinAnswer struct {
	packets []tunlive.Packet
	err     error
}

func (j *joins) Coalesce(batch [][]byte) ([]tunlive.Packet, error) {
	if j.kept == nil {
		return j.GRO.Coalesce(batch)
	}
	a := j.answer(joined(nil, batch), func() joinAnswer {
		got, err := j.GRO.Coalesce(batch)
		return joinAnswer{cloned(got), err}
	})
	return a.packets, a.err
}

// joined appends packets to b, each after its length.
func joined(b []byte, batch [][]byte) []byte {
	for _, p := range batch {
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return b
}

func cloned(list []tunlive.Packet) []tunlive.Packet {
	list = slices.Clone(list)
	for i := range list {
		list[i].Data = bytes.Clone(list[i].Data)
	}
	return list
}

// modelOnce returns the model alone as the subject. It remembers the result of each batch
// until forget is called: all oracles ask about the same batches, and the model's search
// takes most of their time.
func modelOnce() (s subject, forget func()) {
	type made struct {
		supers  []law.Super
		reasons []string
	}
	known := map[string]made{}
	s = modelAlone()
	fresh := s.coalescer
	s.coalescer = func(c pkts.Config) func([][]byte) ([]law.Super, []string) {
		coalesce := fresh(c)
		return func(batch [][]byte) ([]law.Super, []string) {
			key := string(joined(fmt.Appendf(nil, "%+v:", c), batch))
			m, is := known[key]
			if !is {
				m.supers, m.reasons = coalesce(batch)
				known[key] = m
			}
			return m.supers, m.reasons
		}
	}
	return s, func() { clear(known) }
}

// TestOnce checks that the second subject gets the answers of the first in the same
// order, that its other questions are asked, and that nothing is remembered afterwards.
func TestOnce(t *testing.T) {
	var n [1]byte
	counting := &cuts{Segmenter: counter{&n}}
	asked := func(packet string) byte {
		a, err := counting.Segment(tunlive.VnetHdr{}, []byte(packet))
		if err != nil || len(a.Segments) != 1 {
			t.Fatal(a, err)
		}
		return a.Segments[0].Data[0]
	}
	j := &judgement{Part: Part{Oracle: &Oracle{segmenter: counting}}, subjects: []string{"production", "model"}, tallies: map[string]*Tally{}}
	var got []byte
	j.checks = map[string]Part{
		"production": {Check: func(*scenario.Scenario, *Tally) error {
			got = append(got, asked("a"), asked("b"), asked("a"))
			return os.ErrInvalid
		}},
		"model": {Check: func(*scenario.Scenario, *Tally) error {
			got = append(got, asked("a"), asked("a"), asked("a"), asked("b"), asked("c"))
			return os.ErrExist
		}},
	}
	if err := j.check(nil); !errors.Is(err, os.ErrInvalid) || !errors.Is(err, os.ErrExist) {
		t.Errorf("two checks failed, but the error is %v", err)
	}
	got = append(got, asked("a"))
	if want := []byte{1, 2, 3, 1, 3, 4, 2, 5, 6}; !bytes.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
}

// counter answers with the number of questions so far, in memory that it reuses.
type counter struct{ n *[1]byte }

func (c counter) Segment(tunlive.VnetHdr, []byte) (tunlive.Answer, error) {
	c.n[0]++
	return tunlive.Answer{Segments: []tunlive.Packet{{Data: c.n[:]}}}, nil
}
func (counter) Close() error { return nil }
