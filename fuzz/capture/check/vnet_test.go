// SPDX-License-Identifier: MIT

package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// TestRefused makes superpackets that no kernel cuts, one for each reason: check
// names the field, its right value and the rule.
func TestRefused(t *testing.T) {
	tcp, udp := scenario.TCP4(3000), scenario.UDP6(3000)
	type finding struct{ Field, Got, Want, Rule string }
	for name, test := range map[string]struct {
		packet scenario.Packet
		change func(h *pkts.VnetHdr, b []byte) []byte
		want   finding
	}{
		"RSC_INFO":     {tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.Flags |= 4; return b }, finding{"vnet.flags", "5", "1", "V4.rsc_info"}},
		"UFO":          {udp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType = 3; return b }, finding{"vnet.gso_type", "3", "5", "V4.type"}},
		"ECN":          {udp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType |= 0x80; return b }, finding{"vnet.gso_type", "133", "5", "V4.ecn"}},
		"size":         {tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOSize = 0; return b }, finding{"vnet.gso_size", "0", "", "V4.gso_size"}},
		"no csum":      {udp, func(h *pkts.VnetHdr, b []byte) []byte { h.Flags = 0; return b }, finding{"vnet.flags", "0", "1", "V4.needs_csum"}},
		"total":        {tcp, func(_ *pkts.VnetHdr, b []byte) []byte { return append(b, make([]byte, 65536-len(b))...) }, finding{"length", "65536 bytes", "", "V4.total"}},
		"IHL":          {tcp, func(_ *pkts.VnetHdr, b []byte) []byte { b[0] = 0x44; return b }, finding{"ip.version_ihl", "44", "", "V4.ip_header"}},
		"fragment":     {tcp, func(_ *pkts.VnetHdr, b []byte) []byte { b[6] |= 0x20; return b }, finding{"ip.frag", "6000", "", "V4.fragment"}},
		"version":      {tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType = 4; return b }, finding{"vnet.gso_type", "4", "1", "V4.protocol"}},
		"doff":         {tcp, func(_ *pkts.VnetHdr, b []byte) []byte { b[32] = 0x40; return b }, finding{"tcp.header", "3020 bytes", "", "V4.l4_header"}},
		"tunnel":       {udp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType |= packet.GSOTunnel6; return b }, finding{"vnet.outer_th_offset", "0", "40", "V4.tunnel"}},
		"csum_start":   {udp, func(h *pkts.VnetHdr, b []byte) []byte { h.CsumStart = 20; return b }, finding{"vnet.csum_start", "20", "40", "V4.csum_start"}},
		"csum_offset":  {tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.CsumOffset = 6; return b }, finding{"vnet.csum_offset", "6", "16", "V4.csum_offset"}},
		"segments":     {udp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOSize = 10; return b }, finding{"vnet.gso_size", "10", "", "V4.segments"}},
		"range":        {tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType, h.CsumStart = 0, 19; return b }, finding{"vnet.csum_start", "19", "", "V4.csum_range"}},
		"range, start": {tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType, h.CsumStart = 0, 3039; return b }, finding{"vnet.csum_start", "3039", "", "V4.csum_range"}},
		"range, end":   {tcp, func(h *pkts.VnetHdr, b []byte) []byte { h.GSOType, h.CsumOffset = 0, 3019; return b }, finding{"vnet.csum_offset", "3019", "", "V4.csum_range"}},
	} {
		h, b := test.packet.Super(1000)
		b = test.change(&h, b)
		var got []finding
		c := New(Config{}, func(f Finding) {
			if f.Rule == test.want.Rule {
				got = append(got, finding{f.Field, f.Got, f.Want, f.Rule})
			}
		})
		if err := c.Packet(pcap.Packet{Number: 1, Data: b, Comment: pcap.VnetComment(h)}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, append(got, finding{})[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if _, err := model.Segment(model.VnetHdr(h), b); err != model.Refusal(law.Refusal[test.want.Rule]) {
			t.Errorf("%s: the model says %v", name, err)
		}
	}
	for rule, class := range law.Refusal {
		if kind, has := refusals[model.Refusal(class)]; !has || kind.Rule != rule && rule != RefusedECN.Rule {
			t.Errorf("%s: %+v", rule, kind)
		}
	}
}

// TestRefusedAnything judges VnetHdrs with packets that are cut anywhere.
func TestRefusedAnything(t *testing.T) {
	c := New(Config{}, func(f Finding) {
		if f.Field == "" || f.Rule == "" {
			t.Errorf("%+v", f)
		}
	})
	ext := scenario.TCP6(40)
	ext.ExtType, ext.Extensions = 0, []byte{0, 0, 1, 4, 0, 0, 0, 0}
	for _, p := range []scenario.Packet{scenario.TCP4(40), scenario.TCP6(40), scenario.UDP4(40), scenario.UDP6(40), ext} {
		h, b := p.Super(10)
		for n := range len(b) {
			for _, kind := range []uint8{0, 1, 2, 4, 5, 0x80, 0x81, 0x85} {
				h.GSOType = kind
				if err := c.Packet(pcap.Packet{Number: n + 1, Data: b[:n], Comment: pcap.VnetComment(h)}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
