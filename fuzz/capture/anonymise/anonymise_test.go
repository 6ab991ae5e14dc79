// SPDX-License-Identifier: MIT

package anonymise

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tunproof/corpus"
	"tunproof/fuzz/capture/pcap"
	"tunproof/fuzz/packet"
	"tunproof/fuzz/scenario"
	"tunproof/fuzz/scenario/draw"
	"tunproof/offload"
)

func anonymiser(t rapid.TB, size int) *Anonymiser {
	t.Helper()
	a, err := New(size)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// all anonymises packets.
func all(t rapid.TB, a *Anonymiser, list [][]byte) [][]byte {
	t.Helper()
	var out [][]byte
	for i, b := range list {
		p, err := a.Packet(pcap.Packet{Number: i + 1, Data: b})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p.Data)
	}
	return out
}

// TestKeeps checks on generated packets, malformed ones too, what stays: lengths,
// header fields, which packets are of one flow, which are equal, and the classes of
// checksums.
func TestKeeps(t *testing.T) {
	kept := []string{"ip.version_ihl", "ip.tos", "ip.total_length", "ip.id", "ip.frag", "ip.ttl", "ip.protocol", "ip.version_tc_label", "ip.payload_length",
		"ip.next_header", "ip.hop_limit", "tcp.sport", "tcp.dport", "tcp.seq", "tcp.ack", "tcp.doff", "tcp.flags", "tcp.window", "tcp.urgent_pointer",
		"udp.sport", "udp.dport", "udp.length"}
	rapid.Check(t, func(t *rapid.T) {
		s := draw.Batches().Draw(t, "scenario")
		var list [][]byte
		for _, b := range s.Batches {
			list = append(list, b...)
		}
		a, err := keyed([32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")), 0)
		if err != nil {
			t.Fatal(err)
		}
		var out [][]byte
		for i, b := range list {
			p, err := a.Packet(pcap.Packet{Number: i, Data: bytes.Clone(b)})
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p.Data)
		}
		flows := func(list [][]byte) (flows []packet.Flow) {
			for _, b := range list {
				flows = append(flows, packet.Parse(b).Flow(b))
			}
			return flows
		}
		flow, flowNow := flows(list), flows(out)
		for i, b := range list {
			got := out[i]
			if len(got) != len(b) {
				t.Fatalf("packet %d: %d bytes, was %d", i, len(got), len(b))
			}
			whole := packet.Parse(b).Version != 0
			for _, f := range packet.Fields(b) {
				if whole && slices.Contains(kept, f.Name) && !bytes.Equal(b[f.Off:f.Off+f.Len], got[f.Off:f.Off+f.Len]) {
					t.Fatalf("packet %d: %s changed\n%x\n%x", i, f.Name, b, got)
				}
			}
			if was, is := packet.Checksum(b), packet.Checksum(got); was != is {
				t.Fatalf("packet %d: the checksum is %v, was %v\n%x\n%x", i, is, was, b, got)
			}
			if was, is := packet.HeaderRight(b), packet.HeaderRight(got); was != is && packet.Parse(b).Version != 0 {
				t.Fatalf("packet %d: the header checksum is right: %v, was: %v\n%x\n%x", i, is, was, b, got)
			}
			for k := range i {
				same := flow[i] == flow[k]
				if sameNow := flowNow[i] == flowNow[k]; same != sameNow {
					t.Fatalf("packets %d and %d are of one flow: %v, were: %v", k, i, sameNow, same)
				}
				was, is := bytes.Equal(b, list[k]), bytes.Equal(got, out[k])
				if was != is {
					t.Fatalf("packets %d and %d are equal: %v", k, i, is)
				}
			}
		}
	})
}

// TestCaptures anonymises the captures: they coalesce exactly as before, and no
// piece of any payload is left.
func TestCaptures(t *testing.T) {
	list, err := corpus.Captures()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		packets, _, err := pcap.ReadAll(bytes.NewReader(c.Pcap))
		if err != nil {
			t.Fatal(err)
		}
		var before [][]byte
		for _, p := range packets {
			before = append(before, p.Data)
		}
		after := all(t, anonymiser(t, 0), before)
		groups := func(list [][]byte) (groups [][]int, reasons []offload.Reason) {
			co, err := offload.NewCoalescer(offload.Config{})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range co.Coalesce(list) {
				groups = append(groups, slices.Clone(s.Packets()))
			}
			for i := range list {
				reasons = append(reasons, co.Reason(i))
			}
			return groups, reasons
		}
		for at := 0; at < len(before); at += 64 {
			end := min(at+64, len(before))
			g1, r1 := groups(before[at:end])
			g2, r2 := groups(after[at:end])
			if !slices.EqualFunc(g1, g2, slices.Equal[[]int]) || !slices.Equal(r1, r2) {
				t.Errorf("%s: packets %d to %d coalesce otherwise", c.Name, at+1, end)
			}
		}
		whole := bytes.Join(after, nil)
		if bytes.Contains(whole, []byte{192, 0, 2, 1}) {
			t.Fatalf("%s: an address is still there", c.Name)
		}
		searched := map[string]bool{} // addresses of IPv6
		for i, b := range before {
			h := packet.Parse(b)
			if h.PayloadOff > 0 && len(b)-h.PayloadOff >= 32 && bytes.Contains(whole, b[h.PayloadOff:h.PayloadOff+16]) {
				t.Errorf("%s: payload of packet %d is still there", c.Name, i+1)
			}
			if h.Version == 6 && !searched[string(b[8:24])] {
				searched[string(b[8:24])] = true
				if bytes.Contains(whole, b[8:24]) {
					t.Fatalf("%s: an address is still there", c.Name)
				}
			}
		}
	}
}

