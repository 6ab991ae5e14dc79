// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tunproof/corpus"
	"tunproof/fuzz/capture/check"
	"tunproof/fuzz/capture/compare"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/law"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/record"
	"tunproof/fuzz/scenario"
	"tunproof/model"
)

// broken is a bug of another implementation, applied to a capture of the corpus.
type broken struct {
	name    string
	capture string
	// rewrite changes packets in place, or returns others.
	rewrite func(t *testing.T, list [][]byte) [][]byte
	args    []string
	packets []int // numbers of the packets with the bug: after rewriting for check, before it for compare
	field   string
	rule    string
	text    string // part of the finding's text
}

// l4 returns the TCP or UDP header of a packet and everything after it.
func l4(b []byte) []byte { return b[packet.Parse(b).L4Off:] }

func payloadLen(b []byte) int { return len(b) - packet.Parse(b).PayloadOff }

// fixed corrects the lengths and checksums of b in place.
func fixed(b []byte) []byte {
	packet.Fix(b, packet.FixAll)
	return b
}

// each applies f to the packets with these numbers, from 1.
func each(numbers []int, f func(b []byte)) func(*testing.T, [][]byte) [][]byte {
	return func(_ *testing.T, list [][]byte) [][]byte {
		for _, n := range numbers {
			f(list[n-1])
		}
		return list
	}
}

// join returns the superpacket, as on a TUN, that joins packets from to to.
func join(list [][]byte, from, to int) []byte {
	var members []int
	for i := from - 1; i < to; i++ {
		members = append(members, i)
	}
	_, b := model.Join(list, members)
	return b
}

