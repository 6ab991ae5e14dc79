// Command run runs a static program, such as a test binary, on kernels of many
// versions. It can be used as go test -exec.
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

// These are the exit codes of every command of tunproof.
const (
	holds = iota
	violation
	usage
	nothing
)

// passed are the environment variables that the program inherits, if they are set.
var passed = []string{"TUNLIVE", "TUNLIVE_USER", "RAPID_SEED", "RAPID_CHECKS", "RAPID_STEPS", "GODEBUG"}

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

func run(ctx context.Context) (int, error) {
	root, err := checkout()
	if err != nil {
		return usage, err
	}
	names := flag.String("series", "", "by commas; all of the program's architecture by default")
	cache := flag.String("cache", filepath.Join(root, ".cache", "kernels"), "where kernels and QEMU are kept")
	limit := flag.Duration("timeout", 5*time.Minute, "for the program; it gets SIGQUIT then")
	list := flag.Bool("list", false, "list the series")
	fetch := flag.Bool("fetch", false, "only fetch")
	var env []string
	flag.Func("env", "K=V for the program; may be repeated", func(s string) error { env = append(env, s); return nil })
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
		return usage, errors.New("which program?")
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

// checkout returns the module's directory.
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
