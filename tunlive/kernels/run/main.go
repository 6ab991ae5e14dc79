// SPDX-License-Identifier: MIT

// Command run runs a static program, such as a test binary, on Linux kernels of several
// versions, each in a QEMU virtual machine. It can be the program of go test -exec.
//
// It exits with 0 if the program succeeded on every kernel, 1 if it failed on one, 2 for
// wrong usage or infrastructure, and 3 if no kernel was available.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"tunproof/tunlive/kernels"
)

// These are the exit codes, the same as those of command tunproof.
const (
	holds = iota
	violation
	usage
	nothing
)

// passed lists the environment variables that the program inherits, if they are set.
var passed = []string{"TUNLIVE", "TUNLIVE_USER", "RAPID_SEED", "RAPID_CHECKS", "RAPID_STEPS", "GODEBUG"}

const help = `usage: run [FLAGS] PROGRAM [ARGUMENTS]
       run [FLAGS] -list | -fetch

Runs a statically linked Linux program on kernels of several versions, each in a QEMU virtual
machine, and prints its output. Kernels and QEMU are fetched on first use. A series that is
not available is skipped.

Exit codes: 0 the program succeeded on every kernel, 1 it failed on one, 2 usage or
infrastructure, 3 no kernel was available.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		code = usage
	}
	os.Exit(code)
}

// run runs the command line and returns the exit code.
func run(ctx context.Context) (int, error) {
	root, err := checkout()
	if err != nil {
		return usage, err
	}
	names := flag.String("series", "", "comma-separated `NAMES` of kernel series, such as 6.1,6.12; without it all series for the program's architecture")
	cache := flag.String("cache", filepath.Join(root, ".cache", "kernels"), "keep kernels and QEMU in `DIR`")
	limit := flag.Duration("timeout", 5*time.Minute, "send SIGQUIT to a program that runs longer than this `TIME`, which makes a Go program print its stacks and fail")
	list := flag.Bool("list", false, "only list the series of kernels")
	fetch := flag.Bool("fetch", false, "only fetch kernels and QEMU")
	var env []string
	flag.Func("env", "set an environment variable, `NAME=VALUE`, for the program; may be repeated", func(s string) error { env = append(env, s); return nil })
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), help)
		flag.PrintDefaults()
	}
	flag.Parse()
	var chosen []string
	if *names != "" {
		chosen = strings.Split(*names, ",")
	}
	series, err := kernels.Named(chosen)
	if err != nil {
		return usage, err
	}
	c := kernels.Cache{Dir: *cache, Log: func(f string, args ...any) { fmt.Fprintf(os.Stderr, "run: "+f+"\n", args...) }}
	switch {
	case *list:
		for _, s := range series {
			fmt.Printf("%-12s %s\n", s.Name, s.Arch)
		}
		return holds, nil
	case *fetch:
		return fetchAll(ctx, c, series)
	case flag.NArg() == 0:
		return usage, errors.New("no program given")
	}
	program, args := flag.Arg(0), flag.Args()[1:]
	arch, _, err := kernels.Arch(program)
	if err != nil {
		return usage, err
	}
	series = slices.DeleteFunc(slices.Clone(series), func(s kernels.Series) bool { return s.Arch != arch })
	for _, name := range passed {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	tmp, err := os.MkdirTemp("", "tunproof-run-")
	if err != nil {
		return usage, err
	}
	defer os.RemoveAll(tmp)
	init := filepath.Join(tmp, "init")
	if err := kernels.Build(ctx, root, arch, init, "build", "./tunlive/kernels/init"); err != nil {
		return usage, err
	}
	p := kernels.Program{Path: program, Args: args, Env: env, Limit: *limit, Init: init}
	code, ran := holds, 0
	for _, s := range series {
		k, q, err := c.Get(ctx, s)
		if err != nil {
			fmt.Fprintf(os.Stderr, "run: %s: SKIP: %v\n", s.Name, err)
			continue
		}
		o, err := k.Boot(ctx, q, p, os.Stdout)
		if err != nil {
			return usage, err
		}
		ran++
		fmt.Fprintf(os.Stderr, "run: %s: Linux %s, %.1f s: %v\n", s.Name, k.Release, o.Seconds, o)
		if !o.OK() {
			code = violation
			if o.Ended != kernels.Exited || o.Code == 125 {
				fmt.Fprintf(os.Stderr, "%s\n", o.Console)
			}
		}
	}
	if ran == 0 {
		return nothing, nil
	}
	return code, nil
}

// fetchAll fetches the kernels of all series and lists their versions.
func fetchAll(ctx context.Context, c kernels.Cache, series []kernels.Series) (int, error) {
	n := 0
	for _, s := range series {
		k, _, err := c.Get(ctx, s)
		if ctx.Err() != nil {
			return usage, ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "run: %s: SKIP: %v\n", s.Name, err)
			continue
		}
		n++
		fmt.Printf("%-12s Linux %s\n", s.Name, k.Release)
	}
	if n == 0 {
		return nothing, nil
	}
	return holds, nil
}

// checkout returns the directory of the module that the process is in.
func checkout() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if b, e := os.ReadFile(filepath.Join(dir, "go.mod")); e == nil && strings.HasPrefix(string(b), "module tunproof\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("not in a checkout of tunproof")
		}
		dir = up
	}
	return "", err
}
