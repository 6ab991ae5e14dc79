// SPDX-License-Identifier: MIT

package anonymise

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// sum returns the sum of bytes with its carries. An odd last byte is the upper half of its word.
func sum(parts ...[]byte) (s int) {
	for _, b := range parts {
		for i, v := range b {
			s += int(v) << (8 * (1 - i%2))
		}
	}
	return s
}

// fold folds a sum into 16 bits.
func fold(s int) int {
	for s > 0xFFFF {
		s = s>>16 + s&0xFFFF
	}
	return s
}

// spoiled is a packet whose checksum is made wrong.
type spoiled struct {
	b []byte
	packet.Header
	at             int    // offset of the TCP or UDP checksum
	addresses      int    // their sum
	pseudo, rest   int    // sums: of the pseudo-header, of the other bytes but the checksum
	previous       []byte // the packet before it, perhaps of another flow; nil for the first
	n              int    // a random number
	header, prefix int    // sums of the IPv4 header: all of it, its first 20 bytes
}

func spoil(b, previous []byte, n int) *spoiled {
	p := &spoiled{b: b, Header: packet.Parse(b), previous: previous, n: n}
	if p.PayloadOff > 0 {
		p.at = sumAt(p.Header)
		p.addresses = sum(p.Addresses(b))
		l := len(b) - p.L4Off
		p.pseudo = p.addresses + int(p.Proto) + l>>16 + l&0xFFFF
		p.rest = sum(b[p.L4Off:p.at], b[p.at+2:])
	}
	if p.Version == 4 {
		end := 4 * int(b[0]&15)
		p.header, p.prefix = sum(b[:10], b[12:end]), sum(b[:10], b[12:20])
	}
	return p
}

func (p *spoiled) set(v int)       { binary.BigEndian.PutUint16(p.b[p.at:], uint16(v)) }
func (p *spoiled) sum(s int)       { p.set(^fold(s)) }
func (p *spoiled) setIP(v int)     { binary.BigEndian.PutUint16(p.b[10:], uint16(v)) }
func (p *spoiled) sumIP(s int)     { p.setIP(^fold(s)) }
func (p *spoiled) word(i int) int  { return int(binary.BigEndian.Uint16(p.b[i:])) }
func (p *spoiled) payload() []byte { return p.b[p.PayloadOff:] }

func swap(v int) int { return v>>8&0xFF | v&0xFF<<8 }

