// SPDX-License-Identifier: MIT

package law

import "encoding/binary"

// identity is what decides whether two packets conflict (C4). The judge of order reads it
// from the bytes by itself. With the model's Identity, an error there would go unnoticed.
type identity struct {
	pair string // version, source and destination; "" without addresses
	flow string // protocol and ports; "" without a flow
}

// identify returns the identity of a packet.
func identify(b []byte) (id identity) {
	var l4 []byte
	var proto byte
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		id.pair, proto = "4"+string(b[12:20]), b[9]
		if b[0]&15 == 5 && binary.BigEndian.Uint16(b[6:])&0x3FFF == 0 { // no options, no fragment
			l4 = b[20:]
		}
	case len(b) >= 40 && b[0]>>4 == 6:
		id.pair, proto, l4 = "6"+string(b[8:40]), b[6], b[40:]
	}
	if (proto == 6 || proto == 17) && len(l4) >= 4 {
		id.flow = string(proto) + string(l4[:4])
	}
	return id
}

// conflicts reports whether two packets must keep their order.
func (p identity) conflicts(q identity) bool {
	return p.pair != "" && p.pair == q.pair && (p.flow == q.flow || p.flow == "" || q.flow == "")
}
