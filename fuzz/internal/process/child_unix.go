//go:build unix

// Package child starts processes that are ours to end.
package process

import (
	"os/exec"
	"syscall"
)

// Group makes c start in a process group of its own: a terminal's interrupt reaches
// it only through us.
func Group(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = true
}

// Kill ends c and all that it started.
func Kill(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
