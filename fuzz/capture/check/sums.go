package check

import (
	"encoding/binary"
	"fmt"
	"strings"

	"tunproof/fuzz/packet"
	"tunproof/model"
)

// sumClass is what a TCP or UDP checksum is.
type sumClass uint8

const (
	sumNone    sumClass = iota // there is none to judge
	sumRight                   //
	sumPartial                 // the pseudo-header's sum: NEEDS_CSUM
	sumWrong                   //
	sumAbsent                  // UDP's 0
)

// headerChecksum judges the IPv4 header's.
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
		g.add(true, "never filled in")
	}
	g.near(int(p.b[8])<<8, int(p.b[8])<<8+0x100, "the TTL were one more: it was forwarded, the checksum not updated")
	for ecn := range 4 {
		now := int(p.b[1] & 3)
		g.near(now, ecn, "the ECN bits were "+fmt.Sprintf("%02b", ecn))
	}
	if f.last.number > 0 && f.last.version == 4 {
		of := fmt.Sprintf("packet %d's", f.last.number)
		g.near(int(p.u16(4)), int(f.last.id), "the ID were "+of)
		g.near(int(p.u16(2)), f.last.ipLen, "the length were "+of)
		g.add(got == f.last.ipSum, "it is "+of)
	}
	p.found(IPChecksum, "ip.checksum", hex16(got), hex16(want), "%s", g.text())
}

// summed is where the TCP or UDP checksum is, and where what it is over ends: a
// surplus area behind a datagram is not in it.
func (p *judged) summed() (at, end int) {
	if p.Proto == 6 {
		return p.L4Off + 16, p.end
	}
	end = p.end
	if n := p.L4Off + int(p.u16(p.L4Off+4)); n >= p.PayloadOff && n < end {
		end = n
	}
	return p.L4Off + 6, end
}

// sums are the pseudo-header's and that of all.
func (p *judged) sums(at, end int) (partial, sum uint16) {
	partial = uint16(model.Sum(p.addresses(), pseudo(p.Proto, end-p.L4Off)))
	return partial, uint16(model.Sum(word(partial), p.b[p.L4Off:at], p.b[at+2:end]))
}

// classify says what the TCP or UDP checksum is, and what it should be.
func (p *judged) classify() (class sumClass, want, sum, partial uint16) {
	at, end := p.summed()
	got := p.u16(at)
	partial, sum = p.sums(at, end)
	if n := uint16(end - p.L4Off); p.Proto == 17 && p.u16(p.L4Off+4) != n {
		asSent := uint16(model.Sum(word(sum), word(^p.u16(p.L4Off+4)), word(n)))
		if got == ^asSent {
			sum = asSent // it is right but for the length, which is a finding of its own
		}
	}
	want = ^sum
	switch {
	case p.Proto == 17 && got == 0:
		return sumAbsent, want, sum, partial
	case got == want, got == 0xFFFF && want == 0:
		return sumRight, want, sum, partial
	case got == partial:
		return sumPartial, want, sum, partial
	}
	return sumWrong, want, sum, partial
}

// l4Checksum judges TCP's or UDP's.
func (p *judged) l4Checksum(f *flow, name string) {
	class, want, sum, partial := p.classify()
	p.csum = class
	at, end := p.summed()
	got, field := p.u16(at), name+".checksum"
	switch class {
	case sumAbsent:
		switch {
		case p.Version == 4 && want == 0 && f.checksummed:
			p.found(UDPZeroComputed, field, "0000", "ffff", "the checksum computes to 0, and others of the flow have theirs")
		case p.Version == 6 && want == 0:
			p.found(UDPZero, field, "0000", "ffff", "the checksum computes to 0")
		case p.Version == 6 && tunnelPort(p.u16(p.L4Off), p.u16(p.L4Off+2)):
			// RFC 6935
		case p.Version == 6:
			p.found(UDPAbsent, field, "0000", hex16(want), "there is none")
		}
		return
	case sumRight:
		f.checksummed = true
		return
	case sumPartial:
		p.finds.Seen.Partial++
		if p.finds.cfg.Wire {
			p.found(L4Partial, field, hex16(got), hex16(want), "it is the pseudo-header's sum")
		}
		return
	}
	if end < len(p.b) {
		if whole, s := p.sums(at, len(p.b)); got == ^s || got == whole {
			p.found(L4Checksum, field, hex16(got), hex16(want), "the sum is of all %d bytes", len(p.b))
			return
		}
	}
	p.found(L4Checksum, field, hex16(got), hex16(want), "%s", p.guess(f, got, sum, partial, at, end))
}

