// SPDX-License-Identifier: MIT

package check

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// TestFolded damages the checksums of some packets. Those with one cause share a line, which
// lists the packets and no others. Without a known cause, those that are off by as much do.
func TestFolded(t *testing.T) {
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, pcap.Classic)
	if err != nil {
		t.Fatal(err)
	}
	p := scenario.UDP4(100)
	for n := 1; n <= 20; n++ {
		b := p.Bytes()
		sum := b[26:28]
		switch n {
		case 3, 4, 5, 17: // swapped
			sum[0], sum[1] = sum[1], sum[0]
		case 8, 9:
			sum[0] ^= 0x5b
			sum[1] ^= byte(n)
		}
		if err := w.Write(pcap.Packet{Data: b}); err != nil {
			t.Fatal(err)
		}
		p = p.Next(100)
	}
	in, err := capture.Open("-", &file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r, err := File(context.Background(), io.Discard, in, Options{Most: 100})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r.Print(&out)
	for _, want := range []string{"standard input: 20 packets", "\npackets 3-5, 17 (4 times): udp.checksum", "\npacket 8: ", "\npacket 9: "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestCertainEach checks that Each gets the findings that the report has, also without the
// suspect ones.
func TestCertainEach(t *testing.T) {
	for _, certain := range []bool{false, true} {
		var file bytes.Buffer
		w, err := pcap.NewWriter(&file, pcap.Classic)
		if err != nil {
			t.Fatal(err)
		}
		absent, wrong := scenario.UDP6(100), scenario.UDP6(100).Bytes()
		absent.NoCsum = true // suspect: RFC 6935 allows it for tunnels
		wrong[46] ^= 1
		for _, b := range [][]byte{absent.Bytes(), wrong} {
			if err := w.Write(pcap.Packet{Data: b}); err != nil {
				t.Fatal(err)
			}
		}
		in, err := capture.Open("-", &file)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		var each []bool
		_, err = File(context.Background(), io.Discard, in, Options{Most: 9, Certain: certain, Each: func(f Finding) { each = append(each, f.Suspect) }})
		if err != nil {
			t.Fatal(err)
		}
		want := []bool{true, false}
		if certain {
			want = want[1:]
		}
		if !slices.Equal(each, want) {
			t.Errorf("certain %v: suspect %v, want %v", certain, each, want)
		}
	}
}

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
