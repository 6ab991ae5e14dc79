package law

import (
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// Mode is a configuration with a name.
type Mode struct {
	Name   string
	Config pkts.Config
}

// Modes are the ways of coalescing that captures are run in.
var Modes = []Mode{
	{"in order", pkts.Config{}},
	{"in order, atomic IDs", pkts.Config{AtomicIDs: true}},
	{"reorder", pkts.Config{Reorder: true}},
	{"reorder, atomic IDs", pkts.Config{Reorder: true, AtomicIDs: true}},
}

// Orders are the modes that compare all of every packet.
func Orders() []Mode { return []Mode{Modes[0], Modes[2]} }

// Capture returns the packets of a capture as batches of n.
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

// MeanSegments returns how many packets production puts in a superpacket, on
// average over all superpackets of the scenario, lone packets too.
func MeanSegments(s *scenario.Scenario) float64 {
	co := NewCoalescer(s.Config)
	packets, supers := 0, 0
	for _, batch := range s.Batches {
		packets += len(batch)
		supers += len(co.Coalesce(batch))
	}
	return float64(packets) / float64(max(1, supers))
}
