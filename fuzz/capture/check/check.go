// SPDX-License-Identifier: MIT

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
	"strings"
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
func (f Finding) String() string { return fmt.Sprintf("packet %d: %s", f.Packet, f.about()) }

// about returns the finding without its packet.
func (f Finding) about() string {
	s := fmt.Sprintf("%s is %s", f.Field, f.Got)
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
	// checksum is an error, and so is a packet of BIG TCP.
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

	flows               bounded.Map[packet.Flow, *flow]
	seen                seen
	open                int // gaps of all flows
	longest, longestLen int // the number of the longest packet, and its length in bytes
	last                int // the latest packet's number
	alien               int // the number of the latest packet that was left out or has no readable flow: it may hold bytes that a flow lacks
}

// Seen counts the packets of a capture by type, and the findings.
type Seen struct {
	Packets  int `json:"packets"`
	TCP      int `json:"tcp"`
	UDP      int `json:"udp"`
	Other    int `json:"other"`             // neither, or an IP fragment
	Absent   int `json:"absent,omitempty"`  // UDP without a checksum
	Partial  int `json:"partial,omitempty"` // with a partial checksum
	Vnet     int `json:"vnet,omitempty"`    // with a VnetHdr in the comment
	Big      int `json:"big,omitempty"`     // presumed BIG TCP: over 65,535 bytes, no length in the header
	Padded   int `json:"padded,omitempty"`  // followed by padding or an FCS, which was cut off
	Tunnels  int `json:"tunnels,omitempty"` // of VXLAN, Geneve or GTP
	Long     int `json:"long,omitempty"`    // longer than Ethernet carries, with no sign of an offload
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

// ethernet is the MTU of most networks, in bytes.
const ethernet = 1500

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
	trailer  []byte // what followed b in its frame
	end      int    // offset of the packet's end: by the IP header, or len(b) if that is less
	gso      bool
	csum     packet.Class
	hdr      pkts.VnetHdr // from the comment, if hasVnet
	hasVnet  bool
	rightSum uint16 // the complete TCP or UDP checksum
	doubtful bool   // its sequence number may be wrong
	whole    bool   // its UDP checksum is right for all of the packet, past the UDP length
	sizes    []int  // payload lengths of earlier segments of the flow
	check    *Checker
	causes   *[]Cause // takes the causes of a wrong checksum, if Explain asks
}

// found emits a finding in p and counts it.
func (p *judged) found(kind Kind, field, got, want, format string, args ...any) {
	c := p.check
	c.Seen.Findings++
	if kind.Suspect {
		c.Seen.Suspects++
	}
	kind.Case = kind.caseOf(p.Header)
	c.emit(Finding{kind, p.n, field, got, want, fmt.Sprintf(format, args...)})
}

// foundAt emits a finding in packet n, which is of p's flow.
func (p *judged) foundAt(n int, kind Kind, field, got, want, format string, args ...any) {
	was := p.n
	p.n = n
	p.found(kind, field, got, want, format, args...)
	p.n = was
}

func hex16(v uint16) string { return fmt.Sprintf("%04x", v) }

func (p *judged) u16(at int) uint16 { return binary.BigEndian.Uint16(p.b[at:]) }
func (p *judged) u32(at int) uint32 { return binary.BigEndian.Uint32(p.b[at:]) }

// judged returns a packet that is to be judged.
func (c *Checker) judged(in pcap.Packet) (*judged, error) {
	h, has, err := pcap.Vnet(in.Comment)
	return &judged{Header: packet.Parse(in.Data), n: in.Number, at: in.Time, b: in.Data, trailer: in.Trailer, end: len(in.Data), check: c,
		hdr: h, hasVnet: has, gso: has && h.GSOType != 0}, err
}

// Packet judges the next packet. A comment "vnet flags=..." is read as its VnetHdr;
// one that cannot be read is an error.
func (c *Checker) Packet(in pcap.Packet) error {
	c.Seen.Packets++
	if in.Number > c.last+1 {
		c.alien = in.Number - 1
	}
	c.last = in.Number
	p, err := c.judged(in)
	if err != nil {
		return fmt.Errorf("packet %d: %w", in.Number, err)
	}
	if p.hasVnet {
		c.Seen.Vnet++
		p.vnet()
	}
	if p.Version == 0 {
		c.Seen.Other++
		c.alien = p.n
		kind := IPHeader
		if len(p.b) == 0 || p.b[0] != 0x40 && p.b[0] != 0x4F {
			kind.Like = "" // which is about an IHL of 0 or 15
		}
		p.found(kind, "ip.version_ihl", fmt.Sprintf("%x", p.b[:min(1, len(p.b))]), "", "no complete IPv4 or IPv6 header in %s", record.Count(len(p.b), "byte"))
		return nil
	}
	f := c.flow(p.Flow(p.b)) // that of the two addresses, if there are no ports
	p.length(f)
	if c.cfg.MTU > 0 && len(p.b) > c.cfg.MTU {
		p.found(Overlong, "length", fmt.Sprint(len(p.b), " bytes"), fmt.Sprintf("at most %d", c.cfg.MTU), "the packet was not cut into segments")
	}
	p.sizes = f.sizes
	if p.Version == 4 {
		p.headerChecksum(f)
	}
	if p.Fragment || p.Proto != 6 && p.Proto != 17 {
		c.Seen.Other++
	} else {
		p.l4(f)
	}
	if n := len(p.b); n > ethernet && !p.hasVnet && p.csum != packet.Partial && n <= 0xFFFF {
		c.Seen.Long++
		if n > c.longestLen {
			c.longest, c.longestLen = p.n, n
		}
	}
	f.last.remember(p)
	f.run.remember(p)
	c.seen.remember(p)
	return nil
}

