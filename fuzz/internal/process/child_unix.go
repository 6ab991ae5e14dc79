// SPDX-License-Identifier: MIT

//go:build unix

// Package process starts child processes so that they can be ended together with all
// processes that they start.
package process

import (
	"os/exec"
	"syscall"
)

// Group makes c start in a process group of its own. An interrupt from the terminal then
// does not reach it: this process has to pass it on.
func Group(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = true
}

// Kill kills c, which Group was applied to, and all processes that it started.
func Kill(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
