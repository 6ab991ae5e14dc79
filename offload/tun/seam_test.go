// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"testing"

	"golang.org/x/sys/unix"
)

// seam is the system of this machine, behind the interface. It is a variable so that the
// compiler does not see which type it has.
var seam system = kernel{}

// BenchmarkSeam compares a read(2) of one byte with the same through interface system, which
// tests need: what the interface costs a call.
func BenchmarkSeam(b *testing.B) {
	fd, err := unix.Open("/dev/zero", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 1)
	b.Run("direct", func(b *testing.B) {
		for b.Loop() {
			if _, err := unix.Read(fd, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("seam", func(b *testing.B) {
		for b.Loop() {
			if _, err := seam.read(fd, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
