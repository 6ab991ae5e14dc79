// SPDX-License-Identifier: MIT

package packet

import (
	"encoding/binary"

	"tunproof/corpus/pkts"
	"tunproof/model"
)

// The flags of Fix: the fields to put right.
const (
	FixIPLen   = 1 << iota // IP total or payload length
	FixUDPLen              // UDP length
	FixL4Csum              // TCP or UDP checksum
	FixIPCsum              // IPv4 header checksum
	FixPartial             // TCP or UDP checksum, set to the pseudo-header's sum; overrides FixL4Csum
	FixAll     = FixIPLen | FixUDPLen | FixL4Csum | FixIPCsum
)

// Locate returns the offset of the TCP or UDP header and its protocol, or 0 and 0 if there
// is none. A UDP header must be complete, a TCP header only up to its checksum. Fragment
// bits are ignored.
func Locate(b []byte) (l4Off int, proto byte) {
	_, proto, l4Off = start(b)
	if l4Off == 0 || proto == 6 && l4Off+18 > len(b) || proto == 17 && l4Off+8 > len(b) || proto != 6 && proto != 17 {
		return 0, 0
	}
	return l4Off, proto
}

// HeaderLen returns the length of all headers up to the TCP or UDP payload, 40 for a packet
// without a TCP or UDP header, and at most len(b).
func HeaderLen(b []byte) int {
	l4Off, proto := Locate(b)
	n := 40
	switch proto {
	case 6:
		n = l4Off + max(20, 4*int(b[l4Off+12]>>4))
	case 17:
		n = l4Off + 8
	}
	return min(n, len(b))
}

// Fix puts right the fields in b that the flags in what select. It leaves out fields that b
// does not have.
func Fix(b []byte, what int) {
	l4Off, proto := Locate(b)
	if what&FixIPLen != 0 && len(b) >= 20 && b[0]>>4 == 4 {
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	} else if what&FixIPLen != 0 && len(b) >= 40 && b[0]>>4 == 6 {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
	}
	if what&FixUDPLen != 0 && proto == 17 {
		binary.BigEndian.PutUint16(b[l4Off+4:], uint16(len(b)-l4Off))
	}
	if what&(FixL4Csum|FixPartial) != 0 && proto != 0 {
		at := l4Off + 16
		if proto == 17 {
			at = l4Off + 6
		}
		addresses := b[12:20]
		if b[0]>>4 == 6 {
			addresses = b[8:40]
		}
		n := len(b) - l4Off
		pseudo := []byte{0, proto, byte(n >> 8), byte(n)}
		binary.BigEndian.PutUint16(b[at:], 0)
		sum := model.Sum(addresses, pseudo)
		if what&FixPartial == 0 {
			sum = 0xFFFF - model.Sum(addresses, pseudo, b[l4Off:])
			if sum == 0 && proto == 17 {
				sum = 0xFFFF
			}
		}
		binary.BigEndian.PutUint16(b[at:], uint16(sum))
	}
	if what&FixIPCsum != 0 && len(b) >= 20 && b[0]>>4 == 4 {
		hdrLen := min(max(20, 4*int(b[0]&15)), len(b))
		binary.BigEndian.PutUint16(b[10:], 0)
		binary.BigEndian.PutUint16(b[10:], uint16(0xFFFF-model.Sum(b[:hdrLen])))
	}
}

// DeriveVnet returns the VnetHdr with NEEDS_CSUM that belongs to a superpacket b with a
// gso_size of size. Without a TCP or UDP header in b all other fields are zero.
func DeriveVnet(b []byte, size uint16) pkts.VnetHdr {
	l4Off, proto := Locate(b)
	h := pkts.VnetHdr{GSOSize: size}
	switch {
	case proto == 17:
		h.GSOType, h.CsumOffset, h.HdrLen = GSOUDPL4, 6, uint16(l4Off+8)
	case proto == 6:
		h.GSOType, h.CsumOffset, h.HdrLen = GSOTCPv4, 16, uint16(l4Off+4*int(b[l4Off+12]>>4))
		if b[0]>>4 == 6 {
			h.GSOType = GSOTCPv6
		}
	default:
		return h
	}
	h.Flags, h.CsumStart = NeedsCsum, uint16(l4Off)
	return h
}
