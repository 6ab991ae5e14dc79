// SPDX-License-Identifier: MIT

package campaign

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
)

// The tests of campaigns run in bubbles of testing/synctest: time stands still while
// anything works, and passes at once when everything sleeps. So the test chooses the order
// of events, and a campaign of ten minutes takes milliseconds. The engine is a toy, a function of the test. The rest is real: files, locks, and the processes that
// execute inputs, which are this test program.

// TestMain is also the program that executes inputs, and an engine's program.
func TestMain(m *testing.M) {
	switch {
	case serve.FromEnviron().Serve != "":
		if err := serve.Serve(os.Stdin, os.Stdout, body); err != nil {
			os.Exit(2)
		}
	case os.Getenv(envProgram) != "":
		os.Exit(program(os.Getenv(envProgram)))
	default:
		os.Exit(m.Run())
	}
}

var wish = regexp.MustCompile(`toy (\w+) (\S+)`)

// body does what an input asks for. Its wish is text, of a scenario in a packet.
func body(b []byte, _ *law.Tally) error {
	s := scenario.Decode(b)
	text := bytes.Join(append(slices.Concat(s.Batches...), b), []byte("\n"))
	m := wish.FindSubmatch(text)
	if m == nil {
		return nil
	}
	arg, size, sized := strings.Cut(string(m[2]), "-")
	if sized && size != strconv.Itoa(len(b)) {
		return nil // so it cannot be minimised
	}
	switch string(m[1]) {
	case "fails":
		return law.Violatedf("P4", "toy %s\nin %d bytes", arg, len(b))
	case "once", "changes":
		arg = string(m[2])
		f, err := os.OpenFile(arg, os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			f.Close()
			return law.Violatedf("P4", "toy once")
		}
		if string(m[1]) == "changes" {
			return law.Violatedf("P4", "toy twice")
		}
	case "calls": // and fails when the test hangs up
		c, err := net.Dial("tcp", arg)
		if err != nil {
			panic(err)
		}
		_, _ = io.Copy(io.Discard, c)
		return law.Violatedf("P4", "toy calls")
	}
	return nil
}

// sized returns an input of n bytes with a wish that does not hold of fewer.
func sized(wish string, n int) string {
	text := fmt.Sprintf("toy %s-%d ", wish, n)
	return text + strings.Repeat(".", n-len(text))
}

// input returns an input of a target that has a text: a scenario with a packet for each
// line, or the text.
func input(name, text string) []byte {
	if named(name).Form == targets.Raw {
		return []byte(text)
	}
	var batch [][]byte
	for line := range strings.Lines(text) {
		batch = append(batch, []byte(line))
	}
	return scenario.Encode(scenario.Scenario{Batches: [][][]byte{batch}})
}

// A toy is an engine that runs a function.
type toy struct {
	engine // the places and the form of its files
	play   func(*run) error

	mu   sync.Mutex
	runs map[string]int // by target
}

// run is one run of a toy.
type run struct {
	toy     *toy
	ctx     context.Context
	target  string
	n       int // number of the run of this target, from 0
	work    string
	workers int
	slice   time.Duration
	report  func(execs int64)
}

func (e *toy) run(ctx context.Context, target, work string, workers int, slice time.Duration, report func(int64)) error {
	e.mu.Lock()
	n := e.runs[target]
	if e.runs == nil {
		e.runs = map[string]int{}
	}
	e.runs[target]++
	e.mu.Unlock()
	if n > 1000 {
		panic("the toy runs again and again, and no time passes")
	}
	return e.play(&run{e, ctx, target, n, work, workers, slice, report})
}

// sleep waits for a time, and reports whether the run may go on after it.
func (r *run) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.ctx.Done():
		return false
	}
}

// rest waits until the run is stopped.
func (r *run) rest() error {
	<-r.ctx.Done()
	return nil
}

// put writes a file of the toy. Its age is by the clock of the bubble.
func (r *run) put(dir, name string, b []byte) error {
	file := filepath.Join(r.work, dir, name)
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return err
	}
	return os.Chtimes(file, time.Now(), time.Now())
}

