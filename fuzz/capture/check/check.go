// Package check judges packets that another program made. It looks at each packet
// alone and together with the earlier packets of its flow. Each finding names the
// field, the rule, and the known bug that it resembles. The packets may be from a
// wire or from a TUN: segments, or superpackets with partial checksums. Package
// check does not use package offload: right checksums are computed with model.Sum.
package check

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/internal/bounded"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
)

// Finding is an error in a packet. If its Kind is suspect, it is something that
// correct senders do too, but rarely.
type Finding struct {
	Kind
	Packet int    `json:"packet"` // its number in the capture
	Field  string `json:"field"`
	Got    string `json:"got"`
	Want   string `json:"want,omitempty"`
	Text   string `json:"text,omitempty"` // what may have caused it
}

// String returns the finding as one line of the report.
func (f Finding) String() string {
	s := fmt.Sprintf("packet %d: %s is %s", f.Packet, f.Field, f.Got)
	if f.Want != "" {
		s += ", want " + f.Want
	}
	if f.Text != "" {
		s += ": " + f.Text
	}
	s += " [" + f.Rule + "]"
	if f.Suspect {
		s += " (suspect)"
	}
	return s
}

// Config describes where a capture was taken.
type Config struct {
	// Wire is true if the capture was taken after every offload, where a partial
	// checksum is an error.
	Wire bool
	// MTU is the largest allowed length of a packet, in bytes; 0 allows any.
	MTU int
}

// Checker judges the packets of a capture, one after another. Its memory is
// bounded.
type Checker struct {
	cfg  Config
	emit func(Finding)
	Seen Seen

	flows bounded.Map[packet.Flow, *flow]
	open  int // gaps of all flows
	last  int // the latest packet's number
	alien int // the number of the latest packet that was left out or has no readable flow: it may hold bytes that a flow lacks
}

// Seen counts the packets of a capture by type, and the findings.
type Seen struct {
	Packets  int `json:"packets"`
	TCP      int `json:"tcp"`
	UDP      int `json:"udp"`
	Other    int `json:"other"`             // neither, or an IP fragment
	Partial  int `json:"partial,omitempty"` // with a partial checksum
	Vnet     int `json:"vnet,omitempty"`    // with a VnetHdr in the comment
	Big      int `json:"big,omitempty"`     // presumed BIG TCP: over 65,535 bytes, no length in the header
	Padded   int `json:"padded,omitempty"`  // followed by padding or an FCS, which was cut off
	Findings int `json:"findings"`
	Suspects int `json:"suspects"`
}

// New returns a Checker that calls emit for each finding.
func New(cfg Config, emit func(Finding)) *Checker {
	c := &Checker{cfg: cfg, emit: emit, flows: bounded.Map[packet.Flow, *flow]{Most: maxFlows}}
	c.flows.Gone = func(f *flow) {
		for _, g := range f.missing {
			g.report(c)
			c.open--
		}
	}
	return c
}

// maxFlows bounds the memory for flows: at most twice as many are remembered.
const maxFlows = 1 << 15

// flow returns the state of a flow, empty if the flow is new.
func (c *Checker) flow(key packet.Flow) *flow {
	return c.flows.Get(key, func(int) *flow { return &flow{} })
}

// judged is the packet that is being judged.
type judged struct {
	packet.Header
	n        int // its number
	at       time.Time
	b        []byte
	end      int // offset of the packet's end: by the IP header, or len(b) if that is less
	gso      bool
	csum     packet.Class
	hdr      pkts.VnetHdr // from the comment, if hasVnet
	hasVnet  bool
	rightSum uint16       // the complete TCP or UDP checksum
	sizes    map[int]bool // payload lengths of earlier segments of the flow
	check    *Checker
}

// found emits a finding in p and counts it.
func (p *judged) found(kind Kind, field, got, want, format string, args ...any) {
	c := p.check
	c.Seen.Findings++
	if kind.Suspect {
		c.Seen.Suspects++
	}
	c.emit(Finding{kind, p.n, field, got, want, fmt.Sprintf(format, args...)})
}

func hex16(v uint16) string { return fmt.Sprintf("%04x", v) }

func (p *judged) u16(at int) uint16 { return binary.BigEndian.Uint16(p.b[at:]) }
func (p *judged) u32(at int) uint32 { return binary.BigEndian.Uint32(p.b[at:]) }