// TestCutOtherwise checks that a superpacket and its segments keep the same bytes: in
// TCP by their sequence numbers, in UDP if the size is given.
func TestCutOtherwise(t *testing.T) {
	for _, p := range []scenario.Packet{scenario.TCP4(1000), scenario.TCP6(1000), scenario.UDP4(1000), scenario.UDP6(1000)} {
		h, whole := p.Super(300)
		var seg offload.Segmenter
		cut := func(b []byte) (list [][]byte) {
			if err := seg.Reset(offload.VnetHdr{Flags: 1, GSOType: offload.GSOType(h.GSOType), GSOSize: h.GSOSize, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset}, b); err != nil {
				t.Fatal(err)
			}
			for s := range seg.InPlace() {
				list = append(list, bytes.Clone(s))
			}
			return list
		}
		a := anonymiser(t, 300)
		segments := all(t, a, cut(bytes.Clone(whole)))
		again := cut(all(t, a, [][]byte{whole})[0])
		if !slices.EqualFunc(segments, again, bytes.Equal) {
			t.Errorf("%v: cut and anonymised is not anonymised and cut", packet.Line(whole))
		}
	}
}

// TestOptions checks that addresses in options and routing headers are replaced, and
// that the fields that an offload reads stay.
func TestOptions(t *testing.T) {
	p := scenario.TCP4(10)
	p.IPOptions = []byte{7, 7, 4, 192, 0, 2, 9, 0} // record route
	p.Options = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 30, 4, 0xAB, 0xCD}
	q := scenario.TCP6(10)
	q.ExtType, q.Extensions = 43, append([]byte{6, 2, 4, 1, 0, 0, 0, 0}, net6...)
	out := all(t, anonymiser(t, 0), [][]byte{p.Bytes(), q.Bytes()})
	if got := out[0][20:28]; !bytes.Equal(got[:2], []byte{7, 7}) || bytes.Equal(got[2:7], []byte{4, 192, 0, 2, 9}) {
		t.Errorf("record route: %x", got)
	}
	if got := out[0][48:64]; !bytes.Equal(got[:14], []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 30, 4}) || bytes.Equal(got[14:], []byte{0xAB, 0xCD}) {
		t.Errorf("TCP options: %x", got)
	}
	if got := out[1][40:64]; !bytes.Equal(got[:4], []byte{6, 2, 4, 1}) || bytes.Contains(got, net6) {
		t.Errorf("routing header: %x", got)
	}
	for i, b := range out {
		if at, right, _ := packet.RightSum(b); right != binary.BigEndian.Uint16(b[at:]) {
			t.Errorf("packet %d: checksum is not %04x", i, right)
		}
	}
}

