// Package serve runs inputs of fuzz targets in a separate process, so that an input which
// hangs, crashes or takes all memory has an Outcome and does not end the caller. The process
// is the test program of fuzz/engine/native, without instrumentation. It reads inputs from
// standard input, each preceded by its length, and answers each with a line of JSON.
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

// Outcome is the result of executing one input.
type Outcome struct {
	// Property is the ID of the violated property, "" if none is violated.
	Property string `json:"property"`
	// Where is the same for findings with the same cause: the first field that
	// differs, the function that panics, "hang", "memory", or else the message
	// without its numbers.
	Where string `json:"where"`
	Msg   string `json:"msg"`
}

// Key identifies the cause of a finding: Property and Where.
func (o Outcome) Key() string { return o.Property + " " + o.Where }

// Serve runs body on the inputs that it reads from in, and writes an Outcome for each to
// out. It returns at the end of in.
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

// outcome returns the Outcome of an input for which the target's Body returned err.
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
	if _, after, ok := strings.Cut(text, "\npanic("); ok { // the frames before it are of the recovery
		text = after
	}
	if m := frame.FindStringSubmatch(text); m != nil {
		return "panic in " + strings.TrimPrefix(m[1], "tunproof/")
	}
	return "panic"
}

// crash returns the part of a crashed process's last output that is the same whenever it
// crashes for the same reason: no numbers or addresses.
func crash(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	where := "crash: " + numbers.ReplaceAllString(line, "N")
	if m := frame.FindStringSubmatch(text); m != nil {
		where += " in " + strings.TrimPrefix(m[1], "tunproof/")
	}
	return where
}

// exitMemory is the exit code of a process that exceeded its limit of memory.
const exitMemory = 86

// LimitMemory starts a goroutine that ends the process when it uses more than mb MB of
// memory, which it samples every 20 ms. An engine treats this as a crash of the input that
// it is running.
func LimitMemory(mb int) {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			if metrics.Read(sample); sample[0].Value.Uint64()-sample[1].Value.Uint64() > uint64(mb)<<20 {
				fmt.Fprintf(os.Stderr, "memory: more than %d MB\n", mb)
				os.Exit(exitMemory)
			}
		}
	}()
}