// l4Faults make the checksum of TCP or UDP wrong.
var l4Faults = map[string]func(p *spoiled){
	"zero":                       func(p *spoiled) { p.set(0) },
	"ones":                       func(p *spoiled) { p.set(0xFFFF) },
	"over itself":                func(p *spoiled) { p.sum(p.pseudo + p.rest + p.word(p.at)) },
	"over the partial one":       func(p *spoiled) { p.sum(2*p.pseudo + p.rest) },
	"no pseudo-header":           func(p *spoiled) { p.sum(p.rest) },
	"partial":                    func(p *spoiled) { p.set(fold(p.pseudo)) },
	"partial, complemented":      func(p *spoiled) { p.sum(p.pseudo) },
	"partial, one too large":     func(p *spoiled) { p.set(fold(p.pseudo + 1)) },
	"partial, without length":    func(p *spoiled) { p.set(fold(p.addresses + int(p.Proto))) },
	"completed twice":            func(p *spoiled) { p.sum(^fold(p.pseudo+p.rest)&0xFFFF + p.rest) },
	"no length":                  func(p *spoiled) { p.sum(p.addresses + int(p.Proto) + p.rest) },
	"no protocol":                func(p *spoiled) { p.sum(p.pseudo - int(p.Proto) + p.rest) },
	"other protocol":             func(p *spoiled) { p.sum(p.pseudo - int(p.Proto) + 23 - int(p.Proto) + p.rest) },
	"no addresses":               func(p *spoiled) { p.sum(p.pseudo - p.addresses + p.rest) },
	"no source":                  func(p *spoiled) { a := p.Addresses(p.b); p.sum(p.pseudo - sum(a[:len(a)/2]) + p.rest) },
	"no destination":             func(p *spoiled) { a := p.Addresses(p.b); p.sum(p.pseudo - sum(a[len(a)/2:]) + p.rest) },
	"length of the whole packet": func(p *spoiled) { p.sum(p.pseudo + p.L4Off + p.rest) },
	"length of the payload":      func(p *spoiled) { p.sum(p.pseudo - (p.PayloadOff - p.L4Off) + p.rest) },
	"length swapped": func(p *spoiled) {
		n := len(p.b) - p.L4Off
		p.sum(p.pseudo - n + swap(n) + p.rest)
	},
	"not complemented": func(p *spoiled) { p.set(fold(p.pseudo + p.rest)) },
	"swapped":          func(p *spoiled) { p.set(swap(^fold(p.pseudo + p.rest))) },
	"carry lost":       func(p *spoiled) { p.set(^(p.pseudo + p.rest)) },
	"odd offset":       func(p *spoiled) { s := sum(p.payload()); p.sum(p.pseudo + p.rest - s + swap(fold(s))) },
	"no payload":       func(p *spoiled) { p.sum(p.pseudo + p.rest - sum(p.payload())) },
	"no last byte": func(p *spoiled) {
		if len(p.payload())%2 == 1 {
			p.sum(p.pseudo + p.rest - int(p.b[len(p.b)-1])<<8)
		}
	},
	"last byte low": func(p *spoiled) {
		if last := int(p.b[len(p.b)-1]); len(p.payload())%2 == 1 {
			p.sum(p.pseudo + p.rest - last<<8 + last)
		}
	},
	"no options": func(p *spoiled) {
		if p.Proto == 6 {
			p.sum(p.pseudo + p.rest - sum(p.b[p.L4Off+20:p.PayloadOff]))
		}
	},
	"FCS in the sum": func(p *spoiled) {
		p.sum(p.pseudo + p.rest + p.n%0xFFFF + p.n>>16)
		p.b = append(p.b, byte(p.n>>8), byte(p.n), byte(p.n>>24), byte(p.n>>16))
	},
	"padding and length": func(p *spoiled) {
		p.sum(p.pseudo + p.rest + 6)
		p.b = append(p.b, make([]byte, 6)...)
	},
	"the previous packet's": func(p *spoiled) {
		if h := packet.Parse(p.previous); h.PayloadOff > 0 {
			p.set(int(binary.BigEndian.Uint16(p.previous[sumAt(h):])))
		}
	},
	"the previous sequence number": func(p *spoiled) {
		if h := packet.Parse(p.previous); h.PayloadOff > 0 && h.Proto == 6 && p.Proto == 6 {
			p.sum(p.pseudo + p.rest - sum(p.b[p.L4Off+4:p.L4Off+8]) + sum(p.previous[h.L4Off+4:h.L4Off+8]))
		}
	},
	"an old address":       func(p *spoiled) { p.sum(p.pseudo + p.rest + p.n%0xFFFE + 1) },
	"an old port":          func(p *spoiled) { p.sum(p.pseudo + p.rest + p.n%5 + 1) },
	"a bit of the payload": func(p *spoiled) { p.flip(p.PayloadOff) },
	"a bit of the header":  func(p *spoiled) { p.flip(p.L4Off) },
	"a bit of it":          func(p *spoiled) { p.b[p.at+p.n%2] ^= 1 << (p.n / 2 % 8) },
	"flags changed": func(p *spoiled) {
		if p.Proto == 6 {
			p.b[p.L4Off+13] ^= 1 << (p.n % 8)
		}
	},
	"raised length (LRO)": func(p *spoiled) {
		for i := range 20 {
			p.b = append(p.b, byte(p.n>>i))
		}
		packet.Fix(p.b, packet.FixIPLen|packet.FixUDPLen|packet.FixIPCsum)
	},
}