// guess says what a wrong checksum looks like.
func (p *judged) guess(f *flow, got, sum, partial uint16, at, end int) string {
	g := guesses{delta: minus(^got, sum), got: got}
	g.form(sum)
	addresses, length := p.addresses(), uint16(end-p.L4Off)
	g.add(got == uint16(model.Sum(addresses, pseudo(p.Proto, 0))), "it is the pseudo-header's sum without a length: the seed of NEEDS_CSUM, which lacks it")
	if p.gso || len(p.b) > 1500 {
		g.add(minus(got, partial) == 1 || minus(partial, got) == 1, "it is the pseudo-header's sum, off by one")
	}
	g.add(minus(^got, sum) == minus(0, uint16(model.Sum(addresses, pseudo(p.Proto, int(length))))), "the pseudo-header is not in it")
	g.add(g.delta == minus(0, length), "the length is not in the pseudo-header")
	if p.Extensions > 0 {
		g.near(0, p.Extensions, "the pseudo-header's length had the extension headers in it")
		g.near(p.Extensions, 0, "the pseudo-header's length lacked the extension headers")
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
		g.add(got == f.last.l4Sum, fmt.Sprintf("it is packet %d's", f.last.number))
		g.near(int(length), f.last.l4Len, fmt.Sprintf("the pseudo-header's length were packet %d's", f.last.number))
		if p.Proto == 17 {
			g.near(2*int(length), 2*f.last.l4Len, fmt.Sprintf("the lengths were packet %d's", f.last.number))
		}
	}
	return g.text()
}

// guesses collects what explains a wrong checksum.
type guesses struct {
	delta uint16 // by how much more the words summed to that were counted
	got   uint16
	list  []string
}

func (g *guesses) add(holds bool, text string) {
	if holds {
		g.list = append(g.list, text)
	}
}

// near adds that a value was counted as another.
func (g *guesses) near(is, was int, text string) {
	if is == was || g.delta == 0 {
		return
	}
	if d := minus(uint16(model.Sum(word(uint16(was)), word(uint16(was>>16)))), uint16(model.Sum(word(uint16(is)), word(uint16(is>>16))))); d == g.delta {
		g.list = append(g.list, "as if "+text)
	}
}

// form adds mistakes in the writing of a right sum.
func (g *guesses) form(sum uint16) {
	g.add(g.got == sum, "not complemented")
	g.add(g.got == ^sum<<8|^sum>>8, "the bytes are swapped")
}

func (g *guesses) text() string {
	s := fmt.Sprintf("off by %04x", g.delta)
	if len(g.list) > 0 {
		s += ", " + strings.Join(g.list, ", or ")
	}
	return s
}

// minus is a - b in one's complement, 0 to 0xFFFE.
func minus(a, b uint16) uint16 { return uint16((int(a) - int(b) + 2*0xFFFF) % 0xFFFF) }

func word(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }

func pseudo(proto uint8, length int) []byte {
	return []byte{0, proto, byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}
}

func (p *judged) addresses() []byte {
	if p.Version == 4 {
		return p.b[12:20]
	}
	return p.b[8:40]
}

// tunnelPort says whether a datagram is VXLAN's, Geneve's or GTP's.
func tunnelPort(ports ...uint16) bool {
	for _, port := range ports {
		if port == 4789 || port == 8472 || port == 6081 || port == 2152 {
			return true
		}
	}
	return false
}

// Right is where the TCP or UDP checksum of a packet is, what it should be, and
// the partial checksum; of a packet of which Checksum does not say "".
func Right(b []byte) (at int, complete, partial uint16) {
	p := &judged{Header: packet.Parse(b), b: b, end: len(b)}
	p.cutToLength()
	at, end := p.summed()
	partial, sum := p.sums(at, end)
	if sum == 0xFFFF && p.Proto == 17 {
		return at, 0xFFFF, partial
	}
	return at, ^sum, partial
}

// Checksum says what the TCP or UDP checksum of a packet is: "right", "partial",
// "wrong", "absent", or "" if there is none to judge.
func Checksum(b []byte) string {
	p := &judged{Header: packet.Parse(b), b: b, end: len(b)}
	if p.Fragment || p.PayloadOff == 0 || p.routed() {
		return ""
	}
	p.cutToLength()
	class, _, _, _ := p.classify()
	return [...]string{"", "right", "partial", "wrong", "absent"}[class]
}
