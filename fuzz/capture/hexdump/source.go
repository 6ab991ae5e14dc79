package hexdump

import (
	"bytes"
	"strconv"
)

// scanner walks Go source.
type scanner struct {
	text []byte
	at   int
	line int
}

// source reads byte slices and strings from Go source.
func (p *parser) source(text []byte) error {
	s := &scanner{text: text, line: 1}
	for s.at < len(s.text) {
		var err error
		switch c := s.text[s.at]; {
		case c == '#' && s.first():
			p.comment(bytes.TrimRight(s.upTo("\n"), " \t\r"))
		case s.skipComment():
		case c == '"' || c == '`':
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

// literal reads strings joined by "+". They are a packet if they are converted to
// bytes, or if the first one starts its line.
func (p *parser) literal(s *scanner) error {
	line := s.line
	packet := s.first() || bytes.HasSuffix(s.before(), []byte("byte("))
	var data []byte
	for {
		quoted := s.quoted()
		text, err := strconv.Unquote(string(quoted))
		if err != nil {
			return errorf(s.line, "a string that is not closed, or is not valid in Go")
		}
		s.step(len(quoted))
		if data = append(data, text...); len(data) > p.most.packet {
			return errorf(line, "a packet of more than %d bytes", p.most.packet)
		}
		s.space()
		if !s.has("+") {
			break
		}
		s.step(1)
		s.space()
		if !s.has(`"`) && !s.has("`") {
			break
		}
	}
	if !packet {
		return nil
	}
	if len(data) == 0 {
		return errorf(line, "a packet without bytes")
	}
	if err := p.begin(line); err != nil {
		return err
	}
	return p.add(line, data...)
}

// quoted returns the string that starts here, with its quotes; nil if it is not closed.
func (s *scanner) quoted() []byte {
	rest := s.text[s.at:]
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == rest[0]:
			return rest[:i+1]
		case rest[0] == '"' && rest[i] == '\n':
			return nil
		case rest[0] == '"' && rest[i] == '\\':
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
	s.step(1)
	if s.isArrayType(open) {
		return nil
	}
	s.space()
	if s.at == len(s.text) {
		return errorf(line, "a list that is not closed")
	}
	c := s.text[s.at]
	if open == '{' && slice && c == '}' {
		return errorf(line, "a packet without bytes")
	}
	nested := c == '{' || c == '['
	if (c < '0' || c > '9') && c != '\'' && (nested || open == '[' || !slice) {
		return nil
	}
	if err := p.begin(line); err != nil {
		return err
	}
	for s.at < len(s.text) {
		if s.text[s.at] == closing {
			s.step(1)
			return nil
		}
		v, err := s.number()
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
		} else if open == '{' && s.at < len(s.text) && s.text[s.at] != closing {
			return errorf(s.line, "no comma between the bytes of a list")
		}
	}
	return errorf(line, "a list that is not closed")
}

// isArrayType reports whether an opening bracket is that of a type such as [20]byte.
func (s *scanner) isArrayType(open byte) bool {
	i := s.at
	for i < len(s.text) && i < s.at+10 && s.text[i] >= '0' && s.text[i] <= '9' {
		i++
	}
	return open == '[' && (bytes.HasPrefix(s.text[i:], []byte("]byte")) || bytes.HasPrefix(s.text[i:], []byte("]uint8")))
}

// number reads one byte of a list in source code: a number such as 69 or 0x45, or a
// character such as 'E'.
func (s *scanner) number() (byte, error) {
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
	for n < len(rest) && (isDigit(rest[n]) || rest[n]|0x20 >= 'g' && rest[n]|0x20 <= 'z' || rest[n] == '_') {
		n++
	}
	if n == 0 {
		return 0, errorf(s.line, "%q in a list of bytes", rest[:1])
	}
	word := string(rest[:n])
	v, err := strconv.ParseUint(word, 0, 8)
	if err != nil {
		return 0, errorf(s.line, "%q is not a byte, in decimal or in hex after 0x", word)
	}
	if n > 1 && word[0] == '0' && word[1] <= '9' {
		return 0, errorf(s.line, "%q could be octal or hex: write it in decimal, or in hex after 0x", word)
	}
	s.step(n)
	return byte(v), nil
}