// flip flips a bit of a byte from an offset on.
func (p *spoiled) flip(from int) {
	if from < len(p.b) {
		p.b[from+p.n/8%(len(p.b)-from)] ^= 1 << (p.n % 8)
	}
}

// ipFaults make the checksum of an IPv4 header wrong.
var ipFaults = map[string]func(p *spoiled){
	"zero":                func(p *spoiled) { p.setIP(0) },
	"ones":                func(p *spoiled) { p.setIP(0xFFFF) },
	"over itself":         func(p *spoiled) { p.sumIP(p.header + p.word(10)) },
	"without options":     func(p *spoiled) { p.sumIP(p.prefix) },
	"not complemented":    func(p *spoiled) { p.setIP(fold(p.header)) },
	"swapped":             func(p *spoiled) { p.setIP(swap(^fold(p.header))) },
	"carry lost":          func(p *spoiled) { p.setIP(^p.header) },
	"TTL":                 func(p *spoiled) { p.b[8]-- },
	"length zero":         func(p *spoiled) { p.sumIP(p.header - p.word(2)) },
	"ID zero":             func(p *spoiled) { p.sumIP(p.header - p.word(4)) },
	"ID swapped":          func(p *spoiled) { p.sumIP(p.header - p.word(4) + swap(p.word(4))) },
	"ECN":                 func(p *spoiled) { p.b[1] ^= byte(1 + p.n%3) },
	"DF":                  func(p *spoiled) { p.b[6] ^= 0x40 },
	"another address":     func(p *spoiled) { p.b[12+p.n%8] ^= byte(1 + p.n/8%255) },
	"a bit":               func(p *spoiled) { p.b[p.n%2+10] ^= 1 << (p.n / 2 % 8) },
	"the whole packet":    func(p *spoiled) { p.sumIP(sum(p.b)) },
	"the previous ID":     func(p *spoiled) { p.old(4) },
	"the previous length": func(p *spoiled) { p.old(2) },
	"the previous one": func(p *spoiled) {
		if len(p.previous) >= 20 {
			copy(p.b[10:12], p.previous[10:12])
		}
	},
}

// old makes the checksum that of a word of the previous header.
func (p *spoiled) old(at int) {
	if len(p.previous) >= 20 {
		p.sumIP(p.header - p.word(at) + int(binary.BigEndian.Uint16(p.previous[at:])))
	}
}

// otherFaults are those of lengths, numbers and flags.
var otherFaults = map[string]func(p *spoiled){
	"IP length": func(p *spoiled) {
		at := 2
		if p.Version == 6 {
			at = 4
		}
		binary.BigEndian.PutUint16(p.b[at:], uint16(p.word(at)+[]int{1, -1, 2, -2, -8, 20, -20}[p.n%7]))
		packet.Fix(p.b, packet.FixIPCsum)
	},
	"UDP length": func(p *spoiled) {
		if p.Proto == 17 {
			binary.BigEndian.PutUint16(p.b[p.L4Off+4:], uint16(p.word(p.L4Off+4)+[]int{1, -1, 2, -2, -8, 20, -20}[p.n%7]))
			if p.n%2 == 0 {
				packet.Fix(p.b, packet.FixL4Csum)
			}
		}
	},
	"zeros after the end": func(p *spoiled) { p.b = append(p.b, make([]byte, 1+p.n%9)...) },
	"bytes after the end": func(p *spoiled) {
		for i := range 1 + p.n%9 {
			p.b = append(p.b, byte(p.n>>i))
		}
	},
	"a fragment": func(p *spoiled) {
		if p.Version == 4 {
			p.b[6] |= 0x20
			p.b[7] |= byte(p.n % 2)
			packet.Fix(p.b, packet.FixIPCsum)
		}
	},
	"flags":  func(p *spoiled) { p.flag(byte(p.n)) },
	"PSH":    func(p *spoiled) { p.flag(scenario.PSH) },
	"CWR":    func(p *spoiled) { p.flag(scenario.CWR) },
	"FIN":    func(p *spoiled) { p.flag(scenario.FIN) },
	"doff":   func(p *spoiled) { p.b[min(p.L4Off+12, len(p.b)-1)] ^= byte(p.n) & 0xF0 },
	"length": func(p *spoiled) { p.b = p.b[:len(p.b)-p.n%len(p.b)] },
}

