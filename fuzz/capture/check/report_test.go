// SPDX-License-Identifier: MIT

package check

import (
	"io"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// TestInside checks that a report says of tunnels without a VnetHdr that what is in them was
// not judged.
func TestInside(t *testing.T) {
	p := scenario.UDP4(100)
	list := []pcap.Packet{{Number: 1, Data: p.Bytes()}}
	for i, port := range []uint16{4789, 6081, 2152} {
		p := p.Next(100)
		p.DstPort = port
		list = append(list, pcap.Packet{Number: i + 2, Data: p.Bytes()})
	}
	r, err := File(t.Context(), io.Discard, capture.Of("tunnels", list), Options{Most: 10})
	if err != nil || !slices.ContainsFunc(r.Notes, func(s string) bool { return strings.HasPrefix(s, "3 datagrams of VXLAN, Geneve or GTP: ") }) {
		t.Errorf("%v, %q", err, r.Notes)
	}
}
