// SPDX-License-Identifier: MIT

package hexdump

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample is 38 bytes. As text they have hex digits and a bar.
var sample = []byte("E\x00\x00\x2c\x00\x01\x00\x00@\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02abcdefghij|klm")

const (
	xxdText = `00000000: 4500 002c 0001 0000 4006 0000 0a00 0001  E..,....@.......
00000010: 0a00 0002 0001 0002 6162 6364 6566 6768  ........abcdefgh
00000020: 696a 7c6b 6c6d                           ij|klm
`
	xxdPlain = `4500002c00010000400600000a0000010a00000200010002616263646566
6768696a7c6b6c6d
`
	xxdBytes = `00000000: 45 00 00 2c 00 01 00 00 40 06 00 00 0a 00 00 01  E..,....@.......
00000010: 0a 00 00 02 00 01 00 02 61 62 63 64 65 66 67 68  ........abcdefgh
00000020: 69 6a 7c 6b 6c 6d                                ij|klm
`
	xxdNarrow = `00000000: 4500 002c 0001 0000  E..,....
00000008: 4006 0000 0a00 0001  @.......
00000010: 0a00 0002 0001 0002  ........
00000018: 6162 6364 6566 6768  abcdefgh
00000020: 696a 7c6b 6c6d       ij|klm
`
	xxdInclude = `unsigned char x_bin[] = {
  0x45, 0x00, 0x00, 0x2c, 0x00, 0x01, 0x00, 0x00, 0x40, 0x06, 0x00, 0x00,
  0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, 0x00, 0x01, 0x00, 0x02,
  0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x7c, 0x6b,
  0x6c, 0x6d
};
unsigned int x_bin_len = 38;
`
	hexdumpC = `00000000  45 00 00 2c 00 01 00 00  40 06 00 00 0a 00 00 01  |E..,....@.......|
00000010  0a 00 00 02 00 01 00 02  61 62 63 64 65 66 67 68  |........abcdefgh|
00000020  69 6a 7c 6b 6c 6d                                 |ij|klm|
00000026
`
	odText = `000000 45 00 00 2c 00 01 00 00 40 06 00 00 0a 00 00 01  >E..,....@.......<
000010 0a 00 00 02 00 01 00 02 61 62 63 64 65 66 67 68  >........abcdefgh<
000020 69 6a 7c 6b 6c 6d                                >ij|klm<
000026
`
	tcpdumpX = `00:00:01.000000 IP 10.0.0.1.1 > 10.0.0.2.2: Flags [S], seq 0:2
	0x0000:  4500 002c 0001 0000 4006 0000 0a00 0001
	0x0010:  0a00 0002 0001 0002 6162 6364 6566 6768
	0x0020:  696a 7c6b 6c6d
`
	tcpdumpText = `1.000000 IP (tos 0x0, ttl 64, id 1, offset 0, flags [none], proto TCP (6), length 44, bad cksum 0 (->66c9)!)
    10.0.0.1.1 > 10.0.0.2.2:  [|tcp]
	0x0000:  4500 002c 0001 0000 4006 0000 0a00 0001  E..,....@.......
	0x0010:  0a00 0002 0001 0002 6162 6364 6566 6768  ........abcdefgh
	0x0020:  696a 7c6b 6c6d                           ij|klm
`
	tsharkX = `0000  45 00 00 2c 00 01 00 00 40 06 00 00 0a 00 00 01   E..,....@.......
0010  0a 00 00 02 00 01 00 02 61 62 63 64 65 66 67 68   ........abcdefgh
0020  69 6a 7c 6b 6c 6d                                 ij|klm

`
	text2pcap = `0000 45 00 00 2c 00 01 00 00 40 06 00 00 0a 00 00 01 0a 00 00 02
0014 00 01 00 02 61 62 63 64 65 66 67 68 69 6a 7c 6b 6c 6d
`
)

