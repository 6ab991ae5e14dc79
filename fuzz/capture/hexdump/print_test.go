// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario/draw"
)

// format prints packets as text.
type format struct {
	name  string
	print func(list [][]byte) string
	// digits is set if all bytes have two digits and nothing else. Then a character that is
	// missing shows.
	digits bool
}

// each returns a function that prints packets one after another.
func each(print func(i int, b []byte) string) func([][]byte) string {
	return func(list [][]byte) string {
		var s strings.Builder
		for i, b := range list {
			s.WriteString(print(i, b))
		}
		return s.String()
	}
}

// rows calls row for each n bytes of b.
func rows(b []byte, n int, row func(off int, b []byte) string) string {
	var s strings.Builder
	for off := 0; off < len(b); off += n {
		s.WriteString(row(off, b[off:min(off+n, len(b))]))
	}
	return s.String()
}

// printable returns b as text, with dots.
func printable(b []byte) string {
	s := []byte{}
	for _, c := range b {
		if c < 32 || c > 126 {
			c = '.'
		}
		s = append(s, c)
	}
	return string(s)
}

// spaced returns b in hex, in groups of n bytes.
func spaced(b []byte, n int) string {
	var words []string
	for part := range slices.Chunk(b, n) {
		words = append(words, hex.EncodeToString(part))
	}
	return strings.Join(words, " ")
}

// elements returns b as a list of numbers.
func elements(verb string, b []byte) string {
	var words []string
	for _, c := range b {
		words = append(words, fmt.Sprintf(verb, c))
	}
	return strings.Join(words, ", ")
}

// escaped returns b with each byte as an escape.
func escaped(b []byte) string {
	s := ""
	for _, c := range b {
		s += fmt.Sprintf(`\x%02x`, c)
	}
	return s
}

