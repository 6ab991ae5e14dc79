// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

var (
	ip4 = append([]byte{0x45, 0, 0, 24}, make([]byte, 20)...)
	ip6 = append([]byte{0x60, 0, 0, 0, 0, 2}, make([]byte, 36)...)
)

// join returns its arguments in one slice of its own.
func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// read is ReadAll for files that must be accepted.
func read(t *testing.T, file []byte) ([]Packet, []Skipped) {
	t.Helper()
	if !IsPcap(file) {
		t.Errorf("%x... is not taken for a capture", file[:4])
	}
	packets, skipped, err := ReadAll(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return packets, skipped
}

// fails checks the whole text of an error.
func fails(t *testing.T, file []byte, want string) {
	t.Helper()
	packets, skipped, err := ReadAll(bytes.NewReader(file))
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if packets != nil || skipped != nil {
		t.Errorf("%d packets, %d left out, besides an error", len(packets), len(skipped))
	}
}

func data(packets []Packet) [][]byte {
	var list [][]byte
	for _, p := range packets {
		list = append(list, p.Data)
	}
	return list
}

func TestIsPcap(t *testing.T) {
	for _, b := range []string{"", "\x0a\x0d\x0d", "\x0a\x0d\x0a\x0d", "\xa1\xb2\xc3\xd5", "4500"} {
		if IsPcap([]byte(b)) {
			t.Errorf("%x is taken for a capture", b)
		}
	}
	for _, b := range []string{"\x0a\x0d\x0d\x0a", "\xa1\xb2\xc3\xd4", "\xd4\xc3\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x4d\x3c\xb2\xa1", "\xa1\xb2\xcd\x34"} {
		if !IsPcap([]byte(b)) {
			t.Errorf("%x is not taken for a capture", b)
		}
	}
}

// A reader keeps the first records left out and counts the others; ReadAll returns
// them all.
func TestSkipped(t *testing.T) {
	var records [][]byte
	for range 150 {
		records = append(records, []byte{1})
	}
	file := classicFile(binary.LittleEndian, magicMicro, linkEthernet, append(records, join(make([]byte, 12), []byte{8, 0}, ip4))...)
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if r.Offset() != 24 || r.NG() {
		t.Errorf("at offset %d, pcapng %v", r.Offset(), r.NG())
	}
	p, err := r.Next()
	if err != nil || p.Number != 151 || !bytes.Equal(p.Data, ip4) {
		t.Errorf("%+v, %v", p, err)
	}
	first, n := r.Skipped()
	want := Skipped{100, "shorter than the link header: 1 of 14 bytes"}
	if n != 150 || len(first) != 100 || first[99] != want {
		t.Errorf("%d of %d left out: %v", len(first), n, first)
	}
	for range 2 {
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	}
	if r.Offset() != int64(len(file)) {
		t.Errorf("ends at offset %d of %d", r.Offset(), len(file))
	}
	if _, skipped := read(t, file); len(skipped) != 150 {
		t.Errorf("ReadAll: %d left out", len(skipped))
	}
}

// An error of the reader below is returned with the offset, again and again.
func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	for name, file := range map[string][]byte{"classic": classicFile(binary.LittleEndian, magicMicro, 101, ip4), "pcapng": exampleNG(binary.BigEndian)} {
		for n := range len(file) {
			r, err := NewReader(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)))
			for err == nil {
				_, err = r.Next()
			}
			if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "offset ") {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			if r != nil {
				if _, again := r.Next(); again != err {
					t.Fatalf("%s cut at %d: %v, then %v", name, n, err, again)
				}
			}
		}
	}
}

