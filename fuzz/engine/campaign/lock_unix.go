// SPDX-License-Identifier: MIT

//go:build unix

package campaign

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks a file for this process and reports whether it could. With wait it waits
// for the lock. The lock ends with the process, even if that is killed.
func lockFile(f *os.File, wait bool) (bool, error) {
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		switch err := unix.Flock(int(f.Fd()), how); err {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return false, nil
		default:
			return err == nil, err
		}
	}
}
