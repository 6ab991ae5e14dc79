// SPDX-License-Identifier: MIT

package pcap

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type appendOrder = binary.AppendByteOrder

// aligned fills b up to a multiple of 4 bytes with what no reader may look at.
func aligned(b []byte) []byte { return join(b, bytes.Repeat([]byte{0xee}, -len(b)&3)) }

func blockNG(o appendOrder, kind uint32, body ...[]byte) []byte {
	b := aligned(join(body...))
	n := o.AppendUint32(nil, uint32(12+len(b)))
	return join(o.AppendUint32(nil, kind), n, b, n)
}

func sectionNG(o appendOrder) []byte {
	return blockNG(o, blockSection, o.AppendUint32(nil, byteOrderMagic), o.AppendUint16(nil, 1), o.AppendUint16(nil, 2), o.AppendUint64(nil, math.MaxUint64))
}

func optionNG(o appendOrder, code uint16, value string) []byte {
	return aligned(join(o.AppendUint16(nil, code), o.AppendUint16(nil, uint16(len(value))), []byte(value)))
}

func interfaceNG(o appendOrder, link uint16, snapLen uint32, options ...[]byte) []byte {
	return blockNG(o, blockInterface, o.AppendUint16(nil, link), []byte{0, 0}, o.AppendUint32(nil, snapLen), join(options...))
}

func packetNG(o appendOrder, iface uint32, ts uint64, length int, b []byte, options ...[]byte) []byte {
	return blockNG(o, blockEnhanced, o.AppendUint32(nil, iface), o.AppendUint32(nil, uint32(ts>>32)), o.AppendUint32(nil, uint32(ts)),
		o.AppendUint32(nil, uint32(len(b))), o.AppendUint32(nil, uint32(length)), aligned(b), join(options...))
}

func simpleNG(o appendOrder, length int, b []byte) []byte {
	return blockNG(o, blockSimple, o.AppendUint32(nil, uint32(length)), b)
}

func oldNG(o appendOrder, iface uint16, ts uint64, length int, b []byte, options ...[]byte) []byte {
	return blockNG(o, blockOldPacket, o.AppendUint16(nil, iface), o.AppendUint16(nil, 3), o.AppendUint32(nil, uint32(ts>>32)), o.AppendUint32(nil, uint32(ts)),
		o.AppendUint32(nil, uint32(len(b))), o.AppendUint32(nil, uint32(length)), aligned(b), join(options...))
}

// exampleNG returns a pcapng file with everything that the format allows, in two
// sections, one of each byte order.
func exampleNG(o appendOrder) []byte {
	other := appendOrder(binary.BigEndian)
	if o == other {
		other = binary.LittleEndian
	}
	frame := join(make([]byte, 12), []byte{8, 0}, ip4, make([]byte, 22))
	end := optionNG(o, optionEnd, "")
	comment := func(s string) []byte { return optionNG(o, optionComment, s) }
	bytes8 := func(v int64) string { return string(o.AppendUint64(nil, uint64(v))) }
	return join(
		sectionNG(o),
		interfaceNG(o, linkRaw, 0, optionNG(o, 2, "tun0"), optionNG(o, optionTsresol, "\x09"), end),
		blockNG(o, 0xbad, make([]byte, 300)),
		packetNG(o, 0, 5e9+7, len(ip4), ip4, comment("one"), optionNG(o, 2, "flag"), comment("two, longer"), end, []byte("not an option, seen by none")),
		interfaceNG(o, linkEthernet, 65535, optionNG(o, optionTsoffset, bytes8(-2))),
		interfaceNG(o, 195, 0, end),
		packetNG(o, 1, 5e6+7, len(frame), frame),
		packetNG(o, 2, 0, 3, []byte{1, 2, 3}),
		packetNG(o, 0, 1, 1500, ip4, comment("of a packet left out")),
		oldNG(o, 0, 6e9, len(ip6), ip6, comment("old"), end),
		simpleNG(o, len(ip4), ip4),
		sectionNG(other),
		blockNG(other, 4, []byte("a name resolution block")),
		interfaceNG(other, linkEthernet, 28, optionNG(other, optionFCSLen, "\x20")),
		packetNG(other, 0, 8e6, 42, join(frame[:38], []byte("FCS!"))),
		simpleNG(other, 60, frame[:28]),
		simpleNG(other, 28, frame[:28]),
	)
}

func TestNG(t *testing.T) {
	for _, order := range []appendOrder{binary.LittleEndian, binary.BigEndian} {
		file := exampleNG(order)
		packets, skipped := read(t, file)
		want := []Packet{
			{Number: 1, Time: time.Unix(5, 7), Data: ip4, Comment: "one\ntwo, longer"},
			{Number: 2, Time: time.Unix(3, 7000), Data: ip4, Trailer: make([]byte, 22)},
			{Number: 5, Time: time.Unix(6, 0), Data: ip6, Comment: "old"},
			{Number: 6, Time: time.Unix(0, 0), Data: ip4},
			{Number: 7, Time: time.Unix(8, 0), Data: ip4, Trailer: []byte("FCS!")},
		}
		if diff := cmp.Diff(want, packets); diff != "" {
			t.Errorf("%v (-want +got):\n%s", order, diff)
		}
		wantSkipped := []Skipped{
			{3, "link type 195 is not supported"},
			{4, "cut by the capture to 24 of 1500 bytes"},
			{8, "cut by the capture to 28 of 60 bytes"},
			{9, "EtherType 0x0800 is not IP, or the IP header is incomplete"},
		}
		if diff := cmp.Diff(wantSkipped, skipped); diff != "" {
			t.Errorf("%v (-want +got):\n%s", order, diff)
		}
		if r, err := NewReader(bytes.NewReader(file)); err != nil || !r.NG() {
			t.Errorf("%v: not pcapng, %v", order, err)
		}
	}
}