// python returns b as Python's repr prints it.
func python(b []byte) string {
	s := ""
	for _, c := range b {
		switch {
		case c == '\\' || c == '\'':
			s += `\` + string(rune(c))
		case c == '\n':
			s += `\n`
		case c == '\r':
			s += `\r`
		case c == '\t':
			s += `\t`
		case c < 32 || c > 126:
			s += fmt.Sprintf(`\x%02x`, c)
		default:
			s += string(rune(c))
		}
	}
	return "b'" + s + "'"
}

// formats are the formats of text that are read, except kernel logs, which have no frames.
var formats = []format{
	{"hex stream", each(func(_ int, b []byte) string { return hex.EncodeToString(b) + "\n" }), true},
	{"xxd -p, blank lines between", each(func(_ int, b []byte) string {
		return rows(b, 30, func(_ int, b []byte) string { return hex.EncodeToString(b) + "\n" }) + "\n"
	}), true},
	{"xxd -p", each(func(_ int, b []byte) string {
		return rows(b, 30, func(_ int, b []byte) string { return hex.EncodeToString(b) + "\n" })
	}), true},
	{"bytes in hex", each(func(_ int, b []byte) string { return spaced(b, 1) + "\n" }), true},
	{"words in hex", each(func(_ int, b []byte) string { return spaced(b, 2) + "\n" }), true},
	{"hex with colons", each(func(_ int, b []byte) string { return strings.ReplaceAll(spaced(b, 1), " ", ":") + "\n" }), true},
	{"hex with commas", each(func(_ int, b []byte) string { return elements("0x%02x", b) + "\n" }), true},
	{"escapes without quotes", each(func(_ int, b []byte) string { return escaped(b) + "\n" }), true},

	{"tcpdump -x", each(func(i int, b []byte) string {
		return fmt.Sprintf("10:00:%02d.000000 IP 192.0.2.1.1500 > 192.0.2.2.8000: Flags [.], length %d\n", i, len(b)) +
			rows(b, 16, func(off int, b []byte) string { return fmt.Sprintf("\t0x%04x:  %s\n", off, spaced(b, 2)) })
	}), true},
	{"tcpdump -X", each(func(i int, b []byte) string {
		return fmt.Sprintf("10:00:%02d.000000 IP (tos 0x0, ttl 64, id 1)\n    192.0.2.1.1500 > 192.0.2.2.8000: UDP, length %d\n", i, len(b)) +
			rows(b, 16, func(off int, b []byte) string {
				return fmt.Sprintf("\t0x%04x:  %-39s  %s\n", off, spaced(b, 2), printable(b))
			})
	}), true},
	{"Wireshark", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string {
			return fmt.Sprintf("%04x   %-47s   %s\n", off, spaced(b, 1), printable(b))
		}) + "\n"
	}), true},
	{"Wireshark, without text", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string { return fmt.Sprintf("%04x   %s\n", off, spaced(b, 1)) })
	}), true},
	{"tshark -V -x", each(func(i int, b []byte) string {
		return fmt.Sprintf("Frame %d: %d bytes on wire (%d bits), %d bytes captured (%d bits)\n    [Protocols in frame: raw:ip]\n\nFrame (%d bytes):\n", i+1, len(b), 8*len(b), len(b), 8*len(b), len(b)) +
			rows(b, 16, func(off int, b []byte) string {
				return fmt.Sprintf("%04x  %-47s   %s\n", off, spaced(b, 1), printable(b))
			}) + "Reassembled TCP (4 bytes):\n0000  45 00 00 04                                       E...\n\n"
	}), true},
	{"scapy", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string {
			return fmt.Sprintf("%04x  %-47s  %s\n", off, strings.ToUpper(spaced(b, 1)), printable(b))
		})
	}), true},
	{"scapy, a list", each(func(i int, b []byte) string {
		return fmt.Sprintf("%04d 10:00:00.000000 IP / TCP 192.0.2.1:1500 > 192.0.2.2:8000 A\n", i) +
			rows(b, 16, func(off int, b []byte) string {
				return fmt.Sprintf("%04x  %-47s  %s\n", off, strings.ToUpper(spaced(b, 1)), printable(b))
			})
	}), true},
	{"hexdump -C", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string {
			return fmt.Sprintf("%08x  %-23s  %-23s  |%s|\n", off, spaced(b[:min(8, len(b))], 1), spaced(b[min(8, len(b)):], 1), printable(b))
		}) + fmt.Sprintf("%08x\n", len(b))
	}), true},
	{"a gap and no text", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string {
			return strings.TrimRight(fmt.Sprintf("%04x  %-23s  %s", off, spaced(b[:min(8, len(b))], 1), spaced(b[min(8, len(b)):], 1)), " ") + "\n"
		}) + "\n"
	}), true},
	{"xxd", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string {
			return fmt.Sprintf("%08x: %-39s  %s\n", off, spaced(b, 2), printable(b))
		})
	}), true},
	{"od", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string {
			return fmt.Sprintf("%06x %-47s  >%s<\n", off, spaced(b, 1), printable(b))
		}) + fmt.Sprintf("%06x\n", len(b))
	}), true},
	{"text2pcap", each(func(i int, b []byte) string {
		before := [...]string{"I\n2024-05-27 19:23:14.000001\n", "O 10:15:14.5476 ", ""}[i%3]
		return before + rows(b, 20, func(off int, b []byte) string { return fmt.Sprintf("%06x %s\n", off, spaced(b, 1)) })
	}), true},
	{"quoted mail", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string { return fmt.Sprintf("> > %04x  %s\n", off, spaced(b, 1)) })
	}), true},
	{"print_hex_dump", each(func(_ int, b []byte) string {
		return rows(b, 16, func(off int, b []byte) string {
			return fmt.Sprintf("Nov 27 10:00:00 host kernel: [  123.456789] mydriver: dead beef: %08x: %s\n", off, spaced(b, 1))
		})
	}), true},
	{"Go's spew", each(func(_ int, b []byte) string {
		return fmt.Sprintf("([]uint8) (len=%d cap=%d) {\n", len(b), len(b)) + hex.Dump(b) + "}\n"
	}), true},

	{"Go", each(func(i int, b []byte) string { return fmt.Sprintf("var p%d = %#v\n", i, b) }), false},
	{"Go, %v", func(list [][]byte) string { return fmt.Sprintf("%v\n", list) }, false},
	{"Go, %q", each(func(_ int, b []byte) string { return fmt.Sprintf("%q\n", b) }), false},
	{"Go, gofmt", each(func(_ int, b []byte) string {
		return "\t[]byte{\n" + rows(b, 8, func(_ int, b []byte) string { return "\t\t" + elements("0x%02x", b) + ", // {[\n" }) + "\t},\n"
	}), false},
	{"C", each(func(i int, b []byte) string {
		return fmt.Sprintf("/* Frame (%d bytes) */\nstatic const unsigned char pkt%d[%d] = {\n", len(b), i+1, len(b)) +
			rows(b, 8, func(_ int, b []byte) string {
				return elements("0x%02x", b) + ", /* " + strings.ReplaceAll(printable(b), "*", ".") + " */\n"
			}) + "};\n\n"
	}), false},
	{"C, of a stream", each(func(i int, b []byte) string {
		return fmt.Sprintf("char peer0_%d[] = { /* Packet %d */\n", i, i+1) + rows(b, 8, func(_ int, b []byte) string { return elements("0x%02x", b) + ",\n" }) + "};\n"
	}), false},
	{"Rust", each(func(i int, b []byte) string {
		return fmt.Sprintf("let p%d: [u8; %d] = [%s];\n", i, len(b), elements("%d", b))
	}), false},
	{"Java", each(func(_ int, b []byte) string {
		var signed []string
		for _, c := range b {
			signed = append(signed, fmt.Sprint(int8(c)))
		}
		return "[" + strings.Join(signed, ", ") + "]\n"
	}), false},
	{"JSON", func(list [][]byte) string {
		var s []string
		for _, b := range list {
			s = append(s, "["+elements("%d", b)+"]")
		}
		return "[" + strings.Join(s, ",\n") + "]\n"
	}, false},
	{"escaped string", each(func(_ int, b []byte) string {
		return strings.TrimSuffix(rows(b, 16, func(_ int, b []byte) string { return `"` + escaped(b) + "\" \\\n" }), " \\\n") + "\n"
	}), false},
	{"Python", each(func(i int, b []byte) string { return fmt.Sprintf("p%d = %s  # it's {[\n", i, python(b)) }), false},
	{"Python, a list", func(list [][]byte) string {
		var s []string
		for _, b := range list {
			s = append(s, python(b))
		}
		return "[" + strings.Join(s, ", ") + "]"
	}, false},
	{"Python, pprint", each(func(_ int, b []byte) string {
		s := rows(b, 13, func(_ int, b []byte) string { return " " + python(b) + "\n" })
		return "(" + strings.TrimSpace(s) + ")\n"
	}), false},
	{"Python, pprint of a list", func(list [][]byte) string {
		var s []string
		for _, b := range list {
			s = append(s, strings.TrimSpace(rows(b, 13, func(_ int, b []byte) string { return " " + python(b) + "\n" })))
		}
		return "[" + strings.Join(s, ",\n ") + "]\n"
	}, false},
	{"Python, lines without brackets", each(func(_ int, b []byte) string {
		return rows(b, 16, func(_ int, b []byte) string { return python(b) + "\n" })
	}), false},
	{"Python, fromhex", each(func(_ int, b []byte) string { return fmt.Sprintf("bytes.fromhex('%x')\n", b) }), false},
}

