// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
)

const maxDumpLine = 1024 // bytes; xxd's widest has 899

// stamp matches a word that is a time: of a kernel log, a date, one with colons, or seconds.
const stamp = `(?:\[[ \t]*\d+\.\d+\]|\d{4}-\d\d-\d\d\S*|\d+:\d\d:\d\d\S*|\d+\.\d+)`

// What may come before an offset: a direction and times. Before an offset of 8 digits with
// a colon there may be any text.
var (
	direction = regexp.MustCompile(`^(?:[IOio][ \t]+)?(?:` + stamp + `[ \t]+)*`)
	logged    = regexp.MustCompile(`[\s:\]][0-9a-fA-F]{8}: +[0-9a-fA-F]{2}(?: |$)`)
	timed     = regexp.MustCompile(`^[ \t]*` + stamp)
)

// offset splits a line of a dump into its offset and the rest.
func offset(line []byte) (off int64, rest []byte, ok bool) {
	line = bytes.TrimLeft(line, " \t>") // ">" is of quoted mail
	if off, rest, ok := bareOffset(line); ok {
		return off, rest, ok
	}
	if n := len(direction.Find(line)); n > 0 {
		if off, rest, ok := bareOffset(line[n:]); ok {
			return off, rest, ok
		}
	}
	if at := logged.FindIndex(line); at != nil {
		return bareOffset(line[at[0]+1:])
	}
	return 0, nil, false
}

// bareOffset is offset for a line that starts with the offset.
func bareOffset(line []byte) (off int64, rest []byte, ok bool) {
	if len(line) > 1 && line[0] == '0' && line[1] == 'x' {
		line = line[2:]
	}
	n := 0
	for n < len(line) && isDigit(line[n]) {
		n++
	}
	if n < 3 || n > 8 {
		return 0, nil, false
	}
	off, err := strconv.ParseInt(string(line[:n]), 16, 64)
	rest = bytes.TrimPrefix(line[n:], []byte{':'})
	return off, rest, err == nil && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t')
}

// startsDump reports whether a line is the first line of a packet in a dump.
func startsDump(line []byte) bool {
	off, rest, ok := offset(line)
	return ok && off == 0 && hasGroup(rest)
}

