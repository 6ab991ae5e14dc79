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
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/internal/crasher"
	"tunproof/fuzz/internal/process"
)

// The names of environment variables of the campaign that is killed.
const (
	envVictim = "TUNPROOF_TOY_VICTIM" // how it goes, a name in victims
	envDir    = "TUNPROOF_TOY_DIR"
	envCalls  = "TUNPROOF_TOY_CALLS" // an address
)

// here signals to the test that the victim can be killed now. It does not return.
func here() error {
	fmt.Println("\nHERE")
	_, _ = io.Copy(io.Discard, os.Stdin) // so time stands still
	select {}
}

// victims are campaigns until they are killed, and what the next one must find.
var victims = []struct {
	name   string
	play   func(r *run) error
	stored []string // inputs
	key    string   // of a finding
	flaky  int
	calls  bool // it is killed while an input is executed
}{
	{"before the first input", func(*run) error { return here() }, nil, "", 0, false},
	{"before anything is stored", func(r *run) error { return errors.Join(r.input("a"), r.input("b"), here()) }, []string{"a", "b"}, "", 0, false},
	{"when some is stored", func(r *run) error {
		if err := errors.Join(r.input("a"), r.input("b")); err != nil {
			return err
		}
		r.sleep(11 * time.Second)
		return errors.Join(r.input("c"), here())
	}, []string{"a", "b", "c"}, "", 0, false},
	{"when a file is not complete", func(r *run) error {
		return errors.Join(r.input("a"), r.put(r.toy.inputs(r.target), "cut", []byte("go test fuzz v1\n[]byte(\"\\x01")), r.put(r.toy.failing(r.target), "cut", nil), here())
	}, []string{"a"}, "", 0, false},
	{"in its second run", func(r *run) error {
		if r.n == 0 {
			return r.input("a")
		}
		return errors.Join(r.input("b"), here())
	}, []string{"a", "b"}, "", 0, false},
	{"with a failing input", func(r *run) error { return errors.Join(r.input("a"), r.fails("toy fails x"), here()) }, []string{"a"}, "P4 toy x", 0, false},
	{"with an input that fails no more", func(r *run) error { return errors.Join(r.fails("holds"), here()) }, nil, "", 1, false},
	{"while a failing input is confirmed", func(r *run) error {
		return errors.Join(r.input("a"), r.fails(sized("calls "+os.Getenv(envCalls), 40)))
	}, []string{"a"}, "P4 toy calls", 0, true},
}

// TestVictim is the campaign that TestKilled kills.
func TestVictim(t *testing.T) {
	name := os.Getenv(envVictim)
	if name == "" {
		t.Skip("it is the campaign that TestKilled kills, not a test")
	}
	bubble(t, "", func(t *testing.T) {
		conf, _ := settings(t, os.Getenv(envDir), "Pkts")
		conf.Engine = "libfuzzer"
		if strings.Contains(name, "not complete") {
			conf.Engine = "native" // whose files show it
		}
		play := writer
		for _, v := range victims {
			if v.name == name {
				play = v.play
			}
		}
		_, err := fuzz(t.Context(), conf, with(play))
		t.Fatal("it was not killed: ", err)
	})
}

// writer finds one input after the other, and prints which are there.
func writer(r *run) error {
	for i := r.n * 1000; r.sleep(700 * time.Millisecond); i++ {
		text := fmt.Sprintf("input %d", i)
		if err := r.input(text); err != nil {
			return err
		}
		fmt.Printf("\n%s\n", text)
	}
	return nil
}

// victim starts a victim.
func victim(t *testing.T, name, dir, calls string) (c *exec.Cmd, out *bufio.Scanner) {
	c = exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
	c.Env = append(os.Environ(), envVictim+"="+name, envDir+"="+dir, envCalls+"="+calls, "TMPDIR="+t.TempDir()) // it leaves its own behind
	c.Stderr = os.Stderr
	process.Bound(c)
	if _, err := c.StdinPipe(); err != nil { // closed by Wait
		t.Fatal(err)
	}
	from, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewScanner(from)
}

// kill kills a victim.
func kill(t *testing.T, c *exec.Cmd) {
	if err := c.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = c.Wait()
}

