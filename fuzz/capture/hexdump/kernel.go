// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// The lines that skb_dump of Linux prints (net/core/skbuff.c), after any prefix. Newer kernels
// print the fields that are optional here. All offsets count from skb->head, which is headroom
// bytes before the data.
var (
	skbLen    = regexp.MustCompile(`\bskb len=(\d+) (?:data_len=\d+ )?headroom=(\d+) `)
	skbNet    = regexp.MustCompile(`\bmac=\(-?\d+,-?\d+\) (?:mac_len=\d+ )?net=\((-?\d+),`)
	skbShinfo = regexp.MustCompile(`\bshinfo\(txflags=\d+ nr_frags=\d+ gso\(size=(\d+) type=(\d+) segs=\d+\)\)`)
	skbCsum   = regexp.MustCompile(`\bcsum\(0x([0-9a-f]+)(?: start=(\d+) offset=(\d+))? ip_summed=(\d) `)
	skbData   = regexp.MustCompile(`\bskb (linear|frag): +([0-9a-f]{8}):((?: [0-9a-f]{2})+)$`)
	skbList   = regexp.MustCompile(`\bskb fraglist:`)
	skbPart   = regexp.MustCompile(`\bskb (?:linear|frag)\b`)
	skbRoom   = regexp.MustCompile(`\bskb (?:headroom|tailroom):`)
)

// isKernel reports whether a text has packets that skb_dump printed.
func isKernel(text []byte) bool {
	return bytes.Contains(text, []byte("skb linear:")) || bytes.Contains(text, []byte("skb frag:")) || bytes.Contains(text, []byte("skb len=")) && skbLen.Match(text)
}

// The values of struct sk_buff and skb_shared_info that are needed.
const (
	checksumPartial = 3 // CHECKSUM_PARTIAL in ip_summed

	skbTCPv4   = 1 << 0  // SKB_GSO_TCPV4
	skbDodgy   = 1 << 1  // SKB_GSO_DODGY
	skbECN     = 1 << 2  // SKB_GSO_TCP_ECN
	skbFixedID = 1 << 3  // SKB_GSO_TCP_FIXEDID
	skbTCPv6   = 1 << 4  // SKB_GSO_TCPV6
	skbUDPL4   = 1 << 17 // SKB_GSO_UDP_L4
)

// skb is a packet that a kernel printed.
type skb struct {
	line int
	data []byte
	from int    // offset in data of the part that is being read
	part string // linear or frag
	left string // why it is left out

	len, headroom int  // len is -1 if the line with it was not in the log
	net           int  // the offset of the IP header from skb->head; -1 if it was not in the log
	inList        bool // the skbs that follow are the rest of this one

	seen             int // lines with the fields below
	gsoSize, gsoType int
	summed           int // ip_summed
	start, offset    int // of a partial checksum; start counts from skb->head
}

// kernel reads the packets in a kernel log and ignores all other lines. The state of an skb
// becomes the VnetHdr that a TUN would have, as the packet's comment.
func (p *parser) kernel() error {
	var s *skb
	var before []byte
	for line, ok := p.next(); ok; line, ok = p.next() {
		if p.comment(line) {
			continue
		}
		doubled := bytes.Equal(line, before)
		before = line
		if m := skbLen.FindSubmatch(line); m != nil && !s.continues(atoi(m[1])) {
			if err := p.finish(s); err != nil {
				return err
			}
			s = &skb{line: p.line, len: atoi(m[1]), headroom: atoi(m[2]), net: -1}
		}
		m := skbData.FindSubmatch(line)
		if m != nil && (s == nil || !s.inList && len(s.data) > 0 && string(m[1]) == "linear" && atox(m[2]) == 0) {
			if err := p.finish(s); err != nil {
				return err
			}
			s = &skb{line: p.line, len: -1, net: -1}
		}
		if p.used[p.line] = s.isPart(line); !p.used[p.line] && startsDump(line) {
			p.comments = nil // they are of another packet
		}
		switch {
		case s == nil:
		case m != nil:
			if doubled {
				s.leave("line %d of it is the same as the line before", p.line)
			}
			if err := s.take(p, string(m[1]), atox(m[2]), m[3]); err != nil {
				return err
			}
		case skbPart.Match(line):
			s.leave("line %d of it is damaged, or has no bytes", p.line)
		case skbList.Match(line):
			if s.inList = true; len(s.data) >= s.len {
				s.leave("its list comes after all of its bytes")
			}
		case !s.inList:
			s.state(line)
		}
	}
	return p.finish(s)
}

// isPart reports whether a line of a log has something of an skb.
func (s *skb) isPart(line []byte) bool {
	if skbPart.Match(line) || skbList.Match(line) || skbLen.Match(line) || skbRoom.Match(line) {
		return true
	}
	return s != nil && (skbNet.Match(line) || skbShinfo.Match(line) || skbCsum.Match(line))
}

// continues reports whether an skb of n bytes that follows is a part of s.
func (s *skb) continues(n int) bool {
	if s == nil || !s.inList || n > s.len-len(s.data) {
		return false
	}
	s.part = ""
	return true
}