// flag sets TCP flags.
func (p *spoiled) flag(flags byte) {
	if p.Proto == 6 {
		p.b[p.L4Off+13] |= flags
		packet.Fix(p.b, packet.FixL4Csum)
	}
}

// traffic draws right traffic of a few flows: packets, superpackets with and without a
// VnetHdr, and pieces of anything else.
func traffic(t *rapid.T) []pcap.Packet {
	var flows []scenario.Packet
	for range rapid.IntRange(1, 3).Draw(t, "flows") {
		p := scenario.TCP4(0)
		p.V6, p.UDP = rapid.Bool().Draw(t, "v6"), rapid.IntRange(0, 2).Draw(t, "udp") == 0
		p.Seq, p.ID = rapid.Uint32().Draw(t, "seq"), rapid.Uint16().Draw(t, "id")
		p.SrcPort, p.DstPort = rapid.Uint16Range(1024, 60000).Draw(t, "sport"), rapid.SampledFrom([]uint16{443, 53, 4789, 5201}).Draw(t, "dport")
		if rapid.Bool().Draw(t, "no DF") {
			p.Frag = 0
		}
		switch rapid.IntRange(0, 4).Draw(t, "options") {
		case 0:
			p.Options = scenario.Timestamps
		case 1:
			p.IPOptions = []byte{148, 4, 0, 0, 1, 1, 1, 0}
			p.ExtType, p.Extensions = 60, []byte{6, 0, 1, 4, 0, 0, 0, 0}
		case 2:
			p.Options = []byte{19, 18, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 1, 1}
		}
		flows = append(flows, p)
	}
	on := paths(t)
	at := time.Unix(1_700_000_000, 0)
	var list []pcap.Packet
	for range rapid.IntRange(2, 12).Draw(t, "packets") {
		p := &flows[rapid.IntRange(0, len(flows)-1).Draw(t, "flow")]
		n := rapid.SampledFrom([]int{100, 101, 1, 2, 3, 9, 0, 536, 1448}).Draw(t, "n")
		q := pcap.Packet{Number: len(list) + 1, Time: at}
		*p = p.Next(n)
		p.Payload = bits(t, n, "payload")
		switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
		case kind < 2 && n > 3:
			h, b := p.Super(n / 3)
			q.Data = on.on(b)
			packet.Fix(q.Data, packet.FixPartial)
			if kind == 0 {
				q.Comment = pcap.VnetComment(h)
			}
		case kind == 2 && n > 0:
			*p = scenario.ZeroSum(*p)
			q.Data = on.on(p.Bytes())
		default:
			q.Data = on.on(p.Bytes())
		}
		list = append(list, q)
		at = at.Add(rapid.SampledFrom([]time.Duration{time.Microsecond, time.Second}).Draw(t, "pause"))
	}
	return list
}