// checked are the bugs that check finds in one capture.
var checked = []broken{
	{name: "payload length short by the extension headers", capture: "tcp6-bulk", packets: []int{3, 4, 5}, field: "ip.payload_length", rule: "S3.extension", text: "extension headers",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			for i := 2; i < 5; i++ {
				b := slices.Concat(list[i][:40], []byte{6, 0, 5, 2, 0, 0, 1, 0}, list[i][40:])
				b[6] = 0
				fixed(b)
				binary.BigEndian.PutUint16(b[4:], uint16(len(b)-48))
				list[i] = b
			}
			return list
		}},
	{name: "CWR on every segment", capture: "tcp4-bulk", packets: []int{11, 12, 13}, field: "tcp.flags", rule: "S4.cwr", text: "has it too",
		rewrite: each([]int{10, 11, 12, 13}, func(b []byte) { l4(b)[13] |= scenario.CWR; fixed(b) })},
	{name: "PSH on every segment", capture: "tcp4-bulk", packets: []int{10}, field: "tcp.flags", rule: "S4.last", text: "to packet 12",
		rewrite: each([]int{10, 11, 12, 13, 14}, func(b []byte) { l4(b)[13] |= scenario.PSH; fixed(b) })},
	{name: "FIN on every segment", capture: "tcp6-bulk", packets: []int{10, 11}, field: "tcp.flags", rule: "S4.last", text: "goes on where it ends",
		rewrite: each([]int{10, 11}, func(b []byte) { l4(b)[13] |= scenario.FIN; fixed(b) })},
	{name: "UDP checksum 0 where it computes to 0", capture: "udp6-quic-like", packets: []int{7}, field: "udp.checksum", rule: "S6.zero", text: "computes to 0",
		rewrite: each([]int{7}, func(b []byte) {
			binary.BigEndian.PutUint16(b[48:], 0)
			fixed(b)
			copy(b[48:50], b[46:48])
			b[46], b[47] = 0, 0
		})},
	{name: "header checksum not updated after an ECN mark", capture: "tcp4-ecn", packets: []int{9}, field: "ip.checksum", rule: "S2.header", text: "the ECN bits were 10 when it was computed",
		rewrite: each([]int{9}, func(b []byte) { b[1] |= 3 })},
	{name: "header checksum not updated by a forwarder", capture: "udp4-bulk-connected", packets: []int{5}, field: "ip.checksum", rule: "S2.header", text: "the TTL was lowered by 1 without updating the checksum",
		rewrite: each([]int{5}, func(b []byte) { b[8]-- })},
	{name: "66 packets whose length wraps", capture: "tcp4-bulk", packets: []int{3}, field: "ip.total_length", rule: "V4.total", text: "do not fit",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			b := join(list, 3, 50)
			return slices.Concat(list[:2], [][]byte{b}, list[50:])
		}},
	{name: "one ID for all datagrams", capture: "udp4-vxlan-like", packets: []int{2, 3, 4}, field: "ip.id", rule: "S2.id", text: "without DF",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			for i := 1; i < 4; i++ {
				copy(list[i][4:6], list[0][4:6])
				copy(list[i][20:22], list[0][20:22])
				packet.Fix(list[i], packet.FixIPCsum)
			}
			return list
		}},
	{name: "pseudo-header without a length", capture: "tcp4-bulk", packets: []int{20}, field: "tcp.checksum", rule: "C1.l4_checksum", text: "the pseudo-header was summed without the length",
		rewrite: each([]int{20}, func(b []byte) {
			sum := model.Sum(b[36:38], []byte{byte((len(b) - 20) >> 8), byte(len(b) - 20)})
			binary.BigEndian.PutUint16(b[36:], uint16(sum))
		})},
	{name: "checksum from before PSH was cleared", capture: "tcp6-bulk", packets: []int{20}, field: "tcp.checksum", rule: "C1.l4_checksum", text: "PSH was set when it was computed",
		rewrite: each([]int{20}, func(b []byte) { b[53] |= scenario.PSH; fixed(b); b[53] &^= scenario.PSH })},
	{name: "a partial checksum that nobody finished", capture: "udp6-quic-like", args: []string{"-wire"}, packets: []int{30}, field: "udp.checksum", rule: "S6.none", text: "pseudo-header's sum",
		rewrite: each([]int{30}, func(b []byte) { packet.Fix(b, packet.FixPartial) })},
	{name: "a superpacket that was not cut", capture: "tcp4-bulk", args: []string{"-mtu", "1500"}, packets: []int{3}, field: "length", rule: "S1.split", text: "not cut",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			return slices.Concat(list[:2], [][]byte{join(list, 3, 20)}, list[20:])
		}},
	{name: "joined in front", capture: "tcp4-bulk", packets: []int{11}, field: "ip.id", rule: "C5.front", text: "against the sequence numbers",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			a, b := list[9], list[10]
			id := slices.Clone(a[4:6])
			copy(a[4:6], b[4:6])
			copy(b[4:6], id)
			fixed(a)
			fixed(b)
			return list
		}},
	{name: "a segment left out, IDs counting on", capture: "tcp4-bulk", packets: []int{31}, field: "tcp.seq", rule: "S4.seq", text: "the sender skipped 1448 bytes",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			list = slices.Delete(list, 30, 31)
			for _, b := range list[30:] {
				binary.BigEndian.PutUint16(b[4:], binary.BigEndian.Uint16(b[4:])-1)
				packet.Fix(b, packet.FixIPCsum)
			}
			return list
		}},
	{name: "the last segments of a superpacket left out", capture: "tcp6-bulk", packets: []int{42}, field: "tcp.seq", rule: "S4.seq", text: "missing after packet 41: 7140 bytes (5 segments of 1428)",
		rewrite: func(_ *testing.T, list [][]byte) [][]byte { return slices.Delete(list, 41, 46) }},
	{name: "the same, IDs counted by the kernel", capture: "tcp4-bulk", packets: []int{42}, field: "tcp.seq", rule: "S4.seq", text: "the IPv4 IDs skip 5, one for each segment of the gap",
		rewrite: func(_ *testing.T, list [][]byte) [][]byte { return slices.Delete(list, 41, 46) }},
	{name: "bytes after the packet, which are no padding", capture: "tcp4-bulk", packets: []int{2}, field: "ip.total_length", rule: "C1.length", text: "the packet is 6 bytes longer than this field says",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			list[1] = append(list[1], 1, 2, 3, 4, 5, 6)
			return list
		}},
	{name: "a datagram's length not updated", capture: "udp4-quic-like", packets: []int{12}, field: "udp.length", rule: "S5.length",
		rewrite: each([]int{12}, func(b []byte) { binary.BigEndian.PutUint16(b[24:], 2408) })},
	{name: "IHL 0", capture: "tcp4-bulk", packets: []int{12}, field: "ip.version_ihl", rule: "V4.ip_header",
		rewrite: each([]int{12}, func(b []byte) { b[0] = 0x40 })},
}

