// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/internal/crasher"
	"tunproof/fuzz/scenario"
)

// judged is what a test expects of one failing input.
type judged struct {
	fails         string // the input, with FILE for a file's name
	key           string // of the finding, "" for none
	file, content string // the end of the name of its file, and what is in it
	flaky         bool
}

// TestJudged checks what becomes of an input that fails in the engine.
func TestJudged(t *testing.T) {
	small := "x\ntoy fails a\ny\nz"
	for _, c := range []struct {
		name, target, engine string
		inputs               []judged
	}{
		{"a scenario is a case of one packet", "Agree", "native", []judged{{small, "P4 toy a", "FuzzAgree/P4-toy-a.pkts", "", false}}},
		{"also of libFuzzer", "Agree", "libfuzzer", []judged{{small, "P4 toy a", "FuzzAgree/P4-toy-a.pkts", "", false}}},
		{"bytes are as few as fail", "Pkts", "native", []judged{{small, "P4 toy a", "FuzzPkts/P4-toy-a.fuzz", "toy fails a", false}}},
		{"two causes are two findings", "Pkts", "native", []judged{{"toy fails a", "P4 toy a", "P4-toy-a.fuzz", "toy fails a", false}, {"toy fails b", "P4 toy b", "P4-toy-b.fuzz", "toy fails b", false}}},
		{"the same again is one", "Pkts", "native", []judged{{"toy fails a", "P4 toy a", "P4-toy-a.fuzz", "toy fails a", false}, {"0 toy fails a 0", "P4 toy a", "P4-toy-a.fuzz", "toy fails a", false}}},
		{"the smaller one stays", "Pkts", "native", []judged{{sized("fails s", 80), "P4 toy s", "P4-toy-s.fuzz", sized("fails s", 20), false}, {sized("fails s", 20), "P4 toy s", "P4-toy-s.fuzz", sized("fails s", 20), false}}},
		{"in any order", "Pkts", "native", []judged{{sized("fails s", 20), "P4 toy s", "P4-toy-s.fuzz", sized("fails s", 20), false}, {sized("fails s", 80), "P4 toy s", "P4-toy-s.fuzz", sized("fails s", 20), false}}},
		{"once is flaky", "Pkts", "native", []judged{{"toy once FILE", "", "", "", true}}},
		{"otherwise the second time is flaky", "Pkts", "native", []judged{{"toy changes FILE", "", "", "", true}}},
		{"never is flaky", "Agree", "native", []judged{{"holds", "", "", "", true}}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			conf, said := settings(t, t.TempDir(), c.target)
			conf.Engine, conf.Time = c.engine, 30*time.Second
			keys := map[string]bool{}
			flaky := 0
			s, err := fuzz(t.Context(), conf, with(func(r *run) error {
				if r.n >= len(c.inputs) {
					return r.rest()
				}
				in := c.inputs[r.n]
				r.sleep(time.Second)
				return errors.Join(errors.New("a failure"), r.fails(strings.ReplaceAll(in.fails, "FILE", filepath.Join(conf.Dir, "once"))))
			}))
			if err != nil {
				t.Fatal(err)
			}
			got := s.Results[0].Findings
			for n, in := range c.inputs {
				if in.flaky {
					flaky++
				}
				if in.key == "" || keys[in.key] {
					continue
				}
				keys[in.key] = true
				if len(got) < len(keys) {
					t.Fatalf("%+v", got)
				}
				f := got[len(keys)-1]
				if f.Outcome.Key() != in.key || !strings.HasSuffix(filepath.ToSlash(f.File), in.file) || !f.New || f.After != time.Duration(n+1)*time.Second {
					t.Errorf("%+v, want %+v", f, in)
				}
				checkFile(t, f.File, in)
				if in.content != "" && len(c.inputs) == 1 && !strings.Contains(f.Outcome.Msg, fmt.Sprintf("in %d bytes", len(in.content))) {
					t.Errorf("%q is not of the smallest input", f.Outcome.Msg)
				}
			}
			if len(got) != len(keys) || len(said.has("FINDING")) != len(keys) || len(files(t, filepath.Join(conf.Dir, "findings"), "*")) != len(keys) {
				t.Errorf("%d findings, want %d; %q", len(got), len(keys), said.lines)
			}
			if n := len(files(t, filepath.Join(conf.Dir, "flaky", "Fuzz"+c.target), "*.fuzz")); s.Flaky != flaky || n != flaky {
				t.Errorf("%d flaky, %d files, want %d", s.Flaky, n, flaky)
			}
			tidy(t, conf.Dir)
		})
	}
}

// checkFile checks the content of a finding's file.
func checkFile(t *testing.T, file string, want judged) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) == ".fuzz" {
		if b, err := crasher.Parse(text); err != nil || string(b) != want.content {
			t.Errorf("%s has %q, %v, want %q", file, b, err, want.content)
		}
		return
	}
	k, err := pkts.Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	s := scenario.FromCase(k)
	if len(s.Supers) > 0 || len(s.Batches) != 1 || len(s.Batches[0]) != 1 || !strings.HasPrefix(string(s.Batches[0][0]), "toy fails a") {
		t.Errorf("%s has\n%s", file, text)
	}
	if !strings.Contains(k.Why, "toy a") || len(k.Batches[0].Out) != 1 {
		t.Errorf("%s has no violation or no result of the model:\n%s", file, text)
	}
}

