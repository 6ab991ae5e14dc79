package targets

import (
	"bytes"
	"io"
	"strings"
	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/law"
)

// Pkts checks that what Parse reads is written so that it reads the same.
func Pkts(b []byte) error {
	c, err := pkts.Parse("fuzz", b)
	if err != nil {
		return nil
	}
	text := pkts.Format(c)
	again, err := pkts.Parse("formatted", text)
	if err != nil {
		return law.Violatedf("pkts", "Parse does not read what Format wrote: %v", err)
	}
	if second := pkts.Format(again); string(second) != string(text) {
		return law.Violatedf("pkts", "Format writes a case that it wrote and Parse read otherwise")
	}
	return nil
}

// Pcap checks that what the reader takes is written, in every form, so that it
// reads the same.
func Pcap(b []byte) error {
	packets, _, err := pcap.ReadAll(bytes.NewReader(b))
	if err != nil {
		if !strings.HasPrefix(err.Error(), "offset ") {
			return law.Violatedf("pcap", "an error that names no offset: %v", err)
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
			return law.Violatedf("pcap", "writing to memory: %v", err)
		}
		if err := readAs(packets, &file); err != nil {
			return err
		}
	}
	var file bytes.Buffer
	if err := pcap.Write(&file, packets); err != nil {
		return law.Violatedf("pcap", "Write to memory: %v", err)
	}
	return readAs(packets, &file)
}

// readAs checks that a capture has these packets.
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