// Packet judges the next packet. A comment "vnet flags=..." is read as its VnetHdr;
// one that cannot be read is an error.
func (c *Checker) Packet(in pcap.Packet) error {
	c.Seen.Packets++
	if in.Number > c.last+1 {
		c.alien = in.Number - 1
	}
	c.last = in.Number
	p := &judged{Header: packet.Parse(in.Data), n: in.Number, at: in.Time, b: in.Data, end: len(in.Data), check: c}
	h, has, err := pcap.Vnet(in.Comment)
	if err != nil {
		return fmt.Errorf("packet %d: %w", in.Number, err)
	}
	p.hdr, p.hasVnet = h, has
	if has {
		c.Seen.Vnet++
		p.vnet(h)
	}
	if p.Version == 0 {
		c.Seen.Other++
		c.alien = p.n
		p.found(IPHeader, "ip.version_ihl", fmt.Sprintf("%x", p.b[:min(1, len(p.b))]), "", "no complete IPv4 or IPv6 header in %s", record.Count(len(p.b), "byte"))
		return nil
	}
	p.length()
	if c.cfg.MTU > 0 && len(p.b) > c.cfg.MTU {
		p.found(Overlong, "length", fmt.Sprint(len(p.b), " bytes"), fmt.Sprintf("at most %d", c.cfg.MTU), "the packet was not cut into segments")
	}
	var f *flow
	if p.Fragment || p.Proto != 6 && p.Proto != 17 {
		c.Seen.Other++
		f = c.flow(p.Flow(p.b).Pair())
	} else {
		f = c.flow(p.Flow(p.b))
	}
	p.sizes = f.sizes
	if p.Version == 4 {
		p.headerChecksum(f)
	}
	if !p.Fragment && (p.Proto == 6 || p.Proto == 17) {
		p.l4(f)
	}
	f.last.remember(p)
	return nil
}

// length compares the IP length field with the length of the packet.
func (p *judged) length() {
	field, at, base := "ip.total_length", 2, 0
	if p.Version == 6 {
		field, at, base = "ip.payload_length", 4, 40
	}
	got, want := p.IPLen, len(p.b)
	kind, text := IPLength, fmt.Sprintf("the packet is %s shorter than this field says", record.Count(got-want, "byte"))
	switch {
	case got == want:
		return
	case got == base && want > 0xFFFF:
		if !p.jumbo() {
			p.check.Seen.Big++
		}
		return // a BIG TCP packet has no length in the field
	case got < want && p.padding():
		p.end = p.End(p.b)
		p.check.Seen.Padded++
		return
	case want > 0xFFFF+base:
		kind, text = IPLengthWrapped, fmt.Sprintf("%d bytes do not fit in the field", want)
	case want-got == p.Extensions && p.Extensions > 0:
		kind, text = IPLengthExtensions, "the extension headers are not counted"
	case got < want:
		text = fmt.Sprintf("the packet is %s longer than this field says", record.Count(want-got, "byte"))
		p.end = p.End(p.b)
	}
	p.found(kind, field, hex16(p.u16(at)), hex16(uint16(want-base)), "%s", text)
}

// padding reports whether the bytes after the end of the packet, as its IP header has it,
// can be the link's: the zeros of a short Ethernet frame, its FCS, or both. A kernel cuts
// them off (ip_rcv_core). Where a VnetHdr makes a superpacket, no link was involved.
func (p *judged) padding() bool {
	const shortest, fcs = 46, 4 // bytes of an Ethernet frame's payload, of its checksum
	end := p.End(p.b)
	rest := p.b[end:]
	return !p.gso && end < len(p.b) && (len(p.b) <= shortest || bytes.Count(rest, []byte{0}) == len(rest) ||
		len(rest) == fcs || len(p.b) == shortest+fcs)
}

// jumbo reports whether an IPv6 packet starts with a jumbo payload option (RFC
// 2675), which Linux writes first.
func (p *judged) jumbo() bool { return p.b[6] == 0 && len(p.b) > 48 && p.b[42] == 0xC2 }

// l4 judges a TCP or UDP packet.
func (p *judged) l4(f *flow) {
	name := "udp"
	if p.Proto == 6 {
		name = "tcp"
		p.check.Seen.TCP++
	} else {
		p.check.Seen.UDP++
	}
	if p.PayloadOff == 0 {
		p.check.alien = p.n
		p.found(L4Header, name+".header", fmt.Sprintf("%d bytes", len(p.b)-p.L4Off), "", "the header is incomplete, or TCP's data offset is below 5")
		return
	}
	if p.Proto == 17 {
		p.udpLength()
	}
	if len(p.b) <= 0xFFFF+40 && !p.Routed(p.b) {
		p.l4Checksum(f, name)
	}
	if p.Proto == 6 {
		p.tcpRun(f)
	}
	if p.Version == 4 {
		p.ids(f)
	}
	f.hasSize(p.end - p.PayloadOff)
}

// udpLength compares the UDP length field with the IP payload.
func (p *judged) udpLength() {
	got, want := int(p.u16(p.L4Off+4)), p.end-p.L4Off
	switch {
	case got == want:
	case got == 0 && want > 0xFFFF:
		p.check.Seen.Big++ // of a tunnel that carries BIG TCP
	case want > 0xFFFF:
		p.found(UDPLength, "udp.length", hex16(uint16(got)), "", "%d bytes do not fit in the field", want)
	case got > want || got < 8:
		p.found(UDPLength, "udp.length", hex16(uint16(got)), hex16(uint16(want)), "")
	default:
		p.found(UDPSurplus, "udp.length", hex16(uint16(got)), hex16(uint16(want)), "%s after the end of the datagram: UDP options (RFC 9868), or a length that was not updated", record.Count(want-got, "byte"))
	}
}
