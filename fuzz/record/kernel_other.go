//go:build !linux && !darwin && !windows

package record

func kernelRelease() string { return "" }
