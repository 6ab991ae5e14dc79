// SPDX-License-Identifier: MIT

package law

import (
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// Mode is a named configuration of Coalesce.
type Mode struct {
	Name   string
	Config pkts.Config
}

// Modes are the configurations that captures are run with.
var Modes = []Mode{
	{"in order", pkts.Config{}},
	{"in order, atomic IDs", pkts.Config{AtomicIDs: true}},
	{"reorder", pkts.Config{Reorder: true}},
	{"reorder, atomic IDs", pkts.Config{Reorder: true, AtomicIDs: true}},
}

// Orders returns the modes without AtomicIDs. In these, packets come back equal in every
// byte.
func Orders() []Mode { return []Mode{Modes[0], Modes[2]} }

// Capture returns a scenario with the packets of a capture, in batches of n.
func Capture(packets []pcap.Packet, n int, c pkts.Config) scenario.Scenario {
	s := scenario.Scenario{Config: c}
	for at := 0; at < len(packets); at += n {
		var batch [][]byte
		for _, p := range packets[at:min(at+n, len(packets))] {
			batch = append(batch, p.Data)
		}
		s.Batches = append(s.Batches, batch)
	}
	return s
}

// MeanSegments returns the mean number of packets in a superpacket, as production
// coalesces the scenario's batches. A lone packet counts as a superpacket of one.
func MeanSegments(s *scenario.Scenario) float64 {
	co := NewCoalescer(s.Config)
	packets, supers := 0, 0
	for _, batch := range s.Batches {
		packets += len(batch)
		supers += len(co.Coalesce(batch))
	}
	return float64(packets) / float64(max(1, supers))
}
