package check

import (
	"encoding/binary"
	"fmt"
	"strings"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// headerChecksum judges the checksum of the IPv4 header.
func (p *judged) headerChecksum(f *flow) {
	hdrLen := 4 * int(p.b[0]&15)
	sum := uint16(model.Sum(p.b[:10], p.b[12:hdrLen]))
	got, want := p.u16(10), ^sum
	if got == want || got == 0xFFFF && want == 0 {
		return
	}
	g := guesses{delta: minus(^got, sum), got: got}
	g.form(sum)
	if got == 0 {
		g.add(true, "it was never filled in")
	}
	g.near(int(p.b[8])<<8, int(p.b[8])<<8+0x100, "the TTL were one more: the packet was forwarded without updating the checksum")
	for ecn := range 4 {
		now := int(p.b[1] & 3)
		g.near(now, ecn, "the ECN bits were "+fmt.Sprintf("%02b", ecn))
	}
	if f.last.number > 0 && f.last.version == 4 {
		of := fmt.Sprintf("packet %d's", f.last.number)
		g.near(int(p.u16(4)), int(f.last.id), "the ID were "+of)
		g.near(int(p.u16(2)), f.last.ipLen, "the length were "+of)
		g.add(got == f.last.ipSum, "it is "+of+" checksum")
	}
	p.found(IPChecksum, "ip.checksum", hex16(got), hex16(want), "%s", g.text())
}

// l4Checksum judges the checksum of TCP or UDP.
func (p *judged) l4Checksum(f *flow, name string) {
	c := p.SumOf(p.b, p.end)
	p.csum = c.Class
	at, end, got, want, field := c.At, c.End, c.Got, c.Want, name+".checksum"
	switch c.Class {
	case packet.Absent:
		switch {
		case p.Version == 4 && want == 0 && f.checksummed:
			p.found(UDPZeroComputed, field, "0000", "ffff", "the checksum computes to 0, and other datagrams of the flow have one")
		case p.Version == 6 && want == 0:
			p.found(UDPZero, field, "0000", "ffff", "the checksum computes to 0, which must be written as ffff")
		case p.Version == 6 && tunnelPort(p.u16(p.L4Off), p.u16(p.L4Off+2)):
			// RFC 6935
		case p.Version == 6:
			p.found(UDPAbsent, field, "0000", hex16(want), "the datagram has no checksum")
		}
		return
	case packet.Right:
		f.checksummed = true
		return
	case packet.Partial:
		p.check.Seen.Partial++
		if p.check.cfg.Wire {
			p.found(L4Partial, field, hex16(got), hex16(want), "it is only the pseudo-header's sum: nobody completed the partial checksum")
		}
		return
	}
	if end < len(p.b) {
		if whole, s := p.Sums(p.b, at, len(p.b)); got == ^s || got == whole {
			p.found(L4Checksum, field, hex16(got), hex16(want), "it covers all %d bytes, past the end of the packet", len(p.b))
			return
		}
	}
	p.found(L4Checksum, field, hex16(got), hex16(want), "%s", p.guess(f, got, c.Sum, c.Partial, at, end))
}

// guess returns what a wrong checksum looks like: by how much it is off, and the
// mistakes that explain it.
func (p *judged) guess(f *flow, got, sum, partial uint16, at, end int) string {
	g := guesses{delta: minus(^got, sum), got: got}
	g.form(sum)
	addresses, length := p.Addresses(p.b), uint16(end-p.L4Off)
	g.add(got == uint16(model.Sum(addresses, packet.Pseudo(p.Proto, 0))), "it is only the pseudo-header's sum, and without the length: nobody completed the partial checksum, which was wrong already")
	if p.gso || len(p.b) > 1500 {
		g.add(minus(got, partial) == 1 || minus(partial, got) == 1, "it is only the pseudo-header's sum, off by one")
	}
	g.add(minus(^got, sum) == minus(0, uint16(model.Sum(addresses, packet.Pseudo(p.Proto, int(length))))), "the pseudo-header was left out")
	g.add(g.delta == minus(0, length), "the pseudo-header was summed without the length")
	if p.Extensions > 0 {
		g.near(0, p.Extensions, "the pseudo-header's length included the extension headers")
		g.near(p.Extensions, 0, "the pseudo-header's length left out the extension headers")
	}
	if n := int(length); n%2 == 1 {
		last := int(p.b[end-1])
		g.near(last<<8, last, "the odd last byte were the low half of its word")
	}
	if p.Proto == 6 {
		now := int(p.b[p.L4Off+13])
		for _, bit := range []struct {
			mask int
			name string
		}{{1, "FIN"}, {8, "PSH"}, {0x40, "ECE"}, {0x80, "CWR"}} {
			is := "were set"
			if now&bit.mask != 0 {
				is = "were not set"
			}
			g.near(now, now^bit.mask, bit.name+" "+is)
		}
		if f.last.number > 0 {
			g.near(model.Sum(p.b[p.L4Off+4:p.L4Off+8]), model.Sum(f.last.seqBytes[:]), fmt.Sprintf("the sequence number were packet %d's", f.last.number))
		}
	}
	if f.last.number > 0 {
		g.add(got == f.last.l4Sum, fmt.Sprintf("it is packet %d's checksum", f.last.number))
		g.near(int(length), f.last.l4Len, fmt.Sprintf("the pseudo-header's length were packet %d's", f.last.number))
		if p.Proto == 17 {
			g.near(2*int(length), 2*f.last.l4Len, fmt.Sprintf("the lengths were packet %d's", f.last.number))
		}
	}
	return g.text()
}

// guesses collects the mistakes that explain a wrong checksum.
type guesses struct {
	delta uint16 // the sum that was written minus the right sum, in one's complement
	got   uint16
	list  []string
}

// add adds an explanation if it holds.
func (g *guesses) add(holds bool, text string) {
	if holds {
		g.list = append(g.list, text)
	}
}

// near adds an explanation if the sum is off by just as much as it would be with the
// value was in the place of is.
func (g *guesses) near(is, was int, text string) {
	if is == was || g.delta == 0 {
		return
	}
	if d := minus(uint16(model.Sum(word(uint16(was)), word(uint16(was>>16)))), uint16(model.Sum(word(uint16(is)), word(uint16(is>>16))))); d == g.delta {
		g.list = append(g.list, "as if "+text)
	}
}

// form adds the explanations in which the sum was right and was written wrong.
func (g *guesses) form(sum uint16) {
	g.add(g.got == sum, "it is not complemented")
	g.add(g.got == ^sum<<8|^sum>>8, "its bytes are swapped")
}

// text returns the explanations as text for a finding.
func (g *guesses) text() string {
	s := fmt.Sprintf("off by %04x", g.delta)
	if len(g.list) > 0 {
		s += ", " + strings.Join(g.list, ", or ")
	}
	return s
}

// minus returns a - b in one's complement, from 0 to 0xFFFE.
func minus(a, b uint16) uint16 { return uint16((int(a) - int(b) + 2*0xFFFF) % 0xFFFF) }

func word(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

// tunnelPort reports whether a port is that of VXLAN, Geneve or GTP.
func tunnelPort(ports ...uint16) bool {
	for _, port := range ports {
		if port == 4789 || port == 8472 || port == 6081 || port == 2152 {
			return true
		}
	}
	return false
}
