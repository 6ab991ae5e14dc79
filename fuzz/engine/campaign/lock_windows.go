// SPDX-License-Identifier: MIT

package campaign

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks a file for this process and reports whether it could. With wait it waits
// for the lock. The lock ends with the process, even if that is killed.
func lockFile(f *os.File, wait bool) (bool, error) {
	how := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK)
	if !wait {
		how |= windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), how, 0, 1, 0, &windows.Overlapped{})
	if err == windows.ERROR_LOCK_VIOLATION {
		return false, nil
	}
	return err == nil, err
}
