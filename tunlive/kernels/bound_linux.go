// SPDX-License-Identifier: MIT

package kernels

import (
	"os/exec"
	"syscall"
)

// bound makes c end when this process ends, in any way, and keeps a terminal's
// interrupt from it.
func bound(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
