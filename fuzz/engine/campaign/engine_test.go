// SPDX-License-Identifier: MIT

package campaign

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/engine/serve"
)

// envProgram names what this test program does when it is an engine's program.
const envProgram = "TUNPROOF_TOY_PROGRAM"

// program is an engine's program, and returns its exit code.
func program(name string) int {
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	switch name {
	case "success":
		fmt.Println("fuzz: elapsed: 3s, execs: 70 (10/sec), new interesting: 1")
		fmt.Println("stat::number_of_executed_units: 70")
	case "fails":
		for i := range 100 {
			fmt.Println("line", i)
		}
		return 1
	case "polite": // and says more after the interrupt
		fmt.Println("fuzz: elapsed: 3s, execs: 100 (10/sec), new interesting: 1")
		fmt.Println("#100\tNEW cov: 1")
		<-interrupt
		fmt.Println("fuzz: elapsed: 4s, execs: 120 (10/sec), new interesting: 1")
		fmt.Println("stat::number_of_executed_units: 120")
		return 1
	case "stubborn":
		fmt.Println("fuzz: elapsed: 3s, execs: 100 (10/sec), new interesting: 1")
		for {
			<-interrupt
		}
	case "one fails": // of two processes, the other is polite
		f, err := os.OpenFile("first", os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return program("polite")
		}
		f.Close()
		return program("fails")
	case "asked":
		wd, _ := os.Getwd()
		fmt.Println(append(os.Args[1:], "in "+filepath.Base(wd), "of "+os.Getenv("TUNPROOF_TARGET"), os.Getenv("TUNPROOF_SEEDS"), os.Getenv("TUNPROOF_MEMORY"), os.Getenv("TUNPROOF_TIME")))
		return 1
	}
	return 0
}

// TestWatch checks how the ends of an engine's program are told apart.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		name, stop string // the line after which the context ends
		ended      bool   // before the context
		want       []string
	}{
		{"success", "", true, []string{"execs: 70"}},
		{"fails", "", true, []string{"line 0\n", "line 99\n"}},
		{"polite", "execs: 100", false, []string{"execs: 100", "execs: 120"}},
		{"stubborn", "execs: 100", false, []string{"execs: 100"}},
		{"success", "before", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && c.name == "polite" {
				t.Skip("a process cannot be interrupted here, it is killed")
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if c.stop == "before" {
				stop()
			}
			grace := time.Hour // that no test waits for
			if c.name == "stubborn" {
				grace = 0
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), envProgram+"="+c.name)
			var lines []string
			err := watch(ctx, cmd, grace, func(line string) {
				lines = append(lines, line)
				if c.stop != "" && strings.Contains(line, c.stop) {
					stop()
				}
			})
			for _, want := range c.want {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, want) }) {
					t.Errorf("no line %q in %q", want, lines)
				}
			}
			switch {
			case !c.ended && err != nil:
				t.Errorf("after the end of the context: %v", err)
			case c.ended && errors.Is(err, errEnded) != (c.name == "success"):
				t.Errorf("%v", err)
			case c.name == "fails" && (!strings.Contains(err.Error(), "exit status 1\n") || !strings.Contains(err.Error(), "line 99\n") || strings.Contains(err.Error(), "line 10\n")):
				t.Errorf("the error has not the end of the output: %v", err)
			}
		})
	}
	if err := watch(t.Context(), exec.Command(filepath.Join(t.TempDir(), "none")), 0, func(string) {}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
}

// TestEngines checks how each engine counts executions, and what it takes for an error.
func TestEngines(t *testing.T) {
	limits := serve.Limits{Time: 7 * time.Second, Memory: 300}
	for _, c := range []struct {
		engine  engine
		name    string
		workers int
		execs   int64
		failure string // part of the error, "" for none
	}{
		{native{os.Args[0], limits}, "polite", 1, 120, ""},
		{libfuzzer{os.Args[0], limits}, "polite", 1, 120, ""},
		{libfuzzer{os.Args[0], limits}, "polite", 3, 360, ""},
		{native{os.Args[0], limits}, "success", 1, 70, "the engine ended before its time"},
		{libfuzzer{os.Args[0], limits}, "success", 3, 210, ""},
		{native{os.Args[0], limits}, "fails", 1, 0, "line 99"},
		{libfuzzer{os.Args[0], limits}, "one fails", 3, 0, "line 99"},
	} {
		t.Run(fmt.Sprintf("%T %s %d", c.engine, c.name, c.workers), func(t *testing.T) {
			if runtime.GOOS == "windows" && c.name != "success" && c.name != "fails" {
				t.Skip("a process cannot be interrupted here, it is killed")
			}
			t.Setenv(envProgram, c.name)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			last := int64(0)
			work := t.TempDir()
			err := c.engine.run(ctx, "Agree", work, c.workers, time.Hour, func(n int64) {
				if n < last {
					t.Errorf("%d executions after %d", n, last)
				}
				if last = n; c.name == "polite" && n >= 100*int64(c.workers) {
					stop() // when all have started
				}
			})
			if last != c.execs && c.name != "one fails" { // those that are interrupted early count none
				t.Errorf("%d executions, want %d", last, c.execs)
			}
			if c.failure == "" && err != nil || c.failure != "" && (err == nil || !strings.Contains(err.Error(), c.failure)) {
				t.Errorf("%v, want %q", err, c.failure)
			}
		})
	}
}

// TestAsked checks that a program of an engine gets the target, the limits and its work
// directory.
func TestAsked(t *testing.T) {
	limits := serve.Limits{Time: 7 * time.Second, Memory: 300}
	t.Setenv(envProgram, "asked")
	for _, c := range []struct {
		engine engine
		want   []string
	}{
		{native{os.Args[0], limits}, []string{"-test.fuzz=^FuzzAgree$", "-test.fuzztime=1m40s", "-test.parallel=2", "-test.fuzzcachedir=cache", " in work ", " none ", " 300 ", " 7s]"}},
		{libfuzzer{os.Args[0], limits}, []string{"-artifact_prefix=failing/", "-timeout=7", "-rss_limit_mb=300", "-max_total_time=38", "inputs", " in work ", " of Agree "}},
	} {
		work := filepath.Join(t.TempDir(), "work")
		if err := os.Mkdir(work, 0o755); err != nil {
			t.Fatal(err)
		}
		err := c.engine.run(t.Context(), "Agree", work, 2, 40*time.Second, func(int64) {})
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%T: no %q in %v", c.engine, want, err)
			}
		}
	}
}

// TestBuilder checks that an engine that there is not, a bug that does not fit, and a
// checkout that does not compile are errors, and leave nothing.
func TestBuilder(t *testing.T) {
	conf, _ := settings(t, t.TempDir(), "Agree")
	conf.Engine = "steam"
	if _, err := Fuzz(t.Context(), conf); err == nil || err.Error() != `there is no engine "steam"` {
		t.Error(err)
	}
	conf.Engine = "native"
	if _, err := Fuzz(t.Context(), conf); err == nil || !strings.Contains(err.Error(), "go test -c") {
		t.Error(err)
	}
	if list := files(t, conf.Dir, "*"); len(list) > 0 {
		t.Errorf("left: %q", list)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	stop(why)
	if _, err := Fuzz(ctx, conf); err != why {
		t.Errorf("interrupted: %v", err)
	}
}
