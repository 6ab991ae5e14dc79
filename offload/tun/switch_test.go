// SPDX-License-Identifier: MIT

//go:build linux

package tun

import (
	"testing"

	"tunproof/model"
	"tunproof/offload"
)

// TestRefusedAndBack refuses superpackets of each protocol, and of more than 64 datagrams,
// and then takes them again. Each is switched off, alone, until it is switched on.
func TestRefusedAndBack(t *testing.T) {
	type refusal struct {
		of   Protocols
		most int // packets of a superpacket that is taken
	}
	for _, r := range []refusal{{TCPv4, 1}, {TCPv6, 1}, {UDP, 1}, {UDP, maxOldUDP}} {
		w := newWorld(newSim(t), Config{Coalesce: offload.Config{MaxUDPSegments: 128}}, false)
		x := w.queues[0]
		// joined writes 70 packets of each protocol, and returns the protocols of its
		// superpackets, and the packets of the longest of UDP.
		joined := func() (of Protocols, longest int) {
			for flow := range 4 {
				var batch []outgoing
				for range 70 {
					batch = append(batch, outgoing{flow, w.packet(flow, 100)})
				}
				if err := x.writeBatch(batch); err != nil {
					t.Fatal(err)
				}
				for _, a := range x.d.written {
					p := protocolOf(offload.GSOType(a.hdr.GSOType))
					if a.err == nil {
						of |= p
					}
					if a.err == nil && p == UDP {
						longest = max(longest, len(a.packets))
					}
				}
			}
			return of, longest
		}
		check := func(when string, of Protocols, longest int) {
			t.Helper()
			if o, l := joined(); o != of || l != longest {
				t.Errorf("%v over %d refused: %s: superpackets of %v, the longest of UDP has %d; want %v, %d", r.of, r.most, when, o, l, of, longest)
			}
			w.check()
		}
		check("before", allProtocols, 70)
		w.link.refuses = func(h model.VnetHdr, n int) bool { return protocolOf(offload.GSOType(h.GSOType)) == r.of && n > r.most }
		left, longest := allProtocols&^r.of, 70
		if r.of == UDP {
			longest = 0
		}
		if r.most > 1 {
			left, longest = allProtocols, maxOldUDP
		}
		joined() // the first is refused
		check("after", left, longest)
		w.link.refuses = nil
		check("taken, but not switched on", left, longest)
		w.setDisabled(allProtocols&^r.of, false)
		check("others switched on", left, longest)
		w.setDisabled(r.of, false)
		check("switched on", allProtocols, 70)
		w.finish()
	}
}
