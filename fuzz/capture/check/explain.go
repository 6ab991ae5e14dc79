// SPDX-License-Identifier: MIT

package check

import (
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// Cause is an error that makes a checksum wrong.
type Cause struct {
	Text  string
	Value uint16 // what a program with this error writes
}

// Explanation is the judgement of one checksum of a packet.
type Explanation struct {
	Wrong  bool    // whether Packet reports it as wrong; if not, the rest is zero
	Want   uint16  // the right value
	Text   string  // what Packet says of the cause; "" if no cause is known
	Causes []Cause // every cause that Packet looks at, in its order
}

// Explain returns the judgement of the IPv4 header checksum of a packet, and of its TCP or
// UDP checksum. Packet(in) would report the same. Explain does not change what the Checker
// knows.
func (c *Checker) Explain(in pcap.Packet) (header, l4 Explanation) {
	quiet := *c
	quiet.emit = func(Finding) {}
	p, err := quiet.judged(in)
	if err != nil || p.Version == 0 {
		return
	}
	f := c.flow(p.Flow(p.b)) // that of the two addresses, if there are no ports
	known := *f
	defer func() { *f = known }() // the causes remember what they saw
	p.length(f)
	p.sizes = f.sizes
	if p.Version == 4 {
		if got, want, right := p.headerSum(); !right {
			header = Explanation{Wrong: true, Want: want}
			p.causes = &header.Causes
			header.Text, _ = p.headerCauses(f, got)
		}
	}
	if !p.summed() {
		return
	}
	if p.Proto == 17 {
		if p.udpLength(f); p.whole {
			return
		}
	}
	p.causes = &l4.Causes
	switch s := p.SumOf(p.b, p.end); {
	case p.partial():
		if l4.Wrong = !rightPartial(s); l4.Wrong {
			l4.Want, l4.Text = s.Partial, p.partialCauses(f, s)
		}
	case s.Class == packet.Wrong:
		l4.Wrong, l4.Want, l4.Text = true, s.Want, p.l4Causes(f, s)
	}
	return
}

// CauseOf returns the cause of the wrong TCP or UDP checksum of an IP packet, which its bytes
// alone show, "" if none is known. Other packets of its flow are taken as right.
func CauseOf(b []byte) string {
	c := New(Config{}, func(Finding) {})
	c.flow(packet.Parse(b).Flow(b)).checksummed = true
	_, l4 := c.Explain(pcap.Packet{Number: 1, Data: b})
	return l4.Text
}
