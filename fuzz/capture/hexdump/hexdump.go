// Package hexdump reads packets from text, as people paste them. A text is of one
// kind, which its first lines show:
//
//   - Hex digits, as xxd -p prints them. Spaces and colons may separate bytes. With a
//     prefix 0x, commas may too. A blank line or a comment ends a packet.
//   - An offset dump, as text2pcap reads and as hexdump -C, xxd, tcpdump -x and tshark
//     -x print. A line has an offset of 4 to 8 hex digits, then bytes in groups of one
//     or two, then optionally the same bytes as text. A packet starts where the offset
//     is 0. Heading lines are ignored. "*" stands for lines like the one before it.
//   - Go source: byte slices, strings that are converted to them, or what %v prints. A
//     list in braces may also be from C. All other code is ignored.
//   - A log of a device of package offload/tun: the lines that report superpackets
//     that the kernel refused. Such a line has only the headers of the packet. The
//     rest of the packet is read as zeros.
//
// Lines that start with "#" are the comment of the packet that follows.
//
// Some texts could be read in two ways. If the first line starts with zeros, as many
// as an offset has, and then bytes, the text is an offset dump, because no IP packet
// starts with a zero. In a line of a dump, the next offset shows how many bytes the
// line has. If there is none, text that repeats the bytes is text, even if it looks
// like more bytes. A number in a list is decimal, or has a prefix such as 0x. Leading
// zeros are an error, because they could mean octal or hex.
package hexdump

import (
	"bytes"
	"fmt"
	"strings"
)

// Packet is a packet that was read from a text.
type Packet struct {
	Line    int    // the line where it starts, from 1
	Data    []byte // owned by the caller
	Comment string // the "#" lines before it, joined by "\n"
}

// limits bounds what a text may hold, so that memory stays near the size of the text.
type limits struct {
	packet  int // bytes of a packet
	bytes   int // bytes of all packets
	packets int
}

// defaults returns the limits of Parse.
func defaults() limits { return limits{packet: 1 << 18, bytes: 1 << 26, packets: 1 << 20} }

// Parse returns the packets of a text. A text without a packet is an error. Errors
// name the line.
func Parse(text []byte) ([]Packet, error) { return parse(text, defaults()) }

func parse(text []byte, most limits) ([]Packet, error) {
	p := &parser{cursor: cursor{rest: text}, most: most}
	var err error
	kind, line := detect(p.cursor)
	if isLog(text) {
		kind = kindLog
	}
	switch kind {
	case kindLog:
		err = p.log()
	case kindHex:
		err = p.hex()
	case kindDump:
		err = p.dump()
	case kindGo:
		err = p.source(text)
	default:
		err = errorf(max(1, line), "neither hex digits, nor an offset and bytes, nor a Go byte slice")
	}
	if err == nil && len(p.list) == 0 {
		err = errorf(1, "no packet in the text")
	}
	if err != nil {
		return nil, err
	}
	return p.list, nil
}

// kind is the form of a text.
type kind int

const (
	kindNone kind = iota
	kindHex
	kindDump
	kindGo
	kindLog
)

// detect returns the kind of a text, and its first line that is not a comment.
func detect(c cursor) (kind, int) {
	line, ok := c.data()
	if !ok {
		return kindNone, c.line
	}
	at := c.line
	if startsDump(line) {
		return kindDump, at
	}
	if isHex(line) {
		return kindHex, at
	}
	for _, mark := range []string{"byte{", "byte(", "uint8{"} {
		if bytes.Contains(line, []byte(mark)) {
			return kindGo, at
		}
	}
	brackets := bytes.ContainsAny(line, "{[\"`")
	if bytes.ContainsRune([]byte("{[\"`"), rune(bytes.TrimLeft(line, " \t")[0])) {
		return kindGo, at
	}
	for line, ok := c.data(); ok; line, ok = c.data() {
		if startsDump(line) {
			return kindDump, at
		}
		brackets = brackets || bytes.ContainsAny(line, "{[\"`")
	}
	if brackets {
		return kindGo, at
	}
	return kindNone, at
}

// cursor walks the lines of a text.
type cursor struct {
	rest []byte
	line int // number of the line that next returned last, from 1
}

// next returns the next line without white space at its end. ok is false at the end.
func (c *cursor) next() (line []byte, ok bool) {
	if len(c.rest) == 0 {
		return nil, false
	}
	line, c.rest, _ = bytes.Cut(c.rest, []byte{'\n'})
	c.line++
	return bytes.TrimRight(line, " \t\r"), true
}

// data returns the next line that is neither blank nor a comment.
func (c *cursor) data() ([]byte, bool) {
	for {
		line, ok := c.next()
		if !ok || len(line) > 0 && line[0] != '#' {
			return line, ok
		}
	}
}

// parser collects the packets of a text.
type parser struct {
	cursor
	most     limits
	list     []Packet
	total    int      // bytes
	comments []string // for the next packet
}

// comment takes a line if it is a comment, and reports whether it is.
func (p *parser) comment(line []byte) bool {
	if len(line) == 0 || line[0] != '#' {
		return false
	}
	p.comments = append(p.comments, strings.TrimPrefix(string(line[1:]), " "))
	return true
}

// begin starts a packet with the comments so far.
func (p *parser) begin(line int) error {
	if len(p.list) == p.most.packets {
		return errorf(line, "more than %d packets", p.most.packets)
	}
	p.list = append(p.list, Packet{Line: line, Comment: strings.Join(p.comments, "\n")})
	p.comments = nil
	return nil
}

// add appends bytes to the last packet.
func (p *parser) add(line int, b ...byte) error {
	last := &p.list[len(p.list)-1]
	if len(last.Data)+len(b) > p.most.packet {
		return errorf(line, "a packet of more than %d bytes", p.most.packet)
	}
	if p.total += len(b); p.total > p.most.bytes {
		return errorf(line, "more than %d bytes of packets", p.most.bytes)
	}
	last.Data = append(last.Data, b...)
	return nil
}

// errorf returns an error that names the line.
func errorf(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}