var net6 = []byte{0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}

func TestComment(t *testing.T) {
	p, err := anonymiser(t, 0).Packet(pcap.Packet{Data: scenario.TCP4(1).Bytes(), Comment: "seen at Bob's\nvnet flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0\n"})
	if err != nil || p.Comment != "vnet flags=0 gso_type=0 hdr_len=0 gso_size=0 csum_start=0 csum_offset=0" {
		t.Errorf("%q, %v", p.Comment, err)
	}
}

// TestManyAddresses checks that memory is bounded.
func TestManyAddresses(t *testing.T) {
	a := anonymiser(t, 0)
	if a.most != 1_048_576 {
		t.Errorf("%d addresses are replaced", a.most)
	}
	a.most = 1000
	b := scenario.TCP4(0).Bytes() // its destination is an address too
	for i := range uint32(1000) {
		binary.BigEndian.PutUint32(b[12:], 20<<24+i)
		_, err := a.Packet(pcap.Packet{Number: 7, Data: b})
		if refused := err != nil; refused != (i == 999) {
			t.Errorf("address %d: %v", i+1, err)
		}
		if want := "packet 7: more than 1000 addresses: split the capture"; err != nil && err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	binary.BigEndian.PutUint32(b[12:], 20<<24)
	if _, err := a.Packet(pcap.Packet{Data: b}); err != nil {
		t.Errorf("an address that was replaced before: %v", err)
	}
}

// TestCopyName checks the names of copies, which are neither compressed nor text.
func TestCopyName(t *testing.T) {
	for name, want := range map[string]string{"a/x.pcap": "d/x.pcap", "-": "d/stdin.pcapng", "x.txt": "d/x.pcapng", "x.pcap.gz": "d/x.pcap", "x.pcapng.zst": "d/x.pcapng", "x.hex.xz": "d/x.pcapng"} {
		if got := copyName(name, "d"); got != filepath.FromSlash(want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestJoined checks that flows with longer datagrams in one capture than in another are
// counted, unless a size is known.
func TestJoined(t *testing.T) {
	one := scenario.UDP4(10)
	two, other := one, one
	two.Payload = scenario.Fill(0, 20)
	other.SrcPort++
	for _, c := range []struct {
		name   string
		size   int
		before []scenario.Packet
		after  []scenario.Packet
		want   int
	}{
		{"the same", 0, []scenario.Packet{one, one}, []scenario.Packet{one}, 0},
		{"joined", 0, []scenario.Packet{one, one, other}, []scenario.Packet{two, other}, 1},
		{"cut", 0, []scenario.Packet{two}, []scenario.Packet{one, one}, 1},
		{"a size", 10, []scenario.Packet{one, one}, []scenario.Packet{two}, 0},
		{"another flow", 0, []scenario.Packet{one}, []scenario.Packet{other}, 0},
	} {
		a, err := New(c.size)
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range [][]scenario.Packet{c.before, c.after} {
			a.Begin()
			for i, p := range list {
				if _, err := a.Packet(pcap.Packet{Number: i + 1, Data: p.Bytes()}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := a.Joined(); got != c.want {
			t.Errorf("%s: %d flows, want %d", c.name, got, c.want)
		}
	}
}
