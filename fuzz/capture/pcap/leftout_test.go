// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"testing"
	"time"
)

// TestLeftOut checks that records without a packet are counted: the numbers of the packets
// are those of another capture.
func TestLeftOut(t *testing.T) {
	for _, format := range []Format{Classic, NG} {
		var file bytes.Buffer
		w, err := NewWriter(&file, format)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_700_000_000, 5)
		for _, write := range []func() error{
			func() error { return w.WriteLeftOut(at) },
			func() error { return w.Write(Packet{Time: at, Data: ip4}) },
			func() error { return w.WriteLeftOut(time.Unix(-1, 0)) },
			func() error { return w.WriteLeftOut(at) },
			func() error { return w.Write(Packet{Time: at, Data: ip6}) },
		} {
			if err := write(); err != nil {
				t.Fatal(err)
			}
		}
		packets, skipped := read(t, file.Bytes())
		if len(packets) != 2 || packets[0].Number != 2 || packets[1].Number != 5 || !bytes.Equal(packets[1].Data, ip6) || !packets[1].Time.Equal(at) {
			t.Errorf("format %d: %v", format, packets)
		}
		if len(skipped) != 3 || skipped[2] != (Skipped{4, "cut by the capture to 0 of 1 bytes"}) {
			t.Errorf("format %d: %v", format, skipped)
		}
	}
}