// input and fails write an input that the toy found.
func (r *run) input(text string) error {
	b := input(r.target, text)
	return r.put(r.toy.inputs(r.target), hash(b), r.toy.format(b))
}

func (r *run) fails(text string) error {
	b := input(r.target, text)
	return r.put(r.toy.failing(r.target), hash(b), r.toy.format(b))
}

// given returns the texts among texts that the toy was given.
func (r *run) given(t *testing.T, texts ...string) []string {
	var got []string
	files, err := filepath.Glob(filepath.Join(r.work, r.toy.inputs(r.target), givenPrefix+"*"))
	if err != nil {
		t.Error(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err == nil {
			b, err = r.toy.parse(b)
		}
		if err != nil {
			t.Error(err)
		}
		at := slices.IndexFunc(texts, func(text string) bool { return bytes.Equal(input(r.target, text), b) })
		if at < 0 {
			t.Errorf("%s: it was given %s with %q", r.target, file, b)
			continue
		}
		got = append(got, texts[at])
	}
	slices.Sort(got)
	return got
}

// log has what a campaign says.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// has returns the lines that contain a text.
func (l *log) has(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			list = append(list, line)
		}
	}
	return list
}

// settings are those of a campaign without a time limit, a canary or seeds.
func settings(t *testing.T, dir string, names ...string) (Config, *log) {
	l := &log{}
	c := Config{Root: t.TempDir(), Dir: dir, Engine: "native", AtOnce: 1, Workers: 1, Empty: true, Blind: true,
		Limits: serve.Limits{Time: time.Hour, Memory: 1024}, Say: l.say}
	for _, n := range names {
		tg, ok := targets.Named(n)
		if !ok {
			t.Fatalf("no target %s", n)
		}
		c.Targets = append(c.Targets, tg)
	}
	return c, l
}

// with is a builder of campaigns with a toy.
func with(play func(*run) error) builder {
	return func(_ context.Context, c Config, _ string) (parts, error) {
		e := engine(native{})
		if c.Engine == "libfuzzer" {
			e = libfuzzer{}
		}
		return parts{&toy{engine: e, play: play}, os.Args[0]}, nil
	}
}

// bubble runs f where time is the test's.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// stored returns the texts among texts whose inputs a store has. All its files must be
// complete, and no others may be there.
func stored(t *testing.T, dir, name string, texts ...string) []string {
	t.Helper()
	inputs, err := Store{dir}.Inputs(name, nil)
	if err != nil {
		t.Error(err)
	}
	if n := (Store{dir}).Len(name); n != len(inputs) {
		t.Errorf("%s: Len is %d, want %d", name, n, len(inputs))
	}
	var got []string
	for file, b := range inputs {
		at := slices.IndexFunc(texts, func(text string) bool { return bytes.Equal(input(name, text), b) })
		if at < 0 {
			t.Errorf("%s: %s has %q", name, file, b)
			continue
		}
		got = append(got, texts[at])
	}
	slices.Sort(got)
	return got
}

// files returns the names of the files below a directory that match a pattern.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		ok, err := filepath.Match(pattern, e.Name())
		if ok {
			rel, _ := filepath.Rel(dir, file)
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	return list
}

// tidy checks that no campaign left its work directory or a file that is not complete.
func tidy(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(filepath.Join(dir, "work")); err != nil || len(left) > 0 {
		t.Errorf("work directories that are left: %v, %v", left, err)
	}
	if left := files(t, dir, "*.new"); len(left) > 0 {
		t.Errorf("files that are not complete: %v", left)
	}
}

// texts are n texts of inputs that hold.
func texts(prefix string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%s%02d", prefix, i))
	}
	return list
}

// named returns the target of a name, which must be one.
func named(name string) targets.Target {
	t, ok := targets.Named(name)
	if !ok {
		panic("no target " + name)
	}
	return t
}
