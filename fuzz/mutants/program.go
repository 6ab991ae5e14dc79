// SPDX-License-Identifier: MIT

package mutants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"tunproof/fuzz/internal/process"
)

// Method is a test program of the harness, with the tests of it that are run.
type Method struct {
	Package string // "./fuzz/law"
	Run     string // value of -test.run
	Skip    string // value of -test.skip
	Args    []string
	Env     []string
	Tags    string        // build tags, besides those of the mutant
	Limit   time.Duration // a program that runs longer hangs
	Last    bool          // run it only if no method before detected the mutant
	Confirm bool          // count a failure only if it occurs twice
	Arch    string        // GOARCH of the program, "" for this machine's
	Exec    string        // program that runs it, "" for none
	// Names maps a test, or TEST/PART of a test whose parts have names, to Kill.Method.
	// Other tests of the program have the name Name.
	Names map[string]string
	Name  string
}

// Kill is one detection of a mutant.
type Kill struct {
	Method  string  `json:"method"`         // P2, corpus, K1 ...
	By      string  `json:"by"`             // the test, with the name of the case
	How     string  `json:"how,omitempty"`  // "crashed", "hangs", or "" for a test that fails
	Seconds float64 `json:"seconds"`        // from the start of the program to its first failure
	What    string  `json:"what,omitempty"` // first line of the test's output
}

// ran returns an error if a test of the method did not run.
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

// onlyHangs reports whether all kills are hangs.
func onlyHangs(kills []Kill) bool {
	return len(kills) > 0 && !slices.ContainsFunc(kills, func(k Kill) bool { return !hung(k) })
}

// isExit reports whether a program ran and failed.
func isExit(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}

// build compiles a method's test program. Equal sources give equal bytes.
func (r *Runner) build(ctx context.Context, m Method, tags, overlay, bin string) (string, error) {
	args := []string{"test", "-c", "-vet=off", "-trimpath", "-ldflags=-s -w -buildid=", "-tags", strings.Trim(m.Tags+","+tags, ","), "-o", bin}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	c := process.Command(ctx, "go", append(args, m.Package)...)
	c.Dir = r.Root
	c.Env = append(os.Environ(), "GOFLAGS=", "GOMAXPROCS=1", "GOGC=off")
	if m.Arch != "" {
		c.Env = append(c.Env, "GOARCH="+m.Arch)
	}
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	return string(out), err
}

// execute runs a test program and returns what failed. If a test crashes or hangs, the
// others are run again without it.
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
			if test, _ := m.named(k.By); k.How != "" && strings.HasPrefix(test, "Test") {
				ended += "|^" + strings.ReplaceAll(test, "/", "$/^") + "$"
			}
		}
		if ended == "" {
			return kills, text, nil
		}
		skip += ended
	}
}

// executeOnce runs a test program without the tests in skip. A mutant may loop or use all
// memory, so time and address space are limited. A test that reaches its time limit hangs
// if it used the processor nearly all the time (a loop) or hardly at all (a wait). If the
// use was in between, the machine was busy, and the test gets more time.
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

// hung reports whether a kill is a hang.
func hung(k Kill) bool { return k.How == hangs }

// start runs the program once. It also returns the processor time that it used.
func (r *Runner) start(ctx context.Context, m Method, bin, skip string) (kills []Kill, text string, used time.Duration, err error) {
	limited, cancel := context.WithTimeout(ctx, m.Limit+5*time.Second)
	defer cancel()
	memory := strconv.Itoa(maxMemory >> 10)
	if m.Exec != "" {
		memory = "unlimited" // an emulator reserves more
	}
	args := []string{"-c", `ulimit -v "$0" && exec "$@"`, memory}
	if m.Exec != "" {
		args = append(args, m.Exec)
	}
	args = append(append(args, bin, "-test.run="+m.Run, "-test.timeout="+m.Limit.String()), m.Args...)
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
	process.Group(c)
	c.Cancel = func() error { return process.Kill(c) }
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
	return nil, text, used, fmt.Errorf("%s failed, but no test did: %w\n%s", m.Package, err, text[:min(len(text), 2000)])
}

// maxMemory is the address space of a test program. A 32-bit program has no more.
const maxMemory = 4 << 30

// The values of Kill.How.
const hangs, crashed = "hangs", "crashed"

// watched keeps the beginning of an output, and the time of the first failure in it.
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

// kills reads the failed tests from the output of a test program. It returns the first one
// for each name of the method. seconds is when the first failure was printed.
func (m Method) kills(text string, seconds float64) []Kill {
	var list []Kill
	add := func(k Kill) {
		test, whole := m.named(k.By)
		if whole {
			return // another line has its part that failed
		}
		if k.Method = m.Names[test]; k.Method == "" {
			k.Method = m.Name
		}
		for i := range list {
			if list[i].Method == k.Method {
				if strings.HasPrefix(k.By, list[i].By+"/") && list[i].By == test {
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

// named returns the key of Names that a test belongs to, or its top test. whole reports
// whether by is a test whose parts have names.
func (m Method) named(by string) (test string, whole bool) {
	parts := strings.SplitN(by, "/", 3)
	test = parts[0]
	if len(parts) > 1 && m.Names[parts[0]+"/"+parts[1]] != "" {
		return parts[0] + "/" + parts[1], false
	}
	for name := range m.Names {
		if len(parts) == 1 && strings.HasPrefix(name, test+"/") {
			return test, true
		}
	}
	return test, false
}

// firstLine returns the first line that has information.
func firstLine(text string) string {
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if l != "" && !strings.HasPrefix(l, "--- FAIL") && !strings.HasPrefix(l, "[rapid]") && !strings.HasSuffix(l, "the case:") {
			return l[:min(len(l), 200)]
		}
	}
	return ""
}
