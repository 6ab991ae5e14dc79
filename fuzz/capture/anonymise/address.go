// SPDX-License-Identifier: MIT

package anonymise

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"tunproof/fuzz/packet"
)

// maxAddresses bounds the number of addresses, and with it the memory.
const maxAddresses = 1 << 20

// addresses has the new addresses, by the old ones.
type addresses struct {
	new    map[netip.Addr]netip.Addr
	made   map[netip.Addr]bool // the new ones
	net    byte                // the first byte of those of IPv4
	random [8]byte             // where they begin
}

// replaceAddresses replaces the source and the destination by consecutive addresses of
// 10.0.0.0/8 or 240.0.0.0/8, or of 2001:db8:ffff::/48, from random ones on. Addresses that
// identify nobody stay.
func (a *Anonymiser) replaceAddresses(h packet.Header, b []byte) error {
	if h.Version == 0 {
		return nil // payload hides them
	}
	l := &a.addresses
	both := h.Addresses(b)
	for _, b := range [][]byte{both[:len(both)/2], both[len(both)/2:]} {
		old, _ := netip.AddrFromSlice(b)
		if impersonal(old) {
			continue
		}
		now, known := l.new[old]
		if !known {
			if len(l.new) == a.most {
				return fmt.Errorf("more than %d addresses: split the capture", a.most)
			}
			now = a.fresh(old)
			l.new[old], l.made[now] = now, true
			if _, is := l.new[now]; is || l.made[old] {
				a.Unlike++
			}
		}
		copy(b, now.AsSlice())
	}
	return nil
}

// fresh returns the next new address. A multicast group keeps its first two bytes.
func (a *Anonymiser) fresh(old netip.Addr) netip.Addr {
	l := &a.addresses
	n := uint32(len(l.new))
	if old.Is4() {
		n += binary.BigEndian.Uint32(l.random[:])
		return netip.AddrFrom4([4]byte{l.net, byte(n >> 16), byte(n >> 8), byte(n)})
	}
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff}
	if old.IsMulticast() {
		was := old.As16()
		b = [16]byte{was[0], was[1]}
	}
	copy(b[6:12], l.random[2:])
	binary.BigEndian.PutUint32(b[12:], n+1)
	return netip.AddrFrom16(b)
}

// impersonal reports whether an address identifies neither a host nor a network. Some
// multicast groups of IPv6 contain the address of a host or a network.
func impersonal(addr netip.Addr) bool {
	b := addr.As16()
	return addr.IsUnspecified() || addr.IsLoopback() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) ||
		addr.IsMulticast() && (addr.Is4() || [12]byte(b[2:14]) == [12]byte{})
}
