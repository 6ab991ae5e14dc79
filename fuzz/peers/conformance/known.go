package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"tunproof/fuzz/conform"
)

// known are ways to violate a property that docs/findings.md lists, found by reading and
// by examples before there was this package, with the keys under which generated input
// shows them. What was found and is none of these is new.
var known = []struct {
	id, about string
	keys      []string // beginnings of Violation.Key
}{
	{"A", "IPv4 IDs of TCP without DF that do not count up come back counting", []string{"P2: ip.id changes, TCP without DF"}},
	{"A2", "equal or other IDs of TCP with DF come back counting", []string{"P2: ip.id changes, TCP with DF"}},
	{"A3", "IDs of UDP come back counting", []string{"P2: ip.id changes, UDP"}},
	{"B", "a wrong IPv4 header checksum becomes right", []string{"P5: IPv4 header checksum repaired"}},
	{"C", "the window of later packets is lost", []string{"P2: tcp.window changes"}},
	{"D", "the urgent pointer of later packets is lost", []string{"P2: tcp.urgent_pointer changes"}},
	{"E", "reserved bits and AE of later packets are lost", []string{"P2: tcp.doff changes"}},
	{"F", "the flow label of later packets is lost", []string{"P2: ip.version_tc_label changes"}},
	{"G", "TCP checksum 0xFFFF becomes 0x0000", []string{"P2: tcp.checksum changes from ffff"}},
	{"L", "UDP checksum 0xFFFF becomes 0x0000", []string{"P2: udp.checksum changes from ffff", "P5: UDP checksum becomes none"}},
	{"H", "an absent UDP checksum is invented", []string{"P5: UDP checksum invented"}},
	{"I", "a surplus area behind a datagram is deleted", []string{"P2: ip.total_length changes, UDP", "P2: ip.payload_length changes, UDP"}},
	{"I2", "a surplus area becomes payload", []string{"P2: udp.length changes, UDP"}},
	{"J", "PSH is lost when a packet joins in front", []string{"P2: tcp.flags changes: PSH lost"}},
	{"J2", "TCP data that came out of order changes places", []string{"P3: TCP data overtakes TCP data"}},
	{"M", "a datagram overtakes an empty one", []string{"P3: a datagram overtakes an empty datagram"}},
	{"M2", "a datagram overtakes one with IP options", []string{"P3: a datagram overtakes a packet with IP options"}},
	{"M3", "a datagram overtakes a fragment", []string{"P3: a datagram overtakes a fragment"}},
	{"M4", "TCP data overtakes a RST", []string{"P3: TCP data overtakes a RST"}},
	{"M5", "TCP data overtakes a pure ACK", []string{"P3: TCP data overtakes a pure ACK"}},
	{"N", "a wrong TCP checksum becomes right", []string{"P5: TCP checksum repaired"}},
	{"N2", "a wrong UDP checksum becomes right", []string{"P5: UDP checksum repaired"}},
	{"O", "more than 65,535 bytes are joined", []string{"P11: a superpacket that is refused: TooLong"}},
	{"S1", "IPv6 segments are short by the extension headers", []string{"P4: ip.payload_length is another"}},
	{"S2", "CWR is on every segment", []string{"P4: tcp.flags is another: CWR new"}},
	{"S3", "a malformed superpacket panics", []string{"P1: Segment panics"}},
	{"W1", "an empty packet, or another that is none, loses the batch", []string{"P2: an error loses the batch"}},
	{"W2", "many flows in one batch panic", []string{"P1: Coalesce panics"}},
	{"V1", "Flush leaves packets behind", []string{"P2: bytes of a TCP flow do not come out"}},
}

// rediscovered returns what was found of a known way, the soonest, and nil if nothing was.
func (r result) rediscovered(keys []string) (soonest *conform.Found) {
	for i, f := range r.Found {
		if slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(f.Key(), k) }) && (soonest == nil || f.Seconds < soonest.Seconds) {
			soonest = &r.Found[i]
		}
	}
	return soonest
}

// isNew says whether a violation is of no known way.
func isNew(v conform.Violation) bool {
	for _, k := range known {
		if slices.ContainsFunc(k.keys, func(key string) bool { return strings.HasPrefix(v.Key(), key) }) {
			return false
		}
	}
	return true
}

// knownTable writes which known ways were rediscovered, after how many seconds, and how
// many others were found.
func knownTable(w io.Writer, results []result) {
	fmt.Fprint(w, "| | known before (docs/findings.md): found after so many seconds |")
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
	fmt.Fprint(w, "| | rows |")
	for _, n := range counts {
		fmt.Fprintf(w, " %d |", n)
	}
	fmt.Fprint(w, "\n| | others |")
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
