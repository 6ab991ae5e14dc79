// SPDX-License-Identifier: MIT

package pkts

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	maxPacket = 1 << 18 // bytes of one packet; IP's limit is 65,575
	maxTotal  = 1 << 26 // bytes of all packets of a file
)

// Error is an error in a file, with its place.
type Error struct {
	File string
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// parser reads a file line by line.
type parser struct {
	c     Case
	keys  []string // keys of the head seen so far
	data  *[]byte  // where bytes are added; nil where none are allowed
	total int
}

// headKeys are the keys before the first batch, in order.
var headKeys = [...]string{"format", "op", "why", "source", "rules", "config"}

// Parse reads a case. Errors are of type *Error and have name as the file's name.
func Parse(name string, text []byte) (*Case, error) {
	var p parser
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line[len(line)-1] != '\n' {
			return nil, &Error{name, n, "the last line does not end in a newline"}
		}
		if msg := p.line(string(line[:len(line)-1])); msg != "" {
			return nil, &Error{name, n, msg}
		}
	}
	if msg := p.finish(); msg != "" {
		return nil, &Error{name, n + 1, msg}
	}
	return &p.c, nil
}

// Unindent returns the text of a case without what precedes each of its lines, as in the log
// of a test, and without blanks at the ends of lines. The first line may lack it. A case that
// is not indented, and has no such blanks, is returned as it is.
func Unindent(text []byte) []byte {
	start := bytes.TrimLeft(text, " \t\r\n")
	blank := text[:len(text)-len(start)]
	indent := blank[bytes.LastIndexByte(blank, '\n')+1:]
	if _, second, more := bytes.Cut(start, []byte("\n")); more && len(indent) == 0 {
		indent = second[:len(second)-len(bytes.TrimLeft(second, " \t"))]
	}
	if len(blank) == 0 && len(indent) == 0 && !bytes.Contains(text, []byte("\r\n")) {
		return text
	}
	var b []byte
	for line := range bytes.Lines(bytes.TrimRight(start, " \t\r\n")) {
		b = append(b, bytes.TrimRight(bytes.TrimPrefix(line, indent), " \t\r\n")...)
		b = append(b, '\n')
	}
	return b
}

// line handles one line and returns an error message, or "".
func (p *parser) line(s string) string {
	rest, isKey := strings.CutPrefix(s, "# ")
	if !isKey {
		return p.hexLine(s)
	}
	key, value, ok := strings.Cut(rest, ":")
	if !ok {
		return fmt.Sprintf("want \"# key: value\", have %q", s)
	}
	if value != "" && (value[0] != ' ' || strings.TrimSpace(value) != value[1:] || value == " ") {
		return fmt.Sprintf("want one space after %q and none at the end", key+":")
	}
	value = strings.TrimPrefix(value, " ")
	if slices.Contains(headKeys[:], key) {
		return p.head(key, value)
	}
	if !slices.Contains(p.keys, "source") {
		return fmt.Sprintf("key %q before the head is complete: format, op, why, source come first", key)
	}
	switch key {
	case "batch":
		return p.batch(value)
	case "in":
		return p.in(value)
	case "out":
		return p.out(value)
	case "error":
		return p.errorClass(value)
	case "sum":
		return p.sum(value)
	case "kernel":
		return p.kernel(value)
	case "diverges":
		return p.diverges(value)
	case "fill":
		return p.fill(key, value, 1)
	case "pad":
		return p.fill(key, value, 0)
	}
	return fmt.Sprintf("unknown key %q", key)
}

func (p *parser) head(key, value string) string {
	at := slices.Index(headKeys[:], key)
	if len(p.c.Batches) > 0 {
		return fmt.Sprintf("key %q after the first batch", key)
	}
	for _, k := range headKeys[:min(at, 4)] {
		if !slices.Contains(p.keys, k) {
			return fmt.Sprintf("key %q before %q", key, k)
		}
	}
	for _, k := range headKeys[at:] {
		if slices.Contains(p.keys, k) {
			return fmt.Sprintf("key %q twice or out of order", key)
		}
	}
	p.keys = append(p.keys, key)
	if value == "" {
		return fmt.Sprintf("key %q has no value", key)
	}
	switch key {
	case "format":
		if value != "1" {
			return fmt.Sprintf("format %q: this program reads format 1", value)
		}
	case "op":
		if value != OpCoalesce && value != OpSegment && value != OpChecksum {
			return fmt.Sprintf("op %q: want coalesce, segment or checksum", value)
		}
		p.c.Op = value
	case "why":
		p.c.Why = value
	case "source":
		p.c.Source = value
	case "rules":
		p.c.Rules = strings.Fields(value)
		if strings.Join(p.c.Rules, " ") != value {
			return "rules: want one space between rules"
		}
		for _, r := range p.c.Rules {
			if len(r) < 2 || !strings.ContainsAny(r[len(r)-1:], "+-") {
				return fmt.Sprintf("rules: %q does not end in its side, + or -", r)
			}
		}
	case "config":
		return p.config(value)
	}
	return ""
}

