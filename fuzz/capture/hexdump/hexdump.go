// Package hexdump reads packets that are written as text, as people paste them.
// A text is of one kind, which its first lines tell:
//
//   - Hex digits, as of xxd -p: spaces and colons may be between bytes and 0x before
//     them, behind which also a comma. A blank line or a comment ends a packet.
//   - An offset dump, as of text2pcap, hexdump -C, xxd, tcpdump -x and tshark -x:
//     offsets of 4 to 8 hex digits, bytes in groups of one or two, and the same as
//     text behind them. A packet starts where the offset is 0; lines that head a
//     packet are ignored; "*" stands for lines like the one before.
//   - Go: slices of bytes and their strings, or what %v prints; also a list in braces
//     of C. All other code is ignored.
//   - A log of a device of offload/tun: the lines of what the kernel refused. Their
//     packets are zeros behind the headers, which is all that a line has.
//
// Lines that start with "#" are the comment of the packet that follows.
//
// Of what could be read in two ways: a text whose first line has zeros of an offset's
// length and then bytes is an offset dump, as no IP packet starts with a zero. Behind
// the bytes of a dump's line, what repeats them as text is text, even if it looks like
// more bytes; before that counts how many bytes the next offset asks for. A number of
// a list is decimal, or has a prefix as 0x: leading zeros, which could be octal or hex,
// are an error.
package hexdump

import (
	"bytes"
	"fmt"
	"strings"
)

// Packet is a packet of a text.
type Packet struct {
	Line    int    // where it starts, from 1
	Data    []byte // owned by the caller
	Comment string // the "#" lines before it, joined by "\n"
}

// limits bound what a text may hold, so that memory stays near the size of the text.
type limits struct {
	packet  int // bytes of a packet
	bytes   int // bytes of all packets
	packets int
}

// defaults returns the limits of Parse.
func defaults() limits { return limits{packet: 1 << 18, bytes: 1 << 26, packets: 1 << 20} }

// Parse returns the packets of a text, of which there is at least one. Errors name
// the line.
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
		err = errorf(max(1, line), "neither hex digits, nor an offset and bytes, nor a slice of Go")
	}
	if err == nil && len(p.list) == 0 {
		err = errorf(1, "no packet in the text")
	}
	if err != nil {
		return nil, err
	}
	return p.list, nil
}

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
	line int // of what next returned last, from 1
}

// next returns the next line, without space at its end.
func (c *cursor) next() ([]byte, bool) {
	if len(c.rest) == 0 {
		return nil, false
	}
	line, rest, _ := bytes.Cut(c.rest, []byte{'\n'})
	c.rest = rest
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

// comment takes a line if it is a comment.
func (p *parser) comment(line []byte) bool {
	if len(line) == 0 || line[0] != '#' {
		return false
	}
	p.comments = append(p.comments, strings.TrimPrefix(string(line[1:]), " "))
	return true
}

// begin starts a packet, with the comments so far.
func (p *parser) begin(line int) error {
	if len(p.list) == p.most.packets {
		return errorf(line, "over %d packets", p.most.packets)
	}
	p.list = append(p.list, Packet{Line: line, Comment: strings.Join(p.comments, "\n")})
	p.comments = nil
	return nil
}

// add appends to the last packet.
func (p *parser) add(line int, b ...byte) error {
	last := &p.list[len(p.list)-1]
	if len(last.Data)+len(b) > p.most.packet {
		return errorf(line, "a packet of over %d bytes", p.most.packet)
	}
	if p.total += len(b); p.total > p.most.bytes {
		return errorf(line, "over %d bytes of packets", p.most.bytes)
	}
	last.Data = append(last.Data, b...)
	return nil
}

func errorf(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}