// next runs a campaign on the directory of victims, on another target.
func next(t *testing.T, dir string) (*Summary, *log) {
	t.Helper()
	conf, said := settings(t, dir, "Checksum")
	conf.Time = time.Second
	s, err := fuzz(t.Context(), conf, with((*run).rest))
	if err != nil {
		t.Fatal(err)
	}
	return s, said
}

// TestKilled checks that a campaign stores and confirms what one left that was killed,
// wherever that was.
func TestKilled(t *testing.T) {
	for _, v := range victims {
		t.Run(v.name, func(t *testing.T) {
			dir := t.TempDir()
			calls := listen(t)
			c, out := victim(t, v.name, dir, calls.Addr().String())
			if v.calls {
				if err := hung(calls); err != nil {
					t.Fatal(err)
				}
			} else {
				for out.Scan() && out.Text() != "HERE" {
				}
			}
			kill(t, c)
			go func() { // by the campaign that follows
				for {
					c, err := calls.Accept()
					if err != nil {
						return
					}
					c.Close()
				}
			}()
			bubble(t, "next", func(t *testing.T) {
				s, said := next(t, dir)
				if got := stored(t, dir, "Pkts", v.stored...); !slices.Equal(got, v.stored) {
					t.Errorf("stored: %q, want %q", got, v.stored)
				}
				var keys string
				for _, r := range s.Results[1:] {
					for _, f := range r.Findings {
						keys += f.Outcome.Key()
						if r.Target.Name != "Pkts" || !f.New {
							t.Errorf("%+v", f)
						}
					}
				}
				if keys != v.key || s.Flaky != v.flaky {
					t.Errorf("findings: %q, want %q; %d flaky, want %d", keys, v.key, s.Flaky, v.flaky)
				}
				if len(said.has("recovered a campaign that was killed")) != 1 {
					t.Errorf("%q", said.lines)
				}
				tidy(t, dir)
				if again, said := next(t, dir); len(again.Results) != 1 || len(said.has("recovered")) > 0 {
					t.Errorf("once more: %+v, %q", again, said.lines)
				}
			})
		})
	}
}

// TestKilledAnywhere kills a campaign that works, wherever it is then. Each input that was
// there must be stored.
func TestKilledAnywhere(t *testing.T) {
	for inputs := 1; inputs < 100; inputs += 14 {
		t.Run(fmt.Sprint(inputs), func(t *testing.T) {
			dir := t.TempDir()
			c, out := victim(t, "writer", dir, "")
			var there []string
			for len(there) < inputs && out.Scan() {
				if strings.HasPrefix(out.Text(), "input ") {
					there = append(there, out.Text())
				}
			}
			kill(t, c)
			if len(there) < inputs {
				t.Fatalf("%d inputs: %v", len(there), out.Err())
			}
			bubble(t, "next", func(t *testing.T) {
				next(t, dir)
				list, err := Store{dir}.Inputs("Pkts", nil)
				if err != nil {
					t.Error(err)
				}
				got := map[string]bool{}
				for _, b := range list {
					got[string(b)] = true
				}
				for _, text := range there {
					if !got[text] {
						t.Errorf("%q is lost", text)
					}
				}
				if left, err := os.ReadDir(filepath.Join(dir, "work")); err != nil || len(left) > 0 {
					t.Errorf("left: %v, %v", left, err)
				}
			})
		})
	}
}

// leave makes what a campaign leaves that was killed, with an input and a failing one.
func leave(t *testing.T, dir, name, text, fails string) {
	t.Helper()
	work := filepath.Join(dir, "work", name)
	b, f := input("Order", text), input("Order", fails)
	if err := errors.Join(
		write(filepath.Join(work, "engine"), []byte("native")),
		write(filepath.Join(work, "Order", "cache", "FuzzOrder", hash(b)), crasher.Format(b)),
		write(filepath.Join(work, "Order", "cache", "FuzzOrder", givenPrefix+"x"), crasher.Format(input("Order", "not ours"))),
		write(filepath.Join(work, "Order", "testdata", "fuzz", "FuzzOrder", hash(f)), crasher.Format(f))); err != nil {
		t.Fatal(err)
	}
}

