// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"tunproof/fuzz/conform"
)

// known has the ways to violate a property that docs/findings.md lists. They were found by
// reading and by examples, before package conform existed. The keys are those of
// violations that generated input shows. A violation with another key is new.
var known = []struct {
	id, about string
	keys      []string // prefixes of Violation.Key
}{
	{"A", "IPv4 IDs of TCP without DF that do not increase by one come back increasing", []string{"P2: ip.id changes, TCP without DF"}},
	{"A2", "equal or arbitrary IDs of TCP with DF come back increasing", []string{"P2: ip.id changes, TCP with DF"}},
	{"A3", "IDs of UDP come back increasing", []string{"P2: ip.id changes, UDP"}},
	{"B", "a wrong IPv4 header checksum is repaired", []string{"P5: IPv4 header checksum repaired"}},
	{"C", "the window of later packets is lost", []string{"P2: tcp.window changes"}},
	{"D", "the urgent pointer of later packets is lost", []string{"P2: tcp.urgent_pointer changes"}},
	{"E", "reserved bits and AE of later packets are lost", []string{"P2: tcp.doff changes"}},
	{"F", "the flow label of later packets is lost", []string{"P2: ip.version_tc_label changes"}},
	{"G", "TCP checksum 0xFFFF becomes 0x0000", []string{"P2: tcp.checksum changes from ffff"}},
	{"L", "UDP checksum 0xFFFF becomes 0x0000", []string{"P2: udp.checksum changes from ffff", "P5: UDP checksum becomes none"}},
	{"H", "an absent UDP checksum is invented", []string{"P5: UDP checksum invented"}},
	{"I", "a surplus area after a datagram is deleted", []string{"P2: ip.total_length changes, UDP", "P2: ip.payload_length changes, UDP"}},
	{"I2", "a surplus area becomes payload", []string{"P2: udp.length changes, UDP"}},
	{"J", "PSH is lost when a packet joins in front", []string{"P2: tcp.flags changes: PSH lost"}},
	{"J2", "TCP data that arrived out of order changes places", []string{"P3: TCP data overtakes TCP data"}},
	{"M", "a datagram overtakes an empty one", []string{"P3: a datagram overtakes an empty datagram"}},
	{"M2", "a datagram overtakes one with IP options", []string{"P3: a datagram overtakes a packet with IP options"}},
	{"M3", "a datagram overtakes a fragment", []string{"P3: a datagram overtakes a fragment"}},
	{"M4", "TCP data overtakes a RST", []string{"P3: TCP data overtakes a RST"}},
	{"M5", "TCP data overtakes a pure ACK", []string{"P3: TCP data overtakes a pure ACK"}},
	{"N", "a wrong TCP checksum is repaired", []string{"P5: TCP checksum repaired"}},
	{"N2", "a wrong UDP checksum is repaired", []string{"P5: UDP checksum repaired"}},
	{"O", "more than 65,535 bytes are joined", []string{"P11: a superpacket that is refused: TooLong"}},
	{"S1", "the IPv6 length of segments leaves out the extension headers", []string{"P4: ip.payload_length is another"}},
	{"S2", "every segment has CWR", []string{"P4: tcp.flags is another: CWR new"}},
	{"S3", "a malformed superpacket causes a panic", []string{"P1: Segment panics"}},
	{"W1", "an empty packet, or other data that is not IP, loses the batch", []string{"P2: an error loses the batch"}},
	{"W2", "many flows in one batch cause a panic", []string{"P1: Coalesce panics"}},
	{"V1", "Flush leaves packets behind", []string{"P2: bytes of a TCP flow do not come out"}},
}

// rediscovered returns the first violation that was found with one of the keys, or nil.
func (r result) rediscovered(keys []string) (soonest *conform.Found) {
	for i, f := range r.Found {
		if slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(f.Key(), k) }) && (soonest == nil || f.Seconds < soonest.Seconds) {
			soonest = &r.Found[i]
		}
	}
	return soonest
}

// isNew reports whether a violation has no known key.
func isNew(v conform.Violation) bool {
	for _, k := range known {
		if slices.ContainsFunc(k.keys, func(key string) bool { return strings.HasPrefix(v.Key(), key) }) {
			return false
		}
	}
	return true
}

// knownTable writes a table of the seconds until each known way was rediscovered, and the
// number of other violations.
func knownTable(w io.Writer, results []result) {
	fmt.Fprint(w, "| | known way (docs/findings.md); seconds until it was found |")
	for _, r := range results {
		fmt.Fprintf(w, " %s |", r.Impl)
	}
	fmt.Fprint(w, "\n|---|---|", strings.Repeat("---|", len(results)), "\n")
	counts := make([]int, len(results))
	for _, k := range known {
		fmt.Fprintf(w, "| %s | %s |", k.id, k.about)
		for i, r := range results {
			cell := ""
			if f := r.rediscovered(k.keys); f != nil {
				counts[i]++
				cell = fmt.Sprintf("%.1f", f.Seconds)
			}
			fmt.Fprintf(w, " %s |", cell)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "| | known ways found |")
	for _, n := range counts {
		fmt.Fprintf(w, " %d |", n)
	}
	fmt.Fprint(w, "\n| | other violations |")
	for _, r := range results {
		n := 0
		for _, f := range r.Found {
			if isNew(f.Violation) {
				n++
			}
		}
		fmt.Fprintf(w, " %d |", n)
	}
	fmt.Fprintln(w)
}
