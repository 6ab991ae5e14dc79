package native

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
)

// TestMain lets the collector wait: an execution leaves little behind. Asked by the
// environment it serves inputs of a target instead of testing.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	env := serve.FromEnviron()
	if env.Memory > 0 {
		serve.LimitMemory(env.Memory)
	}
	name := env.Serve
	if name == "" {
		os.Exit(m.Run())
	}
	t, ok := targets.Named(name)
	err := fmt.Errorf("no target %q", name)
	if ok {
		err = serve.Serve(os.Stdin, os.Stdout, t.Body)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