// compared are the bugs that compare finds in captures of both sides.
var compared = []broken{
	{name: "constant IDs come back counting", capture: "udp4-quic-like", packets: []int{2, 3, 4}, field: "ip.id", rule: "E.id",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			for i := 1; i < 4; i++ {
				binary.BigEndian.PutUint16(list[i][4:], uint16(i))
				packet.Fix(list[i], packet.FixIPCsum)
			}
			return list
		}},
	{name: "the first packet's window in all", capture: "tcp6-bulk", packets: []int{15}, field: "tcp.window", rule: "E.window",
		rewrite: each([]int{15}, func(b []byte) { b[55]--; fixed(b) })},
	{name: "no urgent pointer", capture: "tcp4-bulk", packets: []int{15}, field: "tcp.urgent_pointer", rule: "E.urgent",
		rewrite: each([]int{15}, func(b []byte) { b[39]++; fixed(b) })},
	{name: "the first packet's flow label in all", capture: "udp6-quic-like", packets: []int{15}, field: "ip.version_tc_label", rule: "E.label",
		rewrite: each([]int{15}, func(b []byte) { b[3]++ })},
	{name: "PSH lost", capture: "tcp4-small-writes", packets: []int{15}, field: "tcp.flags", rule: "E.last",
		rewrite: each([]int{15}, func(b []byte) { l4(b)[13] &^= scenario.PSH; fixed(b) })},
	{name: "a checksum where the sender gave none", capture: "udp4-vxlan-like", packets: []int{15}, field: "udp.checksum", rule: "C1.absent",
		rewrite: each([]int{15}, func(b []byte) { fixed(b) })},
	{name: "the last good segment lost", capture: "tcp4-bulk", packets: []int{130}, rule: "P2",
		rewrite: func(_ *testing.T, list [][]byte) [][]byte { return slices.Delete(list, 129, 130) }},
	{name: "129 datagrams of one superpacket lost", capture: "udp4-quic-like", packets: sequence(100, 228), rule: "P2",
		rewrite: func(_ *testing.T, list [][]byte) [][]byte { return slices.Delete(list, 99, 228) }},
	{name: "data overtakes an acknowledgement", capture: "tcp4-bidirectional", packets: []int{107}, rule: "C4.conflict",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			b := list[106]
			if payloadLen(b) != 0 {
				t.Fatal("packet 107 is no pure ACK")
			}
			return slices.Insert(slices.Delete(list, 106, 107), 112, b)
		}},
	{name: "data overtakes a fragment", capture: "mixed-flows", packets: []int{290}, rule: "C4.conflict",
		rewrite: func(t *testing.T, list [][]byte) [][]byte {
			b := list[289]
			if !packet.Parse(b).Fragment {
				t.Fatal("packet 290 is no fragment")
			}
			return slices.Insert(slices.Delete(list, 289, 290), 310, b)
		}},
	{name: "a surplus area deleted", capture: "udp4-bulk-connected", packets: []int{5}, field: "length", rule: "C1.length",
		rewrite: each(nil, nil)},
	{name: "csum_offset of UDP in TCP", capture: "tcp4-bulk", packets: []int{30}, field: "tcp.seq", rule: "E.seq",
		rewrite: each([]int{30}, func(b []byte) { b[26], b[27] = b[26]^0x5A, b[27]^0xA5 })},
	{name: "doubled", capture: "tcp6-bulk", packets: []int{30}, rule: "P2", text: "before 30 came twice: after 30 and after 34",
		rewrite: func(_ *testing.T, list [][]byte) [][]byte { return slices.Insert(list, 33, slices.Clone(list[29])) }},
	{name: "a wrong header checksum repaired", capture: "tcp4-bulk", packets: []int{40}, field: "ip.checksum", rule: "C1.ip_checksum",
		rewrite: each(nil, nil)},
	{name: "a wrong checksum repaired", capture: "tcp4-bulk", packets: []int{40}, field: "tcp.checksum", rule: "C1.l4_checksum", text: "no longer see the damage",
		rewrite: each(nil, nil)},
	{name: "0xFFFF comes back as 0x0000", capture: "tcp4-bulk", packets: []int{40}, field: "tcp.checksum", rule: "C1.zero",
		rewrite: each(nil, nil)},
}

// sentWrong damages the packets of both sides, for the bugs that repair damage.
var sentWrong = map[string]func(list [][]byte){
	"a surplus area deleted": func(list [][]byte) {
		list[4] = append(list[4], 1, 2, 3, 4)
		packet.Fix(list[4], packet.FixIPLen|packet.FixIPCsum)
	},
	"a wrong header checksum repaired": func(list [][]byte) { list[39][10]++ },
	"a wrong checksum repaired":        func(list [][]byte) { list[39][36]++ },
	"0xFFFF comes back as 0x0000": func(list [][]byte) {
		b := list[39]
		copy(b[52:54], []byte{0, 0})
		fixed(b)
		copy(b[52:54], b[36:38])
		b[36], b[37] = 0xFF, 0xFF
	},
}

// repaired undoes the damage of sentWrong, as the bug does.
var repaired = map[string]func(list [][]byte){
	"a surplus area deleted": func(list [][]byte) {
		list[4] = list[4][:len(list[4])-4]
		packet.Fix(list[4], packet.FixIPLen|packet.FixIPCsum)
	},
	"a wrong header checksum repaired": func(list [][]byte) { fixed(list[39]) },
	"a wrong checksum repaired":        func(list [][]byte) { fixed(list[39]) },
	"0xFFFF comes back as 0x0000":      func(list [][]byte) { list[39][36], list[39][37] = 0, 0 },
}

func sequence(from, to int) (list []int) {
	for i := from; i <= to; i++ {
		list = append(list, i)
	}
	return list
}

