//go:build !unix

// Package child starts processes that are ours to end.
package process

import "os/exec"

// Group does nothing: this system has no process groups.
func Group(*exec.Cmd) {}

// Kill ends c.
func Kill(c *exec.Cmd) error { return c.Process.Kill() }