// length compares the IP length field with the length of the packet.
func (p *judged) length(f *flow) {
	field, at, base := "ip.total_length", 2, 0
	if p.Version == 6 {
		field, at, base = "ip.payload_length", 4, 40
	}
	got, want := p.IPLen, len(p.b)
	if got == want { // as in nearly all packets
		return
	}
	end := want
	if got < want {
		end = p.MeantEnd(p.b)
	}
	kind, text := IPLength, fmt.Sprintf("the packet is %s shorter than this field says", record.Count(got-want, "byte"))
	switch {
	case got == base && want > 0xFFFF:
		if !p.jumbo() {
			p.check.Seen.Big++
		}
		if p.check.cfg.Wire && p.check.cfg.MTU == 0 {
			big := Overlong
			big.Like = "BIG TCP, which is for packets inside of a host"
			p.found(big, "length", record.Count(want, "byte"), fmt.Sprintf("at most %d", 0xFFFF), "the packet was not cut into segments: no link carries so many bytes")
		}
		return // a BIG TCP packet has no length in the field
	case end < want && p.padding(end):
		p.end = end
		p.check.Seen.Padded++
		return
	case want > 0xFFFF+base:
		kind, text = IPLengthWrapped, fmt.Sprintf("%d bytes do not fit in the field", want)
	case p.Version == 4 && got == 0 && p.Proto == 6 && p.sender():
		kind, text = IPLengthSender, "a superpacket that a network card cuts"
	case want-got == p.Extensions && p.Extensions > 0:
		kind, text = IPLengthExtensions, "the extension headers are not counted"
	case got < want:
		text = fmt.Sprintf("the packet is %s longer than this field says", record.Count(want-got, "byte"))
		p.end = end
	}
	if cause := p.lengthCause(f, p.u16(at), want-base); cause != "" {
		text += ": " + cause
		if kind == IPLength && !strings.HasPrefix(cause, "it is packet") {
			kind.Like = "" // which is another cause
		}
	}
	p.found(kind, field, hex16(p.u16(at)), hex16(uint16(want-base)), "%s", text)
}

// sender reports whether the packet may be from a capture on the sender's side, in which a
// network card fills in what is missing. If the VnetHdr is known, there is no such card.
func (p *judged) sender() bool { return !p.hasVnet && !p.check.cfg.Wire }

const fcs = 4 // bytes of the checksum of an Ethernet frame

// padding reports whether the bytes from end on, after the end of the packet, can be the
// link's: the zeros of a short Ethernet frame, its FCS, or both. A kernel cuts
// them off (ip_rcv_core). Where a VnetHdr makes a superpacket, no link was involved.
func (p *judged) padding(end int) bool {
	rest := p.b[end:]
	return !p.gso && (len(p.b) <= packet.ShortestFrame || bytes.Count(rest, []byte{0}) == len(rest) ||
		len(rest) == fcs || len(p.b) == packet.ShortestFrame+fcs)
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
		if p.PayloadOff > 0 && tunnelPort(p.u16(p.L4Off+2)) {
			p.check.Seen.Tunnels++
		}
	}
	if p.PayloadOff == 0 {
		p.check.alien = p.n
		p.found(L4Header, name+".header", fmt.Sprintf("%d bytes", len(p.b)-p.L4Off), "", "the header is incomplete, or TCP's data offset is below 5")
		return
	}
	if p.Proto == 17 {
		p.udpLength(f)
	}
	if p.summed() && !p.whole {
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

// summed reports whether a TCP or UDP checksum covers p, and p alone: not a part of a
// fragmented one, nor one with addresses that a route still changes.
func (p *judged) summed() bool {
	return p.PayloadOff > 0 && !p.Fragment && len(p.b) <= 0xFFFF+40 && !p.Routed(p.b)
}

// udpLength compares the UDP length field with the IP payload.
func (p *judged) udpLength(f *flow) {
	got, want := int(p.u16(p.L4Off+4)), p.end-p.L4Off
	if got == want {
		return
	}
	cause := p.udpLengthCause(f, uint16(got), want)
	_, sum := p.Sums(p.b, p.L4Off+6, p.end)
	field := p.u16(p.L4Off + 6)
	if got >= 8 && got < want && (field == ^sum || field == 0xFFFF && sum == 0xFFFF) {
		p.whole = true // UDP options are not part of the sum
	}
	switch {
	case got == 0 && want > 0xFFFF:
		p.check.Seen.Big++ // of a tunnel that carries BIG TCP
	case want > 0xFFFF:
		p.found(UDPLength, "udp.length", fmt.Sprint(got), "", "%d bytes do not fit in the field", want)
	case got > want || got < 8 || p.whole:
		p.found(UDPLength, "udp.length", fmt.Sprint(got), fmt.Sprint(want), "%s", cause)
	default:
		if cause == "" {
			cause = "a length that was not updated"
		}
		p.found(UDPSurplus, "udp.length", fmt.Sprint(got), fmt.Sprint(want), "%s after the end of the datagram: UDP options (RFC 9868), or: %s", record.Count(want-got, "byte"), cause)
	}
}