// packetsOf returns the packets of a capture of the corpus.
func packetsOf(t *testing.T, name string) [][]byte {
	t.Helper()
	captures, err := corpus.Captures()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range captures {
		if c.Name != name {
			continue
		}
		packets, _, err := pcap.ReadAll(bytes.NewReader(c.Pcap))
		if err != nil {
			t.Fatal(err)
		}
		var list [][]byte
		for _, p := range packets {
			list = append(list, p.Data)
		}
		return list
	}
	t.Fatalf("no capture %s", name)
	return nil
}

// captureFile writes packets to a pcap file and returns its path.
func captureFile(t *testing.T, name string, list [][]byte) string {
	t.Helper()
	var packets []pcap.Packet
	for _, b := range list {
		packets = append(packets, pcap.Packet{Data: b})
	}
	var b bytes.Buffer
	if err := pcap.Write(&b, packets); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckBroken runs check on captures with the bugs of other implementations. It must
// find each in its packets and field and under its rule, and nothing else.
func TestCheckBroken(t *testing.T) {
	for _, x := range checked {
		t.Run(x.name, func(t *testing.T) {
			name := captureFile(t, "broken.pcap", x.rewrite(t, packetsOf(t, x.capture)))
			out, stderr, code := call(t, append(append([]string{"check", "-json"}, x.args...), name)...)
			var r check.Report
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != record.ExitViolation {
				t.Fatalf("exit code %d, %v: %s", code, err, stderr)
			}
			var packets []int
			for _, f := range r.Findings {
				packets = append(packets, f.Packet)
				if f.Field != x.field || f.Rule != x.rule || !strings.Contains(f.Text, x.text) {
					t.Errorf("%v", f)
				}
			}
			if !slices.Equal(packets, x.packets) || r.Record.Result != record.Violated || len(r.Findings) != len(x.packets) {
				t.Errorf("packets %v, want %v: %s", packets, x.packets, r.Record.Detail)
			}
		})
	}
}

// TestCompareBroken runs compare on both sides of an offload with the bugs of other
// implementations.
func TestCompareBroken(t *testing.T) {
	for _, x := range compared {
		t.Run(x.name, func(t *testing.T) {
			list, after := packetsOf(t, x.capture), packetsOf(t, x.capture)
			if f := sentWrong[x.name]; f != nil {
				f(list)
				f(after)
				repaired[x.name](after)
			}
			before := captureFile(t, "before.pcap", list)
			out, stderr, code := call(t, "compare", "-json", before, captureFile(t, "after.pcap", x.rewrite(t, after)))
			var r compare.Report
			if err := json.Unmarshal([]byte(out), &r); err != nil || code != record.ExitViolation {
				t.Fatalf("exit code %d, %v: %s", code, err, stderr)
			}
			var packets []int
			for _, f := range r.Findings {
				for _, run := range f.Runs[compare.Before] {
					packets = append(packets, sequence(run[0], run[1])...)
				}
				has := x.field == "" && f.Fields == nil
				for _, d := range f.Fields {
					has = has || d.Field == x.field
				}
				if !has || f.Rule != x.rule || !strings.Contains(f.Text, x.text) {
					t.Errorf("%v", f)
				}
			}
			if !slices.Equal(packets, x.packets) || r.Record.Detail[:strings.Index(r.Record.Detail, ",")] != record.Count(len(x.packets), "finding") {
				t.Errorf("packets %v, want %v: %s", packets, x.packets, r.Record.Detail)
			}
		})
	}
}

// TestClean runs both commands on all captures as they are. Nothing is found.
func TestClean(t *testing.T) {
	captures, err := filepath.Glob(corpusDir + "captures/*.pcap")
	if err != nil || len(captures) != 12 {
		t.Fatal(captures, err)
	}
	for _, name := range captures {
		if out, stderr, code := call(t, "check", "-wire", "-mtu", "1500", name); code != record.ExitHolds || !strings.Contains(out, "nothing found") {
			t.Errorf("check %s: exit code %d\n%s%s", name, code, out, stderr)
		}
		if out, stderr, code := call(t, "compare", name, name); code != record.ExitHolds || !strings.Contains(out, "came through unchanged") {
			t.Errorf("compare %s: exit code %d\n%s%s", name, code, out, stderr)
		}
	}
}

// TestKinds checks that each kind of finding names a rule and a case that exist.
func TestKinds(t *testing.T) {
	known := map[string]bool{}
	for _, s := range law.Sections {
		for _, r := range s.Rules {
			known[r.ID] = true
		}
	}
	names := map[string]bool{}
	for _, k := range check.Kinds() {
		if names[k.Name] || !known[k.Rule] {
			t.Errorf("%s: twice, or no rule %q", k.Name, k.Rule)
		}
		names[k.Name] = true
		if _, err := os.Stat(corpusDir + k.Case + ".pkts"); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
}
