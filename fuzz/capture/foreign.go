// SPDX-License-Identifier: MIT

package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"unicode/utf8"

	"tunproof/fuzz/capture/pcap"
)

// foreign is a kind of file that is refused: what it looks like, and what to do.
type foreign struct {
	at    int // offset of magic
	magic string
	is    func(head []byte) bool // besides magic; nil for none
	what  string
	do    string
}

// What to do with files that are refused.
const (
	useEditcap = "convert it with Wireshark's editcap: editcap FILE OUT.pcapng"
	useUnpack  = "unpack it, and give the capture that is in it"
	useBinary  = "copy the capture in binary mode, or write it with tcpdump -w FILE"
	useCapture = "give the capture itself"
	useSwab    = "swap them back: dd conv=swab if=FILE of=OUT"
	useBase64  = "decode it: base64 -d FILE > OUT"
	useNothing = "it holds no packets that can be read"
	useBytes   = "give the capture itself, or add the bytes: tcpdump -x, tshark -x"
)

// foreigners lists the files that are refused by name. The first that fits counts.
var foreigners = []foreign{
	{magic: "snoop\x00\x00\x00", what: "a snoop capture", do: useEditcap},
	{magic: "btsnoop\x00", what: "a btsnoop capture of Bluetooth", do: useNothing},
	{magic: "GMBU", what: "a capture of Microsoft Network Monitor 2", do: useEditcap},
	{magic: "RTSS", what: "a capture of Microsoft Network Monitor 1", do: useEditcap},
	{magic: "TRSNIFF data", what: "a capture of Sniffer", do: useEditcap},
	{magic: "XCP\x00", what: "a capture of NetXRay", do: useEditcap},
	{magic: "iptrace ", what: "an iptrace capture of AIX", do: useEditcap},
	{is: isERF, what: "an ERF capture", do: useEditcap},

	{is: isSwapped, what: "a capture with the bytes of each pair swapped", do: useSwab},
	{is: isLatin1, what: "a capture that was converted as text", do: useBinary},
	{is: isDamagedNG, what: "a pcapng capture whose line ends were converted as text", do: useBinary},
	{at: 4, magic: "\x02\x00\x04\x00", what: "a pcap capture with a damaged magic number", do: useBinary},
	{at: 4, magic: "\x00\x02\x00\x04", what: "a pcap capture with a damaged magic number", do: useBinary},
	{is: isConverted, what: "binary data that was converted as text", do: useBinary},

	{magic: "PK\x03\x04", what: "a zip archive", do: useUnpack},
	{at: 257, magic: "ustar", what: "a tar archive", do: useUnpack},
	{magic: "7z\xbc\xaf\x27\x1c", what: "a 7z archive", do: useUnpack},
	{magic: "Rar!\x1a\x07", what: "a rar archive", do: useUnpack},
	{magic: "\x1f\x9d", what: "a file of compress", do: "decompress it: uncompress FILE"},
	{magic: "\x7fELF", what: "a program (ELF)", do: useNothing},
	{magic: "MZ", is: isBinary, what: "a program for Windows", do: useNothing},
	{magic: "\x89PNG\r\n", what: "a picture (PNG)", do: useNothing},
	{magic: "\xff\xd8\xff", what: "a picture (JPEG)", do: useNothing},
	{magic: "GIF8", what: "a picture (GIF)", do: useNothing},
	{magic: "%PDF-", what: "a PDF document", do: useNothing},
	{magic: "SQLite format 3\x00", what: "an SQLite database", do: useNothing},

	{is: matches(`(?i)^\s*(<!doctype html|<html)`), what: "a page in HTML", do: "give the file that it shows: on many sites the link is called raw"},
	{is: matches(`^\s*<(\?xml|pdml|psml)`), what: "XML, such as tshark -T pdml writes", do: useCapture},
	{is: matches(`^\s*\[?\s*\{\s*"[^"]*"\s*:`), what: "JSON, such as tshark -T json writes", do: useCapture},
	{is: matches(`^\s*(1MOyoQ|obLD1|TTyyoQ|obI8T|Cg0NC[g-v])`), what: "a capture in base64", do: useBase64},
	{is: matches(`^\s*(H4sI|KLUv/|/Td6WFoA|BCJNGA|QlpoO)`), what: "compressed data in base64", do: useBase64},
	{magic: "begin-base64 ", what: "uuencoded data", do: "decode it: uudecode FILE"},
}

