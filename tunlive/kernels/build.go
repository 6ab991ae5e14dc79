// SPDX-License-Identifier: MIT

package kernels

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Build compiles a package of a checkout for an architecture, as a static program.
// how is "build", or "test" for the package's tests.
func Build(ctx context.Context, root, arch, out, how, pkg string) error {
	args := []string{how, "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out}
	if how == "test" {
		args = append(args, "-c")
	}
	c := exec.CommandContext(ctx, "go", append(args, pkg)...)
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	bound(c)
	if text, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s %s for %s: %w\n%s", how, pkg, arch, err, text)
	}
	return nil
}
