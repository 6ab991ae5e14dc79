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
	for _, t := range target.Targets() {
		if t.Name == name {
			if err := execute.Serve(os.Stdin, os.Stdout, t.Body); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(2)
			}
			return
		}
	}
	fmt.Fprintf(os.Stderr, "no target %q\n", name)
	os.Exit(2)
}
