// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var written = []Packet{
	{Number: 1, Time: time.Unix(1_700_000_000, 123_456_789), Data: ip4, Comment: "vnet flags=1\nsecond line"},
	{Number: 2, Time: time.Unix(1<<32-1, 999_999_999), Data: ip6},
	{Number: 3, Time: time.Unix(0, 0), Data: []byte{}, Comment: "é"},
	{Number: 4, Time: time.Unix(1, 1), Data: ip4[:23], Comment: "four"},
}

func TestWriterRoundTrip(t *testing.T) {
	for _, format := range []Format{Classic, NG} {
		var file counted
		w, err := NewWriter(&file, format)
		if err != nil {
			t.Fatal(err)
		}
		want := append([]Packet(nil), written...)
		for i, p := range written {
			if err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			if format == Classic {
				want[i].Comment = ""
			}
		}
		if file.calls != 1+len(written) {
			t.Errorf("format %d: %d calls of Write for %d packets", format, file.calls, len(written))
		}
		packets, skipped := read(t, file.Bytes())
		if diff := cmp.Diff(want, packets); diff != "" || skipped != nil {
			t.Errorf("format %d: %v (-want +got):\n%s", format, skipped, diff)
		}
		if r, err := NewReader(&file); err != nil || r.NG() != (format == NG) {
			t.Errorf("format %d: pcapng %v, %v", format, !(format == NG), err)
		}
	}
}

type counted struct {
	bytes.Buffer
	calls int
}

func (c *counted) Write(b []byte) (int, error) {
	c.calls++
	return c.Buffer.Write(b)
}

// The bytes of both formats and of Write, which captures that are kept depend on.
func TestWrittenBytes(t *testing.T) {
	p := Packet{Time: time.Unix(0x65000000, 0x12345678), Data: []byte{0x45, 1, 2}, Comment: "ab"}
	for want, write := range map[string]func(io.Writer) error{
		"d4c3b2a1 02000400 00000000 00000000 00000400 65000000 00000065 0ba90400 03000000 03000000 450102": func(w io.Writer) error {
			return Write(w, []Packet{p})
		},
		"4d3cb2a1 02000400 00000000 00000000 00000400 65000000 00000065 78563412 03000000 03000000 450102": func(w io.Writer) error {
			return writeOne(w, Classic, p)
		},
		"0a0d0d0a 1c000000 4d3c2b1a 01000000 ffffffffffffffff 1c000000" +
			"01000000 20000000 65000000 00000400 09000100 09000000 00000000 20000000" +
			"06000000 30000000 00000000 b2118417 78563412 03000000 03000000 45010200 01000200 61620000 00000000 30000000": func(w io.Writer) error {
			return writeOne(w, NG, p)
		},
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(b.Bytes()); got != strings.ReplaceAll(want, " ", "") {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	var b bytes.Buffer
	if err := Write(&b, nil); err != nil || b.Len() != 24 {
		t.Errorf("no packet: %d bytes, %v", b.Len(), err)
	}
}

func writeOne(w io.Writer, f Format, p Packet) error {
	out, err := NewWriter(w, f)
	if err != nil {
		return err
	}
	return out.Write(p)
}

// Times that a format cannot say are the epoch.
func TestWriteTimes(t *testing.T) {
	epoch := time.Unix(0, 0)
	for _, test := range []struct {
		format   Format
		in, want time.Time
	}{
		{Classic, time.Unix(1<<32, 0), epoch},
		{Classic, time.Time{}, epoch},
		{NG, time.Unix(-1, 5), epoch},
		{NG, time.Time{}, epoch},
		{NG, time.Unix(18_446_744_072, 999_999_999), time.Unix(18_446_744_072, 999_999_999)},
		{NG, time.Unix(18_446_744_073, 0), epoch},
	} {
		var b bytes.Buffer
		if err := writeOne(&b, test.format, Packet{Time: test.in, Data: ip4}); err != nil {
			t.Fatal(err)
		}
		packets, _ := read(t, b.Bytes())
		if len(packets) != 1 || !packets[0].Time.Equal(test.want) {
			t.Errorf("format %d: %v is written as %v", test.format, test.in, packets)
		}
	}
}

func TestWriteLongComment(t *testing.T) {
	for _, test := range []struct {
		comment string
		want    int
	}{
		{strings.Repeat("x", 65535), 65535},
		{strings.Repeat("x", 70000), 65535},
		{strings.Repeat("x", 65534) + "é", 65534},
		{strings.Repeat("x", 65533) + "\U0001F600", 65533},
		{strings.Repeat("\x80", 70000), 65535},
	} {
		var b bytes.Buffer
		if err := writeOne(&b, NG, Packet{Time: time.Unix(0, 0), Data: ip4, Comment: test.comment}); err != nil {
			t.Fatal(err)
		}
		packets, _ := read(t, b.Bytes())
		if len(packets) != 1 || packets[0].Comment != test.comment[:test.want] {
			t.Errorf("of %d bytes came %d", len(test.comment), len(packets[0].Comment))
		}
	}
}

type fullDisk struct{ room int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.room--; d.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	if err := Write(&fullDisk{}, []Packet{{}}); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
	for room := range 2 {
		if err := writeOne(&fullDisk{room}, NG, written[0]); !errors.Is(err, io.ErrShortWrite) {
			t.Error(err)
		}
	}
	var b bytes.Buffer
	if err := writeOne(&b, 2, Packet{}); err == nil || b.Len() != 0 {
		t.Errorf("format 2: %d bytes, %v", b.Len(), err)
	}
	w, err := NewWriter(&b, Classic)
	if err != nil {
		t.Fatal(err)
	}
	n := b.Len()
	if err := w.Write(Packet{Data: make([]byte, maxRecord+1)}); err == nil || b.Len() != n {
		t.Errorf("a packet that no Reader takes: %d bytes, %v", b.Len()-n, err)
	}
	if err := w.Write(Packet{Data: make([]byte, maxRecord)}); err != nil {
		t.Error(err)
	}
	if packets, _ := read(t, b.Bytes()); len(packets) != 1 {
		t.Errorf("%d packets", len(packets))
	}
}