// TestTools reads what tools print of one packet, once, and twice with a comment.
func TestTools(t *testing.T) {
	for name, text := range map[string]string{"xxd": xxdText, "xxd -p": xxdPlain, "xxd -g1": xxdBytes, "xxd -c8": xxdNarrow, "xxd -i": xxdInclude, "hexdump -C": hexdumpC,
		"od": odText, "tcpdump -x": tcpdumpX, "tcpdump -v -X": tcpdumpText, "tshark -x": tsharkX, "text2pcap": text2pcap} {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{text, strings.ReplaceAll(text, "\n", "\r\n"), strings.TrimRight(text, "\n")} {
				twice := text + "\n# vnet flags=1 gso_type=1\n#two\n" + text
				list, err := parse([]byte(twice), defaults())
				if err != nil {
					t.Fatal(err)
				}
				var got []Packet
				for _, p := range list {
					got = append(got, Packet{Data: p.Data, Comment: p.Comment})
				}
				if diff := cmp.Diff([]Packet{{Data: sample}, {Data: sample, Comment: "vnet flags=1 gso_type=1\ntwo"}}, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// parsed formats packets as "line:hex:comment".
func parsed(list []Packet) string {
	var s []string
	for _, p := range list {
		line := strings.TrimSuffix(string(rune('0'+p.Line))+":"+hex.EncodeToString(p.Data)+":"+p.Comment, ":")
		s = append(s, line)
	}
	return strings.Join(s, " ")
}

func TestForms(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain", "4500\n0a0B", "1:45000a0b"},
		{"plain, blank lines between", "\n\n4500\n\n \n6000\n", "3:4500 6:6000"},
		{"plain, separators", "45 00\t00:2c 4500\n0x45 0X00 0x002c", "1:4500002c45004500002c"},
		{"plain, Go's elements without braces", "0x45, 0x00,\n0x2c", "1:45002c"},
		{"plain, a comment ends a packet", "# a\n45\n# b\n#  c\n60\n# last", "2:45:a 5:60:b\n c"},
		{"plain, later zeros are no offset", "4500 002c\n0000 0001", "1:4500002c00000001"},

		{"dump, zeros first are an offset", "0000 4500", "1:4500"},
		{"dump, one line, then text", "0000: 4142  AB", "1:4142"},
		{"dump, text like bytes", "0000  61 62 63 64 65 66 67 68  abcdefgh", "1:6162636465666768"},
		{"dump, text of groups", "00000000: 6162 6364 2065  abcd e", "1:616263642065"},
		{"dump, text that starts with spaces", "00000000: 2020 3132  " + "  12", "1:20203132"},
		{"dump, text whose spaces at the end are gone", "00000000: 3132 2020  12", "1:31322020"},
		{"dump, text with a tab before it", "0000 41 42\tAB", "1:4142"},
		{"dump, text that is not the bytes'", "0000 41 42  zz", "1:4142"},
		{"dump, text like bytes, the next offset decides", "0000  41 42  zz 41\n0002  43", "1:414243"},
		{"dump, text like bytes, the line before decides", "0000  41 42  ..\n0002  43 44  45 46", "1:41424344"},
		{"dump, a gap is no end", "0000  41 42  43 44", "1:41424344"},
		{"dump, packets one after another", "0000 45 00\n0002 01\n0000 60\n", "1:450001 3:60"},
		{"dump, blank lines and comments within", "0000 45\n\n# b\n0001 00\n0000 60", "1:4500 5:60:b"},
		{"dump, text after one space", "0000 45 00 28 40 E.(@\n0004 61 62 ab\n0000 45 zz", "1:450028406162 3:45"},
		{"dump, text after the packets", "0000 45\n}\n3 packets captured", "1:45"},
		{"dump, a comment before a heading", "# a\n1.5 IP x > y: \"{[\n0x0000:  4500", "3:4500:a"},
		{"dump, offset of hexdump's seven digits and bytes", "0000000 45 00", "1:4500"},
		{"dump, lines left out", "00000000  41 42\n*\n00000006  43\n00000007", "1:41424142414243"},
		{"dump, lines left out up to the end", "00000000  41 42 43\n*\n00000008\n00000000  45", "1:4142434142434142 4:45"},

		{"Go", "[]byte{0x45, 0, 12, 0b1, 0o17, 'a', '\\n', '\\x80'}", "1:45000c010f610a80"},
		{"Go, lines and comments", "var p = []byte{\n\t0x45, // { version\n\t0x00, /* x\n*/ 0x2c,\n}\n# c\n[]byte{1}", "1:45002c 7:01:c"},
		{"Go, slice of slices", "[][]byte{{1, 2}, {3},\n[]byte(\"E\\x00\")}", "1:0102 1:03 2:4500"},
		{"Go, array", "[2]byte{1, 2}\n[...]uint8{3}", "1:0102 2:03"},
		{"Go, a fuzz corpus file", "go test fuzz v1\n[]byte(\"E\\x00\\\"\")\nint(5)\nstring(\"no\")", "2:450022"},
		{"Go, raw and joined strings", "[]byte(`a\nb` +\n\"c\" + // d\n \"d\" + x)", "1:610a626364"},
		{"Go, a string alone", "\"E\\x00\"", "1:4500"},
		{"Go, struct", "Packet{Line: 1, Data: []byte{9}, Name: \"x\"}", "1:09"},
		{"Go, []uint8", "x := []uint8{9}", "1:09"},
		{"%v", "[69 0 0 44]\n[[1 2] [3 4]] [] [5]", "1:4500002c 2:0102 2:0304"},
		{"JSON", "[[69, 0], [1, 2]]", "1:4500 1:0102"},
	} {
		t.Run(test.name, func(t *testing.T) {
			list, err := parse([]byte(test.text), defaults())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, parsed(list)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	long := strings.Repeat("45", 262_144)
	for _, test := range []struct{ text, want string }{
		{"", "line 1: no packet in the text: neither hex digits, nor an offset and bytes, nor bytes in source code"},
		{"\n# x\n", "line 2: no packet in the text: neither hex digits, nor an offset and bytes, nor bytes in source code"},
		{"\nhello", "line 2: no packet in the text: neither hex digits, nor an offset and bytes, nor bytes in source code"},
		{"func main() {", "line 1: a list that is not closed"},
		{"func main() { return }", "line 1: no packet in the text"},

		{"45\n450", `line 2: "450" has an odd number of hex digits`},
		{"45\n0x", `line 2: "0x" has no digit`},
		{"45\n4g", `line 2: "4g" is not hex`},
		{"45\n{ 45", `line 2: "{" is not hex`},
		{"45\n::", `line 2: no hex digits`},
		{"69, 0", `line 1: "69" in a list with commas: decimal numbers need braces around the list, hex needs 0x`},
		{"45\n" + long + "45", "line 2: a packet of more than 262144 bytes"},

		{"0000 45\n0010 00", "line 2: offset 0010, but the packet has 0x0001 bytes so far"},
		{"0000 45 00  E.\n0001 00", "line 1: more bytes than the offsets and the lines before allow: 1"},
		{"0000 45\n0001 zz\n0002 00", "line 3: offset 0002 where a packet starts: it must be 0"},
		{"0000 45\n0000", "line 2: no bytes after the offset"},
		{"0000 45\nheading\n0001 00", "line 3: offset 0001 where a packet starts: it must be 0"},
		{"0000 45\n00000001\n0001 00", "line 3: offset 0001 where a packet starts: it must be 0"},
		{"0000000 0045 2c00\n0000004", "line 1: 16-bit words in an unknown byte order: use hexdump -C"},
		{"0000 45\n*", "line 2: no offset after the *"},
		{"0000 45\n*\n*\n0003", "line 2: no offset after the *"},
		{"*\n0000 45\n*\n0000 45", "line 4: offset 0000 after a *: the lines it stands for have 1 to 262144 bytes"},
		{"0000 45\n*\nffffffff", "line 3: offset ffffffff after a *: the lines it stands for have 1 to 262144 bytes"},
		{"0000 45\n*\n40001", "line 3: a packet of more than 262144 bytes"},
		{"0000 45\n0001" + strings.Repeat(" 45", 341), "line 2: a line of a dump with more than 1024 bytes"},

		{"[]byte{1, 256}", `line 1: "256" is not a byte, in decimal or in hex after 0x`},
		{"[]byte{1,\nx}", `line 2: "x" is not a byte, in decimal or in hex after 0x`},
		{"[]byte{1, -1}", `line 1: "-" in a list of bytes`},
		{"[]byte{1 2}", "line 1: no comma between the bytes of a list"},
		{"[]byte{'é', 'ab'}", "line 1: a character that is not a byte"},
		{"[]byte{'\\u0100'}", "line 1: a character that is not a byte"},
		{"[]byte{'", "line 1: a character that is not a byte"},
		{"[]byte{}", "line 1: a packet without bytes"},
		{"\n[]byte{1,\n2,\n", "line 2: a list that is not closed"},
		{"[45 00 10]", `line 1: "00" could be octal or hex: write it in decimal, or in hex after 0x`},
		{"[69 0", "line 1: a list that is not closed"},
		{"[]byte(\"\")", "line 1: a packet without bytes"},
		{"[]byte(\"a\nb\")", "line 1: a string that is not closed, or is not valid in Go or Python"},
		{"\n[]byte(\"\\q\")", "line 2: a string that is not closed, or is not valid in Go or Python"},
		{"[]byte(`a", "line 1: a string that is not closed, or is not valid in Go or Python"},
		{"[]byte(\"" + long + "\")", "line 1: a packet of more than 262144 bytes"},
		{"[]byte{" + strings.Repeat("1,", 262_145) + "}", "line 1: a packet of more than 262144 bytes"},
		{"\"" + long[:262_144] + "\" + \"a\"", "line 1: a packet of more than 262144 bytes"},
	} {
		list, err := parse([]byte(test.text), defaults())
		if err == nil || err.Error() != test.want || list != nil {
			t.Errorf("%.60q: %s\ngot  %v\nwant %s", test.text, parsed(list), err, test.want)
		}
	}
}

// TestLimits reads texts that are at a limit of each kind, and one step past it.
func TestLimits(t *testing.T) {
	most := limits{packet: 16, bytes: 40, packets: 5}
	full := strings.Repeat("45", most.packet)
	dump := "0000 " + strings.Repeat("45 ", most.packet) + "\n"
	elements := strings.Repeat("1,", most.packet)
	for _, test := range []struct{ text, over, want string }{
		{strings.Repeat("45\n\n", 5), "45", "line 11: more than 5 packets"},
		{strings.Repeat("0000 45\n", 5), "0000 45", "line 6: more than 5 packets"},
		{strings.Repeat("[1 2]", 5), "[1 2]", "line 1: more than 5 packets"},
		{strings.Repeat("\"a\",\n", 5), "\"a\"", "line 6: more than 5 packets"},

		{full, "45", "line 1: a packet of more than 16 bytes"},
		{full + "\n", "45", "line 2: a packet of more than 16 bytes"},
		{dump, "0010 45", "line 2: a packet of more than 16 bytes"},
		{"0000 45\n*\n0010\n", "0000 45\n*\n0011", "line 6: a packet of more than 16 bytes"},
		{"0000 45\n*\n0010\n", "0000 45\n*\n0012", "line 6: offset 0012 after a *: the lines it stands for have 1 to 16 bytes"},
		{"[]byte{" + elements + "}\n", "[]byte{" + elements + "1}", "line 2: a packet of more than 16 bytes"},
		{"[]byte(\"" + full[:16] + "\")\n", "[]byte(\"" + full[:16] + "4\")", "line 2: a packet of more than 16 bytes"},

		{full + "\n\n" + full + "\n\n" + full[:16] + "\n", "\n45", "line 7: more than 40 bytes of packets"},
		{dump + dump + "0000 45 45 45 45 45 45 45 45\n", "0000 45", "line 4: more than 40 bytes of packets"},
		{"[]byte(\"" + full[:16] + "\")\n[]byte(\"" + full[:16] + "\")\n[]byte(\"45454545\")\n", "[1 2]", "line 4: more than 40 bytes of packets"},
	} {
		if _, err := parse([]byte(test.text), most); err != nil {
			t.Errorf("%q: %v", test.text, err)
		}
		list, err := parse([]byte(test.text+test.over), most)
		if err == nil || err.Error() != test.want || list != nil {
			t.Errorf("%q: got %v, want %s", test.text+test.over, err, test.want)
		}
	}
}

// TestDefaults checks the limits of Parse.
func TestDefaults(t *testing.T) {
	if got, want := defaults(), (limits{packet: 262_144, bytes: 67_108_864, packets: 1_048_576}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	list, err := parse([]byte(strings.Repeat("45", 262_144)), defaults())
	if err != nil || len(list) != 1 || len(list[0].Data) != 262_144 {
		t.Errorf("%d packets, %v", len(list), err)
	}
	const want = "line 769: more than 67108864 bytes of packets"
	if _, err := Parse([]byte(strings.Repeat("0000 45\n*\n40000\n", 257))); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Texts changed at random give packets or an error that names a line of theirs.
func TestMutated(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	texts := []string{xxdText, xxdPlain, xxdNarrow, xxdInclude, hexdumpC, tcpdumpText, tsharkX, text2pcap, "# a\n[][]byte{{1, 'a'}, []byte(\"E\\x00\" + `x`)}\n", "[69 0 44]\n",
		"00000000  41 42\n*\n00000006  43\n00000007\n"}
	pieces := strings.Split("0 | 0x { } [ ] \" ` ' \\ / // /* */ * , + : # 45 0000 00000010 byte( []byte{ \n \t \r \x00 é", " ")
	taken, refused := 0, 0
	for range few(12_000) {
		b := []byte(texts[r.IntN(len(texts))])
		for range 1 + r.IntN(4) {
			i := r.IntN(len(b) + 1)
			j := i + r.IntN(min(9, len(b)-i+1))
			switch r.IntN(4) {
			case 0:
				b = append(b[:i:i], b[j:]...)
			case 1:
				b = b[:j]
			case 2:
				b = append(b[:i:i], append([]byte(texts[r.IntN(len(texts))]), b[j:]...)...)
			case 3:
				b = append(b[:i:i], append([]byte(pieces[r.IntN(len(pieces))]), b[j:]...)...)
			}
		}
		was := bytes.Clone(b)
		list, err := Parse(b)
		if !bytes.Equal(b, was) {
			t.Fatalf("%q was written to", was)
		}
		if err != nil {
			refused++
			if list != nil || !strings.HasPrefix(err.Error(), "line ") {
				t.Fatalf("%q: %v", b, err)
			}
			continue
		}
		taken++
		for _, p := range list {
			if (len(p.Data) == 0) != (p.Left != "") || p.Line < 1 || p.Line > 1+bytes.Count(b, []byte{'\n'}) {
				t.Fatalf("%q: %+v", b, p)
			}
		}
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d texts taken, %d refused", taken, refused)
	}
}
