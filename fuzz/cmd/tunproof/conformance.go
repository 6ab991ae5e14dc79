package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"tunproof/fuzz/child"
	"tunproof/fuzz/record"
)

// conformanceCommand builds and runs fuzz/peers/conformance, which is in a module of its
// own, as it needs the implementations that it judges.
func conformanceCommand(ctx context.Context, s streams, args []string) (int, error) {
	root, err := record.Root(".")
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "tunproof-conformance-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "conformance")
	build := child.Command(ctx, "go", "build", "-o", program, "./conformance")
	build.Dir = filepath.Join(root, "fuzz", "peers")
	build.Env = append(os.Environ(), "GOTOOLCHAIN=auto")
	build.Stdout, build.Stderr = s.err, s.err
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("go build of fuzz/peers/conformance, which needs the modules of the implementations: %w", err)
	}
	c := child.Command(ctx, program, args...)
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
