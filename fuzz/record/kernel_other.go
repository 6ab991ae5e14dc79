// SPDX-License-Identifier: MIT

//go:build !linux && !darwin && !windows

package record

// kernelRelease returns "": the release of this system is unknown.
func kernelRelease() string { return "" }