// names returns the keys of a map in order.
func names[V any](m map[string]V) []string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// faulty draws traffic with one or two faults.
func faulty(t *rapid.T) []pcap.Packet {
	list := traffic(t)
	for range rapid.IntRange(1, 2).Draw(t, "faults") {
		i := rapid.IntRange(0, len(list)-1).Draw(t, "packet")
		p := &list[i]
		var previous []byte
		for k := range i {
			if h := packet.Parse(list[k].Data); h.Flow(list[k].Data) == packet.Parse(p.Data).Flow(p.Data) {
				previous = list[k].Data
			}
		}
		s := spoil(bytes.Clone(p.Data), previous, int(binary.BigEndian.Uint32(bits(t, 4, "n"))>>1)) // an int also of 32 bits
		switch kind := rapid.IntRange(0, 9).Draw(t, "fault"); {
		case kind < 4:
			if name := rapid.SampledFrom(names(l4Faults)).Draw(t, "fault"); s.PayloadOff > 0 {
				l4Faults[name](s)
			}
		case kind < 6:
			if name := rapid.SampledFrom(names(ipFaults)).Draw(t, "fault"); s.Version == 4 {
				ipFaults[name](s)
			}
		case kind < 8:
			if name := rapid.SampledFrom(names(otherFaults)).Draw(t, "fault"); s.PayloadOff > 0 {
				otherFaults[name](s)
			}
		case kind == 8 && i > 0:
			switch rapid.IntRange(0, 3).Draw(t, "places") {
			case 0: // a gap
				list = slices.Delete(list, i, i+1)
				continue
			case 1: // the ID of the packet before
				if s.Version == 4 && len(previous) >= 20 {
					copy(s.b[4:6], previous[4:6])
					packet.Fix(s.b, packet.FixIPCsum)
				}
			case 2:
				list[i].Data, list[i-1].Data = list[i-1].Data, list[i].Data
				list[i].Comment, list[i-1].Comment = list[i-1].Comment, list[i].Comment
				continue
			case 3:
				list[i].Data = list[i-1].Data
				continue
			}
		default:
			h := packet.DeriveVnet(s.b, uint16(rapid.SampledFrom([]int{1, 33, 100, 1448}).Draw(t, "size")))
			n := uint16(s.n)
			switch rapid.IntRange(0, 6).Draw(t, "field") {
			case 0:
				h.Flags ^= byte(n & 7)
			case 1:
				h.GSOType = byte(n)
			case 2:
				h.GSOSize = n % 3
			case 3:
				h.HdrLen ^= n
			case 4:
				h.CsumStart ^= n % 64
			case 5:
				h.CsumOffset ^= n % 32
			}
			p.Comment = pcap.VnetComment(h)
		}
		p.Data = s.b
	}
	return list
}

var offBy = regexp.MustCompile(`off by [0-9a-f]{4}`)

// judged returns what check finds in packets, without the values of checksums.
func judged(t rapid.TB, cfg check.Config, list []pcap.Packet) ([]check.Finding, check.Seen) {
	t.Helper()
	var found []check.Finding
	c := check.New(cfg, func(f check.Finding) {
		if strings.HasSuffix(f.Field, ".checksum") {
			f.Got, f.Want, f.Text = "", "", offBy.ReplaceAllString(f.Text, "off by")
		}
		found = append(found, f)
	})
	for _, p := range list {
		if err := c.Packet(p); err != nil {
			t.Fatal(err)
		}
	}
	c.Finish()
	return found, c.Seen
}

