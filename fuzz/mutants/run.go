package mutants

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tunproof/fuzz/child"
	"tunproof/fuzz/record"
)

// Method is a test program of the harness and what of it is run.
type Method struct {
	Package string // "./fuzz/properties"
	Run     string // of -test.run
	Skip    string // of -test.skip
	Args    []string
	Env     []string
	Tags    string        // besides the mutant's own
	Limit   time.Duration // of what takes longer it is said that it hangs
	Last    bool          // run only for what no method before noticed
	Confirm bool          // only what fails twice is noticed
	// Names says by which name a test that fails is known, others by Name.
	Names map[string]string
	Name  string
}

// Kill is what noticed a mutant.
type Kill struct {
	Method  string  `json:"method"`         // P2, corpus, K1 ...
	By      string  `json:"by"`             // the test, with the case's name
	How     string  `json:"how,omitempty"`  // crashed, hangs, or "" for a test that fails
	Seconds float64 `json:"seconds"`        // of the test program, to the end of that test
	What    string  `json:"what,omitempty"` // what it printed first
}

// Verdict is what became of a mutant.
type Verdict struct {
	Mutant
	Status  string
	Kills   []Kill
	Seconds float64
}

// The values of Status.
const (
	Killed    = "killed"
	TimedOut  = "timed out" // noticed, and only because it hangs
	Survived  = "survived"
	NotViable = "does not compile"
	Same      = "same machine code" // proven equivalent by the compiler
)

// Noticed says whether the harness noticed it.
func (v Verdict) Noticed() bool { return v.Status == Killed || v.Status == TimedOut }

// Beyond says whether another method than this one noticed it.
func (v Verdict) Beyond(method string) bool {
	return slices.ContainsFunc(v.Kills, func(k Kill) bool { return k.Method != method })
}

// Runner runs mutants.
type Runner struct {
	Root    string // of the checkout
	Methods []Method
	First   bool                                // stop at the first test program that notices a mutant, not only by a case of the corpus
	State   string                              // file that keeps verdicts, "" for none
	Workers int                                 // 0 is one a core
	Done    func(n int, v Verdict, cached bool) // told of each, not by two goroutines at once

	dir    string   // temporary
	inputs []string // by method: hash of what its outcomes depend on, but for the mutant
	plain  map[string]string
	known  map[string]outcome
	mu     sync.Mutex // of known and the state file
}

// outcome is what one method made of a mutant.
type outcome struct {
	Key       string  `json:"key"` // of all that it depends on
	ID        string  `json:"id"`
	NotViable bool    `json:"not_viable,omitempty"`
	Same      bool    `json:"same,omitempty"`
	Kills     []Kill  `json:"kills,omitempty"`
	Seconds   float64 `json:"seconds"`
}

