// SPDX-License-Identifier: MIT

package verify

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"tunproof/fuzz/engine/campaign"
	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
	"tunproof/fuzz/internal/process"
	"tunproof/fuzz/law"
	"tunproof/fuzz/record"
)

// nativeBinary is the instrumented test binary of the fuzz targets, compiled in the
// background.
type nativeBinary struct {
	dir     string     // temporary directory, removed by close
	cache   string     // directory of the inputs that the engine found
	ready   chan error // gets the result of the compiler
	program string     // the binary's path, set before ready gets nil
	why     error      // the reason why there is no binary
}

// startNative starts to compile the fuzz targets, if wanted.
func startNative(ctx context.Context, root, cache string, wanted bool) *nativeBinary {
	b := &nativeBinary{ready: make(chan error, 1)}
	switch _, err := exec.LookPath("go"); {
	case !wanted:
		b.why = errors.New("-fuzz 0")
	case root == "":
		b.why = errors.New("not in a checkout of tunproof")
	case err != nil:
		b.why = errors.New("there is no go command to compile the fuzz targets")
	default:
		b.dir, b.why = os.MkdirTemp("", "tunproof-verify-")
	}
	if b.why != nil {
		return b
	}
	b.cache = cache
	if cache == "" {
		b.cache = filepath.Join(b.dir, "cache")
	}
	go func() {
		var err error
		b.program, err = campaign.BuildNative(ctx, root, b.dir)
		b.ready <- err
	}()
	return b
}

// close removes the temporary directory.
func (b *nativeBinary) close() {
	if b.dir != "" {
		os.RemoveAll(b.dir)
	}
}

// anyFuzz reports whether any fuzz target is to be run.
func (v *Run) anyFuzz() bool {
	for _, t := range targets.All() {
		if v.Wanted(t.ID, "fuzz") {
			return true
		}
	}
	return false
}

// fuzz runs each fuzz target for a number of executions. A limit by time could end with an
// error although nothing was found (golang/go#75804).
func (v *Run) fuzz() error {
	if v.native.why == nil {
		v.Say("waiting until the fuzz targets are compiled")
		select {
		case v.native.why = <-v.native.ready:
		case <-v.Ctx.Done():
			return nil
		}
		if v.native.why != nil && v.Ctx.Err() == nil {
			return v.native.why
		}
	}
	for _, t := range targets.All() {
		switch {
		case v.Ctx.Err() != nil:
			return nil
		case v.native.why != nil:
			v.NotRun(t.ID, "fuzz", t.Judge, v.native.why.Error())
			continue
		case !v.Wanted(t.ID, "fuzz"):
			continue
		}
		start := time.Now()
		n, failed, err := v.fuzzOne(t)
		if err != nil {
			return err
		}
		v.Add(record.Result{Property: t.ID, Method: "fuzz", Judge: t.Judge, Count: n, Unit: "executions"}, start, failed)
	}
	return v.reach()
}

// reach adds up the outcomes that the executions reached, from the files that the targets
// wrote.
func (v *Run) reach() error {
	files, err := filepath.Glob(filepath.Join(v.native.dir, "*.json"))
	if err != nil {
		return err
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		t := law.NewTally()
		if err := json.Unmarshal(b, t); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		v.executed.Add(t)
	}
	return nil
}

var (
	execsLine   = regexp.MustCompile(`execs: (\d+) \((\d+)/sec\)`)
	failingLine = regexp.MustCompile(`Failing input written to (\S+)`)
)

