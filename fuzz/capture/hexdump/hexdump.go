// SPDX-License-Identifier: MIT

// Package hexdump reads packets from text, as people paste them. A text is of one kind.
//
// # Kinds of text
//
//   - Hex digits, as xxd -p, %x and Wireshark's "hex stream" print them. Bytes may be
//     separated by spaces and colons, have a prefix 0x or \x, and with a prefix also be
//     separated by commas. A blank line or a comment ends a packet. Lines without one
//     between them are one packet, or one packet each: see below.
//   - An offset dump, as tcpdump -x, -xx, -X and -XX, Wireshark, tshark -x, text2pcap,
//     hexdump -C, xxd, od -t x1, scapy's hexdump, hex.Dump and the kernel's
//     print_hex_dump print. A line has an offset of 3 to 8 hex digits, then bytes in
//     groups of one or two, then optionally the same bytes as text. A packet starts where
//     the offset is 0. "*" stands for lines like the one before it. Before the offset there
//     may be a direction (I or O), a time, a ">" of quoted mail, or, if the offset has 8
//     digits and a colon, anything. Other lines are headings. They are ignored, except that
//     a dump under "Reassembled TCP (2920 bytes):" or another such name is no packet.
//   - Source code: byte slices of Go, what %v and %#v print, arrays of C, Rust and Java,
//     bytes literals of Python, and strings with escapes such as "\x45\x00". A string is a
//     packet if it starts its line, has Python's b before it, or is converted to bytes. All
//     other code is ignored.
//   - A kernel log with packets that skb_dump printed: the lines with "skb linear:" and
//     "skb frag:", after any prefix. The lines before these give the VnetHdr of the packet.
//   - A log of a device of package offload/tun: the lines that report superpackets that
//     the kernel refused. Such a line has only the headers of the packet. The rest of the
//     packet is read as zeros.
//
// A text may have several of these, one after the other. What is prose is ignored. Packets
// that cannot be read are left out, with the reason, or the text is refused.
//
// Lines that start with "#" are the comment of the packet that follows. Lines that start
// with "```" are ignored.
//
// # What is a packet
//
// A text does not say what its bytes are. They may be an IP packet, or a frame of Ethernet,
// Linux cooked (SLL) or BSD loopback with one. The link header, and padding after the
// packet, are removed. A packet is left out, with the reason, if that is not certain:
//
//   - The bytes have another length than their IP header states. Then bytes are missing in
//     the text, as after a capture with a short snap length, or others were read with them.
//   - They are no IP packet and no frame with one, or could be both.
//   - The text can be read in two ways.
//
// So a packet with a wrong length field cannot be given as text. A .pkts case can hold it.
//
// # What can be read in two ways
//
// The lengths in IP headers decide, where one reading gives whole packets and the other
// does not:
//
//   - Lines of hex digits that follow each other, and strings that do. They are joined, or
//     they are packets of their own. (Strings with "+", a backslash, "(" or "=" between
//     or before them are joined.)
//   - The end of a dump's line, where text may look like bytes. The offset of the next line
//     comes first, then the length of the lines before, then the text, which must repeat the
//     bytes.
//   - A first group of four or eight zeros, which is an offset, or the start of an Ethernet
//     address.
//   - A string of hex digits, which are the bytes or their hex.
//
// A number in a list is decimal, or has a prefix such as 0x. Leading zeros are an error,
// because they could mean octal or hex.
package hexdump

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
)

// Packet is an IP packet that was read from a text, or one that was left out.
type Packet struct {
	Line    int    // the line where it starts, from 1
	Data    []byte // owned by the caller; nil if it was left out
	Comment string // the "#" lines before it, joined by "\n"
	Left    string // why it was left out, "" if it was not
	Link    string // the kind of frame that it was in, "" for none
	After   int    // the number of bytes after it that were cut off: padding, or a frame's checksum
}

// limits bounds what a text may hold, so that memory stays near the size of the text.
type limits struct {
	packet  int // bytes of a packet
	bytes   int // bytes of all packets
	packets int
}

