// SPDX-License-Identifier: MIT

package targets

import (
	"bytes"
	"io"
	"strings"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/law"
)

// Pkts checks the parser of cases on any text: a case that it reads must be the same after
// it is formatted and read again.
func Pkts(b []byte) error {
	c, err := pkts.Parse("fuzz", b)
	if err != nil {
		return nil
	}
	text := pkts.Format(c)
	again, err := pkts.Parse("formatted", text)
	if err != nil {
		return law.Violatedf("pkts", "Parse refuses the text that Format wrote: %v", err)
	}
	if second := pkts.Format(again); string(second) != string(text) {
		return law.Violatedf("pkts", "a formatted case is different after it is parsed and formatted again")
	}
	return nil
}

// Pcap checks the reader of captures on any bytes. The packets that it reads are written
// as pcap and as pcapng, and must be the same when they are read again. An error of the
// reader must begin with an offset. Pcap returns nil or a *Violation.
func Pcap(b []byte) error {
	packets, _, err := pcap.ReadAll(bytes.NewReader(b))
	if err != nil {
		if !strings.HasPrefix(err.Error(), "offset ") {
			return law.Violatedf("pcap", "an error does not name an offset: %v", err)
		}
		return nil
	}
	for _, f := range []pcap.Format{pcap.Classic, pcap.NG} {
		var file bytes.Buffer
		w, err := pcap.NewWriter(&file, f)
		for _, p := range packets {
			if err == nil {
				err = w.Write(p)
			}
		}
		if err != nil {
			return law.Violatedf("pcap", "the Writer fails in memory: %v", err)
		}
		if err := readAs(packets, &file); err != nil {
			return err
		}
	}
	var file bytes.Buffer
	if err := pcap.Write(&file, packets); err != nil {
		return law.Violatedf("pcap", "Write fails in memory: %v", err)
	}
	return readAs(packets, &file)
}

// readAs checks that file is a capture of exactly these packets.
func readAs(packets []pcap.Packet, file io.Reader) error {
	again, skipped, err := pcap.ReadAll(file)
	if err != nil || len(skipped) > 0 || len(again) != len(packets) {
		return law.Violatedf("pcap", "%d packets written, %d read, %d skipped: %v", len(packets), len(again), len(skipped), err)
	}
	for i := range packets {
		if !bytes.Equal(packets[i].Data, again[i].Data) {
			return law.Mismatchf("pcap", packets[i].Data, again[i].Data, "packet %d", i)
		}
	}
	return nil
}
