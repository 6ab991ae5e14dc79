// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// classicFile builds a capture in any byte order, resolution and link type.
func classicFile(order binary.AppendByteOrder, magic, link uint32, records ...[]byte) []byte {
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

func TestClassic(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for magic, nanos := range map[uint32]int64{magicMicro: 7000, magicNano: 7} {
			packets, skipped := read(t, classicFile(order, magic, 101, ip4, ip6, nil))
			want := []Packet{
				{Number: 1, Time: time.Unix(100, nanos), Data: ip4},
				{Number: 2, Time: time.Unix(101, nanos), Data: ip6},
				{Number: 3, Time: time.Unix(102, nanos), Data: []byte{}},
			}
			if diff := cmp.Diff(want, packets); diff != "" || skipped != nil {
				t.Errorf("%v, %#x: %v (-want +got):\n%s", order, magic, skipped, diff)
			}
		}
	}
}

// A record longer than the buffer comes whole.
func TestLongRecord(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcde"), maxRecord/15)
	packets, _ := read(t, classicFile(binary.LittleEndian, magicMicro, 101, ip4, long, long[1:], ip4))
	if !slices.EqualFunc([][]byte{ip4, long, long[1:], ip4}, data(packets), bytes.Equal) { // cmp walks each byte
		t.Error("a record came out otherwise")
	}
	file := classicFile(binary.LittleEndian, magicMicro, 101, long)
	fails(t, file[:len(file)-1], "offset 24: record of 262140 bytes has only 262139")
}

func TestCutRecord(t *testing.T) {
	b := classicFile(binary.LittleEndian, magicMicro, 101, []byte{0x45, 1}, []byte{0x45, 2})
	binary.LittleEndian.PutUint32(b[24+12:], 1500)
	packets, skipped := read(t, b)
	if diff := cmp.Diff([]Packet{{Number: 2, Time: time.Unix(101, 7000), Data: []byte{0x45, 2}}}, packets); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Skipped{{1, "cut by the capture to 2 of 1500 bytes"}}, skipped); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClassicErrors(t *testing.T) {
	good := classicFile(binary.LittleEndian, magicMicro, 101, []byte{0x45, 1})
	huge := bytes.Clone(good)
	binary.LittleEndian.PutUint32(huge[24+8:], 1<<30)
	for want, b := range map[string][]byte{
		"offset 0: no pcap file header: unexpected EOF":                                                   good[:20],
		"offset 0: magic 0a0d0d0b is neither that of a classic pcap file nor that of a pcapng file":       append([]byte{0x0a, 0x0d, 0x0d, 0x0b}, good[4:]...),
		"offset 0: magic 34cdb2a1: the modified pcap format is not supported: convert the file to pcapng": classicFile(binary.LittleEndian, magicModified, 101),
		"offset 20: link type 105 is not supported, only " + linkNames:                                    classicFile(binary.BigEndian, magicMicro, 105),
		"offset 24: record header cut short":                                                              good[:30],
		"offset 24: record of 2 bytes has only 1":                                                         good[:len(good)-1],
		"offset 24: record of 1073741824 bytes: the limit is 262144":                                      huge,
	} {
		fails(t, b, want)
	}
	fails(t, nil, "offset 0: no pcap file header: unexpected EOF")
}
