// SPDX-License-Identifier: MIT

//go:build !linux

package process

import "os/exec"

// Bound does what Group does. On Linux, c is also killed when this process ends, in
// whatever way.
func Bound(c *exec.Cmd) { Group(c) }
