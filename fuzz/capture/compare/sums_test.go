// SPDX-License-Identifier: MIT

package compare

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"tunproof/fuzz/capture"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/offload"
)

// reported returns what Files says of two captures.
func reported(t *testing.T, cfg Config, before, after [][]byte) *Report {
	t.Helper()
	r, err := Files(t.Context(), io.Discard, [2]*capture.Source{capture.Of("before", numbered(before)), capture.Of("after", numbered(after))}, cfg, 100)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWrongAmongRight puts a router between the captures, with and without a translation of
// an address, and damages one checksum, or takes more from one TTL. That packet is reported
// alone, the others together and as right. With -ignore only a wrong checksum is left.
func TestWrongAmongRight(t *testing.T) {
	const packets, odd = 36, 17
	for _, p := range []scenario.Packet{scenario.TCP4(300), scenario.UDP4(300), scenario.TCP6(300), scenario.UDP6(300)} {
		for _, natted := range []bool{false, true} {
			for _, fault := range []string{"", "header", "header kept", "l4", "ttl"} {
				before := run(p, packets, 300)
				v6 := before[0][0]>>4 == 6
				if v6 && strings.HasPrefix(fault, "header") {
					continue
				}
				var after [][]byte
				for i, was := range before {
					b := bytes.Clone(was)
					ttl, source := 8, 15
					if v6 {
						ttl, source = 7, 23
					}
					b[ttl]--
					if natted {
						b[source] ^= 0x55
					}
					if i == odd-1 && fault == "ttl" {
						b[ttl] -= 9
					}
					packet.Fix(b, packet.FixIPCsum|packet.FixL4Csum)
					h := packet.Parse(b)
					switch {
					case i != odd-1:
					case fault == "header":
						b[11] ^= 1
					case fault == "header kept":
						copy(b[10:12], was[10:12])
					case fault == "l4" && h.Proto == 6:
						b[h.L4Off+17] ^= 1
					case fault == "l4":
						b[h.L4Off+7] ^= 1
					}
					after = append(after, b)
				}
				name := fmt.Sprintf("%v, NAT %v, %q", p.Src, natted, fault)
				r := reported(t, Config{}, before, after)
				groups := 2
				if fault == "" {
					groups = 1
				}
				if len(r.Findings) != groups || r.What[Changed] != packets {
					t.Errorf("%s: %v", name, r.Findings)
					continue
				}
				if s := r.Findings[0].String(); !v6 && strings.Count(s, "(right for the new header)") != 1 || strings.Contains(s, "should have become") {
					t.Errorf("%s: %s", name, s)
				}
				if f := r.Findings[groups-1]; groups == 2 && (f.Count != 1 || f.Packets != [2]int{odd, odd}) {
					t.Errorf("%s: %v", name, f)
				}
				if s := r.Findings[groups-1].String(); (fault == "header" || fault == "l4") && !strings.Contains(s, "which should have become") && !strings.Contains(s, "(wrong for its packet)") {
					t.Errorf("%s: %s", name, s)
				}
				ignored := reported(t, Config{Ignore: []string{"ip.ttl", "ip.hop_limit", "ip.checksum", "tcp.checksum", "udp.checksum"}}, before, after)
				want, left := record.Holds, 0
				if fault != "" && fault != "ttl" {
					want, left = record.Violated, 1
				}
				if ignored.Record.Result != want || len(ignored.Findings) != left || ignored.Summary.Segments != packets-left || left == 1 && ignored.Findings[0].Packets != [2]int{odd, odd} {
					t.Errorf("%s: ignored: %v %v", name, ignored.Verdict(), ignored.Findings)
				}
			}
		}
	}
}

// TestIgnoredRepair ignores checksums that were wrong before: what became of them may differ.
func TestIgnoredRepair(t *testing.T) {
	before := run(scenario.UDP4(100), 20, 100)
	after := run(scenario.UDP4(100), 20, 100)
	before[4][11] ^= 1
	before[5][27] ^= 1
	before[6][11], after[6][11] = before[6][11]^1, after[6][11]^2
	if r := reported(t, Config{Ignore: []string{"ip.checksum", "udp.checksum"}}, before, after); r.Record.Result != record.Holds {
		t.Error(r.Verdict(), r.Findings)
	}
}

// TestReceived changes the payload of packets and keeps the checksum, computes it again,
// changes it otherwise, removes it, or leaves it partial. The finding says what a receiver
// does.
func TestReceived(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(200), scenario.TCP6(200), scenario.UDP4(200), scenario.UDP6(200)} {
		for fault, want := range map[string]string{
			"kept":    "the checksum was kept: the receiver drops it",
			"again":   "the checksum was computed again and is right: the receiver takes it",
			"wrong":   "the checksum was changed, and is wrong: the receiver drops it",
			"partial": "whatever completes it covers the change: the receiver takes it",
			"absent":  "there is no checksum: the receiver takes it",
			"swapped": "the checksum was kept, and is right even so: the receiver takes it",
		} {
			before := run(p, 9, 200)
			after := run(p, 9, 200)
			b := after[4]
			h := packet.Parse(b)
			sum := b[h.L4Off+16:]
			if h.Proto == 17 {
				sum = b[h.L4Off+6:]
			} else if fault == "absent" {
				continue
			}
			payload := b[h.PayloadOff:]
			if fault == "swapped" {
				payload[20], payload[21], payload[40], payload[41] = payload[40], payload[41], payload[20], payload[21]
			} else {
				payload[60] ^= 0x5a
			}
			switch fault {
			case "again":
				packet.Fix(b, packet.FixL4Csum)
			case "wrong":
				packet.Fix(b, packet.FixL4Csum)
				sum[0] ^= 0x40
			case "partial":
				packet.Fix(b, packet.FixPartial)
			case "absent":
				sum[0], sum[1] = 0, 0
			}
			r := reported(t, Config{}, before, after)
			if len(r.Findings) != 1 || r.What[Changed] != 1 || !strings.Contains(r.Findings[0].Text, want) {
				t.Errorf("%v %s: %v, want %q", h.Proto, fault, r.Findings, want)
			}
		}
	}
}