func (p *parser) config(value string) string {
	if p.c.Op != OpCoalesce {
		return "config: only op coalesce has one"
	}
	fields, msg := pairs(value)
	if msg != "" {
		return "config: " + msg
	}
	for _, f := range fields {
		if !setConfig(&p.c.Config, f.key, f.value) {
			return fmt.Sprintf("config: %s=%s: unknown key or value", f.key, f.value)
		}
	}
	if formatConfig(p.c.Config) != value {
		return fmt.Sprintf("config: want the form %q", formatConfig(p.c.Config))
	}
	return ""
}

func setConfig(c *Config, key, value string) bool {
	type limit struct {
		n    *int
		most uint64 // offload's maximum
	}
	limits := map[string]limit{
		"max_segments": {&c.MaxSegments, 1022}, "max_udp_segments": {&c.MaxUDPSegments, 128},
		"max_open": {&c.MaxOpen, 65535}, "max_per_flow": {&c.MaxPerFlow, 64},
	}
	if l, ok := limits[key]; ok {
		n, err := strconv.ParseUint(value, 10, 16)
		*l.n = int(n)
		return err == nil && n <= l.most
	}
	switch key + "=" + value {
	case "order=reorder":
		c.Reorder = true
	case "atomic_ids=true":
		c.AtomicIDs = true
	case "absent_checksums=true":
		c.AbsentChecksums = true
	case "tcp4=off":
		c.DisableTCPv4 = true
	case "tcp6=off":
		c.DisableTCPv6 = true
	case "udp=off":
		c.DisableUDP = true
	default:
		return false
	}
	return true
}

func (p *parser) batch(value string) string {
	p.data = nil
	switch {
	case value != "":
		return "batch takes no value"
	case len(p.c.Batches) > 0 && p.c.Op != OpCoalesce:
		return "more than one batch: only op coalesce allows it"
	}
	p.c.Batches = append(p.c.Batches, Batch{})
	return ""
}

// last returns the batch and packet that a line belongs to, nil if there is none yet.
func (p *parser) last() (*Batch, *In) {
	if len(p.c.Batches) == 0 {
		return nil, nil
	}
	b := &p.c.Batches[len(p.c.Batches)-1]
	if len(b.In) == 0 {
		return b, nil
	}
	return b, &b.In[len(b.In)-1]
}

func (p *parser) in(value string) string {
	b, _ := p.last()
	if b == nil {
		return "in before the first batch"
	}
	if len(b.Out)+len(b.Kernel) > 0 {
		return "in after the first out or kernel of its batch"
	}
	var in In
	switch p.c.Op {
	case OpCoalesce:
		in.Reason = value
		if strings.ContainsAny(value, " =") {
			return fmt.Sprintf("in: want a Reason, have %q", value)
		}
	case OpSegment:
		var msg string
		if in.Vnet, msg = parseVnet(value); msg != "" {
			return "in: " + msg
		}
	case OpChecksum:
		hexValue, ok := strings.CutPrefix(value, "seed=")
		if in.Seed, ok = parseHex16(hexValue, ok); !ok {
			return fmt.Sprintf("in: want seed=0x1234, have %q", value)
		}
	}
	b.In = append(b.In, in)
	p.data = &b.In[len(b.In)-1].Data
	return ""
}

