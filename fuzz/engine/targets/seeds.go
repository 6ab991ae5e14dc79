// SPDX-License-Identifier: MIT

package targets

import (
	"bytes"
	"crypto/sha256"

	"tunproof/corpus"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// These limit the size of a seed in bytes, encoded and as packets: large seeds slow an
// engine down. The corpus test runs every case, whatever its size.
const maxSeed, maxPackets = 512, 2048

// quick reports whether a scenario is small enough for a seed. Batches of two packets and
// superpackets of more than 65,535 bytes, which are refused, may exceed maxPackets.
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

// Seeds returns the inputs that an engine starts from: the cases of the corpus in the form
// that the target reads. Cases that are too large are left out.
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

// scenarioSeed returns the packets of a case as an encoded scenario.
func scenarioSeed(c *pkts.Case, _ int) ([]byte, error) {
	if c.Op == pkts.OpChecksum {
		return nil, nil
	}
	return scenario.Encode(scenario.FromCase(c)), nil
}

// textSeed returns the text of a case.
func textSeed(c *pkts.Case, _ int) ([]byte, error) { return pkts.Format(c), nil }

// checksumSeed returns the data of a checksum case as law.Checksum reads it.
func checksumSeed(c *pkts.Case, _ int) ([]byte, error) {
	if c.Op != pkts.OpChecksum {
		return nil, nil
	}
	in := c.Batches[0].In[0]
	return append([]byte{byte(in.Seed), byte(in.Seed >> 8), 0}, in.Data...), nil
}

// faultSeed returns the number of a fault, and numbers from which traffic is drawn. They are
// made from the bytes of the case.
func faultSeed(c *pkts.Case, n int) ([]byte, error) {
	sum := sha256.Sum256(pkts.Format(c))
	return append([]byte{byte(n)}, sum[:]...), nil
}

// captureSeed returns the packets of a case as a capture: a pcapng file with comments if n
// is even, and a pcap file if it is odd.
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
