package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"tunproof/fuzz/internal/process"
	"tunproof/fuzz/record"
)

// These commands are modules of their own. The first needs the implementations that it
// judges, the second a plotting library.
var (
	conformanceCommand = nested("fuzz/peers", "conformance", "./conformance")
	evidenceCommand    = nested("fuzz/evidence", "evidence", ".")
)

// nested returns a command that builds a program of a nested module and runs it.
func nested(module, name, pkg string) func(context.Context, streams, []string) (int, error) {
	return func(ctx context.Context, s streams, args []string) (int, error) {
		root, err := record.Root(".")
		if err != nil {
			return 0, err
		}
		dir, err := os.MkdirTemp("", "tunproof-"+name+"-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		program := filepath.Join(dir, name)
		build := process.Command(ctx, "go", "build", "-o", program, pkg)
		build.Dir = filepath.Join(root, filepath.FromSlash(module))
		build.Env = append(os.Environ(), "GOTOOLCHAIN=auto")
		build.Stdout, build.Stderr = s.err, s.err
		if err := build.Run(); err != nil {
			return 0, fmt.Errorf("go build in the nested module %s: %w", module, err)
		}
		c := process.Command(ctx, program, args...)
		c.Stdin, c.Stdout, c.Stderr = s.in, s.out, s.err
		err = c.Run()
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return 0, errors.New("interrupted")
		case errors.As(err, &exit) && exit.Exited():
			return exit.ExitCode(), nil
		}
		return record.ExitHolds, err
	}
}