// textForeigners lists the texts without bytes that are named if no packet can be read.
var textForeigners = []foreign{
	{is: matches(`(?m)^\s*"?No\.\W+Time\W+Source`), what: "a packet list of Wireshark, without the bytes of the packets", do: useBytes},
	{is: matches(`(?m)^Frame \d+(: Packet, |: )\d+ bytes on wire`), what: "packet details of Wireshark, without the bytes of the packets", do: useBytes},
	{is: matches(`(?m)^\s*\d+ +\d+\.\d+ +\S+ +(→|->) +\S+ +\S+ +\d+ `), what: "a packet list of tshark, without the bytes of the packets", do: useBytes},
	{is: matches(`(?m)^(\S+ )?(\d+:\d+:\d+|\d+)\.\d+ (\S+ +(In|Out|P|B|M) +)?(IP6?|ARP|ethertype) `), what: "the output of tcpdump, without the bytes of the packets", do: useBytes},
}

// matches returns a function that reports whether head matches a regular expression.
func matches(expr string) func(head []byte) bool { return regexp.MustCompile(expr).Match }

// refusal returns the error for a file that starts with head and is one of a list, nil if it
// is none of them. headLen bytes are enough.
func refusal(head []byte, list []foreign) error {
	for _, f := range list {
		if len(head) >= f.at && bytes.HasPrefix(head[f.at:], []byte(f.magic)) && (f.is == nil || f.is(head)) {
			return fmt.Errorf("this looks like %s: %s", f.what, f.do)
		}
	}
	return nil
}

// refuse returns the error for a file that is neither a capture nor a text, nil if it may be
// a text.
func refuse(head []byte) error {
	if err := refusal(head, foreigners); err != nil {
		return err
	}
	if isBinary(head) {
		return fmt.Errorf("binary data of an unknown kind, which starts with %x: a capture must be pcap or pcapng", head[:min(8, len(head))])
	}
	return nil
}

// isBinary reports whether head is no text: it has a zero byte.
func isBinary(head []byte) bool { return bytes.IndexByte(head, 0) >= 0 }

// isConverted reports whether head is binary data that was converted as text. It is valid
// UTF-8, with characters outside ASCII, which binary data almost never is.
func isConverted(head []byte) bool {
	for range utf8.UTFMax - 1 { // head may end within a character
		if len(head) > 0 && !utf8.Valid(head) {
			head = head[:len(head)-1]
		}
	}
	return isBinary(head) && utf8.Valid(head) && bytes.ContainsFunc(head, func(r rune) bool { return r >= utf8.RuneSelf })
}

// isSwapped reports whether head starts like a capture if the bytes of each pair are swapped.
func isSwapped(head []byte) bool {
	return len(head) >= 4 && pcap.IsPcap([]byte{head[1], head[0], head[3], head[2]})
}

// isLatin1 reports whether head is a capture of which each byte was taken for a character.
func isLatin1(head []byte) bool {
	var magic []byte
	for range 4 {
		r, n := utf8.DecodeRune(head)
		if r > 0xff {
			return false
		}
		magic, head = append(magic, byte(r)), head[n:]
	}
	return pcap.IsPcap(magic)
}

// isDamagedNG reports whether head is a pcapng section header whose line ends were changed.
// The format starts with line ends of both kinds for this purpose.
func isDamagedNG(head []byte) bool {
	head = head[:min(len(head), 32)]
	rest := bytes.TrimLeft(head, "\r\n")
	return len(rest) < len(head) && (bytes.Contains(rest, []byte("\x4d\x3c\x2b\x1a")) || bytes.Contains(rest, []byte("\x1a\x2b\x3c\x4d")))
}

// isERF reports whether head starts with a record header of ERF, which has no magic number:
// a time stamp in this century, a known type, and lengths that fit together.
func isERF(head []byte) bool {
	const header = 16
	if len(head) < header {
		return false
	}
	seconds, kind := binary.LittleEndian.Uint32(head[4:]), head[8]&0x7f
	record, wire := int(binary.BigEndian.Uint16(head[10:])), int(binary.BigEndian.Uint16(head[14:]))
	return seconds > 1<<30 && seconds < 1<<31+1<<30 && kind > 0 && kind < 49 && record >= header && wire > 0 && record-header <= wire+32 && isBinary(head)
}
