package native

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"testing"

	"tunproof/fuzz/execute"
	"tunproof/fuzz/target"
)

// TestMain lets the collector wait: an execution leaves little behind. Asked by the
// environment it serves inputs of a target instead of testing.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	if mb, err := strconv.Atoi(os.Getenv(execute.EnvMemory)); err == nil {
		execute.LimitMemory(mb)
	}
	name := os.Getenv(execute.EnvTarget)
	if name == "" {
		os.Exit(m.Run())
	}
	t, ok := target.Named(name)
	err := fmt.Errorf("no target %q", name)
	if ok {
		err = execute.Serve(os.Stdin, os.Stdout, t.Body)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
