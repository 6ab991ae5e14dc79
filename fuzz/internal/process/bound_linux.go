// SPDX-License-Identifier: MIT

package process

import (
	"os/exec"
	"syscall"
)

// Bound does what Group does. On Linux, c is also killed when this process ends, in
// whatever way.
func Bound(c *exec.Cmd) {
	Group(c)
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
