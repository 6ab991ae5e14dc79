// SPDX-License-Identifier: MIT

package campaign

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/internal/crasher"
	"tunproof/fuzz/internal/process"
)

// engine makes inputs from inputs.
type engine interface {
	// inputs is the directory that the engine reads inputs from and writes new ones to;
	// failing, the one that it writes failing inputs to. Both are relative to the
	// target's work directory.
	inputs(target string) string
	failing(target string) string
	// format and parse convert inputs to and from the engine's files.
	format(b []byte) []byte
	parse(text []byte) ([]byte, error)
	// run fuzzes until ctx ends or an input fails, at most for slice. It reports the
	// number of executions since it began, again and again. An error has the end of the
	// engine's output.
	run(ctx context.Context, target, work string, workers int, slice time.Duration, report func(execs int64)) error
}

// grace is the time an engine has to end after it was interrupted.
const grace = 5 * time.Second

// native is Go's own engine; program is the instrumented test program of fuzz/engine/native.
type native struct {
	program string
	limits  serve.Limits
}

func (native) inputs(target string) string       { return filepath.Join("cache", "Fuzz"+target) }
func (native) failing(target string) string      { return filepath.Join("testdata", "fuzz", "Fuzz"+target) }
func (native) format(b []byte) []byte            { return crasher.Format(b) }
func (native) parse(text []byte) ([]byte, error) { return crasher.Parse(text) }

// run interrupts the engine at the end, because an engine whose own time is up can fail
// without a finding (golang/go#75804). The engine gets a longer time of its own in case
// nobody is left to interrupt it. It does not minimise, as that can take most of a run: the
// campaign does.
func (e native) run(ctx context.Context, target, work string, workers int, slice time.Duration, report func(int64)) error {
	c := exec.Command(e.program, "-test.run=^$", "-test.fuzz=^Fuzz"+target+"$", fmt.Sprintf("-test.fuzztime=%v", slice+time.Minute),
		"-test.fuzzminimizetime=1x", fmt.Sprintf("-test.parallel=%d", workers), "-test.fuzzcachedir=cache")
	c.Dir = work
	c.Env = serve.Env{NoSeeds: true, Memory: e.limits.Memory, Time: e.limits.Time}.Environ()
	return watch(ctx, c, grace, func(line string) {
		var elapsed string
		var execs int64
		if _, err := fmt.Sscanf(line, "fuzz: elapsed: %s execs: %d", &elapsed, &execs); err == nil {
			report(execs)
		}
	})
}

// libfuzzer is clang's engine; program contains all targets.
type libfuzzer struct {
	program string
	limits  serve.Limits
}

func (libfuzzer) inputs(string) string              { return "inputs" }
func (libfuzzer) failing(string) string             { return "failing" }
func (libfuzzer) format(b []byte) []byte            { return b }
func (libfuzzer) parse(text []byte) ([]byte, error) { return text, nil }

// maxLen is the longest input that libFuzzer tries: it makes little of inputs longer than
// all seeds.
const maxLen = 1024

// run lets libFuzzer end by itself, because only then it reports all executions. It counts
// in whole seconds.
func (e libfuzzer) run(ctx context.Context, target, work string, workers int, slice time.Duration, report func(int64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wait sync.WaitGroup
	var mu sync.Mutex
	execs := make([]int64, workers)
	errs := make([]error, workers)
	for w := range workers {
		c := exec.Command(e.program, "-artifact_prefix=failing/", fmt.Sprintf("-timeout=%d", int(e.limits.Time.Seconds())),
			fmt.Sprintf("-rss_limit_mb=%d", e.limits.Memory), fmt.Sprintf("-max_len=%d", maxLen), "-reload=1", "-print_final_stats=1",
			fmt.Sprintf("-max_total_time=%d", max(1, int(slice.Seconds())-2)), "inputs")
		c.Dir = work
		c.Env = serve.Env{Target: target}.Environ()
		wait.Go(func() {
			errs[w] = watch(ctx, c, grace, func(line string) {
				var n int64
				if _, err := fmt.Sscanf(line, "#%d", &n); err != nil {
					if _, err := fmt.Sscanf(line, "stat::number_of_executed_units: %d", &n); err != nil {
						return
					}
				}
				mu.Lock()
				defer mu.Unlock()
				execs[w] = n
				sum := int64(0)
				for _, n := range execs {
					sum += n
				}
				report(sum)
			})
			if errors.Is(errs[w], errEnded) {
				errs[w] = nil
			} else {
				cancel() // a failure in one process ends all
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// watch runs an engine until ctx or the engine ends, and calls line with each line of its
// output. When ctx ends it interrupts the engine, kills it after grace, and returns nil.
// An engine that ends with success is errEnded.
func watch(ctx context.Context, c *exec.Cmd, grace time.Duration, line func(string)) error {
	out, to, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	c.Stdout, c.Stderr = to, to
	process.Bound(c)
	err = c.Start()
	to.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		if c.Process.Signal(os.Interrupt) != nil {
			_ = process.Kill(c) // on systems without signals
		}
	})
	ended := make(chan struct{})
	go func() {
		select {
		case <-ended:
		case <-ctx.Done():
			select {
			case <-ended:
			case <-time.After(grace):
				_ = process.Kill(c)
			}
		}
	}()
	var last tail
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadString('\n')
		line(text)
		last.add(text)
		if err != nil {
			if err != io.EOF {
				last.add(err.Error())
			}
			break
		}
	}
	err = c.Wait()
	close(ended)
	stop()
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errEnded
	}
	return fmt.Errorf("%w\n%s", err, last.String())
}

var errEnded = errors.New("the engine ended before its time")

// tail holds the last lines of an engine's output.
type tail struct{ lines []string }

func (t *tail) add(line string) {
	if t.lines = append(t.lines, line); len(t.lines) > 40 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string { return strings.Join(t.lines, "") }