// Run returns a verdict for each mutant, in their order; when the context ends, of
// those that were run. It changes nothing in the tree but the state file.
func (r *Runner) Run(ctx context.Context, list []Mutant) ([]Verdict, error) {
	var err error
	if r.dir, err = os.MkdirTemp("", "tunproof-mutants-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(r.dir)
	r.inputs = nil
	for _, m := range r.Methods {
		sum, err := r.hashInputs(ctx, m)
		if err != nil {
			return nil, err
		}
		r.inputs = append(r.inputs, sum)
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	verdicts := make([]Verdict, len(list))
	var todo []int
	told := 0
	for i, m := range list {
		v, done, _ := r.judge(m, func(k int, method Method) (outcome, error) {
			o, ok := r.known[r.key(m, k)]
			if !ok {
				return o, errUnknown
			}
			return o, nil
		})
		if !done {
			todo = append(todo, i)
			continue
		}
		verdicts[i] = v
		told++
		r.Done(told, v, true)
	}
	if len(todo) > 0 {
		if err := r.sound(ctx, list, todo); err != nil || ctx.Err() != nil {
			return nil, err
		}
	}
	workers := r.Workers
	if workers == 0 {
		workers = runtime.NumCPU()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var wait sync.WaitGroup
	next := 0
	for w := range workers {
		wait.Go(func() {
			for {
				mu.Lock()
				if next == len(todo) || ctx.Err() != nil {
					mu.Unlock()
					return
				}
				i := todo[next]
				next++
				mu.Unlock()
				v, err := r.one(ctx, w, list[i])
				if ctx.Err() != nil {
					return
				}
				mu.Lock()
				if err == nil {
					verdicts[i] = v
					told++
					r.Done(told, v, false)
				} else {
					cancel(fmt.Errorf("%s: %w", list[i].ID, err))
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	for k, m := range r.Methods {
		if sum, err := r.hashInputs(context.WithoutCancel(ctx), m); err == nil && sum != r.inputs[k] {
			return nil, fmt.Errorf("the sources of %s were changed during the run: remove the state file", m.Package)
		}
	}
	verdicts = slices.DeleteFunc(verdicts, func(v Verdict) bool { return v.Status == "" })
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return verdicts, err
	}
	return verdicts, nil
}

// sound runs the methods on the tree as it is: a method that fails there notices
// nothing. It also keeps what the compiler makes of it.
func (r *Runner) sound(ctx context.Context, list []Mutant, todo []int) error {
	r.plain = map[string]string{}
	tags := map[string]bool{}
	for _, i := range todo {
		tags[list[i].Tags] = true
	}
	for tag := range tags {
		for k, m := range r.Methods {
			bin := filepath.Join(r.dir, "plain.test")
			if out, err := r.build(ctx, m, tag, "", bin); ctx.Err() != nil {
				return nil
			} else if err != nil {
				return fmt.Errorf("go test -c %s: %w\n%s", m.Package, err, out)
			}
			sum, err := hashFile(bin)
			if err != nil {
				return err
			}
			r.plain[fmt.Sprint(tag, k)] = sum
			v := m
			v.Args = append(slices.Clone(m.Args), "-test.v")
			kills, out, err := r.execute(ctx, v, bin)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil || len(kills) > 0 {
				return fmt.Errorf("%s fails without a mutant: %v\n%s", m.Package, err, out[max(0, len(out)-4000):])
			}
			if err := m.ran(out); err != nil {
				return err
			}
		}
	}
	return nil
}

// ran says whether all tests that are to notice something ran.
func (m Method) ran(out string) error {
	for name := range m.Names {
		if !strings.Contains(out, "--- PASS: "+name+" ") {
			return fmt.Errorf("%s: %s did not run", m.Package, name)
		}
	}
	if i := strings.Index(out, "--- SKIP"); i >= 0 || !strings.Contains(out, "--- PASS") {
		return fmt.Errorf("%s: no test ran, or one was skipped: %s", m.Package, firstLine(out[max(0, i):]))
	}
	return nil
}

// judge makes a verdict of the outcomes that of returns, as far as they are needed.
// done is false if one of them is an error.
func (r *Runner) judge(m Mutant, of func(k int, method Method) (outcome, error)) (v Verdict, done bool, err error) {
	v = Verdict{Mutant: m, Status: Survived}
	same := true
	for k, method := range r.Methods {
		if method.Last && len(v.Kills) > 0 {
			continue
		}
		o, err := of(k, method)
		if err != nil {
			return v, false, err
		}
		v.Seconds += o.Seconds
		if o.NotViable {
			v.Status = NotViable
			return v, true, nil
		}
		same = same && o.Same
		for _, k := range o.Kills {
			if !slices.ContainsFunc(v.Kills, func(l Kill) bool { return k.Method == l.Method }) {
				v.Kills = append(v.Kills, k)
			}
		}
		if r.First && v.Beyond("corpus") {
			break
		}
	}
	switch {
	case same:
		v.Status = Same
	case onlyHangs(v.Kills):
		v.Status = TimedOut
	case len(v.Kills) > 0:
		v.Status = Killed
	}
	return v, true, nil
}

var errUnknown = errors.New("not run yet")

// one runs the methods on a mutant.
func (r *Runner) one(ctx context.Context, worker int, m Mutant) (Verdict, error) {
	dir := filepath.Join(r.dir, strconv.Itoa(worker))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Verdict{}, err
	}
	file := filepath.Join(dir, filepath.Base(m.File))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(r.Root, filepath.FromSlash(m.File)): file}})
	if err != nil {
		return Verdict{}, err
	}
	overlayFile, bin := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant.test")
	if err := errors.Join(os.WriteFile(file, m.Text, 0o644), os.WriteFile(overlayFile, overlay, 0o644)); err != nil {
		return Verdict{}, err
	}
	v, _, err := r.judge(m, func(k int, method Method) (outcome, error) {
		key := r.key(m, k)
		r.mu.Lock()
		o, ok := r.known[key]
		r.mu.Unlock()
		if ok {
			return o, nil
		}
		o, err := r.outcome(ctx, m, k, overlayFile, bin)
		if err == nil && ctx.Err() == nil {
			o.Key, o.ID = key, m.ID
			err = r.keep(o)
		}
		return o, cmp.Or(err, ctx.Err())
	})
	return v, err
}

// outcome runs one method on a mutant.
func (r *Runner) outcome(ctx context.Context, m Mutant, k int, overlay, bin string) (o outcome, err error) {
	start := time.Now()
	defer func() { o.Seconds = time.Since(start).Seconds() }()
	out, err := r.build(ctx, r.Methods[k], m.Tags, overlay, bin)
	if ctx.Err() != nil {
		return o, nil
	}
	if err != nil {
		if !isExit(err) || !strings.HasPrefix(out, "# tunproof/") || !codeLine.MatchString(out) {
			return o, fmt.Errorf("go test -c %s: %w\n%s", r.Methods[k].Package, err, out)
		}
		o.NotViable = true
		return o, nil
	}
	sum, err := hashFile(bin)
	if err != nil {
		return o, err
	}
	if sum == r.plain[fmt.Sprint(m.Tags, k)] {
		o.Same = true // nothing to be noticed
		return o, nil
	}
	method := r.Methods[k]
	o.Kills, _, err = r.execute(ctx, method, bin)
	if method.Confirm && len(o.Kills) > 0 && err == nil { // twice, or it was the machine
		again, _, e := r.execute(ctx, method, bin)
		o.Kills = slices.DeleteFunc(o.Kills, func(k Kill) bool {
			return !slices.ContainsFunc(again, func(l Kill) bool { return k.Method == l.Method })
		})
		err = e
	}
	return o, err
}

func onlyHangs(kills []Kill) bool {
	return len(kills) > 0 && !slices.ContainsFunc(kills, func(k Kill) bool { return !hung(k) })
}

func isExit(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}

// build compiles a method's test program, without what differs from build to build.
func (r *Runner) build(ctx context.Context, m Method, tags, overlay, bin string) (string, error) {
	args := []string{"test", "-c", "-vet=off", "-trimpath", "-ldflags=-s -w -buildid=", "-tags", strings.Trim(m.Tags+","+tags, ","), "-o", bin}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	c := exec.CommandContext(ctx, "go", append(args, m.Package)...)
	c.Dir = r.Root
	c.Env = append(os.Environ(), "GOFLAGS=", "GOMAXPROCS=1", "GOGC=off")
	child.Group(c)
	c.Cancel = func() error { return child.Kill(c) }
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	return string(out), err
}

// execute runs a test program and returns what failed. Where a test crashes or hangs
// the others are run again without it.
func (r *Runner) execute(ctx context.Context, m Method, bin string) (kills []Kill, text string, err error) {
	skip := ""
	for {
		more, out, err := r.executeOnce(ctx, m, bin, skip)
		text += out
		if err != nil || ctx.Err() != nil {
			return nil, text, err
		}
		ended := ""
		for _, k := range more {
			if !slices.ContainsFunc(kills, func(old Kill) bool { return old.Method == k.Method }) {
				kills = append(kills, k)
			}
			if top, _, _ := strings.Cut(k.By, "/"); k.How != "" && strings.HasPrefix(top, "Test") {
				ended += "|^" + top + "$"
			}
		}
		if ended == "" {
			return kills, text, nil
		}
		skip += ended
	}
}

// executeOnce runs a test program without some of its tests. A mutant may loop and may
// take all memory: time and address space are limited. A test that is at its time
// limit hangs if it used the processor until then, or waits for what does not come; in
// between the machine was busy with something else, and it gets more time.
func (r *Runner) executeOnce(ctx context.Context, m Method, bin, skip string) ([]Kill, string, error) {
	base := m.Limit
	for try := 0; ; try++ {
		kills, text, used, err := r.start(ctx, m, bin, skip)
		if err != nil || ctx.Err() != nil || !slices.ContainsFunc(kills, hung) {
			return kills, text, err
		}
		busy := used > base/5 && used < base*7/10
		if !busy || try == 2 {
			return kills, text, nil
		}
		if !onlyHangs(kills) {
			return slices.DeleteFunc(kills, hung), text, nil
		}
		m.Limit *= 2
	}
}

func hung(k Kill) bool { return k.How == hangs }

// start runs it once and returns how much of the processor it used, too.
func (r *Runner) start(ctx context.Context, m Method, bin, skip string) (kills []Kill, text string, used time.Duration, err error) {
	limited, cancel := context.WithTimeout(ctx, m.Limit+5*time.Second)
	defer cancel()
	args := append([]string{"-c", `ulimit -v "$0" && exec "$@"`, strconv.Itoa(maxMemory >> 10), bin,
		"-test.run=" + m.Run, "-test.timeout=" + m.Limit.String()}, m.Args...)
	if skip != "" || m.Skip != "" {
		args = append(args, "-test.skip="+strings.TrimPrefix(m.Skip+skip, "|"))
	}
	c := exec.CommandContext(limited, "sh", args...)
	c.Dir = filepath.Join(r.Root, filepath.FromSlash(m.Package))
	c.Env = append(os.Environ(), "TMPDIR="+filepath.Dir(bin), "GOMAXPROCS=1", "GOGC=400", "RAPID_NOFAILFILE=true", "RAPID_SHRINKTIME=1ms")
	c.Env = append(c.Env, m.Env...)
	out := &watched{start: time.Now(), max: 16 << 20}
	c.Stdout, c.Stderr = out, out
	c.WaitDelay = time.Second
	child.Group(c)
	c.Cancel = func() error { return child.Kill(c) }
	err = c.Run()
	if c.ProcessState != nil {
		used = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	text = out.text.String()
	kills = m.kills(text, out.firstFailure())
	switch {
	case err == nil && len(kills) == 0, ctx.Err() != nil:
		return nil, text, used, nil
	case len(kills) > 0:
		return kills, text, used, nil
	case limited.Err() != nil:
		return []Kill{{Method: m.Name, By: "the test program", How: hangs, Seconds: time.Since(out.start).Seconds()}}, text, used, nil
	case isExit(err) && crashLine.MatchString(text):
		return []Kill{{Method: m.Name, By: "the test program", How: crashed, Seconds: time.Since(out.start).Seconds(), What: crashLine.FindString(text)}}, text, used, nil
	}
	return nil, text, used, fmt.Errorf("%s ended without a test that failed: %w\n%s", m.Package, err, text[:min(len(text), 2000)])
}

// maxMemory is the address space of a test program; of 386 it is all there is.
const maxMemory = 4 << 30

// The values of Kill.How.
const hangs, crashed = "hangs", "crashed"

// watched keeps the beginning of an output, and when the first failure was in it.
type watched struct {
	start  time.Time
	max    int
	text   bytes.Buffer
	failed time.Duration
}

func (w *watched) Write(b []byte) (int, error) {
	if w.failed == 0 && (bytes.Contains(b, []byte("--- FAIL")) || bytes.Contains(b, []byte("panic:"))) {
		w.failed = time.Since(w.start)
	}
	if room := w.max - w.text.Len(); room > 0 {
		w.text.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

func (w *watched) firstFailure() float64 { return w.failed.Seconds() }

var (
	failLine    = regexp.MustCompile(`(?m)^( *)--- FAIL: (\S+) \(([0-9.]+)s\)`)
	crashLine   = regexp.MustCompile(`(?m)^(panic|fatal error|runtime|SIG[A-Z]+): .*`)
	codeLine    = regexp.MustCompile(`(?m)^\S+\.(go|s):\d+`)
	runningLine = regexp.MustCompile(`(?m)^\t\t(Test\S+) \(`)
)

// kills reads from the output of a test program which tests failed: for each name
// of a method the first. seconds is when the first failure was printed.
func (m Method) kills(text string, seconds float64) []Kill {
	var list []Kill
	add := func(k Kill) {
		top, _, _ := strings.Cut(k.By, "/")
		if k.Method = m.Names[top]; k.Method == "" {
			k.Method = m.Name
		}
		for i := range list {
			if list[i].Method == k.Method {
				if strings.HasPrefix(k.By, list[i].By+"/") && !strings.Contains(list[i].By, "/") {
					list[i].By = k.By // the first part of it that failed
					list[i].What = k.What
				}
				return
			}
		}
		list = append(list, k)
	}
	if i := strings.Index(text, "panic: test timed out"); i >= 0 {
		for _, f := range runningLine.FindAllStringSubmatch(text[i:], -1) {
			add(Kill{By: f[1], How: hangs, Seconds: m.Limit.Seconds()})
		}
		text = text[:i]
	}
	for _, at := range failLine.FindAllStringSubmatchIndex(text, -1) {
		k := Kill{By: text[at[4]:at[5]], Seconds: seconds}
		rest := text[at[1]:]
		k.What = firstLine(rest)
		if strings.HasPrefix(k.What, "panic:") {
			k.How = crashed
		}
		add(k)
	}
	return list
}

// firstLine is the first line that says something.
func firstLine(text string) string {
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "--- FAIL") && !strings.HasPrefix(l, "[rapid]") && !strings.HasSuffix(l, "the case:") {
			return l[:min(len(l), 200)]
		}
	}
	return ""
}

// key is a hash of all that the outcome of method k depends on.
func (r *Runner) key(m Mutant, k int) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s %s\n", r.inputs[k], m.File, m.Tags)
	sum.Write(m.Text)
	return hex.EncodeToString(sum.Sum(nil))[:24]
}

// hashInputs hashes the files of this module that a test program is made of, what
// they embed, and how it is run.
func (r *Runner) hashInputs(ctx context.Context, m Method) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%+v %v %v %v %v %v %v\n", record.Here(), m.Package, m.Run, m.Skip, m.Args, m.Env, m.Tags)
	c := exec.CommandContext(ctx, "go", "list", "-deps", "-test", "-json=Dir,Module,GoFiles,SFiles,EmbedFiles,TestEmbedFiles,XTestEmbedFiles", "-tags", m.Tags, m.Package)
	c.Dir = r.Root
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("go list %s: %w", m.Package, err)
	}
	// What is run is also a matter of the modules, and of this file.
	files := []string{filepath.Join(r.Root, "go.mod"), filepath.Join(r.Root, "go.sum"), filepath.Join(r.Root, "fuzz", "mutants", "run.go")}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir                                                          string
			Module                                                       *struct{ Path string }
			GoFiles, SFiles, EmbedFiles, TestEmbedFiles, XTestEmbedFiles []string
		}
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return "", err
		}
		if p.Module == nil || p.Module.Path != "tunproof" {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.SFiles, p.EmbedFiles, p.TestEmbedFiles, p.XTestEmbedFiles) {
			if !filepath.IsAbs(name) { // what go test generates is
				files = append(files, filepath.Join(p.Dir, name))
			}
		}
	}
	slices.Sort(files)
	for _, name := range slices.Compact(files) {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		rel, err := filepath.Rel(r.Root, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", filepath.ToSlash(rel), len(b))
		sum.Write(b)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// load reads the outcomes that are kept. A line that is cut, of a run that was killed
// while it wrote, is not one.
func (r *Runner) load() error {
	r.known = map[string]outcome{}
	if r.State == "" {
		return nil
	}
	b, err := os.ReadFile(r.State)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for line := range bytes.Lines(b) {
		var o outcome
		if json.Unmarshal(line, &o) == nil && o.Key != "" {
			r.known[o.Key] = o
		}
	}
	return err
}

// keep appends an outcome to those that are kept.
func (r *Runner) keep(o outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[o.Key] = o
	if r.State == "" {
		return nil
	}
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.State, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	// On a line of its own, whatever a killed run left.
	if _, err := f.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