// TestLengthsOfSegment gives a superpacket after the offload the lengths of one segment. Its
// length fields are named, and no checksum as changed that did not change.
func TestLengthsOfSegment(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(300), scenario.TCP6(300), scenario.UDP4(300)} {
		before := run(p, 36, 300)
		list, _ := coalesced(t, numbered(before), offload.Config{}, 8, false)
		b := bytes.Clone(list[2].Data)
		h := packet.Parse(b)
		field, length := "ip.total_length", h.PayloadOff+300
		switch {
		case h.Proto == 17:
			field, length = "udp.length", 8+300
			binary.BigEndian.PutUint16(b[h.L4Off+4:], uint16(length))
		case h.Version == 4:
			binary.BigEndian.PutUint16(b[2:], uint16(length))
			packet.Fix(b, packet.FixIPCsum)
		default:
			field, length = "ip.payload_length", length-40
			binary.BigEndian.PutUint16(b[4:], uint16(length))
		}
		after := slices.Clone(list)
		after[2].Data = b
		for name, x := range map[string][]pcap.Packet{"packets": numbered(before), "superpackets": list} {
			named := false
			for _, f := range judged(t, Config{}, x, after).found {
				named = named || slices.Contains(f.FieldNames(), field)
				if h.Proto == 6 && slices.Contains(f.FieldNames(), "tcp.checksum") {
					t.Errorf("%s of %v: %v", name, p.V6, f)
				}
			}
			if !named {
				t.Errorf("%s, IPv6 %v, protocol %d: %s is not named", name, p.V6, h.Proto, field)
			}
		}
	}
}

// TestUncompleted leaves checksums partial after the offload, which are complete before: the
// report says that it does not judge them.
func TestUncompleted(t *testing.T) {
	before := run(scenario.TCP4(300), 36, 300)
	var after [][]byte
	for i, b := range before {
		if b = bytes.Clone(b); i == 17 {
			packet.Fix(b, packet.FixPartial)
		}
		after = append(after, b)
	}
	r := reported(t, Config{}, before, after)
	if r.Summary.Uncompleted != 1 || !strings.Contains(r.Verdict(), "only partial after") {
		t.Errorf("%d, and the verdict %q", r.Summary.Uncompleted, r.Verdict())
	}
}
