// SPDX-License-Identifier: MIT

package anonymise

import (
	"bytes"
	"encoding/binary"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
)

// TestTranslated checks that captures with a translation of addresses and ports between each
// and the next give copies of which compare says what it says of them, for TCP and UDP over
// both versions, if nothing was changed and if a byte was.
func TestTranslated(t *testing.T) {
	for name, first := range map[string]scenario.Packet{"tcp4": scenario.TCP4(100), "udp4": scenario.UDP4(100), "tcp6": scenario.TCP6(100), "udp6": scenario.UDP6(100)} {
		for _, damaged := range []bool{false, true} {
			var lists [3][]pcap.Packet
			p := first
			for i := range 6 {
				b := p.Bytes()
				b[len(b)-1] = byte(i) // payloads of their own
				packet.Fix(b, packet.FixAll)
				after := bytes.Clone(b)
				h := packet.Parse(b)
				if h.Version == 4 {
					after[15]++ // the source address
				} else {
					after[23]++
				}
				after[h.L4Off+1]++ // and port
				if damaged && i == 3 {
					after[len(after)-1] ^= 0x55
				}
				packet.Fix(after, packet.FixAll)
				at := time.Unix(1_700_000_000+int64(i), 0)
				lists[0] = append(lists[0], pcap.Packet{Time: at, Data: b})
				lists[1] = append(lists[1], pcap.Packet{Time: at, Data: after})
				again := bytes.Clone(after) // translated once more
				again[h.L4Off+1]++
				packet.Fix(again, packet.FixAll)
				lists[2] = append(lists[2], pcap.Packet{Time: at, Data: again})
				p = p.Next(100)
			}
			dir := t.TempDir()
			to := filepath.Join(dir, "copies")
			var names, copies []string
			for side, list := range lists {
				base := [...]string{"before.pcap", "after.pcap", "later.pcap"}[side]
				names, copies = append(names, filepath.Join(dir, base)), append(copies, filepath.Join(to, base))
				writeClassic(t, names[side], list)
			}
			if _, err := anonymiser(t, 0).Files(t.Context(), nil, io.Discard, io.Discard, to, names); err != nil {
				t.Fatal(err)
			}
			for _, pair := range [][2]int{{0, 1}, {0, 2}, {1, 2}} {
				two := func(list []string) []string { return []string{list[pair[0]], list[pair[1]]} }
				want, got := verdictOf(t, two(names)), verdictOf(t, two(copies))
				if want != got || want == "translated\n" == (damaged && pair[0] == 0) {
					t.Errorf("%s, damaged %v, %v: compare says of the copies %q, of the captures %q", name, damaged, pair, got, want)
				}
			}
		}
	}
}

// TestChanged changes a datagram between two captures in ways that compare recognises: it says
// the same of the copies, although no ID shows what the datagram was. If it cannot, because the
// datagram is short, Short counts it.
func TestChanged(t *testing.T) {
	zero := scenario.UDP4(0)
	zero.ID, zero.Frag = 0, 0x4000
	icmp := scenario.UDP6(0)
	for name, of := range map[string]func(payload []byte) []byte{
		"udp6": func(payload []byte) []byte { p := scenario.UDP6(0); p.Payload = payload; return p.Bytes() },
		"udp4": func(payload []byte) []byte { p := zero; p.Payload = payload; return p.Bytes() },
		"tcp4": func(payload []byte) []byte {
			p := scenario.TCP4(0)
			p.Seq += 1500 * uint32(payload[0]&7)
			p.Payload = payload
			return p.Bytes()
		},
		"icmp6": func(payload []byte) []byte {
			p := icmp
			p.Payload = payload
			b := p.Bytes()
			b[6] = 58
			copy(b[40:48], []byte{128, 0, 0, 0, 1, 2, 0, 9}) // an echo request
			n := len(b) - 40
			binary.BigEndian.PutUint16(b[42:], uint16(^fold(sum(b[8:40], []byte{byte(n >> 8), byte(n), 0, 58}, b[40:]))))
			return b
		},
	} {
		for what, change := range map[string]func(b []byte) []byte{
			"nothing":                               func(b []byte) []byte { return b },
			"the first byte":                        func(b []byte) []byte { b[0] ^= 1; return b },
			"the last byte":                         func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b },
			"a cut":                                 func(b []byte) []byte { return b[:len(b)-2] },
			"more":                                  func(b []byte) []byte { return append(b, 1, 2, 3) },
			"the last byte, with the checksum kept": func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b },
		} {
			for _, n := range []int{4, 7, 8, 9, 15, 16, 17, 18, 19, 40, 1000} {
				payload := func(i int) []byte {
					b := scenario.Fill(n, byte(50*i))
					b[0], b[n/2] = byte(i), byte(i*7)
					return b
				}
				var captures [2][]pcap.Packet
				for i := range 7 {
					at := time.Unix(1_700_000_000+int64(i), 0)
					after := payload(i)
					if i == 3 {
						after = change(after)
					}
					captures[0] = append(captures[0], pcap.Packet{Number: i + 1, Time: at, Data: of(payload(i))})
					data := of(after)
					if strings.Contains(what, "kept") {
						data = append(of(payload(i))[:len(data)-n], after...)
					}
					captures[1] = append(captures[1], pcap.Packet{Number: i + 1, Time: at, Data: data})
				}
				dir := t.TempDir()
				to := filepath.Join(dir, "copies")
				var names, copies []string
				for side, base := range []string{"before.pcapng", "after.pcapng"} {
					names, copies = append(names, filepath.Join(dir, base)), append(copies, filepath.Join(to, base))
					writeNG(t, names[side], captures[side])
				}
				a := anonymiser(t, 0)
				if _, err := a.Files(t.Context(), nil, io.Discard, io.Discard, to, names); err != nil {
					t.Fatal(err)
				}
				want, got := verdictOf(t, names), verdictOf(t, copies)
				if want == "" != (what == "nothing") {
					t.Fatalf("%s, %s of %d bytes: compare finds %q", name, what, n, want)
				}
				recognised := strings.Contains(want, compare.Changed)
				if want != got && (a.Short() == 0 || n > 10) || a.Short() > 0 && !recognised || recognised && n > 10 && a.Short() > 0 {
					t.Errorf("%s, %s of %d bytes: compare says of the copies %q, of the captures %q, and %d are short", name, what, n, got, want, a.Short())
				}
			}
		}
	}
}

