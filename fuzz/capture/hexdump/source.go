// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
)

// scanner walks source code.
type scanner struct {
	text []byte
	at   int
	line int
}

// source reads lists of bytes and strings from source code.
func (p *parser) source(text []byte) error {
	s := &scanner{text: text, line: 1}
	for s.at < len(s.text) {
		var err error
		switch c := s.text[s.at]; {
		case c == '#':
			first := s.first()
			if line := bytes.TrimRight(s.upTo("\n"), " \t\r"); first {
				p.comment(line)
			}
		case s.first() && s.has(fence):
			s.upTo("\n")
		case s.skipComment():
		case s.isQuote():
			err = p.literal(s)
		case c == '{' || c == '[':
			err = p.bracket(s)
		default:
			s.step(1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// step moves forward by n bytes.
func (s *scanner) step(n int) {
	n = min(n, len(s.text)-s.at)
	s.line += bytes.Count(s.text[s.at:s.at+n], []byte{'\n'})
	s.at += n
}

// upTo moves to the next place where end is, or to the end of the text. It returns the
// text in between.
func (s *scanner) upTo(end string) []byte {
	from := s.at
	if i := bytes.Index(s.text[s.at:], []byte(end)); i >= 0 {
		s.step(i)
	} else {
		s.step(len(s.text))
	}
	return s.text[from:s.at]
}

// first reports whether only white space is before the scanner on its line.
func (s *scanner) first() bool {
	before := s.before()
	return len(before) == 0 || before[len(before)-1] == '\n'
}

// before returns the text before the scanner, without spaces and tabs at its end.
func (s *scanner) before() []byte {
	i := s.at
	for i > 0 && (s.text[i-1] == ' ' || s.text[i-1] == '\t') {
		i--
	}
	return s.text[:i]
}

// has reports whether prefix is at the scanner.
func (s *scanner) has(prefix string) bool { return bytes.HasPrefix(s.text[s.at:], []byte(prefix)) }

// skipComment moves past a comment. It reports whether there was one.
func (s *scanner) skipComment() bool {
	switch {
	case s.has("//"):
		s.upTo("\n")
	case s.has("/*"):
		s.step(2)
		s.upTo("*/")
		s.step(2)
	default:
		return false
	}
	return true
}

// space moves past white space and comments.
func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.step(1)
		default:
			if !s.skipComment() {
				return
			}
		}
	}
}

// isQuote reports whether a string starts here. A single quote starts one after Python's b
// or a conversion to bytes, or before an escape at the start of a line.
func (s *scanner) isQuote() bool {
	return s.has(`"`) || s.has("`") || s.has("'") && (s.isBytes() || s.isConverted() || s.first() && s.has(`'\x`))
}

// isConverted reports whether what starts here is converted to bytes.
func (s *scanner) isConverted() bool { return conversion.Match(s.text[max(0, s.at-20):s.at]) }

// isBytes reports whether the string that starts here is a bytes literal of Python.
func (s *scanner) isBytes() bool {
	return pythonBytes.Match(s.text[max(0, s.at-3):s.at])
}

// What may be directly before a string: the b of Python, or the name of a conversion to bytes.
var (
	pythonBytes = regexp.MustCompile(`(?:^|[^\w])[bB]$`)
	conversion  = regexp.MustCompile(`(?:byte|fromhex|unhexlify|DecodeString)\($`)
)

// joins reports whether the strings from here on, with nothing between them, are one: they
// are in parentheses or the value of a variable or, in Python, elements of a list.
func (s *scanner) joins() bool {
	before := s.text[:s.at]
	if s.isBytes() {
		before = before[:len(before)-1]
	}
	before = bytes.TrimRight(before, " \t\r\n")
	if len(before) == 0 {
		return false
	}
	c := before[len(before)-1]
	return c == '(' || c == '=' || s.isBytes() && (c == '[' || c == ',')
}

// literal reads strings that follow each other. They are packets if they are bytes, are
// converted to bytes, or if the first one starts its line.
func (p *parser) literal(s *scanner) error {
	line := s.line
	packet := s.first() || s.isBytes() || s.isConverted()
	all := s.joins()
	var list []piece
	size := 0
	for joined := false; ; {
		at := s.line
		data, err := s.unquoted()
		if err != nil {
			return errorf(s.line, "%w", err)
		}
		if size += len(data); p.total+size > p.most.bytes {
			return errorf(at, "more than %d bytes of packets", p.most.bytes)
		}
		if joined || all && len(list) > 0 {
			list[len(list)-1].data = append(list[len(list)-1].data, data...)
		} else {
			list = append(list, piece{at, data})
		}
		s.space()
		if s.has("#") && !s.first() {
			s.upTo("\n")
			s.space()
		}
		if joined = s.has("+") || s.has("\\"); joined {
			s.step(1)
			s.space()
		}
		if (s.has("b") || s.has("B")) && s.at+1 < len(s.text) && (s.text[s.at+1] == '"' || s.text[s.at+1] == '\'') {
			s.step(1)
		}
		if !s.isQuote() {
			break
		}
	}
	if !packet {
		return nil
	}
	if size == 0 {
		return errorf(line, "a packet without bytes")
	}
	for i := range list {
		list[i].data = unhex(list[i].data)
	}
	return p.pieces(list)
}

// unhex returns the bytes whose hex digits a string has, if these are a packet and the string
// itself is not, or else the string.
func unhex(text []byte) []byte {
	b, err := hex.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
	if err != nil || !whole(b) || whole(text) {
		return text
	}
	return b
}

// unquoted returns the string that starts here, and moves past it. It is read by the rules
// of Go or, where these do not allow it or it is in single quotes, of Python.
func (s *scanner) unquoted() ([]byte, error) {
	const wrong = "a string that is not closed, or is not valid in %s"
	python := s.has("'") || s.isBytes()
	quoted := s.quoted()
	if quoted == nil {
		return nil, fmt.Errorf(wrong, "Go or Python")
	}
	s.step(len(quoted))
	if !python {
		if text, err := strconv.Unquote(string(quoted)); err == nil {
			return []byte(text), nil
		}
	}
	b, ok := unescape(quoted[1 : len(quoted)-1])
	if !ok {
		return nil, fmt.Errorf(wrong, "Go or Python")
	}
	return b, nil
}

// unescape returns the bytes of a bytes literal of Python, without its quotes.
func unescape(s []byte) (b []byte, ok bool) {
	const letters, values = "\n'\"\\abfnrtv", "'\"\\\a\b\f\n\r\t\v"
	for len(s) > 0 {
		c := s[0]
		if s = s[1:]; c != '\\' {
			if c >= 0x80 {
				return nil, false
			}
			b = append(b, c)
			continue
		}
		if len(s) == 0 {
			return nil, false
		}
		if s[0] == 'x' || s[0] >= '0' && s[0] <= '7' {
			v, n := number(s)
			if n == 0 {
				return nil, false
			}
			b, s = append(b, v), s[n:]
			continue
		}
		i := bytes.IndexByte([]byte(letters), s[0])
		if i < 0 {
			return nil, false
		}
		if i > 0 { // not a line that goes on
			b = append(b, values[i-1])
		}
		s = s[1:]
	}
	return b, true
}

// number returns the byte that an escape stands for, and the length of the escape without
// its backslash: x and two hex digits, three octal digits, or a 0. It does not take two
// octal digits, which may be hex digits whose x is missing.
func number(s []byte) (v byte, n int) {
	for n < min(3, len(s)) && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	base, digits := 8, s[:n]
	if s[0] == 'x' && len(s) > 2 {
		n, base, digits = 3, 16, s[1:3]
	} else if n != 3 && string(digits) != "0" {
		return 0, 0
	}
	u, err := strconv.ParseUint(string(digits), base, 8)
	if err != nil {
		return 0, 0
	}
	return byte(u), n
}

// quoted returns the string that starts here, with its quotes; nil if it is not closed.
func (s *scanner) quoted() []byte {
	rest := s.text[s.at:]
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == rest[0]:
			return rest[:i+1]
		case rest[0] != '`' && rest[i] == '\n':
			return nil
		case rest[0] != '`' && rest[i] == '\\':
			i++
		}
	}
	return nil
}

