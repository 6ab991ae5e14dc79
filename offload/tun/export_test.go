// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"tunproof/offload"
)

// Faults replaces parts of the kernel in tests.
type Faults struct {
	Offload func(mask int, set func(int) error) error // called instead of TUNSETOFFLOAD, which set does
	Front   func(front []byte) []byte                 // returns the VnetHdr, as one of 10 bytes, and headers to write instead of a superpacket's, as long as they
}

// OpenWith is Open with faults.
func OpenWith(cfg Config, f Faults) (*Device, error) { return open(cfg, faulty{f: f}) }

// faulty is this machine's kernel with faults.
type faulty struct {
	kernel
	f Faults
}

func (s faulty) setInt(fd int, request uint, v int) error {
	set := func(v int) error { return s.kernel.setInt(fd, request, v) }
	if request != unix.TUNSETOFFLOAD || s.f.Offload == nil {
		return set(v)
	}
	return s.f.Offload(v, set)
}

func (s faulty) writev(fd, hdrLen int, iov []unix.Iovec) (int, error) {
	front := unsafe.Slice(iov[0].Base, iov[0].Len)
	if h, _ := offload.ParseVnetHdr(front); s.f.Front != nil && h.GSOType != offload.GSONone {
		short := slices.Concat(front[:offload.VnetHdrLen], front[hdrLen:])
		changed := s.f.Front(short)
		changed = slices.Concat(changed[:offload.VnetHdrLen], front[offload.VnetHdrLen:hdrLen], changed[offload.VnetHdrLen:])
		iov = append([]unix.Iovec{{Base: &changed[0], Len: iov[0].Len}}, iov[1:]...)
	}
	return s.kernel.writev(fd, hdrLen, iov)
}
