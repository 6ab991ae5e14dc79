// SPDX-License-Identifier: MIT

//go:build linux || darwin

package record

import "golang.org/x/sys/unix"

// kernelRelease returns the release that uname -r prints.
func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
