// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"syscall"
)

// maxRSS returns the largest resident size of a process, in bytes.
func maxRSS(s *os.ProcessState) int64 {
	return int64(s.SysUsage().(*syscall.Rusage).Maxrss) << 10
}
