// SPDX-License-Identifier: MIT

package targets

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/anonymise"
	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/hexdump"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/capture/trial"
	"tunproof/fuzz/law"
	"tunproof/fuzz/scenario"
)

// Hexdump checks the parser of packets as text on any text. A packet that it reads must
// read the same when it is written as hex in a case, and an error must name a line.
func Hexdump(b []byte) error {
	packets, err := hexdump.Parse(b)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "line ") {
			return law.Violatedf("hexdump", "an error does not name a line: %v", err)
		}
		return nil
	}
	for i, p := range packets {
		if len(p.Data) == 0 {
			continue
		}
		text := pkts.Format(&pkts.Case{Op: pkts.OpCoalesce, Why: "w", Source: "s", Batches: []pkts.Batch{{In: []pkts.In{{Data: p.Data}}}}})
		c, err := pkts.Parse("hexdump", text)
		if err != nil || !bytes.Equal(c.Batches[0].In[0].Data, p.Data) {
			return law.Violatedf("hexdump", "packet %d, of line %d, does not read the same from a case: %v", i, p.Line, err)
		}
	}
	return nil
}

// Judges checks the packages check, compare and anonymise on any packets. None may return
// an error, a capture compared with itself must give no finding, and an anonymised packet
// must keep its length.
func Judges(s *scenario.Scenario) error {
	packets := asCapture(s)
	c := check.New(check.Config{}, func(check.Finding) {})
	var err error
	m := compare.New(compare.Config{}, func(f compare.Finding) { err = law.Violatedf("judges", "comparing a capture with itself finds: %v", f) })
	for _, p := range packets {
		if err := c.Packet(p); err != nil {
			return law.Violatedf("judges", "check: %v", err)
		}
		for side := range 2 {
			if err := m.Add(side, p); err != nil {
				return law.Violatedf("judges", "compare: %v", err)
			}
		}
	}
	c.Finish()
	if e := m.Finish(context.Background()); e != nil || err != nil {
		return errors.Join(e, err)
	}
	a, err := anonymise.New(0)
	if err != nil {
		return err
	}
	for _, p := range packets {
		if q, err := a.Packet(p); err != nil || len(q.Data) != len(p.Data) {
			return law.Violatedf("judges", "anonymise: a packet of %d bytes becomes one of %d: %v", len(p.Data), len(q.Data), err)
		}
	}
	return nil
}

// Faults draws traffic, with b in place of random numbers, and plants a fault in it. check
// must find something in each packet of the fault, and nothing certain in the traffic before.
func Faults(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	faults := trial.Faults()
	f := faults[int(b[0])%len(faults)]
	wrong, err := trial.Once(f, trial.Bytes(b[1:]))
	if err != nil {
		return law.Violatedf("faults", "%v", err)
	}
	if wrong != "" {
		return law.Violatedf("faults", "%s: %s", f.Name, wrong)
	}
	return nil
}

// asCapture returns the packets of a scenario one after another. Superpackets have their
// VnetHdr as comment.
func asCapture(s *scenario.Scenario) []pcap.Packet {
	var packets []pcap.Packet
	add := func(b []byte, comment string) {
		packets = append(packets, pcap.Packet{Number: len(packets) + 1, Data: b, Comment: comment})
	}
	for _, batch := range s.Batches {
		for _, b := range batch {
			add(b, "")
		}
	}
	for _, p := range s.Supers {
		add(p.Data, pcap.VnetComment(p.Hdr))
	}
	return packets
}
