// SPDX-License-Identifier: MIT

package kernel

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/tunlive/gro"
)

// why returns the rule that forbids Coalesce to join members i-1 and i of a group that
// the kernel joined, or "" if there is none. It looks at the packets, at the reasons of
// Coalesce and at the kernel's superpacket. It asks whether the packets are candidates
// (C1), whether the superpacket is cut to these packets again (the equation), and which
// packets stood between them (C4).
func (k *Kernel) why(batch [][]byte, reasons []string, g gro.Group, i int) string {
	a, b := g.Members[i-1], g.Members[i]
	for _, m := range []int{a, b} {
		if rule := notCandidate(batch[m], reasons[m]); rule != "" {
			return rule
		}
	}
	for _, m := range []int{b, a} {
		at := slices.Index(g.Members, m)
		if rule := k.notBack(batch, g, at); rule != "" {
			return rule
		}
	}
	l4, proto := packet.Locate(batch[a])
	if proto == 6 && g.GSOSize < 8 && len(batch[a]) > l4 {
		return "C2: a first payload under 8 bytes"
	}
	for m := a + 1; m < b; m++ {
		if !slices.Contains(g.Members, m) && conflict(batch[b], batch[m]) {
			return "C4: another packet of the flow stood between"
		}
	}
	return ""
}

// conflict reports whether two packets must keep their order (C4). It does not use the
// model, because the model may be the subject.
func conflict(a, b []byte) bool {
	addressesA, flowA := identity(a)
	addressesB, flowB := identity(b)
	if flowA != nil && flowB != nil {
		return bytes.Equal(addressesA, addressesB) && bytes.Equal(flowA, flowB)
	}
	return addressesA != nil && len(addressesA) == len(addressesB) && bytes.Equal(addressesA, addressesB)
}

// identity returns a packet's addresses, and, if it belongs to a flow, its protocol and
// ports.
func identity(b []byte) (addresses, flow []byte) {
	at, l4 := 9, ipv4Header
	switch {
	case len(b) >= ipv4Header && b[0]>>4 == 4:
		addresses = b[12:20]
		if b[0] != 0x45 || b[6]&ipv4Fragment|b[7] != 0 {
			return addresses, nil
		}
	case len(b) >= ipv6Header && b[0]>>4 == 6:
		addresses, at, l4 = b[8:40], 6, ipv6Header
	default:
		return nil, nil
	}
	if (b[at] == 6 || b[at] == 17) && len(b) >= l4+4 {
		flow = append([]byte{b[at]}, b[l4:l4+4]...)
	}
	return addresses, flow
}

// notCandidate returns the rule of admission (C1) that a packet breaks and that the
// kernel does not have, or "".
func notCandidate(b []byte, reason string) string {
	l4, proto := packet.Locate(b)
	switch reason {
	case "Header":
		if b[0]>>4 == 6 && b[6] != 6 && b[6] != 17 {
			return "C1: IPv6 extension headers"
		}
	case "IPChecksum":
		if binary.BigEndian.Uint16(b[10:]) == 0xFFFF {
			return "C1: IPv4 header checksum 0xFFFF, which comes back as 0"
		}
	case "L4Checksum":
		if proto == 6 && binary.BigEndian.Uint16(b[l4+16:]) == 0xFFFF {
			return "C1: TCP checksum 0xFFFF, which comes back as 0"
		}
	case "Flags":
		const ack, cwr = 0x10, 0x80
		if proto == 6 && b[l4+13]&ack == 0 {
			return "C1: no ACK"
		}
		if proto == 6 && b[l4+13]&cwr != 0 {
			return "C1: CWR"
		}
	}
	return ""
}

// notBack returns the first field in which a member of the kernel's superpacket differs
// once the superpacket is cut again, or "".
func (k *Kernel) notBack(batch [][]byte, g gro.Group, member int) string {
	h := scenario.Super{Data: g.Data}
	h.Hdr.Flags, h.Hdr.GSOType, h.Hdr.GSOSize = packet.NeedsCsum, g.GSOType, uint16(g.GSOSize)
	h.Hdr.CsumStart, h.Hdr.CsumOffset = uint16(g.CsumStart), uint16(g.CsumAt)
	segments, refusal, err := k.subject.other(h)
	switch {
	case err != nil:
		return ""
	case refusal != "":
		return "equation: refused as " + refusal
	case len(segments) != len(g.Members):
		return "equation: other boundaries"
	}
	differences := packet.Diff(batch[g.Members[member]], segments[member])
	for _, d := range differences {
		if !strings.HasSuffix(d.Field, ".checksum") { // checksums follow from other fields
			return "equation: " + d.Field
		}
	}
	for _, d := range differences {
		return "equation: " + d.Field
	}
	return ""
}
