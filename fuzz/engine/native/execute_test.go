// SPDX-License-Identifier: MIT

package native

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"tunproof/fuzz/engine/serve"
	"tunproof/fuzz/engine/targets"
)

// TestMain runs the tests or, if the environment names a target to serve (serve.Env),
// executes inputs of that target. The garbage collector runs less often than usual, since
// an execution leaves little garbage.
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
