// SPDX-License-Identifier: MIT

// Package packet dissects IP packets. It finds their headers, fields and checksums,
// describes a packet in one line, names the fields in which two packets differ, and puts
// lengths and checksums right. It accepts any bytes, and shares no code with offload.
package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Field is a named range of a packet's bytes.
type Field struct {
	Name     string
	Off, Len int
}

// Difference is a field in which two packets differ. Want and Got are its bytes; they are
// nil for the field "length".
type Difference struct {
	Field     string `json:"field"`
	Off       int    `json:"offset"`
	Want, Got []byte `json:"-"`
	WantText  string `json:"want"`
	GotText   string `json:"got"`
}

// String returns the field, its offset and both values.
func (d Difference) String() string {
	return fmt.Sprintf("%s (offset %d): got %s, want %s", d.Field, d.Off, d.GotText, d.WantText)
}

// Diff returns the fields of want in which got differs, or nil if the packets are equal. In
// a payload these are up to 8 bytes, from the first one that differs. If the lengths differ,
// the first Difference is that of the field "length".
func Diff(want, got []byte) []Difference {
	if bytes.Equal(want, got) {
		return nil
	}
	var list []Difference
	if len(want) != len(got) {
		list = append(list, Difference{Field: "length", Off: min(len(want), len(got)),
			WantText: fmt.Sprintf("%d bytes", len(want)), GotText: fmt.Sprintf("%d bytes", len(got))})
	}
	n := min(len(want), len(got))
	for _, f := range Fields(want) {
		end := min(f.Off+f.Len, n)
		if f.Off >= end || bytes.Equal(want[f.Off:end], got[f.Off:end]) {
			continue
		}
		if f.Name == "payload" {
			for want[f.Off] == got[f.Off] {
				f.Off++
			}
			for end = min(f.Off+8, end); want[end-1] == got[end-1]; end-- {
			}
		}
		w, g := want[f.Off:end], got[f.Off:end]
		list = append(list, Difference{f.Name, f.Off, w, g, text(f.Name, w), text(f.Name, g)})
	}
	return list
}

// text returns a field's bytes in hexadecimal, or TCP flags by name.
func text(name string, b []byte) string {
	if name == "tcp.flags" && len(b) == 1 {
		return flags(b[0])
	}
	return fmt.Sprintf("%x", b)
}

var (
	ipv4Fields = []Field{{"ip.version_ihl", 0, 1}, {"ip.tos", 1, 1}, {"ip.total_length", 2, 2}, {"ip.id", 4, 2},
		{"ip.frag", 6, 2}, {"ip.ttl", 8, 1}, {"ip.protocol", 9, 1}, {"ip.checksum", 10, 2}, {"ip.src", 12, 4}, {"ip.dst", 16, 4}}
	ipv6Fields = []Field{{"ip.version_tc_label", 0, 4}, {"ip.payload_length", 4, 2}, {"ip.next_header", 6, 1},
		{"ip.hop_limit", 7, 1}, {"ip.src", 8, 16}, {"ip.dst", 24, 16}}
	tcpFields = []Field{{"tcp.sport", 0, 2}, {"tcp.dport", 2, 2}, {"tcp.seq", 4, 4}, {"tcp.ack", 8, 4}, {"tcp.doff", 12, 1},
		{"tcp.flags", 13, 1}, {"tcp.window", 14, 2}, {"tcp.checksum", 16, 2}, {"tcp.urgent_pointer", 18, 2}}
	udpFields = []Field{{"udp.sport", 0, 2}, {"udp.dport", 2, 2}, {"udp.length", 4, 2}, {"udp.checksum", 6, 2}}
)