// A file cut anywhere gives the packets before the cut, and an error unless the cut
// is between records.
func TestTruncated(t *testing.T) {
	for name, file := range map[string][]byte{"classic": classicFile(binary.LittleEndian, magicMicro, 101, ip4, ip6, nil), "pcapng": exampleNG(binary.LittleEndian)} {
		all, _ := read(t, file)
		for n := range len(file) {
			r, err := NewReader(iotest.OneByteReader(bytes.NewReader(file[:n])))
			var got []Packet
			var start int64
			for err == nil {
				var p Packet
				start = r.Offset()
				if p, err = r.Next(); err == nil {
					got = append(got, p)
				}
			}
			if len(got) > 0 {
				if diff := cmp.Diff(all[:len(got)], got); diff != "" {
					t.Fatalf("%s cut at %d (-want +got):\n%s", name, n, diff)
				}
			}
			if err == io.EOF && r.Offset() != int64(n) || err != io.EOF && !strings.HasPrefix(err.Error(), "offset ") {
				t.Fatalf("%s cut at %d, after %d: %v", name, n, start, err)
			}
		}
	}
}

// TestClaimedLength checks that the value of a length field allocates nothing.
func TestClaimedLength(t *testing.T) {
	le := binary.LittleEndian
	huge := func(kind uint32) []byte {
		b := le.AppendUint32(le.AppendUint32(nil, kind), 1<<30)
		return join(sectionNG(le), interfaceNG(le, 101, 0), b, make([]byte, 64))
	}
	for name, file := range map[string][]byte{
		"unknown block": huge(0xbad), "section": join(huge(0xbad)[:0], sectionNG(le)[:4], []byte{0, 0, 0, 0x40}, sectionNG(le)[8:]),
		"interface": huge(blockInterface), "packet": huge(blockEnhanced), "simple packet": huge(blockSimple), "old packet": huge(blockOldPacket),
		"record": append(classicFile(le, magicMicro, 101), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := ReadAll(bytes.NewReader(file))
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > bufferLen+1<<14 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

// shortBuffer is the smallest that package bufio has: most of a file crosses its end.
const shortBuffer = 16

// Files that were changed at random give packets or an error that names an offset,
// and are read the same however their bytes arrive and whatever the buffer holds.
func TestMutated(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var files [][]byte
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		files = append(files, exampleNG(order), classicFile(order, magicNano, linkEthernet, join(make([]byte, 12), []byte{0x81, 0, 0, 1, 8, 0}, ip4)),
			classicFile(order, magicMicro, linkSLL, join(make([]byte, 14), []byte{8, 0}, ip4), ip6))
	}
	interesting := []byte{0, 1, 2, 3, 6, 0x0a, 0x0d, 0x7f, 0x80, 0xff}
	taken, refused := 0, 0
	for range 20_000 {
		b := bytes.Clone(files[r.IntN(len(files))])
		for range 1 + r.IntN(4) {
			i := r.IntN(len(b))
			switch r.IntN(5) {
			case 0:
				b[i] = byte(r.Uint32())
			case 1:
				b[i] = interesting[r.IntN(len(interesting))]
			case 2:
				b = b[:max(1, i)]
			case 3:
				b = join(b[:i], b[r.IntN(len(b)):])
			case 4:
				i &^= 3
				copy(b[i:], []byte{interesting[r.IntN(len(interesting))], 0, 0, 0})
			}
			if len(b) == 0 {
				b = []byte{0}
			}
		}
		packets, skipped, err := readAll(bytes.NewReader(b), 1<<12)
		slow, slowSkipped, slowErr := readAll(iotest.HalfReader(bytes.NewReader(b)), shortBuffer)
		if !reflect.DeepEqual(packets, slow) || !reflect.DeepEqual(skipped, slowSkipped) || (err == nil) != (slowErr == nil) || err != nil && err.Error() != slowErr.Error() {
			t.Fatalf("%x: %v, %v\nin halves, with a short buffer: %v, %v", b, packets, err, slow, slowErr)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "offset ") {
			t.Fatalf("%x: %v", b, err)
		}
		if err == nil {
			taken++
		} else {
			refused++
		}
	}
	if taken == 0 || refused == 0 {
		t.Errorf("%d files taken, %d refused", taken, refused)
	}
}
