package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// file builds a capture in any byte order, resolution and link type.
func file(order binary.AppendByteOrder, magic, link uint32, records ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	for _, v := range []uint32{0, 0, 65535, link} {
		b = order.AppendUint32(b, v)
	}
	for i, r := range records {
		for _, v := range []uint32{uint32(100 + i), 7, uint32(len(r)), uint32(len(r))} {
			b = order.AppendUint32(b, v)
		}
		b = append(b, r...)
	}
	return b
}

func TestRead(t *testing.T) {
	ip := append([]byte{0x45, 0, 0, 24}, make([]byte, 20)...)
	ip6 := append([]byte{0x60, 0, 0, 0, 0, 2}, make([]byte, 36)...)
	frame := func(etherType uint16, b []byte, pad int) []byte {
		f := append(make([]byte, 12), byte(etherType>>8), byte(etherType))
		return append(append(f, b...), make([]byte, pad)...)
	}
	for _, test := range []struct {
		name    string
		file    []byte
		want    [][]byte
		skipped []string
		nanos   int
	}{
		{"little-endian raw", file(binary.LittleEndian, magicMicro, 101, ip, ip6), [][]byte{ip, ip6}, nil, 7000},
		{"big-endian, nanoseconds, old link type", file(binary.BigEndian, magicNano, 12, ip), [][]byte{ip}, nil, 7},
		{"Ethernet with padding", file(binary.LittleEndian, magicMicro, 1, frame(0x0800, ip, 22), frame(0x86DD, ip6, 4)), [][]byte{ip, ip6}, nil, 7000},
		{"Ethernet, long: what is behind stays", file(binary.LittleEndian, magicMicro, 1, frame(0x0800, ip, 50)), [][]byte{append(bytes.Clone(ip), make([]byte, 50)...)}, nil, 7000},
		{"Ethernet that is not IP", file(binary.LittleEndian, magicMicro, 1, frame(0x0806, ip, 0), []byte{1}), nil, []string{"EtherType 0x0806", "shorter than"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !IsPcap(test.file) {
				t.Error("not taken for a pcap file")
			}
			packets, skipped, err := ReadAll(bytes.NewReader(test.file))
			if err != nil {
				t.Fatal(err)
			}
			var got [][]byte
			for i, p := range packets {
				got = append(got, p.Data)
				if want := time.Unix(int64(100+i), int64(test.nanos)); !p.Time.Equal(want) || p.Number != i+1 {
					t.Errorf("packet %d at %v, want %v", p.Number, p.Time, want)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for i, s := range skipped {
				if i >= len(test.skipped) || !strings.Contains(s.Why, test.skipped[i]) {
					t.Errorf("record %d left out: %s", s.Number, s.Why)
				}
			}
			if len(skipped) != len(test.skipped) {
				t.Errorf("%d records left out, want %d", len(skipped), len(test.skipped))
			}
		})
	}
}

func TestCutRecord(t *testing.T) {
	b := file(binary.LittleEndian, magicMicro, 101, []byte{0x45, 1}, []byte{0x45, 2})
	binary.LittleEndian.PutUint32(b[24+12:], 1500)
	packets, skipped, err := ReadAll(bytes.NewReader(b))
	if err != nil || len(packets) != 1 || packets[0].Number != 2 || len(skipped) != 1 || !strings.Contains(skipped[0].Why, "2 of 1500") {
		t.Errorf("%v, %v, %v", packets, skipped, err)
	}
}

func TestErrors(t *testing.T) {
	good := file(binary.LittleEndian, magicMicro, 101, []byte{0x45, 1})
	huge := bytes.Clone(good)
	binary.LittleEndian.PutUint32(huge[24+8:], 1<<30)
	for want, b := range map[string][]byte{
		"offset 0: no pcap file header":                  good[:20],
		"offset 0: magic 0a0d0d0a":                       append([]byte{0x0a, 0x0d, 0x0d, 0x0a}, good[4:]...),
		"offset 20: link type 113":                       file(binary.LittleEndian, magicMicro, 113),
		"offset 24: record header cut short":             good[:30],
		"offset 24: record of 2 bytes has only 1":        good[:len(good)-1],
		"offset 24: record of 1073741824 bytes: the lim": huge,
	} {
		_, _, err := ReadAll(bytes.NewReader(b))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s...", err, want)
		}
	}
	if IsPcap([]byte{1, 2}) {
		t.Error("two bytes are a pcap file")
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteError(t *testing.T) {
	if err := Write(fullDisk{}, []Packet{{}}); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}