// fuzzOne runs one target. It returns the number of executions. failed is a violation, with
// the name of the file that shows it; err is any other failure.
func (v *Run) fuzzOne(t targets.Target) (n int, failed, err error) {
	c := exec.Command(v.native.program, "-test.run=^$", "-test.fuzz=^Fuzz"+t.Name+"$",
		"-test.fuzztime="+strconv.Itoa(v.Execs)+"x", "-test.fuzzminimizetime=1x",
		"-test.fuzzcachedir="+v.native.cache)
	c.Dir = filepath.Join(v.Root, "fuzz", "engine", "native")
	c.Env = serve.Env{Reach: v.native.dir}.Environ()
	process.Group(c) // so that an interrupt reaches it only by way of stop
	out, err := c.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	c.Stderr = c.Stdout
	if err := c.Start(); err != nil {
		return 0, nil, err
	}
	stop := context.AfterFunc(v.Ctx, func() {
		if c.Process.Signal(os.Interrupt) != nil {
			c.Process.Kill() // a system without signals
		}
	})
	defer stop()
	var text, reproducer string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		text += line + "\n"
		if m := execsLine.FindStringSubmatch(line); m != nil {
			n, _ = strconv.Atoi(m[1])
			v.Say("%s fuzz: %s executions, %s per second", t.ID, m[1], m[2])
		}
		if m := failingLine.FindStringSubmatch(line); m != nil {
			reproducer = m[1]
		}
	}
	err = c.Wait()
	switch {
	case err == nil || v.Ctx.Err() != nil:
		return n, nil, nil
	case reproducer != "":
		again, err := v.failsAgain(t, reproducer)
		if err != nil || v.Ctx.Err() != nil {
			return n, nil, err
		}
		if again < confirmations {
			v.Say("%s fuzz: fuzz/engine/native/%s failed in the engine, and %d of %d times again: this is no violation", t.ID, reproducer, again, confirmations)
			return n, nil, nil
		}
		return n, fmt.Errorf("fuzz/engine/native/%s shows the violation (see it with tunproof replay):\n%s", reproducer, firstViolation(text)), nil
	}
	return n, nil, fmt.Errorf("fuzz target %s failed without a finding: %w\n%s", t.Name, err, text)
}

// confirmations is the number of times that an input must fail again, each time in a new
// process: an engine on a busy machine takes slow inputs for hanging ones.
const confirmations = 3

// againTime limits the time of one input. It is far more than an input needs.
const againTime = time.Minute

// failsAgain executes an input that failed until it does not. It returns how often it
// failed.
func (v *Run) failsAgain(t targets.Target, reproducer string) (int, error) {
	for n := range confirmations {
		limited, cancel := context.WithTimeout(v.Ctx, againTime)
		c := process.Command(limited, v.native.program, "-test.run=^Fuzz"+t.Name+"$/^"+regexp.QuoteMeta(filepath.Base(reproducer))+"$")
		c.Dir = filepath.Join(v.Root, "fuzz", "engine", "native")
		c.Env = serve.Env{NoSeeds: true}.Environ()
		err := c.Run()
		cancel()
		var exit *exec.ExitError
		switch {
		case err == nil:
			return n, nil
		case !errors.As(err, &exit):
			return n, err
		}
	}
	return confirmations, nil
}

// firstViolation returns the part of a failed test's output that describes the violation.
func firstViolation(text string) string {
	if i := strings.Index(text, "violated:"); i >= 0 {
		start := strings.LastIndex(text[:i], "\n") + 1
		return strings.TrimSpace(text[start:min(len(text), i+2000)])
	}
	return text[:min(len(text), 4000)]
}

// allocations checks P9 by running its Go test: allocations can be counted only in a
// binary that is not instrumented.
func (v *Run) allocations() error {
	if !v.Wanted("P9", "go test") {
		return nil
	}
	if _, err := exec.LookPath("go"); err != nil || v.Root == "" {
		v.NotRun("P9", "go test", "runtime", "needs a checkout of tunproof and the go command")
		return nil
	}
	v.Say("P9: allocations")
	start := time.Now()
	c := exec.CommandContext(v.Ctx, "go", "test", "-count=1", "-vet=off", "-v", "-run=^TestAllocations$", "./offload")
	c.Dir = v.Root
	out, err := c.CombinedOutput()
	if v.Ctx.Err() != nil {
		return nil
	}
	n := strings.Count(string(out), "    --- PASS: TestAllocations/")
	switch {
	case err != nil && strings.Contains(string(out), "--- FAIL: TestAllocations"):
		err = fmt.Errorf("P9 violated:\n%s", out)
	case err != nil || n == 0:
		return fmt.Errorf("go test ./offload: %w, %d paths passed\n%s", err, n, out)
	}
	v.Add(record.Result{Property: "P9", Method: "go test", Judge: "runtime", Count: n, Unit: "paths"}, start, err)
	return nil
}
