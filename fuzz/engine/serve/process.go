// SPDX-License-Identifier: MIT

package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"tunproof/fuzz/internal/process"
)

// Limits are the limits of one execution.
type Limits struct {
	Time   time.Duration
	Memory int // in MB
}

// Process executes inputs of one target in another process. That starts with the first
// input, and again after an input that ended it. The zero value with its exported fields
// set is ready to use.
type Process struct {
	Program string // the test program of fuzz/engine/native
	Target  string // name of the target
	Limits  Limits

	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

// Run executes one input. An error is ctx's, or means that the input was not executed: what
// the input does is an Outcome.
func (p *Process) Run(ctx context.Context, input []byte) (Outcome, error) {
	if p.cmd == nil {
		if err := p.start(); err != nil {
			return Outcome{}, err
		}
	}
	cmd := p.cmd
	late := time.AfterFunc(p.Limits.Time, func() { _ = process.Kill(cmd) })
	stop := context.AfterFunc(ctx, func() { _ = process.Kill(cmd) })
	_, err := p.in.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(input))), input...))
	var line []byte
	if err == nil {
		line, err = p.out.ReadBytes('\n')
	}
	inTime, running := late.Stop(), stop()
	if err == nil && inTime && running {
		var o Outcome
		if err := json.Unmarshal(line, &o); err != nil {
			return o, fmt.Errorf("%s: %w: %q", p.Program, err, line)
		}
		return o, nil
	}
	err = p.end()
	switch {
	case ctx.Err() != nil:
		return Outcome{}, context.Cause(ctx)
	case !inTime:
		return Outcome{"P1", "hang", fmt.Sprintf("P1 violated: the input runs longer than %v", p.Limits.Time)}, nil
	}
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit):
		return Outcome{}, fmt.Errorf("%s ended with success but did not answer: %v\n%s", p.Program, err, p.stderr.Bytes())
	case exit.ExitCode() == exitMemory:
		return Outcome{"P1", "memory", fmt.Sprintf("P1 violated: the input needs more than %d MB of memory", p.Limits.Memory)}, nil
	}
	text := p.stderr.Bytes()
	return Outcome{"P1", crash(string(text)), fmt.Sprintf("P1 violated: the process ended: %v\n%s", exit, text[:min(len(text), 4000)])}, nil
}

// start starts the process.
func (p *Process) start() error {
	cmd := exec.Command(p.Program)
	cmd.Env = Env{Serve: p.Target, Memory: p.Limits.Memory}.Environ()
	p.stderr.Reset()
	cmd.Stderr = &p.stderr
	process.Bound(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	p.cmd, p.in, p.out = cmd, in, bufio.NewReader(out)
	return nil
}

// end closes the input of the process and waits for its end.
func (p *Process) end() error {
	p.in.Close()
	err := p.cmd.Wait()
	p.cmd = nil
	return err
}

// Close kills the process.
func (p *Process) Close() {
	if p.cmd != nil {
		_ = process.Kill(p.cmd)
		_ = p.end()
	}
}
