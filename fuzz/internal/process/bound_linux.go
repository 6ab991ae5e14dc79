package process

import (
	"os/exec"
	"syscall"
)

// Bound is Group, and on Linux ends c when this process ends, however that ends.
func Bound(c *exec.Cmd) {
	Group(c)
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
