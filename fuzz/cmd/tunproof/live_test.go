// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tunproof/fuzz/record"
)

// TestMain makes the test binary act as the command if its first argument is one, for
// tests that need a process of their own: live enters namespaces, and memory is measured.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.ContainsFunc(commands, func(c command) bool { return c.name == os.Args[1] }) {
		main()
	}
	os.Exit(m.Run())
}

// ownProcess runs the command line in a process of its own.
func ownProcess(t *testing.T, env []string, args ...string) (stdout, stderr string, state *os.ProcessState) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), env...)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), c.ProcessState
}

// liveProcess runs tunproof live in a process of its own.
func liveProcess(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	stdout, stderr, state := ownProcess(t, env, append([]string{"live"}, args...)...)
	return stdout, stderr, state.ExitCode()
}

// canAsk skips the test if this machine's kernel cannot be asked over a veth pair, the way
// that needs the fewest permissions. With TUNLIVE=require it fails instead.
func canAsk(t *testing.T) {
	t.Helper()
	out, stderr, code := liveProcess(t, nil, "-time", "1s", "-run", "K1 corpus, veth")
	switch {
	case code == record.ExitHolds && strings.Contains(out, "K1: "):
	case code == record.ExitNothing && os.Getenv("TUNLIVE") != "require":
		t.Skip(out)
	default:
		t.Fatalf("exit code %d\n%s%s", code, out, stderr)
	}
}

func TestLive(t *testing.T) {
	canAsk(t)
	t.Run("time", func(t *testing.T) { // the clock decides only when it ends
		t.Parallel()
		out, stderr, code := liveProcess(t, nil, "-time", "1s", "-seed", "9", "-run", "veth|gate", "-json")
		if code != record.ExitHolds {
			t.Fatalf("exit code %d\n%s%s", code, out, stderr)
		}
		rows := resultsOf(t, out)
		for _, name := range []string{"K1 random, veth", "K2 random, veth", "K3 whole batches, gate", "K4 corpus, veth", "K3 captures, gate"} {
			if r := rows[name]; r.Result != record.Holds || r.Count == 0 || r.Command != "live" || r.Env.Kernel == "" {
				t.Errorf("%s: %+v", name, r)
			}
		}
	})
	t.Run("resumes", func(t *testing.T) {
		t.Parallel()
		state := filepath.Join(t.TempDir(), "state")
		for i, n := range []int{500, 1000} { // -run leaves one part of K2
			out, stderr, code := liveProcess(t, nil, "-count", strconv.Itoa(n), "-state", state, "-run", "K2 random, veth")
			b, err := os.ReadFile(state)
			if code != record.ExitHolds || err != nil || !strings.Contains(string(b), `"scenarios":`+strconv.Itoa(500*(i+1))) {
				t.Fatalf("exit code %d, %v, state %s\n%s%s", code, err, b, out, stderr)
			}
		}
	})
	t.Run("bad state", func(t *testing.T) {
		state := testFile(t, "state", "x")
		if _, stderr, code := liveProcess(t, nil, "-count", "1", "-state", state); code != record.ExitUsage || !strings.Contains(stderr, state) {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	})
	t.Run("no TUN", func(t *testing.T) {
		t.Parallel()
		no := "TUNLIVE_DEVICE=/nonexistent"
		out, _, code := liveProcess(t, []string{no, "TUNLIVE="}, "-time", "1s", "-run", "K1 corpus|K5")
		if code != record.ExitHolds || !strings.Contains(out, "not run: needs a TUN device, /nonexistent") || !strings.Contains(out, "chmod 0666") {
			t.Errorf("exit code %d: %s", code, out)
		}
		_, stderr, code := liveProcess(t, []string{no, "TUNLIVE=require"}, "-time", "1s", "-run", "K1 corpus")
		if code != record.ExitUsage || !strings.Contains(stderr, "TUNLIVE=require") {
			t.Errorf("TUNLIVE=require: exit code %d: %s", code, stderr)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(self, "live", "-time", "1h", "-run", "random, veth")
		var out strings.Builder
		c.Stdout = &out
		errs, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		seen, buf := "", make([]byte, 4096)
		for !strings.Contains(seen, "a second") { // it has started
			n, err := errs.Read(buf)
			if err != nil {
				t.Fatalf("%v after %s", err, seen)
			}
			seen += string(buf[:n])
		}
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := errs.Read(buf); err != nil {
				break
			}
		}
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); code != record.ExitUsage || !strings.Contains(out.String(), "interrupted: what ran holds") {
			t.Errorf("exit code %d\n%s", code, out.String())
		}
	})
}
