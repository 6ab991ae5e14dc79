// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Found is an IP packet that was found in bytes of an unknown link type.
type Found struct {
	Data  []byte // the packet: a part of the bytes
	Link  string // the kind of frame that the bytes are, "" if they start with the packet
	After int    // the number of bytes after the packet: padding, or a frame's checksum
}

// reading is a way to read bytes of an unknown link type.
type reading struct {
	name string // "" without a link header
	link link
	may  func(h []byte) bool // reports whether the header h may be of this kind
}

var readings = []reading{
	{"", link{kind: linkRaw}, func([]byte) bool { return true }},
	{"Ethernet", link{kind: linkEthernet}, func([]byte) bool { return true }},
	{"Linux cooked (SLL)", link{kind: linkSLL}, func(h []byte) bool { return h[0]|h[4] == 0 && h[1] <= 4 && h[5] <= 8 }},
	{"Linux cooked (SLL2)", link{kind: linkSLL2}, func(h []byte) bool { return h[2]|h[3] == 0 && h[10] <= 4 && h[11] <= 8 }},
	{"BSD loopback (NULL)", link{kind: linkNull}, func([]byte) bool { return true }},
}

// ErrNoIP is the error of bytes that look like no IP packet, and no frame with one.
var ErrNoIP = errors.New("neither an IP packet nor a frame of Ethernet, Linux cooked or BSD loopback with one")

// Find returns the IP packet in bytes whose link type is not known. They may be the packet
// itself, or a frame of Ethernet, Linux cooked or BSD loopback. Find does not guess: just
// one of these must fit, and the packet must have the length that its header states.
// Otherwise the error says what the bytes look like.
func Find(b []byte) (Found, error) {
	const shortest = 20 // bytes of an IP header
	var fits []Found
	var names []string
	looks := ErrNoIP
	for _, r := range readings {
		if len(b) < shortest || !r.may(b) {
			continue
		}
		packet, why := r.link.ip(b)
		if why != (reason{}) {
			continue
		}
		header := cap(b) - cap(packet) // with VLAN tags
		body := b[header:]
		if r.link.kind == linkEthernet && hasFCS(b) {
			body = body[:len(body)-4]
		}
		version, length := stated(body)
		if version == 0 || r.name == "" && !usual[protocol(version, body)] {
			continue
		}
		name := "an IP packet"
		if r.name != "" {
			name = "a frame of " + r.name
		}
		if length == noLength(version) && len(body) > 0xFFFF {
			length = len(body)
		}
		padded := len(body) == shortEthernet || r.link.kind == linkEthernet && header+len(body) == 14+shortEthernet
		if length == len(body) || padded && isPadding(body, length) {
			fits = append(fits, Found{Data: body[:length], Link: r.name, After: len(b) - header - length})
			names = append(names, name)
			continue
		}
		looks = fmt.Errorf("it looks like %s, but there are %d bytes of IP and the IP header states %d", name, len(body), length)
	}
	switch len(fits) {
	case 0:
		return Found{}, looks
	case 1:
		return fits[0], nil
	}
	return Found{}, fmt.Errorf("it may be %s", strings.Join(names, " or "))
}

// protocol returns the protocol, or the first next header, of an IP packet.
func protocol(version int, b []byte) byte {
	if version == 4 {
		return b[9]
	}
	return b[6]
}

// usual has the protocols that an IP packet has to have if nothing but its header shows that
// it is one.
var usual = [256]bool{0: true, 1: true, 2: true, 4: true, 6: true, 17: true, 41: true, 43: true, 44: true, 47: true, 50: true, 51: true, 58: true,
	59: true, 60: true, 88: true, 89: true, 103: true, 112: true, 132: true, 135: true, 136: true, 137: true, 253: true, 254: true}

// Starts reports whether bytes look like the start of what Find finds, however short they
// are: of an IP packet with a possible first byte, or of a frame whose header names IP.
func Starts(b []byte) bool {
	longer := append(bytes.Clone(b), make([]byte, 60)...)
	for _, r := range readings[1:] {
		if _, why := r.link.ip(longer); why == (reason{}) && r.may(longer) {
			return true
		}
	}
	return len(b) > 0 && (b[0] >= 0x45 && b[0] <= 0x4F || b[0] == 0x60) // in IPv6, others are rare
}

// stated returns the version of an IP packet, and the length that its header states. The
// version is 0 if there is no complete header. In IPv6, a payload of no bytes and a header
// of some do not go together.
func stated(b []byte) (version, length int) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return 4, int(binary.BigEndian.Uint16(b[2:]))
	case len(b) >= 40 && b[0]>>4 == 6:
		n := int(binary.BigEndian.Uint16(b[4:]))
		if n == 0 && len(b) == 40 && b[6] != noNextHeader {
			return 6, 0
		}
		return 6, 40 + n
	}
	return 0, 0
}

const noNextHeader = 59 // in IPv6

// noLength returns what stated returns for a packet of BIG TCP, whose length is too large
// for the header.
func noLength(version int) int {
	if version == 6 {
		return 40
	}
	return 0
}

// isPadding reports whether the bytes after the first length bytes of body are padding.
func isPadding(body []byte, length int) bool {
	return length >= 20 && length < len(body) && bytes.Count(body[length:], []byte{0}) == len(body)-length
}
