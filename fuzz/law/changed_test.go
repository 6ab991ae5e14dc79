// SPDX-License-Identifier: MIT

package law

import (
	"testing"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// TestChangedWith checks that a wrong join is reported with the field that does not come back.
// Campaigns keep one finding for each field.
func TestChangedWith(t *testing.T) {
	for field, change := range map[string]func(p *scenario.Packet){
		"ip.ttl":     func(p *scenario.Packet) { p.TTL++ },
		"ip.tos":     func(p *scenario.Packet) { p.TOS = 4 },
		"tcp.window": func(p *scenario.Packet) { p.Window++ },
		"tcp.ack":    func(p *scenario.Packet) { p.Ack++ },
	} {
		p := scenario.TCP4(100)
		q := p.Next(100)
		change(&q)
		batch := [][]byte{p.Bytes(), q.Bytes()}
		h, whole := model.Join(batch, []int{0, 1})
		supers := []Super{{Super: scenario.Super{Hdr: pkts.VnetHdr(h), Data: whole}, Members: []int{0, 1}}}
		was, is := changedWith(batch, supers, 1)
		if d := packet.Diff(was, is); len(d) == 0 || d[0].Field != field {
			t.Errorf("%s: %v", field, d)
		}
		if was, is := changedWith(batch, nil, 1); was != nil || is != nil {
			t.Errorf("%s: of no superpacket, %x, %x", field, was, is)
		}
	}
}