// verdictOf returns what compare finds in two captures, without values.
func verdictOf(t *testing.T, names []string) (found string) {
	t.Helper()
	var in [2]*capture.Source
	for side, name := range names {
		s, err := capture.Open(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		in[side] = s
	}
	r, err := compare.Files(t.Context(), io.Discard, in, compare.Config{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, told := range r.Told {
		found += told.What + "\n"
	}
	for _, f := range r.Findings {
		found += f.What
		for _, d := range f.Fields {
			found += " " + d.Field
		}
		found += "\n"
	}
	return found
}

// TestRoles flips each bit of the IP header, except of lengths and addresses, in one packet
// between two captures, which also makes it a fragment, or ends that, or gives it another
// protocol: compare says of the copies what it says of the captures.
func TestRoles(t *testing.T) {
	fragment := scenario.UDP4(400)
	fragment.Frag = 0x2000
	for name, first := range map[string]scenario.Packet{"tcp4": scenario.TCP4(400), "udp4": scenario.UDP4(400), "fragment": fragment, "tcp6": scenario.TCP6(400), "udp6": scenario.UDP6(400)} {
		var list []pcap.Packet
		p := first
		for i := range 5 {
			p.Payload = scenario.Fill(400, byte(50*i))
			list = append(list, pcap.Packet{Time: time.Unix(1_700_000_000+int64(i), 0), Data: p.Bytes()})
			p = p.Next(400)
		}
		places := []int{1, 4, 5, 6, 7, 8, 9}
		if packet.Parse(list[0].Data).Version == 6 {
			places = []int{1, 2, 3, 6, 7}
		}
		for _, at := range places {
			for bit := range 8 {
				if testing.Short() && bit%4 != at%4 {
					continue
				}
				changed := slices.Clone(list)
				b := bytes.Clone(list[2].Data)
				b[at] ^= 1 << bit
				packet.Fix(b, packet.FixIPCsum)
				changed[2].Data = b
				for side, pair := range [2][2][]pcap.Packet{{list, changed}, {changed, list}} {
					dir := t.TempDir()
					to := filepath.Join(dir, "copies")
					var names, copies []string
					for i, base := range []string{"before.pcap", "after.pcap"} {
						names, copies = append(names, filepath.Join(dir, base)), append(copies, filepath.Join(to, base))
						writeClassic(t, names[i], pair[i])
					}
					if _, err := anonymiser(t, 0).Files(t.Context(), nil, io.Discard, io.Discard, to, names); err != nil {
						t.Fatal(err)
					}
					if want, got := verdictOf(t, names), verdictOf(t, copies); want != got || want == "" {
						t.Errorf("%s, byte %d, bit %d, side %d: compare says of the copies %q, of the captures %q", name, at, bit, side, got, want)
					}
				}
			}
		}
	}
}