// defaults returns the limits of Parse.
func defaults() limits { return limits{packet: 1 << 18, bytes: 1 << 26, packets: 1 << 20} }

// ErrNoPacket is the error of a text in which nothing looks like a packet.
var ErrNoPacket = errors.New("no packet in the text")

// Parse returns the packets of a text, and those that were left out. A text without either
// is an error. Errors name the line.
func Parse(text []byte) ([]Packet, error) {
	list, err := parse(text, defaults())
	if err != nil {
		return nil, err
	}
	some := false
	for i := range list {
		err := list[i].settle()
		some = some || !errors.Is(err, pcap.ErrNoIP)
	}
	if !some {
		return nil, errorf(list[0].Line, "%w: %w", ErrNoPacket, pcap.ErrNoIP)
	}
	return list, nil
}

// settle finds the IP packet in the bytes that were read, or leaves them out. It returns the
// reason.
func (p *Packet) settle() error {
	if p.Left != "" {
		p.Data = nil
		return errors.New(p.Left)
	}
	found, err := pcap.Find(p.Data)
	if _, has, bad := pcap.Vnet(p.Comment); err == nil && bad == nil && has && found.Link != "" {
		err = fmt.Errorf("it is a frame of %s, and only an IP packet has a VnetHdr", found.Link)
	}
	if err != nil {
		p.Data, p.Left = nil, err.Error()
		return err
	}
	p.Data, p.Link, p.After = found.Data, found.Link, found.After
	return nil
}

// whole reports whether bytes are an IP packet, or a frame with one, for certain.
func whole(b []byte) bool {
	_, err := pcap.Find(b)
	return err == nil
}

// allWhole reports whether a text was read, and all its packets are whole.
func allWhole(list []Packet, err error) bool {
	for _, p := range list {
		if p.Left != "" || !whole(p.Data) {
			return false
		}
	}
	return err == nil && len(list) > 0
}

// parse returns the bytes of the packets in a text.
func parse(text []byte, most limits) ([]Packet, error) {
	text = numbered(text)
	kind, line := detect(text)
	if kind == kindNone {
		return nil, errorf(max(1, line), "%w: neither hex digits, nor an offset and bytes, nor bytes in source code", ErrNoPacket)
	}
	list, rest, err := read(kind, text, most)
	if kind == kindDump && isHexText(text) && !allWhole(list, err) {
		if other, _, otherErr := read(kindHex, text, most); allWhole(other, otherErr) {
			return other, nil
		}
	}
	if err != nil {
		return nil, err
	}
	list = append(list, others(kind, list, rest, most)...)
	slices.SortStableFunc(list, func(a, b Packet) int { return a.Line - b.Line })
	return list, nil
}

// others returns the packets of other forms in what the reader of one form left of a text.
// known are those that it read. Packets that cannot be read are left out, with the reason.
func others(k kind, known []Packet, rest []byte, most limits) (list []Packet) {
	take := func(k kind, line int, text []byte) (rest []byte) {
		more, rest, err := read(k, text, most)
		if err != nil {
			list = append(list, Packet{Line: line, Left: fmt.Sprintf("the text has packets of another form too: %v", err)})
			return nil
		}
		list = append(list, more...)
		return rest
	}
	switch k {
	case kindHex: // all lines were read
		return nil
	case kindLog, kindKernel, kindSource:
		if k == kindLog && isKernel(rest) {
			rest = take(kindKernel, 1, rest)
		}
		if line := firstDump(rest); line > 0 { // among lines that mean nothing
			rest = take(kindDump, line, rest)
		}
	}
	again := map[string]int{} // the reader of source code does not say which lines it used
	for _, p := range known {
		if k == kindSource {
			again[string(p.Data)]++
		}
	}
	for line, block := range blocks(rest) {
		k, _ := detect(block)
		more, _, err := read(k, block, most)
		if k == kindNone || !allWhole(more, err) {
			continue // it may be anything
		}
		for _, p := range more {
			if again[string(p.Data)] > 0 {
				again[string(p.Data)]--
				continue
			}
			p.Line += line - 1
			list = append(list, p)
		}
	}
	return list
}