// link puts a packet into a frame.
type link struct {
	name  string
	frame func(b []byte) []byte
}

// etherType returns the EtherType of an IP packet.
func etherType(b []byte) string {
	if b[0]>>4 == 6 {
		return "\x86\xdd"
	}
	return "\x08\x00"
}

// frames returns packets in frames.
func (l link) frames(packets [][]byte) (list [][]byte) {
	for _, b := range packets {
		list = append(list, l.frame(b))
	}
	return list
}

var links = []link{
	{"", func(b []byte) []byte { return b }},
	{"Ethernet", func(b []byte) []byte {
		f := append([]byte("\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"+etherType(b)), b...)
		return append(f, make([]byte, max(0, 60-len(f)))...)
	}},
	{"Ethernet", func(b []byte) []byte {
		return append([]byte("\x00\x00\x5e\x00\x01\x01\x68\x00\x00\x00\x00\x02\x81\x00\x00\x05"+etherType(b)), b...)
	}},
	{"Linux cooked (SLL)", func(b []byte) []byte {
		return append([]byte("\x00\x04\x00\x01\x00\x06\x02\x00\x00\x00\x00\x02\x00\x00"+etherType(b)), b...)
	}},
}

// drawn returns the packets of a drawn scenario that are whole: others are left out.
func drawn(source *draw.Source, i int) (list [][]byte) {
	for _, b := range slices.Concat(source.Draw(i).Batches...) {
		if len(b) > 0 && len(b) < 3000 && whole(b) && len(list) < 4 {
			list = append(list, b)
		}
	}
	return list
}

