package hexdump

import (
	"bytes"
	"encoding/hex"
	"strconv"
)

const maxDumpLine = 1024 // bytes; xxd's widest has 899

// offset splits a line of a dump into its offset and the rest.
func offset(line []byte) (off int64, rest []byte, ok bool) {
	line = bytes.TrimLeft(line, " \t")
	if len(line) > 1 && line[0] == '0' && line[1] == 'x' {
		line = line[2:]
	}
	n := 0
	for n < len(line) && isDigit(line[n]) {
		n++
	}
	if n < 4 || n > 8 {
		return 0, nil, false
	}
	off, err := strconv.ParseInt(string(line[:n]), 16, 64)
	rest = bytes.TrimPrefix(line[n:], []byte{':'})
	return off, rest, err == nil && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t')
}

// startsDump reports whether a line is the first line of a packet in a dump.
func startsDump(line []byte) bool {
	off, rest, ok := offset(line)
	if !ok || off != 0 {
		return false
	}
	word, _ := firstWord(bytes.TrimLeft(rest, " \t"))
	return isGroup(word)
}

// firstWord splits s before its first space or tab.
func firstWord(s []byte) (word, rest []byte) {
	if i := bytes.IndexAny(s, " \t"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, nil
}

// isGroup reports whether a word is one byte or two in hex.
func isGroup(word []byte) bool {
	for _, c := range word {
		if !isDigit(c) {
			return false
		}
	}
	return len(word) == 2 || len(word) == 4
}

// dump reads an offset dump.
func (p *parser) dump() error {
	var (
		open    bool   // the last packet may continue
		last    []byte // the bytes of its last line
		width   int    // the number of bytes in its first line
		star    int    // the line of a "*" that is not filled in yet
		heading int    // the line taken for the heading of the next packet
	)
	for line, ok := p.next(); ok; line, ok = p.next() {
		if len(line) == 0 || p.comment(line) {
			continue
		}
		if len(line) == 1 && line[0] == '*' && open && star == 0 {
			star = p.line
			continue
		}
		off, rest, ok := offset(line)
		if !ok {
			if star != 0 {
				break
			}
			open, heading = false, p.line
			continue
		}
		if len(line) > maxDumpLine {
			return errorf(p.line, "a line of a dump with more than %d bytes", maxDumpLine)
		}
		if off == 0 && star == 0 {
			if err := p.begin(p.line); err != nil {
				return err
			}
			open, width, heading = true, 0, 0
		} else if !open {
			return errorf(p.line, "offset %04x where a packet starts: it must be 0", off)
		}
		if star != 0 {
			if err := p.fill(off, last); err != nil {
				return err
			}
			star = 0
		}
		at := int64(len(p.list[len(p.list)-1].Data))
		if off != at {
			return errorf(p.line, "offset %04x, but the packet has %#04x bytes so far", off, at)
		}
		if len(rest) == 0 && off > 0 { // the last line of hexdump: the length alone
			open = false
			continue
		}
		want, exact := width, false
		if next, ok := p.nextOffset(); ok && next > at && next-at <= maxDumpLine {
			want, exact = int(next-at), true
		}
		b, err := p.dumpLine(line, rest, want, exact)
		if err != nil {
			return err
		}
		if err := p.add(p.line, b...); err != nil {
			return err
		}
		if last = b; width == 0 {
			width = len(b)
		}
	}
	if star != 0 {
		return errorf(star, "no offset after the *")
	}
	if heading != 0 {
		return errorf(heading, "neither an offset and bytes, nor the heading of a packet")
	}
	return nil
}

// nextOffset returns the offset of the next line, without taking the line.
func (p *parser) nextOffset() (int64, bool) {
	ahead := p.cursor
	line, _ := ahead.data()
	off, _, ok := offset(line)
	return off, ok
}

// fill repeats the bytes of a line up to an offset.
func (p *parser) fill(off int64, line []byte) error {
	n := off - int64(len(p.list[len(p.list)-1].Data))
	if n <= 0 || n > int64(p.most.packet) {
		return errorf(p.line, "offset %04x after a *: the lines it stands for have 1 to %d bytes", off, p.most.packet)
	}
	return p.add(p.line, bytes.Repeat(line, int(n)/len(line)+1)[:n]...)
}

// dumpLine returns the bytes after an offset. If want is not 0, there are want bytes:
// exactly as many if exact is set, or else at most as many.
func (p *parser) dumpLine(line, rest []byte, want int, exact bool) ([]byte, error) {
	var b []byte
	for {
		s := bytes.TrimLeft(rest, " \t")
		gap := len(rest)-len(s) > 1 || bytes.HasPrefix(rest, []byte{'\t'})
		if len(s) == 0 || len(b) > 0 && (s[0] == '|' || s[0] == '>') {
			break
		}
		if gap && len(b) > 0 && (want > 0 && len(b) == want || !exact && isText(rest, b)) {
			break
		}
		word, after := firstWord(s)
		if !isGroup(word) {
			if gap && len(b) > 0 {
				break
			}
			return nil, errorf(p.line, "%q is not one byte or two in hex", shown(word))
		}
		if len(word) == 4 && len(b) == 0 && swapped(line) {
			return nil, errorf(p.line, "16-bit words in an unknown byte order: use hexdump -C")
		}
		b, _ = hex.AppendDecode(b, word) // a group is hex
		if want > 0 && len(b) > want {
			return nil, errorf(p.line, "more bytes than the offsets and the lines before allow: %d", want)
		}
		rest = after
	}
	if len(b) == 0 {
		return nil, errorf(p.line, "no bytes after the offset")
	}
	return b, nil
}

// swapped reports whether a line has an offset like those of hexdump without -C: seven
// digits without 0x or a colon.
func swapped(line []byte) bool {
	word, _ := firstWord(line)
	return len(word) == 7 && word[6] != ':' && word[1] != 'x'
}

// isText reports whether s, which follows the bytes b, is white space and then b as
// text. A dot stands for any byte. Spaces at the end may be missing.
func isText(s, b []byte) bool {
	for from := 1; from < len(s) && (s[from-1] == ' ' || s[from-1] == '\t'); from++ {
		if matches(s[from:], b) {
			return true
		}
	}
	return false
}

// matches reports whether text is b as text.
func matches(text, b []byte) bool {
	if len(text) > len(b) {
		return false
	}
	for i, c := range b {
		if i < len(text) && text[i] != c && text[i] != '.' || i >= len(text) && c != ' ' {
			return false
		}
	}
	return true
}