// firstDump returns the first line of a text that starts a packet in a dump, 0 if none does.
func firstDump(text []byte) int {
	c := cursor{rest: text}
	for line, ok := c.data(); ok; line, ok = c.data() {
		if startsDump(line) {
			return c.line
		}
	}
	return 0
}

// blocks yields the parts of a text between blank lines, with their first lines. Lines that
// may be hex digits and nothing else are in blocks of their own.
func blocks(text []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		n, from := 0, 0
		var block []byte
		hex := false
		flush := func() bool {
			b := block
			block = nil
			return len(b) == 0 || yield(from, b)
		}
		for line := range bytes.Lines(text) {
			n++
			trimmed := bytes.TrimSpace(line)
			if is := isHex(trimmed); len(trimmed) == 0 || len(block) > 0 && is != hex {
				if !flush() {
					return
				}
			}
			if len(trimmed) == 0 {
				continue
			}
			if len(block) == 0 {
				from, hex = n, isHex(trimmed)
			}
			block = append(block, line...)
		}
		flush()
	}
}

// read reads a text as one of a kind. rest is the text with blank lines instead of those that
// had a meaning.
func read(k kind, text []byte, most limits) (list []Packet, rest []byte, err error) {
	p := &parser{cursor: cursor{rest: text}, most: most, used: map[int]bool{}}
	switch k {
	case kindLog:
		err = p.log()
	case kindKernel:
		err = p.kernel()
	case kindHex:
		err = p.hex()
	case kindDump:
		err = p.dump()
	case kindSource:
		err = p.source(text)
	}
	if err == nil && len(p.list) == 0 {
		err = errorf(1, "%w", ErrNoPacket)
	}
	if err != nil {
		return nil, nil, err
	}
	n := 0
	for line := range bytes.Lines(text) {
		if n++; p.used[n] {
			line = []byte{'\n'}
		}
		rest = append(rest, line...)
	}
	return p.list, rest, nil
}

// kind is the form of a text.
type kind int

const (
	kindNone kind = iota
	kindHex
	kindDump
	kindSource
	kindKernel
	kindLog
)

// Lines that are source code with bytes, and lines that may be if there is nothing else.
var (
	isSource  = regexp.MustCompile(`byte\{|byte\(|uint8\{|fromhex\(|unhexlify\(|DecodeString\(|^\s*["'` + "`" + `]|^\s*[\[{][\s\d{\["']|` + bytesLiteral)
	maySource = regexp.MustCompile("[{\\[\"`]|" + bytesLiteral)
)

// bytesLiteral matches the start of a bytes literal of Python.
const bytesLiteral = `(^|[\s(\[{,=:])[bB]['"]`

// detect returns the kind of a text, and its first line that is not a comment.
func detect(text []byte) (kind, int) {
	c := cursor{rest: text}
	line, ok := c.data()
	at := c.line
	switch {
	case !ok:
		return kindNone, at
	case isLog(text):
		return kindLog, at
	case isKernel(text):
		return kindKernel, at
	case startsDump(line):
		return kindDump, at
	case isHex(line):
		return kindHex, at
	case isSource.Match(line) && !timed.Match(line):
		return kindSource, at
	}
	source := maySource.Match(line)
	for line, ok := c.data(); ok; line, ok = c.data() {
		if startsDump(line) {
			return kindDump, at
		}
		source = source || maySource.Match(line)
	}
	if source {
		return kindSource, at
	}
	return kindNone, at
}

// cursor walks the lines of a text.
type cursor struct {
	rest []byte
	line int // number of the line that next returned last, from 1
}

// next returns the next line without white space at its end. ok is false at the end. A
// fence of Markdown becomes a blank line.
func (c *cursor) next() (line []byte, ok bool) {
	if len(c.rest) == 0 {
		return nil, false
	}
	line, c.rest, _ = bytes.Cut(c.rest, []byte{'\n'})
	c.line++
	if bytes.HasPrefix(line, []byte(fence)) {
		return nil, true
	}
	return bytes.TrimRight(line, " \t\r"), true
}