// Names returns the names of all fields.
func Names() []string {
	var names []string
	for _, list := range [][]Field{ipv4Fields, ipv6Fields, {{"ip.options", 0, 0}, {"ip.extension", 0, 0}}, tcpFields, {{"tcp.options", 0, 0}}, udpFields, {{"payload", 0, 0}}} {
		for _, f := range list {
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

// Fields returns the fields of a packet in order. They cover all of its bytes. If the packet
// ends within a header, the fields that fit are followed by "payload" to its end.
func Fields(b []byte) []Field {
	var list []Field
	at := 0
	add := func(fields []Field) bool {
		base := at
		for _, f := range fields {
			if base+f.Off+f.Len > len(b) {
				return false
			}
			list = append(list, Field{f.Name, base + f.Off, f.Len})
			at = base + f.Off + f.Len
		}
		return true
	}
	rest := func(name string, end int) {
		if end = min(end, len(b)); end > at {
			list = append(list, Field{name, at, end - at})
			at = end
		}
	}
	proto, first := 256, true
	switch {
	case len(b) > 0 && b[0]>>4 == 4 && add(ipv4Fields):
		proto = int(b[9])
		rest("ip.options", 4*int(b[0]&15))
		first = binary.BigEndian.Uint16(b[6:])&0x1FFF == 0
	case len(b) > 0 && b[0]>>4 == 6 && add(ipv6Fields):
		proto = int(b[6])
		for proto == 0 || proto == 43 || proto == 60 {
			if at+8 > len(b) {
				proto = 256
				break
			}
			proto = int(b[at])
			rest("ip.extension", at+8+8*int(b[at+1]))
		}
	}
	switch {
	case !first:
	case proto == 6:
		start := at
		if add(tcpFields) {
			rest("tcp.options", start+4*int(b[start+12]>>4))
		}
	case proto == 17:
		add(udpFields)
	}
	rest("payload", len(b))
	return list
}

// flags returns TCP flags by name.
func flags(f byte) string {
	var names []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "no flags"
	}
	return strings.Join(names, "|")
}

// Line returns a description of a packet in one line.
func Line(b []byte) string {
	field := map[string]Field{}
	for _, f := range Fields(b) {
		field[f.Name] = f
	}
	get := func(name string) (v uint64) {
		f := field[name]
		for _, x := range b[f.Off : f.Off+f.Len] {
			v = v<<8 | uint64(x)
		}
		return v
	}
	addr := func(name string) string {
		f := field[name]
		a, _ := netip.AddrFromSlice(b[f.Off : f.Off+f.Len])
		return a.String()
	}
	if field["ip.dst"].Len == 0 {
		return fmt.Sprintf("%d bytes, no IP header", len(b))
	}
	s := addr("ip.src") + " > " + addr("ip.dst")
	ipLen := get("ip.total_length")
	if b[0]>>4 == 4 {
		s = "IPv4 " + s + fmt.Sprintf(" id %d ttl %d", get("ip.id"), get("ip.ttl"))
		for _, bit := range []struct {
			mask uint64
			name string
		}{{0x8000, "evil"}, {0x4000, "DF"}, {0x2000, "MF"}} {
			if get("ip.frag")&bit.mask != 0 {
				s += " " + bit.name
			}
		}
		if off := get("ip.frag") & 0x1FFF; off != 0 {
			s += fmt.Sprintf(" offset %d", 8*off)
		}
	} else {
		ipLen = get("ip.payload_length") + 40
		s = "IPv6 " + s + fmt.Sprintf(" hop limit %d label %#x", get("ip.hop_limit"), get("ip.version_tc_label")&0xFFFFF)
	}
	size := fmt.Sprintf("%d bytes", field["payload"].Len)
	if field["payload"].Len == 1 {
		size = "1 byte"
	}
	switch {
	case field["tcp.urgent_pointer"].Len > 0:
		s += fmt.Sprintf(" TCP %d > %d seq %d ack %d win %d %s, %s", get("tcp.sport"), get("tcp.dport"),
			get("tcp.seq"), get("tcp.ack"), get("tcp.window"), flags(byte(get("tcp.flags"))), size)
	case field["udp.checksum"].Len > 0:
		s += fmt.Sprintf(" UDP %d > %d, %s", get("udp.sport"), get("udp.dport"), size)
	case b[0]>>4 == 4:
		s += fmt.Sprintf(" protocol %d, %s", get("ip.protocol"), size)
	default:
		s += fmt.Sprintf(" next header %d, %s", get("ip.next_header"), size)
	}
	if ipLen != uint64(len(b)) {
		s += fmt.Sprintf(" (IP says %d of %d bytes)", ipLen, len(b))
	}
	return s
}