// A section with a length is read like one without.
func TestSectionLength(t *testing.T) {
	le := binary.LittleEndian
	body := join(interfaceNG(le, 101, 0), packetNG(le, 0, 0, len(ip4), ip4))
	section := sectionNG(le)
	le.PutUint64(section[16:], uint64(len(body)))
	packets, _ := read(t, join(section, body, section, body))
	if diff := cmp.Diff([][]byte{ip4, ip4}, data(packets)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A block longer than the buffer is discarded, a packet that long is read.
func TestLongBlock(t *testing.T) {
	le := binary.LittleEndian
	long := bytes.Repeat([]byte("abcdefg"), maxRecord/7)
	packets, _ := read(t, join(sectionNG(le), blockNG(le, 10, make([]byte, 3<<20)), interfaceNG(le, 101, 0),
		packetNG(le, 0, 0, len(long), long, optionNG(le, optionComment, strings.Repeat("x", 65535)))))
	if len(packets) != 1 || !bytes.Equal(packets[0].Data, long) || len(packets[0].Comment) != 65535 {
		t.Errorf("%d packets", len(packets))
	}
}

func TestNGErrors(t *testing.T) {
	le, be := binary.LittleEndian, binary.BigEndian
	s, i, p := sectionNG(le), interfaceNG(le, 101, 0), packetNG(le, 0, 0, len(ip4), ip4) // of 28, 20 and 56 bytes
	with := func(b []byte, at int, v uint32) []byte {
		b = bytes.Clone(b)
		le.PutUint32(b[at:], v)
		return b
	}
	var comments, ports []byte
	for range 4 {
		comments = append(comments, optionNG(le, optionComment, strings.Repeat("x", 65535))...)
	}
	comments = append(comments, optionNG(le, optionComment, "")...)
	for range maxPorts + 1 {
		ports = append(ports, i...)
	}
	for want, b := range map[string][]byte{
		"offset 0: block header cut short":                                                  s[:7],
		"offset 0: section header cut short":                                                s[:11],
		"offset 0: block of 28 bytes has only 12":                                           s[:12],
		"offset 0: block of 28 bytes has only 24":                                           s[:24],
		"offset 8: the section has an unknown byte-order magic 1a2b3c4e":                    join(s[:8], be.AppendUint32(nil, byteOrderMagic+1), s[12:]),
		"offset 0: pcapng version 2.0 is not supported, only 1":                             join(s[:12], []byte{2, 0, 0, 0}, s[16:]),
		"offset 0: block of 24 bytes: the length must be a multiple of 4, and at least 28":  with(s, 4, 24),
		"offset 0: block of 28 bytes has another length at its end: 32":                     with(s, 24, 32),
		"offset 28: block header cut short":                                                 join(s, i[:3]),
		"offset 28: block of 8 bytes: the length must be a multiple of 4, and at least 12":  join(s, with(i, 4, 8)),
		"offset 28: block of 21 bytes: the length must be a multiple of 4, and at least 12": join(s, with(i, 4, 21)),
		"offset 28: block of type 1 and 16 bytes is too short for its contents":             join(s, blockNG(le, blockInterface, i[8:12])),
		"offset 28: option 2 of 5 bytes: the block has 4 left":                              join(s, interfaceNG(le, 101, 0, []byte{2, 0, 5, 0, 1, 2, 3, 4})),
		"offset 28: block of 20 bytes has only 19":                                          join(s, i[:19]),
		"offset 28: block of 1073741824 bytes has only 64":                                  join(s, with(with(blockNG(le, 7, make([]byte, 52)), 4, 1<<30), 60, 1<<30)),
		"offset 28: packet of interface 0: the section has defined 0 so far":                join(s, p),
		"offset 48: packet of interface 1: the section has defined 1 so far":                join(s, i, with(p, 8, 1)),
		"offset 132: packet of interface 0: the section has defined 0 so far":               join(s, i, p, s, simpleNG(le, 4, ip4[:4])),
		"offset 48: record of 262145 bytes: the limit is 262144":                            join(s, i, with(p, 20, maxRecord+1)),
		"offset 48: block of type 6 and 56 bytes is too short for its contents":             join(s, i, with(p, 20, 29)),
		"offset 48: block of type 6 and 28 bytes is too short for its contents":             join(s, i, blockNG(le, 6, p[8:24])),
		"offset 48: block of type 2 and 28 bytes is too short for its contents":             join(s, i, blockNG(le, 2, p[8:24])),
		"offset 48: block of type 3 and 12 bytes is too short for its contents":             join(s, i, blockNG(le, 3)),
		"offset 48: block of type 3 and 20 bytes is too short for its contents":             join(s, i, simpleNG(le, 5, ip4[:4])),
		"offset 48: block of 56 bytes has only 50":                                          join(s, i, p[:50]),
		"offset 48: block of 56 bytes has only 54":                                          join(s, i, p[:54]),
		"offset 48: option 1 of 65535 bytes: the block has 4 left":                          join(s, i, packetNG(le, 0, 0, len(ip4), ip4, []byte{1, 0, 0xff, 0xff, 1, 2, 3, 4})),
		"offset 48: comments of more than 262144 bytes":                                     join(s, i, packetNG(le, 0, 0, len(ip4), ip4, comments)),
		"offset 1310748: more than 65536 interfaces in a section":                           join(s, ports),
		"offset 104: block of 28 bytes has only 27":                                         join(s, i, p, s[:27]),
	} {
		fails(t, b, want)
	}
}