// fill adds a run of bytes, each the one before plus step.
func (p *parser) fill(key, value string, step byte) string {
	count, start, ok := strings.Cut(value, " ")
	n, _ := strconv.ParseUint(count, 10, 31) // after an error its text is not count
	b, err := hex.DecodeString(start)
	if !ok || err != nil || len(b) != 1 || n == 0 || strconv.Itoa(int(n)) != count || strings.ToLower(start) != start {
		return fmt.Sprintf("%s: want a count and a byte such as \"1000 61\", have %q", key, value)
	}
	if msg := p.room(int(n)); msg != "" {
		return msg
	}
	for i := range int(n) {
		*p.data = append(*p.data, b[0]+step*byte(i))
	}
	return ""
}

// hexLine handles "0010  45 00 ..". The offset must be the packet's current length.
func (p *parser) hexLine(s string) string {
	off, rest, ok := strings.Cut(s, "  ")
	if !ok {
		return fmt.Sprintf("want \"# key: value\" or \"0000  45 00\", have %q", s)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
	if err != nil || len(b) == 0 || len(b) > 16 || formatHex(b) != rest {
		return fmt.Sprintf("want 1 to 16 bytes such as \"45 00\", have %q", rest)
	}
	if msg := p.room(len(b)); msg != "" {
		return msg
	}
	if want := fmt.Sprintf("%04x", len(*p.data)); off != want {
		return fmt.Sprintf("offset %q: want %s", off, want)
	}
	*p.data = append(*p.data, b...)
	return ""
}

// room checks that n bytes are allowed here.
func (p *parser) room(n int) string {
	if p.data == nil {
		return "bytes that belong to no packet"
	}
	p.total += n
	if n+len(*p.data) > maxPacket || p.total > maxTotal {
		return fmt.Sprintf("a packet has over %d bytes, or all packets over %d", maxPacket, maxTotal)
	}
	return ""
}

func (p *parser) finish() string {
	if !slices.Contains(p.keys, "source") {
		return "the file ends before the head is complete: format, op, why, source"
	}
	if len(p.c.Batches) == 0 {
		return "the file has no batch"
	}
	return ""
}

type pair struct{ key, value string }

// pairs splits "a=1 b=2".
func pairs(s string) ([]pair, string) {
	var list []pair
	for _, f := range strings.Split(s, " ") {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return nil, fmt.Sprintf("want key=value, have %q", f)
		}
		list = append(list, pair{key, value})
	}
	return list, ""
}

// ParseVnet reads "flags=1 gso_type=1 hdr_len=40 gso_size=1448 csum_start=20
// csum_offset=16", and after it "outer_th_offset=20 inner_nh_offset=50" if these are not 0.
func ParseVnet(s string) (VnetHdr, error) {
	h, msg := parseVnet(s)
	if msg != "" {
		return VnetHdr{}, fmt.Errorf("%s", msg)
	}
	return h, nil
}

func parseVnet(s string) (VnetHdr, string) {
	fields, msg := pairs(s)
	if msg != "" {
		return VnetHdr{}, msg
	}
	var v [len(vnetFields)]uint64
	if len(fields) != plainFields && len(fields) != len(v) {
		return VnetHdr{}, fmt.Sprintf("a VnetHdr has the fields %s, and in tunnels %s",
			strings.Join(vnetFields[:plainFields], " "), strings.Join(vnetFields[plainFields:], " "))
	}
	for i, f := range fields {
		bits := 16
		if i < 2 {
			bits = 8
		}
		v[i], _ = strconv.ParseUint(f.value, 10, bits) // after an error its text is not f.value
		if f.key != vnetFields[i] || strconv.FormatUint(v[i], 10) != f.value {
			return VnetHdr{}, fmt.Sprintf("want %s=N of %d bits, have %s=%s", vnetFields[i], bits, f.key, f.value)
		}
	}
	if len(fields) == len(v) && v[plainFields] == 0 && v[plainFields+1] == 0 {
		return VnetHdr{}, fmt.Sprintf("leave out %s if both are 0", strings.Join(vnetFields[plainFields:], " and "))
	}
	return VnetHdr{uint8(v[0]), uint8(v[1]), uint16(v[2]), uint16(v[3]), uint16(v[4]), uint16(v[5]), uint16(v[6]), uint16(v[7])}, ""
}

func parseHex16(s string, ok bool) (uint16, bool) {
	digits, ok2 := strings.CutPrefix(s, "0x")
	n, err := strconv.ParseUint(digits, 16, 16)
	return uint16(n), ok && ok2 && err == nil && len(digits) == 4 && strings.ToLower(digits) == digits
}