// writeNG writes packets as a pcapng file. Where their numbers are not consecutive, the file
// has records that a reader leaves out.
func writeNG(t rapid.TB, name string, list []pcap.Packet) {
	t.Helper()
	var file bytes.Buffer
	w, err := pcap.NewWriter(&file, pcap.NG)
	if err != nil {
		t.Fatal(err)
	}
	number := 1
	for _, p := range list {
		for ; number < p.Number; number++ {
			if err := w.WriteLeftOut(p.Time); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		number++
	}
	if err := os.WriteFile(name, file.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

// copied anonymises captures as files in one run, and returns the packets of the copies.
func copied(t rapid.TB, a *Anonymiser, dir string, captures ...[]pcap.Packet) [][]pcap.Packet {
	t.Helper()
	var names []string
	for i, list := range captures {
		names = append(names, filepath.Join(dir, fmt.Sprint(i, ".pcapng")))
		writeNG(t, names[i], list)
	}
	out := filepath.Join(dir, "out")
	if _, err := a.Files(context.Background(), nil, io.Discard, io.Discard, out, names); err != nil {
		t.Fatal(err)
	}
	var copies [][]pcap.Packet
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(out, filepath.Base(name)))
		if err != nil {
			t.Fatal(err)
		}
		list, _, err := pcap.ReadAll(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, list)
	}
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
	return copies
}

// TestSameFindings checks that check says of a copy what it says of the original: it finds
// the same in the same packets, of the same causes. Very rarely no copy has the same causes:
// then Unlike says so.
func TestSameFindings(t *testing.T) {
	dir := t.TempDir()
	cases, unlike := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		list := faulty(t)
		a := drawn(t, "key")
		copies := copied(t, a, dir, list)[0]
		if cases++; a.Unlike > 0 {
			unlike++
		}
		for _, cfg := range []check.Config{{}, {Wire: true, MTU: 600}} {
			want, seen := judged(t, cfg, list)
			got, seenNow := judged(t, cfg, copies)
			if a.Unlike > 0 {
				withoutCauses(want)
				withoutCauses(got)
			}
			if diff := cmp.Diff(want, got) + cmp.Diff(seen, seenNow); diff != "" {
				for i, p := range list {
					t.Logf("packet %d: %s\n%x\n%x", p.Number, p.Comment, p.Data, copies[i].Data)
				}
				t.Fatal(diff)
			}
		}
	})
	if unlike > 2+cases/100 {
		t.Errorf("%d of %d copies have other causes", unlike, cases)
	}
}

// withoutCauses removes the causes of wrong checksums.
func withoutCauses(list []check.Finding) {
	for i, f := range list {
		if strings.HasSuffix(f.Field, ".checksum") {
			list[i].Text = ""
		}
	}
}

// TestPaddingInSum checks that the copy of a short packet, whose checksum covers the padding of
// its frame, has bytes to which the same applies.
func TestPaddingInSum(t *testing.T) {
	for n := 1; n <= 6; n++ {
		p := scenario.TCP4(6 - n)
		b, long := p.Bytes(), append(p.Bytes(), scenario.Fill(n, 9)...)
		h := packet.Parse(b)
		_, sum := h.Sums(long, 36, len(long))
		binary.BigEndian.PutUint16(b[36:], ^sum)
		list := []pcap.Packet{{Number: 1, Data: b, Trailer: long[len(b):]}}
		found, _ := judged(t, check.Config{}, list)
		a, err := keyed([32]byte{byte(n)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := a.Packet(list[0])
		if err != nil {
			t.Fatal(err)
		}
		is, _ := judged(t, check.Config{}, []pcap.Packet{copied})
		if len(found) != 1 || len(is) != 1 || !strings.HasSuffix(found[0].Text, is[0].Text[strings.LastIndex(is[0].Text, ": "):]) || a.Unlike > 0 {
			t.Errorf("%d bytes: %v of %v, %d unlike", n, is, found, a.Unlike)
		}
	}
}

// TestTrailer checks that a copy is judged as it is written: without the rest of its frame,
// which explains the checksum of the original.
func TestTrailer(t *testing.T) {
	p := scenario.TCP4(100)
	b, trailer := p.Bytes(), []byte{0xAB, 0xCD}
	had := binary.BigEndian.Uint16(b[36:])
	binary.BigEndian.PutUint16(b[36:], ^plus(^had, 0xABCD))
	for _, with := range [][]byte{nil, trailer} {
		list := []pcap.Packet{{Number: 1, Data: b, Trailer: with}}
		found, _ := judged(t, check.Config{}, list)
		if len(found) != 1 || strings.Contains(found[0].Text, "past the end") != (with != nil) {
			t.Fatalf("%v", found)
		}
		a, err := keyed([32]byte{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		copied, err := a.Packet(list[0])
		if err != nil {
			t.Fatal(err)
		}
		if is, _ := judged(t, check.Config{}, []pcap.Packet{copied}); len(is) != 1 || is[0].Kind != found[0].Kind || copied.Trailer != nil || a.Unlike > 0 != (with != nil) {
			t.Errorf("%v of %v, %d unlike", is, found, a.Unlike)
		}
	}
}
