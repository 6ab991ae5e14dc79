// SPDX-License-Identifier: MIT

package pkts

import (
	"fmt"
	"strings"
	"testing"
)

// The heads of cases, up to the first batch.
const (
	headCoalesce = "# format: 1\n# op: coalesce\n# why: w\n# source: s\n"
	headSegment  = "# format: 1\n# op: segment\n# why: w\n# source: s\n# batch:\n"
	headChecksum = "# format: 1\n# op: checksum\n# why: w\n# source: s\n# batch:\n"
	zeros        = "flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0"
)

// TestLimits checks both sides of every limit of the settings and of the fields.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		before, after string // around the number
		most          int
	}{
		{headCoalesce + "# config: max_segments=", "\n# batch:\n", 1022},
		{headCoalesce + "# config: max_udp_segments=", "\n# batch:\n", 128},
		{headCoalesce + "# config: max_open=", "\n# batch:\n", 65535},
		{headCoalesce + "# config: max_per_flow=", "\n# batch:\n", 64},
		{headSegment + "# in: flags=", " gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0\n", 255},
		{headSegment + "# in: flags=0 gso_type=", " hdr_len=0 gso_size=0 csum_start=0 csum_offset=0\n", 255},
		{headSegment + "# in: flags=0 gso_type=0 hdr_len=", " gso_size=0 csum_start=0 csum_offset=0\n", 65535},
		{headSegment + "# in: flags=0 gso_type=0 hdr_len=0 gso_size=", " csum_start=0 csum_offset=0\n", 65535},
		{headSegment + "# in: flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=", " csum_offset=0\n", 65535},
		{headSegment + "# in: flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=", "\n", 65535},
		{headSegment + "# in: " + zeros + " outer_th_offset=", " inner_nh_offset=1\n", 65535},
		{headSegment + "# in: " + zeros + " outer_th_offset=1 inner_nh_offset=", "\n", 65535},
		{headCoalesce + "# batch:\n# in:\n# pad: ", " 00\n", maxPacket},
		{headCoalesce + "# batch:\n# in:\n# fill: ", " 00\n", maxPacket},
		{headCoalesce + "# batch:\n# in:\n# pad: 262143 00\n# pad: ", " 01\n", 1},
		{headCoalesce + "# batch:\n# in:\n# in:\n# in:\n# kernel: ", "\n", 2},
		{headCoalesce + "# batch:\n# in:\n# in:\n# in:\n# out: packets=", " " + zeros + "\n", 2},
	} {
		for n, ok := range map[string]bool{fmt.Sprint(c.most): true, fmt.Sprint(c.most + 1): false, fmt.Sprint("0", c.most): false, fmt.Sprint("+", c.most): false, "-1": false, "x": false, "": false, "99999999999999999999": false} {
			if _, err := Parse("f", []byte(c.before+n+c.after)); ok != (err == nil) {
				t.Errorf("%s%s: %v", c.before[strings.LastIndex(c.before, "# "):], n, err)
			}
		}
	}
	for _, c := range []struct{ text, want string }{
		{headCoalesce + "# config: max_open=0\n", "f:5: config: want the form \"\""},
		{headCoalesce + "# config: max_open=05\n", "f:5: config: want the form \"max_open=5\""},
		{headCoalesce + "# batch:\n# in:\n# pad: 2147483647 00\n", "f:7: a packet has over 262144 bytes, or all packets over 67108864"},
		{headCoalesce + "# batch:\n# in:\n# pad: 2147483648 00\n", "f:7: pad: want a count and a byte such as \"1000 61\", have \"2147483648 00\""},
		{headCoalesce + "# batch:\n# in:\n# pad: 1 0000\n", "f:7: pad: want a count and a byte such as \"1000 61\", have \"1 0000\""},
		{headCoalesce + "# batch:\n# in:\n# pad: 1 \n", "f:7: want one space after \"pad:\" and none at the end"},
		{headCoalesce + "# batch:\n# in:\n# pad: 1\n", "f:7: pad: want a count and a byte such as \"1000 61\", have \"1\""},
		{headCoalesce + "# batch:\n# in:\n0000 \n", "f:7: want \"# key: value\" or \"0000  45 00\", have \"0000 \""},
		{headCoalesce + "# batch:\n# in:\n0000  \n", "f:7: want 1 to 16 bytes such as \"45 00\", have \"\""},
	} {
		if _, err := Parse("f", []byte(c.text)); err == nil || err.Error() != c.want {
			t.Errorf("%q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

// TestTotal checks both sides of the limit for all bytes of a case.
func TestTotal(t *testing.T) {
	var b []byte
	p := parser{data: &b}
	for range maxTotal / maxPacket {
		if msg := p.room(maxPacket); msg != "" {
			t.Fatalf("after %d bytes: %s", p.total, msg)
		}
	}
	if msg := p.room(1); msg != "a packet has over 262144 bytes, or all packets over 67108864" {
		t.Errorf("after %d bytes: %q", p.total, msg)
	}
}

// TestHead tries every two keys of the head after the others: each key may come once, in its
// place.
func TestHead(t *testing.T) {
	values := []string{"# format: 1\n", "# op: coalesce\n", "# why: w\n", "# source: s\n", "# rules: a+\n", "# config: udp=off\n"}
	for from := range len(values) {
		for key := range len(values) {
			text := strings.Join(values[:from], "") + values[key]
			_, err := Parse("f", []byte(text))
			want := fmt.Sprintf("f:%d: key", from+1)
			if key == from || key == 5 && from == 4 { // rules may be left out
				want = fmt.Sprintf("f:%d: the file", from+2)
			}
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
		}
	}
	for i := range values[:4] { // each of these must be there
		text := strings.Join(values[:i], "") + strings.Join(values[i+1:], "") + "# batch:\n"
		if _, err := Parse("f", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("f:%d: ", i+1)) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestHex16 tries every length and every byte of a number such as 0x12ab.
func TestHex16(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint16
		ok   bool
	}{{"0x0000", 0, true}, {"0x12ab", 0x12AB, true}, {"0xffff", 0xFFFF, true}, {"0x012", 0, false}, {"0x00123", 0, false}, {"0x", 0, false}, {"1234", 0, false}, {"0X1234", 0, false}, {"", 0, false}} {
		if got, ok := parseHex16(c.text, true); ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %#x, %v", c.text, got, ok)
		}
		if _, ok := parseHex16(c.text, false); ok {
			t.Errorf("%q is taken after something was refused", c.text)
		}
	}
	for c := range 256 {
		digit := strings.IndexByte("0123456789abcdef", byte(c))
		got, ok := parseHex16("0x1"+string([]byte{byte(c)})+"34", true)
		if ok != (digit >= 0) || ok && got != uint16(0x1034+digit<<8) {
			t.Errorf("the digit %q: %#x, %v", c, got, ok)
		}
	}
}

// TestPlaces tries every key after every beginning of a case: it is taken exactly where it
// belongs.
func TestPlaces(t *testing.T) {
	vnet := "# in: " + zeros + "\n"
	keys := []struct{ key, line string }{
		{"batch", "# batch:\n"}, {"in", "# in:\n"}, {"vnet", vnet}, {"seed", "# in: seed=0x0001\n"}, {"bytes", "0000  45\n"}, {"pad", "# pad: 1 00\n"},
		{"out", "# out:\n"}, {"packets", "# out: packets=0 " + zeros + "\n"}, {"error", "# error: X\n"}, {"sum", "# sum: 0x0001\n"},
		{"kernel", "# kernel: 0\n"}, {"dropped", "# kernel: dropped\n"}, {"diverges", "# diverges: w\n"}, {"colour", "# colour: red\n"},
	}
	for _, c := range []struct{ begin, takes string }{
		{headCoalesce, "batch"},
		{headCoalesce + "# batch:\n", "batch in"},
		{headCoalesce + "# batch:\n# in:\n", "batch in bytes pad packets kernel"},
		{headCoalesce + "# batch:\n# in:\n# out: packets=0 " + zeros + "\n", "batch bytes pad packets kernel"},
		{headCoalesce + "# batch:\n# in:\n# kernel: 0\n", "batch kernel diverges"},
		{headCoalesce + "# batch:\n# in:\n# kernel: 0\n# diverges: w\n", "batch"},
		{headCoalesce + "# batch:\n# in:\n# kernel: 0\n# batch:\n", "batch in"},
		{headSegment, "vnet"},
		{headSegment + vnet, "vnet bytes pad out error dropped"},
		{headSegment + vnet + "# out:\n", "vnet bytes pad out dropped"},
		{headSegment + vnet + "# error: X\n", "vnet dropped"},
		{headSegment + vnet + "# kernel: dropped\n", "vnet dropped diverges"},
		{headSegment + vnet + "# kernel: dropped\n# diverges: w\n", "vnet"},
		{headSegment + vnet + "# kernel: dropped\n" + vnet, "vnet bytes pad out error dropped"},
		{headChecksum, "seed"},
		{headChecksum + "# in: seed=0x0001\n", "seed bytes pad sum"},
		{headChecksum + "# in: seed=0x0001\n# sum: 0x0001\n", "seed"},
	} {
		var takes []string
		for _, k := range keys {
			if _, err := Parse("f", []byte(c.begin+k.line)); err == nil || strings.HasSuffix(err.Error(), "the file has no batch") {
				takes = append(takes, k.key)
			}
		}
		if got := strings.Join(takes, " "); got != c.takes {
			t.Errorf("after %q: %s, want %s", c.begin, got, c.takes)
		}
	}
}

// TestUnindent checks what is taken off the lines of a case.
func TestUnindent(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"a\nb\n", "a\nb\n"},
		{"a\n b\n", "a\nb\n"},
		{"a\n\tb\n\t\tc\n", "a\nb\n\tc\n"},
		{"  a\n  b\n", "a\nb\n"},
		{"  a\n   b\nc\n", "a\n b\nc\n"},
		{"\n\n\ta\n\tb\n\n\n", "a\nb\n"},
		{"\na\nb", "a\nb\n"},
		{" a", "a\n"},
		{"a \nb", "a \nb"},
		{"a \r\nb\r\n", "a\nb\n"},
		{" a \t\n b\r\n", "a\nb\n"},
		{"a", "a"},
		{"a\n\n", "a\n\n"},
	} {
		if got := string(Unindent([]byte(c.text))); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.text, got, c.want)
		}
	}
}