// few returns n, or a fifth of it with -short, as under the race detector.
func few(n int) int {
	if testing.Short() {
		return n / 5
	}
	return n
}

// TestFormats prints drawn packets in each format, with and without link headers, and reads
// them back.
func TestFormats(t *testing.T) {
	source := draw.NewSource(draw.Kinds{Batches: true}, 7)
	for i := range few(8) {
		list := drawn(source, i)
		if len(list) == 0 {
			continue
		}
		for _, l := range links {
			framed := l.frames(list)
			for _, f := range formats {
				text := f.print(framed)
				got, err := Parse([]byte(text))
				if err != nil || len(got) != len(list) {
					t.Fatalf("%s of %q: %d packets, want %d: %v\n%s", f.name, l.name, len(got), len(list), err, text)
				}
				for k, p := range got {
					if !bytes.Equal(p.Data, list[k]) || p.Link != l.name || p.Left != "" {
						t.Fatalf("%s of %q: %+v\nwant %x\n%s", f.name, l.name, p, list[k], text)
					}
				}
			}
		}
	}
}

// damages are changes to a text that lose or double parts of it.
var damages = []struct {
	name   string
	digits bool // it may remove single digits
	do     func(r *rand.Rand, text string) string
}{
	{"cut", false, func(r *rand.Rand, text string) string { return text[:r.IntN(len(text))] }},
	{"the start is missing", false, func(r *rand.Rand, text string) string { return text[r.IntN(len(text)):] }},
	{"a line is missing", false, func(r *rand.Rand, text string) string {
		lines := strings.SplitAfter(text, "\n")
		i := r.IntN(len(lines))
		return strings.Join(slices.Delete(lines, i, i+1), "")
	}},
	{"a line is doubled", false, func(r *rand.Rand, text string) string {
		lines := strings.SplitAfter(text, "\n")
		i := r.IntN(len(lines))
		return strings.Join(slices.Insert(lines, i, lines[i]), "")
	}},
	{"long lines are cut", false, func(r *rand.Rand, text string) string {
		lines, n := strings.Split(text, "\n"), 20+r.IntN(60)
		for i := range lines {
			lines[i] = lines[i][:min(n, len(lines[i]))]
		}
		return strings.Join(lines, "\n")
	}},
	{"long lines are wrapped", false, func(r *rand.Rand, text string) string {
		n := 20 + r.IntN(60)
		lines := strings.Split(text, "\n")
		for i := range lines {
			lines[i] = rows([]byte(lines[i]), n, func(_ int, b []byte) string { return string(b) + "\n" })
		}
		return strings.Join(lines, "")
	}},
	{"lines are joined", false, func(r *rand.Rand, text string) string {
		lines := strings.SplitAfter(text, "\n")
		i := r.IntN(len(lines))
		lines[i] = strings.TrimSuffix(lines[i], "\n") + " "
		return strings.Join(lines, "")
	}},
	{"a character is missing", true, func(r *rand.Rand, text string) string {
		i := r.IntN(len(text))
		return text[:i] + text[i+1:]
	}},
	{"spaces are gone", false, func(_ *rand.Rand, text string) string { return strings.ReplaceAll(text, "  ", " ") }},
}

// TestDamaged reads texts of drawn packets that were damaged. It must read none but these
// packets: what is damaged is an error, or left out.
func TestDamaged(t *testing.T) {
	source, r := draw.NewSource(draw.Kinds{Batches: true}, 11), rand.New(rand.NewPCG(1, 2))
	read, left, refused := 0, 0, 0
	for i := range few(12) {
		list := drawn(source, i)
		if len(list) == 0 {
			continue
		}
		for _, l := range links {
			framed := l.frames(list)
			for _, f := range formats {
				d := damages[r.IntN(len(damages))]
				if d.digits && !f.digits {
					continue
				}
				text := d.do(r, f.print(framed))
				got, err := Parse([]byte(text))
				if err != nil {
					refused++
				}
				for _, p := range got {
					switch {
					case p.Left != "":
						left++
					case !slices.ContainsFunc(list, func(b []byte) bool { return bytes.Equal(b, p.Data) }):
						t.Fatalf("%s of %q, %s: reads a packet of %d bytes that is none of those:\n%x\n%s", f.name, l.name, d.name, len(p.Data), p.Data, text)
					default:
						read++
					}
				}
			}
		}
	}
	if read == 0 || left == 0 || refused == 0 {
		t.Errorf("%d packets read, %d left out, %d texts refused", read, left, refused)
	}
}

