// SPDX-License-Identifier: MIT

package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"tunproof/corpus/pkts"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/scenario"
)

// example returns packets with times, and comments if with is set.
func example(with bool) (list []pcap.Packet) {
	for i, p := range []scenario.Packet{scenario.TCP4(100), scenario.UDP6(10), scenario.TCP6(0), scenario.UDP4(1000)} {
		list = append(list, pcap.Packet{Number: i + 1, Time: time.Unix(1_700_000_000+int64(i), 0), Data: p.Bytes()})
		if with {
			list[i].Comment = "a comment"
		}
	}
	return list
}

// written returns packets as a capture.
func written(t *testing.T, f pcap.Format, list []pcap.Packet) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcap.NewWriter(&b, f)
	for _, p := range list {
		if err == nil {
			err = w.Write(p)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fileOf writes a file and returns its path.
func fileOf(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// readAll returns all packets of a file, and the error that ended reading, nil at the end.
func readAll(name string, stdin io.Reader) (list []pcap.Packet, notes []string, err error) {
	in, err := Open(name, stdin)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	for {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list, in.Notes(), nil
		}
		if err != nil {
			return list, in.Notes(), err
		}
		list = append(list, p)
	}
}

// compressed returns b, compressed by a program, which must be installed.
func compressed(t *testing.T, program string, b []byte) []byte {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	c := exec.Command(path, "-c")
	c.Stdin = bytes.NewReader(b)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCompressed reads compressed captures, as a file and as standard input, and texts. One
// that is cut anywhere gives packets of the whole one and says so: it never just ends.
func TestCompressed(t *testing.T) {
	want := example(true)
	plain := written(t, pcap.NG, want)
	for _, test := range []struct {
		name  string
		steps int // into which the file is cut; a program is slow to start
	}{{"gzip", 1000}, {"bzip2", 100}, {"zstd", 10}, {"xz", 10}, {"lz4", 10}} {
		t.Run(test.name, func(t *testing.T) {
			b := compressed(t, test.name, plain)
			name := fileOf(t, "x."+test.name, b)
			for _, stdin := range []io.Reader{nil, bytes.NewReader(b)} {
				from := name
				if stdin != nil {
					from = "-"
				}
				got, _, err := readAll(from, stdin)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s: %v (-want +got):\n%s", from, err, diff)
				}
			}
			for i := range test.steps {
				n := 4 + (len(b)-4)*i/test.steps
				got, notes, err := readAll("-", bytes.NewReader(b[:n]))
				said := strings.Join(notes, "\n")
				if err != nil {
					said = err.Error()
				}
				if !strings.Contains(said, test.name) {
					t.Errorf("cut at %d of %d: %v, %q", n, len(b), err, notes)
				}
				if diff := cmp.Diff(want[:len(got)], got, nilIsEmpty); diff != "" {
					t.Errorf("cut at %d of %d (-want +got):\n%s", n, len(b), diff)
				}
			}
			twice := compressed(t, test.name, b)
			if got, _, err := readAll("-", bytes.NewReader(twice)); err != nil || len(got) != len(want) {
				t.Errorf("compressed twice: %d packets, %v", len(got), err)
			}
			// A reader that closes early leaves no program behind: closing returns.
			in, err := Open(name, nil)
			if err != nil {
				t.Fatal(err)
			}
			in.Close()
		})
	}
}

// nilIsEmpty lets cmp take a nil list for an empty one.
var nilIsEmpty = cmp.FilterValues(func(a, b []pcap.Packet) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

// TestNoProgram reads compressed captures where the programs are not installed.
func TestNoProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for program, magic := range map[string]string{"zstd": "\x28\xb5\x2f\xfd", "xz": "\xfd7zXZ\x00", "lz4": "\x04\x22\x4d\x18"} {
		name := fileOf(t, "x", []byte(magic+"rest"))
		want := name + ": " + program + ": compressed data, and the program " + program + ", which can read it, is not installed: run " + program + " -d where it is"
		if _, err := Open(name, nil); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// TestLive reads a capture from a pipe while it is written. Each packet is returned as soon
// as its last byte is written: the test would hang otherwise.
func TestLive(t *testing.T) {
	for _, f := range []pcap.Format{pcap.Classic, pcap.NG} {
		r, w := io.Pipe()
		packets := make(chan pcap.Packet)
		go func() {
			defer close(packets)
			in, err := Open("-", r)
			if err != nil {
				t.Error(err)
				return
			}
			for {
				p, err := in.Next()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				packets <- p
			}
		}()
		out, err := pcap.NewWriter(w, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range example(false) {
			if err := out.Write(p); err != nil {
				t.Fatal(err)
			}
			got := <-packets
			if diff := cmp.Diff(p, got); diff != "" {
				t.Errorf("format %d (-want +got):\n%s", f, diff)
			}
		}
		w.Close()
		if p, more := <-packets; more {
			t.Errorf("one packet more: %+v", p)
		}
	}
}

// utf16le returns text as PowerShell's redirection writes it.
func utf16le(text string) []byte {
	b := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// latin1 returns bytes as text, one character each.
func latin1(b []byte) string {
	var s []rune
	for _, c := range b {
		s = append(s, rune(c))
	}
	return string(s)
}

// TestRefused opens files of every kind that is refused. The error says what the file looks
// like, and what to do.
func TestRefused(t *testing.T) {
	classic, ng := written(t, pcap.Classic, example(false)), written(t, pcap.NG, example(false))
	with := func(at int, magic string) []byte {
		b := make([]byte, 600)
		copy(b[at:], magic)
		return b
	}
	replaced := func(b []byte, old, by string) []byte { return bytes.ReplaceAll(b, []byte(old), []byte(by)) }
	swapped := bytes.Clone(classic)
	for i := 0; i+1 < len(swapped); i += 2 {
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	}
	erf := append([]byte{0, 0, 0, 0x80, 0, 0, 0, 0x65, 2, 4, 0, 80, 0, 0, 0, 60}, make([]byte, 64)...)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(classic)
	z.Close()
	inBase64 := base64.StdEncoding.EncodeToString
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"nothing", nil, "empty file"},
		{"snoop", with(0, "snoop\x00\x00\x00\x00\x00\x00\x02"), "this looks like a snoop capture: " + useEditcap},
		{"btsnoop", with(0, "btsnoop\x00"), "this looks like a btsnoop capture of Bluetooth: " + useNothing},
		{"Network Monitor 2", with(0, "GMBU"), "this looks like a capture of Microsoft Network Monitor 2: " + useEditcap},
		{"Network Monitor 1", with(0, "RTSS"), "this looks like a capture of Microsoft Network Monitor 1: " + useEditcap},
		{"Sniffer", with(0, "TRSNIFF data    \x1a"), "this looks like a capture of Sniffer: " + useEditcap},
		{"NetXRay", with(0, "XCP\x00"), "this looks like a capture of NetXRay: " + useEditcap},
		{"iptrace", with(0, "iptrace 2.0"), "this looks like an iptrace capture of AIX: " + useEditcap},
		{"ERF", erf, "this looks like an ERF capture: " + useEditcap},

		{"pcap, swapped", swapped, "this looks like a capture with the bytes of each pair swapped: " + useSwab},
		{"pcap as UTF-8", []byte(latin1(classic)), "this looks like a capture that was converted as text: " + useBinary},
		{"pcap as UTF-16", utf16le(latin1(classic)), "this looks like a capture that was converted as text: " + useBinary},
		{"pcap with characters replaced", []byte(strings.ToValidUTF8(string(classic), "\ufffd")), "this looks like binary data that was converted as text: " + useBinary},
		{"pcap with characters replaced, as UTF-16", utf16le(strings.ToValidUTF8(string(classic), "\ufffd")), "this looks like binary data that was converted as text: " + useBinary},
		{"pcap with a damaged magic number", append([]byte{0xd4, 0xc3, 0xb2, 0}, classic[4:]...), "this looks like a pcap capture with a damaged magic number: " + useBinary},
		{"pcapng with CRLF", replaced(ng, "\n", "\r\n"), "this looks like a pcapng capture whose line ends were converted as text: " + useBinary},
		{"pcapng with CRLF from LF alone", replaced(replaced(ng, "\r\n", "\n"), "\n", "\r\n"), "this looks like a pcapng capture whose line ends were converted as text: " + useBinary},
		{"pcapng with LF", replaced(ng, "\r\n", "\n"), "this looks like a pcapng capture whose line ends were converted as text: " + useBinary},
		{"pcapng with LF for CR", replaced(ng, "\r", "\n"), "this looks like a pcapng capture whose line ends were converted as text: " + useBinary},
		{"pcapng without CR", replaced(ng, "\r", ""), "this looks like a pcapng capture whose line ends were converted as text: " + useBinary},

		{"zip", with(0, "PK\x03\x04"), "this looks like a zip archive: " + useUnpack},
		{"tar", with(257, "ustar"), "this looks like a tar archive: " + useUnpack},
		{"7z", with(0, "7z\xbc\xaf\x27\x1c"), "this looks like a 7z archive: " + useUnpack},
		{"rar", with(0, "Rar!\x1a\x07"), "this looks like a rar archive: " + useUnpack},
		{"compress", with(0, "\x1f\x9d\x90"), "this looks like a file of compress: decompress it: uncompress FILE"},
		{"ELF", with(0, "\x7fELF"), "this looks like a program (ELF): " + useNothing},
		{"exe", with(0, "MZ\x90"), "this looks like a program for Windows: " + useNothing},
		{"PNG", with(0, "\x89PNG\r\n\x1a\n"), "this looks like a picture (PNG): " + useNothing},
		{"JPEG", with(0, "\xff\xd8\xff\xe0"), "this looks like a picture (JPEG): " + useNothing},
		{"GIF", with(0, "GIF89a"), "this looks like a picture (GIF): " + useNothing},
		{"PDF", []byte("%PDF-1.7\n"), "this looks like a PDF document: " + useNothing},
		{"SQLite", with(0, "SQLite format 3\x00"), "this looks like an SQLite database: " + useNothing},
		{"unknown", with(0, "\x01\x02\x03\x04\x05\x06\x07\x08\x09"), "binary data of an unknown kind, which starts with 0102030405060708: a capture must be pcap or pcapng"},

		{"HTML", []byte("\n<!DOCTYPE html>\n<p>"), "this looks like a page in HTML: give the file that it shows: on many sites the link is called raw"},
		{"HTML, old", []byte("<HTML><BODY>"), "this looks like a page in HTML: give the file that it shows: on many sites the link is called raw"},
		{"XML", []byte("<?xml version=\"1.0\"?>\n<pdml>"), "this looks like XML, such as tshark -T pdml writes: " + useCapture},
		{"JSON", []byte("[\n  {\n    \"_index\": \"packets-2024\",\n"), "this looks like JSON, such as tshark -T json writes: " + useCapture},
		{"JSON lines", []byte("{\"timestamp\":\"17\",\"layers\":{"), "this looks like JSON, such as tshark -T json writes: " + useCapture},
		{"base64, pcap", []byte(inBase64(classic)), "this looks like a capture in base64: " + useBase64},
		{"base64, pcapng", []byte(inBase64(ng)), "this looks like a capture in base64: " + useBase64},
		{"base64, gzip", []byte(inBase64(packed.Bytes())), "this looks like compressed data in base64: " + useBase64},
		{"uuencode", []byte("begin-base64 644 x.pcap\n"), "this looks like uuencoded data: decode it: uudecode FILE"},

		{"packet list", []byte("No.     Time           Source                Destination           Protocol Length Info\n      1 0.000000       192.0.2.1             192.0.2.2             TCP      74     x\n"),
			"this looks like a packet list of Wireshark, without the bytes of the packets: " + useBytes},
		{"packet details", []byte("Frame 1: 74 bytes on wire (592 bits), 74 bytes captured (592 bits)\nEthernet II, Src: x\n"), "this looks like packet details of Wireshark, without the bytes of the packets: " + useBytes},
		{"tshark", []byte("    1   0.000000    192.0.2.1 → 192.0.2.2    TCP 74 x\n"), "this looks like a packet list of tshark, without the bytes of the packets: " + useBytes},
		{"tcpdump", []byte("10:00:00.000000 IP 192.0.2.1.1500 > 192.0.2.2.8000: Flags [S], seq 1, length 0\n"), "this looks like the output of tcpdump, without the bytes of the packets: " + useBytes},
		{"tcpdump -tttt", []byte("2024-01-01 10:00:00.000000 IP6 x > y: Flags [S], seq 1, length 0\n"), "this looks like the output of tcpdump, without the bytes of the packets: " + useBytes},
		{"tcpdump -tt -i any", []byte("1700000000.000000 eth0  In  IP x > y: Flags [S], seq 1, length 0\n"), "this looks like the output of tcpdump, without the bytes of the packets: " + useBytes},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := fileOf(t, "x", test.file)
			list, _, err := readAll(name, nil)
			if err == nil || err.Error() != name+": "+test.want {
				t.Errorf("%d packets\ngot  %v\nwant %s: %s", len(list), err, name, test.want)
			}
		})
	}
}

// TestModified opens a file of the modified pcap format, which is refused as a capture.
func TestModified(t *testing.T) {
	name := fileOf(t, "x", append([]byte{0x34, 0xcd, 0xb2, 0xa1}, make([]byte, 20)...))
	want := name + ": offset 0: magic 34cdb2a1: the modified pcap format is not supported: convert the file to pcapng"
	if _, err := Open(name, nil); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestPasted checks that a case is read as it was if each of its lines is indented, as in the
// log of a test, or ends as on Windows.
func TestPasted(t *testing.T) {
	want := pkts.Format(scenario.Scenario{Batches: [][][]byte{{scenario.TCP4(100).Bytes()}}}.Cases("why", "source")[0])
	lines := strings.SplitAfter(strings.TrimSuffix(string(want), "\n"), "\n")
	for name, text := range map[string]string{
		"as it is":                string(want),
		"spaces":                  "    " + strings.Join(lines, "    "),
		"a tab":                   "\t" + strings.Join(lines, "\t"),
		"after empty lines":       "\n\n  " + strings.Join(lines, "  "),
		"before empty lines":      " " + strings.Join(lines, " ") + "\n\n  \n",
		"the first line lacks it": strings.Join(lines, "      "),
		"CR LF":                   strings.ReplaceAll(string(want), "\n", "\r\n"),
		"spaces and CR LF":        "  " + strings.ReplaceAll(strings.Join(lines, "  "), "\n", "\r\n"),
	} {
		f, err := OpenFile(fileOf(t, "case", []byte(text)), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.Text()
		if f.Kind != Case || err != nil || string(got) != string(want) {
			t.Errorf("%s: %s, %v\n%s", name, f.Kind, err, got)
		}
		f.Close()
	}
	for name, text := range map[string]string{
		"behind a line": "explore.go:246: the case:\n" + string(want), "behind times": "12:00 " + strings.Join(lines, "12:00 "),
	} {
		if _, err := Open(fileOf(t, "log", []byte(text)), nil); err == nil || !strings.Contains(err.Error(), "a case begins here") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
