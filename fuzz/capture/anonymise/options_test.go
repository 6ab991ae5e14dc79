// SPDX-License-Identifier: MIT

package anonymise

import (
	"bytes"
	"path/filepath"
	"testing"
)

// stayed returns which bytes of an option have stayed in all of several copies with other keys,
// from the first on. Those after it must all have changed in some.
func stayed(t *testing.T, list []byte, single byte, of kept) int {
	t.Helper()
	changed := make([]bool, len(list))
	for seed := range 12 {
		a, err := keyed([32]byte{1, byte(seed)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := bytes.Clone(list)
		a.hideOptions(b, single, of)
		for i := range b {
			changed[i] = changed[i] || b[i] != list[i]
		}
	}
	n := 0
	for n < len(changed) && !changed[n] {
		n++
	}
	for i := n; i < len(changed); i++ {
		if !changed[i] {
			t.Errorf("%x: byte %d stays, and byte %d does not", list, i, n)
		}
	}
	return n
}

// TestKeptOptions tries all lengths of all kinds of options: which bytes stay. The kinds up to 1
// of IPv4 and TCP, and 0 of IPv6, have no length.
func TestKeptOptions(t *testing.T) {
	type limits struct{ least, most, stays int } // lengths with kind and length
	for name, c := range map[string]struct {
		single byte
		of     kept
		want   map[int]limits
	}{
		"IPv4": {1, ip4Kept, map[int]limits{148: {4, 4, 4}, 7: {3, 40, 3}, 131: {3, 40, 3}, 137: {3, 40, 3}, 68: {4, 40, 4}}},
		"TCP":  {1, tcpKept, map[int]limits{2: {4, 4, 4}, 3: {3, 3, 3}, 4: {2, 2, 2}, 5: {10, 34, 34}, 8: {10, 10, 10}}},
		"IPv6": {0, ip6Kept, map[int]limits{5: {4, 4, 4}, 0xC2: {6, 6, 6}}},
	} {
		for kind := range 256 {
			if kind <= int(c.single) || kind%31 != 0 && c.want[kind].least == 0 {
				continue
			}
			for n := 3; n <= 40; n++ {
				list := bytes.Repeat([]byte{0xA5}, n)
				list[0], list[1] = byte(kind), byte(n)
				if c.single == 0 {
					list[1] = byte(n - 2)
				}
				want := 2
				if l, is := c.want[kind]; is && n >= l.least && n <= l.most {
					want = min(l.stays, n)
				}
				if got := stayed(t, list, c.single, c.of); got != want {
					t.Errorf("%s, kind %d of %d bytes: %d stay, want %d", name, kind, n, got, want)
				}
			}
		}
	}
}

// TestOptionLists hides lists of options: each is found after the one before it, and one that is
// not valid is hidden to the end.
func TestOptionLists(t *testing.T) {
	for _, c := range []struct {
		list   []byte
		single byte
		of     kept
		stays  string // for each byte: = stays, x may change
	}{
		{[]byte{1, 1, 1, 0}, 1, tcpKept, "===="},
		{[]byte{1, 1, 254, 4, 7, 7}, 1, tcpKept, "====xx"},
		{[]byte{254, 4, 7, 7, 2, 4, 5, 180, 254, 3, 9}, 1, tcpKept, "==xx======x"},
		{[]byte{2, 4, 5, 180, 254}, 1, tcpKept, "====="},
		{[]byte{254, 1, 7, 7}, 1, tcpKept, "=xxx"},
		{[]byte{254, 0, 7, 7}, 1, tcpKept, "=xxx"},
		{[]byte{254, 5, 7, 7}, 1, tcpKept, "=xxx"},
		{[]byte{254, 4, 7, 7}, 1, tcpKept, "==xx"},
		{[]byte{254, 2, 254, 3, 7}, 1, tcpKept, "====x"},
		{[]byte{0, 1, 2, 9, 9, 0}, 0, ip6Kept, "===xx="},
		{[]byte{30, 0, 30, 1, 9}, 0, ip6Kept, "====x"},
		{[]byte{30, 4, 9, 9}, 0, ip6Kept, "=xxx"},
	} {
		changed := make([]bool, len(c.list))
		for seed := range 12 {
			a, err := keyed([32]byte{2, byte(seed)}, 0)
			if err != nil {
				t.Fatal(err)
			}
			b := bytes.Clone(c.list)
			a.hideOptions(b, c.single, c.of)
			for i := range b {
				changed[i] = changed[i] || b[i] != c.list[i]
			}
		}
		got := ""
		for _, is := range changed {
			got += map[bool]string{false: "=", true: "x"}[is]
		}
		if got != c.stays {
			t.Errorf("%v: %s, want %s", c.list, got, c.stays)
		}
	}
}

// TestPermute checks that permute is one to one for each length, and another one for each id and
// key.
func TestPermute(t *testing.T) {
	a, err := keyed([32]byte{3}, 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := keyed([32]byte{4}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n <= 2; n++ {
		seen := map[string]bool{}
		same, sameID, sameKey := 0, 0, 0
		for v := range 1 << (8 * n) {
			b := []byte{byte(v >> 8), byte(v)}[2-n:]
			was, x, y, again := bytes.Clone(b), bytes.Clone(b), bytes.Clone(b), bytes.Clone(b)
			a.permute("id", b)
			a.permute("id", again)
			a.permute("other", x)
			other.permute("id", y)
			if seen[string(b)] || !bytes.Equal(b, again) {
				t.Fatalf("%x becomes %x, as another one, or not each time", was, b)
			}
			seen[string(b)] = true
			for i, c := range [][]byte{was, x, y} {
				if bytes.Equal(b, c) {
					*[]*int{&same, &sameID, &sameKey}[i]++
				}
			}
		}
		if most := 1 << (8 * n) / 16; n > 0 && max(same, sameID, sameKey) > most {
			t.Errorf("%d bytes: %d of %d stay, %d are the same with another id, %d with another key", n, same, 1<<(8*n), sameID, sameKey)
		}
	}
}

// TestStream checks that the key stream at an offset is a part of the one from 0 on, also across
// the end of 4 GiB, where it begins again.
func TestStream(t *testing.T) {
	a, err := keyed([32]byte{5}, 0)
	if err != nil {
		t.Fatal(err)
	}
	bytesAt := func(off uint32, n int) []byte {
		s := a.stream("id")
		s.off = off
		b := make([]byte, n)
		a.xor(s, b, b)
		return b
	}
	for _, base := range []uint32{0, 1000, 0xFFFFFF00, 0xFFFFFFF0} {
		all := bytesAt(base, 600)
		for off := range 80 {
			for _, n := range []int{0, 1, 15, 16, 17, 100, 500} {
				if got := bytesAt(base+uint32(off), n); !bytes.Equal(got, all[off:off+n]) {
					t.Fatalf("%d bytes at %d: another stream", n, base+uint32(off))
				}
			}
		}
		if seen := map[string]bool{}; true {
			for i := 0; i+16 <= 256; i += 16 {
				if seen[string(all[i:i+16])] {
					t.Fatalf("16 bytes at %d are there twice", base+uint32(i))
				}
				seen[string(all[i:i+16])] = true
			}
		}
	}
	if !bytes.Equal(bytesAt(0xFFFFFFFF, 17)[1:], bytesAt(0, 16)) {
		t.Error("after 4 GiB it does not begin again")
	}
}

// TestOnesComplement checks plus and minus against numbers modulo 0xFFFF.
func TestOnesComplement(t *testing.T) {
	for _, a := range []uint16{0, 1, 2, 0x7FFF, 0x8000, 0x1234, 0xFFFD, 0xFFFE, 0xFFFF} {
		for _, b := range []uint16{0, 1, 2, 0x7FFF, 0x8000, 0x1234, 0xFFFD, 0xFFFE, 0xFFFF} {
			if got := plus(a, b); (int(got)-int(a)-int(b))%0xFFFF != 0 {
				t.Errorf("%04x + %04x is %04x", a, b, got)
			}
			if got := minus(a, b); (int(got)-int(a)+int(b))%0xFFFF != 0 {
				t.Errorf("%04x - %04x is %04x", a, b, got)
			}
			if got := plus(minus(a, b), b); (int(got)-int(a))%0xFFFF != 0 {
				t.Errorf("%04x - %04x + %04x is %04x", a, b, b, got)
			}
		}
		if plus(a, 0) != a || plus(a, 0xFFFF) != a || minus(a, a) != 0 {
			t.Errorf("%04x and a zero", a)
		}
	}
}

// TestCopyNames checks the names of copies.
func TestCopyNames(t *testing.T) {
	for name, want := range map[string]string{
		"-": "stdin.pcapng", "a.pcap": "a.pcap", "x/a.pcapng": "a.pcapng", "a.pcap.gz": "a.pcap", "a.pcap.bz2": "a.pcap", "a.pcap.zst": "a.pcap", "a.pcap.xz": "a.pcap", "a.pcap.lz4": "a.pcap",
		"a.pkts": "a.pcapng", "a.txt": "a.pcapng", "a.hex": "a.pcapng", "a.txt.gz": "a.pcapng", "a": "a", "a.gzip": "a.gzip", ".gz": ".",
	} {
		if got := copyName(name, "d"); got != filepath.Join("d", want) {
			t.Errorf("%s: %s, want %s in d", name, got, want)
		}
	}
}