// TestAgain checks that a finding that was stored before is not new, and that one that
// fails no more is replaced.
func TestAgain(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		conf, _ := settings(t, t.TempDir(), "Pkts")
		conf.First = true
		for i, c := range []struct {
			fails, content string
			isNew          bool
		}{
			{sized("fails s", 30), sized("fails s", 30), true},
			{sized("fails s", 40), sized("fails s", 30), false},
			{sized("fails s", 20), sized("fails s", 20), false},
			{"", "", false}, // the stored one is spoilt
			{sized("fails s", 40), sized("fails s", 40), false},
		} {
			file := filepath.Join(conf.Dir, "findings", "FuzzPkts", "P4-toy-s.fuzz")
			if c.fails == "" {
				if err := os.WriteFile(file, crasher.Format([]byte("holds")), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			s, err := fuzz(t.Context(), conf, with(func(r *run) error { return r.fails(c.fails) }))
			if err != nil || len(s.Results[0].Findings) != 1 {
				t.Fatalf("%d: %v, %+v", i, err, s)
			}
			f := s.Results[0].Findings[0]
			if f.File != file || f.New != c.isNew {
				t.Errorf("%d: %+v", i, f)
			}
			checkFile(t, f.File, judged{content: c.content})
		}
	})
}

// TestInterruptedFinding checks that an interrupt while a finding is confirmed does not
// lose it.
func TestInterruptedFinding(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		calls := listen(t)
		conf, _ := settings(t, t.TempDir(), "Pkts")
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { // by the process that executes the input
			for i := 0; ; i++ {
				c, err := calls.Accept()
				if err != nil {
					return
				}
				if i == 1 {
					stop()
				}
				c.Close()
			}
		}()
		s, err := fuzz(ctx, conf, with(func(r *run) error {
			if ctx.Err() != nil {
				t.Error("the engine runs after the interrupt")
			}
			return r.fails(sized("calls "+calls.Addr().String(), 40))
		}))
		calls.Close()
		if err != nil || len(s.Results[0].Findings) != 1 || s.Flaky != 0 {
			t.Fatalf("%v, %+v", err, s)
		}
		tidy(t, conf.Dir)
	})
}

// listen listens to inputs that call.
func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// hung accepts a call and holds the line until the caller is killed.
func hung(l net.Listener) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, c) }()
	return nil
}

// TestCanary checks that a campaign looks for the canary first, by itself and from
// nothing, and it checks the outcome of each way in which that can end.
func TestCanary(t *testing.T) {
	broken := errors.New("it broke")
	for _, c := range []struct {
		name   string
		canary func(r *run, stop func()) error // of the toy with the bug
		build  error
		after  time.Duration
		is     string
		err    string
		fuzzed bool
		said   string
	}{
		{"found", func(r *run, _ func()) error { r.sleep(9 * time.Second); return r.fails("toy fails a") }, nil, 9 * time.Second, canaryBug, "", true, "canary: found after 9.0 s: P4 toy a"},
		{"found late", func(r *run, _ func()) error { r.sleep(time.Minute - 1); return r.fails("toy fails a") }, nil, time.Minute - 1, canaryBug, "", true, "canary: found after 60.0 s"},
		{"not found", func(r *run, _ func()) error { return r.rest() }, nil, 0, canaryBug, "", true, "canary: NOT FOUND within 1m0s"},
		{"flaky is not found", func(r *run, _ func()) error { r.sleep(9 * time.Second); return r.fails("holds") }, nil, 0, canaryBug, "", true, "NOT FOUND"},
		{"interrupted", func(r *run, stop func()) error { r.sleep(9 * time.Second); stop(); return r.rest() }, nil, 0, "", "", false, ""},
		{"engine fails", func(*run, func()) error { return broken }, nil, 0, canaryBug, "canary: Agree: the engine stopped 3 times without a finding: it broke", false, ""},
		{"does not compile", nil, broken, 0, canaryBug, "canary: it broke", false, ""},
	} {
		bubble(t, c.name, func(t *testing.T) {
			conf, said := settings(t, t.TempDir(), "Pkts")
			conf.Blind, conf.Empty, conf.Time = false, false, 10*time.Second // the campaign has seeds, the canary none
			if _, _, err := (Store{conf.Dir}).Add(named("Agree"), input("Agree", "stored")); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			fuzzed := false
			s, err := fuzz(ctx, conf, func(ctx context.Context, bc Config, dir string) (parts, error) {
				if bc.Plant == nil {
					return with(func(r *run) error { fuzzed = true; r.report(1); return r.rest() })(ctx, bc, dir)
				}
				if bc.Plant.Name != canaryBug || fuzzed {
					t.Errorf("planted: %s, fuzzed: %v", bc.Plant.Name, fuzzed)
				}
				made, err := with(func(r *run) error {
					if left := r.given(t); len(left) > 0 || r.target != canaryTarget {
						t.Errorf("%s has %d inputs to start from", r.target, len(left))
					}
					return c.canary(r, stop)
				})(ctx, bc, dir)
				return made, errors.Join(err, c.build)
			})
			if got := fmt.Sprint(err); got != c.err && (err != nil || c.err != "") {
				t.Errorf("%s, want %s", got, c.err)
			}
			if s.Canary != c.is || s.After != c.after || fuzzed != c.fuzzed {
				t.Errorf("%+v, fuzzed: %v", s, fuzzed)
			}
			if c.said != "" && len(said.has(c.said)) == 0 {
				t.Errorf("%q, want %q", said.lines, c.said)
			}
			if found := files(t, conf.Dir, "P4*"); len(found) > 0 {
				t.Errorf("the canary is among the findings: %v", found)
			}
			if runs, err := (Store{conf.Dir}).Runs(); err != nil || (len(runs) == 1) != c.fuzzed || c.fuzzed && runs[0].Targets["Pkts"].Execs == 0 {
				t.Errorf("%+v, %v", runs, err)
			}
		})
	}
}
