// Package seeds is what engines start from: the cases of the corpus, in the form that
// each fuzz target reads.
package seeds

import (
	"bytes"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/pcap"
	"tunproof/fuzz/scenario"
)

// Large seeds slow an engine down more than they teach it: of those above
// maxSeed bytes, or maxPackets bytes as packets, only the shortest batches are
// seeds, and a superpacket that is refused as too long. The corpus test runs them
// all.
const maxSeed, maxPackets = 512, 2048

func quick(s scenario.Scenario) bool {
	n, total := 0, 0
	for _, batch := range s.Batches {
		for _, p := range batch {
			n, total = n+1, total+len(p)
		}
	}
	for _, p := range s.Supers {
		total += len(p.Data)
	}
	return total <= maxPackets || n == 2 || len(s.Supers) == 1 && total > 65535
}

// Of returns the seeds of a target, by its name.
func Of(name string) ([][]byte, error) {
	cases, err := corpus.Cases()
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for _, c := range cases {
		var b []byte
		switch {
		case name == "Pkts", name == "Hexdump":
			b = pkts.Format(c.Case)
		case name == "Checksum" && c.Op == pkts.OpChecksum:
			in := c.Batches[0].In[0]
			b = append([]byte{byte(in.Seed), byte(in.Seed >> 8), 0}, in.Data...)
		case name == "Pcap" && c.Op == pkts.OpCoalesce:
			if b, err = capture(c.Case, len(list)%2 == 0); err != nil {
				return nil, err
			}
		case name != "Checksum" && name != "Pcap" && c.Op != pkts.OpChecksum:
			b = scenario.Encode(scenario.FromCase(c.Case))
		}
		if b != nil && len(b) <= maxSeed && quick(scenario.FromCase(c.Case)) {
			list = append(list, b)
		}
	}
	return list, nil
}

// capture is a case's packets as a pcap file, or as a pcapng file with a comment.
func capture(c *pkts.Case, ng bool) ([]byte, error) {
	format := pcap.Classic
	if ng {
		format = pcap.NG
	}
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, format)
	for _, in := range c.Batches[0].In {
		if err == nil {
			err = w.Write(pcap.Packet{Data: in.Data, Comment: "c"})
		}
	}
	return file.Bytes(), err
}