// TestRecovery checks that the inputs left by several campaigns are recovered once, also
// by campaigns that begin at the same instant, and that a running campaign is left alone.
func TestRecovery(t *testing.T) {
	for n := range 4 {
		bubble(t, fmt.Sprint(n, " at once"), func(t *testing.T) {
			dir := t.TempDir()
			all := []string{"a", "b", "c"}
			for _, text := range all {
				leave(t, dir, "killed "+text, text, "toy fails x")
			}
			if err := os.MkdirAll(filepath.Join(dir, "work", "empty"), 0o755); err != nil { // killed at once
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "work", "file"), nil, 0o644); err != nil { // not ours
				t.Fatal(err)
			}
			leave(t, dir, "running", "d", "toy fails y")
			lock, err := os.Create(filepath.Join(dir, "work", "running", "lock"))
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			if ok, err := lockFile(lock, true); !ok || err != nil {
				t.Fatal(ok, err)
			}
			ends := make(chan *Summary)
			var says []*log
			for i := range n + 1 {
				conf, said := settings(t, dir, []string{"Order", "Checksum"}[i%2])
				conf.Time = time.Second
				says = append(says, said)
				go func() {
					s, err := fuzz(t.Context(), conf, with((*run).rest))
					if err != nil {
						t.Error(err)
					}
					ends <- s
				}()
			}
			fresh := 0
			for range n + 1 {
				s := <-ends
				for _, r := range s.Results {
					if len(r.Findings) > 1 { // of two directories
						t.Errorf("%s: one finding %d times", r.Target.Name, len(r.Findings))
					}
					for _, f := range r.Findings {
						if f.Outcome.Key() != "P4 toy x" {
							t.Errorf("%+v", f)
						}
						if f.New {
							fresh++
						}
					}
				}
			}
			recovered := 0
			for _, l := range says {
				recovered += len(l.has("1 inputs that were not stored yet, 1 failing"))
				if left := l.has("left as it is"); len(left) > 0 {
					t.Errorf("%q", left)
				}
			}
			if recovered != len(all) || fresh != 1 {
				t.Errorf("%d are recovered of %d, %d findings are new", recovered, len(all), fresh)
			}
			if got := stored(t, dir, "Order", all...); !slices.Equal(got, all) {
				t.Errorf("stored: %q", got)
			}
			var rest []string
			list, _ := os.ReadDir(filepath.Join(dir, "work"))
			for _, e := range list {
				rest = append(rest, e.Name())
			}
			if want := []string{"file", "running"}; !slices.Equal(rest, want) {
				t.Errorf("left: %q, want %q", rest, want)
			}
		})
	}
}

// TestRecoveryFails checks that a directory that cannot be recovered stays, with the
// reason, and stops nothing.
func TestRecoveryFails(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		dir := t.TempDir()
		leave(t, dir, "killed", "a", "toy fails x")
		if err := os.WriteFile(filepath.Join(dir, "findings"), nil, 0o644); err != nil { // not a directory
			t.Fatal(err)
		}
		_, said := next(t, dir)
		if got := said.has("killed is left as it is: "); len(got) != 1 {
			t.Errorf("%q", said.lines)
		}
		if err := os.Remove(filepath.Join(dir, "findings")); err != nil {
			t.Fatal(err)
		}
		if s, _ := next(t, dir); len(s.Results) != 2 || len(s.Results[1].Findings) != 1 {
			t.Errorf("%+v", s)
		}
		tidy(t, dir)
	})
	bubble(t, "interrupted", func(t *testing.T) {
		dir := t.TempDir()
		leave(t, dir, "killed", "a", "toy fails x")
		conf, _ := settings(t, dir, "Checksum")
		ctx, stop := context.WithCancel(t.Context())
		s, err := fuzz(ctx, conf, func(ctx context.Context, c Config, d string) (parts, error) {
			stop()
			return with(func(*run) error { t.Error("it fuzzes"); return nil })(ctx, c, d)
		})
		if err != nil || len(s.Results) != 2 || len(s.Results[1].Findings) != 1 {
			t.Errorf("%+v, %v", s, err)
		}
		tidy(t, dir)
	})
}