// hasGroup reports whether the first word of s is one byte or two in hex.
func hasGroup(s []byte) bool {
	word, _ := firstWord(bytes.TrimLeft(s, " \t"))
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

// Headings of dumps: of bytes that tshark has put together from several packets, and of a
// packet that is longer than what was captured of it.
var (
	noFrame  = regexp.MustCompile(`^[A-Z][^:]* \(\d+ bytes?\):$`)
	captured = regexp.MustCompile(`\b(\d+) bytes on wire .*, (\d+) bytes captured`)
)

// dump is the state of reading an offset dump.
type dump struct {
	*parser
	open    bool         // the last packet may continue
	other   bool         // the heading names bytes that are no packet
	skipped bool         // the lines are of such bytes
	past    int64        // the number of such bytes so far
	left    string       // why the next packet is left out, by its heading
	last    []byte       // the bytes of the last line
	width   int          // the number of bytes in the packet's first line
	inner   map[int]bool // numbers of bytes in a line after which two spaces are no end
	star    int          // the line of a "*" that is not filled in yet
}

// dump reads an offset dump.
func (p *parser) dump() error {
	d := &dump{parser: p, inner: map[int]bool{}}
	for line, ok := p.next(); ok; line, ok = p.next() {
		switch {
		case len(line) == 0 || p.comment(line):
		case len(line) == 1 && line[0] == '*' && d.open && d.star == 0:
			d.star = p.line
		default:
			if err := d.take(line); err != nil {
				return err
			}
		}
	}
	if d.star != 0 {
		return errorf(d.star, "no offset after the *")
	}
	return nil
}

// take reads a line with an offset, or a heading.
func (d *dump) take(line []byte) error {
	p := d.parser
	off, rest, ok := offset(line)
	if !ok || d.isHeading(off, rest) {
		if d.star != 0 {
			return errorf(d.star, "no offset after the *")
		}
		d.heading(line)
		return nil
	}
	if off == 0 {
		d.skipped, d.other, d.past = d.other, false, 0
	}
	if d.skipped {
		if b, _, _ := groups(rest); off == d.past { // else it is a row of something else
			p.used[p.line] = true
			d.past += int64(len(b))
		}
		return nil
	}
	p.used[p.line] = true
	if len(line) > maxDumpLine {
		return errorf(p.line, "a line of a dump with more than %d bytes", maxDumpLine)
	}
	if off == 0 && d.star == 0 {
		if err := p.begin(p.line); err != nil {
			return err
		}
		p.last().Left, d.left = d.left, ""
		d.open, d.width = true, 0
	} else if !d.open {
		return errorf(p.line, "offset %04x where a packet starts: it must be 0", off)
	}
	if d.star != 0 {
		if err := p.fill(off, d.last); err != nil {
			return err
		}
		d.star = 0
	}
	if at := len(p.last().Data); off != int64(at) {
		return errorf(p.line, "offset %04x, but the packet has %#04x bytes so far", off, at)
	}
	if len(rest) == 0 && off > 0 { // the last line of hexdump: the length alone
		d.open = false
		return nil
	}
	b, err := d.bytes(line, rest, off)
	if err != nil {
		return err
	}
	if d.last = b; d.width == 0 {
		d.width = len(b)
	}
	return p.add(p.line, b...)
}

// isHeading reports whether a line that starts like an offset is a heading: what follows is
// not bytes. If it starts with bytes, and the offset is one that may come next, the line is
// damaged instead. A damaged line that is taken for a heading ends the packet too early,
// which shows in its length.
func (d *dump) isHeading(off int64, rest []byte) bool {
	switch {
	case len(rest) == 0:
		return !d.open && off > 0
	case !hasGroup(rest):
		return true
	case off == 0 || d.open && off == int64(len(d.parser.last().Data)):
		return false
	}
	_, _, prose := groups(rest)
	return prose
}

// heading takes a line without an offset. What it says is about the packet that follows.
func (d *dump) heading(line []byte) {
	d.open = false
	d.other = noFrame.Match(line) && !bytes.HasPrefix(line, []byte("Frame ("))
	if sizes := captured.FindSubmatch(line); sizes != nil {
		d.left = ""
		if !bytes.Equal(sizes[1], sizes[2]) {
			d.left = fmt.Sprintf("cut by the capture to %s of %s bytes", sizes[2], sizes[1])
		}
	}
}

// nextOffset returns the offset of the next line, without taking the line. ok is false if
// that is a heading.
func (p *parser) nextOffset() (off int64, ok bool) {
	ahead := p.cursor
	line, _ := ahead.data()
	off, rest, ok := offset(line)
	return off, ok && (len(rest) == 0 || hasGroup(rest))
}

// fill repeats the bytes of a line up to an offset.
func (p *parser) fill(off int64, line []byte) error {
	n := off - int64(len(p.last().Data))
	if n <= 0 || n > int64(p.most.packet) {
		return errorf(p.line, "offset %04x after a *: the lines it stands for have 1 to %d bytes", off, p.most.packet)
	}
	return p.add(p.line, bytes.Repeat(line, int(n)/len(line)+1)[:n]...)
}

// bytes returns the bytes of a line, after the offset at.
func (d *dump) bytes(line, rest []byte, at int64) ([]byte, error) {
	p := d.parser
	b, ends, _ := groups(rest)
	if len(b) == 0 {
		return nil, errorf(p.line, "no bytes after the offset")
	}
	if first, _ := firstWord(bytes.TrimLeft(rest, " \t")); len(first) == 4 && swapped(line) {
		return nil, errorf(p.line, "16-bit words in an unknown byte order: use hexdump -C")
	}
	next, ok := p.nextOffset()
	if !ok || next <= at || next-at > maxDumpLine {
		return d.lastBytes(b, ends)
	}
	n := int(next - at) // the next line says how many bytes there are
	found := false
	for _, e := range ends {
		if e.n < n && e.gap {
			d.inner[e.n] = true
		}
		found = found || e.n == n && (e.gap || isText(e.rest, b[:n]))
	}
	if len(b) > n && !found {
		return nil, errorf(p.line, "more bytes than the offsets and the lines before allow: %d", n)
	}
	return b[:min(n, len(b))], nil // if they are too few, the next line's offset is wrong
}

// lastBytes returns the bytes of a line after which the packet does not continue. They are
// those before one of the ends.
func (d *dump) lastBytes(b []byte, ends []end) ([]byte, error) {
	p := d.parser
	var may, likely, fit []int
	for _, e := range ends {
		text := isText(e.rest, b[:e.n])
		if d.width > 0 && e.n > d.width || !e.gap && !text {
			continue
		}
		if e.n == len(b) || !d.inner[e.n] {
			may = append(may, e.n)
		}
		if text {
			likely = append(likely, e.n)
		}
		if len(ends) > 1 && whole(append(bytes.Clone(p.last().Data), b[:e.n]...)) {
			fit = append(fit, e.n)
		}
	}
	switch {
	case len(fit) == 1:
		return b[:fit[0]], nil
	case len(likely) == 1:
		return b[:likely[0]], nil
	case len(may) == 0:
		return nil, errorf(p.line, "more bytes than the offsets and the lines before allow: %d", d.width)
	case len(may) > 1:
		p.last().Left = fmt.Sprintf("line %d can be read in two ways: what follows two spaces may be bytes or text", p.line)
	}
	return b[:may[len(may)-1]], nil
}

// end is a place in a line of a dump where its bytes may end.
type end struct {
	n    int    // the number of bytes before it
	rest []byte // what follows, with white space before it
	gap  bool   // two spaces follow, a tab, or nothing that may be bytes
}

// groups returns the bytes in a line after its offset, up to what cannot be bytes, and the
// places where they may end. prose is set if they end before a word after just one space.
func groups(rest []byte) (b []byte, ends []end, prose bool) {
	for {
		s := bytes.TrimLeft(rest, " \t")
		word, after := firstWord(s)
		spaces := rest[:len(rest)-len(s)]
		gap := len(spaces) > 1 || bytes.IndexByte(spaces, '\t') >= 0
		marked := len(s) > 1 && (s[0] == '|' && s[len(s)-1] == '|' || s[0] == '>' && s[len(s)-1] == '<')
		switch {
		case len(b) > 0 && marked: // hexdump -C, od: only the text is between marks
			return b, []end{{len(b), nil, true}}, false
		case len(s) == 0 || len(spaces) > 2 && len(b) > 0: // between bytes there are at most two spaces
			return b, append(ends, end{len(b), rest, true}), false
		case !isGroup(word):
			return b, append(ends, end{len(b), rest, true}), !gap
		case len(b) > 0:
			ends = append(ends, end{len(b), rest, gap})
		}
		b, _ = hex.AppendDecode(b, word) // a group is hex
		rest = after
	}
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
