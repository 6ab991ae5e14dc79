package targets

import (
	"bytes"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// Large seeds slow an engine down more than they teach it. Of those above maxSeed
// bytes, or maxPackets bytes as packets, only two kinds are seeds: the shortest
// batches, and a superpacket that is refused as too long. The corpus test runs
// them all.
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

// Seeds returns what an engine starts from: the cases of the corpus in the form
// that the target reads.
func (t Target) Seeds() ([][]byte, error) {
	cases, err := corpus.Cases()
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for _, c := range cases {
		b, err := t.Seed(c.Case, len(list))
		if err != nil {
			return nil, err
		}
		if b != nil && len(b) <= maxSeed && quick(scenario.FromCase(c.Case)) {
			list = append(list, b)
		}
	}
	return list, nil
}

// scenarioSeed is a case's packets as a scenario.
func scenarioSeed(c *pkts.Case, _ int) ([]byte, error) {
	if c.Op == pkts.OpChecksum {
		return nil, nil
	}
	return scenario.Encode(scenario.FromCase(c)), nil
}

// textSeed is a case's text.
func textSeed(c *pkts.Case, _ int) ([]byte, error) { return pkts.Format(c), nil }

// checksumSeed is a checksum case's bytes, as law.Checksum reads them.
func checksumSeed(c *pkts.Case, _ int) ([]byte, error) {
	if c.Op != pkts.OpChecksum {
		return nil, nil
	}
	in := c.Batches[0].In[0]
	return append([]byte{byte(in.Seed), byte(in.Seed >> 8), 0}, in.Data...), nil
}

// captureSeed is a case's packets as a pcap file, every other one as a pcapng file
// with comments.
func captureSeed(c *pkts.Case, n int) ([]byte, error) {
	if c.Op != pkts.OpCoalesce {
		return nil, nil
	}
	format := pcap.Classic
	if n%2 == 0 {
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
