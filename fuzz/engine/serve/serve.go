// SPDX-License-Identifier: MIT

// Package serve runs inputs of fuzz targets in another process. An input that hangs,
// exhausts the memory or crashes is then an outcome like any other, and the caller goes on.
// The process is the test program of fuzz/engine/native, without instrumentation. It reads inputs,
// each after its length, and answers each with one line of JSON.
package serve

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/metrics"
	"strings"
	"time"

	"tunproof/fuzz/law"
)

// Outcome is the result of one execution. Property is "" if all properties hold.
type Outcome struct {
	Property string `json:"property"`
	// Where is equal for findings that are taken for one: the first field that differs,
	// the function that panics, "hang" or "memory"; in other cases the message without
	// its numbers.
	Where string `json:"where"`
	Msg   string `json:"msg"`
}

// Key is Property and Where. Findings with equal keys are taken for one.
func (o Outcome) Key() string { return o.Property + " " + o.Where }

// Serve runs body on each input from in and writes its outcome to out, until in ends. An
// error of body is an outcome. An error of Serve is one of in or out.
func Serve(in io.Reader, out io.Writer, body func([]byte, *law.Tally) error) error {
	answer := json.NewEncoder(out)
	for {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		b := make([]byte, binary.LittleEndian.Uint32(size[:]))
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		if err := answer.Encode(outcome(law.Attempt(func() error { return body(b, nil) }))); err != nil {
			return err
		}
	}
}

// outcome returns the outcome of an execution that returned err.
func outcome(err error) Outcome {
	var v *law.Violation
	switch {
	case err == nil:
		return Outcome{}
	case !errors.As(err, &v):
		return Outcome{"P1", "error", err.Error()}
	case strings.HasPrefix(v.Msg, "panic: "):
		return Outcome{v.Property, panicking(v.Msg), v.Error()}
	}
	if fields := v.Fields(); len(fields) > 0 {
		return Outcome{v.Property, fields[0].Field, v.Error()}
	}
	line, _, _ := strings.Cut(v.Msg, "\n")
	return Outcome{v.Property, numbers.ReplaceAllString(line, "N"), v.Error()}
}

var (
	numbers = regexp.MustCompile(`\b(0x)?[0-9a-f]*[0-9][0-9a-f]*\b`)
	frame   = regexp.MustCompile(`(?m)^(tunproof/\S+)\(`)
)

// panicking returns the innermost function of the module on the stack of a panic.
func panicking(text string) string {
	if _, after, ok := strings.Cut(text, "\npanic("); ok { // the frames before it recovered the panic
		text = after
	}
	if m := frame.FindStringSubmatch(text); m != nil {
		return "panic in " + strings.TrimPrefix(m[1], "tunproof/")
	}
	return "panic"
}

// crash returns the part of a crashed process's output that does not change from one crash
// to the next: the first line without its numbers, and the function.
func crash(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	where := "crash: " + numbers.ReplaceAllString(line, "N")
	if m := frame.FindStringSubmatch(text); m != nil {
		where += " in " + strings.TrimPrefix(m[1], "tunproof/")
	}
	return where
}

// exitMemory is the exit code of a process that exceeds its memory limit.
const exitMemory = 86

// LimitMemory starts to sample the memory of this process, and ends the process when it
// has more than mb MB. An engine takes that for a crash of the input that runs.
func LimitMemory(mb int) {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			if metrics.Read(sample); sample[0].Value.Uint64()-sample[1].Value.Uint64() > uint64(mb)<<20 {
				fmt.Fprintf(os.Stderr, "memory: over the limit of %d MB\n", mb)
				os.Exit(exitMemory)
			}
		}
	}()
}
