package process

import (
	"context"
	"os/exec"
)

// Command is a command that is Bound, and that ends with ctx, with all that it started.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	Bound(c)
	c.Cancel = func() error { return Kill(c) }
	return c
}