// bracket reads a list of numbers, or moves past a bracket that opens none.
func (p *parser) bracket(s *scanner) error {
	line, open := s.line, s.text[s.at]
	closing := byte('}')
	if open == '[' {
		closing = ']'
	}
	slice := bytes.HasSuffix(s.before(), []byte("byte")) || bytes.HasSuffix(s.before(), []byte("uint8"))
	if open == '[' && noList.Match(s.text[s.at:min(s.at+40, len(s.text))]) {
		s.step(1)
		return nil
	}
	s.step(1)
	s.space()
	if s.at == len(s.text) {
		return errorf(line, "a list that is not closed")
	}
	c := s.text[s.at]
	if open == '{' && slice && c == '}' {
		return errorf(line, "a packet without bytes")
	}
	nested := c == '{' || c == '['
	negative := c == '-' && s.at+1 < len(s.text) && s.text[s.at+1] >= '0' && s.text[s.at+1] <= '9'
	if (c < '0' || c > '9') && c != '\'' && !negative && (nested || open == '[' || !slice) {
		return nil
	}
	if err := p.begin(line); err != nil {
		return err
	}
	commas := open == '{' // between the bytes; Go's %v prints none
	for s.at < len(s.text) {
		if s.text[s.at] == closing {
			s.step(1)
			return nil
		}
		v, err := s.number(!slice)
		if err != nil {
			return err
		}
		if err := p.add(s.line, v); err != nil {
			return err
		}
		s.space()
		if s.has(",") {
			s.step(1)
			s.space()
			commas = true
		} else if commas && s.at < len(s.text) && s.text[s.at] != closing {
			return errorf(s.line, "no comma between the bytes of a list")
		}
	}
	return errorf(line, "a list that is not closed")
}

