// SPDX-License-Identifier: MIT

package offload

import "fmt"

// Reason is the result for one packet in Coalesce: it joined earlier packets, or the
// first of the following reasons, in this order, kept it from joining (C8).
type Reason uint8

const (
	Joined Reason = iota

	// The packet is not a candidate: it cannot be in a superpacket (C1).

	NoAddresses // fewer bytes than an IP header, or neither IPv4 nor IPv6
	Header      // IPv4 options, IPv6 extension headers, or neither TCP nor UDP
	Fragment    // MF, a fragment offset, or the reserved bit
	Truncated   // the L4 header does not fit, or doff < 5
	Length      // the IP or UDP length field differs from the slice's length
	FlagBits    // no ACK, or one of SYN, RST, URG, CWR; it is printed as "Flags"
	Empty       // no payload
	IPChecksum  // IPv4 header checksum wrong, or in a form Segment does not write
	L4Checksum  // TCP or UDP checksum wrong, absent (but see Config.AbsentChecksums), or in a form Segment does not write
	Disabled    // disabled in Config

	// The packet is a candidate, and opened a superpacket of its own.

	First    // nothing before it in the batch conflicts with it (C4)
	Closed   // the superpacket that it would join takes no more packets
	Limit    // the superpacket would exceed a limit (C2)
	Mismatch // cutting the joined superpacket would not give back its packets
	numReasons
)

// NumReasons is one more than the largest Reason, for arrays of counters.
const NumReasons = int(numReasons)

var reasonNames = [NumReasons]string{
	Joined: "Joined", NoAddresses: "NoAddresses", Header: "Header", Fragment: "Fragment",
	Truncated: "Truncated", Length: "Length", FlagBits: "Flags", Empty: "Empty",
	IPChecksum: "IPChecksum", L4Checksum: "L4Checksum", Disabled: "Disabled",
	First: "First", Closed: "Closed", Limit: "Limit", Mismatch: "Mismatch",
}

// String returns the name, such as "Joined".
func (r Reason) String() string {
	if int(r) < NumReasons {
		return reasonNames[r]
	}
	return "Reason(?)"
}

// MarshalText returns the name, so that a Reason is a name in JSON and in logs, also as
// the key of a map. It returns an error if r is not a Reason.
func (r Reason) MarshalText() ([]byte, error) {
	if int(r) >= NumReasons {
		return nil, fmt.Errorf("offload: there is no Reason %d", uint8(r))
	}
	return []byte(reasonNames[r]), nil
}

// UnmarshalText sets r to the Reason of a name. It returns an error if there is none.
func (r *Reason) UnmarshalText(name []byte) error {
	for i, n := range reasonNames {
		if n == string(name) {
			*r = Reason(i)
			return nil
		}
	}
	return fmt.Errorf("offload: there is no Reason %q", name)
}
