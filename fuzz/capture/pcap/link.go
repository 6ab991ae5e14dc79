// SPDX-License-Identifier: MIT

package pcap

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// The link types that are supported, by their numbers in a file.
const (
	linkNull     = 0
	linkEthernet = 1
	linkRaw      = 101
	linkRawBSD   = 12 // DLT_RAW on most systems
	linkRawOpen  = 14 // DLT_RAW on OpenBSD
	linkLoop     = 108
	linkSLL      = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276

	linkNames = "RAW (101, 12, 14), NULL (0), ETHERNET (1), LOOP (108), LINUX_SLL (113, 276), IPV4 (228) and IPV6 (229)"
)

const (
	maxTags        = 8  // VLAN tags of a frame
	shortEthernet  = 46 // payload bytes of the shortest Ethernet frame, without tags
	deviceEthernet = 1  // ARPHRD_ETHER, in a cooked header
)

// link is the link type of an interface, and whether its frames end in a checksum.
type link struct {
	kind uint16
	fcs  bool // 4 bytes of checksum follow each Ethernet frame
}

// supported reports whether frames of this link type can be read.
func (l link) supported() bool {
	switch l.kind {
	case linkNull, linkEthernet, linkRaw, linkRawBSD, linkRawOpen, linkLoop, linkSLL, linkIPv4, linkIPv6, linkSLL2:
		return true
	}
	return false
}

// reason is why a record is left out: a format string and its arguments, up to two.
type reason struct {
	format string
	a, b   uint32
}

// String returns the reason as text.
func (r reason) String() string {
	args := []any{r.a, r.b}
	return fmt.Sprintf(r.format, args[:strings.Count(r.format, "%")]...)
}

// ip returns the IP packet in a frame, as a part of b, or the reason why there is none.
// If the link header has a protocol field, it must be IP. RAW is taken to be IP.
func (l link) ip(b []byte) ([]byte, reason) {
	header := 0
	switch l.kind {
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		return b, reason{}
	case linkNull, linkLoop:
		header = 4
	case linkEthernet:
		header = 14
	case linkSLL:
		header = 16
	case linkSLL2:
		header = 20
	default:
		return nil, reason{format: "link type %d is not supported", a: uint32(l.kind)}
	}
	if l.fcs && l.kind == linkEthernet {
		b = b[:max(0, len(b)-4)]
	}
	if !l.fcs && l.kind == linkEthernet && hasFCS(b) {
		b = b[:len(b)-4]
	}
	if len(b) < header {
		return nil, reason{"shorter than the link header: %d of %d bytes", uint32(len(b)), uint32(header)}
	}
	h, b := b[:header], b[header:]
	switch l.kind {
	case linkNull:
		return family(b, binary.LittleEndian.Uint32(h), binary.BigEndian.Uint32(h))
	case linkLoop:
		return family(b, binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h))
	case linkSLL:
		return payload(b, binary.BigEndian.Uint16(h[14:]), binary.BigEndian.Uint16(h[2:]) == deviceEthernet)
	case linkSLL2:
		return payload(b, binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[8:]) == deviceEthernet)
	}
	return payload(b, binary.BigEndian.Uint16(h[12:]), true)
}

// hasFCS reports whether an Ethernet frame ends in its frame check sequence although the
// file does not say so: its last 4 bytes are the CRC-32 of the others (IEEE 802.3, 3.2.9).
// Only frames in which the IP packet does not end with the frame are looked at.
func hasFCS(frame []byte) bool {
	if len(frame) < 14+20+4 {
		return false
	}
	n := 0
	switch b := frame[14:]; binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		n = int(binary.BigEndian.Uint16(b[2:]))
	case 0x86DD:
		n = 40 + int(binary.BigEndian.Uint16(b[4:]))
	default:
		return false
	}
	end := len(frame) - 4
	return 14+n != len(frame) && crc32.ChecksumIEEE(frame[:end]) == binary.LittleEndian.Uint32(frame[end:])
}

// family returns b if an address family, read in one byte order or the other, is
// AF_INET or AF_INET6, or the EtherType of IP. AF_INET is 2 everywhere. AF_INET6 is 24 on NetBSD and OpenBSD, 28
// on FreeBSD, 30 on Darwin and 10 on Linux.
func family(b []byte, one, other uint32) ([]byte, reason) {
	for _, f := range [2]uint32{one, other} {
		switch f {
		case 2, 24, 28, 30, 10, 0x0800, 0x86DD: // some drivers write an EtherType
			return b, reason{}
		}
	}
	return nil, reason{format: "address family %d is not IP", a: min(one, other)}
}

// payload removes VLAN tags, and the padding after an IP packet that is shorter than the
// payload of the shortest Ethernet frame. Tags do not count: a switch that tags a padded
// frame leaves the padding, and the frame gets longer.
func payload(b []byte, etherType uint16, ethernet bool) ([]byte, reason) {
	for tags := 0; etherType == 0x8100 || etherType == 0x88a8 || etherType == 0x9100; tags++ {
		if tags == maxTags {
			return nil, reason{format: "more than %d VLAN tags", a: maxTags}
		}
		if len(b) < 4 {
			return nil, reason{format: "the frame ends in a VLAN tag"}
		}
		etherType, b = binary.BigEndian.Uint16(b[2:]), b[4:]
	}
	padded := ethernet && len(b) <= shortEthernet
	switch {
	case etherType == 0x0800 && len(b) >= 20:
		if n := int(binary.BigEndian.Uint16(b[2:])); padded && n >= 20 && n < len(b) {
			b = b[:n]
		}
	case etherType == 0x86DD && len(b) >= 40:
		if n := 40 + int(binary.BigEndian.Uint16(b[4:])); padded && n < len(b) {
			b = b[:n]
		}
	default:
		return nil, reason{format: "EtherType %#04x is not IP, or the IP header is incomplete", a: uint32(etherType)}
	}
	return b, reason{}
}