// fence starts a line of Markdown before and after text that is shown as it is.
const fence = "```"

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
	total    int          // bytes
	comments []string     // for the next packet
	used     map[int]bool // lines that had a meaning
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

// last returns the packet that began last.
func (p *parser) last() *Packet { return &p.list[len(p.list)-1] }

// add appends bytes to the last packet.
func (p *parser) add(line int, b ...byte) error {
	last := p.last()
	if len(last.Data)+len(b) > p.most.packet {
		return errorf(line, "a packet of more than %d bytes", p.most.packet)
	}
	if p.total += len(b); p.total > p.most.bytes {
		return errorf(line, "more than %d bytes of packets", p.most.bytes)
	}
	last.Data = append(last.Data, b...)
	return nil
}

// piece is a line or a string in a text: a packet, or a part of one.
type piece struct {
	line int
	data []byte
}

// pieces adds the packets in pieces that follow each other.
func (p *parser) pieces(list []piece) error {
	if len(list) == 0 {
		return nil
	}
	groups, certain := [][]piece{list}, true
	if len(list) > 1 {
		groups, certain = divide(list)
	}
	for _, group := range groups {
		if err := p.begin(group[0].line); err != nil {
			return err
		}
		for _, part := range group {
			if err := p.add(part.line, part.data...); err != nil {
				return err
			}
		}
		if !certain {
			p.last().Left = fmt.Sprintf("it is not certain whether lines %d to %d are one packet or several: put each packet on one line", list[0].line, list[len(list)-1].line)
		}
	}
	return nil
}

// divide divides pieces into packets, so that all are whole. If there is not just one way,
// they are all one group, and not certain.
func divide(list []piece) (groups [][]piece, certain bool) {
	var all []byte
	for _, p := range list {
		all = append(all, p.data...)
	}
	from, start, at := 0, 0, 0
	frames := map[string]bool{} // the kinds of frames
	for i, p := range list {
		at += len(p.data)
		if i+1 < len(list) && whole(all[start:at+len(list[i+1].data)]) {
			continue // padding may follow
		}
		if found, err := pcap.Find(all[start:at]); err == nil {
			groups = append(groups, list[from:i+1])
			from, start = i+1, at
			frames[found.Link] = true
		}
	}
	several := start == len(all) && (len(frames) == 1 || len(groups) == len(list))
	switch one := whole(all); {
	case several && (!one || len(groups) == 1):
		return groups, !slices.ContainsFunc(groups, doubtful)
	case !several && !one:
		if groups := single(list); groups != nil {
			return groups, true
		}
	}
	return [][]piece{list}, false
}

// doubtful reports whether something may be missing in pieces, although they are whole when
// joined: each looks like the start of a packet, one is a packet by itself, or they do not
// have the lengths that programs print. A right checksum proves that nothing is missing.
func doubtful(list []piece) bool {
	if len(list) == 1 {
		return false
	}
	var all []byte
	starts, one := true, false
	for _, p := range list {
		all = append(all, p.data...)
		starts, one = starts && pcap.Starts(p.data), one || whole(p.data)
	}
	found, err := pcap.Find(all)
	return (starts || one || !regular(list)) && (err != nil || packet.Checksum(found.Data) != packet.Right)
}

// regular reports whether pieces have the lengths of the lines that a program prints of one
// packet: a usual one, and only the last may be shorter.
func regular(list []piece) bool {
	n := len(list[0].data)
	for _, p := range list[:len(list)-1] {
		if len(p.data) != n {
			return false
		}
	}
	return len(list[len(list)-1].data) <= n && slices.Contains([]int{8, 10, 16, 20, 30, 32, 40, 50, 64}, n)
}

// single returns each piece as a group of its own, if some are whole, and if they do not
// look like the lines of one packet.
func single(list []piece) (groups [][]piece) {
	some := false
	for _, p := range list {
		some = some || whole(p.data)
		groups = append(groups, []piece{p})
	}
	if !some || regular(list) {
		return nil
	}
	return groups
}

// errorf returns an error that names the line.
func errorf(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}