// noList matches a bracket with one number, such as the size of an array or a time. It opens
// no list.
var noList = regexp.MustCompile(`^\[\s*[\w.]*\s*\]`)

// number reads one byte of a list in source code: a number such as 69 or 0x45, or a
// character such as 'E'. If signed is set, it may be from -128 to -1, as Java prints bytes.
func (s *scanner) number(signed bool) (byte, error) {
	rest := s.text[s.at:min(len(s.text), s.at+40)]
	if rest[0] == '\'' {
		v, _, tail, err := strconv.UnquoteChar(string(rest[1:]), '\'')
		if err != nil || v > 0xff || len(tail) == 0 || tail[0] != '\'' {
			return 0, errorf(s.line, "a character that is not a byte")
		}
		s.step(len(rest) - len(tail) + 1)
		return byte(v), nil
	}
	n := 0
	for n < len(rest) && (isDigit(rest[n]) || rest[n]|0x20 >= 'g' && rest[n]|0x20 <= 'z' || rest[n] == '_' || n == 0 && rest[n] == '-' && signed) {
		n++
	}
	if n == 0 {
		return 0, errorf(s.line, "%q in a list of bytes", rest[:1])
	}
	word := string(rest[:n])
	v, err := strconv.ParseInt(word, 0, 16)
	if err != nil || v > 0xFF || v < -0x80 {
		return 0, errorf(s.line, "%q is not a byte, in decimal or in hex after 0x", word)
	}
	if n > 1 && word[0] == '0' && word[1] <= '9' {
		return 0, errorf(s.line, "%q could be octal or hex: write it in decimal, or in hex after 0x", word)
	}
	s.step(n)
	return byte(v), nil
}
