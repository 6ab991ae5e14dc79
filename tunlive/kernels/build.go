package kernels

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Builder compiles static programs of a checkout, each once.
type Builder struct {
	Root string // of the checkout
	Dir  string // where they are put
	Go   string // the go command, "" for the one in PATH

	built map[string]string
}

// Init compiles tunlive/kernels/init.
func (b *Builder) Init(ctx context.Context, arch string) (string, error) {
	return b.build(ctx, arch, "init", "build", "-trimpath", "-ldflags=-s -w", "./tunlive/kernels/init")
}

// Command compiles a command of the checkout, named by its directory.
func (b *Builder) Command(ctx context.Context, arch, dir string) (string, error) {
	return b.build(ctx, arch, filepath.Base(dir), "build", "-trimpath", "-ldflags=-s -w", "./"+dir)
}

// Test compiles the tests of a package.
func (b *Builder) Test(ctx context.Context, arch, dir string) (string, error) {
	return b.build(ctx, arch, strings.ReplaceAll(dir, "/", "-")+".test", "test", "-c", "-trimpath", "-ldflags=-s -w", "./"+dir)
}

func (b *Builder) build(ctx context.Context, arch, name, what string, args ...string) (string, error) {
	out := filepath.Join(b.Dir, arch+"-"+name)
	if b.built[out] != "" {
		return out, nil
	}
	program := b.Go
	if program == "" {
		program = "go"
	}
	c := exec.CommandContext(ctx, program, append([]string{what, "-o", out}, args...)...)
	c.Dir = b.Root
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	bound(c)
	if text, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s %s: %w\n%s", what, strings.Join(args, " "), err, text)
	}
	if b.built == nil {
		b.built = map[string]string{}
	}
	b.built[out] = out
	return out, nil
}
