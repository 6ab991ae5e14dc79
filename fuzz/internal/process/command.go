// SPDX-License-Identifier: MIT

package process

import (
	"context"
	"os/exec"
)

// Command returns a command that Bound was applied to. When ctx ends, the command is killed
// with all processes that it started.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	Bound(c)
	c.Cancel = func() error { return Kill(c) }
	return c
}
