// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/hex"
)

// isHex reports whether a line has only characters of hex digits and separators.
func isHex(line []byte) bool {
	for _, c := range line {
		if !isDigit(c) && bytes.IndexByte([]byte(" \t:,xX\\"), c) < 0 {
			return false
		}
	}
	return true
}

// isHexText reports whether all lines of a text may be hex digits.
func isHexText(text []byte) bool {
	c := cursor{rest: text}
	for line, ok := c.data(); ok; line, ok = c.data() {
		if !isHex(line) {
			return false
		}
	}
	return true
}

// isDigit reports whether c is a hex digit.
func isDigit(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

// hex reads lines of hex digits.
func (p *parser) hex() error {
	var block []piece // of lines that follow each other
	size := 0         // of the block, in bytes
	for line, ok := p.next(); ok; line, ok = p.next() {
		if len(line) == 0 || len(line) > 0 && line[0] == '#' {
			if err := p.pieces(block); err != nil {
				return err
			}
			block, size = nil, 0
			p.comment(line)
			continue
		}
		b, err := p.hexLine(line)
		if err != nil {
			return err
		}
		if size += len(b); p.total+size > p.most.bytes {
			return errorf(p.line, "more than %d bytes of packets", p.most.bytes)
		}
		block = append(block, piece{p.line, b})
	}
	return p.pieces(block)
}

// hexLine returns the bytes of one line.
func (p *parser) hexLine(line []byte) (b []byte, err error) {
	const separators = " \t:,"
	comma := bytes.IndexByte(line, ',') >= 0
	rest := bytes.TrimLeft(bytes.ReplaceAll(line, []byte("\\x"), []byte(" 0x")), separators)
	if len(rest) == 0 {
		return nil, errorf(p.line, "no hex digits")
	}
	for len(rest) > 0 {
		word := rest
		if i := bytes.IndexAny(rest, separators); i >= 0 {
			word = rest[:i]
		}
		rest = bytes.TrimLeft(rest[len(word):], separators)
		digits := word
		if len(word) > 1 && word[0] == '0' && word[1]|0x20 == 'x' {
			digits = word[2:]
		} else if comma {
			return nil, errorf(p.line, "%q in a list with commas: decimal numbers need braces around the list, hex needs 0x", shown(word))
		}
		if len(digits) == 0 {
			return nil, errorf(p.line, "%q has no digit", shown(word))
		}
		for _, c := range digits {
			if !isDigit(c) {
				return nil, errorf(p.line, "%q is not hex", shown(word))
			}
		}
		if len(digits)%2 != 0 {
			return nil, errorf(p.line, "%q has an odd number of hex digits", shown(word))
		}
		if len(b)+len(digits)/2 > p.most.packet {
			return nil, errorf(p.line, "a packet of more than %d bytes", p.most.packet)
		}
		b, _ = hex.AppendDecode(b, digits) // checked above
	}
	return b, nil
}

// shown returns the start of a word, for an error text.
func shown(word []byte) []byte { return word[:min(len(word), 40)] }