// kernelLog prints an skb as skb_dump does.
type kernelLog struct {
	prefix           string
	frame            []byte // what is before the IP packet
	packet           []byte
	headroom, head   int // bytes before the frame; bytes of the frame that are linear
	frag, list       int // bytes of a fragment, of an skb in the list
	summed           int
	gsoSize, gsoType int
	csum             [2]int // start in the packet, offset
	newer            bool   // the fields of newer kernels
}

func (k kernelLog) String() string {
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, k.prefix+format+"\n", args...) }
	dump := func(part string, b []byte) {
		rows(b, 16, func(off int, b []byte) string { line("%s%08x: %s", part, off, spaced(b, 1)); return "" })
	}
	data := slices.Concat(k.frame, k.packet)
	net := k.headroom + len(k.frame)
	csum := fmt.Sprintf("csum(%#x", k.csum[1]<<16|(net+k.csum[0]))
	mac := fmt.Sprintf("mac=(%d,%d)", k.headroom, len(k.frame))
	length := fmt.Sprintf("len=%d", len(data))
	if k.newer {
		length += fmt.Sprintf(" data_len=%d", len(data)-min(k.head, len(data)))
		csum += fmt.Sprintf(" start=%d offset=%d", net+k.csum[0], k.csum[1])
		mac = "end-tail=0 " + mac + fmt.Sprintf(" mac_len=%d", len(k.frame))
	}
	line("skb %s headroom=%d headlen=%d tailroom=20", length, k.headroom, min(k.head, len(data)))
	line("%s net=(%d,20) trans=%d", mac, net, net+20)
	line("shinfo(txflags=0 nr_frags=1 gso(size=%d type=%d segs=2))", k.gsoSize, k.gsoType)
	line("%s ip_summed=%d complete_sw=0 valid=0 level=0)", csum, k.summed)
	line("hash(0x0 sw=0 l4=0) proto=0x0800 pkttype=0 iif=0")
	line("dev name=tun0 feat=0x0000000000007000")
	dump("skb headroom: ", make([]byte, k.headroom))
	rest := data
	take := func(n int) []byte {
		n = min(n, len(rest))
		part := rest[:n]
		rest = rest[n:]
		return part
	}
	dump("skb linear:   ", take(k.head))
	dump("skb tailroom: ", make([]byte, 20))
	inList := []byte{}
	if k.list > 0 && len(rest) > 0 {
		at := len(rest) / 2
		inList, rest = rest[at:], rest[:at]
	}
	for k.frag > 0 && len(rest) > 0 {
		dump("skb frag:     ", take(k.frag))
	}
	if len(inList) > 0 {
		line("skb fraglist:")
	}
	for part := range slices.Chunk(inList, max(1, k.list)) {
		line("skb len=%d headroom=2 headlen=%d tailroom=0", len(part), len(part))
		line("mac=(-1,-1) net=(0,-1) trans=-1")
		line("shinfo(txflags=0 nr_frags=0 gso(size=0 type=0 segs=0))")
		line("csum(0x0 ip_summed=0 complete_sw=0 valid=0 level=0)")
		dump("skb headroom: ", []byte{1, 2})
		dump("skb linear:   ", part)
	}
	line("------------[ cut here ]------------")
	return s.String()
}

// drawnLog returns a kernel log of a drawn packet, and its VnetHdr.
func drawnLog(r *rand.Rand, b []byte) (kernelLog, pkts.VnetHdr) {
	one := func(list ...int) int { return list[r.IntN(len(list))] }
	k := kernelLog{packet: b, headroom: one(0, 2, 100), head: one(54, 60, 1<<20), frag: one(16, 100, 1448), list: one(0, 100), newer: r.IntN(2) == 0}
	k.prefix = []string{"", "[  123.456789] ", "Nov 27 10:00:00 host kernel: ", "2024-11-27T10:00:00.123456+01:00 host kernel: ", "> [    1.000000][ T123] "}[r.IntN(5)]
	if r.IntN(2) == 0 {
		k.frame = links[1].frame(b)[:14]
	}
	if k.head < 1<<20 && k.frag == 0 {
		k.frag = 100
	}
	h := packet.DeriveVnet(b, 100)
	if h.GSOType == 0 {
		return k, pkts.VnetHdr{}
	}
	k.csum = [2]int{int(h.CsumStart), int(h.CsumOffset)}
	switch r.IntN(3) {
	case 0:
		k.summed, h.GSOType, h.GSOSize, h.HdrLen = checksumPartial, 0, 0, 0
	case 1:
		k.summed, k.gsoSize = checksumPartial, 100
		k.gsoType = map[uint8]int{packet.GSOTCPv4: 1, packet.GSOTCPv6: 16, packet.GSOUDPL4: 1 << 17}[h.GSOType] | skbDodgy
	default:
		h = pkts.VnetHdr{}
	}
	return k, h
}

