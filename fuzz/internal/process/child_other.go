// SPDX-License-Identifier: MIT

//go:build !unix

// Package process starts child processes so that they can be ended together with all
// processes that they start.
package process

import "os/exec"

// Group does nothing: this system has no process groups.
func Group(*exec.Cmd) {}

// Kill kills c. Processes that c started are not killed on this system.
func Kill(c *exec.Cmd) error { return c.Process.Kill() }
