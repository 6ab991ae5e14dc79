package kernels

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildInit compiles tunlive/kernels/init of a checkout for an architecture, into a
// directory, and returns the program.
func BuildInit(ctx context.Context, root, arch, dir string) (string, error) {
	out := filepath.Join(dir, arch+"-init")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./tunlive/kernels/init")
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	bound(c)
	if text, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./tunlive/kernels/init: %w\n%s", err, text)
	}
	return out, nil
}