// state reads the fields of an skb that are in a line.
func (s *skb) state(line []byte) {
	if m := skbNet.FindSubmatch(line); m != nil {
		s.net = atoi(m[1])
	}
	if m := skbShinfo.FindSubmatch(line); m != nil {
		s.seen++
		s.gsoSize, s.gsoType = atoi(m[1]), atoi(m[2])
	}
	if m := skbCsum.FindSubmatch(line); m != nil {
		s.seen++
		s.summed = atoi(m[4])
		if s.start, s.offset = atoi(m[2]), atoi(m[3]); len(m[2]) == 0 {
			both, _ := strconv.ParseUint(string(m[1]), 16, 32) // both, in the machine's byte order
			if s.start, s.offset = int(both&0xFFFF), int(both>>16); s.offset > s.start {
				s.start, s.offset = s.offset, s.start
			}
		}
	}
}

// take reads a line with bytes of a part, at an offset.
func (s *skb) take(p *parser, part string, off int, b []byte) error {
	if off == 0 {
		s.from, s.part = len(s.data), part
	}
	if off != len(s.data)-s.from || part != s.part {
		s.leave("lines of it are missing before line %d", p.line)
	}
	if s.left != "" {
		return nil
	}
	if len(s.data) > p.most.packet {
		return errorf(p.line, "a packet of more than %d bytes", p.most.packet)
	}
	s.data, _ = hex.AppendDecode(s.data, bytes.ReplaceAll(b, []byte{' '}, nil)) // it is hex
	return nil
}

// leave sets why an skb is left out, if it is not set yet.
func (s *skb) leave(format string, args ...any) {
	if s.left == "" {
		s.left = fmt.Sprintf(format, args...)
	}
}

// finish adds an skb to the packets of the text.
func (p *parser) finish(s *skb) error {
	if s == nil {
		return nil
	}
	b := s.packet()
	if comment := s.vnet(b); comment != "" {
		p.comments = append(p.comments, comment)
	}
	if err := p.begin(s.line); err != nil {
		return err
	}
	p.last().Left = s.left
	return p.add(s.line, b...)
}

// packet returns the bytes of an skb, from its IP header on if it is known where that is.
func (s *skb) packet() []byte {
	if s.len < 0 {
		return s.data
	}
	if len(s.data) != s.len {
		s.leave("the log has %d of its %d bytes", len(s.data), s.len)
	}
	if s.net < 0 && s.seen == 0 && whole(s.data) { // nothing is known of its state, as without the first line
		return s.data
	}
	if s.net < 0 || s.seen != 2 {
		s.leave("the lines with its mac, shinfo and csum are not all in the log")
	}
	at := s.net - s.headroom
	if s.net < 0 || at < 0 || at > len(s.data) {
		s.leave("its IP header is not in its data: net=%d, headroom=%d", s.net, s.headroom)
		return nil
	}
	return s.data[at:]
}

// vnet returns the comment with the VnetHdr of an skb whose IP packet is b, "" for none. It
// is what virtio_net_hdr_from_skb writes (include/linux/virtio_net.h), except for hdr_len,
// which is the length of the headers.
func (s *skb) vnet(b []byte) string {
	if s.left != "" || s.summed != checksumPartial && s.gsoSize == 0 {
		return ""
	}
	h := pkts.VnetHdr{Flags: packet.NeedsCsum, CsumOffset: uint16(s.offset)}
	start := s.start - s.net
	switch {
	case s.summed != checksumPartial:
		s.leave("it has a gso size of %d and no partial checksum (ip_summed=%d): there is no VnetHdr for that", s.gsoSize, s.summed)
	case start < 0 || start > len(b):
		s.leave("its partial checksum starts outside its IP packet: start=%d, net=%d", s.start, s.net)
	case s.gsoSize > 0:
		h.GSOType, h.GSOSize = virtioType(s.gsoType), uint16(s.gsoSize)
		h.HdrLen = packet.DeriveVnet(b, h.GSOSize).HdrLen
		if h.GSOType == packet.GSONone {
			s.leave("there is no VnetHdr for its gso type %#x", s.gsoType)
		}
	}
	if s.left != "" {
		return ""
	}
	h.CsumStart = uint16(start)
	return pcap.VnetComment(h)
}

// virtioType returns the GSO type of a VnetHdr for that of an skb, GSONone if there is none.
func virtioType(skbType int) uint8 {
	types := map[int]uint8{skbTCPv4: packet.GSOTCPv4, skbTCPv6: packet.GSOTCPv6, skbUDPL4: packet.GSOUDPL4}
	v, is := types[skbType&^(skbDodgy|skbFixedID|skbECN)]
	if is && skbType&skbECN != 0 {
		v |= packet.GSOECN
	}
	return v
}

// atoi returns a number that a regular expression has found, 0 for nothing, and the nearest
// that is possible if it is too large.
func atoi(b []byte) int {
	n, _ := strconv.ParseInt(string(b), 10, 32)
	return int(n)
}

// atox is atoi for hex digits.
func atox(b []byte) int {
	n, _ := strconv.ParseInt(string(b), 16, 32)
	return int(n)
}
