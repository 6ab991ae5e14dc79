// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// refusal matches the line that a Refusal of package offload/tun prints in a log. It
// has the length of the packet, its VnetHdr, and its headers, but no payload.
var refusal = regexp.MustCompile(`: write of \d+ packets in (\d+) bytes: .*: (vnet flags=\d+ gso_type=\d+ hdr_len=\d+ gso_size=\d+ csum_start=\d+ csum_offset=\d+) \[\]byte\{([0-9a-fx, ]*)\}`)

// isLog reports whether a text has lines that refusal matches.
func isLog(text []byte) bool {
	return bytes.Contains(text, []byte(": vnet flags=")) && refusal.Match(text)
}

// log reads the refusals of a log and ignores all other lines. The VnetHdr becomes the
// packet's comment. The part of the packet that is missing becomes zeros.
func (p *parser) log() error {
	for line, ok := p.next(); ok; line, ok = p.next() {
		groups := refusal.FindSubmatch(line)
		if groups == nil {
			continue
		}
		p.used[p.line] = true
		p.comments = []string{string(groups[2])}
		if err := p.begin(p.line); err != nil {
			return err
		}
		for _, s := range bytes.Split(groups[3], []byte(", ")) {
			b, err := strconv.ParseUint(string(s), 0, 8)
			if err != nil {
				return errorf(p.line, "%q is not a byte", s)
			}
			if err := p.add(p.line, byte(b)); err != nil {
				return err
			}
		}
		length, err := strconv.Atoi(string(groups[1]))
		if err != nil || length > p.most.packet {
			return errorf(p.line, "a packet of %s bytes", groups[1])
		}
		missing := max(0, length-len(p.last().Data))
		if h, _, err := pcap.Vnet(p.last().Comment); err == nil && missing > 0 && h.Flags&packet.NeedsCsum == 0 {
			p.last().Left = fmt.Sprintf("the log has no payload, and without NEEDS_CSUM its checksum covers that: %d of %d bytes", length-missing, length)
		}
		if err := p.add(p.line, make([]byte, missing)...); err != nil {
			return err
		}
	}
	return nil
}
