package hexdump

import (
	"bytes"
	"regexp"
	"strconv"
)

// refusal is the line of offload/tun's Refusal, in a log: how long the packet is,
// its VnetHdr, and its headers, which is all of it that is there.
var refusal = regexp.MustCompile(`: write of \d+ packets in (\d+) bytes: .*: (vnet flags=\d+ gso_type=\d+ hdr_len=\d+ gso_size=\d+ csum_start=\d+ csum_offset=\d+) \[\]byte\{([0-9a-fx, ]*)\}`)

// isLog says whether a text has such lines.
func isLog(text []byte) bool {
	return bytes.Contains(text, []byte(": vnet flags=")) && refusal.Match(text)
}

// log reads the refusals of a log; all other lines are ignored. The VnetHdr is the
// packet's comment, and what is missing of the packet is zeros.
func (p *parser) log() error {
	for line, ok := p.next(); ok; line, ok = p.next() {
		said := refusal.FindSubmatch(line)
		if said == nil {
			continue
		}
		p.comments = []string{string(said[2])}
		if err := p.begin(p.line); err != nil {
			return err
		}
		for _, s := range bytes.Split(said[3], []byte(", ")) {
			b, err := strconv.ParseUint(string(s), 0, 8)
			if err != nil {
				return errorf(p.line, "%q is no byte", s)
			}
			if err := p.add(p.line, byte(b)); err != nil {
				return err
			}
		}
		length, err := strconv.Atoi(string(said[1]))
		if err != nil || length > p.most.packet {
			return errorf(p.line, "a packet of %s bytes", said[1])
		}
		missing := max(0, length-len(p.list[len(p.list)-1].Data))
		if err := p.add(p.line, make([]byte, missing)...); err != nil {
			return err
		}
	}
	return nil
}
