package hexdump

import (
	"bytes"
	"encoding/hex"
)

// isHex reports whether a line has only characters of hex digits and separators.
func isHex(line []byte) bool {
	for _, c := range line {
		if !isDigit(c) && c != ' ' && c != '\t' && c != ':' && c != ',' && c != 'x' && c != 'X' {
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
	open := false
	for line, ok := p.next(); ok; line, ok = p.next() {
		if len(line) == 0 || p.comment(line) {
			open = false
			continue
		}
		if !open {
			if err := p.begin(p.line); err != nil {
				return err
			}
			open = true
		}
		if err := p.hexLine(line); err != nil {
			return err
		}
	}
	return nil
}

// hexLine reads the bytes of one line.
func (p *parser) hexLine(line []byte) error {
	const separators = " \t:,"
	comma := bytes.IndexByte(line, ',') >= 0
	rest := bytes.TrimLeft(line, separators)
	if len(rest) == 0 {
		return errorf(p.line, "no hex digits")
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
			return errorf(p.line, "%q in a list with commas: decimal numbers need braces around the list, hex needs 0x", shown(word))
		}
		if len(digits) == 0 {
			return errorf(p.line, "%q has no digit", shown(word))
		}
		for _, c := range digits {
			if !isDigit(c) {
				return errorf(p.line, "%q is not hex", shown(word))
			}
		}
		if len(digits)%2 != 0 {
			return errorf(p.line, "%q has an odd number of hex digits", shown(word))
		}
		b, _ := hex.AppendDecode(nil, digits[:min(len(digits), 2*p.most.packet+2)]) // checked above
		if err := p.add(p.line, b...); err != nil {
			return err
		}
	}
	return nil
}

// shown returns the start of a word, for an error text.
func shown(word []byte) []byte { return word[:min(len(word), 40)] }