// TestKernel reads kernel logs of drawn packets: complete ones give these packets with
// their VnetHdr, and damaged ones none but these.
func TestKernel(t *testing.T) {
	source, r := draw.NewSource(draw.Kinds{Batches: true}, 3), rand.New(rand.NewPCG(3, 4))
	read, left, refused := 0, 0, 0
	for i := range few(25) {
		list := drawn(source, i)
		text, comments := "", []string{}
		for _, b := range list {
			k, h := drawnLog(r, b)
			text += k.String()
			comments = append(comments, "")
			if h != (pkts.VnetHdr{}) {
				comments[len(comments)-1] = pcap.VnetComment(h)
			}
		}
		if len(list) == 0 {
			continue
		}
		got, err := Parse([]byte(text))
		if err != nil || len(got) != len(list) {
			t.Fatalf("%d packets, want %d: %v\n%s", len(got), len(list), err, text)
		}
		for k, p := range got {
			if !bytes.Equal(p.Data, list[k]) || p.Comment != comments[k] || p.Left != "" {
				t.Fatalf("%+v\nwant %x %s\n%s", p, list[k], comments[k], text)
			}
		}
		for range 10 {
			d := damages[r.IntN(len(damages))]
			if d.digits { // of the state of an skb, nothing shows that a digit is missing
				continue
			}
			damaged := d.do(r, text)
			got, err := Parse([]byte(damaged))
			if err != nil {
				refused++
			}
			for _, p := range got {
				known := false
				for k, b := range list {
					known = known || bytes.Equal(b, p.Data) && (p.Comment == comments[k] || p.Comment == "") // its state may be lost
				}
				switch {
				case p.Left != "":
					left++
				case !known:
					t.Fatalf("%s: reads %+v, which is none of the packets:\n%s", d.name, p, damaged)
				default:
					read++
				}
			}
		}
	}
	if read == 0 || left == 0 || refused == 0 {
		t.Errorf("%d packets read, %d left out, %d texts refused", read, left, refused)
	}
}

// TestTogether reads texts of two formats, one after the other: all packets are read, or the
// text is refused, or it is said that something was left out.
func TestTogether(t *testing.T) {
	t.Parallel()
	source, r := draw.NewSource(draw.Kinds{Batches: true}, 7), rand.New(rand.NewPCG(5, 6))
	all := append([]format{{"a kernel log", each(func(_ int, b []byte) string {
		k, _ := drawnLog(r, b)
		return k.String()
	}), true}}, formats...)
	read := map[bool]int{}
	for i := 0; i < 40; i += 2 {
		a, b := drawn(source, i), drawn(source, i+1)
		a, b = a[:min(2, len(a))], b[:min(2, len(b))]
		if len(a) == 0 || len(b) == 0 {
			continue
		}
		want := slices.Concat(a, b)
		for k, f := range all {
			for l, g := range all {
				if testing.Short() && (k+l)%8 != 0 {
					continue
				}
				text := f.print(a) + "\n" + g.print(b)
				got, err := Parse([]byte(text))
				if err != nil || slices.ContainsFunc(got, func(p Packet) bool { return p.Left != "" }) {
					read[false]++
					continue
				}
				var data [][]byte
				for _, p := range got {
					data = append(data, p.Data)
				}
				if d := cmp.Diff(want, data); d != "" {
					t.Errorf("%s, then %s (-want +got):\n%s\n%s", f.name, g.name, d, text)
					return
				}
				read[true]++
			}
		}
		break
	}
	t.Logf("%d texts were read, %d were refused", read[true], read[false])
}
